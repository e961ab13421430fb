"""Windows that slide along axes, as a view, and its adjoint, which adds windows up again."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphc.ir.dims import Extent
from graphc.ir.errors import ShapeError
from graphc.ir.nodes.attributes import AXES, NUMBERS, SHAPE
from graphc.ir.nodes.lowering import Composite, Strided, View
from graphc.ir.nodes.op import Array, Op
from graphc.ir.ops.movement.movement import embed, reshape, slice_
from graphc.ir.ops.reductions.reduce import sum_
from graphc.ir.types import Shape, TensorType, check_arithmetic, normalize_axes, static_shape

Axes = tuple[int, ...]


def reach(size: int, dilation: int) -> int:
    """How many elements lie between the first and the last of a window, both included."""
    return (size - 1) * dilation + 1


# --- windows ---------------------------------------------------------------------------------


def _infer_windows(
    x: TensorType, axes: Axes, sizes: Axes, strides: Axes, dilations: Axes
) -> TensorType:
    """Each of `axes` becomes two: the positions of the window, and its elements."""
    if not len(axes) == len(sizes) == len(strides) == len(dilations):
        raise ShapeError(f"a size, stride and dilation for each of the axes {axes} expected")
    if axes != normalize_axes(axes, x.rank):
        raise ShapeError(f"sorted axes counted from the front expected, not {axes}")
    shape: list[Extent] = []
    window = dict(zip(axes, zip(sizes, strides, dilations, strict=True), strict=True))
    for axis, extent in enumerate(x.shape):
        if axis not in window:
            shape.append(extent)
            continue
        size, stride, dilation = window[axis]
        if min(size, stride, dilation) < 1:
            raise ShapeError("sizes, strides and dilations of at least 1 expected")
        if not isinstance(extent, int):
            raise ShapeError(f"windows need a fixed extent, and {extent} of axis {axis} is open")
        over = extent - reach(size, dilation)
        if over < 0:
            raise ShapeError(
                f"a window over {reach(size, dilation)} elements does not fit into the "
                f"{extent} of axis {axis}"
            )
        shape += [over // stride + 1, size]
    return x.with_shape(tuple(shape))


def _place_windows(
    at: Strided,
    operand: TensorType,
    result: TensorType,
    axes: Axes,
    sizes: Axes,
    strides: Axes,
    dilations: Axes,
) -> Strided:
    steps = dict(zip(axes, zip(strides, dilations, strict=True), strict=True))
    placed: list[int] = []
    for axis, step in enumerate(at.strides):
        placed += [step * each for each in steps.get(axis, (1,))]
    return Strided(at.offset, tuple(placed))


def _axes_windows(
    operand: TensorType,
    result: TensorType,
    axes: Axes,
    sizes: Axes,
    strides: Axes,
    dilations: Axes,
) -> Axes | None:
    """Known where each windowed axis is one of the two that it becomes, and the other has one
    element."""
    becomes: list[int] = []
    at = 0
    for axis, extent in enumerate(operand.shape):
        becomes.append(at)
        if axis in axes:
            positions, size = result.shape[at : at + 2]
            if extent not in (positions, size):
                return None
            becomes[-1] = at if extent == positions else at + 1
            at += 1
        at += 1
    return tuple(becomes)


def _reference_windows(
    result: TensorType, x: Array, axes: Axes, sizes: Axes, strides: Axes, dilations: Axes
) -> Array:
    place = Strided(0, x.strides)
    moved = _place_windows(place, None, result, axes, sizes, strides, dilations)  # type: ignore[arg-type]
    return np.lib.stride_tricks.as_strided(x, result.dims, moved.strides, writeable=False)


# x[.., L, ..] -> [.., positions, window, ..] along each of `axes`: the element at (p, w) is that at
# p * stride + w * dilation.
windows: Op = Op(
    "windows",
    arity=1,
    attributes={"axes": AXES, "sizes": NUMBERS, "strides": NUMBERS, "dilations": NUMBERS},
    infer=_infer_windows,
    reference=_reference_windows,
    vjp=[
        lambda ct, r, x, axes, sizes, strides, dilations: add_windows(
            ct, shape=x.shape, axes=axes, strides=strides, dilations=dilations
        )
    ],
    lowering=View(_place_windows, _axes_windows, repeats=True),
)

# --- add_windows, its adjoint ----------------------------------------------------------------


def _window_axes(axes: Axes) -> Axes:
    """Of the windows' axes in `axes` of the whole, where each one's positions stand in the operand;
    its elements are the axis after it."""
    return tuple(axis + number for number, axis in enumerate(axes))


def _sizes(x_shape: Shape, axes: Axes) -> Axes:
    sizes = tuple(x_shape[axis + 1] for axis in _window_axes(axes))
    return static_shape(sizes)


def _infer_add_windows(
    x: TensorType, shape: Shape, axes: Axes, strides: Axes, dilations: Axes
) -> TensorType:
    check_arithmetic(x.dtype)
    if x.rank != len(shape) + len(axes):
        raise ShapeError(
            f"positions and elements of a window for each of the axes {axes} expected, "
            f"{len(shape) + len(axes)} axes in all"
        )
    if axes != normalize_axes(axes, len(shape)):
        raise ShapeError(f"sorted axes counted from the front expected, not {axes}")
    whole = x.with_shape(shape)
    sizes = _sizes(x.shape, axes)
    given = _infer_windows(whole, axes=axes, sizes=sizes, strides=strides, dilations=dilations)
    if given.shape != x.shape:
        raise ShapeError(f"{given} expected, which are the windows of {whole}")
    return whole


def _reference_add_windows(
    result: TensorType, x: Array, shape: Shape, axes: Axes, strides: Axes, dilations: Axes
) -> Array:
    value = np.zeros(result.dims, x.dtype)
    sizes = _sizes(x.shape, axes)
    positions = [x.shape[axis] for axis in _window_axes(axes)]
    # The last elements of windows first: so each sum takes its windows in their order.
    for element in np.ndindex(*sizes):
        taken: list[Any] = [slice(None)] * value.ndim
        given: list[Any] = [slice(None)] * x.ndim
        for number, axis in enumerate(axes):
            place = sizes[number] - 1 - element[number]
            start = place * dilations[number]
            end = start + (positions[number] - 1) * strides[number] + 1
            taken[axis] = slice(start, end, strides[number])
            given[axis + number + 1] = place
        value[tuple(taken)] += x[tuple(given)]
    return value


@dataclass(frozen=True)
class _Axis:
    """One axis along which windows are added up.

    The elements of a window are split into `terms` runs of `period`, such that windows overlap in
    whole runs: element j * period + r of window p goes to place stride * (p + j * shift) +
    r * dilation. So place (m, r) of the result is the sum of `terms` elements, one of each run: of
    the windows that contain it.
    """

    positions: int
    size: int
    stride: int
    dilation: int

    @property
    def period(self) -> int:
        return self.stride // math.gcd(self.stride, self.dilation)

    @property
    def shift(self) -> int:
        return self.dilation // math.gcd(self.stride, self.dilation)

    @property
    def terms(self) -> int:
        return -(-self.size // self.period)

    @property
    def before(self) -> int:
        """Zeros on either side of the positions, for places that fewer windows contain."""
        return (self.terms - 1) * self.shift

    @property
    def padded(self) -> int:
        return self.positions + 2 * self.before

    @property
    def sums(self) -> int:
        return self.positions + self.before


def _expand_add_windows(x: Any, shape: Shape, axes: Axes, strides: Axes, dilations: Axes) -> Any:
    """Each element of the result sums the windows that contain it.

    Windows stand in rows, element j * period + r of window p in row p, column j of runs. What is
    added up for place m, the runs (m - j * shift, j), lies on a line across rows and columns: in
    memory at even steps, as a window. So the sum reads zeros around the windows and windows of
    that, and no element is written twice.
    """
    x, at = _spread_dilated(x, axes, _axes_of_sums(x.shape, axes, strides, dilations))
    x = _embedded(x, axes, at, lambda each: (each.padded, each.terms * each.period, each.before))
    x = _reshaped(x, axes, at, lambda each: (each.padded * each.terms, each.period))
    overlapping = [number for number, each in enumerate(at) if each.terms > 1]
    if overlapping:
        x = _summed_across(x, axes, at, overlapping)
    return _placed(x, shape, axes, at)


def _axes_of_sums(x_shape: Shape, axes: Axes, strides: Axes, dilations: Axes) -> list[_Axis]:
    """A window of one element has no dilation: any serves, and that of its stride is cheapest."""
    found = []
    for at, stride, dilation in zip(_window_axes(axes), strides, dilations, strict=True):
        positions, size = static_shape(x_shape[at : at + 2])
        found.append(_Axis(positions, size, stride, stride if size == 1 else dilation))
    return found


def _spread_dilated(x: Any, axes: Axes, at: list[_Axis]) -> tuple[Any, list[_Axis]]:
    """Windows whose gaps are filled with zeros, where runs would otherwise interleave: where the
    stride is no divisor of the dilation."""
    spread = [
        replace(each, size=reach(each.size, each.dilation), dilation=1) if each.period > 1 else each
        for each in at
    ]
    shape = list(x.shape)
    steps = [1] * len(shape)
    for axis, each, wide in zip(_window_axes(axes), at, spread, strict=True):
        shape[axis + 1] = wide.size
        steps[axis + 1] = each.dilation if wide.size != each.size else 1
    if tuple(shape) == x.shape:
        return x, spread
    return embed(x, shape=tuple(shape), starts=(0,) * len(shape), steps=tuple(steps)), spread


def _embedded(
    x: Any, axes: Axes, at: list[_Axis], extents: Callable[[_Axis], tuple[int, int, int]]
) -> Any:
    """x among zeros: extents of positions and elements, and zeros before the positions."""
    shape, starts = list(x.shape), [0] * len(x.shape)
    for axis, each in zip(_window_axes(axes), at, strict=True):
        shape[axis], shape[axis + 1], starts[axis] = extents(each)
    if tuple(shape) == x.shape:
        return x
    return embed(x, shape=tuple(shape), starts=tuple(starts), steps=(1,) * len(shape))


def _reshaped(
    x: Any, axes: Axes, at: list[_Axis], extents: Callable[[_Axis], tuple[int, int]]
) -> Any:
    shape = list(x.shape)
    for axis, each in zip(_window_axes(axes), at, strict=True):
        shape[axis : axis + 2] = extents(each)
    return x if tuple(shape) == x.shape else reshape(x, shape=tuple(shape))


def _summed_across(x: Any, axes: Axes, at: list[_Axis], overlapping: list[int]) -> Any:
    """Row and column of a run as one number, padded * terms in all; along it the runs of one sum
    are terms * shift - 1 apart, and from sum to sum it is `terms`."""
    places = _window_axes(axes)
    starts, counts = [0] * len(x.shape), list(x.shape)
    for number in overlapping:
        starts[places[number]] = at[number].terms - 1
        counts[places[number]] -= at[number].terms - 1
    x = slice_(x, starts=tuple(starts), counts=tuple(counts), steps=(1,) * len(starts))
    x = windows(
        x,
        axes=tuple(places[n] for n in overlapping),
        sizes=tuple(at[n].terms for n in overlapping),
        strides=tuple(at[n].terms for n in overlapping),
        dilations=tuple(at[n].terms * at[n].shift - 1 for n in overlapping),
    )
    added = tuple(places[n] + 1 + position for position, n in enumerate(overlapping))
    x = sum_(x, axes=added)
    kept = tuple(extent for axis, extent in enumerate(x.shape) if axis not in added)
    return reshape(x, shape=kept)


def _placed(x: Any, shape: Shape, axes: Axes, at: list[_Axis]) -> Any:
    """The sums [sums, period] of each axis where they belong in the result."""
    made, steps = list(x.shape), [1] * len(shape)
    for axis, each in reversed(list(zip(axes, at, strict=True))):
        place = axis + axes.index(axis)
        made[place : place + 2] = [each.sums * each.period]
        if each.period == 1:
            steps[axis] = each.stride
    x = x if tuple(made) == x.shape else reshape(x, shape=tuple(made))
    # Runs of the last sums may reach beyond the result, with zeros.
    counts = list(made)
    for axis in axes:
        (whole,) = static_shape(shape[axis : axis + 1])
        counts[axis] = min(made[axis], -(-whole // steps[axis]))
    if tuple(counts) != x.shape:
        x = slice_(x, starts=(0,) * len(counts), counts=tuple(counts), steps=(1,) * len(counts))
    if x.shape == shape:
        return x
    return embed(x, shape=shape, starts=(0,) * len(shape), steps=tuple(steps))


# The sum of what windows hold of each element of the whole, of shape `shape`: element (p, w) of a
# window is added at p * stride + w * dilation; what no window contains is 0.
add_windows: Op = Op(
    "add_windows",
    arity=1,
    attributes={"shape": SHAPE, "axes": AXES, "strides": NUMBERS, "dilations": NUMBERS},
    infer=_infer_add_windows,
    reference=_reference_add_windows,
    vjp=[
        lambda ct, r, x, shape, axes, strides, dilations: windows(
            ct, axes=axes, sizes=_sizes(x.shape, axes), strides=strides, dilations=dilations
        )
    ],
    lowering=Composite(_expand_add_windows),
)

OPS = (windows, add_windows)
