"""Rules with constants at the edges of the dtypes, against the program as it was written.

Constants are subnormal, powers of two at both ends, infinite, NaN and both zeros; operands are
scalars, rows, columns and full. That what the rules make compiles at all is part of the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import Program
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.reference import evaluate
from graphc.ir.rewriting.simplify import simplify

SHAPES: dict[str, tuple[int, ...]] = {
    "scalar": (), "row": (1, 6), "column": (4, 1), "full": (4, 6),
}  # fmt: skip

# What holds a constant c beside x, such that some rule of arithmetic looks at it.
EXACT: dict[str, Callable[[Any, Any], gc.Node]] = {
    "x + c": lambda x, c: x + c,
    "x - c": lambda x, c: x - c,
    "c - x": lambda x, c: c - x,
    "x * c": lambda x, c: x * c,
    "x / c": lambda x, c: x / c,
    "c / x": lambda x, c: c / x,
    "-(c * x)": lambda x, c: -(c * x),
    "(-x) * c": lambda x, c: (-x) * c,
    "c / (-x)": lambda x, c: c / (-x),
    "c * (c * x)": lambda x, c: c * (c * x),
    "(x / c) / c": lambda x, c: (x / c) / c,
    "x + (-(c * x))": lambda x, c: x + (-(c * x)),
    "square of c * x": lambda x, c: gc.square(-(c * x)),
    "where": lambda x, c: ops.where(x > c, x, c),
    "where not": lambda x, c: ops.where(ops.logical_not(x > c), c, -x),
    "max": lambda x, c: ops.maximum(ops.maximum(x, c), ops.maximum(x, c)),
    "sum of c": lambda x, c: x * gc.sum(gc.broadcast_to(c, (4, 6))),
    "mean of c * x": lambda x, c: (c * x) / 4,
}
# Of each kind of rule one, since a compilation takes its time.
COMPILED = ("x / c", "c / x", "-(c * x)", "where not", "sum of c")
# Here a rule may give the more accurate value.
CLOSE: dict[str, Callable[[Any, Any], gc.Node]] = {
    "x ** c": ops.power,
    "exp(x) - c": lambda x, c: gc.exp(x) - c,
    "log(c + x)": lambda x, c: gc.log(c + x),
    "log(c - x)": lambda x, c: gc.log(c - x),
    "c / (c + exp(-x))": lambda x, c: c / (c + gc.exp(-x)),
}


def constants(dtype: str) -> list[float]:
    info = np.finfo(dtype.replace("f", "float"))
    least, most = float(info.smallest_subnormal), 2.0 ** (info.maxexp - 1)
    tiny = float(info.tiny)
    return [
        least, -3 * least, tiny / 4, tiny / 2, tiny, -tiny, most / 2, most, -most,
        np.inf, -np.inf, np.nan, 0.0, -0.0, 1.0, -1.0, 2.0, -0.5,
    ]  # fmt: skip


def written(x: gc.Node, shape: tuple[int, ...], patterns: Any) -> Iterator[tuple[str, gc.Node]]:
    for name, write in patterns.items():
        for number, value in enumerate(constants(str(x.dtype))):
            c = x.graph.constant(np.full(shape, value), x.dtype)
            yield f"{name}, {number}", write(x, c)


def operand(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Special and ordinary values, as many as there is room for."""
    values = [0.75, -0.0, np.inf, np.nan, -3.0, 0.0, *constants(dtype), 7.25, -1e-5, 88.0, -20.0]
    return np.resize(values, shape).astype(dtype.replace("f", "float"))


def assert_same(found: np.ndarray, expected: np.ndarray, name: str) -> None:
    np.testing.assert_array_equal(found, expected, name)
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[known]), np.signbit(expected[known]), name)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("constant", SHAPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_rules_of_arithmetic_keep_the_bits(shape: str, constant: str, dtype: str) -> None:
    graph = gc.Graph()
    x = graph.input("x", SHAPES[shape], dtype)
    outputs = tuple(written(x, SHAPES[constant], EXACT))
    after = simplify(Program("edges", (x,), outputs))
    given = {x: operand(SHAPES[shape], dtype)}
    expected = evaluate([node for _, node in outputs], given)
    found = evaluate(after.roots, given)
    for (name, before), root in zip(outputs, after.roots, strict=True):
        assert root.type == before.type
        assert_same(found[root], expected[before], name)


@pytest.mark.parametrize(
    ("shape", "constant", "dtype"), [("full", "scalar", "f32"), ("row", "column", "f64")]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_the_rules_make_compiles_and_gives_the_same(
    shape: str, constant: str, dtype: str
) -> None:
    graph = gc.Graph()
    x = graph.input("x", SHAPES[shape], dtype)
    outputs = dict(written(x, SHAPES[constant], {name: EXACT[name] for name in COMPILED}))
    value = operand(SHAPES[shape], dtype)
    expected = evaluate(outputs.values(), {x: value})
    for name, result in gc.function([x], outputs)(value).items():
        assert_same(result, expected[outputs[name]], name)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_stable_forms_are_right_where_what_was_written_is(dtype: str) -> None:
    graph = gc.Graph()
    x = graph.input("x", SHAPES["full"], dtype)
    outputs = tuple(written(x, (), CLOSE))
    after = simplify(Program("edges", (x,), outputs))
    value = np.resize([0.75, -3.0, 7.25, 20.0, -20.0, 0.5], SHAPES["full"])
    value = value.astype(dtype.replace("f", "float"))
    expected = evaluate([node for _, node in outputs], {x: value})
    found = evaluate(after.roots, {x: value})
    rounding = 16 * np.finfo(value.dtype).eps
    for (name, before), root in zip(outputs, after.roots, strict=True):
        cancelled = rounding if name.startswith(("exp", "log")) else 0
        np.testing.assert_allclose(found[root], expected[before], rounding, cancelled, err_msg=name)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_the_slope_of_a_loss_of_large_soft_labels_is_finite(dtype: str) -> None:
    """A quarter of each is summed, not all of them."""
    graph = gc.Graph()
    x, t = (graph.input(name, (4, 3), dtype) for name in "xt")
    loss = gc.losses.softmax_cross_entropy(x, t)
    scores = np.array([[0.0, 1.0, 2.0]] * 4)
    largest = np.finfo(dtype.replace("f", "float")).max
    labels = np.array([[0.75, 0.75, 0.0]] * 4) * float(largest)
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    expected = probabilities * (float(largest) * 0.375) - labels / 4
    for mode in ("reference", "compiled"):
        (slope,) = gc.grad(loss, [x])
        found = gc.function([x, t], slope, mode=mode)(
            scores.astype(slope.dtype.numpy), labels.astype(slope.dtype.numpy)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=mode)
