"""The recurrent losses of `benchmarks.peers.problem` in torch, by its own fused layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.peers.in_torch.layers import Layer


def lstm(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    x, t = arrays
    kernel, recurrent, bias, *rest = parameters
    weights = [_rows(kernel, layer), _rows(recurrent, layer), bias, torch.zeros_like(bias)]
    start = x.new_zeros(1, len(x), len(bias) // 4)
    _, last, _ = torch.lstm(x, (start, start), weights, True, 1, 0.0, True, False, True)
    return functional.cross_entropy(layer(last[0], *rest), t)


def gru(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    """torch's gates are in the order r, z, n, graphc's z, r, n."""
    x, t = arrays
    kernel, recurrent, biases, *rest = parameters
    biases = _rows(biases, layer).t()
    weights = [_resets_first(_rows(kernel, layer)), _resets_first(_rows(recurrent, layer))]
    weights += [_resets_first(bias) for bias in biases]
    start = x.new_zeros(1, len(x), biases.shape[1] // 3)
    _, last = torch.gru(x, start, weights, True, 1, 0.0, True, False, True)
    return functional.cross_entropy(layer(last[0], *rest), t)


def _rows(kernel: Tensor, layer: Layer) -> Tensor:
    """[columns, rows], as which kernels are stored where layers are `linear`."""
    return kernel if layer is functional.linear else kernel.t()


def _resets_first(rows: Tensor) -> Tensor:
    update, reset, new = rows.chunk(3)
    return torch.cat([reset, update, new])
