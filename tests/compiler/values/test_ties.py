"""Slopes at a tie, and on either side of it: those of what was written, in every form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import Node

# name: the function, its ties, and its slopes on the left, at the tie and on the right
KINKS: dict[str, tuple[Callable[[Node], Node], dict[float, tuple[float, float, float]]]] = {
    "relu": (gc.relu, {0.0: (0, 0, 1)}),
    "leaky_relu": (lambda x: gc.leaky_relu(x, 0.25), {0.0: (0.25, 0.25, 1)}),
    "prelu": (lambda x: gc.prelu(x, 0.25), {0.0: (0.25, 0.25, 1)}),
    "abs": (gc.abs, {0.0: (-1, 0, 1)}),
    "maximum": (lambda x: gc.maximum(x, 0), {0.0: (0, 0.5, 1)}),
    "maximum on the left": (lambda x: gc.maximum(0.5, x), {0.5: (0, 0.5, 1)}),
    "minimum": (lambda x: gc.minimum(x, 0), {0.0: (1, 0.5, 0)}),
    "clip": (lambda x: gc.clip(x, -0.5, 2), {-0.5: (0, 1, 1), 2.0: (1, 1, 0)}),
    "clip from 0": (lambda x: gc.clip(x, 0, 6), {0.0: (0, 1, 1), 6.0: (1, 1, 0)}),
    "clip from below": (lambda x: gc.clip(x, 0), {0.0: (0, 1, 1)}),
    "clip from above": (lambda x: gc.clip(x, None, 0), {0.0: (1, 1, 0)}),
    "relu below 6": (
        lambda x: gc.clip(gc.relu(x), None, 6), {0.0: (0, 0, 1), 6.0: (1, 1, 0)}
    ),
    "minimum of relu and 6": (
        lambda x: gc.minimum(gc.relu(x), 6), {0.0: (0, 0, 1), 6.0: (1, 0.5, 0)}
    ),
    "hard_tanh": (gc.hard_tanh, {-1.0: (0, 0, 1), 1.0: (1, 0, 0)}),
    "hard_tanh of limits": (lambda x: gc.hard_tanh(x, 0, 6), {0.0: (0, 0, 1), 6.0: (1, 0, 0)}),
    "hard_sigmoid": (gc.hard_sigmoid, {-3.0: (0, 0, 1 / 6), 3.0: (1 / 6, 0, 0)}),
    "max of two": (lambda x: gc.max(gc.stack([x, 0 * x + 1]), 0), {1.0: (0, 0.5, 1)}),
}  # fmt: skip


def _points(tie: float, dtype: Any) -> list[float]:
    """The numbers next to the tie, with it between them; of 0 with both signs."""
    at = [dtype(tie), dtype(-tie)] if tie == 0 else [dtype(tie)]
    return [np.nextafter(dtype(tie), dtype(-9)), *at, np.nextafter(dtype(tie), dtype(9))]


@pytest.mark.parametrize(
    "options", [{"mode": "reference"}, {"fuse": False}, {"fuse": True}], ids=str
)
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_slopes_at_ties(options: dict[str, Any], dtype: str) -> None:
    graph, made, given, expected = gc.Graph(), {}, [], {}
    numpy_type = np.float32 if dtype == "f32" else np.float64
    for name, (function, ties) in KINKS.items():
        for tie, (left, at, right) in ties.items():
            points = np.array(_points(tie, numpy_type))
            x = graph.input(f"x{len(given)}", points.shape, dtype)
            key = f"{name} at {tie}"
            made[key] = gc.grad(gc.sum(function(x)), x)
            expected[key] = [left, *[at] * (len(points) - 2), right]
            given.append((x, points))
    found = gc.function([x for x, _ in given], made, **options)(*(points for _, points in given))
    for key, slopes in expected.items():
        np.testing.assert_allclose(found[key], slopes, rtol=1e-6, err_msg=key)
