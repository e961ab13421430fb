"""The losses of `benchmarks.peers.problem` in JAX."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from benchmarks.peers.problem import CLIP, ENTROPY_WEIGHT

Parameters = Sequence[jax.Array]
# The parameters, then the problem's arrays.
Loss = Callable[[Parameters, Sequence[jax.Array]], jax.Array]


def layers(
    x: jax.Array, parameters: Parameters, activation: Callable[[jax.Array], jax.Array]
) -> jax.Array:
    *hidden, kernel, bias = parameters
    for hidden_kernel, hidden_bias in zip(hidden[::2], hidden[1::2], strict=True):
        x = activation(x @ hidden_kernel + hidden_bias)
    return x @ kernel + bias


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


LOSSES: Mapping[str, Loss] = {
    "elementwise": elementwise,
    "classifier": classifier,
    "policy": policy,
    "critic": critic,
}
