"""Loops that rules change, and those that are almost such: values are those of the loop as it was.

Extents are equal, so that a product or a sum of the wrong axes has the right shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc.ir.derive.autodiff import gradients
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.ops.elementwise.elementwise import tanh
from graphc.ir.programs.loops import scan
from graphc.ir.reference import run_program
from graphc.ir.rewriting.loops.rules import simplify_loops

SIZE, STEPS = 3, 4
SHAPE = (SIZE, SIZE)


class Given:
    """Inputs of a program: carries and weights c, d, w [3, 3], slices xs, ys [4, 3, 3]."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.c, self.d, self.w = (self.graph.input(name, SHAPE, "f64") for name in "cdw")
        self.xs, self.ys = (self.graph.input(n, (STEPS, *SHAPE), "f64") for n in ("xs", "ys"))


def assert_same_values(graph: Graph, outputs: list[Node]) -> None:
    named = tuple((f"output{k}", value) for k, value in enumerate(outputs))
    program = Program("loops", tuple(graph.inputs.values()), named)
    rng = np.random.default_rng(0)
    values = {x.name: rng.normal(size=x.type.dims) for x in program.inputs}
    expected, _ = run_program(program, values, {})
    found, _ = run_program(simplify_loops(program), values, {})
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-11, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("transpose_x", [False, True])
@pytest.mark.parametrize("transpose_y", [False, True])
@pytest.mark.parametrize("fixed", [0, 1], ids=["w x", "x w"])
@pytest.mark.parametrize("reverse", [False, True])
def test_products_with_a_weight(
    transpose_x: bool, transpose_y: bool, fixed: int, reverse: bool
) -> None:
    """Of a slice, of a carry and of what is stacked alone."""
    given = Given()

    def product(x: Node) -> Node:
        pair = (x, given.w) if fixed else (given.w, x)
        return build.matmul(*pair, transpose_x=transpose_x, transpose_y=transpose_y)

    def step(carries: Any, slices: Any) -> Any:
        (h,), (x,) = carries, slices
        after = tanh(product(x) + 0.5 * product(h))
        return [after], [product(after), product(x), after]

    last, stacked = scan(step, [given.c], [given.xs], STEPS, reverse=reverse)
    assert_same_values(given.graph, [*last, *stacked])


@pytest.mark.parametrize("is_fixed", [False, True])
def test_products_of_batches(is_fixed: bool) -> None:
    """A weight of three axes has a matrix for each row of a batch."""
    given = Given()

    def step(carries: Any, slices: Any) -> Any:
        (h,), (x,) = carries, slices
        weight = given.ys[:SIZE] if is_fixed else build.expand_dims(given.w, 0)
        made = build.matmul(build.expand_dims(x, 1), weight)
        return [h + build.reshape(made, SHAPE)], [made]

    last, stacked = scan(step, [given.c], [given.xs], STEPS)
    assert_same_values(given.graph, [*last, *stacked])


TERMS: dict[str, Callable[[Node, Node], Node]] = {
    "x^T y": lambda x, y: build.matmul(x, y, transpose_x=True),
    "x^T y^T": lambda x, y: build.matmul(x, y, transpose_x=True, transpose_y=True),
    "x y": lambda x, y: build.matmul(x, y),
    "x^T x": lambda x, y: build.matmul(x, x, transpose_x=True),
    "rows": lambda x, y: build.sum(x * y, 0),
    "rows, kept": lambda x, y: build.sum(x * y, 0, True),
    "columns": lambda x, y: build.sum(x * y, 1),
    "all": lambda x, y: build.sum(x * y),
    "x": lambda x, y: x,
}
# What else of the sum a step hands on, or another carry reads.
READING: dict[str, Callable[[Node, Node, Node, Node], tuple[Node, list[Node]]]] = {
    "nothing": lambda total, after, other, x: (tanh(other + x), [x]),
    "before": lambda total, after, other, x: (tanh(other + x), [total, x]),
    "after": lambda total, after, other, x: (tanh(other + x), [after]),
    "by another": lambda total, after, other, x: (other + build.sum(total), [other]),
}


