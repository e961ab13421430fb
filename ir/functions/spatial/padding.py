"""Tensors with borders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.ir.arguments.checks import axis_of, integer_of, problem_with
from graphc.ir.arguments.given import check_tensors, is_one_of, is_tensor, shown
from graphc.ir.dims import Dim, Extent
from graphc.ir.errors import ShapeError
from graphc.ir.functions.arrays.shaping import broadcast_to, concatenate
from graphc.ir.nodes.op import Node
from graphc.ir.ops.composite import positions
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.types import Shape, each_of, i64, is_several

Widths = tuple[tuple[int, int], ...]

# numpy's modes in which a border is made of elements of the tensor.
_MODES_OF_ELEMENTS = ("edge", "reflect", "symmetric", "wrap")


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Node:
    """`x` with a border. pad_width: as many elements before and behind each axis; or (before,
    behind) for all axes, or a pair for each, or {axis: width or pair}. mode: "constant"
    (`constant_values`, a number, or pairs as widths are; a later axis has the corners), "edge" (the
    last element again), "reflect" (mirrored at the last element), "symmetric" (mirrored behind it)
    or "wrap" (from the other end). As numpy's. One copy for a constant, else one for each axis that
    is padded.

    Raises ShapeError for widths and pairs of values that are none, for other modes, and where
    elements of an open axis are asked for; DTypeError for values that x's dtype does not hold.

        framed = gc.pad(images, ((0, 0), (1, 1), (1, 1)), mode="edge")
    """
    check_tensors("pad", x)
    widths = _widths_of(x, pad_width)
    if mode == "constant":
        return _with_constant(x, widths, constant_values)
    if not is_one_of(mode, _MODES_OF_ELEMENTS):
        known = ", ".join(("constant", *_MODES_OF_ELEMENTS))
        raise ShapeError(problem_with("pad", x, f"one of {known} expected, not {shown(mode)}"))
    for axis, width in enumerate(widths):
        if width != (0, 0):
            x = _with_elements(x, axis, width, mode)
    padded: Node = x
    return padded


def _widths_of(x: Any, pad_width: Any) -> Widths:
    """What stands before and behind each axis. Raises ShapeError."""
    if isinstance(pad_width, Mapping):
        by_axis = {axis_of(x, axis, "pad"): width for axis, width in pad_width.items()}
        pad_width = [by_axis.get(axis, 0) for axis in range(x.rank)]
        pairs = tuple(_pairs_of(x, width, 1, "width")[0] for width in pad_width)
    else:
        pairs = _pairs_of(x, pad_width, x.rank, "width")
    widths = tuple(
        (integer_of(x, before, "pad"), integer_of(x, behind, "pad")) for before, behind in pairs
    )
    if any(width < 0 for pair in widths for width in pair):
        raise ShapeError(problem_with("pad", x, f"a width is 0 or more, not {shown(pad_width)}"))
    return widths


def _pairs_of(x: Any, given: Any, count: int, what: str) -> tuple[tuple[Any, Any], ...]:
    """One thing for all, (before, behind), or such a pair for each of `count` axes, as pairs.
    Raises ShapeError."""
    parts = [each_of(each) for each in each_of(given)]
    if is_several(given) and not any(is_several(each) for each in each_of(given)):
        parts = [each_of(given)]
    pairs = [each * 2 if len(each) == 1 else each for each in parts]
    if any(len(pair) != 2 for pair in pairs) or len(pairs) not in (1, count):
        problem = f"a {what}, (before, behind), or such a pair for each axis: not {shown(given)}"
        raise ShapeError(problem_with("pad", x, problem))
    return tuple(pairs * count if len(pairs) == 1 else pairs)


def _with_constant(x: Any, widths: Widths, given: Any) -> Node:
    values = _pairs_of(x, given, x.rank, "value")
    shape = tuple(b + e + a for (b, a), e in zip(widths, x.shape, strict=True))
    if shape == x.shape:
        return x
    starts, steps = tuple(before for before, _ in widths), (1,) * x.rank
    padded: Node = movement.embed(x, shape=shape, starts=starts, steps=steps)
    if not is_several(given):
        if not is_tensor(given) and given == 0:
            return padded
        return ops.where(_inside(padded, x.shape, starts), padded, _value_of(x, given))
    for axis, pair in enumerate(values):
        place, extent = positions(padded, axis, i64), x.shape[axis]
        end = padded.graph.extent((extent,), i64) + starts[axis]
        before, behind = (_value_of(x, value) for value in pair)
        if widths[axis][0]:
            padded = ops.where(ops.less(place, starts[axis]), before, padded)
        if widths[axis][1]:
            padded = ops.where(ops.less(place, end), padded, behind)
    return padded


def _value_of(x: Any, value: Any) -> Any:
    """A number of a border as a scalar tensor. Raises ShapeError, DTypeError."""
    made = value if is_tensor(value) else x.graph.lifted(f"pad({x.type})", value, x.dtype)
    if made.rank:
        raise ShapeError(problem_with("pad", x, f"a value is one number, not {shown(value)}"))
    return made


def _inside(padded: Any, shape: Shape, starts: tuple[int, ...]) -> Node:
    """Whether an element is one of the tensor that begins at `starts`."""
    inside: Any = None
    for axis, (extent, start) in enumerate(zip(shape, starts, strict=True)):
        if padded.shape[axis] == extent:
            continue
        place = positions(padded, axis, i64)
        end = padded.graph.extent((extent,), i64) + start
        along = ops.logical_and(ops.greater_equal(place, start), ops.less(place, end))
        inside = along if inside is None else ops.logical_and(inside, along)
    made: Node = inside
    return made


def _with_elements(x: Any, axis: int, width: tuple[int, int], mode: Any) -> Node:
    """`x` between slices of it: numpy says which elements stand where."""
    extent = x.shape[axis]
    if isinstance(extent, Dim) or extent == 0:
        problem = f"an extent of {extent} has no elements that surely stand beside its border"
        raise ShapeError(problem_with("pad", x, problem))
    return concatenate(
        [
            _run(x, axis, start, count, step)
            for start, count, step in _runs(np.pad(np.arange(extent), width, mode=mode).tolist())
        ],
        axis,
    )


def _runs(places: list[int]) -> list[tuple[int, int, int]]:
    """Start, count and step of the slices that choose `places`, one after the other."""
    runs: list[tuple[int, int, int]] = []
    at = 0
    while at < len(places):
        end, step = at + 1, 0
        if end < len(places) and abs(places[end] - places[at]) <= 1:
            step = places[end] - places[at]
            while end < len(places) and places[end] - places[end - 1] == step:
                end += 1
        runs.append((places[at], end - at, step))
        at = end
    return runs


def _run(x: Any, axis: int, start: int, count: int, step: int) -> Node:
    """`count` slices along `axis` from `start` on; a step of 0 repeats the first one."""
    starts = tuple(start if a == axis else 0 for a in range(x.rank))
    steps = tuple(step or 1 if a == axis else 1 for a in range(x.rank))

    def with_extent(n: Extent) -> Shape:
        return tuple(n if a == axis else extent for a, extent in enumerate(x.shape))

    one = count if step else 1
    part = movement.slice_(x, starts=starts, counts=with_extent(one), steps=steps)
    return broadcast_to(part, with_extent(count))
