"""Updates that read each other's states in every way, and themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.ops.movement.indexed import index_add, scatter_add

ROWS = [5, 0, 5, 8]
Declare = Callable[[gc.Graph], tuple[Any, list[tuple[Any, Any]]]]


def state_of(graph: gc.Graph, name: str, shape: tuple[int, ...]) -> Any:
    rng = np.random.default_rng(len(graph.states) + 1)
    return graph.variable(name, rng.uniform(-1, 1, shape), shape, "f64")


def rows_of(graph: gc.Graph) -> Any:
    return graph.constant(ROWS, "i64")


def swap(graph: gc.Graph) -> Any:
    a, b = state_of(graph, "a", (5, 7)), state_of(graph, "b", (5, 7))
    return [], [(a, b), (b, a)]


def rotate(graph: gc.Graph) -> Any:
    a, b, c = (state_of(graph, name, (9,)) for name in "abc")
    return [a + b], [(a, b), (b, c), (c, a)]


def rotate_changed(graph: gc.Graph) -> Any:
    a, b, c = (state_of(graph, name, (9,)) for name in "abc")
    return [], [(a, b * 2), (b, c + a), (c, a - 1)]


def fibonacci(graph: gc.Graph) -> Any:
    a, b = state_of(graph, "a", ()), state_of(graph, "b", ())
    return [a], [(a, b), (b, a + b)]


def read_elsewhere_transposed(graph: gc.Graph) -> Any:
    a, b = state_of(graph, "a", (6, 6)), state_of(graph, "b", (6, 6))
    return [gc.sum(a.T * b, 0)], [(a, a * 0.5 + 1), (b, a.T)]


def own_transpose(graph: gc.Graph) -> Any:
    a = state_of(graph, "a", (6, 6))
    return [], [(a, a.T + 1)]


def own_symmetric_part(graph: gc.Graph) -> Any:
    a = state_of(graph, "a", (6, 6))
    return [], [(a, (a + a.T) * 0.5)]


def own_reversed(graph: gc.Graph) -> Any:
    a = state_of(graph, "a", (11,))
    return [], [(a, a[::-1] * 2)]


def own_shifted(graph: gc.Graph) -> Any:
    a = state_of(graph, "a", (11,))
    return [], [(a, a + gc.concatenate([a[1:], a[:1]]))]


def own_first_row(graph: gc.Graph) -> Any:
    """Every row needs the first one, which is overwritten first."""
    a = state_of(graph, "a", (5, 4))
    return [], [(a, a - a[0])]


def own_first_column(graph: gc.Graph) -> Any:
    a = state_of(graph, "a", (5, 4))
    return [], [(a, a - a[:, :1])]


def own_sum(graph: gc.Graph) -> Any:
    a = state_of(graph, "a", (5, 4))
    return [], [(a, a / gc.sum(gc.square(a)))]


def own_row_sums(graph: gc.Graph) -> Any:
    a = state_of(graph, "a", (5, 40))
    return [], [(a, gc.softmax(a) + a)]


def own_column_sums(graph: gc.Graph) -> Any:
    a = state_of(graph, "a", (40, 5))
    return [], [(a, a - gc.mean(a, 0))]


def own_outer(graph: gc.Graph) -> Any:
    """A vector against itself as a column."""
    a, b = state_of(graph, "a", (6,)), state_of(graph, "b", (6, 6))
    return [], [(b, gc.reshape(a, (6, 1)) * a + b), (a, gc.sum(b, 0) * 0.1 + a)]


def own_square(graph: gc.Graph) -> Any:
    a = state_of(graph, "a", (6, 6))
    return [], [(a, a @ a)]


def own_product_with_epilogue(graph: gc.Graph) -> Any:
    a, x = state_of(graph, "a", (6, 6)), graph.input("x", (6, 6), "f64")
    return [], [(a, a - 0.1 * (a @ x))]


def product_epilogue_in_place(graph: gc.Graph) -> Any:
    a, x = state_of(graph, "a", (6, 6)), graph.input("x", (6, 6), "f64")
    return [], [(a, a - 0.1 * (x @ x))]


def product_epilogue_transposed(graph: gc.Graph) -> Any:
    a, x = state_of(graph, "a", (6, 6)), graph.input("x", (6, 6), "f64")
    return [], [(a, a.T - 0.1 * (x @ x))]


def product_epilogue_first_row(graph: gc.Graph) -> Any:
    a, x = state_of(graph, "a", (6, 6)), graph.input("x", (6, 6), "f64")
    return [], [(a, a[:1] - 0.1 * (x @ x))]


def old_value(graph: gc.Graph) -> Any:
    a = state_of(graph, "a", (5, 4))
    return [a, a.T, gc.sum(a)], [(a, a * 2)]


def new_value(graph: gc.Graph) -> Any:
    a = state_of(graph, "a", (5, 4))
    new = a * 2 + 1
    return [new, new.T, a], [(a, new)]


def same_new_value(graph: gc.Graph) -> Any:
    a, b, c = (state_of(graph, name, (5, 4)) for name in "abc")
    new = gc.tanh(a + b)
    return [new], [(a, new), (b, new), (c, new)]


def update_with_view(graph: gc.Graph) -> Any:
    a, b = state_of(graph, "a", (5, 4)), state_of(graph, "b", (4, 5))
    return [], [(a, gc.exp(b).T), (b, gc.reshape(a + 1, (4, 5)))]


def update_with_broadcast(graph: gc.Graph) -> Any:
    a, b = state_of(graph, "a", (5, 4)), state_of(graph, "b", (4,))
    return [], [(a, gc.broadcast_to(b * 2, (5, 4))), (b, a[0])]


def update_with_constant(graph: gc.Graph) -> Any:
    a, b = state_of(graph, "a", (3,)), state_of(graph, "b", ())
    return [a + b], [(a, graph.constant([1, 2, 3], "f64")), (b, graph.constant(5, "f64"))]


def update_with_itself(graph: gc.Graph) -> Any:
    a = state_of(graph, "a", (3,))
    return [a], [(a, a)]


def update_with_input(graph: gc.Graph) -> Any:
    a, x = state_of(graph, "a", (3,)), graph.input("x", (3,), "f64")
    return [a], [(a, x)]


def update_with_sum(graph: gc.Graph) -> Any:
    a, x = state_of(graph, "a", (1, 4)), graph.input("x", (6, 4), "f64")
    return [gc.sum(x)], [(a, gc.sum(x, 0, keepdims=True))]


def bias_in_finish(graph: gc.Graph) -> Any:
    """Its gradient is a sum over all rows, in which it is read."""
    b, x = state_of(graph, "b", (7,)), graph.input("x", (9, 7), "f64")
    value = gc.tanh(x + b)
    return [gc.sum(value)], [(b, b - 0.1 * gc.sum(value * (x - b), 0))]


def bias_read_after_its_sum(graph: gc.Graph) -> Any:
    b, x = state_of(graph, "b", (7,)), graph.input("x", (9, 7), "f64")
    total = gc.sum(x + b, 0)
    return [total * b, gc.sum(b)], [(b, b - 0.1 * total)]


def scalar_rate(graph: gc.Graph) -> Any:
    rate, a = state_of(graph, "rate", ()), state_of(graph, "a", (5, 4))
    return [rate * a], [(a, a - rate * gc.cos(a)), (rate, rate * 0.9)]


def own_along_another_axis(graph: gc.Graph) -> Any:
    """Every row reads all elements of the state, of which it makes one."""
    a, x = state_of(graph, "a", (6,)), graph.input("x", (6, 6), "f64")
    return [], [(a, gc.sum(x * a, 1) * 0.5)]


def read_again_in_a_later_pass(graph: gc.Graph) -> Any:
    """A row's second pass makes the new value, and its third what is read of the old one."""
    a, x = state_of(graph, "a", (5, 40)), graph.input("x", (5, 40), "f64")
    new = a - gc.max(a + x, 1, keepdims=True)
    return [(a + x) / gc.sum(gc.abs(new), 1, keepdims=True)], [(a, new)]


