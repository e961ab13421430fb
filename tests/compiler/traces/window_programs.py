"""Seeded random programs around a convolution in one to three dimensions, and its gradients."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

import graphc as gc
from graphc.ir.derive.autodiff import gradients
from graphc.ir.functions import build
from graphc.ir.functions.spatial import convolution, pooling
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.nodes.op import Array

# Of images along each axis, by how many there are: lines that tiles cut evenly and not.
EXTENTS = {1: (7, 12, 23), 2: (4, 5, 7, 8), 3: (3, 4)}
CHANNELS = (1, 2, 3)
FILTERS = (1, 3, 9)


def convolution_program(seed: int) -> Program:
    """A convolution with what follows it, the same for the same seed; half of them with the
    gradients by image and kernel."""
    rng = random.Random(seed)
    graph = Graph()
    dtype = rng.choice(("f32", "f64"))
    spatial = rng.choice((1, 2, 2, 2, 3))
    images, channels, filters = rng.choice((1, 2, 3)), rng.choice(CHANNELS), rng.choice(FILTERS)
    extents = tuple(rng.choice(EXTENTS[spatial]) for _ in range(spatial))
    sizes = tuple(rng.randint(1, min(3, extent)) for extent in extents)
    x = graph.input("x", (images, *extents, channels), dtype)
    kernel = graph.input("kernel", (*sizes, channels, filters), dtype)
    options: dict[str, Any] = {"padding": rng.choice(("valid", "valid", "same"))}
    if rng.random() < 0.3:
        options["strides"] = tuple(rng.randint(1, 2) for _ in sizes)
    elif rng.random() < 0.3:
        fitting = [
            1 if size == 1 else min(2, (extent - 1) // (size - 1))
            for size, extent in zip(sizes, extents, strict=True)
        ]
        options["dilation_rate"] = tuple(fitting)
    whole = convolution.conv(gc.relu(x) if rng.random() < 0.2 else x, kernel, **options)
    bias = graph.input("bias", (filters,), dtype)
    value = whole if rng.random() < 0.3 else gc.tanh(whole + bias)
    if rng.random() < 0.3 and min(value.type.dims[1:-1]) > 1:
        value = pooling.max_pool(value, 2)
    outputs = {"value": value, "sums": build.sum(value, tuple(range(spatial + 1)))}
    if rng.random() < 0.5:
        found = gradients(build.sum(value * value), [x, kernel])
        outputs |= {"d_x": found[0], "d_kernel": found[1]}
    return Program(f"conv{seed}", tuple(graph.inputs.values()), tuple(outputs.items()))


def window_values(program: Program, seed: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """Inputs by name: floats in [-1, 1]."""
    rng = np.random.default_rng(seed)

    def draw(node: Node) -> Array:
        return rng.uniform(-1, 1, node.type.dims).astype(node.dtype.numpy)

    return {node.name: draw(node) for node in program.inputs}, {}
