"""The losses of `benchmarks.peers.problem` in JAX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from benchmarks.peers.in_jax.attention import attention, gpt
from benchmarks.peers.in_jax.images import dscnn, lenet, lenet5, resnet8
from benchmarks.peers.in_jax.layers import Loss, Parameters, layers
from benchmarks.peers.in_jax.recurrent import gru, lstm
from benchmarks.peers.problem import (
    BURGERS_VISCOSITY,
    CLIP,
    DISCOUNT,
    ENTROPY_WEIGHT,
    VARIANCE_EPSILON,
)


def elementwise(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    a, b, c, d = parameters
    x, t = arrays
    return jnp.mean((jnp.tanh(a * x + b) * jax.nn.sigmoid(c * x + d) - t) ** 2)


def classifier(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    x, t = arrays
    logs = jax.nn.log_softmax(layers(x, parameters, jax.nn.sigmoid))
    return -jnp.mean(jnp.take_along_axis(logs, t[:, None], axis=1))


def policy(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    x, actions, old, advantages = arrays
    logs = jax.nn.log_softmax(layers(x, parameters, jnp.tanh))
    ratio = jnp.exp(jnp.take_along_axis(logs, actions[:, None], axis=1)[:, 0] - old)
    clipped = jnp.clip(ratio, 1 - CLIP, 1 + CLIP)
    gain = jnp.mean(jnp.minimum(ratio * advantages, clipped * advantages))
    entropy = -jnp.mean(jnp.sum(jnp.exp(logs) * logs, axis=1))
    return -gain - ENTROPY_WEIGHT * entropy


def critic(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    x, t = arrays
    return jnp.mean((layers(x, parameters, jax.nn.relu)[:, 0] - t) ** 2)


def mexp(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    x, t = arrays
    return jnp.mean((layers(x, parameters, jnp.tanh) - t) ** 2)


def vae(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    x, noise = arrays
    kernel, bias, mean_kernel, mean_bias, variance_kernel, variance_bias, *decoder = parameters
    hidden = jax.nn.relu(x @ kernel + bias)
    mean = hidden @ mean_kernel + mean_bias
    log_variance = hidden @ variance_kernel + variance_bias
    code = mean + jnp.exp(0.5 * log_variance) * noise
    logits = layers(code, decoder, jax.nn.relu)
    pixels = jnp.sum(jax.nn.softplus(logits) - x * logits, axis=1)
    divergence = -0.5 * jnp.sum(1 + log_variance - mean**2 - jnp.exp(log_variance), axis=1)
    return jnp.mean(pixels + divergence)


def bn(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    x, t = arrays
    *hidden, kernel, bias = parameters
    for start in range(0, len(hidden), 4):
        hidden_kernel, hidden_bias, scale, shift = hidden[start : start + 4]
        x = x @ hidden_kernel + hidden_bias
        centered = x - jnp.mean(x, axis=0)
        variance = jnp.mean(centered**2, axis=0)
        x = jax.nn.relu(centered * (scale * jax.lax.rsqrt(variance + VARIANCE_EPSILON)) + shift)
    logs = jax.nn.log_softmax(x @ kernel + bias)
    return -jnp.mean(jnp.take_along_axis(logs, t[:, None], axis=1))


def dqn(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    x, following, actions, rewards, goes_on, *target = arrays
    best = jnp.max(layers(following, target, jax.nn.relu), axis=1)
    wanted = jax.lax.stop_gradient(rewards + DISCOUNT * goes_on * best)
    chosen = jnp.take_along_axis(layers(x, parameters, jax.nn.relu), actions[:, None], axis=1)
    error = jnp.abs(chosen[:, 0] - wanted)
    return jnp.mean(jnp.where(error < 1, 0.5 * error**2, error - 0.5))


def embed(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    words, t = arrays
    table, *rest = parameters
    logs = jax.nn.log_softmax(layers(jnp.mean(table[words], axis=1), rest, jax.nn.relu))
    return -jnp.mean(jnp.take_along_axis(logs, t[:, None], axis=1))


def pinn(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    """Derivatives by the points forwards, which takes less time than backwards here."""
    points, starts, values = arrays

    def u(x: jax.Array) -> jax.Array:
        return layers(x, parameters, jnp.tanh)[:, 0]

    def along(axis: int) -> jax.Array:
        return jnp.zeros_like(points).at[:, axis].set(1)

    def slope_by_x(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        value, slope = jax.jvp(u, (x,), (along(0),))
        return slope, value

    by_x, second, inside = jax.jvp(slope_by_x, (points,), (along(0),), has_aux=True)
    _, by_t = jax.jvp(u, (points,), (along(1),))
    residual = by_t + inside * by_x - BURGERS_VISCOSITY * second
    return jnp.mean(residual**2) + jnp.mean((u(starts) - values) ** 2)


LOSSES: Mapping[str, Loss] = {
    "elementwise": elementwise,
    "classifier": classifier,
    "policy": policy,
    "critic": critic,
    "mexp": mexp,
    "vae": vae,
    "bn": bn,
    "dqn": dqn,
    "embed": embed,
    "pinn": pinn,
    "lenet": lenet,
    "lenet5": lenet5,
    "resnet8": resnet8,
    "dscnn": dscnn,
    "lstm": lstm,
    "gru": gru,
    "attention": attention,
    "gpt": gpt,
}
