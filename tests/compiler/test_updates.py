"""Updates happen all at once, wherever the compiler lets kernels write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.plan.planning import PlannedInstruction
from graphc.ir.ops.indexed import index_add, scatter_add
from graphc.testing.tolerance import assert_close

STEPS = 3
ROWS = [5, 0, 5, 8]
Declare = Callable[[gc.Graph], tuple[Any, list[tuple[Any, Any]]]]


def _state(graph: gc.Graph, name: str, shape: tuple[int, ...]) -> Any:
    rng = np.random.default_rng(len(graph.states) + 1)
    return graph.variable(name, rng.uniform(-1, 1, shape), shape, "f64")


def _rows(graph: gc.Graph) -> Any:
    return graph.constant(ROWS, "i64")


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


def _swap(graph: gc.Graph) -> Any:
    a, b = _state(graph, "a", (5, 7)), _state(graph, "b", (5, 7))
    return [], [(a, b), (b, a)]


def _rotate(graph: gc.Graph) -> Any:
    a, b, c = (_state(graph, name, (9,)) for name in "abc")
    return [a + b], [(a, b), (b, c), (c, a)]


def _rotate_changed(graph: gc.Graph) -> Any:
    a, b, c = (_state(graph, name, (9,)) for name in "abc")
    return [], [(a, b * 2), (b, c + a), (c, a - 1)]


def _fibonacci(graph: gc.Graph) -> Any:
    a, b = _state(graph, "a", ()), _state(graph, "b", ())
    return [a], [(a, b), (b, a + b)]


def _read_elsewhere_transposed(graph: gc.Graph) -> Any:
    a, b = _state(graph, "a", (6, 6)), _state(graph, "b", (6, 6))
    return [gc.sum(a.T * b, 0)], [(a, a * 0.5 + 1), (b, a.T)]


def _own_transpose(graph: gc.Graph) -> Any:
    a = _state(graph, "a", (6, 6))
    return [], [(a, a.T + 1)]


def _own_symmetric_part(graph: gc.Graph) -> Any:
    a = _state(graph, "a", (6, 6))
    return [], [(a, (a + a.T) * 0.5)]


def _own_reversed(graph: gc.Graph) -> Any:
    a = _state(graph, "a", (11,))
    return [], [(a, a[::-1] * 2)]


def _own_shifted(graph: gc.Graph) -> Any:
    a = _state(graph, "a", (11,))
    return [], [(a, a + gc.concatenate([a[1:], a[:1]]))]


def _own_first_row(graph: gc.Graph) -> Any:
    """Every row needs the first one, which is overwritten first."""
    a = _state(graph, "a", (5, 4))
    return [], [(a, a - a[0])]


def _own_first_column(graph: gc.Graph) -> Any:
    a = _state(graph, "a", (5, 4))
    return [], [(a, a - a[:, :1])]


def _own_sum(graph: gc.Graph) -> Any:
    a = _state(graph, "a", (5, 4))
    return [], [(a, a / gc.sum(gc.square(a)))]


def _own_row_sums(graph: gc.Graph) -> Any:
    a = _state(graph, "a", (5, 40))
    return [], [(a, gc.softmax(a) + a)]


def _own_column_sums(graph: gc.Graph) -> Any:
    a = _state(graph, "a", (40, 5))
    return [], [(a, a - gc.mean(a, 0))]


def _own_outer(graph: gc.Graph) -> Any:
    """A vector against itself as a column."""
    a, b = _state(graph, "a", (6,)), _state(graph, "b", (6, 6))
    return [], [(b, gc.reshape(a, (6, 1)) * a + b), (a, gc.sum(b, 0) * 0.1 + a)]


def _own_square(graph: gc.Graph) -> Any:
    a = _state(graph, "a", (6, 6))
    return [], [(a, a @ a)]


def _own_product_with_epilogue(graph: gc.Graph) -> Any:
    a, x = _state(graph, "a", (6, 6)), graph.input("x", (6, 6), "f64")
    return [], [(a, a - 0.1 * (a @ x))]


def _product_epilogue_in_place(graph: gc.Graph) -> Any:
    a, x = _state(graph, "a", (6, 6)), graph.input("x", (6, 6), "f64")
    return [], [(a, a - 0.1 * (x @ x))]


def _product_epilogue_transposed(graph: gc.Graph) -> Any:
    a, x = _state(graph, "a", (6, 6)), graph.input("x", (6, 6), "f64")
    return [], [(a, a.T - 0.1 * (x @ x))]


def _product_epilogue_first_row(graph: gc.Graph) -> Any:
    a, x = _state(graph, "a", (6, 6)), graph.input("x", (6, 6), "f64")
    return [], [(a, a[:1] - 0.1 * (x @ x))]


def _old_value(graph: gc.Graph) -> Any:
    a = _state(graph, "a", (5, 4))
    return [a, a.T, gc.sum(a)], [(a, a * 2)]


def _new_value(graph: gc.Graph) -> Any:
    a = _state(graph, "a", (5, 4))
    new = a * 2 + 1
    return [new, new.T, a], [(a, new)]


def _same_new_value(graph: gc.Graph) -> Any:
    a, b, c = (_state(graph, name, (5, 4)) for name in "abc")
    new = gc.tanh(a + b)
    return [new], [(a, new), (b, new), (c, new)]


def _update_with_view(graph: gc.Graph) -> Any:
    a, b = _state(graph, "a", (5, 4)), _state(graph, "b", (4, 5))
    return [], [(a, gc.exp(b).T), (b, gc.reshape(a + 1, (4, 5)))]


def _update_with_broadcast(graph: gc.Graph) -> Any:
    a, b = _state(graph, "a", (5, 4)), _state(graph, "b", (4,))
    return [], [(a, gc.broadcast_to(b * 2, (5, 4))), (b, a[0])]


def _update_with_constant(graph: gc.Graph) -> Any:
    a, b = _state(graph, "a", (3,)), _state(graph, "b", ())
    return [a + b], [(a, graph.constant([1, 2, 3], "f64")), (b, graph.constant(5, "f64"))]


def _update_with_itself(graph: gc.Graph) -> Any:
    a = _state(graph, "a", (3,))
    return [a], [(a, a)]


def _update_with_input(graph: gc.Graph) -> Any:
    a, x = _state(graph, "a", (3,)), graph.input("x", (3,), "f64")
    return [a], [(a, x)]


def _update_with_sum(graph: gc.Graph) -> Any:
    a, x = _state(graph, "a", (1, 4)), graph.input("x", (6, 4), "f64")
    return [gc.sum(x)], [(a, gc.sum(x, 0, keepdims=True))]


def _bias_in_finish(graph: gc.Graph) -> Any:
    """Its gradient is a sum over all rows, in which it is read."""
    b, x = _state(graph, "b", (7,)), graph.input("x", (9, 7), "f64")
    value = gc.tanh(x + b)
    return [gc.sum(value)], [(b, b - 0.1 * gc.sum(value * (x - b), 0))]


def _bias_read_after_its_sum(graph: gc.Graph) -> Any:
    b, x = _state(graph, "b", (7,)), graph.input("x", (9, 7), "f64")
    total = gc.sum(x + b, 0)
    return [total * b, gc.sum(b)], [(b, b - 0.1 * total)]


def _scalar_rate(graph: gc.Graph) -> Any:
    rate, a = _state(graph, "rate", ()), _state(graph, "a", (5, 4))
    return [rate * a], [(a, a - rate * gc.cos(a)), (rate, rate * 0.9)]


def _own_along_another_axis(graph: gc.Graph) -> Any:
    """Every row reads all elements of the state, of which it makes one."""
    a, x = _state(graph, "a", (6,)), graph.input("x", (6, 6), "f64")
    return [], [(a, gc.sum(x * a, 1) * 0.5)]


def _read_again_in_a_later_pass(graph: gc.Graph) -> Any:
    """A row's second pass makes the new value, and its third what is read of the old one."""
    a, x = _state(graph, "a", (5, 40)), graph.input("x", (5, 40), "f64")
    new = a - gc.max(a + x, 1, keepdims=True)
    return [(a + x) / gc.sum(gc.abs(new), 1, keepdims=True)], [(a, new)]


