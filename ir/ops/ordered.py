"""Ops in scan order: cumulative ones, and those that sort.

They go along one axis; the elements that share the other indices are a line. What reads or adds up
elements by their places in a line stands here too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.ir.dims import Extent
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.nodes.attributes import AXIS, BOOL, COUNT
from graphc.ir.nodes.lowering import Composite, Cumulative, Sorting
from graphc.ir.nodes.op import Array, NonDifferentiable, Op
from graphc.ir.ops.elementwise.elementwise import cast, stop_gradient
from graphc.ir.ops.elementwise.references import float_of_key, order_key
from graphc.ir.ops.movement.indexed import scatter_add, take
from graphc.ir.ops.movement.movement import broadcast_to, concatenate, reshape, slice_
from graphc.ir.types import Shape, TensorType, check_arithmetic, i64

# --- cumulative ------------------------------------------------------------------------------


def _check_axis(x: TensorType, axis: int) -> None:
    if not 0 <= axis < x.rank:
        raise ShapeError(f"axis {axis} is outside rank {x.rank}")


def _infer_cumulative(x: TensorType, axis: int, reverse: bool = False) -> TensorType:
    check_arithmetic(x.dtype)
    _check_axis(x, axis)
    return x


def _reference_cumsum(result: TensorType, x: Array, axis: int, reverse: bool) -> Array:
    ordered = np.flip(x, axis) if reverse else x
    total = np.cumsum(ordered, axis, dtype=x.dtype)
    return np.flip(total, axis) if reverse else total


# y_i = x_0 + ... + x_i, or x_i + ... + x_(n-1) where it is reversed.
cumsum: Op = Op(
    "cumsum",
    arity=1,
    attributes={"axis": AXIS, "reverse": BOOL},
    infer=_infer_cumulative,
    reference=_reference_cumsum,
    vjp=[lambda ct, r, x, axis, reverse: cumsum(ct, axis=axis, reverse=not reverse)],
    lowering=Cumulative("{carry} + {x}", in_blocks=True),
)


def _shifted(x: Any, axis: int, first: float) -> Any:
    """x_(i-1) along `axis`, and `first` in front: as many elements as x has."""
    shape = tuple(1 if a == axis else extent for a, extent in enumerate(x.shape))
    front = broadcast_to(x.graph.constant(first, x.dtype), shape=shape)
    longer = concatenate(front, x, axis=axis)
    none, ones = (0,) * len(shape), (1,) * len(shape)
    return slice_(longer, starts=none, counts=x.shape, steps=ones)


def _vjp_cumprod(ct: Any, r: Any, x: Any, axis: int) -> Any:
    """x_k has the product of all before it, times the sum over i >= k of ct_i and the product of
    x_(k+1) to x_i: nothing is divided by x_k, which may be 0."""
    return _shifted(r, axis, 1) * linear_recurrence(ct, x, axis=axis, reverse=True)


# y_i = x_0 x_1 ... x_i, one after the other: the product of a block may overflow, where none of
# these does.
cumprod: Op = Op(
    "cumprod",
    arity=1,
    attributes={"axis": AXIS},
    infer=_infer_cumulative,
    reference=lambda result, x, axis: np.cumprod(x, axis, dtype=x.dtype),
    vjp=[_vjp_cumprod],
    lowering=Cumulative("{carry} * {x}", in_blocks=False),
)


def _infer_recurrence(x: TensorType, factors: TensorType, axis: int, reverse: bool) -> TensorType:
    if x != factors:
        raise ShapeError("as many factors as elements expected, of their dtype")
    return _infer_cumulative(x, axis)


def _reference_recurrence(
    result: TensorType, x: Array, factors: Array, axis: int, reverse: bool
) -> Array:
    value = np.array(x)
    lines, links = np.moveaxis(value, axis, 0), np.moveaxis(factors, axis, 0)
    for i in range(1, len(lines)):
        before, here, link = (-i, -i - 1, -i) if reverse else (i - 1, i, i)
        lines[here] += links[link] * lines[before]
    return value


def _vjp_factors(ct: Any, r: Any, x: Any, factors: Any, axis: int, reverse: bool) -> Any:
    """The cotangent of the later element, times the element before it; the first factor has no
    use."""
    adjoint = linear_recurrence(ct, factors, axis=axis, reverse=not reverse)
    if reverse:
        return _shifted(adjoint, axis, 0) * r
    return adjoint * _shifted(r, axis, 0)


# y_i = x_i + factor_i y_(i-1), or reversed y_i = x_i + factor_(i+1) y_(i+1).
linear_recurrence: Op = Op(
    "linear_recurrence",
    arity=2,
    attributes={"axis": AXIS, "reverse": BOOL},
    infer=_infer_recurrence,
    reference=_reference_recurrence,
    vjp=[
        lambda ct, r, x, factors, axis, reverse: linear_recurrence(
            ct, factors, axis=axis, reverse=not reverse
        ),
        _vjp_factors,
    ],
    lowering=Cumulative("{x} + {y} * {carry}", in_blocks=False),
)

# --- elements by their places in a line ------------------------------------------------------


def _infer_take_along(x: TensorType, indices: TensorType, axis: int) -> TensorType:
    if not indices.dtype.is_integer:
        raise DTypeError(f"integer indices expected, not {indices.dtype}")
    _check_axis(x, axis)
    others = (*indices.shape[:axis], *x.shape[axis : axis + 1], *indices.shape[axis + 1 :])
    if others != x.shape:
        raise ShapeError(f"shapes may differ in axis {axis} alone")
    return x.with_shape(indices.shape)


def _flat_places(indices: Any, shape: Shape, axis: int) -> Any:
    """Where the elements that `indices` choose along `axis` stand in row-major order of `shape`."""
    graph, rank = indices.graph, len(shape)
    inside = shape[axis + 1 :]
    place = indices if indices.dtype == i64 else cast(indices, dtype=i64)
    if inside:
        place = place * graph.extent(inside, i64)
        place = place + graph.iota((*(1,) * (rank - len(inside)), *inside), i64)
    if axis:
        line = graph.iota((*shape[:axis], *(1,) * (rank - axis)), i64)
        place = place + line * graph.extent(shape[axis:], i64)
    return place


def _expand_take_along(x: Any, indices: Any, axis: int) -> Any:
    flat = reshape(x, shape=(math.prod(x.shape),))
    return take(flat, _flat_places(indices, x.shape, axis), axis=0)


def _added_along(x: Any, indices: Any, axis: int, shape: Shape) -> Any:
    """Zeros of `shape` to which x's elements are added at the places `indices` along `axis`."""
    flat = scatter_add(x, _flat_places(indices, shape, axis), axis=0, shape=(math.prod(shape),))
    return reshape(flat, shape=shape)


