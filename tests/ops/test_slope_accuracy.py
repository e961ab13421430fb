"""Derivatives of mathematical functions have all their digits over the whole of their domains: at
numbers of every magnitude, where squares would overflow or vanish, and beside the ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.types import DType, f32, f64
from tests.compiler.values.test_slopes import LARGEST_ERROR_ULP, WIDE, errors_in_ulp

Exact = Callable[..., Any]
POINTS = 2048
INF = np.inf


def _beside_1(x: Any) -> Any:
    """(1 - x) (1 + x)"""
    return (1 - x) * (1 + x)


# name: function, its derivative by the first operand, and the ends of the domain
CASES: dict[str, tuple[Callable[[gc.Node], gc.Node], Exact, float, float]] = {
    "exp2": (gc.exp2, lambda x: np.log(WIDE(2)) * np.exp2(x), -INF, INF),
    "log2": (gc.log2, lambda x: 1 / (np.log(WIDE(2)) * x), 0, INF),
    "log10": (gc.log10, lambda x: 1 / (np.log(WIDE(10)) * x), 0, INF),
    "log1p": (gc.log1p, lambda x: 1 / (1 + x), -1, INF),
    "sqrt": (gc.sqrt, lambda x: 0.5 / np.sqrt(x), 0, INF),
    "square": (gc.square, lambda x: 2 * x, -INF, INF),
    "reciprocal": (gc.reciprocal, lambda x: -1 / (x * x), -INF, INF),
    "tan": (gc.tan, lambda x: 1 / np.square(np.cos(x)), -1.5, 1.5),
    "sinh": (gc.sinh, np.cosh, -INF, INF),
    "cosh": (gc.cosh, np.sinh, -INF, INF),
    "asin": (gc.asin, lambda x: 1 / np.sqrt(_beside_1(x)), -1, 1),
    "acos": (gc.acos, lambda x: -1 / np.sqrt(_beside_1(x)), -1, 1),
    "atan": (gc.atan, lambda x: 1 / (1 + x * x), -INF, INF),
    "asinh": (gc.asinh, lambda x: 1 / np.hypot(x, 1), -INF, INF),
    "acosh": (gc.acosh, lambda x: 1 / (np.sqrt(x - 1) * np.sqrt(x + 1)), 1, INF),
    "atanh": (gc.atanh, lambda x: 1 / _beside_1(x), -1, 1),
    "softsign": (gc.softsign, lambda x: 1 / np.square(1 + np.abs(x)), -INF, INF),
    "erf": (gc.erf, lambda x: 2 / np.sqrt(WIDE(np.pi)) * np.exp(-x * x), -INF, INF),
    "erfc": (gc.erfc, lambda x: -2 / np.sqrt(WIDE(np.pi)) * np.exp(-x * x), -INF, INF),
}
# name: function of two operands, derivatives by both
BINARY: dict[str, tuple[Callable[[gc.Node, gc.Node], gc.Node], Exact, Exact]] = {
    "hypot": (gc.hypot, lambda x, y: x / np.hypot(x, y), lambda x, y: y / np.hypot(x, y)),
    "atan2": (
        gc.atan2,
        lambda x, y: y / (x * x + y * y),
        lambda x, y: -x / (x * x + y * y),
    ),
    "divide": (gc.divide, lambda x, y: 1 / y, lambda x, y: -x / (y * y)),
}


def _magnitudes(dtype: DType, rng: np.random.Generator) -> Any:
    """Numbers of both signs, from the least normal one to the greatest, in WIDE."""
    info = np.finfo(dtype.numpy)
    exponents = rng.uniform(info.minexp + 1, info.maxexp - 1, POINTS)
    return np.exp2(exponents) * rng.choice([-1, 1], POINTS)


def _points(dtype: DType, low: float, high: float) -> Any:
    """Of every magnitude within a domain, and as near to its ends as numbers stand."""
    rng = np.random.default_rng(7)
    parts = [_magnitudes(dtype, rng), rng.uniform(-4, 4, POINTS)]
    for end, inwards in ((low, 1), (high, -1)):
        if np.isfinite(end):
            parts.append(end + inwards * np.exp2(-rng.uniform(0, 20, POINTS)))
    points = np.concatenate(parts).astype(dtype.numpy)
    return points[(points > low) & (points < high)]


@pytest.mark.skipif(
    np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant, reason="needs a wider reference"
)
@pytest.mark.parametrize("mode", ["reference", pytest.param("compiled", marks=pytest.mark.long)])
@pytest.mark.parametrize("dtype", [f32, f64], ids=str)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_derivatives_within_4_ulp_everywhere(dtype: DType, mode: Any) -> None:
    graph = gc.Graph()
    inputs, given, outputs, exact = [], [], {}, {}
    for name, (function, slope, low, high) in CASES.items():
        points = _points(dtype, low, high)
        x = graph.input(name, points.shape, dtype)
        outputs[name] = gc.grad(gc.sum(function(x)), x)
        exact[name] = slope(points.astype(WIDE))
        inputs.append(x)
        given.append(points)
    rng = np.random.default_rng(8)
    for name, (two, *slopes) in BINARY.items():
        first = _magnitudes(dtype, rng)
        # Of the same magnitude, where both count; and of any other.
        second = np.where(rng.random(POINTS) < 0.5, first * rng.uniform(-2, 2, POINTS), first[::-1])
        arrays = [part.astype(dtype.numpy) for part in (first, second)]
        nodes = [graph.input(f"{name}{k}", (POINTS,), dtype) for k in range(2)]
        for k, slope in enumerate(slopes):
            outputs[f"{name} by {k}"] = gc.grad(gc.sum(two(*nodes)), nodes[k])
            exact[f"{name} by {k}"] = slope(*(array.astype(WIDE) for array in arrays))
        inputs += nodes
        given += arrays
    results = gc.function(inputs, outputs, mode=mode)(*given)
    worst = {name: float(errors_in_ulp(results[name], exact[name]).max()) for name in outputs}
    assert {name: error for name, error in worst.items() if not error <= LARGEST_ERROR_ULP} == {}
