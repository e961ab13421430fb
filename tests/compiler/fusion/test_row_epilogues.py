"""Reductions of whole rows in the epilogue of a product: softmax, its loss, its gradient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.fusion import row_epilogues
from graphc.compiler.fusion.decision import RowsInCache
from graphc.compiler.load.assemble import compiled
from graphc.compiler.load.native import LoadedProgram, native
from graphc.compiler.options import Options
from graphc.compiler.pipeline import Compilation, compile_program
from graphc.compiler.plan import sharing
from graphc.inspect.wording import reason_of
from graphc.ir.graph import Program, is_among
from graphc.ir.nodes.op import Array
from graphc.ir.reference import run_program
from graphc.kernels.groups.group import ContractionGroup
from graphc.kernels.machine import MACHINE
from graphc.kernels.products.epilogues import row_epilogue
from graphc.testing.tolerance import assert_close
from tests.compiler.execution import compilation, run_loaded, run_on_threads

THREADS = (1, 2, 3, 4)
DEPTH = 7


@pytest.fixture
def everything_is_taken(monkeypatch: pytest.MonkeyPatch, tasks_of_a_tile: None) -> None:
    """At any cost, and small products are shared too."""
    monkeypatch.setattr(row_epilogues, "MACHINE", replace(MACHINE, meeting_cycles=10**12))
    monkeypatch.setattr(sharing, "SURELY_SHARED_CYCLES", 0)


def _row_groups(made: Compilation) -> list[ContractionGroup]:
    return [g for g in made.groups if isinstance(g, ContractionGroup) and g.shape.whole_rows]


def _loss_and_gradient(rows: int, columns: int, dtype: str) -> Program:
    """Of softmax cross-entropy, with the gradient of the scores and its sum over the rows."""
    graph = gc.Graph()
    x, w = graph.input("x", (rows, DEPTH), dtype), graph.input("w", (DEPTH, columns), dtype)
    b, t = graph.input("b", (columns,), dtype), graph.input("t", (rows,), "i32")
    scores = x @ w + b
    loss = gc.losses.softmax_cross_entropy(scores, t)
    gradient = gc.grad(loss, [scores])[0]
    return gc.function([x, w, b, t], [loss, gradient, gc.sum(gradient, 0)]).program


def _normalised(rows: int, columns: int, dtype: str) -> Program:
    """Rows less their mean, over their norm, times a weight of each element and of each row; and
    the product itself, the largest of each row, and where that stands."""
    graph = gc.Graph()
    x, w = graph.input("x", (rows, DEPTH), dtype), graph.input("w", (DEPTH, columns), dtype)
    scale = graph.input("scale", (rows, columns), dtype)
    by_row = graph.input("by_row", (rows, 1), dtype)
    product = x @ w
    centred = product - gc.mean(product, 1, True)
    largest = gc.max(product, 1, True)
    outputs = {
        "product": product,
        "normal": centred / gc.sqrt(gc.sum(centred * centred, 1, True) + 1.0) * scale * by_row,
        "largest": largest,
        "is_largest": product >= largest,
    }
    return gc.function([x, w, scale, by_row], outputs).program


def _inputs(program: Program) -> dict[str, Array]:
    random = np.random.default_rng(3)
    found: dict[str, Array] = {}
    for node in program.inputs:
        if node.dtype.is_float:
            found[node.name] = random.standard_normal(node.type.dims).astype(node.dtype.numpy)
        else:
            columns = next(n for n in program.inputs if n.name == "w").type.dims[1]
            found[node.name] = random.integers(0, columns, node.type.dims).astype("i4")
    return found


def _check(program: Program, bits: int, length: int) -> None:
    """As the reference, and the same bits at any number of threads."""
    inputs = _inputs(program)
    made = compile_program(program, Options({}, True, bits))
    assert len(_row_groups(made)) == 1, [reason_of(d) for d in made.decisions if not d.fused]
    expected, _ = run_program(program, inputs, {})
    alone, *together = (run_on_threads(program, inputs, threads, bits) for threads in THREADS)
    for name, value in alone.items():
        assert_close(value, expected[name], value.dtype, reduction_length=length, ulps=32)
        for other in together:
            assert other[name].tobytes() == value.tobytes(), name


SHAPES = [(16, 3), (17, 5), (33, 10), (100, 10), (97, 26), (200, 17)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.usefixtures("everything_is_taken")
def test_softmax_loss_and_gradient(shape: tuple[int, int]) -> None:
    _check(_loss_and_gradient(*shape, "f32"), native().vector_bits, sum(shape) + DEPTH)


@pytest.mark.parametrize("bits", [256, 128])
@pytest.mark.usefixtures("everything_is_taken")
def test_narrower_vectors(bits: int) -> None:
    if bits > native().vector_bits:
        pytest.skip("the host has no such vectors")
    _check(_loss_and_gradient(33, 10, "f32"), bits, 33 + DEPTH)
    _check(_normalised(19, 5, "f64"), bits, 19 + DEPTH)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.usefixtures("everything_is_taken")
def test_rows_with_operands_of_every_shape(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In several blocks of rows, of which the last is not whole."""
    monkeypatch.setattr(row_epilogue, "BLOCK_BYTES", 16 * 5 * 8)
    _check(_normalised(67, 5, dtype), native().vector_bits, 67 + DEPTH)


