"""Pooling: the greatest or the mean of each window, with windows of one size or of one number."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ir.arguments.checks import problem_with
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.arguments.given import is_one_of
from graphc.ir.dims import Extent
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.functions import build
from graphc.ir.functions.arrays.shaping import reshaped
from graphc.ir.functions.spatial.window_arguments import (
    Each,
    Padding,
    Sliding,
    each_axis,
    fixed_extents,
    is_channels_first,
    padded,
    sliding,
    spatial_axes,
    windows_of,
)
from graphc.ir.nodes.op import Node
from graphc.ir.ops.elementwise.elementwise import logical_and
from graphc.ir.ops.reductions.reduce import lowest, max_, sum_


def max_pool(
    x: Any,
    pool_size: Each,
    strides: Each | None = None,
    padding: Padding = "valid",
    data_format: str | None = None,
    dilation: Each = 1,
) -> Node:
    """The greatest element of each window: [batch, *spatial, channels] -> [batch, *positions,
    channels], of x's dtype.

    `strides` are the window's extents unless given. Padding counts as less than every number, and
    is no more than half a window where numbers say it. With a `dilation` of d each element of a
    window is d further than the one before, as torch has it. The derivative goes to the greatest
    element as in `gc.max`: equal ones share it. Other names and defaults are those of
    keras.ops.max_pool.

        smaller = gc.max_pool(images, 2)  # [n,28,28,8] -> [n,14,14,8]

    Raises ShapeError for windows that do not fit and for open spatial extents, DTypeError for
    bools, ValueError for words that are not known.
    """
    axes, slid = _pool("max_pool", x, pool_size, strides, padding, data_format, dilation)
    found = windows_of(padded(x, axes, slid.padding), axes, slid)
    if slid.is_padded:
        found = build.where(_is_inside(x, axes, slid), found, lowest(x.dtype))
    return _reduced(max_, found, axes)


@checks_flags
def average_pool(
    x: Any,
    pool_size: Each,
    strides: Each | None = None,
    padding: Padding = "valid",
    data_format: str | None = None,
    count_include_pad: bool = False,
) -> Node:
    """The mean of each window: [batch, *spatial, channels] -> [batch, *positions, channels].

    `strides` are the window's extents unless given. Padding is no element, as in
    keras.ops.average_pool, whose names and defaults these are; with `count_include_pad` it counts
    as zeros, as torch has it.

        smaller = gc.average_pool(images, 2)  # [n,28,28,8] -> [n,14,14,8]

    Raises as `max_pool` does, and DTypeError unless x is of floats.
    """
    axes, slid = _pool("average_pool", x, pool_size, strides, padding, data_format)
    if not x.dtype.is_float:
        raise DTypeError(problem_with("average_pool", x, "floats expected; cast first"))
    total = _reduced(sum_, windows_of(padded(x, axes, slid.padding), axes, slid), axes)
    if count_include_pad or not slid.is_padded:
        return total / math.prod(slid.sizes)
    whole = math.prod(
        size for size, side in zip(slid.sizes, slid.padding, strict=True) if side == (0, 0)
    )
    for axis, inside in _insides(x, axes, slid):
        counts = x.graph.constant(inside.sum(1), x.dtype)
        total = total / reshaped(counts, _along(total.rank, axis, (inside.shape[0],)))
    return total / whole


def adaptive_max_pool(x: Any, output_size: Each, data_format: str | None = None) -> Node:
    """The greatest element of `output_size` windows an axis, which together cover x: window i of
    n runs from floor(i * extent / n) to ceil((i + 1) * extent / n), as torch has it.

        fixed = gc.adaptive_max_pool(images, 7)  # [n,30,40,8] -> [n,7,7,8]

    Raises as `max_pool` does.
    """
    axes, sizes = _adaptive("adaptive_max_pool", x, output_size, data_format)
    least = lowest(x.dtype)

    def pooled(found: Node, axis: int, inside: Any) -> Node:
        if not inside.all():
            found = build.where(_mask(x, axis, found.rank, inside), found, least)
        return build.max(found, axis + 1)

    return _pooled_by_axis(x, axes, sizes, pooled)


def adaptive_average_pool(x: Any, output_size: Each, data_format: str | None = None) -> Node:
    """The mean of `output_size` windows an axis, which are those of `adaptive_max_pool`. Names are
    those of keras.ops.adaptive_average_pool. Raises as `average_pool` does.

        fixed = gc.adaptive_average_pool(images, 7)  # [n,30,40,8] -> [n,7,7,8]
    """
    axes, sizes = _adaptive("adaptive_average_pool", x, output_size, data_format)
    if not x.dtype.is_float:
        raise DTypeError(problem_with("adaptive_average_pool", x, "floats expected; cast first"))

    def pooled(found: Node, axis: int, inside: Any) -> Node:
        if inside.all():
            return build.mean(found, axis + 1)
        found = build.where(_mask(x, axis, found.rank, inside), found, 0)
        counts = x.graph.constant(inside.sum(1), x.dtype)
        total = build.sum(found, axis + 1)
        return total / reshaped(counts, _along(total.rank, axis, (inside.shape[0],)))

    return _pooled_by_axis(x, axes, sizes, pooled)


# --- windows of one size ---------------------------------------------------------------------


def _pool(
    name: str,
    x: Any,
    pool_size: Any,
    strides: Any,
    padding: Any,
    data_format: str | None,
    dilation: Any = 1,
) -> tuple[tuple[int, ...], Sliding]:
    axes = spatial_axes(x, is_channels_first(name, x, data_format))
    sizes = each_axis(name, x, "pool_size", pool_size, len(axes))
    gaps = each_axis(name, x, "dilation", dilation, len(axes))
    slid = sliding(name, x, axes, sizes, sizes if strides is None else strides, padding, gaps)
    given = zip(slid.padding, slid.reaches, strict=True)
    if not is_one_of(padding, ("same",)) and any(max(sides) > over // 2 for sides, over in given):
        problem = f"padding: at most half of the window {slid.reaches} expected, not {slid.padding}"
        raise ShapeError(problem_with(name, x, problem))
    return axes, slid


def _reduced(op: Any, found: Node, axes: tuple[int, ...]) -> Node:
    """`op` over the elements of windows, which stand behind the positions of each of `axes`."""
    elements = tuple(axis + number + 1 for number, axis in enumerate(axes))
    return build.squeeze(op(found, axes=elements), elements)


def _insides(x: Node, axes: tuple[int, ...], slid: Sliding) -> list[tuple[int, Any]]:
    """For each padded axis which elements of which windows are x's: [positions, elements]."""
    found = []
    parts = zip(axes, slid.sizes, slid.strides, slid.dilations, slid.padding, strict=True)
    for axis, size, stride, dilation, (before, after) in parts:
        if before or after:
            (extent,) = fixed_extents("pool", x, (axis,))
            last = before + extent + after - (size - 1) * dilation
            places = np.arange(0, last, stride)[:, None] + np.arange(size) * dilation
            found.append((axis, (places >= before) & (places < before + extent)))
    return found


