"""Loops, indices and expressions of kernels, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node
from graphc.ir.nodes.lowering import Strided
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.reductions.reduce import greatest
from graphc.ir.types import DType, bool_, f32, f64, i32, i64
from graphc.kernels.loops.language.expressions import (
    Element,
    Expression,
    Name,
    applied,
    expression_text,
)
from graphc.kernels.loops.language.indices import index_expression
from graphc.kernels.loops.language.scalar import number, scalar_expression
from graphc.kernels.loops.language.source import KernelSource, kernel_digest
from graphc.kernels.loops.language.statements import Block, Comment, assigned
from graphc.kernels.nests.access import (
    Access,
    Loop,
    access_along,
    merge_axes,
    place_in_memory,
)
from graphc.kernels.nests.domain import common_domain
from graphc.kernels.nests.loopnest import LoopNest, Phase, Reduces, plan_loops
from graphc.kernels.nests.names import Names
from graphc.kernels.nests.node_kinds import viewed
from graphc.kernels.nests.refusal import NoLoops, Refusal
from tests.small_kernels import small_kernel

J = ("j", "j1", "j2")


# --- indices ---------------------------------------------------------------------------------


def _index_text(access: Access, loops: Sequence[Loop]) -> str:
    return expression_text(index_expression(access, loops))


def test_contiguous_axes_are_one_loop() -> None:
    accesses = [Access("x", 0, (12, 4, 1)), Access("y", 5, (24, 8, 2))]
    (loop,) = merge_axes((0, 1, 2), (2, 3, 4), accesses, J)
    assert (loop.extent, loop.axes) == (24, (0, 1, 2))
    assert [_index_text(access, [loop]) for access in accesses] == ["j", "j * 2 + 5"]


def test_a_transposed_access_keeps_axes_apart() -> None:
    accesses = [Access("x", 0, (3, 1)), Access("y", 0, (1, 2))]
    loops = merge_axes((0, 1), (2, 3), accesses, J)
    assert [loop.extent for loop in loops] == [2, 3]
    assert [_index_text(access, loops) for access in accesses] == ["j * 3 + j1", "j + j1 * 2"]


def test_a_broadcast_axis_merges_only_with_its_like() -> None:
    accesses = [Access("x", 0, (12, 4, 1)), Access("y", 0, (0, 0, 1))]
    loops = merge_axes((0, 1, 2), (2, 3, 4), accesses, J)
    assert [loop.axes for loop in loops] == [(0, 1), (2,)]


def test_an_axis_whose_index_is_a_value_stays_alone() -> None:
    """A column's number steps along one axis alone; a row-major number along both evenly."""
    stored, column, number = (Access("x", 0, strides) for strides in ((3, 1), (0, 1), (3, 1)))
    assert [loop.axes for loop in merge_axes((0, 1), (2, 3), [stored, column], J)] == [(0,), (1,)]
    assert [loop.axes for loop in merge_axes((0, 1), (2, 3), [stored, number], J)] == [(0, 1)]


def test_index_of_one_element() -> None:
    assert _index_text(Access("x", 0, (0,)), [Loop("j", 5, (0,))]) == "0"
    assert _index_text(Access("x", 7, (3,)), [Loop("j", 1, (0,))]) == "7"
    assert _index_text(Access("x", 4, (-1,)), [Loop("j", 5, (0,))]) == "j * -1 + 4"


def test_access_adds_strides_of_axes_on_one_loop() -> None:
    assert access_along("x", Strided(2, (5, 1)), (0, 0), 2) == Access("x", 2, (6, 0))
    assert access_along("x", Strided(2, (5, 1)), (None, 1), 2) == Access("x", 2, (0, 1))


@pytest.mark.parametrize("seed", range(30))
def test_place_of_views_is_numpys(seed: int) -> None:
    """Strides of a random chain of views, against the same chain in numpy."""
    rng = np.random.default_rng(seed)
    node = base = Graph().input("x", (4, 6, 5), f64)
    array = memory = np.arange(120.0).reshape(4, 6, 5)
    for _ in range(5):
        kind = rng.integers(4)
        if kind == 0:
            axes = tuple(int(axis) for axis in rng.permutation(node.rank))
            node, array = build.transpose(node, axes), array.transpose(axes)
        elif kind == 1 and array.size:
            node, array = node[::-1], array[::-1]
        elif kind == 2:
            node, array = node[..., ::2], array[..., ::2]
        elif node.rank < 5:
            node, array = build.expand(node, 0, 3), np.broadcast_to(array, (3, *array.shape))
    assert viewed(node) is base
    place = place_in_memory(node)
    assert place is not None
    address = array.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
    assert place.offset == address // 8
    for extent, stride, expected in zip(array.shape, place.strides, array.strides, strict=True):
        assert extent == 1 or stride == expected // 8


# --- loops -----------------------------------------------------------------------------------


def _nest(*results: Node) -> LoopNest | Refusal:
    """The loops for all computed nodes below `results`, which are stored."""
    nodes = [n for n in results[0].graph.nodes if n.operands and viewed(n) is n]
    return plan_loops(tuple(nodes), [viewed(result) for result in results])


