"""Rules of shapes: views of views, broadcasts that an elementwise op does by itself, transposes.

They move elements and change none. `transpose_of_matmul`, `sum_of_sum` and
`sum_all_reshaped` may change the order in which a reduction takes the same terms.
"""

from __future__ import annotations

import numpy as np

from graphc.ir.functions import build
from graphc.ir.graph import Node, are_same
from graphc.ir.nodes.lowering import Scalar
from graphc.ir.nodes.op import Op
from graphc.ir.ops import OPS, contract
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions import reduce
from graphc.ir.rewriting.match import constant_value, is_prefixed, operand_of
from graphc.ir.rewriting.rewrite import SUM_ULPS, Rule, rule
from graphc.ir.types import Shape, broadcast_shapes

# A copy is there to be one, of all elements.
_ELEMENTWISE: tuple[Op, ...] = tuple(
    op for op in OPS.values() if isinstance(op.lowering, Scalar) and op is not ops.copy
)


@rule(*_ELEMENTWISE)
def draw_out_broadcast(node: Node) -> Node | None:
    """f(broadcast_to(x), y) = broadcast_to(f(x, y)), or f(x, y) where y has the shape

    Elementwise ops broadcast by themselves, and fewer elements are computed.
    """
    if not any(x.op is movement.broadcast_to for x in node.operands):
        return None
    plain = [x.operands[0] if x.op is movement.broadcast_to else x for x in node.operands]
    value = node.op(*plain, **node.attributes)
    assert value.shape == broadcast_shapes([x.shape for x in plain])
    return build.broadcast_to(value, node.shape)


# --- views -----------------------------------------------------------------------------------


@rule(movement.reshape)
def reshape_to_own_shape(node: Node) -> Node | None:
    """reshape(x, shape of x) = x"""
    (x,) = node.operands
    return x if x.shape == node.shape else None


@rule(movement.reshape)
def reshape_reshaped(node: Node) -> Node | None:
    """reshape(reshape(x)) = reshape(x)"""
    x = operand_of(node.operands[0], movement.reshape)
    return None if x is None else build.reshape(x, node.shape)


@rule(movement.reshape)
def reshape_prefix(node: Node) -> Node | None:
    """reshape(x, (1, ..., *shape of x)) = broadcast_to(x), which elementwise ops do not need"""
    (x,) = node.operands
    if node.rank > x.rank and is_prefixed(node.shape, x.shape):
        return movement.broadcast_to(x, shape=node.shape)
    return None


@rule(movement.reshape)
def reshape_prefixed(node: Node) -> Node | None:
    """reshape(broadcast_to(x, (1, ..., *shape of x))) = reshape(x)"""
    x = operand_of(node.operands[0], movement.broadcast_to)
    if x is not None and is_prefixed(node.operands[0].shape, x.shape):
        return build.reshape(x, node.shape)
    return None


@rule(movement.reshape, movement.transpose, movement.slice_)
def move_filled(node: Node) -> Node | None:
    """move(broadcast_to(one element)) = broadcast_to(one element) for reshape, transpose, slice"""
    x = operand_of(node.operands[0], movement.broadcast_to)
    if x is None or any(extent != 1 for extent in x.shape):
        return None
    return build.broadcast_to(build.reshape(x, ()), node.shape)


@rule(movement.broadcast_to)
def broadcast_to_own_shape(node: Node) -> Node | None:
    """broadcast_to(x, shape of x) = x"""
    (x,) = node.operands
    return x if x.shape == node.shape else None


@rule(movement.broadcast_to)
def broadcast_broadcast(node: Node) -> Node | None:
    """broadcast_to(broadcast_to(x)) = broadcast_to(x)"""
    x = operand_of(node.operands[0], movement.broadcast_to)
    return None if x is None else movement.broadcast_to(x, shape=node.shape)


@rule(movement.transpose)
def transpose_transposed(node: Node) -> Node | None:
    """transpose(transpose(x)) = transpose(x), or x where the axes stand as they did"""
    x = operand_of(node.operands[0], movement.transpose)
    if x is None:
        return None
    inner = node.operands[0].attributes["axes"]
    return build.transpose(x, tuple(inner[axis] for axis in node.attributes["axes"]))


