"""Functions of elements and activations that other ops make, against their formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import Graph, Node
from tests.ir.evaluation import value_of

INF, NAN = math.inf, math.nan
X = np.array([[-INF, -3e38, -40.0, -3.5], [-1.5, -0.0, 0.0, 0.25], [2.5, 3.5, 3e38, INF]])
# name: the function of a tensor, that of an array, its derivative where it has one
FUNCTIONS: dict[str, tuple[Callable[[Any], Node], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "clip": (
        lambda x: gc.clip(x, -2, 1.0), lambda x: np.clip(x, -2, 1), lambda x: (x >= -2) & (x <= 1)
    ),
    "nan_to_num": (gc.nan_to_num, np.nan_to_num, np.isfinite),
    "nan_to_num of given numbers": (
        lambda x: gc.nan_to_num(x, posinf=1.0, neginf=-2.0),
        lambda x: np.nan_to_num(x, posinf=1.0, neginf=-2.0), np.isfinite,
    ),
    "round": (lambda x: gc.round(x), np.round, lambda x: 0 * (x > 0)),
    "log_sigmoid": (
        gc.log_sigmoid, lambda x: -np.logaddexp(0, -x), lambda x: 1 / (1 + np.exp(x))
    ),
    "selu": (
        gc.selu,
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
        lambda x: 1.0507009873554805 * np.where(x > 0, 1, 1.6732632423543772 * np.exp(x)),
    ),
    "hard_tanh": (gc.hard_tanh, lambda x: np.clip(x, -1, 1), lambda x: np.abs(x) < 1),
    "hard_sigmoid": (
        gc.hard_sigmoid, lambda x: np.clip(x + 3, 0, 6) / 6,
        lambda x: (np.abs(x) < 3) / 6,
    ),
    "prelu": (
        lambda x: gc.prelu(x, 0.25), lambda x: np.where(x > 0, x, 0.25 * x),
        lambda x: np.where(x > 0, 1, 0.25),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives(name: str) -> None:
    function, expected, slope = FUNCTIONS[name]
    x = Graph().input("x", X.shape, "f64")
    made = function(x)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(value_of(made, x=X), expected(X), rtol=1e-15)
        found = value_of(gc.grad(gc.sum(made), x), x=X)
        np.testing.assert_allclose(found, slope(X), rtol=1e-14)


def test_compiled_values_of_several_functions() -> None:
    graph = gc.Graph()
    x = graph.input("x", X.shape, "f64")
    results = {name: function(x) for name, (function, _, _) in FUNCTIONS.items()}
    results |= {"isnan": gc.isnan(x), "isinf": gc.isinf(x), "isfinite": gc.isfinite(x)}
    values = np.where(X == 2.5, NAN, X)
    compiled = gc.function([x], results)(values)
    reference = gc.function([x], results, mode="reference")(values)
    for name, value in compiled.items():
        np.testing.assert_allclose(value, reference[name], rtol=4e-15, err_msg=name)


def test_what_is_no_number() -> None:
    x = Graph().input("x", (4,), "f64")
    n = Graph().input("n", (4,), "i32")
    values, whole = [1.0, INF, -INF, NAN], [1, 2, 3, 4]
    for name in ("isnan", "isinf", "isfinite"):
        np.testing.assert_array_equal(
            value_of(getattr(gc, name)(x), x=values), getattr(np, name)(values)
        )
        np.testing.assert_array_equal(
            value_of(getattr(gc, name)(n), n=whole), getattr(np, name)(whole)
        )
    assert gc.nan_to_num(n) is n


def test_limits_that_are_tensors_have_derivatives() -> None:
    graph = Graph()
    x, low, high = (graph.input(name, (4,), "f64") for name in ("x", "low", "high"))
    values = {"x": [-1.0, 0.5, 3.0, 0.2], "low": [0.0] * 4, "high": [1.0, 1.0, 1.0, 0.1]}
    result = gc.clip(x, low, high)
    np.testing.assert_array_equal(value_of(result, **values), [0, 0.5, 1, 0.1])
    for by, expected in ((x, [0, 1, 0, 0]), (low, [1, 0, 0, 0]), (high, [0, 0, 1, 1])):
        np.testing.assert_array_equal(value_of(gc.grad(gc.sum(result), by), **values), expected)


def test_a_learned_slope() -> None:
    """What is positive hands it nothing, be it infinite."""
    graph = Graph()
    x, weight = graph.input("x", (3, 2), "f64"), graph.input("w", (2,), "f64")
    values = {"x": [[INF, -1.0], [-2.0, 3.0], [1.0, -4.0]], "w": [0.5, 0.25]}
    slope = value_of(gc.grad(gc.sum(gc.prelu(x, weight)), weight), **values)
    np.testing.assert_array_equal(slope, [-2, -5])


def test_glu_halves_an_axis() -> None:
    graph = Graph()
    x = graph.input("x", ("batch", 4, 3), "f64")
    values = np.linspace(-2, 2, 24).reshape(2, 4, 3)
    expected = values[:, :2] / (1 + np.exp(-values[:, 2:]))
    made = gc.glu(x, axis=1)
    assert made.shape == (gc.Dim("batch"), 2, 3)
    np.testing.assert_allclose(value_of(made, x=values), expected, rtol=1e-15)
    for axis, extent in ((0, "batch"), (2, "3")):
        with pytest.raises(gc.ShapeError, match=f"^glu.*an even extent expected, not {extent}"):
            gc.glu(x, axis)


def test_rounding_says_what_digits_it_takes() -> None:
    x = Graph().input("x", (3,), "f64")
    with pytest.raises(gc.ShapeError, match=r"^round\(f64\[3\]\): an integer expected, not 0.5"):
        gc.round(x, 0.5)  # type: ignore[arg-type]
