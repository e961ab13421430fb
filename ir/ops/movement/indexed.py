"""Ops that read or add slices by indices, which are numbers of the run, and the check of these."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.dims import Extent
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.nodes.attributes import AXIS, EXTENT, SHAPE
from graphc.ir.nodes.lowering import Gather, Scalar, Scatter, View
from graphc.ir.nodes.op import Array, NonDifferentiable, Op
from graphc.ir.ops.elementwise.elementwise import equal, where
from graphc.ir.ops.elementwise.elementwise_op import ARITHMETIC
from graphc.ir.ops.movement import movement
from graphc.ir.types import Shape, TensorType, check_arithmetic, i64, static_shape

# --- take and its adjoint --------------------------------------------------------------------


def _infer_take(x: TensorType, indices: TensorType, axis: int) -> TensorType:
    if not indices.dtype.is_integer:
        raise DTypeError(f"integer indices expected, not {indices.dtype}")
    if not 0 <= axis < x.rank:
        raise ShapeError(f"axis {axis} is outside rank {x.rank}")
    return x.with_shape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def _infer_scatter(x: TensorType, indices: TensorType, axis: int, shape: Shape) -> TensorType:
    check_arithmetic(x.dtype)
    taken = _infer_take(x.with_shape(shape), indices, axis)
    if taken != x:
        raise ShapeError(f"slices of {taken} expected")
    return x.with_shape(shape)


def _reference_scatter(
    result: TensorType, x: Array, indices: Array, axis: int, shape: Shape
) -> Array:
    zeros = np.zeros(static_shape(shape), result.dtype.numpy)
    return _reference_index_add(result, zeros, x, indices, axis)


def _indices_first(x: Array, axis: int, index_rank: int) -> Array:
    """`x` with the axes that its indices made, from `axis` on, moved to the front."""
    return np.moveaxis(x, range(axis, axis + index_rank), range(index_rank))


_INDEX = NonDifferentiable("an index is not a continuous number")

take: Op = Op(
    "take",
    arity=2,
    attributes={"axis": AXIS},
    infer=_infer_take,
    reference=lambda result, x, indices, axis: np.take(x, indices, axis),
    vjp=[
        lambda ct, r, x, indices, axis: scatter_add(ct, indices, axis=axis, shape=x.shape),
        _INDEX,
    ],
    lowering=Gather(),
    indices=(1, lambda x, indices, axis: x.shape[axis]),
)

scatter_add: Op = Op(
    "scatter_add",
    arity=2,
    attributes={"axis": AXIS, "shape": SHAPE},
    infer=_infer_scatter,
    reference=_reference_scatter,
    vjp=[lambda ct, r, x, indices, axis, shape: take(ct, indices, axis=axis), _INDEX],
    lowering=Scatter(has_base=False, adds=True),
    indices=(1, lambda x, indices, axis, shape: shape[axis]),
)


def _infer_index_add(base: TensorType, x: TensorType, indices: TensorType, axis: int) -> TensorType:
    if base.dtype != x.dtype:
        raise DTypeError("slices of the base's dtype expected; cast one")
    return _infer_scatter(x, indices, axis, base.shape)


def _reference_index_add(
    result: TensorType, base: Array, x: Array, indices: Array, axis: int
) -> Array:
    value = np.array(base)
    np.add.at(np.moveaxis(value, axis, 0), indices, _indices_first(x, axis, indices.ndim))
    return value


# base + scatter_add(x), each slice of x added in turn.
index_add: Op = Op(
    "index_add",
    arity=3,
    attributes={"axis": AXIS},
    infer=_infer_index_add,
    reference=_reference_index_add,
    vjp=[
        lambda ct, r, base, x, indices, axis: ct,
        lambda ct, r, base, x, indices, axis: take(ct, indices, axis=axis),
        _INDEX,
    ],
    lowering=Scatter(has_base=True, adds=True),
    indices=(2, lambda base, x, indices, axis: base.shape[axis]),
)


def _infer_index_set(base: TensorType, x: TensorType, indices: TensorType, axis: int) -> TensorType:
    if base.dtype != x.dtype:
        raise DTypeError("slices of the base's dtype expected; cast one")
    taken = _infer_take(base, indices, axis)
    if taken != x:
        raise ShapeError(f"slices of {taken} expected")
    return base


def _reference_index_set(
    result: TensorType, base: Array, x: Array, indices: Array, axis: int
) -> Array:
    value = np.array(base)
    rows, slices = np.moveaxis(value, axis, 0), _indices_first(x, axis, indices.ndim)
    for place in np.ndindex(*indices.shape):
        rows[indices[place]] = slices[place]
    return value


def _vjp_base(ct: Any, r: Any, base: Any, x: Any, indices: Any, axis: int) -> Any:
    """The cotangent, but 0 where slices were replaced."""
    zeros = movement.broadcast_to(ct.graph.constant(0, ct.dtype), shape=x.shape)
    return index_set(ct, zeros, indices, axis=axis)


def _vjp_slices(ct: Any, r: Any, base: Any, x: Any, indices: Any, axis: int) -> Any:
    """The cotangent of each slice that was the last one for its index, 0 for the others."""
    number = x.graph.iota(indices.shape, i64)
    none = movement.broadcast_to(x.graph.constant(0, i64), shape=(base.shape[axis],))
    last = take(index_set(none, number, indices, axis=0), indices, axis=0)
    behind = (1,) * (len(x.shape) - axis - len(indices.shape))
    is_last = movement.reshape(equal(last, number), shape=(*indices.shape, *behind))
    return where(is_last, take(ct, indices, axis=axis), 0)


# The base with slices of x in the place of its own, one after the other.
index_set: Op = Op(
    "index_set",
    arity=3,
    attributes={"axis": AXIS},
    infer=_infer_index_set,
    reference=_reference_index_set,
    vjp=[_vjp_base, _vjp_slices, _INDEX],
    lowering=Scatter(has_base=True, adds=False),
    indices=(2, lambda base, x, indices, axis: base.shape[axis]),
)

# --- indices ---------------------------------------------------------------------------------


def _infer_from_front(indices: TensorType, limit: Extent) -> TensorType:
    if not indices.dtype.is_integer:
        raise DTypeError(f"integer indices expected, not {indices.dtype}")
    if isinstance(limit, int) and limit > np.iinfo(indices.dtype.numpy).max:
        raise DTypeError(f"{limit} elements are more than {indices.dtype} holds; cast first")
    return indices


# Indices counted from the front: i, or i + limit for a negative i.
index_from_front: Op = Op(
    "index_from_front",
    arity=1,
    attributes={"limit": EXTENT},
    infer=_infer_from_front,
    reference=lambda result, indices, limit: np.where(
        indices < 0, indices + np.int64(limit), indices
    ).astype(indices.dtype),
    vjp=[_INDEX],
    lowering=Scalar("select({x} < {T}(0), {T}({x} + {T}({limit})), {x})", ARITHMETIC),
)


def as_given(indices: Any, limit: int) -> tuple[Any, int]:
    """What a user gave as `indices` below `limit`, and the least number that it may hold."""
    if indices.op is index_from_front:
        return indices.operands[0], -limit
    return indices, 0


def _infer_in_range(indices: TensorType, limit: Extent) -> TensorType:
    if not indices.dtype.is_integer:
        raise DTypeError(f"integer indices expected, not {indices.dtype}")
    return indices


# The same indices, of which a compiled program has checked that they are at least 0 and below
# `limit`. Its operand is always stored, so that it can be checked before anything reads it.
in_range: Op = Op(
    "in_range",
    arity=1,
    attributes={"limit": EXTENT},
    infer=_infer_in_range,
    reference=lambda result, indices, **_: indices,
    vjp=[_INDEX],
    lowering=View(lambda at, *_, **__: at, lambda *_, **__: None),
    indices=(0, lambda indices, limit: limit),
)

OPS = (take, scatter_add, index_add, index_set, index_from_front, in_range)