@rule(movement.transpose)
def transpose_in_order(node: Node) -> Node | None:
    """transpose(x, (0, 1, ...)) = x"""
    (x,) = node.operands
    return x if node.attributes["axes"] == tuple(range(x.rank)) else None


@rule(movement.slice_)
def slice_whole(node: Node) -> Node | None:
    """slice(x, all of x) = x"""
    (x,) = node.operands
    whole = {"starts": (0,) * x.rank, "counts": x.shape, "steps": (1,) * x.rank}
    return x if dict(node.attributes) == whole else None


@rule(movement.concatenate)
def concatenate_one(node: Node) -> Node | None:
    """concatenate(x) = x"""
    return node.operands[0] if len(node.operands) == 1 else None


# --- matrix products -------------------------------------------------------------------------


@rule(contract.matmul)
def transpose_into_matmul(node: Node) -> Node | None:
    """matmul(transpose(x), y) = matmul[transpose_x](x, y);  the same for y"""
    flags = dict(node.attributes)
    operands = list(node.operands)
    for position, flag in enumerate(("transpose_x", "transpose_y")):
        if _swaps_last_two(operands[position]):
            operands[position] = operands[position].operands[0]
            flags[flag] = not flags[flag]
    return None if are_same(operands, node.operands) else contract.matmul(*operands, **flags)


@rule(movement.transpose, ulps=SUM_ULPS)
def transpose_of_matmul(node: Node) -> Node | None:
    """transpose(matmul(x, y)) = matmul(transpose(y), transpose(x))

    The same products, summed along the same axis.
    """
    (product,) = node.operands
    if product.op is not contract.matmul or not _swaps_last_two(node):
        return None
    x, y = product.operands
    return contract.matmul(
        y,
        x,
        transpose_x=not product.attributes["transpose_y"],
        transpose_y=not product.attributes["transpose_x"],
    )


def _swaps_last_two(node: Node) -> bool:
    if node.op is not movement.transpose or node.rank < 2:
        return False
    in_order = tuple(range(node.rank))
    return bool(node.attributes["axes"] == (*in_order[:-2], in_order[-1], in_order[-2]))


# --- rows of a product, split into several axes ------------------------------------------------

# Values behind a product, at most, among which it is looked for.
LONGEST_EPILOGUE = 16


@rule(*_ELEMENTWISE)
def draw_out_split_rows(node: Node) -> Node | None:
    """f(reshape(x @ y), z) = reshape(f(x @ y, reshape(z))) where the reshape splits rows alone

    z is an element, a row, or itself reshaped. So f is part of the product's kernel, as where the
    rows are the positions of a convolution. x @ y may be elementwise ops of a product. An update of
    a state, which is not reshaped, stays: its kernel stores where the state stands.
    """
    split = next((x for x in node.operands if _is_split_product(x, node.shape)), None)
    if split is None:
        return None
    (product,) = split.operands
    row = product.shape[1:]
    plain = []
    for x in node.operands:
        if x.shape == node.shape and x.op is movement.reshape:
            plain.append(build.reshape(x.operands[0], product.shape))
        elif all(extent == 1 for extent in x.shape):
            plain.append(build.reshape(x, ()))
        elif x.shape[-1:] == row and all(extent == 1 for extent in x.shape[:-1]):
            plain.append(build.reshape(x, row))
        else:
            return None
    return build.reshape(node.op(*plain, **node.attributes), node.shape)


def _is_split_product(node: Node, shape: Shape) -> bool:
    """Whether `node`, of `shape`, is a product or what is made of one, with its rows split."""
    x = operand_of(node, movement.reshape)
    if x is None or node.shape != shape or not _has_rows_split(node, x):
        return False
    waiting = [x]
    for _ in range(LONGEST_EPILOGUE):
        if not waiting:
            break
        x = waiting.pop()
        if x.op is contract.matmul:
            return True
        if isinstance(x.op.lowering, Scalar):
            waiting += [y for y in x.operands if y.shape == x.shape]
    return False


def _has_rows_split(node: Node, x: Node) -> bool:
    """Whether `node`, a reshaped x, has the rows of the matrix x as several axes."""
    return x.rank == 2 and node.rank > 2 and node.shape[-1] == x.shape[-1]


# --- reductions ------------------------------------------------------------------------------