@pytest.mark.parametrize("starts_at_zero", [True, False])
@pytest.mark.parametrize("reading", READING)
@pytest.mark.parametrize("term", TERMS)
def test_sums_over_steps(term: str, reading: str, starts_at_zero: bool) -> None:
    given = Given()
    start = TERMS[term](given.c, given.d)
    if starts_at_zero:
        start = build.broadcast_to(given.graph.constant(0, "f64"), start.shape)

    def step(carries: Any, slices: Any) -> Any:
        (total, other), (x, y) = carries, slices
        after = total + TERMS[term](x, y)
        further, stacked = READING[reading](total, after, other, x)
        return [after, further], stacked

    last, stacked = scan(step, [start, given.d], [given.xs, given.ys], STEPS)
    assert_same_values(given.graph, [*last, *stacked])


def test_a_sum_is_the_only_carry() -> None:
    given = Given()
    last, _ = scan(
        lambda carries, slices: ([carries[0] + build.matmul(*slices, transpose_x=True)], []),
        [given.c], [given.xs, given.ys], STEPS,
    )  # fmt: skip
    assert_same_values(given.graph, list(last))


def _steps(number: int) -> Callable[[Any, Any], Any]:
    """Two bodies that differ in their next carry, and a third that stacks a value twice."""

    def step(carries: Any, slices: Any) -> Any:
        (h,), (x,) = carries, slices
        after = tanh(h - x if number == 1 else h + x)
        return [after], [[after, after * x], [after * 2, x], [after, after, x]][number]

    return step


DIFFERING = {
    "what they stack": ({"number": 0}, {"number": 2}),
    "a value that is stacked twice": ({"number": 2}, {"number": 0}),
    "their next carries": ({"number": 0}, {"number": 1}),
    "their direction": ({}, {"reverse": True}),
    "their slices": ({}, {"slices": "ys"}),
    "their carries": ({}, {"carry": "d"}),
}


@pytest.mark.parametrize("differing", DIFFERING)
def test_two_loops_that_differ(differing: str) -> None:
    given = Given()
    outputs: list[Node] = []
    for chosen in DIFFERING[differing]:
        words: dict[str, Any] = {"number": 0, "slices": "xs", "carry": "c", "reverse": False}
        words |= chosen
        last, stacked = scan(
            _steps(words["number"]), [getattr(given, words["carry"])],
            [getattr(given, words["slices"])], STEPS, reverse=words["reverse"],
        )  # fmt: skip
        outputs += [*last, *stacked]
    assert_same_values(given.graph, outputs)


def test_two_loops_of_other_lengths() -> None:
    given = Given()
    loops = [scan(lambda c, _: ([tanh(c[0]) * 2], []), [given.c], [], n) for n in (2, 3, 0, 1)]
    assert_same_values(given.graph, [last[0] for last, _ in loops])


@pytest.mark.parametrize("read", [0, 1, 2])
def test_carries_that_others_need(read: int) -> None:
    """Each next carry reads another one; a fourth is read by itself alone."""
    given = Given()

    def step(carries: Any, slices: Any) -> Any:
        a, b, c, alone = carries
        return [tanh(b), c + slices[0], a * 0.5 + c, alone * 2 + a], [alone]

    start = [given.c, given.d, given.w, given.c]
    last, _ = scan(step, start, [given.xs], STEPS)
    assert_same_values(given.graph, [last[read]])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_by_everything(reverse: bool, recompute: bool) -> None:
    """Both loops of a derivative, in either direction, where steps read one value twice."""
    given = Given()

    def step(carries: Any, slices: Any) -> Any:
        (h, total), (x, y) = carries, slices
        after = tanh(x @ given.w + h @ given.w)
        return [after, total + after * y], [after * x]

    last, stacked = scan(
        step, [given.c, given.d], [given.xs, given.ys], STEPS, reverse=reverse, recompute=recompute
    )
    loss = build.sum(last[1] * last[0]) + build.sum(stacked[0] * stacked[0])
    wrt = [given.c, given.d, given.w, given.xs, given.ys]
    assert_same_values(given.graph, [loss, *gradients(loss, wrt)])
