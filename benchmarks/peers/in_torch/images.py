"""The losses of convolutional networks in torch: images [batch, channels, height, width], kernels
[filters, channels, height, width], in whichever order of memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.peers.in_torch.layers import Layer, layers
from benchmarks.peers.problem import VARIANCE_EPSILON


def lenet(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    x, t = arrays
    return functional.cross_entropy(pooled_twice(parameters, layer, x, padding=0), t)


def lenet5(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    x, t = arrays
    return functional.cross_entropy(pooled_twice(parameters, layer, x, padding=2), t)


def resnet8(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    x, t = arrays
    given = iter(parameters)
    hidden = torch.relu(_normalised(x, given, padding=1))
    for strides in (1, 2, 2):
        inner = torch.relu(_normalised(hidden, given, strides, padding=1))
        inner = _normalised(inner, given, padding=1)
        beside = hidden
        if strides > 1:
            beside = functional.conv2d(hidden, next(given), next(given), strides)
        hidden = torch.relu(inner + beside)
    return functional.cross_entropy(layer(hidden.mean((2, 3)), next(given), next(given)), t)


def dscnn(parameters: Sequence[Tensor], layer: Layer, arrays: Sequence[Tensor]) -> Tensor:
    x, t = arrays
    *convolutions, kernel, bias = parameters
    given = iter(convolutions)
    hidden = torch.relu(_normalised(x, given, 2, padding=(5, 1)))
    for _ in range((len(convolutions) - 3) // 6):
        by_channel = next(given)
        channels = by_channel.shape[1]
        # One kernel [1, channels, height, width] is that of each channel by itself.
        hidden = functional.conv2d(hidden, by_channel.transpose(0, 1), padding=1, groups=channels)
        hidden = torch.relu(_batch_norm(hidden, given))
        hidden = torch.relu(_normalised(hidden, given))
    return functional.cross_entropy(layer(hidden.mean((2, 3)), kernel, bias), t)


def pooled_twice(parameters: Sequence[Tensor], layer: Layer, x: Tensor, padding: int = 0) -> Tensor:
    """The scores of images."""
    first, first_bias, second, second_bias, *dense = parameters
    x = functional.relu(functional.conv2d(x, first, first_bias, padding=padding))
    x = functional.max_pool2d(x, 2)
    x = functional.max_pool2d(functional.relu(functional.conv2d(x, second, second_bias)), 2)
    flat = x.permute(0, 2, 3, 1).flatten(1)
    return layers(flat, dense, layer, torch.relu)


def _normalised(
    x: Tensor, given: Iterator[Tensor], strides: int = 1, padding: int | tuple[int, int] = 0
) -> Tensor:
    """A convolution without bias by the next kernel, normalised over the batch."""
    return _batch_norm(functional.conv2d(x, next(given), None, strides, padding), given)


def _batch_norm(x: Tensor, given: Iterator[Tensor]) -> Tensor:
    scale, shift = next(given), next(given)
    return functional.batch_norm(x, None, None, scale, shift, training=True, eps=VARIANCE_EPSILON)
