"""Convolutions of one or more spatial axes as windows and one product.

x is [batch, *spatial, channels], or with `data_format="channels_first"` [batch, channels,
*spatial]; kernels have their window first, as Keras has them. A convolution is a cross-correlation:
no kernel is reversed.
"""

from __future__ import annotations

import math
from typing import Any

from graphc.ir.arguments.checks import problem_with
from graphc.ir.arguments.given import check_tensors, is_one_of, is_tensor
from graphc.ir.dims import Extent
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.functions.arrays.shaping import reshaped, transpose
from graphc.ir.functions.spatial.window_arguments import (
    Each,
    Padding,
    Sliding,
    channels_axis,
    each_axis,
    explicit_sides,
    fixed_extents,
    is_channels_first,
    padded,
    sliding,
    spatial_axes,
    windows_of,
    with_channels_first,
    with_channels_last,
)
from graphc.ir.nodes.op import Node
from graphc.ir.ops import contract
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions.reduce import sum_
from graphc.ir.ops.windows import add_windows


def conv(
    x: Any,
    kernel: Any,
    strides: Each = 1,
    padding: Padding = "valid",
    data_format: str | None = None,
    dilation_rate: Each = 1,
) -> Node:
    """sum over a window and its channels of x * kernel: [batch, *spatial, channels] by [*window,
    channels / groups, filters] -> [batch, *positions, filters].

    The number of groups is that of x's channels over the kernel's; each group of filters sees its
    own channels. `padding` is "valid" (none), "same" (as many positions as strides fit), "causal"
    (one axis: all before), or numbers of zeros: one, one an axis, or a pair (before, after) an
    axis. Names and defaults are those of keras.ops.conv.

        edges = gc.conv(images, kernel, padding="same")  # [n,28,28,1], [3,3,1,8] -> [n,28,28,8]

    Raises ShapeError for a kernel of other channels or too large, and for open spatial extents,
    DTypeError unless both are f32 or both f64, ValueError for words that are not known.
    """
    kernel = _kernel_of("conv", x, kernel)
    first, channels = _operands("conv", x, kernel)
    channels_first = is_channels_first("conv", x, data_format)
    (in_all,) = fixed_extents("conv", x, (channels_axis(x, channels_first),))
    if in_all % channels:
        problem = f"a kernel {kernel.type} of {channels} channels, but x has {in_all}"
        raise ShapeError(problem_with("conv", x, f"{problem}, which are no groups of {channels}"))
    groups = in_all // channels
    if first[-1] % groups:
        problem = f"{groups} groups have no equal shares of the {first[-1]} filters of a kernel"
        raise ShapeError(problem_with("conv", x, f"{problem} {kernel.type}"))
    sizes = first[:-2]
    spatial = spatial_axes(x, channels_first)
    slid = sliding("conv", x, spatial, sizes, strides, padding, dilation_rate)
    x = with_channels_last(x, channels_first)
    x = padded(x, spatial_axes(x, False), slid.padding)
    if groups == 1:
        result = _convolved(x, kernel, slid)
    elif channels == 1:
        by_channel = reshaped(kernel, (*sizes, in_all, first[-1] // in_all))
        result = _convolved_by_channel(x, by_channel, slid)
    else:
        result = _convolved_in_groups(x, kernel, slid, groups)
    return with_channels_first(result, channels_first)


def depthwise_conv(
    x: Any,
    kernel: Any,
    strides: Each = 1,
    padding: Padding = "valid",
    data_format: str | None = None,
    dilation_rate: Each = 1,
) -> Node:
    """A convolution of each channel by itself: [batch, *spatial, channels] by [*window, channels,
    multiplier] -> [batch, *positions, channels * multiplier].

    The results of one channel stand side by side. The rest is as `conv` has it, and Raises as that
    does.

        blurred = gc.depthwise_conv(images, kernel)  # [n,28,28,3], [5,5,3,1] -> [n,24,24,3]
    """
    kernel = _kernel_of("depthwise_conv", x, kernel)
    extents, channels = _operands("depthwise_conv", x, kernel)
    channels_first = is_channels_first("depthwise_conv", x, data_format)
    given = x.shape[channels_axis(x, channels_first)]
    if given != channels:
        problem = f"a kernel {kernel.type} of {channels} channels, but x has {given}"
        raise ShapeError(problem_with("depthwise_conv", x, problem))
    spatial = spatial_axes(x, channels_first)
    slid = sliding("depthwise_conv", x, spatial, extents[:-2], strides, padding, dilation_rate)
    x = with_channels_last(x, channels_first)
    x = padded(x, spatial_axes(x, False), slid.padding)
    result = _convolved_by_channel(x, kernel, slid)
    return with_channels_first(result, channels_first)


def separable_conv(
    x: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Each = 1,
    padding: Padding = "valid",
    data_format: str | None = None,
    dilation_rate: Each = 1,
) -> Node:
    """`depthwise_conv`, then `conv` by a kernel [1, ..., channels * multiplier, filters] over
    windows of one element. Raises as they do.

        hidden = gc.separable_conv(x, by_channel, mixing)
    """
    hidden = depthwise_conv(x, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(hidden, pointwise_kernel, data_format=data_format)


def conv_transpose(
    x: Any,
    kernel: Any,
    strides: Each = 1,
    padding: Padding = "valid",
    output_padding: Each | None = None,
    data_format: str | None = None,
    dilation_rate: Each = 1,
    groups: int = 1,
) -> Node:
    """The adjoint of a convolution in x: [batch, *spatial, channels] by [*window, filters / groups,
    channels] -> [batch, *extents, filters]; each element of x adds kernel times itself to a window.
    Each group of channels has filters of its own, as in torch.

    Along an axis of n elements the result has (n - 1) * strides + window elements, less `padding`
    on both sides, plus `output_padding` at the end: which of the extents that a convolution with
    these strides makes n of. Without `output_padding` it has n * strides elements with "same", and
    at least as many with "valid". Names, defaults and extents are those of
    keras.ops.conv_transpose, which has no groups.

        wider = gc.conv_transpose(x, kernel, 2, "same")  # [n,7,7,16], [3,3,8,16] -> [n,14,14,8]

    Raises as `conv` does, and ShapeError for an output padding that is not below the strides and
    for channels that the groups do not divide.
    """
    name = "conv_transpose"
    kernel = _kernel_of(name, x, kernel)
    extents, share = _operands(name, x, kernel)
    channels_first = is_channels_first(name, x, data_format)
    axes = spatial_axes(x, channels_first)
    channels = x.shape[channels_axis(x, channels_first)]
    if channels != extents[-1]:
        problem = f"a kernel {kernel.type} of {extents[-1]} channels, but x has {channels}"
        raise ShapeError(problem_with(name, x, problem))
    (groups,) = each_axis(name, x, "groups", groups, 1)
    if extents[-1] % groups:
        problem = f"{groups} groups do not divide {extents[-1]} channels"
        raise ShapeError(problem_with(name, x, problem))
    filters = share * groups
    given = fixed_extents(name, x, axes)
    steps = each_axis(name, x, "strides", strides, len(axes))
    gaps = each_axis(name, x, "dilation_rate", dilation_rate, len(axes))
    slid = Sliding(extents[:-2], steps, gaps, ((0, 0),) * len(axes))
    kept = _kept(name, x, axes, given, slid, padding, output_padding)
    x = with_channels_last(x, channels_first)
    axes, batch = spatial_axes(x, False), x.shape[0]
    product = _spread(x, kernel, groups)
    parts = reshaped(product, (batch, *given, *slid.sizes, filters))
    whole = tuple(
        max((n - 1) * step + over, before + count)
        for n, step, over, (before, count) in zip(given, steps, slid.reaches, kept, strict=True)
    )
    shape = (batch, *whole, filters)
    added = add_windows(
        transpose(parts, _paired(len(axes))),
        shape=shape,
        axes=axes,
        strides=steps,
        dilations=gaps,
    )
    starts = (0, *(before for before, _ in kept), 0)
    counts = (batch, *(count for _, count in kept), filters)
    if counts != shape:
        added = movement.slice_(added, starts=starts, counts=counts, steps=(1,) * x.rank)
    return with_channels_first(added, channels_first)


def _kernel_of(name: str, x: Any, kernel: Any) -> Any:
    """The kernel; an array becomes a constant of x's dtype."""
    check_tensors(name, x)
    return kernel if is_tensor(kernel) else x.graph.constant(kernel, x.dtype)


def _operands(name: str, x: Any, kernel: Any) -> tuple[tuple[int, ...], int]:
    """The kernel's extents, and the last but one. Raises for what goes not with x."""
    check_tensors(name, x, kernel)
    if x.dtype != kernel.dtype or not x.dtype.is_float:
        problem = f"a kernel {kernel.type}, but both f32 or both f64 expected; cast first"
        raise DTypeError(problem_with(name, x, problem))
    if kernel.rank != x.rank:
        problem = f"a kernel of as many axes expected, its window first, not {kernel.type}"
        raise ShapeError(problem_with(name, x, problem))
    extents = fixed_extents(name, kernel, tuple(range(kernel.rank)))
    if 0 in extents:
        raise ShapeError(problem_with(name, x, f"a kernel with elements expected, not {extents}"))
    return extents, extents[-2]


def _kept(
    name: str,
    x: Node,
    axes: tuple[int, ...],
    given: tuple[int, ...],
    slid: Sliding,
    padding: Any,
    output_padding: Any,
) -> list[tuple[int, int]]:
    """Which of the added windows are the result: the first element and how many, of each axis."""
    count = len(given)
    more = None
    if output_padding is not None:
        more = each_axis(name, x, "output_padding", output_padding, count, least=0)
        limits = zip(more, slid.strides, slid.dilations, strict=True)
        if any(each >= max(step, gap) for each, step, gap in limits):
            problem = f"output_padding: less than the strides {slid.strides} expected, not {more}"
            raise ShapeError(problem_with(name, x, problem))
    sides = None
    if not is_one_of(padding, ("valid", "same")):
        sides = explicit_sides(name, x, padding, count)
    kept = []
    for axis, (n, step, over) in enumerate(zip(given, slid.strides, slid.reaches, strict=True)):
        whole = max((n - 1) * step + over, 0)
        if sides is not None:
            before, after = sides[axis]
            extent = whole - before - after + (more[axis] if more else 0)
        elif more is None:
            extent = n * step + (max(over - step, 0) if padding == "valid" else 0)
            before = max(whole - extent, 0) // 2
        else:
            cropped = 2 * (over // 2) if padding == "same" else 0
            extent = whole - cropped + more[axis]
            before = max(whole - extent, 0) // 2
        if extent < 1:
            problem = f"padding: nothing is left of {whole} elements of axis {axes[axis]}"
            raise ShapeError(problem_with(name, x, problem))
        kept.append((before, extent))
    return kept


# --- the products ----------------------------------------------------------------------------


def _paired(spatial: int) -> tuple[int, ...]:
    """[batch, *positions, *window, ...] -> [batch, position, element, ..., channels]."""
    pairs = (axis for n in range(1, spatial + 1) for axis in (n, n + spatial))
    return (0, *pairs, 2 * spatial + 1)


def _apart(spatial: int) -> tuple[int, ...]:
    """[batch, position, element, ..., channels] -> [batch, *positions, *window, channels]."""
    positions, elements = range(1, 2 * spatial, 2), range(2, 2 * spatial + 1, 2)
    return (0, *positions, *elements, 2 * spatial + 1)


def _convolved(x: Node, kernel: Node, slid: Sliding) -> Node:
    """Each window is a row of one product with the kernel."""
    spatial = x.rank - 2
    found = x
    if not slid.is_one_element:
        found = windows_of(x, spatial_axes(x, False), slid)
        found = transpose(found, _apart(spatial))
    kept = found.shape[: 1 + spatial]
    *window, channels, filters = kernel.shape
    depth = math.prod([*window, channels])
    rows = reshaped(found, (_number(kept), depth))
    product = contract.matmul(
        rows, reshaped(kernel, (depth, filters)), transpose_x=False, transpose_y=False
    )
    return reshaped(product, (*kept, filters))


def _convolved_in_groups(x: Node, kernel: Node, slid: Sliding, groups: int) -> Node:
    """A batch of such products, one a group."""
    *window, channels, filters = kernel.shape
    found = windows_of(x, spatial_axes(x, False), slid)
    kept = (found.shape[0], *found.shape[1:-1:2])
    split = reshaped(found, (*found.shape[:-1], groups, channels))
    places = range(split.rank)
    order = (split.rank - 2, 0, *places[1:-2:2], *places[2:-2:2], split.rank - 1)
    depth = math.prod([*window, channels])
    rows = reshaped(transpose(split, order), (groups, _number(kept), depth))
    columns = reshaped(kernel, (depth, groups, filters // groups))
    product = contract.matmul(
        rows, transpose(columns, (1, 0, 2)), transpose_x=False, transpose_y=False
    )
    return reshaped(transpose(product, (1, 0, 2)), (*kept, filters))


def _spread(x: Node, kernel: Node, groups: int) -> Node:
    """What each element of x adds to its window: [rows, window * filters]."""
    *window, share, channels = kernel.shape
    count = _number(x.shape[:-1])
    if groups == 1:
        columns = reshaped(kernel, (_number((*window, share)), channels))
        rows = reshaped(x, (count, channels))
        return contract.matmul(rows, columns, transpose_x=False, transpose_y=True)
    each = channels // groups
    rows = transpose(reshaped(x, (count, groups, each)), (1, 0, 2))
    columns = transpose(reshaped(kernel, (_number((*window, share)), groups, each)), (1, 2, 0))
    product = contract.matmul(rows, columns, transpose_x=False, transpose_y=False)
    split = reshaped(product, (groups, count, _number(tuple(window)), share))
    return transpose(split, (1, 2, 0, 3))


def _convolved_by_channel(x: Node, kernel: Node, slid: Sliding) -> Node:
    """No product, whose columns would be one channel's: the sum of each window times the kernel."""
    spatial = x.rank - 2
    *window, channels, multiplier = kernel.shape
    found = windows_of(x, spatial_axes(x, False), slid)
    kept = (found.shape[0], *found.shape[1:-1:2])
    beside: list[Extent] = [extent for size in window for extent in (1, size)]
    weights = reshaped(kernel, (*beside, channels, multiplier))
    terms = reshaped(found, (*found.shape, 1)) * weights
    added = sum_(terms, axes=tuple(range(2, 2 * spatial + 1, 2)))
    return reshaped(added, (*kept, channels * multiplier))


def _number(extents: tuple[Extent, ...]) -> Any:
    return math.prod(extents)
