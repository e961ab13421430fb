"""What the losses in JAX have in common: layers of a kernel and a bias."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax

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