def _read_again_for_what_a_later_pass_needs(graph: gc.Graph) -> Any:
    """The pass behind the new value computes again what it needs, from the old one."""
    a, x = _state(graph, "a", (5, 40)), graph.input("x", (5, 40), "f64")
    value = (a + x) * 2
    new = x - gc.max(value, 1, keepdims=True)
    return [value / gc.sum(gc.abs(new), 1, keepdims=True)], [(a, new)]


def _reversed_and_read_again_after_a_sum(graph: gc.Graph) -> Any:
    """What the sum over all rows needs of other elements of the state is needed after it too."""
    b, x = _state(graph, "b", (7,)), graph.input("x", (9, 7), "f64")
    other = b[::-1] * 2
    return [], [(b, gc.sum(x * other, 0) * 0.1 + other)]


def _running_statistics(graph: gc.Graph) -> Any:
    mean, x = _state(graph, "mean", (4,)), graph.input("x", (6, 4), "f64")
    now = gc.mean(x, 0)
    return [x - mean, x - now], [(mean, 0.9 * mean + 0.1 * now)]


def _taken_rows(graph: gc.Graph) -> Any:
    a = _state(graph, "a", (5, 4))
    return [], [(a, gc.take(a, [4, 3, 2, 1, 0]))]


def _rows_added(graph: gc.Graph) -> Any:
    """Some of them twice, some never; the old rows are read before."""
    a, x = _state(graph, "a", (9, 7)), graph.input("x", (4, 7), "f64")
    y = gc.tanh(gc.take(a, ROWS)) * x
    return [gc.sum(a, 0)], [(a, a - 0.1 * scatter_add(y, _rows(graph), axis=0, shape=a.shape))]