def read_again_for_what_a_later_pass_needs(graph: gc.Graph) -> Any:
    """The pass behind the new value computes again what it needs, from the old one."""
    a, x = state_of(graph, "a", (5, 40)), graph.input("x", (5, 40), "f64")
    value = (a + x) * 2
    new = x - gc.max(value, 1, keepdims=True)
    return [value / gc.sum(gc.abs(new), 1, keepdims=True)], [(a, new)]


def reversed_and_read_again_after_a_sum(graph: gc.Graph) -> Any:
    """What the sum over all rows needs of other elements of the state is needed after it too."""
    b, x = state_of(graph, "b", (7,)), graph.input("x", (9, 7), "f64")
    other = b[::-1] * 2
    return [], [(b, gc.sum(x * other, 0) * 0.1 + other)]


def running_statistics(graph: gc.Graph) -> Any:
    mean, x = state_of(graph, "mean", (4,)), graph.input("x", (6, 4), "f64")
    now = gc.mean(x, 0)
    return [x - mean, x - now], [(mean, 0.9 * mean + 0.1 * now)]


def taken_rows(graph: gc.Graph) -> Any:
    a = state_of(graph, "a", (5, 4))
    return [], [(a, gc.take(a, [4, 3, 2, 1, 0]))]


def rows_added(graph: gc.Graph) -> Any:
    """Some of them twice, some never; the old rows are read before."""
    a, x = state_of(graph, "a", (9, 7)), graph.input("x", (4, 7), "f64")
    y = gc.tanh(gc.take(a, ROWS)) * x
    return [gc.sum(a, 0)], [(a, a - 0.1 * scatter_add(y, rows_of(graph), axis=0, shape=a.shape))]


