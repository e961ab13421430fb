"""`x[key]`: integers, slices, None, `...`, and one tensor, array or list of indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.argument_checks import problem_with
from graphc.ir.build import lift_index, reshaped
from graphc.ir.dims import Dim, Extent, is_natural
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.given import as_array, as_integer, is_tensor, shown
from graphc.ir.op import Node
from graphc.ir.ops import composite, indexed, movement

_MASK = (
    "a mask would choose as many elements as it holds True, and a shape does not depend on values; "
    "gc.where(mask, x, 0) keeps the shape, and np.flatnonzero makes indices of an array of bools"
)


def index(x: Any, key: Any) -> Node:
    """`x[key]` as numpy has it, for integers, slices, None, `...`, and for one tensor, array or
    list of integers, whose axes replace the axis that it stands for.

    Raises ShapeError for an index out of range or of a kind that is not known, and for an integer
    beside a list of indices; IndexError for a number in a list that is out of range; DTypeError for
    a mask.
    """
    items = _of_each_axis(x, list(key) if isinstance(key, tuple) else [key])
    places = [place for place, item in enumerate(items) if _is_several(item)]
    if not places:
        return _by_slices(x, items)
    if len(places) > 1:
        problem = "only one tensor, array or list may stand in an index; take one axis at a time"
        raise ShapeError(problem_with("index", x, problem))
    (place,) = places
    chosen, items[place] = items[place], slice(None)
    if not all(item is None or isinstance(item, slice) for item in items):
        problem = "an integer beside a tensor, array or list; index by one after the other"
        raise ShapeError(problem_with("index", x, problem))
    return _by_several(_by_slices(x, items), chosen, place)


def _of_each_axis(x: Any, items: list[Any]) -> list[Any]:
    """The items with slices in the place of `...`, and of what is left out at the end."""
    named = sum(item is not None and item is not Ellipsis for item in items)
    if named > x.rank:
        raise ShapeError(problem_with("index", x, f"{named} indices for rank {x.rank}"))
    if not any(item is Ellipsis for item in items):
        items = [*items, Ellipsis]
    if sum(item is Ellipsis for item in items) > 1:
        raise ShapeError(problem_with("index", x, "only one ... may stand in an index"))
    position = next(i for i, item in enumerate(items) if item is Ellipsis)
    return [*items[:position], *[slice(None)] * (x.rank - named), *items[position + 1 :]]


def _is_several(item: Any) -> bool:
    if isinstance(item, np.ndarray):
        return item.ndim > 0 or item.dtype.kind == "b"
    return is_tensor(item) or isinstance(item, list | tuple)


def _by_several(x: Any, chosen: Any, axis: int) -> Node:
    """Slices of `x` along `axis`."""
    if is_tensor(chosen):
        if chosen.dtype.is_bool:
            raise DTypeError(problem_with("index", x, _MASK))
        if x.rank == 1 and chosen.rank == 0:
            return composite.pick(x, chosen)
        return indexed.take(x, chosen, axis=axis)
    try:
        array = as_array(chosen)
    except (TypeError, ValueError) as error:
        raise DTypeError(problem_with("index", x, str(error))) from None
    if array.dtype.kind == "b":
        raise DTypeError(problem_with("index", x, _MASK))
    extent = x.shape[axis]
    if array.size and isinstance(extent, int) and array.min() >= -extent:
        array = np.where(array < 0, array + extent, array)
    return indexed.take(x, lift_index(array, x, axis, "index"), axis=axis)


def _by_slices(x: Any, items: list[Any]) -> Node:
    starts, counts, steps = [], [], []
    shape: list[Extent] = []
    axis = 0
    for item in items:
        if item is None:
            shape.append(1)
            continue
        start, count, step = _resolve(x, axis, item)
        starts.append(start)
        counts.append(count)
        steps.append(step)
        if isinstance(item, slice):
            shape.append(count)
        axis += 1
    sliced = x
    if (tuple(starts), tuple(counts), tuple(steps)) != ((0,) * x.rank, x.shape, (1,) * x.rank):
        sliced = movement.slice_(x, starts=tuple(starts), counts=tuple(counts), steps=tuple(steps))
    return reshaped(sliced, tuple(shape))


def _resolve(x: Any, axis: int, item: Any) -> tuple[Extent, Extent, int]:
    """Start, count and step that an integer or a slice selects along `axis`."""
    extent = x.shape[axis]
    if isinstance(item, slice):
        bounds = (item.start, item.stop, item.step)
        if all(bound is None for bound in bounds):
            return 0, extent, 1
        if any(isinstance(each, Dim) for each in (extent, *bounds)):
            return _resolve_open(x, extent, item)
        try:
            start, stop, step = item.indices(extent)
        except (TypeError, ValueError) as error:
            raise ShapeError(problem_with("index", x, f"{shown(item)}: {error}")) from None
        return start, len(range(start, stop, step)), step
    try:
        number = as_integer(item)
    except TypeError:
        raise ShapeError(problem_with("index", x, f"{shown(item)} is no index")) from None
    if isinstance(extent, Dim):
        raise ShapeError(problem_with("index", x, f"dimension {extent} is open; take it whole"))
    if not -extent <= number < extent:
        raise ShapeError(problem_with("index", x, f"{number} is outside an extent of {extent}"))
    return number % extent, 1, 1


def _resolve_open(x: Any, extent: Extent, item: slice) -> tuple[Extent, Extent, int]:
    """The same for a slice of open extents, which must lie in them whatever they are."""
    start = 0 if item.start is None else item.start
    stop = extent if item.stop is None else item.stop
    try:
        start, stop = (e if isinstance(e, Dim) else as_integer(e) for e in (start, stop))
    except TypeError as error:
        raise ShapeError(problem_with("index", x, f"{shown(item)}: {error}")) from None
    inside = is_natural(start) and is_natural(stop - start) and is_natural(extent - stop)
    if not inside or item.step not in (None, 1):
        problem = f"dimension {extent} is open; take it whole, or from and to where it surely is"
        raise ShapeError(problem_with("index", x, problem))
    return start, stop - start, 1
