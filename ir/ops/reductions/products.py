"""The product of elements, and of all but one of them, which its derivative is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.dims import Dim, Extent
from graphc.ir.errors import ShapeError
from graphc.ir.nodes.attributes import AXIS
from graphc.ir.nodes.lowering import Composite
from graphc.ir.nodes.op import Array, Op
from graphc.ir.ops.elementwise.elementwise import equal, where
from graphc.ir.ops.movement import movement
from graphc.ir.ops.movement.merging import merge
from graphc.ir.ops.reductions.reduce import reduction, sum_
from graphc.ir.types import TensorType, check_arithmetic, i64


def _vjp_prod(ct: Any, r: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """ct times the product of the other elements, without a quotient: elements may be 0."""
    merged = merge(x, axes)
    return ct * merged.split(product_of_others(merged.value, axis=merged.axis))


prod: Op = reduction("prod", np.prod, "multiply", lambda dtype: 1, vjp=[_vjp_prod])


# --- all but one -----------------------------------------------------------------------------


def _infer(x: TensorType, axis: int) -> TensorType:
    check_arithmetic(x.dtype)
    if not 0 <= axis < x.rank:
        raise ShapeError(f"axis {axis} is outside rank {x.rank}")
    return x


def _reference(result: TensorType, x: Array, axis: int) -> Array:
    """What comes before an element times what comes behind it."""
    first = np.moveaxis(x, axis, 0)
    before, behind = np.ones_like(first), np.ones_like(first)
    before[1:] = np.cumprod(first[:-1], axis=0, dtype=x.dtype)
    behind[:-1] = np.cumprod(first[:0:-1], axis=0, dtype=x.dtype)[::-1]
    return np.moveaxis(before * behind, 0, axis)


def _expand(x: Any, axis: int) -> Any:
    """By halves: what stands beside a pair's product is multiplied with the pair's other element.

    So there are three products an element, no quotient, and as many steps as the extent has binary
    digits. An open extent has no halves.
    """
    extent = x.shape[axis]
    if isinstance(extent, Dim):
        return _expand_open(x, axis)
    if extent == 0:
        return x
    if extent == 1:
        return movement.broadcast_to(x.graph.constant(1, x.dtype), shape=x.shape)
    half = extent // 2
    one, other = _part(x, axis, 0, half), _part(x, axis, half, half)
    pairs = one * other
    if extent % 2:
        pairs = movement.concatenate(pairs, _part(x, axis, 2 * half, 1), axis=axis)
    beside = _expand(pairs, axis)
    rest = [_part(beside, axis, half, 1)] if extent % 2 else []
    beside = _part(beside, axis, 0, half)
    return movement.concatenate(beside * other, beside * one, *rest, axis=axis)


def _expand_open(x: Any, axis: int) -> Any:
    """The product of a row for each element, in which 1 stands in its place."""
    order, rows, itself = _rows_of_others(x, axis)
    last = len(x.shape) - 1
    product = prod(where(itself, 1, rows), axes=(last + 1,))
    product = movement.reshape(product, shape=tuple(x.shape[a] for a in order))
    return movement.transpose(product, axes=movement.inverse_permutation(order))


def _part(x: Any, axis: int, start: int, count: int) -> Any:
    """`count` elements of `x` along `axis`."""
    counts = tuple(count if a == axis else extent for a, extent in enumerate(x.shape))
    starts = tuple(start if a == axis else 0 for a in range(len(x.shape)))
    return movement.slice_(x, starts=starts, counts=counts, steps=(1,) * len(x.shape))


def _rows_of_others(x: Any, axis: int) -> tuple[tuple[int, ...], Any, Any]:
    """The permutation that moves `axis` to the end, x in it as [..., 1, n], and where the rows of
    [n, n] have their own element."""
    order = (*(a for a in range(len(x.shape)) if a != axis), axis)
    moved = movement.transpose(x, axes=order)
    extent: Extent = x.shape[axis]
    rows = movement.reshape(moved, shape=(*moved.shape[:-1], 1, extent))
    column, row = x.graph.iota((extent, 1), i64), x.graph.iota((1, extent), i64)
    return order, rows, equal(column, row)


def _vjp_others(ct: Any, r: Any, x: Any, axis: int) -> Any:
    """sum over i other than k of ct_i times the product of all elements but x_i and x_k

    Each i has a row without x_i, so that time and memory grow with the square of the extent.
    """
    order, rows, itself = _rows_of_others(x, axis)
    last = len(x.shape) - 1
    moved = movement.transpose(ct, axes=order)
    column = movement.reshape(moved, shape=(*moved.shape, 1))
    others = product_of_others(where(itself, 1, rows), axis=last + 1)
    total = sum_(where(itself, 0, column * others), axes=(last,))
    total = movement.reshape(total, shape=moved.shape)
    return movement.transpose(total, axes=movement.inverse_permutation(order))


# prod_{j != i} x_j along an axis
product_of_others: Op = Op(
    "product_of_others",
    arity=1,
    attributes={"axis": AXIS},
    infer=_infer,
    reference=_reference,
    vjp=[_vjp_others],
    lowering=Composite(_expand),
)

OPS = (prod, product_of_others)
