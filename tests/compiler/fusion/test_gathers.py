"""Rows that products gather by index while they read their operands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.load.assemble import compiled
from graphc.compiler.load.executable import copied_rows
from graphc.compiler.load.native import LoadedProgram, native
from graphc.compiler.pipeline import Options, compile_program
from graphc.compiler.plan.planning import bytes_moved, operations
from graphc.ir.graph import Program
from graphc.ir.nodes.op import Array
from graphc.ir.ops.movement.indexed import scatter_add, take
from graphc.ir.reference import run_program
from graphc.kernels.groups.group import ContractionGroup
from graphc.kernels.nests.node_kinds import viewed
from graphc.testing.tolerance import assert_close
from tests.compiler.execution import compilation, refusals, run_loaded
from tests.compiler.values.test_random_graphs import compare

THREADS = (1, 2, 3)
TABLE_ROWS = 23


def _gathered(function: gc.Function) -> list[str]:
    """Of each kernel of a product what its rows are gathered from."""
    groups = compilation(function.program).groups
    products = [group for group in groups if isinstance(group, ContractionGroup)]
    gathers = (node for group in products for node in group.parts.before)
    return [viewed(node.operands[0]).name for node in gathers if node.op is take]


# --- what is gathered in a product, and what is not -------------------------------------------


def _embedding(rows: int, width: int, columns: int) -> gc.Function:
    graph = gc.Graph()
    table, indices = graph.input("table", (1000, width)), graph.input("indices", (rows,), "i32")
    w = graph.input("w", (width, columns))
    return gc.function([table, indices, w], gc.relu(take(table, indices, axis=0) @ w))


def test_rows_of_a_table_are_not_stored_for_a_product() -> None:
    function = _embedding(64, 100, 40)
    made = compilation(function.program)
    (group,) = made.groups
    assert [node.op.name for node in group.nodes] == ["take", "matmul", "relu"]
    (value,) = made.recomputed
    assert (value.value.op.name, value.bytes_saved) == ("take", 2 * 64 * 100 * 4)
    assert not refusals(function)
    # The rows that it takes, once; not all of the table.
    assert bytes_moved(group) == 4 * (64 * 100 + 64 + 100 * 40 + 64 * 40)
    assert operations(group) == 2 * 64 * 100 * 40 + 64 * 40


@pytest.mark.parametrize("table", [(1000, 100), (1000, 10, 10), (1000, 4, 5, 5)])
@pytest.mark.parametrize("rows", [(64,), (16, 4), (8, 4, 2)])
def test_rows_and_indices_may_have_several_axes(
    table: tuple[int, ...], rows: tuple[int, ...]
) -> None:
    graph = gc.Graph()
    values, indices = graph.input("table", table), graph.input("indices", rows, "i32")
    w = graph.input("w", (100, 40))
    chosen = gc.reshape(take(values, indices, axis=0), (64, 100))
    assert _gathered(gc.function([values, indices, w], chosen @ w)) == ["table"]


def test_what_leaves_the_cache_is_copied_unless_it_is_read_seldom() -> None:
    assert _gathered(_embedding(4096, 256, 32)) == ["table"]
    function = _embedding(4096, 256, 512)
    assert not _gathered(function)
    assert any("have left the second cache" in reason for reason in refusals(function))


def test_only_a_gather_copies_rows() -> None:
    """The other kernel has as many buffers, the order of the rows among them."""
    graph = gc.Graph()
    taken, added = graph.input("taken", (9, 4)), graph.input("added", (6, 4))
    order = graph.input("order", (6,), "i64")
    outputs = [take(taken, order, axis=0), scatter_add(added, order, axis=0, shape=(9, 4))]
    program = gc.function([taken, added, order], outputs).program
    executable = compiled(compilation(program)).executable
    # Who gives an order of rows has checked it: then the others read the order itself.
    (check,) = (row for row in executable.rows if row.checks_indices)
    given, copy = check.arguments
    read = [
        replace(row, arguments=tuple(given if n == copy else n for n in row.arguments))
        for row in executable.rows
        if row is not check
    ]
    executable = replace(executable, rows=tuple(read))
    rows = {row.name: row for row in read}
    assert [len(row.arguments) for row in rows.values()] == [3, 3]
    assert {name: row.gathers for name, row in rows.items()} == {"take": True, "scatter_add": False}
    assert copied_rows(executable, ("taken", "added")) == ("taken",)


def _is_an_output(x: Any, w: Any) -> list[Any]:
    return [x, x @ w]


def _is_read_in_an_epilogue(x: Any, w: Any) -> list[Any]:
    return [x @ w + x]


def _is_read_by_loops(x: Any, w: Any) -> list[Any]:
    return [x @ w, gc.sum(gc.tanh(x), 1)]


def _is_transposed_in_registers(x: Any, w: Any) -> list[Any]:
    return [w @ gc.transpose(x)]


def _is_both_operands(x: Any, w: Any) -> list[Any]:
    return [gc.transpose(x) @ x]


def _is_a_batch(x: Any, w: Any) -> list[Any]:
    return [gc.reshape(x, (2, 16, 32)) @ gc.reshape(w, (2, 32, 16))]


def _has_other_rows(x: Any, w: Any) -> list[Any]:
    return [gc.reshape(x, (16, 64)) @ gc.reshape(w, (64, 16))]


REFUSED = {
    _is_an_output: "movement is a kernel of its own",
    _is_read_in_an_epilogue: "products alone read rows",
    _is_read_by_loops: "products alone read rows",
    _is_transposed_in_registers: "need rows of take",
    _is_both_operands: "would gather both of its operands",
    _is_a_batch: "is a batch of products",
    _has_other_rows: "whose rows are others",
}


@pytest.mark.parametrize("declare", REFUSED, ids=lambda declare: declare.__name__[1:])
def test_what_is_stored(declare: Callable[..., list[Any]]) -> None:
    graph = gc.Graph()
    table, indices = graph.input("table", (99, 32)), graph.input("indices", (32,), "i32")
    w = graph.input("w", (32, 32))
    function = gc.function([table, indices, w], declare(take(table, indices, axis=0), w))
    assert not _gathered(function)
    assert any(REFUSED[declare] in reason for reason in refusals(function)), refusals(function)


# --- what it computes -------------------------------------------------------------------------


def _declared(rows: int, width: int, columns: int, dtype: str, index: str) -> gc.Function:
    """Rows of a table on the left and on the right, as they stand and transposed; rows that are
    images, part of another array, and chosen by indices of two axes; a table that is trained."""
    graph = gc.Graph()
    table = graph.parameter("table", (TABLE_ROWS, width), np.zeros((TABLE_ROWS, width)), dtype)
    images = graph.input("images", (TABLE_ROWS, width, 2), dtype)
    long = graph.input("long", (TABLE_ROWS, 2 * width), dtype)
    indices, pairs = graph.input("indices", (rows,), index), graph.input("pairs", (rows, 2), index)
    w, ct = graph.input("w", (width, columns), dtype), graph.input("ct", (rows, columns), dtype)
    v = graph.input("v", (2 * width, columns), dtype)
    x = take(table, indices, axis=0)
    y = gc.reshape(take(images, indices, axis=0), (rows, 2 * width))
    z = gc.reshape(take(long[:, width:], pairs, axis=0), (2 * rows, width))
    outputs = [
        gc.tanh(x @ w),
        gc.transpose(y) @ ct,
        gc.transpose(ct) @ take(table, indices + indices, axis=0),
        y @ v,
        z @ w,
    ]
    step = scatter_add(ct @ gc.transpose(w), indices, axis=0, shape=(TABLE_ROWS, width))
    inputs = [images, long, indices, pairs, w, ct, v]
    return gc.function(inputs, outputs, {table: table - step})


def _values(program: Program) -> tuple[dict[str, Array], dict[str, Array]]:
    rng = np.random.default_rng(7)

    def value(node: Any) -> Array:
        shape = node.type.dims
        if node.dtype.is_integer:
            return rng.integers(0, TABLE_ROWS // 2, shape).astype(node.dtype.numpy)
        return rng.standard_normal(shape).astype(node.dtype.numpy)

    return {n.name: value(n) for n in program.inputs}, {n.name: value(n) for n in program.states}


def _results(program: Program, threads: int, bits: int, fuse: bool) -> dict[str, Array]:
    inputs, states = _values(program)
    options = Options({}, fuse, bits, threads)
    outputs = run_loaded(LoadedProgram(compiled(compile_program(program, options)), states), inputs)
    return outputs | {f"state {name}": value for name, value in states.items()}


SHAPES = [(17, 33, 50), (2, 16, 15), (33, 70, 2), (100, 9, 1), (1, 5, 4), (5, 7, 0)]


@pytest.mark.parametrize(("number", "shape"), list(enumerate(SHAPES)))
@pytest.mark.usefixtures("tasks_of_a_tile")
def test_as_the_reference(number: int, shape: tuple[int, int, int]) -> None:
    """The same bits as of rows that are stored, at any number of threads."""
    dtype, index = ("f32", "f64")[number % 2], ("i32", "i64")[number // 2 % 2]
    function = _declared(*shape, dtype, index)
    program = function.program
    if min(shape) > 1:
        assert len(_gathered(function)) >= 4
    outputs, updates = run_program(program, *_values(program))
    wanted = outputs | {f"state {name}": value for name, value in updates.items()}
    bits = native().vector_bits
    alone = _results(program, 1, bits, True)
    for name, value in wanted.items():
        compare(alone[name], value, program)
    others = [_results(program, threads, bits, True) for threads in THREADS[1:]]
    for results in (*others, _results(program, 1, bits, False)):
        for name, value in alone.items():
            assert results[name].tobytes() == value.tobytes(), name


def test_indices_of_one_byte_are_not_negative() -> None:
    graph = gc.Graph()
    table, indices = graph.input("table", (256, 20)), graph.input("indices", (30,), "u8")
    w = graph.input("w", (20, 3))
    function = gc.function([table, indices, w], take(table, indices, axis=0) @ w)
    assert _gathered(function) == ["table"]
    rng = np.random.default_rng(1)
    rows, chosen = rng.integers(-9, 9, (256, 20)), rng.integers(128, 256, 30)
    weights = rng.integers(-9, 9, (20, 3))
    made = function(rows.astype("f4"), chosen.astype("u1"), weights.astype("f4"))
    np.testing.assert_array_equal(made, rows[chosen] @ weights)


def test_one_row_by_itself() -> None:
    """The last of 17 rows, which are columns of the product, behind those that fill vectors."""
    graph = gc.Graph()
    table, indices = graph.input("table", (9, 2)), graph.input("indices", (17,), "i32")
    w = graph.input("w", (64, 2))
    function = gc.function([table, indices, w], w @ gc.transpose(take(table, indices, axis=0)))
    assert _gathered(function) == ["table"]
    rng = np.random.default_rng(1)
    rows, chosen = rng.integers(-9, 9, (9, 2)), rng.integers(1, 9, 17)
    weights = rng.integers(-9, 9, (64, 2))
    made = function(rows.astype("f4"), chosen.astype("i4"), weights.astype("f4"))
    np.testing.assert_array_equal(made, weights @ rows[chosen].T)


def test_an_index_out_of_range_stops_before_any_update() -> None:
    graph = gc.Graph()
    table, indices = graph.input("table", (9, 8)), graph.input("indices", (4,), "i32")
    w = graph.parameter("w", (8, 3), np.ones((8, 3)))
    y = take(table, indices, axis=0) @ w
    function = gc.function([table, indices], y, {w: w * 2})
    assert _gathered(function) == ["table"]
    for bad in (-1, 9):
        with pytest.raises(IndexError, match="test_gathers"):
            function(np.ones((9, 8), "f4"), np.array([0, 1, bad, 2], "i4"))
    np.testing.assert_array_equal(graph.variables["w"], np.ones((8, 3), "f4"))


def test_a_product_gathers_one_of_two_operands_and_reads_the_other_where_it_is_stored() -> None:
    graph = gc.Graph()
    tables = [graph.input(name, (99, 32)) for name in ("one", "other")]
    rows = [graph.input(name, (16,), "i32") for name in ("rows", "others")]
    one, other = (take(*each, axis=0) for each in zip(tables, rows, strict=True))
    function = gc.function([*tables, *rows], gc.transpose(one) @ other)
    assert _gathered(function)
    assert any("would gather both of its operands" in reason for reason in refusals(function))
    rng = np.random.default_rng(3)
    given = [rng.standard_normal((99, 32)).astype("f4") for _ in tables]
    chosen = [rng.integers(0, 99, 16).astype("i4") for _ in rows]
    x, y = (table[each] for table, each in zip(given, chosen, strict=True))
    assert_close(function(*given, *chosen), x.T @ y, "f4", reduction_length=16)


@pytest.mark.parametrize("is_left", [True, False])
def test_many_gathered_rows_are_added_up_block_by_block(is_left: bool) -> None:
    """So many that no even blocks are cut of them before: the kernel of the product stops."""
    graph = gc.Graph()
    table, y = graph.input("table", (99, 24)), graph.input("y", (3001, 20))
    rows = graph.input("rows", (3001,), "i32")
    x = take(table, rows, axis=0)
    product = gc.transpose(x) @ y if is_left else gc.transpose(y) @ x
    function = gc.function([table, y, rows], product)
    assert _gathered(function)
    rng = np.random.default_rng(3)
    given = [rng.uniform(0.5, 1, shape).astype("f4") for shape in ((99, 24), (3001, 20))]
    chosen = rng.integers(0, 99, 3001).astype("i4")
    left, right = given[0][chosen], given[1]
    wanted = left.T @ right if is_left else right.T @ left
    found = function(*given, chosen)
    assert_close(found, wanted, "f4", reduction_length=3001)