def _columns_added(graph: gc.Graph) -> Any:
    a, x = _state(graph, "a", (3, 9)), graph.input("x", (3, 4), "f64")
    rate = _state(graph, "rate", ())
    step = rate * scatter_add(x, _rows(graph), axis=1, shape=a.shape)
    return [], [(a, a + step), (rate, rate * 0.9)]


def _rows_added_and_read(graph: gc.Graph) -> Any:
    """The new value is read beside the old one, which may therefore not be overwritten by it."""
    a, x = _state(graph, "a", (9, 7)), graph.input("x", (4, 7), "f64")
    new = a + scatter_add(x, _rows(graph), axis=0, shape=a.shape)
    return [gc.sum(new * a, 0)], [(a, new)]


def _own_rows_added(graph: gc.Graph) -> Any:
    a = _state(graph, "a", (9, 7))
    return [], [(a, index_add(a, a[2:6], _rows(graph), axis=0))]


def _rows_of_another_added(graph: gc.Graph) -> Any:
    a, x = _state(graph, "a", (9, 7)), graph.input("x", (4, 7), "f64")
    b = _state(graph, "b", (9, 7))
    from_a = index_add(a.T, x.T, _rows(graph), axis=1).T
    return [], [(a, index_add(b, x, _rows(graph), axis=0)), (b, from_a)]


def _swap_beside_an_input(graph: gc.Graph) -> Any:
    """One kernel reads both old values, since both updates read x."""
    x = graph.input("x", (5, 7), "f64")
    a, b = _state(graph, "a", (5, 7)), _state(graph, "b", (5, 7))
    return [], [(a, b + x), (b, a + x)]


def _moments_in_finish(graph: gc.Graph) -> Any:
    """Adam's habit: both moments of a bias, and the bias, in the finishing phase."""
    x = graph.input("x", (6, 4), "f64")
    first, second, b = (_state(graph, name, (4,)) for name in ("first", "second", "b"))
    slope = gc.sum(x * b, 0)
    next_first = first * 0.9 + slope
    updates = [(first, next_first), (second, second * 0.5 + first * slope), (b, b - next_first)]
    return [], updates


HELPERS = ("_state", "_check", "_rows", "_fitted")
CASES = [
    value for name, value in globals().items() if name.startswith("_") and callable(value)
    and value.__module__ == __name__ and name not in HELPERS
]  # fmt: skip


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize("declare", CASES, ids=lambda declare: declare.__name__[1:])
def test_updates(declare: Declare, fuse: bool) -> None:
    _check(declare, fuse=fuse)


