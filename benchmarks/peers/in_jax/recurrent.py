"""The recurrent losses of `benchmarks.peers.problem` in JAX: a scan behind one large product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.peers.in_jax.layers import Parameters


def lstm(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    x, t = arrays
    kernel, recurrent, bias, *rest = parameters

    def step(carry: Any, gates: jax.Array) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(gates + h @ recurrent, 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

    zeros = jnp.zeros((len(x), recurrent.shape[0]), x.dtype)
    h, _ = _last(step, (zeros, zeros), x, kernel, bias)
    return _cross_entropy(h, rest, t)


def gru(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    x, t = arrays
    kernel, recurrent, biases, *rest = parameters

    def step(h: jax.Array, gates: jax.Array) -> Any:
        x_z, x_r, x_n = jnp.split(gates, 3, -1)
        h_z, h_r, h_n = jnp.split(h @ recurrent + biases[1], 3, -1)
        z, r = jax.nn.sigmoid(x_z + h_z), jax.nn.sigmoid(x_r + h_r)
        return z * h + (1 - z) * jnp.tanh(x_n + r * h_n), None

    zeros = jnp.zeros((len(x), recurrent.shape[0]), x.dtype)
    return _cross_entropy(_last(step, zeros, x, kernel, biases[0]), rest, t)


def _last(
    step: Callable[..., Any], start: Any, x: jax.Array, kernel: jax.Array, bias: jax.Array
) -> Any:
    carry, _ = jax.lax.scan(step, start, jnp.swapaxes(x, 0, 1) @ kernel + bias)
    return carry


def _cross_entropy(h: jax.Array, dense: Sequence[jax.Array], t: jax.Array) -> jax.Array:
    kernel, bias = dense
    logs = jax.nn.log_softmax(h @ kernel + bias)
    return -jnp.take_along_axis(logs, t[:, None], 1).mean()
