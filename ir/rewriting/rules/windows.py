"""Rules of windows: what a convolution hands back to its input is a convolution too.

Its VJP makes the windows' cotangents, which overlap, and adds them up (`add_windows`). Along an
axis an element y gets, of each position p and element e of a window with p * stride +
e * dilation = y, ct[p] times the kernel's element e. Seen from y that is a window over the
cotangent among zeros, times the kernel in reverse: the windows' cotangents are never stored.

With a stride s the elements y = s * m + r of one r see the kernel's elements r, r + s, ... alone,
so each r has a kernel of its own; the kernels of all r stand side by side in one product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops import contract
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions.reduce import sum_
from graphc.ir.ops.windows import add_windows, reach, windows
from graphc.ir.rewriting.match import operand_of
from graphc.ir.rewriting.rewrite import SUM_ULPS, Rule, rule
from graphc.ir.types import Shape, static_shape

# To store an element of a window's cotangent, load it and add it up takes as long as so many
# multiply-adds of a product.
STORED_ELEMENT_STEPS = 96


@dataclass(frozen=True)
class _Axis:
    """One axis that windows slide along: of `extent` elements, `positions` windows of `size`."""

    extent: int
    positions: int
    size: int
    stride: int
    dilation: int

    @property
    def phases(self) -> int:
        """How many elements in turn see other elements of the kernel."""
        return self.stride

    @property
    def taps(self) -> int:
        """How many positions an element is of at most."""
        return -(-self.size // self.phases)

    @property
    def before(self) -> int:
        """Zeros before the cotangents of the positions."""
        return (self.taps - 1) * self.dilation

    @property
    def rows(self) -> int:
        """How many elements there are of each phase, the last perhaps beyond the extent."""
        return -(-self.extent // self.phases)


def _slid_axes(node: Node) -> list[_Axis] | None:
    """The axes of an `add_windows`; None of open ones, and where strides and dilations mix."""
    axes, strides = node.attributes["axes"], node.attributes["strides"]
    found = []
    for number, axis in enumerate(axes):
        at = axis + number
        extents = (node.shape[axis], *node.operands[0].shape[at : at + 2])
        if not all(isinstance(extent, int) for extent in extents):
            return None
        extent, positions, size = static_shape(extents)
        dilation = 1 if size == 1 else node.attributes["dilations"][number]
        if strides[number] > 1 and dilation > 1:
            return None
        found.append(_Axis(extent, positions, size, strides[number], dilation))
    return found


def _windows_among_zeros(ct: Node, axes: list[_Axis]) -> Node:
    """[batch, *positions, channels] -> [batch, rows, taps, ..., channels]."""
    shape = (ct.shape[0], *(each.rows + each.before for each in axes), ct.shape[-1])
    starts = (0, *(each.before for each in axes), 0)
    if shape != ct.shape:
        ct = movement.embed(ct, shape=shape, starts=starts, steps=(1,) * ct.rank)
    return windows(
        ct,
        axes=tuple(range(1, ct.rank - 1)),
        sizes=tuple(each.taps for each in axes),
        strides=(1,) * len(axes),
        dilations=tuple(each.dilation for each in axes),
    )


def reversed_along(x: Node, axes: tuple[int, ...]) -> Node:
    """x from its end to its beginning along `axes`."""
    extents = static_shape(tuple(x.shape[axis] for axis in axes))
    starts, steps = [0] * x.rank, [1] * x.rank
    for axis, extent in zip(axes, extents, strict=True):
        starts[axis], steps[axis] = extent - 1, -1
    return movement.slice_(x, starts=tuple(starts), counts=x.shape, steps=tuple(steps))


# --- products --------------------------------------------------------------------------------


@rule(add_windows, ulps=SUM_ULPS)
def add_windows_of_product(node: Node) -> Node | None:
    """add_windows(ct @ transpose(kernel)) = windows(ct among zeros) @ kernel in reverse

    The same products and zeros, which make NaN of an infinite weight, as a padded convolution does.
    Where the right-hand side has so many more products that they take longer than to store what is
    added up, as where a window is nearly as large as the input, the left-hand side stays.
    """
    axes = _slid_axes(node)
    found = None if axes is None else _cotangent_and_kernel(node, len(axes))
    if axes is None or found is None:
        return None
    ct, kernel = found
    (depth,) = static_shape(ct.shape[-1:])
    old = math.prod(each.positions * each.size for each in axes)
    new = math.prod(each.rows * each.phases * each.taps for each in axes)
    if all(each.taps == 1 for each in axes) or new * depth > old * (depth + STORED_ELEMENT_STEPS):
        return None
    rows, columns = _rows(ct, axes), _columns(kernel, axes)
    product = contract.matmul(rows, columns, transpose_x=False, transpose_y=False)
    return _in_place(product, node, axes)


def _cotangent_and_kernel(node: Node, spatial: int) -> tuple[Node, Node] | None:
    """[batch, *positions, filters] and [*window, channels, filters] whose product the windows are;
    None where they are none."""
    (parts,) = node.operands
    if node.attributes["axes"] != tuple(range(1, node.rank - 1)):
        return None
    pairs = (axis for n in range(1, spatial + 1) for axis in (n, n + spatial))
    order = (0, *pairs, 2 * spatial + 1)
    if order != tuple(range(parts.rank)):
        if parts.op is not movement.transpose or parts.attributes["axes"] != order:
            return None
        (parts,) = parts.operands
    product = operand_of(parts, movement.reshape)
    if product is None or product.op is not contract.matmul or product.rank != 2:
        return None
    positions, columns = parts.shape[: spatial + 1], parts.shape[spatial + 1 :]
    if product.shape[1] != math.prod(columns) or product.attributes["transpose_x"]:
        return None
    ct, kernel = product.operands
    if not product.attributes["transpose_y"]:
        kernel = build.transpose(kernel)
    filters = ct.shape[-1]
    return build.reshape(ct, (*positions, filters)), build.reshape(kernel, (*columns, filters))


def _rows(ct: Node, axes: list[_Axis]) -> Node:
    """A row for each element of a phase: its window over the cotangent."""
    found = _windows_among_zeros(ct, axes)
    (filters,) = static_shape(ct.shape[-1:])
    count: Any = found.shape[0] * math.prod(each.rows for each in axes)
    depth = math.prod(each.taps for each in axes) * filters
    return build.reshape(build.transpose(found, _apart(found.rank)), (count, depth))


def _columns(kernel: Node, axes: list[_Axis]) -> Node:
    """[*window, channels, filters] -> [taps in reverse and filters, phases and channels]."""
    spatial = len(axes)
    *_, channels, filters = static_shape(kernel.shape)
    whole = (*(each.taps * each.phases for each in axes), channels, filters)
    if whole != kernel.shape:
        still = (0,) * kernel.rank, (1,) * kernel.rank
        kernel = movement.embed(kernel, shape=whole, starts=still[0], steps=still[1])
    split = [extent for each in axes for extent in (each.taps, each.phases)]
    kernel = build.reshape(kernel, (*split, channels, filters))
    taps, phases = range(0, 2 * spatial, 2), range(1, 2 * spatial, 2)
    kernel = reversed_along(kernel, tuple(taps))
    kernel = build.transpose(kernel, (*taps, 2 * spatial + 1, *phases, 2 * spatial))
    columns = math.prod(each.phases for each in axes) * channels
    return build.reshape(kernel, (-1, columns))


def _in_place(product: Node, node: Node, axes: list[_Axis]) -> Node:
    """The rows and phases of a product as the elements that they are of."""
    spatial, batch, channels = len(axes), node.shape[0], node.shape[-1]
    rows = tuple(each.rows for each in axes)
    if all(each.phases == 1 for each in axes):
        return build.reshape(product, node.shape)
    product = build.reshape(product, (batch, *rows, *(each.phases for each in axes), channels))
    pairs = (axis for n in range(1, spatial + 1) for axis in (n, n + spatial))
    product = build.transpose(product, (0, *pairs, 2 * spatial + 1))
    whole = (batch, *(each.rows * each.phases for each in axes), channels)
    product = build.reshape(product, whole)
    if whole == node.shape:
        return product
    return movement.slice_(
        product, starts=(0,) * node.rank, counts=node.shape, steps=(1,) * node.rank
    )


# --- each channel by itself --------------------------------------------------------------------


@rule(add_windows, ulps=SUM_ULPS)
def add_windows_of_channels(node: Node) -> Node | None:
    """add_windows(ct * kernel) = sum(windows(ct among zeros) * kernel in reverse, its elements) for
    strides of 1

    ct is the same for all elements of a window, kernel for all windows. Zeros are as they are in
    add_windows_of_product.
    """
    axes = _slid_axes(node)
    if axes is None or any(each.phases > 1 for each in axes):
        return None
    if node.attributes["axes"] != tuple(range(1, node.rank - 1)):
        return None
    (parts,) = node.operands
    terms = parts.operands[0] if parts.op is movement.reshape else parts
    if terms.op is not ops.multiply or terms.shape not in (parts.shape, (*parts.shape, 1)):
        return None
    found = _by_position_and_element(terms, parts.rank)
    if found is None:
        return None
    ct, kernel = found
    positions = (node.shape[0], *(each.positions for each in axes), node.shape[-1])
    elements = tuple(range(2, parts.rank - 1, 2))
    window = tuple(n for each in axes for n in (1, each.size))
    reverse = reversed_along(
        build.reshape(kernel, (*window, node.shape[-1])), tuple(axis - 1 for axis in elements)
    )
    slid = _windows_among_zeros(build.reshape(ct, positions), axes)
    return build.reshape(sum_(slid * reverse, axes=elements), node.shape)


def _by_position_and_element(terms: Node, rank: int) -> tuple[Node, Node] | None:
    """The operand of a product of windows [batch, positions, elements, ..., channels] that is the
    same for all elements, and that which is for all positions; None where there are not both."""
    positions, elements = (0, *range(1, rank - 1, 2)), tuple(range(2, rank - 1, 2))

    def is_whole(x: Node, axes: tuple[int, ...]) -> bool:
        shape = (1,) * (terms.rank - x.rank) + x.shape
        return all(shape[axis] == terms.shape[axis] for axis in (*axes, rank - 1))

    for ct, kernel in (terms.operands, terms.operands[::-1]):
        if _varies(ct, terms.rank, elements) or _varies(kernel, terms.rank, positions):
            continue
        if is_whole(ct, positions) and is_whole(kernel, elements):
            return ct, kernel
    return None


def _varies(x: Node, rank: int, axes: tuple[int, ...]) -> bool:
    """Whether x, broadcast to `rank` axes, has more than one element along `axes`."""
    shape = (1,) * (rank - x.rank) + x.shape
    return any(shape[axis] != 1 for axis in axes)


# --- parts of a convolution --------------------------------------------------------------------


@rule(movement.slice_, ulps=SUM_ULPS)
def slice_of_convolution(node: Node) -> Node | None:
    """slice(windows(x) @ kernel, positions) = windows(slice(x)) @ kernel

    What a convolution hands back to the zeros around its input is not computed. The derivative
    by the kernel then adds up fewer products, without zeros times what is not taken.
    """
    (result,) = node.operands
    product = operand_of(result, movement.reshape)
    if product is None or product.op is not contract.matmul or product.rank != 2:
        return None
    rows, kernel = product.operands
    slid = windows_of_rows(rows, result.rank - 2)
    if slid is None or product.attributes["transpose_x"] or not _slices_positions(node):
        return None
    if result.shape[:-1] != (slid.shape[0], *slid.shape[1:-1:2]):
        return None
    found = part_of_windows(slid, node.attributes["starts"], node.shape)
    return build.reshape(contract.matmul(found, kernel, **product.attributes), node.shape)


@rule(movement.slice_, ulps=SUM_ULPS)
def slice_of_channels(node: Node) -> Node | None:
    """slice(sum(windows(x) * kernel, elements), positions) = sum(windows(slice(x)) * kernel,
    elements), each channel by itself"""
    (result,) = node.operands
    total = operand_of(result, movement.reshape)
    if total is None or total.op is not sum_ or not _slices_positions(node):
        return None
    (terms,) = total.operands
    elements = tuple(range(2, terms.rank - 1, 2))
    if total.attributes["axes"] != elements or terms.op is not ops.multiply:
        return None
    slid, kernel = terms.operands
    if slid.op is not windows or slid.shape != terms.shape or _varies(kernel, terms.rank, (0,)):
        return None
    positions = tuple(range(1, terms.rank - 1, 2))
    if slid.attributes["axes"] != tuple(range(1, result.rank - 1)) or _varies(
        kernel, terms.rank, positions
    ):
        return None
    less = _windows_at(slid, node.attributes["starts"], node.shape)
    return build.reshape(sum_(less * kernel, axes=elements), node.shape)


@rule(movement.slice_)
def slice_of_embedded(node: Node) -> Node | None:
    """slice(embed(x)) = embed(x) among fewer zeros, or embed(slice(x)) where x is cut too"""
    (whole,) = node.operands
    if whole.op is not movement.embed or not _has_steps_of_one(whole, node):
        return None
    x = whole.operands[0]
    starts: list[int] = []
    first: list[int] = []
    counts: list[Any] = []
    for axis in range(node.rank):
        inner, taken, all_of_it = x.shape[axis], node.shape[axis], whole.shape[axis]
        before, skipped = whole.attributes["starts"][axis], node.attributes["starts"][axis]
        if taken != all_of_it:
            if not all(isinstance(n, int) for n in (inner, taken, all_of_it, before, skipped)):
                return None
            left = min(before + inner, skipped + taken) - max(before, skipped)
            if left < 1:
                return None
            starts.append(max(before - skipped, 0))
            first.append(max(skipped - before, 0))
            counts.append(left)
        else:
            starts.append(before)
            first.append(0)
            counts.append(inner)
    steps = (1,) * node.rank
    part = x
    if tuple(counts) != x.shape:
        part = movement.slice_(x, starts=tuple(first), counts=tuple(counts), steps=steps)
    if part.shape == node.shape:
        return part
    return movement.embed(part, shape=node.shape, starts=tuple(starts), steps=steps)


def _has_steps_of_one(*nodes: Node) -> bool:
    return all(step == 1 for node in nodes for step in node.attributes["steps"])


def _slices_positions(node: Node) -> bool:
    """Whether a slice takes all of the first and the last axis, and neighbours along the others."""
    (x,) = node.operands
    ends = all(node.shape[axis] == x.shape[axis] for axis in (0, -1))
    return ends and _has_steps_of_one(node) and 0 not in node.shape


def windows_of_rows(rows: Node, spatial: int) -> Node | None:
    """The windows [batch, positions, elements, ..., channels] that the rows of a matrix are."""
    found = operand_of(rows, movement.reshape)
    slid = None if found is None else operand_of(found, movement.transpose)
    if found is None or slid is None or slid.op is not windows or spatial < 1:
        return None
    axes = tuple(range(1, spatial + 1))
    if slid.attributes["axes"] != axes or slid.rank != 2 * spatial + 2:
        return None
    return slid if found.attributes["axes"] == _apart(slid.rank) else None


def _apart(rank: int) -> tuple[int, ...]:
    """[batch, positions, elements, ..., channels] -> [batch, *positions, *elements, channels]."""
    return (0, *range(1, rank - 1, 2), *range(2, rank - 1, 2), rank - 1)


def part_of_windows(slid: Node, starts: Shape, counts: Shape) -> Node:
    """The rows of a matrix that windows are from the positions `starts` on, `counts` of them; both
    have an axis for the batch, each position and the channels."""
    less = _windows_at(slid, starts, counts)
    columns = math.prod(static_shape((*less.shape[2:-1:2], less.shape[-1])))
    return build.reshape(build.transpose(less, _apart(less.rank)), (-1, columns))


def _windows_at(slid: Node, starts: Shape, counts: Shape) -> Node:
    """The windows at these positions, of as little as they need of what they slide along."""
    (x,) = slid.operands
    first, extents = [0] * x.rank, list(x.shape)
    keys = ("axes", "sizes", "strides", "dilations")
    for axis, size, stride, dilation in zip(*(slid.attributes[key] for key in keys), strict=True):
        (start, count) = static_shape((starts[axis], counts[axis]))
        first[axis] = start * stride
        extents[axis] = (count - 1) * stride + reach(size, dilation)
    part = movement.slice_(x, starts=tuple(first), counts=tuple(extents), steps=(1,) * x.rank)
    return windows(part, **slid.attributes)


RULES: tuple[Rule, ...] = (
    add_windows_of_product,
    add_windows_of_channels,
    slice_of_convolution,
    slice_of_channels,
    slice_of_embedded,
)
