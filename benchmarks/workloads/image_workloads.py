"""Training steps of small convolutional networks, trained as their users train them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import graphc as gc
from benchmarks.peers.problem import Problem
from benchmarks.workloads.workload import (
    ADAM_RATE,
    DATA_SEED,
    Array,
    Optimizer,
    Workload,
    product_flops,
)

LENET_RATE, LENET_BATCH, LENET5_BATCH = 0.05, 64, 128
DIGIT_PIXELS, DIGITS = (28, 28, 1), 10
RESNET_RATE, MOMENTUM, RESNET_BATCH = 0.01, 0.9, 32
PICTURE_PIXELS, PICTURE_CLASSES = (32, 32, 3), 10
# By larger steps the loss falls so fast that rounding shows in what is left of it.
SPEECH_RATE, SPEECH_BATCH = 1e-4, 64
SPEECH_FEATURES, SPEECH_FILTERS, SPEECH_BLOCKS, KEYWORDS = (49, 10, 1), 64, 4, 12


def lenet() -> Workload:
    """Two convolutions of 3 x 3, each with its pooling, and two dense layers."""
    return _lenet(LENET_BATCH)[0]


def lenet_prediction() -> tuple[gc.Node, gc.Node, Problem]:
    """One image [1, height, width, channels], the scores of its classes that lenet gives, and the
    same for a peer."""
    work, logits = _lenet(1)
    problem = work.problem()
    return work.inputs[0], logits, replace(problem, arrays=problem.arrays[:1])


def _lenet(batch: int) -> tuple[Workload, gc.Node]:
    """The workload, and the scores that its loss is made of."""
    x, t, arrays = _images(batch, DIGIT_PIXELS, DIGITS)
    flops = _Flops(batch)
    hidden = gc.max_pool(flops.conv(x, 16, 3, activation="relu"), 2)
    hidden = gc.max_pool(flops.conv(hidden, 32, 3, activation="relu"), 2)
    logits = flops.dense(gc.nn.flatten(hidden), (128, DIGITS))
    optimizer = gc.optim.SGD(LENET_RATE)
    return _classifier("lenet", x, t, logits, optimizer, arrays, flops), logits


def lenet5() -> Workload:
    """LeCun's network of 1998 with relu and the greatest of windows."""
    x, t, arrays = _images(LENET5_BATCH, DIGIT_PIXELS, DIGITS)
    flops = _Flops(LENET5_BATCH)
    hidden = gc.max_pool(flops.conv(x, 6, 5, padding=2, activation="relu"), 2)
    hidden = gc.max_pool(flops.conv(hidden, 16, 5, activation="relu"), 2)
    logits = flops.dense(gc.nn.flatten(hidden), (120, 84, DIGITS))
    return _classifier("lenet5", x, t, logits, gc.optim.Adam(ADAM_RATE), arrays, flops)


def resnet8() -> Workload:
    """The residual network of MLPerf Tiny: three blocks of 16, 32 and 64 channels."""
    x, t, arrays = _images(RESNET_BATCH, PICTURE_PIXELS, PICTURE_CLASSES)
    flops = _Flops(RESNET_BATCH)
    hidden = gc.relu(flops.normalised(x, 16, 3))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        inner = gc.relu(flops.normalised(hidden, filters, 3, strides))
        inner = flops.normalised(inner, filters, 3)
        beside = hidden
        if strides > 1:
            beside = flops.conv(hidden, filters, 1, strides=strides)
        hidden = gc.relu(inner + beside)
    logits = flops.dense(gc.mean(hidden, (1, 2)), (PICTURE_CLASSES,))
    optimizer = gc.optim.SGD(RESNET_RATE, momentum=MOMENTUM)
    return _classifier("resnet8", x, t, logits, optimizer, arrays, flops)


def dscnn() -> Workload:
    """The keyword network of MLPerf Tiny: channels by themselves, then mixed, four times."""
    x, t, arrays = _images(SPEECH_BATCH, SPEECH_FEATURES, KEYWORDS)
    flops = _Flops(SPEECH_BATCH)
    hidden = gc.relu(flops.normalised(x, SPEECH_FILTERS, (10, 4), 2, padding=(5, 1)))
    for _ in range(SPEECH_BLOCKS):
        hidden = gc.nn.DepthwiseConv2D(3, padding="same", use_bias=False)(hidden)
        hidden = gc.relu(gc.nn.batch_norm(hidden))
        hidden = gc.relu(flops.normalised(hidden, SPEECH_FILTERS, 1))
    logits = flops.dense(gc.mean(hidden, (1, 2)), (KEYWORDS,))
    return _classifier("dscnn", x, t, logits, gc.optim.Adam(SPEECH_RATE), arrays, flops)


IMAGE_WORKLOADS: Mapping[str, Callable[[], Workload]] = {
    make.__name__: make for make in (lenet, lenet5, resnet8, dscnn)
}


class _Flops:
    """Layers, and what their products take in a step of training: forward, by the weights, and by
    the input but of the first. Depthwise convolutions, which are no products, are left out."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.total = 0

    def conv(
        self, x: gc.Node, filters: int, size: Any, activation: str | None = None, **options: Any
    ) -> gc.Node:
        """A convolution with bias."""
        result = gc.nn.Conv2D(filters, size, activation=activation, **options)(x)
        window = (size, size) if isinstance(size, int) else size
        products = 3 if self.total else 2
        terms = math.prod(window) * int(x.shape[-1])  # type: ignore[arg-type]
        self.total += products * 2 * math.prod(result.type.dims) * terms
        return result

    def normalised(
        self, x: gc.Node, filters: int, size: Any, strides: int = 1, padding: Any = None
    ) -> gc.Node:
        """A convolution without bias whose results are normalised over the batch."""
        if padding is None:
            padding = size // 2
        result = self.conv(x, filters, size, strides=strides, padding=padding, use_bias=False)
        return gc.nn.batch_norm(result)

    def dense(self, x: gc.Node, units: Sequence[int]) -> gc.Node:
        """Dense layers, relu between them."""
        sizes = (int(x.shape[-1]), *units)  # type: ignore[arg-type]
        self.total += product_flops(sizes, self.batch)
        self.total += 2 * self.batch * sizes[0] * sizes[1]
        for width in units[:-1]:
            x = gc.nn.dense(x, width, gc.relu)
        return gc.nn.dense(x, units[-1])


def _images(
    batch: int, pixels: tuple[int, ...], classes: int
) -> tuple[gc.Node, gc.Node, tuple[Array, Array]]:
    """Inputs of images and their classes, and arrays for them."""
    graph = gc.Graph(seed=1)
    x, t = graph.input("x", (batch, *pixels)), graph.input("t", (batch,), "i32")
    random = np.random.default_rng(DATA_SEED)
    images = random.standard_normal((batch, *pixels)).astype(np.float32)
    return x, t, (images, random.integers(0, classes, batch).astype(np.int32))


def _classifier(
    name: str,
    x: gc.Node,
    t: gc.Node,
    logits: gc.Node,
    optimizer: Optimizer,
    arrays: tuple[Array, ...],
    flops: _Flops,
) -> Workload:
    """Its loss has the name of the workload with the peers too."""
    loss = gc.losses.softmax_cross_entropy(logits, t)
    return Workload(name, (x, t), loss, optimizer, arrays, name, flops.total)
