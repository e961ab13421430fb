"""Losses with attention in JAX, by its own function for it."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from benchmarks.peers.in_jax.layers import Parameters
from benchmarks.peers.problem import GPT_HEADS, GPT_LAYERS, LAYER_NORM_EPSILON


def attention(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    # [batch, tokens, heads, features], as jax.nn has it.
    q, k, v = (jnp.swapaxes(each, 0, 1)[None] for each in parameters)
    mixed = jax.nn.dot_product_attention(q, k, v, is_causal=True)[0]
    return jnp.mean((jnp.swapaxes(mixed, 0, 1) - arrays[0]) ** 2)


def gpt(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    tokens, targets = arrays
    rest = iter(parameters)
    x = next(rest)[tokens] + next(rest)
    batch, length, width = x.shape
    x = x.reshape(-1, width)

    def norm(x: jax.Array) -> jax.Array:
        centred = x - jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.mean(centred**2, axis=-1, keepdims=True)
        return centred * jax.lax.rsqrt(variance + LAYER_NORM_EPSILON) * next(rest) + next(rest)

    def dense(x: jax.Array) -> jax.Array:
        return x @ next(rest) + next(rest)

    def heads(x: jax.Array) -> jax.Array:
        return x.reshape(batch, length, GPT_HEADS, -1)

    for _ in range(GPT_LAYERS):
        normed = norm(x)
        q, k, v = (heads(dense(normed)) for _ in range(3))
        mixed = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        x = x + dense(mixed.reshape(-1, width))
        x = x + dense(jax.nn.gelu(dense(norm(x)), approximate=False))
    logs = jax.nn.log_softmax(dense(norm(x)))
    return -jnp.mean(jnp.take_along_axis(logs, targets.reshape(-1, 1), axis=1))
