"""Products of windows among zeros and what they become: the same values, where the rule fits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.ops import contract, movement
from graphc.ir.ops.windows import add_windows, reach, windows
from graphc.ir.programs.verify import verify
from graphc.ir.reference import run_program
from graphc.ir.rewriting.window_sums import product_of_windows_among_zeros
from graphc.ir.types import DTYPES

BATCH, FILTERS, CHANNELS = 2, 3, 2


@dataclass(frozen=True)
class Slid:
    """Windows over positions among zeros: along each axis positions, zeros before and behind them,
    and elements of a window."""

    positions: tuple[int, ...]
    zeros: tuple[tuple[int, int], ...]
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    is_transposed: bool = False


def full(positions: tuple[int, ...], sizes: tuple[int, ...], dilation: int = 1) -> Slid:
    """With a window at each place that has an element of the positions."""
    before = tuple(reach(size, dilation) - 1 for size in sizes)
    ones = (1,) * len(sizes)
    zeros = tuple((each, each) for each in before)
    return Slid(positions, zeros, sizes, ones, tuple(dilation for _ in sizes))


APPLIES = {
    "image": full((4, 3), (2, 3)),
    "wider_than_the_image": full((1, 2), (3, 5)),
    "volume": full((2, 3, 2), (2, 1, 3)),
    "dilated": full((4, 5), (2, 3), dilation=2),
    "transposed_kernel": replace(full((4, 3), (3, 3)), is_transposed=True),
    "fewer_along_the_other_axis": replace(full((4, 3), (3, 3)), zeros=((1, 0), (2, 2))),
    "strides_along_the_other_axis": replace(full((5, 3), (3, 3)), strides=(2, 1)),
}
STAYS = {
    # Its rows are those of a matrix without a transpose.
    "line": full((5,), (3,)),
    "no_positions": full((3, 0), (2, 3)),
    "same_padding": replace(full((4, 5), (3, 3)), zeros=((1, 1), (1, 1))),
    "no_zeros": replace(full((4, 5), (3, 3)), zeros=((0, 0), (0, 0))),
    "one_element": full((4, 5), (3, 1)),
    "strides": replace(full((4, 5), (3, 3)), strides=(1, 2)),
    "more_zeros_behind": replace(full((4, 5), (3, 3)), zeros=((2, 2), (2, 3))),
}


def _product(graph: Graph, case: Slid, dtype: str) -> Node:
    spatial = len(case.sizes)
    x = graph.input("x", (BATCH, *case.positions, FILTERS), dtype)
    depth = math.prod(case.sizes) * FILTERS
    kernel_shape = (CHANNELS, depth) if case.is_transposed else (depth, CHANNELS)
    kernel = graph.input("kernel", kernel_shape, dtype)
    extents = [n + sum(zeros) for n, zeros in zip(case.positions, case.zeros, strict=True)]
    whole = x
    if any(map(any, case.zeros)):
        starts = (0, *(before for before, _ in case.zeros), 0)
        shape = (BATCH, *extents, FILTERS)
        whole = movement.embed(x, shape=shape, starts=starts, steps=(1,) * len(starts))
    axes = tuple(range(1, spatial + 1))
    slid = windows(
        whole, axes=axes, sizes=case.sizes, strides=case.strides, dilations=case.dilations
    )
    last = 2 * spatial + 1
    apart = (0, *range(1, last, 2), *range(2, last, 2), last)
    rows = build.reshape(build.transpose(slid, apart), (-1, depth))
    return contract.matmul(rows, kernel, transpose_x=False, transpose_y=case.is_transposed)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", APPLIES)
def test_values(name: str, dtype: str) -> None:
    """Of whole numbers, whose sums are exact in any order."""
    graph = Graph()
    node = _product(graph, APPLIES[name], dtype)
    after = product_of_windows_among_zeros.apply(node)
    assert after is not None and after.type == node.type
    program = Program("both", tuple(graph.inputs.values()), (("old", node), ("new", after)), ())
    verify(program)
    rng = np.random.default_rng(3)
    values = {
        each.name: rng.integers(-4, 5, each.type.dims).astype(DTYPES[dtype].numpy)
        for each in program.inputs
    }
    outputs, _ = run_program(program, values, {})
    np.testing.assert_array_equal(outputs["new"], outputs["old"])


@pytest.mark.parametrize("name", STAYS)
def test_what_stays(name: str) -> None:
    assert product_of_windows_among_zeros.apply(_product(Graph(), STAYS[name], "f32")) is None


def test_no_zero_meets_a_weight_along_the_last_axis() -> None:
    """So an infinite weight makes no NaN there: what it is times an element alone is added up."""
    graph = Graph()
    node = _product(graph, full((2, 2), (1, 2)), "f32")
    after = product_of_windows_among_zeros.apply(node)
    assert after is not None
    program = Program("new", tuple(graph.inputs.values()), (("new", after),), ())
    kernel = np.full((2 * FILTERS, CHANNELS), np.inf, np.float32)
    values = {"x": np.ones((BATCH, 2, 2, FILTERS), np.float32), "kernel": kernel}
    outputs, _ = run_program(program, values, {})
    assert np.isposinf(outputs["new"]).all()


def test_the_sum_is_along_the_last_axis_alone() -> None:
    after = product_of_windows_among_zeros.apply(_product(Graph(), full((4, 3), (2, 3)), "f32"))
    assert after is not None
    (added,) = after.operands
    assert added.op is add_windows and added.attributes["axes"] == (2,)
