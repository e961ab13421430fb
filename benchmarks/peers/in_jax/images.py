"""The losses of convolutional networks in JAX, channels last as XLA's own kernels on a processor
want them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp

from benchmarks.peers.in_jax.layers import Parameters, layers
from benchmarks.peers.problem import VARIANCE_EPSILON

Sides = tuple[tuple[int, int], tuple[int, int]]
NO_PADDING: Sides = ((0, 0), (0, 0))


def lenet(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    x, t = arrays
    return _cross_entropy(pooled_twice(parameters, x, padding=0), t)


def lenet5(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    x, t = arrays
    return _cross_entropy(pooled_twice(parameters, x, padding=2), t)


def resnet8(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    x, t = arrays
    given = iter(parameters)
    around: Sides = ((1, 1), (1, 1))
    hidden = jax.nn.relu(_normalised(x, given, 1, around))
    for strides in (1, 2, 2):
        inner = jax.nn.relu(_normalised(hidden, given, strides, around))
        inner = _normalised(inner, given, 1, around)
        beside = hidden
        if strides > 1:
            beside = _conv(hidden, next(given), strides) + next(given)
        hidden = jax.nn.relu(inner + beside)
    return _cross_entropy(hidden.mean((1, 2)) @ next(given) + next(given), t)


def dscnn(parameters: Parameters, arrays: Sequence[jax.Array]) -> jax.Array:
    x, t = arrays
    *convolutions, kernel, bias = parameters
    given = iter(convolutions)
    hidden = jax.nn.relu(_normalised(x, given, 2, ((5, 5), (1, 1))))
    for _ in range((len(convolutions) - 3) // 6):
        by_channel = jnp.swapaxes(next(given), 2, 3)
        channels = by_channel.shape[3]
        hidden = _conv(hidden, by_channel, 1, ((1, 1), (1, 1)), channels)
        hidden = jax.nn.relu(_batch_norm(hidden, given))
        hidden = jax.nn.relu(_normalised(hidden, given))
    return _cross_entropy(hidden.mean((1, 2)) @ kernel + bias, t)


def pooled_twice(parameters: Parameters, x: jax.Array, padding: int = 0) -> jax.Array:
    """The scores of images."""
    first, first_bias, second, second_bias, *dense = parameters
    sides: Sides = ((padding, padding), (padding, padding))
    x = _max_pool(jax.nn.relu(_conv(x, first, padding=sides) + first_bias))
    x = _max_pool(jax.nn.relu(_conv(x, second) + second_bias))
    return layers(x.reshape(len(x), -1), dense, jax.nn.relu)


def _conv(
    x: jax.Array, kernel: jax.Array, strides: int = 1, padding: Sides = NO_PADDING, groups: int = 1
) -> jax.Array:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (strides, strides),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def _max_pool(x: jax.Array) -> jax.Array:
    window = (1, 2, 2, 1)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")


def _normalised(
    x: jax.Array, given: Iterator[jax.Array], strides: int = 1, padding: Sides = NO_PADDING
) -> jax.Array:
    """A convolution without bias by the next kernel, normalised over the batch."""
    return _batch_norm(_conv(x, next(given), strides, padding), given)


def _batch_norm(x: jax.Array, given: Iterator[jax.Array]) -> jax.Array:
    scale, shift = next(given), next(given)
    centered = x - jnp.mean(x, axis=(0, 1, 2))
    variance = jnp.mean(centered**2, axis=(0, 1, 2))
    return centered * (scale * jax.lax.rsqrt(variance + VARIANCE_EPSILON)) + shift


def _cross_entropy(logits: jax.Array, t: jax.Array) -> jax.Array:
    logs = jax.nn.log_softmax(logits)
    return -jnp.mean(jnp.take_along_axis(logs, t[:, None], axis=1))
