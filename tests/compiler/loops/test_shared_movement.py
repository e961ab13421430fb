"""Threads share rows that are gathered, and the rows of a table that slices are added to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.load.native import native
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.ir.nodes.op import Array

THREADS = (1, 2, 3)
# Of a table that is worth sharing, of slices of it, and of the indices that choose these.
TABLES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "rows": ((9001, 9), (40, 3)),
    "numbers": ((60_000,), (257,)),
    "matrices": ((2000, 3, 17), (65,)),
    "one_index": ((9001, 9), ()),
    "no_index": ((9001, 9), (0,)),
}


def _step(name: str, optimizer: Any, threads: int) -> tuple[gc.Function, gc.Graph]:
    """The table's gradient is scattered: with SGD in place, with Adam to zeros."""
    shape, indexed = TABLES[name]
    graph = gc.Graph(seed=1)
    table = graph.parameter("table", shape, gc.init.normal())
    indices = graph.input("indices", indexed, "i32")
    loss = gc.sum(gc.square(gc.take(table, indices)))
    return gc.function([indices], loss, optimizer.updates(loss), threads=threads), graph


def _indices(name: str) -> Array:
    """Some rows many times, and those at the ends of the threads' shares."""
    shape, indexed = TABLES[name]
    rows = shape[0]
    chosen = np.random.default_rng(0).integers(0, rows, indexed)
    ends = [0, rows // 3 - 1, rows // 3, rows // 2, rows - 1, rows - 1]
    if indexed and chosen.size > len(ends):
        chosen.flat[: len(ends)] = ends
    return np.asarray(chosen, np.int32)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("optimizer", [gc.optim.SGD(0.1), gc.optim.Adam(0.1)], ids=["sgd", "adam"])
def test_any_number_of_threads_adds_the_same_bits(name: str, optimizer: gc.optim.Optimizer) -> None:
    found = []
    for threads in THREADS:
        step, graph = _step(name, optimizer, threads)
        losses = [step(_indices(name)) for _ in range(3)]
        found.append((losses, graph.variables["table"].copy()))
    (losses, table), *others = found
    for other_losses, other_table in others:
        np.testing.assert_array_equal(other_losses, losses)
        np.testing.assert_array_equal(other_table, table)
    step, graph = _step(name, optimizer, 1)
    reference = gc.function(step.program.inputs, [], dict(step.program.updates), mode="reference")
    for _ in range(3):
        reference(_indices(name))
    np.testing.assert_allclose(table, graph.variables["table"], rtol=1e-5, atol=1e-6)


def _kernels(name: str, optimizer: Any) -> dict[str, bool]:
    """Of each kernel whether threads share it."""
    step, _ = _step(name, optimizer, 2)
    made = compile_program(step.program, Options({}, True, native().vector_bits, 2))
    return {row.name: row.shared for row in made.plan.instructions}


def test_threads_share_rows_of_zeros_and_of_a_table_in_place() -> None:
    assert _kernels("rows", gc.optim.Adam(0.1))["scatter_add"]
    assert not _kernels("rows", gc.optim.SGD(0.1))["index_add"]


def test_threads_share_rows_that_are_put_among_zeros() -> None:
    """Each its own; a value that is put among rows of zeros is one thread's."""
    graph = gc.Graph()
    x = graph.input("x", (37, 20, 30))
    around, before = ((0, 0), (1, 2), (0, 1)), ((2, 0), (0, 0), (0, 0))
    given = np.random.default_rng(0).standard_normal((37, 20, 30)).astype("f4")
    for threads in THREADS:
        function = gc.function([x], [gc.pad(x, around), gc.pad(x, before)], threads=threads)
        for found, sides in zip(function(given), (around, before), strict=True):
            np.testing.assert_array_equal(found, np.pad(given, sides))
    plan = compile_program(function.program, Options({}, True, native().vector_bits, 2)).plan
    splits = [row.source.splits for row in plan.instructions]
    assert splits == [True, False]