@rule(reduce.sum_, ulps=SUM_ULPS)
def sum_of_split_rows(node: Node) -> Node | None:
    """sum(reshape(x), all axes but the last) = reshape(sum(x, rows)) where it splits rows alone"""
    (split,) = node.operands
    x = operand_of(split, movement.reshape)
    if x is None or not _has_rows_split(split, x):
        return None
    if node.attributes["axes"] != tuple(range(split.rank - 1)):
        return None
    return build.reshape(reduce.sum_(x, axes=(0,)), node.shape)


_EXTREMES = (reduce.max_, reduce.min_, reduce.greatest, reduce.least)


@rule(*_EXTREMES)
def extreme_of_single(node: Node) -> Node | None:
    """max(x over axes of extent 1) = x + 0.0, which is 0.0 for -0.0;  the same for min

    greatest and least, whose zeros have any sign, give x itself.
    """
    (x,) = node.operands
    return _extreme_of_one(node, x) if x.shape == node.shape else None


def _extreme_of_one(node: Node, x: Node) -> Node:
    """What the extreme `node` gives where x is the only element."""
    return reduce.without_negative_zero(x) if node.op in (reduce.max_, reduce.min_) else x


@rule(reduce.sum_, ulps=SUM_ULPS)
def sum_of_sum(node: Node) -> Node | None:
    """sum(sum(x, axes a), axes b) = sum(x, axes a and b)"""
    (inner,) = node.operands
    if inner.op is not reduce.sum_:
        return None
    axes = {*inner.attributes["axes"], *node.attributes["axes"]}
    return reduce.sum_(inner.operands[0], axes=tuple(sorted(axes)))


@rule(reduce.sum_, ulps=SUM_ULPS)
def sum_all_reshaped(node: Node) -> Node | None:
    """sum(reshape(x), all axes) = reshape(sum(x, all axes))"""
    x = operand_of(node.operands[0], movement.reshape)
    if x is None or node.attributes["axes"] != tuple(range(node.rank)):
        return None
    return build.reshape(reduce.sum_(x, axes=tuple(range(x.rank))), node.shape)


@rule(*_EXTREMES)
def extreme_of_filled(node: Node) -> Node | None:
    """max(broadcast_to(one element)) = broadcast_to(one element + 0.0);  the same for min"""
    x = operand_of(node.operands[0], movement.broadcast_to)
    if x is None or any(extent != 1 for extent in x.shape):
        return None
    return build.broadcast_to(_extreme_of_one(node, build.reshape(x, ())), node.shape)


@rule(reduce.sum_)
def sum_of_filled(node: Node) -> Node | None:
    """sum(broadcast_to(c)) = n * c for a constant c of which n can be added without rounding"""
    (filled,) = node.operands
    x = operand_of(filled, movement.broadcast_to)
    value = None if x is None else constant_value(x)
    count = _elements(filled.shape, node.attributes["axes"])
    if value is None or count is None or not node.dtype.is_float:
        return None
    if not np.isfinite(value):
        return None
    steps = abs(float(value).as_integer_ratio()[0]) * count
    if steps > 2 ** np.finfo(node.dtype.numpy).nmant:
        return None
    total = value * count + 0.0  # a sum begins at 0 and is never -0.0
    return build.broadcast_to(node.graph.constant(total, node.dtype), node.shape)


def _elements(shape: Shape, axes: tuple[int, ...]) -> int | None:
    """How many elements a reduction over `axes` combines; None while a dimension is open."""
    count = 1
    for axis in axes:
        extent = shape[axis]
        if not isinstance(extent, int):
            return None
        count *= extent
    return count


RULES: tuple[Rule, ...] = (
    draw_out_broadcast,
    reshape_to_own_shape,
    reshape_reshaped,
    reshape_prefix,
    reshape_prefixed,
    move_filled,
    broadcast_to_own_shape,
    broadcast_broadcast,
    transpose_transposed,
    transpose_in_order,
    slice_whole,
    concatenate_one,
    transpose_into_matmul,
    transpose_of_matmul,
    extreme_of_single,
    sum_of_sum,
    sum_all_reshaped,
    extreme_of_filled,
    sum_of_filled,
)

# Behind all others, once losses and activations are found in what was written: between the ops that
# these are written in a reshape would hide them.
SPLIT_ROW_RULES: tuple[Rule, ...] = (draw_out_split_rows, sum_of_split_rows)
