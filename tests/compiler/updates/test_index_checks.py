"""Indices that a caller gives: what is read is what was checked, whatever the caller writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.load.assemble import compiled
from graphc.compiler.load.native import native
from graphc.compiler.load.row_loop import RowOrder
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.compiler.plan.planning import Plan
from graphc.ir.ops.movement.indexed import index_add, scatter_add
from tests.compiler.execution import VECTOR_BITS, run_guarded
from tests.guarded import SIDES, GuardedProgram, Side, guarded_states

ROWS, COUNT = 64, 48


def _table(graph: gc.Graph) -> gc.Node:
    return graph.parameter("table", (ROWS, 32))


def _trained(graph: gc.Graph, i: gc.Node) -> tuple[Any, Any]:
    """An embedding: rows that a product reads where they stand, and an update of few rows."""
    table, w = _table(graph), graph.parameter("w", (32, 5))
    labels = graph.input("labels", (COUNT,), "i32")
    loss = gc.losses.softmax_cross_entropy(gc.take(table, i, axis=0) @ w, labels)
    return loss, gc.optim.SGD(0.1).updates(loss)


# What is made with indices of `i`, (COUNT,), and the updates.
USES: dict[str, Callable[[gc.Graph, gc.Node], tuple[Any, Any]]] = {
    "take": lambda g, i: (gc.take(_table(g), i, axis=0), None),
    "take in a product": lambda g, i: (
        gc.take(_table(g), i, axis=0) @ np.ones((32, 8), "f4"),
        None,
    ),
    "take in a prologue": lambda g, i: (
        gc.tanh(gc.take(_table(g), i, axis=0)) @ np.ones((32, 8), "f4"),
        None,
    ),
    "take of a column": lambda g, i: (gc.take(_table(g), i[::2], axis=0), None),
    "take of a table of indices": lambda g, i: (
        gc.take(_table(g), gc.reshape(i, (COUNT // 8, 8)), axis=0),
        None,
    ),
    "scatter_add": lambda g, i: (
        scatter_add(g.input("x", (COUNT, 3)), i, axis=0, shape=(ROWS, 3)),
        None,
    ),
    "index_add": lambda g, i: (index_add(_table(g), g.input("x", (COUNT, 32)), i, axis=0), None),
    "pick": lambda g, i: (gc.pick(g.input("x", (COUNT, ROWS)), i), None),
    "one_hot": lambda g, i: (gc.one_hot(i, ROWS), None),
    "training": _trained,
    "two limits": lambda g, i: ((gc.one_hot(i, ROWS), gc.one_hot(i, ROWS + 1)), None),
    "an output beside": lambda g, i: ((gc.one_hot(i, ROWS), i), None),
}


def _plan(use: str, dtype: str, fuse: bool, threads: int) -> Plan:
    graph = gc.Graph()
    i = graph.input("i", (COUNT,), dtype)
    outputs, updates = USES[use](graph, i)
    inputs = list(graph.inputs.values())
    program = gc.function(inputs, outputs, updates).program
    return compile_program(program, Options({}, fuse, VECTOR_BITS, threads)).plan


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize("dtype", ["u8", "i32", "i64"])
@pytest.mark.parametrize("use", USES)
def test_one_kernel_alone_reads_indices_that_are_given(use: str, dtype: str, fuse: bool) -> None:
    """A second reader might find what another thread has written since."""
    for threads in (1, 2):
        plan = _plan(use, dtype, fuse, threads)
        (given,) = (s for node, s in plan.storages.inputs.items() if node.name == "i")
        readers = [row for row in plan.instructions if given in row.source.arguments]
        assert len(readers) == 1


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
def test_a_state_waits_for_the_check_of_its_own_next_value(fuse: bool) -> None:
    graph = gc.Graph()
    row = graph.variable("row", np.array([0, 1]), dtype="i64")
    table = graph.variable("table", np.arange(8, dtype="f4").reshape(4, 2))
    following = row + 1
    read = gc.take(table, following, axis=0)
    updates = [(row, following), (table, table * 2)]
    function = gc.function([], read, updates, fuse=fuse)
    np.testing.assert_array_equal(function(), [[2, 3], [4, 5]])
    np.testing.assert_array_equal(function(), [[8, 10], [12, 14]])
    with pytest.raises(IndexError, match="outside -4 to 3"):
        function()
    np.testing.assert_array_equal(graph.variables["row"], [2, 3])
    np.testing.assert_array_equal(graph.variables["table"][3], [24, 28])


def test_threads_meet_behind_the_copies_of_rows_that_a_loop_gathers() -> None:
    graph = gc.Graph()
    x = graph.input("x", (512, 64))
    function = gc.function([x], gc.sum(gc.tanh(x)), threads=2)
    loop = function.row_loop([np.zeros((1024, 64), "f4")], 512, gathers=True)
    instructions = loop.instructions
    (gather,) = [n for n, each in enumerate(instructions) if each.name == "gather"]
    copied = instructions[gather].arguments[0]
    reader = next(
        n for n, each in enumerate(instructions) if n > gather and copied in each.arguments
    )
    assert not instructions[gather].solo
    assert any(each.barrier for each in instructions[gather + 1 : reader + 1])


@pytest.mark.parametrize("mode", ["reference", "compiled"])
def test_elements_that_index_nothing_may_be_anything(mode: Any) -> None:
    graph = gc.Graph()
    i, table = graph.input("i", (3, 2), "i32"), graph.input("table", (4, 2))
    function = gc.function([i, table], gc.take(table, i[:, 0], axis=0), mode=mode)
    rows = np.arange(8, dtype="f4").reshape(4, 2)
    np.testing.assert_array_equal(
        function(np.array([[0, 9], [3, -1], [1, 4]], "i4"), rows), rows[[0, 3, 1]]
    )
    with pytest.raises(IndexError, match="outside -4 to 3"):
        function(np.array([[0, 9], [4, -1], [1, 4]], "i4"), rows)


@pytest.mark.parametrize("mode", ["reference", "compiled"])
def test_elements_that_a_repeated_part_leaves_out_may_be_anything(mode: Any) -> None:
    """The part is repeated to as many elements as there are in all."""
    graph = gc.Graph()
    i, table = graph.input("i", (6,), "i32"), graph.input("table", (4, 2))
    shown = gc.broadcast_to(i[:3], (2, 3))
    function = gc.function([i, table], gc.take(table, shown, axis=0), mode=mode)
    rows = np.arange(8, dtype="f4").reshape(4, 2)
    given = np.array([0, 3, 1, 9, -1, 4], "i4")
    np.testing.assert_array_equal(function(given, rows), rows[[[0, 3, 1]] * 2])


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("mode", ["reference", "compiled"])
def test_one_index_of_several_tables_is_in_range_of_each(mode: Any, given: bool) -> None:
    """Whichever of them is the shorter, of indices that are given and of those of a kernel."""
    for classes in ((5, 9), (9, 5), (9, 5, 7)):
        graph = gc.Graph()
        i = graph.input("i", (3,), "i32")
        tables = [np.arange(3.0 * n, dtype="f4").reshape(3, n) for n in classes]
        at = i if given else i * 2 - i
        taken = [gc.pick(graph.constant(table), at) for table in tables]
        function = gc.function(i, taken, mode=mode)
        for found, table in zip(function(np.array([4, 0, 3], "i4")), tables, strict=True):
            np.testing.assert_array_equal(found, table[[0, 1, 2], [4, 0, 3]])
        for wrong in (5, -1):
            with pytest.raises(IndexError, match="outside 0 to"):
                function(np.array([0, wrong, 1], "i4"))


def test_a_model_takes_elements_that_index_nothing_as_they_are() -> None:
    graph = gc.Graph()
    pairs = graph.input("pairs", ("batch", 2), "i32")
    rows = gc.take(graph.parameter("table", (4, 2)), gc.reshape(pairs[:, :1], ("batch",)), axis=0)
    model = gc.Model(pairs, rows)
    assert model.predict(np.array([[0, 9], [3, -1]], "i4")).shape == (2, 2)
    with pytest.raises(IndexError):
        model.predict(np.array([[0, 9], [4, -1]], "i4"))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_check_the_rows_that_they_read(threads: int) -> None:
    """Labels are checked in the chunks of the product that reads them, by the same threads."""
    graph = gc.Graph(seed=1)
    x, labels = graph.input("x", (96, 64)), graph.input("labels", (96,), "i32")
    hidden = gc.nn.dense(gc.nn.dense(x, 64, gc.tanh), 64, gc.tanh)
    loss = gc.losses.softmax_cross_entropy(gc.nn.dense(hidden, 4), labels)
    updates = gc.optim.SGD(0.1).updates(loss)
    step = gc.function([x, labels], loss, updates, threads=threads)
    rng = np.random.default_rng(0)
    given = rng.normal(size=(96, 64)).astype("f4"), rng.integers(0, 4, 96).astype("i4")
    expected = gc.function([x, labels], loss, mode="reference")(*given)
    np.testing.assert_allclose(step(*given), expected, rtol=1e-5)
    before = dict(graph.variables.items())
    for wrong in range(0, 96, 5):
        labels_given = given[1].copy()
        labels_given[wrong] = (-1, 4)[wrong % 2]
        with pytest.raises(IndexError, match="outside 0 to 3"):
            step(given[0], labels_given)
    for name, value in graph.variables.items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("threads", [2, 3])
def test_a_check_by_rows_stays_within_the_indices(threads: int, side: Side) -> None:
    """Where the last chunk is shorter than the others."""
    rows, rng = 101, np.random.default_rng(0)
    graph = gc.Graph(seed=1)
    x, labels = graph.input("x", (rows, 64)), graph.input("labels", (rows,), "i32")
    hidden = gc.nn.dense(gc.nn.dense(x, 64, gc.tanh), 64, gc.tanh)
    loss = gc.losses.softmax_cross_entropy(gc.nn.dense(hidden, 4), labels)
    program = gc.function([x, labels], loss, gc.optim.SGD(0.1).updates(loss)).program
    compilation = compile_program(program, Options({}, True, native().vector_bits, threads))
    assert compilation.plan is not None
    checks = [row.source for row in compilation.plan.instructions if row.source.can_stop]
    chunks = [check.own_rows.rows_per_chunk for check in checks if check.own_rows is not None]
    assert len(chunks) == 1
    assert rows % chunks[0] != 0
    states = guarded_states(dict(graph.variables.items()), side)
    given = {
        "x": rng.normal(size=(rows, 64)).astype("f4"),
        "labels": rng.integers(0, 4, rows).astype("i4"),
    }
    expected = gc.function([x, labels], loss, mode="reference")(*given.values())
    guarded = GuardedProgram(compiled(compilation), states, side)
    (found,) = run_guarded(guarded, given, side).values()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_check_by_rows_costs_threads_no_meeting() -> None:
    graph = gc.Graph(seed=1)
    x, labels = graph.input("x", (32, 8)), graph.input("labels", (32,), "i32")
    hidden = gc.nn.dense(gc.nn.dense(x, 64, gc.sigmoid), 64, gc.sigmoid)
    loss = gc.losses.softmax_cross_entropy(gc.nn.dense(hidden, 4), labels)
    program = gc.function([x, labels], loss, gc.optim.SGD(0.1).updates(loss)).program
    plan = compile_program(program, Options({}, True, VECTOR_BITS, 2)).plan
    (checked,) = plan.storages.checked.values()
    rows = [row for row in plan.instructions if checked in row.source.arguments]
    assert [row.shared for row in rows] == [True, True]
    assert not any(row.barrier for row in rows)


def test_an_order_is_a_copy() -> None:
    given = np.array([2, 0, 1])
    order = RowOrder(given, 3)
    given[0] = 7
    assert order.values.tolist() == [2, 0, 1]
    with pytest.raises(IndexError):
        RowOrder(given, 3)