_PLACE = NonDifferentiable("a place is not a continuous number")

take_along_axis: Op = Op(
    "take_along_axis",
    arity=2,
    attributes={"axis": AXIS},
    infer=_infer_take_along,
    reference=lambda result, x, indices, axis: np.take_along_axis(
        x, indices.astype(np.int64), axis
    ),
    vjp=[lambda ct, r, x, indices, axis: _added_along(ct, indices, axis, x.shape), _PLACE],
    lowering=Composite(_expand_take_along),
    indices=(1, lambda x, indices, axis: x.shape[axis]),
)

# --- sorting ---------------------------------------------------------------------------------


def _infer_sort(x: TensorType, axis: int, descending: bool) -> TensorType:
    _check_axis(x, axis)
    return x


def _infer_argsort(x: TensorType, axis: int, descending: bool) -> TensorType:
    _check_axis(x, axis)
    return TensorType(i64, x.shape)


def _infer_top_k(x: TensorType, axis: int, descending: bool, k: int) -> TensorType:
    _check_axis(x, axis)
    extent: Extent = x.shape[axis]
    if k < 0 or (isinstance(extent, int) and k > extent):
        raise ShapeError(
            f"a number from 0 to {extent}, the extent of axis {axis}, expected, not {k}"
        )
    return TensorType(i64, (*x.shape[:axis], k, *x.shape[axis + 1 :]))


def _keys(x: Array, descending: bool) -> Array:
    """Integers whose ascending order is the order that is asked for."""
    key = order_key(x) if x.dtype.kind == "f" else x.astype(np.int64)
    return ~key if descending else key


def _reference_sort(result: TensorType, x: Array, axis: int, descending: bool) -> Array:
    ordered = np.sort(_keys(x, descending), axis)
    key = ~ordered if descending else ordered
    return float_of_key(key) if x.dtype.kind == "f" else key.astype(x.dtype)


def _reference_argsort(
    result: TensorType, x: Array, axis: int, descending: bool, k: int | None = None
) -> Array:
    """Equal elements keep their order, and zeros of both signs are equal."""
    same_zeros = x + x.dtype.type(0) if x.dtype.kind == "f" else x
    places = np.argsort(_keys(same_zeros, descending), axis, kind="stable")
    return places if k is None else np.take(places, range(k), axis)


sort: Op = Op(
    "sort",
    arity=1,
    attributes={"axis": AXIS, "descending": BOOL},
    infer=_infer_sort,
    reference=_reference_sort,
    vjp=[
        lambda ct, r, x, axis, descending: _added_along(
            ct, stop_gradient(argsort(x, axis=axis, descending=descending)), axis, x.shape
        )
    ],
    lowering=Sorting(places=False),
)

argsort: Op = Op(
    "argsort",
    arity=1,
    attributes={"axis": AXIS, "descending": BOOL},
    infer=_infer_argsort,
    reference=_reference_argsort,
    vjp=[_PLACE],
    lowering=Sorting(places=True),
)

# The first `k` of argsort.
top_k: Op = Op(
    "top_k",
    arity=1,
    attributes={"axis": AXIS, "descending": BOOL, "k": COUNT},
    infer=_infer_top_k,
    reference=_reference_argsort,
    vjp=[_PLACE],
    lowering=Sorting(places=True),
)

OPS = (cumsum, cumprod, linear_recurrence, take_along_axis, sort, argsort, top_k)
