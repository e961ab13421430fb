"""Losses with attention in torch, by its own fused attention."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from benchmarks.peers.in_torch.layers import Layer
from benchmarks.peers.problem import GPT_HEADS, GPT_LAYERS, LAYER_NORM_EPSILON


def attention(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    # With a batch axis, without which torch does not fuse.
    q, k, v = (each[None] for each in parameters)
    mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    return functional.mse_loss(mixed[0], arrays[0])


def gpt(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    tokens, targets = arrays
    rest = iter(parameters)
    x = functional.embedding(tokens, next(rest)) + next(rest)
    batch, length, width = x.shape
    x = x.reshape(-1, width)

    def norm(x: Tensor) -> Tensor:
        return functional.layer_norm(x, (width,), next(rest), next(rest), LAYER_NORM_EPSILON)

    def dense(x: Tensor) -> Tensor:
        return layer(x, next(rest), next(rest))

    def heads(x: Tensor) -> Tensor:
        return x.view(batch, length, GPT_HEADS, -1).transpose(1, 2)

    for _ in range(GPT_LAYERS):
        normed = norm(x)
        q, k, v = (heads(dense(normed)) for _ in range(3))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + dense(mixed.transpose(1, 2).reshape(-1, width))
        x = x + dense(functional.gelu(dense(norm(x))))
    return functional.cross_entropy(dense(norm(x)), targets.reshape(-1))