def columns_added(graph: gc.Graph) -> Any:
    a, x = state_of(graph, "a", (3, 9)), graph.input("x", (3, 4), "f64")
    rate = state_of(graph, "rate", ())
    step = rate * scatter_add(x, rows_of(graph), axis=1, shape=a.shape)
    return [], [(a, a + step), (rate, rate * 0.9)]


def rows_added_and_read(graph: gc.Graph) -> Any:
    """The new value is read beside the old one, which may therefore not be overwritten by it."""
    a, x = state_of(graph, "a", (9, 7)), graph.input("x", (4, 7), "f64")
    new = a + scatter_add(x, rows_of(graph), axis=0, shape=a.shape)
    return [gc.sum(new * a, 0)], [(a, new)]


def own_rows_added(graph: gc.Graph) -> Any:
    a = state_of(graph, "a", (9, 7))
    return [], [(a, index_add(a, a[2:6], rows_of(graph), axis=0))]


def rows_of_another_added(graph: gc.Graph) -> Any:
    a, x = state_of(graph, "a", (9, 7)), graph.input("x", (4, 7), "f64")
    b = state_of(graph, "b", (9, 7))
    from_a = index_add(a.T, x.T, rows_of(graph), axis=1).T
    return [], [(a, index_add(b, x, rows_of(graph), axis=0)), (b, from_a)]


def swap_beside_an_input(graph: gc.Graph) -> Any:
    """One kernel reads both old values, since both updates read x."""
    x = graph.input("x", (5, 7), "f64")
    a, b = state_of(graph, "a", (5, 7)), state_of(graph, "b", (5, 7))
    return [], [(a, b + x), (b, a + x)]


def moments_in_finish(graph: gc.Graph) -> Any:
    """Adam's habit: both moments of a bias, and the bias, in the finishing phase."""
    x = graph.input("x", (6, 4), "f64")
    first, second, b = (state_of(graph, name, (4,)) for name in ("first", "second", "b"))
    slope = gc.sum(x * b, 0)
    next_first = first * 0.9 + slope
    updates = [(first, next_first), (second, second * 0.5 + first * slope), (b, b - next_first)]
    return [], updates


HELPERS = ("state_of", "rows_of", "fitted", "random_updates")
CASES = [
    value for name, value in globals().items()
    if callable(value) and getattr(value, "__module__", None) == __name__ and name not in HELPERS
]  # fmt: skip


# Of a matrix of the states and of the input: a row, a column, and more than vectors hold.
SHAPES = ((5, 5), (1, 5), (5, 1), (1, 19), (19, 1), (9, 35))
# The first third is in `make test`, the others in `make test-long`.
RANDOM_UPDATES = [
    *range(30),
    *(pytest.param(seed, marks=pytest.mark.long) for seed in range(30, 90)),
]


def random_updates(graph: gc.Graph, seed: int) -> Any:
    """Updates that read each other's states: whole, by column, by row, reversed, transposed and
    reduced, into states of all these shapes, with outputs beside them."""
    rng = np.random.default_rng(seed)
    rows, columns = SHAPES[seed % len(SHAPES)]
    x = graph.input("x", (rows, columns), "f64")
    shapes = [(rows, columns), (rows, columns), (columns,), (rows, 1), (1, columns), (1, 1), ()]
    states = [state_of(graph, f"s{i}", shape) for i, shape in enumerate(shapes)]
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
        updates.append((state, fitted(value, state.shape)))
    shown = [values[i] for i in rng.integers(1, len(values), rng.integers(0, 3))]
    outputs = [value if rng.random() < 0.5 else gc.sum(value) for value in shown]
    return outputs, updates


def fitted(value: Any, shape: tuple[int, ...]) -> Any:
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