def _planned(*results: Node) -> LoopNest:
    nest = _nest(*results)
    assert isinstance(nest, LoopNest), nest
    return nest


def test_softmax_runs_over_its_rows_three_times() -> None:
    x = Graph().input("x", (8, 16), f32)
    e = ops.exp(x - build.reshape(greatest(x, axes=(1,)), (8, 1)))
    nest = _planned(e / build.sum(e, 1, keepdims=True))
    assert (nest.outer, nest.inner, nest.passes) == ((0,), (1,), 3)
    assert set(nest.reduces.values()) == {Reduces.ROW}


def test_column_sums_accumulate_over_rows() -> None:
    x = Graph().input("x", (8, 16), f32)
    y = ops.tanh(x)
    nest = _planned(y, build.sum(y, 0, keepdims=True))
    assert nest.passes == 1 and set(nest.reduces.values()) == {Reduces.ROWS}


def test_what_needs_a_sum_over_all_rows_finishes() -> None:
    x = Graph().input("x", (8, 16), f32)
    total = build.sum(x, 0, keepdims=True)
    scaled = total * 0.5
    nest = _planned(scaled)
    assert nest.roles[scaled].phase is Phase.FINISH
    assert nest.roles[total].phase is Phase.MAIN


def test_rows_cannot_wait_for_a_sum_over_all_rows() -> None:
    x = Graph().input("x", (8, 16), f32)
    sums = build.sum(x, 0, keepdims=True)
    other = build.sum(x, 1, keepdims=True)
    assert isinstance(_nest(x * sums, x * other), Refusal)


def test_two_axes_along_one_loop() -> None:
    x = Graph().input("x", (8, 8), f32)
    y = ops.exp(x)
    refusal = common_domain((y, y + build.transpose(y)))
    assert isinstance(refusal, Refusal) and refusal.why is NoLoops.TWO_AXES_IN_ONE


def test_a_reshape_between_nodes_is_refused() -> None:
    y = ops.exp(Graph().input("x", (8, 6), f32))
    refusal = common_domain((y, build.reshape(y, (48,)) * 2))
    assert isinstance(refusal, Refusal) and refusal.why is NoLoops.ORDER_CHANGES


def test_dropping_an_extent_of_one_is_not() -> None:
    total = build.sum(Graph().input("x", (8, 6), f32), 1)
    assert isinstance(_nest(total * 2), LoopNest)


# --- lines -----------------------------------------------------------------------------------


def test_numbers_have_the_kernels_dtype() -> None:
    numbers = [
        (0.5, f32, "f32(0.5)"),
        (float("-inf"), f64, "f64(-inf)"),
        (float("nan"), f32, "f32(nan)"),
        (-3, i32, "i32(-3)"),
        (True, bool_, "True"),
    ]
    for value, dtype, text in numbers:
        assert expression_text(number(value, dtype)) == text


def test_integers_are_cut_back_to_their_width() -> None:
    x = Graph().input("x", (3,), i32)
    y = x.graph.input("y", (3,), f32)
    made = [x + x, ops.maximum(x, x), y + y, build.cast(y, i64)]
    texts = [_scalar_text(node) for node in made]
    assert texts == ["i32(a + b)", "maximum(a, b)", "a + b", "cast_i64(a)"]


def _scalar_text(node: Node) -> str:
    operands = [Name(name) for name, _ in zip("abc", node.operands, strict=False)]
    return expression_text(scalar_expression(node, operands))


def test_names_stay_apart_from_what_source_uses() -> None:
    names = Names({"exp"})
    assert [names.unique(wanted) for wanted in ("exp", "exp", "a b", "for", "3x", "")] == [
        "exp_2", "exp_3", "a_b", "_for", "_3x", "value",
    ]  # fmt: skip


X, Y, Z = map(Name, "xyz")


def _kernel_of_exponential(
    name: str, variable: Name, function: str = "exp", value: float = 1.0, dtype: DType = f32
) -> KernelSource:
    made = applied(function, number(value, dtype))
    return small_kernel(name, Comment(f"of {name}"), assigned(variable, made), buffer=f"{name}_x")


def test_a_digest_leaves_out_names_and_comments() -> None:
    one = kernel_digest(_kernel_of_exponential("first", Y))
    assert one == kernel_digest(_kernel_of_exponential("second", Z))
    changes: list[dict[str, Any]] = [{"function": "log"}, {"value": 2.0}, {"dtype": f64}]
    for changed in changes:
        assert one != kernel_digest(_kernel_of_exponential("first", Y, **changed))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Y - Z, Z - Y),
        (Y, Z),
        (Element(Y, Z), Element(Z, Y)),
        (Name("thread") * 2, Name("threads") * 2),
        (Y.when(Y.below(Z), Z), Z.when(Y.below(Z), Y)),
    ],
)
def test_a_digest_keeps_different_values_apart(one: Expression, other: Expression) -> None:
    digests = set()
    for value in (one, other):
        block = Block.of(assigned(Y, 1), assigned(Z, 2), assigned(X, value))
        digests.add(kernel_digest(small_kernel("k", *block.whole, buffer="b")))
    assert len(digests) == 2