@pytest.mark.usefixtures("everything_is_taken")
def test_positions_of_rows() -> None:
    """The bits of dropout come of an element's place."""
    graph = gc.Graph(seed=0)
    x, w = graph.input("x", (40, DEPTH)), graph.input("w", (DEPTH, 10))
    value = gc.softmax(gc.dropout(x @ w, 0.4))
    states = {name: np.array(value) for name, value in graph.variables.items()}
    program = gc.function([x, w], value, variables=graph.variables).program
    inputs = _inputs(program)
    (expected,) = run_program(program, inputs, states)[0].values()
    for threads in (1, 3):
        made = compile_program(program, Options({}, True, native().vector_bits, threads))
        assert len(_row_groups(made)) == 1
        (found,) = run_loaded(LoadedProgram(compiled(made), states), inputs).values()
        assert_close(found, expected, "f4", reduction_length=10 + DEPTH)


def _training_step(batch: int, units: int, classes: int) -> gc.Function:
    graph = gc.Graph(seed=1)
    x, t = graph.input("x", (batch, 24)), graph.input("t", (batch,), "i32")
    hidden = gc.nn.dense(x, units, gc.sigmoid)
    loss = gc.losses.softmax_cross_entropy(gc.nn.dense(hidden, classes), t)
    updates = gc.optim.SGD(0.1).updates(loss)
    return gc.function([x, t], loss, updates, variables=graph.variables)


def test_scores_of_a_training_step_are_not_stored_and_threads_do_not_meet_for_them() -> None:
    program = _training_step(100, 50, 10).program
    made = compile_program(program, Options({}, True, native().vector_bits, 2))
    (group,) = _row_groups(made)
    assert {node.shape for node in group.outputs} == {(100, 10), (100,)}
    assert not is_among(group.contraction, group.outputs)
    rows = [row for row in made.plan.instructions if row.shared]
    (place,) = (n for n, row in enumerate(rows) if row.group is group)
    assert not any(row.barrier for row in rows[: place + 2])
    (decision,) = (d for d in made.decisions if isinstance(d.why, RowsInCache))
    assert decision.fused and decision.bytes_saved > 0


@pytest.mark.parametrize(
    ("batch", "units", "classes", "reason"),
    [
        (3, 16, 10, "3 rows do not fill a vector"),
        (64, 16, 400, "fit no tile of registers"),
        (4096, 400, 26, "tiles that have whole rows would take"),
    ],
)
def test_refusals_have_a_reason(batch: int, units: int, classes: int, reason: str) -> None:
    made = compilation(_training_step(batch, units, classes).program)
    assert _row_groups(made) == []
    assert any(reason in reason_of(decision) for decision in made.decisions if not decision.fused)


def test_rows_that_wait_for_a_product_of_them_are_reduced_after_it() -> None:
    graph = gc.Graph()
    x, w, v = graph.input("x", (32, 8)), graph.input("w", (8, 16)), graph.input("v", (16, 16))
    scores = x @ w
    again = gc.softmax(scores @ v)
    program = gc.function([x, w, v], gc.sum(gc.softmax(scores + again) * scores, 1)).program
    inputs = _inputs(program)
    expected, _ = run_program(program, inputs, {})
    (value,) = run_on_threads(program, inputs, 2, native().vector_bits).values()
    (wanted,) = expected.values()
    assert_close(value, wanted, value.dtype, reduction_length=32, ulps=32)
    assert len(_row_groups(compilation(program))) == 1, "the second product's rows alone"
