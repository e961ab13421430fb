"""What the axes of operands are to a contraction, and what kernels make of it."""

from itertools import product

import pytest

import graphc as gc
from graphc.ir.ops import contract
from graphc.ir.types import f32
from graphc.kernels.groups.contraction_candidate import contraction_candidate
from graphc.kernels.groups.group import ContractionCandidate
from graphc.kernels.nests.node_kinds import contracted_axes, matrix_axes
from graphc.kernels.products.product_nodes import ProductNodes


@pytest.mark.parametrize(("transpose_x", "transpose_y"), tuple(product((False, True), repeat=2)))
def test_free_and_depth_axes_are_the_last_two(transpose_x: bool, transpose_y: bool) -> None:
    graph = gc.Graph()
    x = graph.input("x", (5, 7, 3) if transpose_x else (5, 3, 7), f32)
    y = graph.input("y", (4, 7) if transpose_y else (7, 4), f32)
    made = contract.matmul(x, y, transpose_x=transpose_x, transpose_y=transpose_y)
    left, right = (contracted_axes(made, position) for position in (0, 1))
    assert (left.batch, right.batch) == ((0,), ())
    assert [x.type.dims[axis] for axis in (*left.free, *left.depth)] == [3, 7]
    assert [y.type.dims[axis] for axis in (*right.free, *right.depth)] == [4, 7]
    assert matrix_axes(made, 0) == (left.free, left.depth)
    assert matrix_axes(made, 1) == (right.depth, right.free)

    group = contraction_candidate(ProductNodes(made, (), (made,)))
    assert isinstance(group, ContractionCandidate)
    shape = group.shape
    assert (shape.batch, shape.rows, shape.columns, shape.depth) == ((5,), 3, 4, 7)
    assert (shape.left.row_stride, shape.left.column_stride) == ((1, 3) if transpose_x else (7, 1))
    assert (shape.right.row_stride, shape.right.column_stride) == (
        (1, 7) if transpose_y else (4, 1)
    )
    assert (shape.left.batch_strides, shape.right.batch_strides) == ((21,), (0,))
