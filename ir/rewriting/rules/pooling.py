"""Rules of windows that lie side by side, as those of pooling do: no element is of two of them.

What such windows hand back is the input's own elements, with axes split, among zeros for those that
no window holds. Zeros are drawn out of what is made of them, up to a sum or a product, which skips
them; so are axes that are joined, so that the derivative of pooling and the masks beside it run in
one loop.
"""

from __future__ import annotations

import math

from graphc.ir.dims import Dim, Extent
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Scalar
from graphc.ir.ops import contract
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions.reduce import sum_
from graphc.ir.ops.windows import add_windows, reach
from graphc.ir.rewriting.match import is_constant, operand_of
from graphc.ir.rewriting.rewrite import CHOICE_ULPS, SUM_ULPS, Rule, rule
from graphc.ir.rewriting.rules.windows import part_of_windows, windows_of_rows
from graphc.ir.types import Shape, static_shape

# Runs of axes that are joined, each run one axis.
Runs = tuple[tuple[int, ...], ...]


@rule(add_windows, ulps=CHOICE_ULPS)
def add_windows_apart(node: Node) -> Node | None:
    """add_windows(x) = embed(reshape(x)) where windows lie side by side

    The right-hand side keeps the sign of a zero, to which the left adds 0.0.
    """
    (x,) = node.operands
    shape: list[Extent] = list(node.shape)
    slid = zip(*(node.attributes[key] for key in ("axes", "strides", "dilations")), strict=True)
    for number, (axis, stride, dilation) in enumerate(slid):
        positions, size = x.shape[axis + number : axis + number + 2]
        if not isinstance(positions, int) or not isinstance(size, int):
            return None
        if stride != reach(size, dilation) or (size > 1 and dilation > 1):
            return None
        shape[axis] = positions * size
    return _embedded(build.reshape(x, tuple(shape)), node.shape)


def _embedded(x: Node, shape: Shape) -> Node:
    """x from the first element on, zeros behind it."""
    if x.shape == shape:
        return x
    return movement.embed(x, shape=shape, starts=(0,) * x.rank, steps=(1,) * x.rank)


# --- zeros -----------------------------------------------------------------------------------


@rule(ops.where)
def draw_out_zeros(node: Node) -> Node | None:
    """where(c, embed(x), 0) = embed(where(slice(c), x, 0))"""
    chosen, spread, zero = node.operands
    x = operand_of(spread, movement.embed)
    if x is None or chosen.shape != spread.shape or not is_constant(zero, 0.0):
        return None
    starts, steps = spread.attributes["starts"], spread.attributes["steps"]
    part = movement.slice_(chosen, starts=starts, counts=x.shape, steps=steps)
    return movement.embed(ops.where(part, x, zero), **spread.attributes)


@rule(movement.embed)
def embed_of_embedded(node: Node) -> Node | None:
    """embed(embed(x)) = embed(x)"""
    x = operand_of(node.operands[0], movement.embed)
    if x is None:
        return None
    inner = node.operands[0].attributes
    outer = node.attributes
    pairs = list(zip(outer["starts"], outer["steps"], inner["starts"], inner["steps"], strict=True))
    return movement.embed(
        x,
        shape=node.shape,
        starts=tuple(start + step * first for start, step, first, _ in pairs),
        steps=tuple(step * each for _, step, _, each in pairs),
    )


@rule(sum_, ulps=SUM_ULPS)
def sum_of_embedded(node: Node) -> Node | None:
    """sum(embed(x), axes) = embed(sum(x, axes)), or sum(x, axes) where other axes have no zeros"""
    (spread,) = node.operands
    x = operand_of(spread, movement.embed)
    if x is None:
        return None
    axes = node.attributes["axes"]
    total = sum_(x, axes=axes)
    if total.shape == node.shape:
        return total
    starts, steps = list(spread.attributes["starts"]), list(spread.attributes["steps"])
    for axis in axes:
        starts[axis], steps[axis] = 0, 1
    return movement.embed(total, shape=node.shape, starts=tuple(starts), steps=tuple(steps))


@rule(contract.matmul, ulps=SUM_ULPS)
def product_with_embedded(node: Node) -> Node | None:
    """transpose(windows(x)) @ embed(y) = transpose(windows(slice(x))) @ y, rows of matrices

    The derivative by a convolution's kernel, where the next layer takes part of the results alone:
    products with zeros are left out.
    """
    rows, ct = node.operands
    spread = operand_of(ct, movement.reshape)
    y = None if spread is None else operand_of(spread, movement.embed)
    if spread is None or y is None or dict(node.attributes) != _BY_ROWS or ct.rank != 2:
        return None
    slid = windows_of_rows(rows, spread.rank - 2)
    if slid is None or spread.shape[:-1] != (slid.shape[0], *slid.shape[1:-1:2]):
        return None
    ends = all(y.shape[axis] == spread.shape[axis] for axis in (0, -1))
    if not ends or any(step != 1 for step in spread.attributes["steps"]):
        return None
    less = part_of_windows(slid, spread.attributes["starts"], y.shape)
    return contract.matmul(less, build.reshape(y, (-1, y.shape[-1])), **node.attributes)


_BY_ROWS = {"transpose_x": True, "transpose_y": False}

# --- axes that are joined --------------------------------------------------------------------


def _joined(node: Node) -> tuple[Node, Runs] | None:
    """x of a reshape that joins neighbouring axes of x, and which of them each of its axes is."""
    x = operand_of(node, movement.reshape)
    if x is None or not 0 < node.rank < x.rank or 0 in x.shape:
        return None
    if any(isinstance(extent, Dim) for extent in x.shape):
        return None
    runs: list[tuple[int, ...]] = []
    extents, at = static_shape(x.shape), 0
    for extent in static_shape(node.shape):
        first = at
        while math.prod(extents[first:at]) < extent:
            at += 1
        if math.prod(extents[first:at]) != extent:
            return None
        runs.append(tuple(range(first, at)))
    # Axes of one element at the end are of the last run.
    runs[-1] = (*runs[-1], *range(at, x.rank))
    return x, tuple(runs)


@rule(ops.where)
def draw_out_joined(node: Node) -> Node | None:
    """where(c, reshape(x), 0) = reshape(where(reshape(c), x, 0)) where the reshape joins axes of x

    A mask is stored by the forward pass and may be read along any axes. So what is made of x before
    and behind is one kernel.
    """
    chosen, whole, zero = node.operands
    found = _joined(whole)
    if found is None or chosen.shape != node.shape or not is_constant(zero, 0.0):
        return None
    x, _ = found
    if not isinstance(x.op.lowering, Scalar):
        return None
    return build.reshape(ops.where(build.reshape(chosen, x.shape), x, zero), node.shape)


@rule(sum_, ulps=SUM_ULPS)
def sum_of_joined(node: Node) -> Node | None:
    """sum(reshape(x), axes) = reshape(sum(x, axes of these)) where the reshape joins axes of x"""
    (whole,) = node.operands
    found = _joined(whole)
    if found is None:
        return None
    x, runs = found
    if not isinstance(x.op.lowering, Scalar):
        return None
    axes = tuple(each for axis in node.attributes["axes"] for each in runs[axis])
    return build.reshape(sum_(x, axes=axes), node.shape)


RULES: tuple[Rule, ...] = (
    add_windows_apart,
    draw_out_zeros,
    embed_of_embedded,
    sum_of_embedded,
    product_with_embedded,
    draw_out_joined,
    sum_of_joined,
)
