"""Updates of few rows: which become index_add, with what values, and which stay what they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program, is_among
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement.indexed import index_add, scatter_add
from graphc.ir.programs.verify import verify
from graphc.ir.reference import run_program
from graphc.ir.rewriting.rewrite import Firing
from graphc.ir.rewriting.row_updates import add_rows, update_rows
from graphc.testing.tolerance import assert_close

ROWS = 6
# (table, scattered gradient, rate of rank 0) -> the table's next value
Update = Callable[[Node, Node, Node], Node]

APPLIES: dict[str, Update] = {
    "plain": lambda w, g, a: w - g,
    "added": lambda w, g, a: w + g,
    "swapped": lambda w, g, a: g + w,
    "rate": lambda w, g, a: w - a * g,
    "rate_behind": lambda w, g, a: w - g * a,
    "negative_rate": lambda w, g, a: w + -a * g,
    "negated": lambda w, g, a: w + -(a * g),
    "divided": lambda w, g, a: w - g / a,
    "constant": lambda w, g, a: w - 0.5 * (g * a),
    "computed_rate": lambda w, g, a: w - (a / (1 + a)) * g,
    "rate_of_the_table": lambda w, g, a: w - build.sum(w) * g,
}
STAYS: dict[str, Update] = {
    "decay": lambda w, g, a: w - a * (g + 0.1 * w),
    "scaled_table": lambda w, g, a: 0.9 * w - a * g,
    "rate_by_row": lambda w, g, a: w - build.sum(w, 1, keepdims=True) * g,
    "gradient_as_divisor": lambda w, g, a: w - a / (g + 1),
    "clipped": lambda w, g, a: w - a * ops.minimum(g, 1.0),
    "norm": lambda w, g, a: w - a * (g / build.sum(ops.square(g))),
    "reversed": lambda w, g, a: a * g - w,
    "other_table": lambda w, g, a: ops.tanh(w) - a * g,
    "wider": lambda w, g, a: build.sum((build.reshape(w, (1, 6, 3)) - a * g), 0),
}


def _program(update: Update, indices: int = 4, read: bool = False) -> Program:
    graph = Graph()
    w = graph.state("w", (ROWS, 3), "f64")
    rate = graph.state("rate", (), "f64")
    x, i = graph.input("x", (indices, 3), "f64"), graph.input("i", (indices,), "i64")
    gradient = scatter_add(x, i, axis=0, shape=w.shape)
    outputs = (("gradient", gradient),) if read else ()
    return Program("step", (x, i), outputs, ((w, update(w, gradient, rate)), (rate, rate * 0.9)))


def _results(program: Program) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    x, i = program.inputs
    inputs = {"x": rng.uniform(-1, 1, x.type.dims), "i": rng.integers(0, 3, i.type.dims)}
    states = {"w": rng.uniform(-1, 1, (ROWS, 3)), "rate": np.array(0.25)}
    outputs, updated = run_program(program, inputs, states)
    return outputs | updated


@pytest.mark.parametrize("name", APPLIES)
def test_rows_are_added(name: str) -> None:
    program = _program(APPLIES[name])
    firings: list[Firing] = []
    made = update_rows(program, firings.append)
    verify(made)
    (_, value), _ = made.updates
    assert value.op is index_add
    assert not any(node.op is scatter_add for node in made.nodes)
    (firing,) = firings
    assert (firing.rule, firing.before, firing.after) == (
        add_rows.name, program.updates[0][1], value,
    )  # fmt: skip
    expected = _results(program)
    for key, found in _results(made).items():
        assert_close(found, expected[key], "f8", reduction_length=4, ulps=16)


@pytest.mark.parametrize("name", STAYS)
def test_other_updates_stay(name: str) -> None:
    program = _program(STAYS[name])
    assert update_rows(program) is program


def test_a_gradient_that_is_read_stays() -> None:
    program = _program(APPLIES["rate"], read=True)
    assert update_rows(program) is program


@pytest.mark.parametrize(("indices", "applies"), [(0, True), (5, True), (6, False), (7, False)])
def test_more_indices_than_rows_are_summed_first(indices: int, applies: bool) -> None:
    program = _program(APPLIES["rate"], indices)
    assert (update_rows(program) is not program) == applies


def test_two_tables() -> None:
    graph = Graph()
    tables = [graph.state(name, (ROWS, 3), "f64") for name in "ab"]
    x, i = graph.input("x", (4, 3), "f64"), graph.input("i", (4,), "i64")
    shared = scatter_add(x, i, axis=0, shape=(ROWS, 3))
    own = scatter_add(tables[0][:4], i, axis=0, shape=(ROWS, 3))
    both = Program("step", (x, i), (), tuple((w, w - shared) for w in tables))
    assert update_rows(both) is both
    # The new value of one table is added to the other.
    first = tables[0] - own
    second = tables[1] + scatter_add(first[:4], i, axis=0, shape=(ROWS, 3))
    chained = Program("step", (x, i), (), ((tables[0], first), (tables[1], second)))
    made = update_rows(chained)
    verify(made)
    assert [value.op for _, value in made.updates] == [index_add, index_add]
    assert is_among(made.updates[0][1], made.updates[1][1].operands[1].operands)
