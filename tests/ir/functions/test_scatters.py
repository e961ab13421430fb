"""Derivatives of several lookups in one tensor: one addition of all slices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import Node, topological
from graphc.ir.ops.movement import indexed

SHAPE = (5, 6, 7)


def scatters(value: Node) -> list[Node]:
    return [node for node in topological([value]) if node.op is indexed.scatter_add]


def whole_sums(value: Node, shape: tuple[int, ...]) -> int:
    """How many sums of whole tensors there are."""
    return sum(node.op.name == "add" and node.shape == shape for node in topological([value]))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_lookups_of_any_kind(axis: int, mode: Any) -> None:
    """Of one index and of several axes of them, fixed and open, of both dtypes, counted from the
    end, and beside another use."""
    rng = np.random.default_rng(axis)
    graph = gc.Graph()
    x = graph.input("x", SHAPE, "f64")
    i, j = graph.input("i", ("batch", 2), "i32"), graph.input("j", (), "i64")
    values = {
        "x": rng.normal(size=SHAPE), "i": rng.integers(-5, 5, (3, 2), "i4"), "j": np.int64(4),
    }  # fmt: skip
    chosen = {i: values["i"], j: values["j"], (1, 1, 0): [1, 1, 0], 2: 2, (-1, 3): [-1, 3]}
    loss: Any = gc.sum(x * x * x)
    expected = 3 * values["x"] ** 2
    for weight, (indices, numbers) in enumerate(chosen.items(), 1):
        given = list(indices) if isinstance(indices, tuple) else indices
        loss = loss + gc.sum(weight * gc.square(gc.take(x, given, axis)))
        rows, flat = np.moveaxis(expected, axis, 0), np.ravel(numbers)
        np.add.at(rows, flat, 2 * weight * np.moveaxis(values["x"], axis, 0)[flat])
    slope = gc.grad(loss, x)
    assert len(scatters(slope)) == 1
    found = gc.function([x, i, j], slope, mode=mode)(*values.values())
    np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.parametrize("count", [2, 40])
def test_the_tensor_is_not_added_once_a_lookup(count: int) -> None:
    graph = gc.Graph()
    table = graph.parameter("table", (100, 8))
    tokens = graph.input("tokens", ("batch", count), "i32")
    loss = sum(gc.sum(gc.tanh(table[tokens[:, t]])) for t in range(count))
    slope = gc.grad(loss, table)
    assert len(scatters(slope)) == 1
    assert whole_sums(slope, table.shape) == 0


def test_slices_of_more_elements_than_the_tensor_are_not_copied() -> None:
    graph = gc.Graph()
    table = graph.parameter("table", (10, 8))
    many, few = graph.input("many", (1000,), "i32"), graph.input("few", (3,), "i32")
    loss = gc.sum(gc.tanh(table[many])) + gc.sum(gc.tanh(table[few])) + gc.sum(table[1])
    slope = gc.grad(loss, table)
    assert len(scatters(slope)) == 2


def test_lookups_along_two_axes_stay_apart() -> None:
    graph = gc.Graph()
    x = graph.input("x", (4, 4), "f64")
    loss = gc.sum(gc.take(x, 1, 0) * gc.take(x, 2, 1)) + gc.sum(gc.take(x, [3, 0], 1))
    slope = gc.grad(loss, x)
    assert sorted(node.attributes["axis"] for node in scatters(slope)) == [0, 1]
    value = np.arange(16.0).reshape(4, 4)
    expected = np.zeros((4, 4))
    expected[1] += value[:, 2]
    expected[:, 2] += value[1]
    expected[:, [3, 0]] += 1
    np.testing.assert_array_equal(gc.function([x], slope, mode="reference")(value), expected)
