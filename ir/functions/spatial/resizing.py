"""Tensors of other spatial extents: elements chosen, repeated or interpolated; channels as pixels.

x is [batch, *spatial, channels], or with `data_format="channels_first"` [batch, channels,
*spatial].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.ir.arguments.checks import integer_of, problem_with
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.arguments.given import Array, is_one_of, shown
from graphc.ir.dims import Extent
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.functions.arrays.shaping import broadcast_to, reshaped, transpose
from graphc.ir.functions.arrays.taking import take
from graphc.ir.functions.spatial.window_arguments import (
    Each,
    channels_axis,
    each_axis,
    fixed_extents,
    is_channels_first,
    spatial_axes,
    with_channels_first,
    with_channels_last,
)
from graphc.ir.nodes.op import Node
from graphc.ir.ops.movement import movement

NEAREST, BILINEAR = "nearest", "bilinear"
METHODS = (NEAREST, BILINEAR)


@checks_flags
def resize(
    x: Any,
    size: Each,
    method: str = NEAREST,
    align_corners: bool = False,
    data_format: str | None = None,
) -> Node:
    """x with `size` elements along each spatial axis, one number or one an axis: [batch, *spatial,
    channels] -> [batch, *size, channels], of x's dtype.

    Elements are squares whose centres count: element i of m reads the place (i + 1/2) n / m - 1/2
    among n. "nearest" takes the element in whose square it lies, "bilinear" weighs the two on
    either side of it, along any number of axes, the outermost of them beyond its centre. So do
    keras.ops.image.resize and torch's interpolate with "nearest-exact", "linear", "bilinear" and
    "trilinear", without antialiasing. With `align_corners` the first and the last elements of
    "bilinear" are those of x, and the others evenly between.

        wider = gc.resize(images, (224, 224), "bilinear")  # [n,150,200,3] -> [n,224,224,3]

    Raises ShapeError for sizes below 1 and for open or empty spatial extents, ValueError for words
    that are not known and for "nearest" with aligned corners, DTypeError unless "bilinear" reads
    floats.
    """
    axes = spatial_axes(x, is_channels_first("resize", x, data_format))
    sizes = each_axis("resize", x, "size", size, len(axes))
    if not is_one_of(method, METHODS):
        problem = f"method: {' or '.join(map(repr, METHODS))} expected, not {shown(method)}"
        raise ValueError(problem_with("resize", x, problem))
    if method == NEAREST and align_corners:
        raise ValueError(problem_with("resize", x, "align_corners: 'bilinear' alone has corners"))
    if method == BILINEAR and not x.dtype.is_float:
        raise DTypeError(problem_with("resize", x, "floats expected for 'bilinear'; cast first"))
    given = fixed_extents("resize", x, axes)
    for axis, extent in zip(axes, given, strict=True):
        if extent == 0:
            raise ShapeError(problem_with("resize", x, f"axis {axis} is empty"))
    wanted = {a: m for a, n, m in zip(axes, given, sizes, strict=True) if n != m}
    if method == BILINEAR:
        for axis, count in wanted.items():
            x = _interpolated(x, axis, count, align_corners)
        return x
    return _nearest(x, wanted)


def _nearest(x: Node, wanted: Mapping[int, int]) -> Node:
    """Whole factors need no gather: elements are repeated, or each so many read."""
    times: dict[int, int] = {}
    for axis, count in wanted.items():
        (extent,) = fixed_extents("resize", x, (axis,))
        if count % extent == 0:
            times[axis] = count // extent
        elif extent % count == 0:
            x = _each_so_many(x, axis, count, extent // count)
        else:
            x = take(x, (2 * np.arange(count) + 1) * extent // (2 * count), axis)
    return repeated(x, times)


def repeated(x: Node, times: Mapping[int, int]) -> Node:
    """Each element so many times along each of some axes."""
    apart: list[Extent] = []
    wide: list[Extent] = []
    for axis, extent in enumerate(x.shape):
        apart += [extent, 1] if axis in times else [extent]
        wide += [extent, times[axis]] if axis in times else [extent]
    shape = tuple(extent * times.get(axis, 1) for axis, extent in enumerate(x.shape))
    return reshaped(broadcast_to(reshaped(x, tuple(apart)), tuple(wide)), shape)


def _each_so_many(x: Node, axis: int, count: int, step: int) -> Node:
    """The middle one of every `step` elements along `axis`, the later one of two."""
    return movement.slice_(
        x,
        starts=tuple(step // 2 if a == axis else 0 for a in range(x.rank)),
        counts=tuple(count if a == axis else extent for a, extent in enumerate(x.shape)),
        steps=tuple(step if a == axis else 1 for a in range(x.rank)),
    )


def _interpolated(x: Node, axis: int, count: int, align_corners: bool) -> Node:
    """Between two slices for each element. Gathers, since a product with a matrix of weights was
    faster for small images of one channel alone, and took 1.5 to 3 times as long from 64 elements
    an axis on, derivative included."""
    (extent,) = fixed_extents("resize", x, (axis,))
    before, numerator, denominator = _places(extent, count, align_corners)
    first = take(x, before, axis)
    if not numerator.any():
        return first
    shape = (count, *(1,) * (x.rank - axis - 1))
    weight = reshaped(x.graph.constant(numerator / denominator, x.dtype), shape)
    rest = reshaped(x.graph.constant(1 - numerator / denominator, x.dtype), shape)
    return rest * first + weight * take(x, np.minimum(before + 1, extent - 1), axis)


def _places(extent: int, count: int, align_corners: bool) -> tuple[Array, Array, int]:
    """Where each of `count` elements reads among `extent`: the element before, and how far behind
    it as a numerator and a denominator, which are exact."""
    numbers = np.arange(count)
    if align_corners:
        numerator, denominator = numbers * (extent - 1), max(count - 1, 1)
    else:
        numerator, denominator = (2 * numbers + 1) * extent - count, 2 * count
    numerator = np.clip(numerator, 0, (extent - 1) * denominator)
    return numerator // denominator, numerator % denominator, denominator


# --- channels as pixels ----------------------------------------------------------------------


def pixel_shuffle(x: Any, upscale_factor: int, data_format: str | None = None) -> Node:
    """Channels as pixels: [batch, *spatial, channels * factor^axes] -> [batch, *(spatial * factor),
    channels].

    Of each channel's factor^axes neighbours in x, those of one row of pixels stand side by side, as
    torch's pixel_shuffle has it, whichever way channels stand. Source: Shi et al., Real-time
    single image and video super-resolution, 2016.

        wider = gc.pixel_shuffle(hidden, 2)  # [n,14,14,12] -> [n,28,28,3]

    Raises ShapeError for a factor below 1, and for channels that it does not divide.
    """
    name = "pixel_shuffle"
    channels_first = is_channels_first(name, x, data_format)
    count = _factor(name, x, upscale_factor)
    last = with_channels_last(x, channels_first)
    spatial = x.rank - 2
    (channels,) = fixed_extents(name, x, (channels_axis(x, channels_first),))
    if channels % count**spatial:
        problem = f"{channels} channels are no multiple of {count}^{spatial}"
        raise ShapeError(problem_with(name, x, problem))
    extents = last.shape[1:-1]
    parts = (last.shape[0], *extents, channels // count**spatial, *(count,) * spatial)
    pairs = [axis for n in range(1, spatial + 1) for axis in (n, n + spatial + 1)]
    mixed = transpose(reshaped(last, parts), (0, *pairs, spatial + 1))
    shape = (last.shape[0], *(extent * count for extent in extents), channels // count**spatial)
    return with_channels_first(reshaped(mixed, shape), channels_first)


def pixel_unshuffle(x: Any, downscale_factor: int, data_format: str | None = None) -> Node:
    """The opposite of `pixel_shuffle`: [batch, *(spatial * factor), channels] -> [batch, *spatial,
    channels * factor^axes]. Channels come in the order that torch's pixel_unshuffle has.

        smaller = gc.pixel_unshuffle(images, 2)  # [n,28,28,3] -> [n,14,14,12]

    Raises ShapeError for a factor below 1, and for spatial extents that it does not divide or that
    are open.
    """
    name = "pixel_unshuffle"
    channels_first = is_channels_first(name, x, data_format)
    count = _factor(name, x, downscale_factor)
    last = with_channels_last(x, channels_first)
    spatial = x.rank - 2
    extents = fixed_extents(name, x, spatial_axes(x, channels_first))
    (channels,) = fixed_extents(name, x, (channels_axis(x, channels_first),))
    if any(extent % count for extent in extents):
        problem = f"a factor of {count} does not divide the extents {extents}"
        raise ShapeError(problem_with(name, x, problem))
    fewer = tuple(extent // count for extent in extents)
    pairs = [each for extent in fewer for each in (extent, count)]
    apart = reshaped(last, (last.shape[0], *pairs, channels))
    places, pixels = range(1, 2 * spatial, 2), range(2, 2 * spatial + 1, 2)
    mixed = transpose(apart, (0, *places, 2 * spatial + 1, *pixels))
    shape = (last.shape[0], *fewer, channels * count**spatial)
    return with_channels_first(reshaped(mixed, shape), channels_first)


def _factor(name: str, x: Any, factor: Any) -> int:
    count = integer_of(x, factor, name)
    if count < 1:
        raise ShapeError(problem_with(name, x, f"a factor of at least 1 expected, not {count}"))
    return count
