"""Derivatives of many slices of one tensor: what regions add up to, and how much is made for it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.derive.autodiff import gradients, vector_jacobian_product
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, topological
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.text.parsing import parse_program, print_program
from tests.ir.evaluation import assert_slope, differences, value_at

Index = tuple[int | slice, ...]

SEEDS = 300


def _random_index(rng: random.Random, shape: tuple[int, ...], steps: tuple[int, ...]) -> Index:
    index: list[int | slice] = []
    for extent in shape:
        kind = rng.random()
        if kind < 0.3:
            index.append(slice(None))
        elif kind < 0.6:
            index.append(rng.randrange(-extent, extent))
        else:
            first, last = (rng.choice((None, rng.randint(-extent, extent))) for _ in range(2))
            index.append(slice(first, last, rng.choice(steps)))
    return tuple(index)


def _sliced(x: Node, indices: list[Index], rng: np.random.Generator) -> tuple[Node, Any]:
    """The cotangent of x for random ones of its slices, and what it is."""
    parts = [x[index] for index in indices]
    values = [rng.standard_normal(part.shape) for part in parts]
    constants = [x.graph.constant(value, "f64") for value in values]
    (ct,) = vector_jacobian_product(parts, constants, [x])
    wanted = np.zeros(x.shape)
    for index, value in zip(indices, values, strict=True):
        wanted[index] += value
    return ct, wanted


@pytest.mark.parametrize("steps", [(1,), (2,), (-1, 1), (-3, -2, -1, 1, 2, 3)])
def test_slices_of_any_kind(steps: tuple[int, ...]) -> None:
    for seed in range(SEEDS):
        rng = random.Random(seed)
        shape = tuple(rng.choice((1, 2, 3, 5, 6, 7)) for _ in range(rng.randint(1, 3)))
        x = Graph().input("x", shape, "f64")
        indices = [_random_index(rng, shape, steps) for _ in range(rng.randint(1, 9))]
        ct, wanted = _sliced(x, indices, np.random.default_rng(seed))
        found = value_at(ct, {x: np.zeros(shape)})
        np.testing.assert_allclose(found, wanted, atol=1e-12, err_msg=f"{seed}: {indices}")


KINDS: dict[str, Callable[[int], list[Index]]] = {
    "rows": lambda count: [(t,) for t in range(count)],
    "middle axis": lambda count: [(slice(None), t) for t in range(count)],
    "last axis": lambda count: [(slice(0, 2), slice(t, t + 1)) for t in range(count)],
    "backwards": lambda count: [(slice(t, None if t == 0 else t - 1, -1),) for t in range(count)],
    "pairs that overlap": lambda count: [(slice(t, t + 2),) for t in range(count - 1)],
    "windows": lambda count: [(slice(None), slice(t, t + 3)) for t in range(count - 2)],
    "steps": lambda count: [(slice(t, None, count // 4),) for t in range(count // 4)],
    "steps backwards": lambda count: [
        (slice(None), slice(t, None, -count // 4)) for t in range(count - count // 4, count)
    ],
    "points of two axes": lambda count: [(t, (7 * t) % count) for t in range(count)],
    "blocks of two axes": lambda count: [
        (slice(t, t + count // 4), slice(u, u + 2))
        for t in range(0, count, count // 4)
        for u in range(0, count, 2)
    ],
    "every other row": lambda count: [(t,) for t in range(0, count, 2)],
    "one row again and again": lambda count: [(1,)] * count,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_made_grows_with_the_tensor(kind: str) -> None:
    """Not with the tensor times the number of its slices."""
    for count in (16, 64):
        x = Graph().input("x", (count, count, 3), "f64")
        ct, wanted = _sliced(x, KINDS[kind](count), np.random.default_rng(0))
        assert value_at(ct, {x: np.zeros(x.shape)}) == pytest.approx(wanted)
        made = [n for n in topological([ct]) if n.op is not movement.broadcast_to and n.operands]
        assert sum(node.type.size for node in made) <= 8 * x.type.size
        assert len(made) <= 8 * len(KINDS[kind](count))


def _ops_of(node: Node) -> list[str]:
    return [each.op.name for each in topological([node]) if each.operands]


def test_disjoint_slices_are_one_concatenation() -> None:
    graph = Graph()
    z = graph.input("z", ("batch", 12))
    gates = [z[:, start : start + 3] for start in range(0, 12, 3)]
    cts = [graph.input(f"ct{number}", ("batch", 3)) for number in range(4)]
    (ct,) = vector_jacobian_product(gates, cts, [z])
    assert ct.op is movement.concatenate
    assert [x is y for x, y in zip(ct.operands, cts, strict=True)] == [True] * 4
    assert ct.shape == z.shape


def test_a_lone_slice_is_embedded() -> None:
    graph = Graph()
    x, ct = graph.input("x", (5, 4)), graph.input("ct", (2, 4))
    (made,) = vector_jacobian_product([x[1:3]], [ct], [x])
    assert _ops_of(made) == ["embed"]


def test_slices_that_overlap_are_added_where_they_do() -> None:
    graph = Graph()
    x = graph.input("x", (1000,))
    cts = [graph.input(f"ct{number}", (3,)) for number in range(3)]
    slices = [x[10:13], x[12:15], x[500:503]]
    (ct,) = vector_jacobian_product(slices, cts, [x])
    sums = [node for node in topological([ct]) if node.op is ops.add]
    assert [node.shape for node in sums] == [(5,)]


def _value_of_slices(x: Node) -> Node:
    """Slices of slices, in steps, backwards, that overlap, beside the whole."""
    cut = x[:, 1:5]
    parts = [x[0], x[1, ::-1], x[:, 2], x[1:, 5], cut[0, ::2], cut[2, 1:], x[::2, 1:4]]
    total = build.sum(ops.tanh(x))
    for number, part in enumerate(parts):
        total = total + build.sum(ops.exp(part * (0.3 + 0.1 * number)))
    return total


def test_slices_beside_the_whole_and_second_derivatives() -> None:
    x = Graph().input("x", (3, 6), "f64")
    at = {x: np.random.default_rng(0).uniform(-1, 1, x.shape)}
    value = _value_of_slices(x)
    (slope,) = gradients(value, [x])
    assert_slope(value_at(slope, at), differences(value, x, at))
    curved = build.sum(slope * slope)
    (second,) = gradients(curved, [x])
    assert_slope(value_at(second, at), differences(curved, x, at))


def test_what_is_not_finite_stays_in_its_region() -> None:
    graph = Graph()
    x = graph.input("x", (4, 3))
    parts = [x[0], x[2], x[1:3]]
    given = [np.full(3, np.nan), np.full(3, np.inf), np.ones((2, 3))]
    cts = [graph.constant(value, "f32") for value in given]
    (ct,) = vector_jacobian_product(parts, cts, [x])
    found = value_at(ct, {x: np.zeros((4, 3), "f4")})
    np.testing.assert_array_equal(found[:, 0], [np.nan, 1, np.inf, 0])


def test_empty_slices_add_nothing() -> None:
    x = Graph().input("x", (4, 3))
    parts = [x[2:2], x[1], x[:, 3:]]
    cts = [build.broadcast_to(x.graph.constant(1.0), part.shape) for part in parts]
    (ct,) = vector_jacobian_product(parts, cts, [x])
    np.testing.assert_array_equal(value_at(ct, {x: np.zeros((4, 3), "f4")})[:, 0], [0, 1, 0, 0])
    (none,) = vector_jacobian_product(parts[:1], cts[:1], [x])
    assert not value_at(none, {x: np.zeros((4, 3), "f4")}).any()


def test_the_text_form_reads_back() -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 7, 2))
    total = sum((gc.sum(gc.tanh(x[:, t]) * t) for t in range(1, 7)), gc.sum(x[:, ::2]))
    program = gc.function([x], gc.grad(total, x)).program
    assert parse_program(print_program(program)) == program
