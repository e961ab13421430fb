"""Ops that rewriting knows by name and that are expanded into primitives before fusion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ir.dims import Extent
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.nodes.attributes import AXES, AXIS, DTYPE, EXTENT
from graphc.ir.nodes.lowering import Composite
from graphc.ir.nodes.op import Array, NonDifferentiable, Op
from graphc.ir.ops.elementwise.elementwise import (
    absolute,
    cast,
    equal,
    exp,
    log,
    logical_or,
    not_equal,
    stop_gradient,
    where,
)
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions import reduce
from graphc.ir.types import DType, TensorType, bool_, check_arithmetic, i32, i64


def _check_axis(rank: int, axis: int) -> None:
    if not 0 <= axis < rank:
        raise ShapeError(f"axis {axis} is outside rank {rank}")


def _infer_along(x: TensorType, axis: int) -> TensorType:
    if not x.dtype.is_float:
        raise DTypeError(f"f32 or f64 expected, not {x.dtype}; cast first")
    _check_axis(x.rank, axis)
    if x.shape[axis] == 0:
        raise ShapeError(f"axis {axis} is empty")
    return x


def _shifted(x: Array, axis: int) -> tuple[Array, Array]:
    """x - max(x) along `axis`, and its exponential, which cannot overflow."""
    shifted = x - np.max(x, axis=axis, keepdims=True)
    return shifted, np.exp(shifted)


def _reference_softmax(result: TensorType, x: Array, axis: int) -> Array:
    _, e = _shifted(x, axis)
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def _reference_log_softmax(result: TensorType, x: Array, axis: int) -> Array:
    shifted, e = _shifted(x, axis)
    return np.asarray(shifted - np.log(e.sum(axis=axis, keepdims=True)))


def _expand_softmax(x: Any, axis: int) -> Any:
    e = exp(x - reduce.greatest(x, axes=(axis,)))
    return e / reduce.sum_(e, axes=(axis,))


def _expand_log_softmax(x: Any, axis: int) -> Any:
    shifted = x - reduce.greatest(x, axes=(axis,))
    return shifted - log(reduce.sum_(exp(shifted), axes=(axis,)))


softmax: Op = Op(
    "softmax",
    arity=1,
    attributes={"axis": AXIS},
    infer=_infer_along,
    reference=_reference_softmax,
    vjp=[lambda ct, r, x, axis: r * (ct - reduce.sum_(ct * r, axes=(axis,)))],
    lowering=Composite(_expand_softmax),
)

log_softmax: Op = Op(
    "log_softmax",
    arity=1,
    attributes={"axis": AXIS},
    infer=_infer_along,
    reference=_reference_log_softmax,
    vjp=[lambda ct, r, x, axis: ct - softmax(x, axis=axis) * reduce.sum_(ct, axes=(axis,))],
    lowering=Composite(_expand_log_softmax),
)


def _infer_logsumexp(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    if not x.dtype.is_float:
        raise DTypeError(f"f32 or f64 expected, not {x.dtype}; cast first")
    return reduce.greatest.infer(x, axes=axes)


def _reference_logsumexp(result: TensorType, x: Array, axes: tuple[int, ...]) -> Array:
    peak = np.max(x, axis=axes, keepdims=True)
    total = np.log(np.exp(x - peak).sum(axis=axes, keepdims=True)) + peak
    return np.where(np.isinf(peak), peak, total)


def _expand_logsumexp(x: Any, axes: tuple[int, ...]) -> Any:
    """log(sum(exp(x - max(x)))) + max(x), or the maximum where it is infinite."""
    peak = reduce.greatest(x, axes=axes)
    total = log(reduce.sum_(exp(x - peak), axes=axes)) + peak
    return where(equal(absolute(peak), float("inf")), peak, total)


def _vjp_logsumexp(ct: Any, r: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """ct * softmax(x); 0 where x is -inf, and beside an infinite element, which has it all."""
    peak = reduce.greatest(x, axes=axes)
    if len(axes) == 1:
        weight = softmax(x, axis=axes[0])
    else:
        e = exp(x - peak)
        weight = e / reduce.sum_(e, axes=axes)
    finite = where(equal(stop_gradient(x), float("-inf")), 0, ct * weight)
    is_infinite = equal(stop_gradient(r), float("inf"))
    # By the maximum, which r is there: elsewhere no element is r, and a share of none, though not
    # chosen, would make the derivative of this one NaN.
    return where(is_infinite, reduce.route(ct, peak, x, axes), finite)


logsumexp: Op = Op(
    "logsumexp",
    arity=1,
    attributes={"axes": AXES},
    infer=_infer_logsumexp,
    reference=_reference_logsumexp,
    vjp=[_vjp_logsumexp],
    lowering=Composite(_expand_logsumexp),
)


def _infer_place(x: TensorType, axis: int) -> TensorType:
    check_arithmetic(x.dtype)
    _check_axis(x.rank, axis)
    if x.shape[axis] == 0:
        raise ShapeError("an extreme of no elements does not exist")
    return TensorType(i64, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))


def positions(x: Any, axis: int, dtype: DType) -> Any:
    """The index along `axis`, shaped to broadcast against `x`."""
    index = x.graph.iota(x.shape[axis], dtype)
    shape: list[Extent] = [1] * len(x.shape)
    shape[axis] = x.shape[axis]
    return movement.reshape(index, shape=tuple(shape))


def _place_of(name: str, extreme: Op, reference: Callable[..., Array]) -> Op:
    """The least index whose element is `extreme`; the first NaN where there is one."""

    def expand(x: Any, axis: int) -> Any:
        is_extreme = equal(x, extreme(x, axes=(axis,)))
        if x.dtype.is_float:
            is_extreme = logical_or(is_extreme, not_equal(x, x))
        beyond = np.iinfo(np.int32).max
        index = where(is_extreme, positions(x, axis, i32), beyond)
        return cast(reduce.least(index, axes=(axis,)), dtype=i64)

    return Op(
        name,
        arity=1,
        attributes={"axis": AXIS},
        infer=_infer_place,
        reference=lambda result, x, axis: np.expand_dims(reference(x, axis), axis),
        vjp=[NonDifferentiable("an index is not a continuous number")],
        lowering=Composite(expand),
    )


argmax: Op = _place_of("argmax", reduce.greatest, np.argmax)
argmin: Op = _place_of("argmin", reduce.least, np.argmin)


def _countable(labels: Any) -> Any:
    """The labels in a dtype that holds every position that they are compared with."""
    return labels if labels.dtype.has_arithmetic else cast(labels, dtype=i32)


def _infer_one_hot(labels: TensorType, depth: Extent, dtype: DType) -> TensorType:
    if not labels.dtype.is_integer:
        raise DTypeError(f"integer labels expected, not {labels.dtype}")
    if isinstance(depth, int) and depth < 1:
        raise ShapeError(f"a depth of at least 1 expected, not {depth}")
    return TensorType(dtype, (*labels.shape, depth))


def _reference_one_hot(result: TensorType, labels: Array, depth: int, dtype: DType) -> Array:
    return np.asarray(labels[..., None] == np.arange(depth), dtype=dtype.numpy)


def _expand_one_hot(labels: Any, depth: Extent, dtype: DType) -> Any:
    counted = _countable(labels)
    column = movement.reshape(counted, shape=(*labels.shape, 1))
    return cast(equal(column, labels.graph.iota(depth, counted.dtype)), dtype=dtype)


one_hot: Op = Op(
    "one_hot",
    arity=1,
    attributes={"depth": EXTENT, "dtype": DTYPE},
    infer=_infer_one_hot,
    reference=_reference_one_hot,
    vjp=[NonDifferentiable("a label is not a continuous number")],
    lowering=Composite(_expand_one_hot),
    indices=(0, lambda labels, depth, dtype: depth),
)


def _infer_pick(x: TensorType, labels: TensorType) -> TensorType:
    if not labels.dtype.is_integer:
        raise DTypeError(f"integer labels expected, not {labels.dtype}")
    if x.rank < 1 or x.shape[:-1] != labels.shape:
        raise ShapeError("a label for each position before the last axis expected")
    return x.with_shape(labels.shape)


def _reference_pick(result: TensorType, x: Array, labels: Array) -> Array:
    return np.take_along_axis(x, labels[..., None].astype(np.int64), -1)[..., 0]


def _expand_pick(x: Any, labels: Any) -> Any:
    counted = _countable(labels)
    column = movement.reshape(counted, shape=(*labels.shape, 1))
    is_chosen = equal(column, positions(x, x.rank - 1, counted.dtype))
    # All others are the least number: the greatest is an element of x, the sign of a zero included.
    number = x if x.dtype.has_arithmetic else cast(x, dtype=i32)
    others = where(is_chosen, number, reduce.lowest(number.dtype))
    picked = movement.reshape(reduce.greatest(others, axes=(x.rank - 1,)), shape=labels.shape)
    return picked if picked.dtype == x.dtype else cast(picked, dtype=x.dtype)


def _vjp_pick(ct: Any, r: Any, x: Any, labels: Any) -> Any:
    column = movement.reshape(ct, shape=(*ct.shape, 1))
    return where(one_hot(labels, depth=x.shape[-1], dtype=bool_), column, 0)


pick: Op = Op(
    "pick",
    arity=2,
    attributes={},
    infer=_infer_pick,
    reference=_reference_pick,
    vjp=[_vjp_pick, NonDifferentiable("a label is not a continuous number")],
    lowering=Composite(_expand_pick),
    indices=(1, lambda x, labels: x.shape[-1]),
)

OPS = (softmax, log_softmax, logsumexp, argmax, argmin, one_hot, pick)
