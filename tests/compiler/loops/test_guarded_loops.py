"""Functions and loops over rows in guarded memory: arrays, orders, indices, states and outputs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.load.compiled import CompiledProgram
from graphc.compiler.load.kernel_code import KernelCode
from graphc.compiler.plan import sharing
from graphc.ir.nodes.op import Array
from graphc.ir.types import TensorType
from graphc.kernels.loops import thread_blocks
from tests.guarded import SIDES, GuardedProgram, Side, guarded

ROWS, BATCH, STEPS = 23, 5, 4
THREADS = (1, 2, 3)


@pytest.fixture(params=SIDES)
def side(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tasks_of_a_tile: None
) -> Side:
    """All memory that a function takes for itself is guarded; small tensors are shared too."""
    side: Side = request.param

    def program(
        compiled: CompiledProgram, states: Mapping[str, Array], code: Sequence[KernelCode]
    ) -> GuardedProgram:
        return GuardedProgram(compiled, states, side, code)

    def state(type: TensorType) -> Array:
        return guarded(np.zeros(type.dims, type.dtype.numpy), side)

    def rows(nbytes: int) -> Array:
        return guarded(np.zeros(nbytes, np.uint8), side)

    # By name the package gives the function of that name.
    monkeypatch.setattr(sys.modules["graphc.functions.function"], "LoadedProgram", program)
    monkeypatch.setattr("graphc.declare.graphs.variables.aligned_array", state)
    monkeypatch.setattr("graphc.compiler.load.row_loop.aligned_empty", rows)
    monkeypatch.setattr("graphc.compiler.load.row_loop.SHARED_GATHER_BYTES", 1)
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_CYCLES", 1)
    monkeypatch.setattr(sharing, "SURELY_SHARED_CYCLES", 0)
    return side


def _step(features: int, dtype: str, index: str, threads: int) -> gc.Function:
    """A step of two layers on rows and a table of embeddings; its inputs are x, t and words."""
    graph = gc.Graph(seed=1)
    x = graph.input("x", ("n", features), dtype)
    t = graph.input("t", ("n",), index)
    words = graph.input("words", ("n", 2), index)
    table = graph.parameter("table", (7, 5))
    number = x if dtype == "f32" else gc.cast(x, "f32") * 0.1
    embedded = gc.reshape(gc.take(table, words), (-1, 10))
    hidden = gc.nn.dense(number, 9, gc.relu) + gc.nn.dense(embedded, 9)
    loss = gc.losses.softmax_cross_entropy(gc.nn.dense(gc.dropout(hidden, 0.25), 3), t)
    updates = gc.optim.Adam().updates(loss, graph.parameters)
    return gc.function([x, t, words], loss, updates, threads=threads)


def _arrays(features: int, dtype: str, index: str, side: Side) -> list[Array]:
    rng = np.random.default_rng(3)
    given: list[Any] = [
        rng.integers(0, 9, (ROWS, features)).astype("f4" if dtype == "f32" else "u1"),
        rng.integers(0, 3, ROWS).astype(gc.Graph().constant(0, index).dtype.numpy),
        rng.integers(0, 7, (ROWS, 2)).astype(gc.Graph().constant(0, index).dtype.numpy),
    ]
    return [guarded(array, side, writable=False) for array in given]


@pytest.mark.parametrize("index", ["i32", "i64", "u8"])
@pytest.mark.parametrize(("features", "dtype"), [(1, "f32"), (17, "f32"), (16, "u8")])
def test_loops_over_rows(side: Side, features: int, dtype: str, index: str) -> None:
    """One call a step, rows in order, and rows by an order, on any number of threads."""
    arrays = _arrays(features, dtype, index, side)
    order = guarded(np.random.default_rng(4).permutation(ROWS), side, writable=False)
    results = []
    for threads in THREADS:
        called, in_order, by_order = (_step(features, dtype, index, threads) for _ in range(3))
        losses = [called(*(a[i * BATCH : (i + 1) * BATCH] for a in arrays)) for i in range(STEPS)]
        (log,) = in_order.row_loop(arrays, BATCH).run(0, STEPS).values()
        (gathered,) = by_order.row_loop(arrays, BATCH, gathers=True).run(0, STEPS, order).values()
        np.testing.assert_array_equal(log, np.ravel(losses))
        assert np.isfinite(gathered).all()
        results.append((log.tobytes(), gathered.tobytes()))
    assert len(set(results)) == 1