# Of a matrix of the states and of the input: a row, a column, and more than vectors hold.
SHAPES = ((5, 5), (1, 5), (5, 1), (1, 19), (19, 1), (9, 35))
RANDOM_UPDATES = 90


def random_updates(graph: gc.Graph, seed: int) -> Any:
    """Updates that read each other's states: whole, by column, by row, reversed, transposed and
    reduced, into states of all these shapes, with outputs beside them."""
    rng = np.random.default_rng(seed)
    rows, columns = SHAPES[seed % len(SHAPES)]
    x = graph.input("x", (rows, columns), "f64")
    shapes = [(rows, columns), (rows, columns), (columns,), (rows, 1), (1, columns), (1, 1), ()]
    states = [_state(graph, f"s{i}", shape) for i, shape in enumerate(shapes)]
    values = [x, *states, states[0][::-1], states[1][:, ::-1], gc.softmax(x + states[1])]
    values += [gc.transpose(states[0])] if rows == columns else []
    for _ in range(6):
        one, other = (values[i] for i in rng.integers(0, len(values), 2))
        made = [one + other, one * 0.5 - other, gc.tanh(one * other), gc.maximum(one, other)]
        made += [gc.exp(-gc.abs(one)) * other + states[rng.integers(len(states))]]
        values.append(made[rng.integers(0, len(made))])
    updates = []
    for state in states:
        value = values[rng.integers(1, len(values))]
        value = value + 0.25 * state if rng.random() < 0.5 else value
        updates.append((state, _fitted(value, state.shape)))
    shown = [values[i] for i in rng.integers(1, len(values), rng.integers(0, 3))]
    outputs = [value if rng.random() < 0.5 else gc.sum(value) for value in shown]
    return outputs, updates


def _fitted(value: Any, shape: tuple[int, ...]) -> Any:
    """`value` brought to `shape` by means and broadcasts."""
    missing = len(value.shape) - len(shape)
    axes = [axis for axis in range(missing) if axis >= 0]
    axes += [
        axis for axis in range(max(missing, 0), len(value.shape))
        if shape[axis - missing] == 1 and value.shape[axis] != 1
    ]  # fmt: skip
    total = gc.mean(value, axes, keepdims=True) if axes else value
    kept = total.shape[missing:] if missing > 0 else total.shape
    return gc.broadcast_to(gc.reshape(total, kept), shape)


@pytest.mark.parametrize("seed", range(RANDOM_UPDATES))
def test_random_updates(seed: int) -> None:
    _check(lambda graph: random_updates(graph, seed), fuse=True)


def _writers(function: gc.Function, state: str) -> list[PlannedInstruction]:
    """The instructions that may write the state: those that store an updated value there."""
    plan = function.loaded().plan
    written = {value for value, s in plan.storages.overwritten.items() if s.name == state}
    return [row for row in plan.instructions if row.group and written & set(row.group.outputs)]


IN_PLACE = [
    _product_epilogue_in_place, _new_value, _own_row_sums, _bias_in_finish, _own_column_sums,
    _own_sum, _moments_in_finish, _rows_added, _columns_added,
]  # fmt: skip
COPIED = [
    _own_transpose, _own_symmetric_part, _own_first_row, _own_square, _own_product_with_epilogue,
    _product_epilogue_transposed, _product_epilogue_first_row, _rows_added_and_read,
    _own_rows_added,
]  # fmt: skip


@pytest.mark.parametrize("declare", IN_PLACE, ids=lambda declare: declare.__name__[1:])
def test_written_in_place(declare: Declare) -> None:
    graph = gc.Graph()
    outputs, updates = declare(graph)
    function = gc.function(list(graph.inputs.values()), outputs, updates)
    (state, _) = updates[0]
    (writer,) = _writers(function, state.name)
    reads_itself = any(s.name == state.name for s in writer.source.arguments)
    assert reads_itself and "copy" not in writer.name


@pytest.mark.parametrize("declare", COPIED, ids=lambda declare: declare.__name__[1:])
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
    a, b, c = _state(graph, "a", (5, 4)), _state(graph, "b", (4,)), _state(graph, "c", (3,))
    d = _state(graph, "d", (5, 4))
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
    place, other = graph.variable("place", 1), _state(graph, "other", (3,))
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
