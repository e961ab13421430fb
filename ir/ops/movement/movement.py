"""Movement ops: the same elements elsewhere. Most are views; the others copy."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from graphc.ir.dims import Dim, Extent, is_natural
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.nodes.attributes import AXIS, ORDER, PLACES, SHAPE, STEPS
from graphc.ir.nodes.lowering import Assemble, Digit, Digits, RegionCopy, Strided, View
from graphc.ir.nodes.op import Array, Op
from graphc.ir.types import (
    Shape,
    TensorType,
    broadcast_shapes,
    row_major_strides,
    shape_text,
    static_shape,
)

# --- reshape ---------------------------------------------------------------------------------


def _infer_reshape(x: TensorType, shape: Shape) -> TensorType:
    if math.prod(x.shape) != math.prod(shape):
        raise ShapeError(f"cannot become {shape_text(shape)}: another number of elements")
    return x.with_shape(shape)


def _place_reshape(
    at: Strided, operand: TensorType, result: TensorType, shape: Shape
) -> Strided | None:
    """Strides of the result where each of its axes divides or joins axes of the operand.

    Axes are taken in groups of equal numbers of elements; the operand's axes of a group must be
    contiguous among themselves. Axes of extent 1 have any stride.
    """
    old = [(e, s) for e, s in zip(operand.dims, at.strides, strict=True) if e != 1]
    new = [e for e in result.dims if e != 1]
    if operand.size == 0:
        return Strided(at.offset, row_major_strides(result.dims))
    strides: list[int] = []
    while new:
        group, joined, split = [old.pop(0)], 1, [new.pop(0)]
        joined = group[0][0]
        made = split[0]
        while joined != made:
            if joined < made:
                group.append(old.pop(0))
                joined *= group[-1][0]
            else:
                split.append(new.pop(0))
                made *= split[-1]
        for (_, outer), (extent, inner) in itertools.pairwise(group):
            if outer != extent * inner:
                return None
        innermost = group[-1][1]
        strides += [stride * innermost for stride in row_major_strides(split)]
    taken = iter(strides)
    return Strided(at.offset, tuple(0 if e == 1 else next(taken) for e in result.dims))


def _digits_reshape(
    at: Digits, operand: TensorType, result: TensorType, shape: Shape
) -> Digits | None:
    """The same digits in other axes; one is split where an axis ends inside of it."""
    left = [digit for axis in at.axes for digit in axis]
    axes: list[tuple[Digit, ...]] = []
    for extent in result.dims:
        taken: list[Digit] = []
        while extent > 1:
            if not left:
                return None
            digit = left.pop(0)
            if digit.extent > extent:
                inner, rest = divmod(digit.extent, extent)
                if rest:
                    return None
                left.insert(0, Digit(inner, digit.stride))
                digit = Digit(extent, digit.stride * inner)
            if extent % digit.extent:
                return None
            taken.append(digit)
            extent //= digit.extent
        axes.append(tuple(taken))
    return Digits(at.offset, tuple(axes))


def _axes_reshape(operand: TensorType, result: TensorType, shape: Shape) -> tuple[int, ...] | None:
    """Known where the reshape only adds and drops extents of 1."""
    kept = [axis for axis, extent in enumerate(result.shape) if extent != 1]
    if [e for e in operand.shape if e != 1] != [result.shape[axis] for axis in kept]:
        return None
    taken = iter(kept)
    return tuple(next(taken) if extent != 1 else 0 for extent in operand.shape)


reshape: Op = Op(
    "reshape",
    arity=1,
    attributes={"shape": SHAPE},
    infer=_infer_reshape,
    reference=lambda result, x, shape: x.reshape(static_shape(shape)),
    vjp=[lambda ct, r, x, shape: reshape(ct, shape=x.shape)],
    lowering=View(_place_reshape, _axes_reshape, digits=_digits_reshape),
)

# --- transpose -------------------------------------------------------------------------------


def _infer_transpose(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    if sorted(axes) != list(range(x.rank)):
        raise ShapeError(f"axes {axes} are no permutation of the {x.rank} axes")
    return x.with_shape(tuple(x.shape[axis] for axis in axes))


def _place_transpose(
    at: Strided, operand: TensorType, result: TensorType, axes: tuple[int, ...]
) -> Strided:
    return Strided(at.offset, tuple(at.strides[axis] for axis in axes))


def _digits_transpose(
    at: Digits, operand: TensorType, result: TensorType, axes: tuple[int, ...]
) -> Digits:
    return Digits(at.offset, tuple(at.axes[axis] for axis in axes))


def inverse_permutation(axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axes.index(position) for position in range(len(axes)))


transpose: Op = Op(
    "transpose",
    arity=1,
    attributes={"axes": ORDER},
    infer=_infer_transpose,
    reference=lambda result, x, axes: x.transpose(axes),
    vjp=[lambda ct, r, x, axes: transpose(ct, axes=inverse_permutation(axes))],
    lowering=View(
        _place_transpose,
        lambda operand, result, axes: inverse_permutation(axes),
        digits=_digits_transpose,
    ),
)

# --- broadcast_to ----------------------------------------------------------------------------


def _infer_broadcast(x: TensorType, shape: Shape) -> TensorType:
    if broadcast_shapes([x.shape, shape]) != shape:
        raise ShapeError(f"does not stretch to {shape_text(shape)}")
    return x.with_shape(shape)


def _place_broadcast(at: Strided, operand: TensorType, result: TensorType, shape: Shape) -> Strided:
    new_axes = result.rank - operand.rank
    kept = (
        0 if extent == 1 else stride
        for extent, stride in zip(operand.dims, at.strides, strict=True)
    )
    return Strided(at.offset, (*(0,) * new_axes, *kept))


def _axes_broadcast(operand: TensorType, result: TensorType, shape: Shape) -> tuple[int, ...]:
    return tuple(axis + result.rank - operand.rank for axis in range(operand.rank))


broadcast_to: Op = Op(
    "broadcast_to",
    arity=1,
    attributes={"shape": SHAPE},
    infer=_infer_broadcast,
    reference=lambda result, x, shape: np.broadcast_to(x, static_shape(shape)),
    vjp=[lambda ct, r, x, shape: ct],
    lowering=View(_place_broadcast, _axes_broadcast),
)

# --- slice and its adjoint -------------------------------------------------------------------


def _infer_slice(x: TensorType, starts: Shape, counts: Shape, steps: tuple[int, ...]) -> TensorType:
    """Axis a reads `starts[a] + steps[a] * i` for i below `counts[a]`."""
    if not len(starts) == len(counts) == len(steps) == x.rank:
        raise ShapeError(f"a start, count and step for each of {x.rank} axes expected")
    for extent, start, count, step in zip(x.shape, starts, counts, steps, strict=True):
        _check_range(extent, start, count, step)
    return x.with_shape(counts)


def _check_range(extent: Extent, start: Extent, count: Extent, step: int) -> None:
    if isinstance(extent, Dim) or isinstance(start, Dim) or isinstance(count, Dim):
        if step != 1 or not (is_natural(start) and is_natural(extent - start - count)):
            open_one = next(each for each in (extent, start, count) if isinstance(each, Dim))
            raise ShapeError(
                f"dimension {open_one} is open and can only be taken whole, or from and to where "
                "it surely has elements"
            )
        return
    last = start + (count - 1) * step
    if step == 0 or (count > 0 and not (0 <= start < extent and 0 <= last < extent)):
        raise ShapeError(f"elements {start} to {last} do not lie in an extent of {extent}")


def _place_slice(
    at: Strided,
    operand: TensorType,
    result: TensorType,
    starts: tuple[int, ...],
    counts: Shape,
    steps: tuple[int, ...],
) -> Strided:
    if result.size == 0:
        return Strided(at.offset, at.strides)
    offset = sum(start * stride for start, stride in zip(starts, at.strides, strict=True))
    strides = tuple(step * stride for step, stride in zip(steps, at.strides, strict=True))
    return Strided(at.offset + offset, strides)


def _region(starts: tuple[int, ...], counts: Shape, steps: tuple[int, ...]) -> Any:
    """The numpy index of a slice; index arrays, since a negative step may pass the front."""
    return np.ix_(
        *(
            start + step * np.arange(count)
            for start, count, step in zip(starts, static_shape(counts), steps, strict=True)
        )
    )


def _reference_slice(
    result: TensorType, x: Array, starts: tuple[int, ...], counts: Shape, steps: tuple[int, ...]
) -> Array:
    return x[_region(starts, counts, steps)] if x.ndim else x


slice_: Op = Op(
    "slice",
    arity=1,
    attributes={"starts": PLACES, "counts": SHAPE, "steps": STEPS},
    infer=_infer_slice,
    reference=_reference_slice,
    vjp=[
        lambda ct, r, x, starts, counts, steps: embed(ct, shape=x.shape, starts=starts, steps=steps)
    ],
    lowering=View(_place_slice, lambda operand, result, **_: None),
)


def _infer_embed(x: TensorType, shape: Shape, starts: Shape, steps: tuple[int, ...]) -> TensorType:
    _infer_slice(x.with_shape(shape), starts, x.shape, steps)
    return x.with_shape(shape)


def _reference_embed(
    result: TensorType, x: Array, shape: Shape, starts: tuple[int, ...], steps: tuple[int, ...]
) -> Array:
    value = np.zeros(static_shape(shape), result.dtype.numpy)
    value[_region(starts, x.shape, steps) if x.ndim else ()] = x
    return value


def _regions_embed(
    result: TensorType,
    operands: tuple[TensorType, ...],
    shape: Shape,
    starts: tuple[int, ...],
    steps: tuple[int, ...],
) -> tuple[RegionCopy, ...]:
    whole = Strided(0, row_major_strides(result.dims))
    region = _place_slice(whole, result, operands[0], starts, operands[0].shape, steps)
    return (RegionCopy(0, region),)


embed: Op = Op(
    "embed",
    arity=1,
    attributes={"shape": SHAPE, "starts": PLACES, "steps": STEPS},
    infer=_infer_embed,
    reference=_reference_embed,
    vjp=[
        lambda ct, r, x, shape, starts, steps: slice_(
            ct, starts=starts, counts=x.shape, steps=steps
        )
    ],
    lowering=Assemble(_regions_embed, zero_first=True),
)

# --- concatenate -----------------------------------------------------------------------------


def _infer_concatenate(*types: TensorType, axis: int) -> TensorType:
    if not types:
        raise ShapeError("at least one operand expected")
    first = types[0]
    if not 0 <= axis < first.rank:
        raise ShapeError(f"axis {axis} is outside rank {first.rank}")
    for operand in types:
        if operand.dtype != first.dtype:
            raise DTypeError("operands of one dtype expected; cast one")
        if operand.with_shape(_without(operand.shape, axis)) != first.with_shape(
            _without(first.shape, axis)
        ):
            raise ShapeError(f"shapes may differ in axis {axis} alone")
    total = _starts(types, axis)[-1]
    return first.with_shape((*first.shape[:axis], total, *first.shape[axis + 1 :]))


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def _starts(types: tuple[TensorType, ...], axis: int) -> Shape:
    """Where along `axis` each operand begins, and where the last one ends."""
    return tuple(itertools.accumulate((x.shape[axis] for x in types), initial=0))


def _regions_concatenate(
    result: TensorType, operands: tuple[TensorType, ...], axis: int
) -> tuple[RegionCopy, ...]:
    strides = row_major_strides(result.dims)
    return tuple(
        RegionCopy(number, Strided(start * strides[axis], strides))
        for number, start in enumerate(static_shape(_starts(operands, axis)[:-1]))
    )


def _vjp_concatenate(ct: Any, r: Any, *operands: Any, axis: int, position: int) -> Any:
    start = _starts(tuple(x.type for x in operands), axis)[position]
    shape = operands[position].shape
    return slice_(
        ct,
        starts=tuple(start if a == axis else 0 for a in range(len(shape))),
        counts=shape,
        steps=(1,) * len(shape),
    )


concatenate: Op = Op(
    "concatenate",
    arity=None,
    attributes={"axis": AXIS},
    infer=_infer_concatenate,
    reference=lambda result, *operands, axis: np.concatenate(operands, axis),
    vjp=[_vjp_concatenate],
    lowering=Assemble(_regions_concatenate, zero_first=False),
)

OPS = (reshape, transpose, broadcast_to, slice_, embed, concatenate)
