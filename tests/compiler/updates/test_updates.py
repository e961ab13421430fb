"""Updates happen all at once, wherever the compiler lets kernels write."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.plan.planning import PlannedInstruction
from graphc.ir.ops.movement.indexed import scatter_add
from graphc.testing.tolerance import assert_close
from tests.compiler.updates.update_programs import (
    CASES,
    RANDOM_UPDATES,
    Declare,
    bias_in_finish,
    columns_added,
    moments_in_finish,
    new_value,
    own_column_sums,
    own_first_row,
    own_product_with_epilogue,
    own_row_sums,
    own_rows_added,
    own_square,
    own_sum,
    own_symmetric_part,
    own_transpose,
    product_epilogue_first_row,
    product_epilogue_in_place,
    product_epilogue_transposed,
    random_updates,
    rows_added,
    rows_added_and_read,
    state_of,
)

STEPS = 3


def _check(declare: Declare, *, fuse: bool, kernels: int | None = None) -> gc.Function:
    """Runs the declared updates compiled and in numpy; compares outputs and states each step."""
    graph = gc.Graph()
    outputs, updates = declare(graph)
    inputs = list(graph.inputs.values())
    others = graph.variables.copy()
    compiled = gc.function(inputs, outputs, updates, fuse=fuse)
    reference = gc.function(inputs, outputs, updates, variables=others, mode="reference")
    given = [
        np.random.default_rng(7).uniform(-1, 1, node.type.dims).astype(node.dtype.numpy)
        for node in inputs
    ]
    for _ in range(STEPS):
        for got, wanted in zip(compiled(*given), reference(*given), strict=True):
            assert_close(got, wanted, "f8", reduction_length=64, ulps=64)
        for name, value in graph.variables.items():
            assert_close(value, others[name], "f8", reduction_length=64, ulps=64)
    if kernels is not None and fuse:
        assert len(compiled.loaded().plan.instructions) == kernels
    return compiled


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize("declare", CASES, ids=lambda declare: declare.__name__)
def test_updates(declare: Declare, fuse: bool) -> None:
    _check(declare, fuse=fuse)


@pytest.mark.parametrize("seed", RANDOM_UPDATES)
def test_random_updates(seed: int) -> None:
    _check(lambda graph: random_updates(graph, seed), fuse=True)


def _writers(function: gc.Function, state: str) -> list[PlannedInstruction]:
    """The instructions that may write the state: those that store an updated value there."""
    plan = function.loaded().plan
    written = {value for value, s in plan.storages.overwritten.items() if s.name == state}
    return [row for row in plan.instructions if row.group and written & set(row.group.outputs)]


IN_PLACE = [
    product_epilogue_in_place, new_value, own_row_sums, bias_in_finish, own_column_sums,
    own_sum, moments_in_finish, rows_added, columns_added,
]  # fmt: skip
COPIED = [
    own_transpose, own_symmetric_part, own_first_row, own_square, own_product_with_epilogue,
    product_epilogue_transposed, product_epilogue_first_row, rows_added_and_read,
    own_rows_added,
]  # fmt: skip


@pytest.mark.parametrize("declare", IN_PLACE, ids=lambda declare: declare.__name__)
def test_written_in_place(declare: Declare) -> None:
    graph = gc.Graph()
    outputs, updates = declare(graph)
    function = gc.function(list(graph.inputs.values()), outputs, updates)
    (state, _) = updates[0]
    (writer,) = _writers(function, state.name)
    reads_itself = any(s.name == state.name for s in writer.source.arguments)
    assert reads_itself and "copy" not in writer.name


@pytest.mark.parametrize("declare", COPIED, ids=lambda declare: declare.__name__)
def test_not_written_in_place(declare: Declare) -> None:
    graph = gc.Graph()
    outputs, updates = declare(graph)
    function = gc.function(list(graph.inputs.values()), outputs, updates)
    (writer,) = _writers(function, updates[0][0].name)
    assert writer.group is not None
    assert [node.op.name for node in writer.group.nodes] == ["copy"]


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize("mode", ["compiled", "reference"])
def test_index_error_changes_no_state(fuse: bool, mode: Any) -> None:
    graph = gc.Graph()
    a, b, c = state_of(graph, "a", (5, 4)), state_of(graph, "b", (4,)), state_of(graph, "c", (3,))
    d = state_of(graph, "d", (5, 4))
    unrelated = c * 2
    rows = graph.input("rows", (2,), "i64")
    computed = rows + 1
    updates = [
        (c, unrelated),
        (a, a * 2),
        (b, b + gc.sum(gc.take(a, rows), 0) + gc.sum(gc.take(a, computed), 0)),
        (d, d - 0.1 * scatter_add(gc.take(a, computed), computed, axis=0, shape=d.shape)),
    ]
    function = gc.function([rows], gc.sum(a), updates, mode=mode, fuse=fuse)
    function(np.array([0, 3]))
    before = dict(graph.variables.items())
    # The first is out of range as it is given, the second once it is computed.
    for wrong in ([0, 7], [0, 4], [-6, 0]):
        with pytest.raises(IndexError):
            function(np.array(wrong))
        for name, value in graph.variables.items():
            np.testing.assert_array_equal(value, before[name])
    function(np.array([0, 3]))
    assert not np.array_equal(graph.variables["a"], before["a"])


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
def test_updated_index_out_of_range_changes_no_state(fuse: bool) -> None:
    """A state whose new value is an index may not take it before the value is checked."""
    graph = gc.Graph()
    place, other = graph.variable("place", 1), state_of(graph, "other", (3,))
    following = place + 1
    row = gc.take(graph.constant([1.0, 2.0, 3.0], "f64"), following)
    function = gc.function([], row, [(place, following), (other, other * row)], fuse=fuse)
    assert function() == 3
    before = dict(graph.variables.items())
    with pytest.raises(IndexError):
        function()
    for name, value in graph.variables.items():
        np.testing.assert_array_equal(value, before[name])


# --- training --------------------------------------------------------------------------------


def _net(seed: int) -> tuple[gc.Graph, list[Any], Any, list[Any]]:
    """Three layers with softmax cross-entropy, of 20 features and 5 classes."""
    graph = gc.Graph(seed)
    x, labels = graph.input("x", ("batch", 20), "f64"), graph.input("labels", ("batch",), "i64")
    hidden, parameters = x, []
    for number, (columns, activation) in enumerate([(17, gc.tanh), (9, gc.relu), (5, lambda z: z)]):
        w = graph.parameter(f"w{number}", (hidden.shape[1], columns), dtype="f64")
        b = graph.parameter(f"b{number}", (columns,), 0.1, dtype="f64")
        parameters += [w, b]
        hidden = activation(hidden @ w + b)
    loss = -gc.mean(gc.pick(gc.log_softmax(hidden), labels))
    return graph, [x, labels], loss, parameters


@pytest.mark.parametrize("steps", [50, 200])
@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
def test_training_agrees_with_numpy(steps: int, fuse: bool) -> None:
    graph, inputs, loss, parameters = _net(1)
    others = graph.variables.copy()
    slopes = gc.grad(loss, parameters)
    updates = [(p, p - 0.1 * slope) for p, slope in zip(parameters, slopes, strict=True)]
    compiled = gc.function(inputs, loss, updates, fuse=fuse)
    reference = gc.function(inputs, loss, updates, variables=others, mode="reference")
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(steps):
        x, labels = rng.normal(size=(32, 20)), rng.integers(0, 5, 32)
        x[:, :5] += 3 * np.eye(5)[labels]
        losses.append([float(compiled(x, labels)), float(reference(x, labels))])
    np.testing.assert_allclose(*np.array(losses).T, rtol=1e-10)
    assert losses[-1][0] < losses[0][0] / 2
    for parameter in parameters:
        difference = np.abs(graph.variables[parameter] - others[parameter])
        assert difference.max() < 1e-10
