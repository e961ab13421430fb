"""Constructors that give the same elements another shape, or put tensors side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphc.ir.arguments.checks import (
    axes_of,
    axis_of,
    new_axis_of,
    problem_with,
    shape_of,
)
from graphc.ir.arguments.given import check_tensors, is_tensor, shown
from graphc.ir.dims import quotient_of
from graphc.ir.errors import ShapeError
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.op import Node
from graphc.ir.ops.movement import movement
from graphc.ir.types import Shape, each_of, is_several, normalize_axes, shape_text

Axis = int | Iterable[int] | None


def reshape(x: Any, shape: Any) -> Node:
    """The same elements in row-major order; one extent may be -1.

        rows = gc.reshape(x, (-1, 4))

    Raises ShapeError when the number of elements differs.
    """
    check_tensors("reshape", x)
    wanted: list[Any] = list(shape) if is_several(shape) else [shape]
    missing = [position for position, extent in enumerate(wanted) if _is_missing(extent)]
    if len(missing) > 1:
        raise ShapeError(problem_with("reshape", x, "only one extent may be -1"))
    if missing:
        rest = shape_of(x, [extent for extent in wanted if not _is_missing(extent)], "reshape")
        extent = quotient_of(math.prod(x.shape), math.prod(rest))
        if extent is None:
            raise ShapeError(problem_with("reshape", x, f"no extent completes {shape_text(rest)}"))
        wanted[missing[0]] = extent
    return reshaped(x, shape_of(x, wanted, "reshape"))


def _is_missing(extent: Any) -> bool:
    return isinstance(extent, int | np.integer) and extent == -1


def reshaped(x: Any, shape: Shape) -> Node:
    """`x` in a shape that is known to fit."""
    return x if shape == x.shape else movement.reshape(x, shape=shape)


def squeeze(x: Any, axis: Axis = None) -> Node:
    """`x` without `axis`, one or several: all whose extent is 1 unless given.

        column = gc.squeeze(x, -1)

    Raises ShapeError for an axis whose extent is not 1.
    """
    if axis is None:
        check_tensors("squeeze", x)
        return reshaped(x, tuple(extent for extent in x.shape if extent != 1))
    dropped = axes_of(x, axis, "squeeze")
    for each in dropped:
        if x.shape[each] != 1:
            raise ShapeError(
                problem_with("squeeze", x, f"axis {each} has the extent {x.shape[each]}")
            )
    return reshaped(x, tuple(e for each, e in enumerate(x.shape) if each not in dropped))


def expand_dims(x: Any, axis: int | Iterable[int]) -> Node:
    """`x` with a new axis of extent 1 at position `axis` of the result, or at each of several.
    Raises ShapeError for a position that it has not, and for one named twice.

        column = gc.expand_dims(x, -1)  # [n] -> [n, 1]
    """
    check_tensors("expand_dims", x)
    try:
        new = normalize_axes(each_of(axis), x.rank + len(each_of(axis)))
    except ShapeError as error:
        raise ShapeError(problem_with("expand_dims", x, str(error))) from None
    shape = list(x.shape)
    for each in new:
        shape.insert(each, 1)
    return reshaped(x, tuple(shape))


def transpose(x: Any, axes: Sequence[int] | None = None) -> Node:
    """The axes permuted; reversed when none are named. Raises ShapeError unless `axes` are
    all of them.

    swapped = gc.transpose(x, (0, 2, 1))
    """
    check_tensors("transpose", x)
    if axes is None:
        order = tuple(range(x.rank))[::-1]
    else:
        order = tuple(axis_of(x, axis, "transpose") for axis in each_of(axes))
    return x if order == tuple(range(x.rank)) else movement.transpose(x, axes=order)


def swapaxes(x: Any, axis1: int, axis2: int) -> Node:
    """`x` with two axes in each other's place. Raises ShapeError for axes that x has not.

    columns = gc.swapaxes(x, -1, -2)
    """
    order = list(range(x.rank)) if is_tensor(x) else []
    one, other = axis_of(x, axis1, "swapaxes"), axis_of(x, axis2, "swapaxes")
    order[one], order[other] = order[other], order[one]
    return transpose(x, order)


def moveaxis(x: Any, source: Axis, destination: Axis) -> Node:
    """`x` with the axes `source`, one or several, at the positions `destination`; the others stay
    in their order. Raises ShapeError for axes that x has not, or named twice.

        channels_last = gc.moveaxis(images, 1, -1)
    """
    axes_of(x, source, "moveaxis"), axes_of(x, destination, "moveaxis")
    sources = [axis_of(x, axis, "moveaxis") for axis in each_of(source)]
    places = [axis_of(x, axis, "moveaxis") for axis in each_of(destination)]
    if len(sources) != len(places):
        problem = f"{len(sources)} axes for {len(places)} positions"
        raise ShapeError(problem_with("moveaxis", x, problem))
    order = [axis for axis in range(x.rank) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return transpose(x, order)


def broadcast_to(x: Any, shape: Any) -> Node:
    """`x` stretched to `shape`: aligned at the right, extents of 1 repeated. Raises ShapeError
    where an extent differs.

        rows = gc.broadcast_to(bias, (5, 3))  # [3] -> [5, 3]
    """
    wanted = shape_of(x, shape, "broadcast_to")
    return x if wanted == x.shape else movement.broadcast_to(x, shape=wanted)


def expand(x: Any, axis: int, extent: Any) -> Node:
    """`x` repeated `extent` times along a new axis at position `axis`. Raises ShapeError for a
    position that the result has not.

        copies = gc.expand(x, 0, 5)  # [3] -> [5, 3]
    """
    axis = new_axis_of(x, axis, "expand")
    column = expand_dims(x, axis)
    (wanted,) = shape_of(x, (extent,), "expand")
    return broadcast_to(column, (*column.shape[:axis], wanted, *column.shape[axis + 1 :]))


def concatenate(tensors: Sequence[Any], axis: int | None = 0) -> Node:
    """The tensors one after the other along `axis`; their other extents and dtypes are equal. For
    None their elements in row-major order, as one vector.

    Raises ShapeError or DTypeError where they are not.

        both = gc.concatenate([x, y], axis=1)
    """
    if not is_several(tensors):
        problem = f"concatenate: several tensors in a list expected, not {shown(tensors)}"
        raise TypeError(located(problem, callers_location()))
    given = list(tensors)
    if not given:
        raise ShapeError("concatenate: at least one tensor expected")
    first = next((x for x in given if is_tensor(x)), None)
    if first is None:
        raise TypeError("concatenate: no operand is a tensor of a graph")
    if axis is None:
        given = [reshaped(x, (x.size,)) if is_tensor(x) else np.ravel(x) for x in given]
        axis, first = 0, next(x for x in given if is_tensor(x))
    return movement.concatenate(*given, axis=axis_of(first, axis, "concatenate"))