def _is_inside(x: Node, axes: tuple[int, ...], slid: Sliding) -> Node:
    """Which elements of windows are no padding, of a shape that broadcasts with the windows."""
    rank = x.rank + len(axes)
    masks = [
        _mask(x, axis + axes.index(axis), rank, inside) for axis, inside in _insides(x, axes, slid)
    ]
    inside = masks[0]
    for mask in masks[1:]:
        inside = logical_and(inside, mask)
    return inside


def _mask(x: Node, axis: int, rank: int, inside: Any) -> Node:
    """[positions, elements] at `axis` and the one behind it, in a shape that broadcasts."""
    return reshaped(x.graph.constant(inside), _along(rank, axis, inside.shape))


def _along(rank: int, axis: int, extents: tuple[int, ...]) -> tuple[Extent, ...]:
    return (*(1,) * axis, *extents, *(1,) * (rank - axis - len(extents)))


# --- windows of one number -------------------------------------------------------------------


def _adaptive(
    name: str, x: Any, output_size: Any, data_format: str | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    axes = spatial_axes(x, is_channels_first(name, x, data_format))
    sizes = each_axis(name, x, "output_size", output_size, len(axes))
    for axis, extent in zip(axes, fixed_extents(name, x, axes), strict=True):
        if extent == 0:
            raise ShapeError(problem_with(name, x, f"axis {axis} is empty"))
    return axes, sizes


def _pooled_by_axis(
    x: Node,
    axes: tuple[int, ...],
    sizes: tuple[int, ...],
    pooled: Callable[[Node, int, Any], Node],
) -> Node:
    """`pooled` of the windows of one axis after the other: [.., windows, elements, ..]."""
    for axis, count, extent in zip(axes, sizes, fixed_extents("pool", x, axes), strict=True):
        numbers = np.arange(count)
        starts, ends = numbers * extent // count, -(-(numbers + 1) * extent // count)
        places = starts[:, None] + np.arange((ends - starts).max())
        inside = places < ends[:, None]
        if inside.all() and extent % count == 0:
            found = reshaped(x, (*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]))
        else:
            found = build.take(x, np.minimum(places, extent - 1), axis)
        x = pooled(found, axis, inside)
    return x
