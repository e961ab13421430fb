"""Zeros keep the sign that IEEE 754 gives them: in the reference and in kernels, fused or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir import build
from graphc.ir.ops import elementwise as ops
from graphc.ir.types import DType, f32, f64

ZEROS = [[0.0, -0.0, 0.0], [-0.0, 0.0, -0.0], [-0.0, -0.0, -0.0], [-0.0, -1.0, -2.0]] * 5
SIGNS = [[0.0, 0.0, -0.0], [-0.0, -0.0, -0.0], [0.0, 0.0, 0.0], [1.0, -0.0, 0.0]] * 5
Build = Callable[[gc.Node, gc.Node], gc.Node]


def _negative(x: Any, y: Any) -> Any:
    return np.signbit(x) & np.signbit(y)


# name: the value of two tensors of zeros, where its zeros are negative (None: where they may be)
CASES: dict[str, tuple[Build, Callable[[Any, Any], Any] | None]] = {
    "add": (lambda x, y: x + y, _negative),
    "subtract": (lambda x, y: x - y, lambda x, y: np.signbit(x) & ~np.signbit(y)),
    "multiply": (lambda x, y: x * y, lambda x, y: np.signbit(x) ^ np.signbit(y)),
    "negate": (lambda x, y: -x, lambda x, y: ~np.signbit(x)),
    "maximum": (ops.maximum, _negative),
    "minimum": (ops.minimum, lambda x, y: np.signbit(x) | np.signbit(y)),
    "relu": (lambda x, y: ops.relu(x), lambda x, y: np.zeros_like(x, bool)),
    "relu by hand": (lambda x, y: ops.maximum(x, 0.0), lambda x, y: np.zeros_like(x, bool)),
    "leaky_relu": (lambda x, y: build.leaky_relu(x, 0.1), lambda x, y: np.signbit(x)),
    "abs": (lambda x, y: abs(x), lambda x, y: np.zeros_like(x, bool)),
    "sign": (lambda x, y: ops.sign(x), lambda x, y: x < 0),
    "weigh": (ops.weigh, None),
    "sqrt": (lambda x, y: ops.sqrt(x), None),
    "tanh": (lambda x, y: ops.tanh(x), lambda x, y: np.signbit(x)),
    "sin": (lambda x, y: ops.sin(x), lambda x, y: np.signbit(x)),
    "expm1": (lambda x, y: ops.expm1(x), lambda x, y: np.signbit(x)),
    "log1p": (lambda x, y: ops.log1p(x), None),
    "elu": (lambda x, y: build.elu(x), lambda x, y: np.signbit(x)),
    "where": (lambda x, y: ops.where(y > 0, y, x), None),
    "reversed": (lambda x, y: x[:, ::-1] * 1.0, lambda x, y: np.signbit(x[:, ::-1])),
    "concatenate": (
        lambda x, y: build.concatenate([x, y]), lambda x, y: np.signbit(np.concatenate([x, y])),
    ),
    "take": (lambda x, y: build.take(x, [1, 0, 2], 1), lambda x, y: np.signbit(x[:, [1, 0, 2]])),
    "pick": (lambda x, y: build.pick(x, [0, 1, 2, 0] * 5), lambda x, y: np.signbit(
        x[np.arange(20), [0, 1, 2, 0] * 5])),
    "gather": (lambda x, y: build.gather(x, [0, 1, 2], 0), lambda x, y: np.signbit(
        x[[0, 1, 2], [0, 1, 2]])),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [f32, f64], ids=str)
def test_zeros_have_one_sign_everywhere(dtype: DType) -> None:
    graph = gc.Graph()
    x, y = graph.input("x", (20, 3), dtype), graph.input("y", (20, 3), dtype)
    outputs = {name: function(x, y) for name, (function, _) in CASES.items()}
    given = np.array(ZEROS, dtype.numpy), np.array(SIGNS, dtype.numpy)
    options: tuple[dict[str, Any], ...] = ({"mode": "reference"}, {"fuse": False}, {})
    first, *others = (gc.function([x, y], outputs, **each)(*given) for each in options)
    for name, (_, wanted) in CASES.items():
        zero = first[name] == 0
        if wanted is not None:
            expected = wanted(*given)
            np.testing.assert_array_equal(np.signbit(first[name])[zero], expected[zero], name)
        for other in others:
            np.testing.assert_array_equal(
                np.signbit(other[name])[zero], np.signbit(first[name])[zero], name
            )
