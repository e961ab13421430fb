"""`x[key]`: integers, slices, None, `...`, and tensors, arrays and lists of indices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.arguments.checks import problem_with
from graphc.ir.arguments.given import as_array, as_integer, is_tensor, shown
from graphc.ir.dims import Dim, Extent, is_natural
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.functions.arrays.shaping import broadcast_to, reshaped, transpose
from graphc.ir.functions.arrays.taking import indices_along
from graphc.ir.nodes.op import Node
from graphc.ir.ops import composite
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import indexed, movement
from graphc.ir.types import broadcast_shapes, i64

_MASK = (
    "a mask would choose as many elements as it holds True, and a shape does not depend on values; "
    "gc.where(mask, x, 0) keeps the shape, and an array of bools, which is known, is an index"
)


@dataclass(frozen=True, eq=False)
class _Places:
    """Indices along an axis: a tensor or an array. extent: that of the axis where they are the
    places at which an array of bools is True."""

    indices: Any
    extent: int | None = None


def index(x: Any, key: Any) -> Node:
    """`x[key]` as numpy has it, for integers, slices, None, `...`, and for tensors, arrays and
    lists of integers, whose axes replace those that they stand for. An array of bools stands for
    the places where it is True.

    Raises ShapeError for an index out of range or of a kind that is not known, and for lists that
    do not broadcast; IndexError for a number in a list that is out of range; DTypeError for a
    tensor of bools.
    """
    given = list(key) if isinstance(key, tuple) else [key]
    items = _of_each_axis(x, [part for item in given for part in _known(x, item)])
    lists = [place for place, item in enumerate(items) if isinstance(item, _Places)]
    if not lists:
        return _by_slices(x, items)
    _check_bools(x, items)
    chosen = [items[place].indices for place in lists]
    rest = [slice(None) if place in lists else item for place, item in enumerate(items)]
    sliced = _by_slices(x, rest)
    kept = [n for n, item in enumerate(items) if item is None or isinstance(item, slice | _Places)]
    axes = [kept.index(place) for place in lists]
    # To numpy an integer beside a list is a list too. Where they are apart, the axes of the indices
    # come first.
    block = [n for n, item in enumerate(items) if not (item is None or isinstance(item, slice))]
    if block != list(range(block[0], block[-1] + 1)):
        others = [axis for axis in range(sliced.rank) if axis not in axes]
        return _by_lists(transpose(sliced, (*axes, *others)), chosen, 0)
    return _by_lists(sliced, chosen, axes[0])


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


def _known(x: Any, item: Any) -> list[Any]:
    """An item of a key: itself, or a list of indices for each axis that it stands for."""
    if is_tensor(item):
        if item.dtype.is_bool:
            raise DTypeError(problem_with("index", x, _MASK))
        return [_Places(item)]
    if not isinstance(item, np.ndarray | list | tuple):
        return [item]
    try:
        array = as_array(item)
    except (TypeError, ValueError) as error:
        raise DTypeError(problem_with("index", x, str(error))) from None
    if array.ndim == 0:
        return [item]
    if array.dtype.kind != "b":
        return [_Places(array)]
    return [_Places(*pair) for pair in zip(np.nonzero(array), array.shape, strict=True)]


def _check_bools(x: Any, items: list[Any]) -> None:
    """Raises ShapeError unless arrays of bools have the extents of the axes that they stand for."""
    of_axes = [item for item in items if item is not None]
    for item, extent in zip(of_axes, x.shape, strict=True):
        if isinstance(item, _Places) and item.extent not in (None, extent):
            problem = f"bools of extent {item.extent} for an extent of {extent}"
            raise ShapeError(problem_with("index", x, problem))


def _by_lists(x: Any, chosen: list[Any], axis: int) -> Node:
    """The slices of `x` along the axes from `axis` on at which a list each has its indices."""
    found = [indices_along(x, each, axis + n, "index") for n, each in enumerate(chosen)]
    if len(found) > 1:
        return _by_pairs(x, found, axis)
    (indices,) = found
    if x.rank == 1 and indices.rank == 0:
        return composite.pick(x, indices)
    return indexed.take(x, indices, axis=axis)


def _by_pairs(x: Any, lists: list[Any], axis: int) -> Node:
    """The same of several lists, which broadcast: by the number of an element in the axes, taken as
    one."""
    extents = x.shape[axis : axis + len(lists)]
    try:
        shape = broadcast_shapes([each.shape for each in lists])
    except ShapeError as error:
        raise ShapeError(problem_with("index", x, f"lists of indices: {error}")) from None
    number: Any = x.graph.constant(0, i64)
    for each, extent in zip(lists, extents, strict=True):
        place = indexed.in_range(each, limit=extent)
        number = number * x.graph.extent((extent,), i64) + ops.cast(place, dtype=i64)
    merged = (*x.shape[:axis], math.prod(extents), *x.shape[axis + len(lists) :])
    return indexed.take(reshaped(x, merged), broadcast_to(number, shape), axis=axis)


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
