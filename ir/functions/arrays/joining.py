"""Tensors put together of others, of parts of one, and of copies of one; and cut into parts."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from graphc.ir.arguments.checks import axes_of, axis_of, integer_of, new_axis_of, problem_with
from graphc.ir.arguments.given import as_integer, check_tensors, is_tensor, shown
from graphc.ir.dims import Dim, Extent, quotient_of
from graphc.ir.errors import ShapeError
from graphc.ir.functions.arrays.shaping import broadcast_to, concatenate, expand_dims, reshaped
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.op import Node
from graphc.ir.ops.movement import indexed, movement
from graphc.ir.types import each_of, is_several

Axis = int | Iterable[int] | None


def stack(tensors: Sequence[Any], axis: int = 0) -> Node:
    """The tensors, all of one shape and dtype, side by side along a new axis at position `axis`.

    Raises ShapeError or DTypeError where they differ, TypeError where none is a tensor.

        pairs = gc.stack([x, y], axis=-1)  # [n], [n] -> [n, 2]
    """
    given: list[Any] = list(tensors) if is_several(tensors) else []
    first: Any = next((x for x in given if is_tensor(x)), None)
    if first is None:
        problem = f"stack: several tensors in a list expected, not {shown(tensors)}"
        raise TypeError(located(problem, callers_location()))
    axis = new_axis_of(first, axis, "stack")
    nodes = [x if is_tensor(x) else first.graph.constant(x, first.dtype) for x in given]
    for x in nodes:
        if x.shape != first.shape:
            raise ShapeError(problem_with("stack", first, f"one shape expected, not also {x.type}"))
    return concatenate([expand_dims(x, axis) for x in nodes], axis)


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Node]:
    """`x` cut along `axis` into as many equal parts as an integer says, or before each place in a
    list: a list of tensors. An open extent is cut where the parts are extents whatever it is.

    Raises ShapeError where parts are not equal, and for an axis that x has not.

        gates = gc.split(z, 4, axis=1)  # [batch, 256] -> four of [batch, 64]
    """
    axis = axis_of(x, axis, "split")
    if is_several(indices_or_sections):
        return _parts(x, [*indices_or_sections], axis, "split")
    sections = integer_of(x, indices_or_sections, "split")
    count = quotient_of(x.shape[axis], sections) if sections > 0 else None
    if count is None:
        problem = f"an extent of {x.shape[axis]} has no {sections} equal parts; array_split does"
        raise ShapeError(problem_with("split", x, problem))
    return _parts(x, [count * number for number in range(1, sections)], axis, "split")


def array_split(x: Any, indices_or_sections: Any, axis: int = 0) -> list[Node]:
    """As `split`, but the first parts may have one element more than the last ones. Raises
    ShapeError for an extent that is open, unless it has equal parts, and as `split` does.

        thirds = gc.array_split(x, 3)  # [8] -> [3], [3], [2]
    """
    axis = axis_of(x, axis, "array_split")
    extent = x.shape[axis]
    if is_several(indices_or_sections) or isinstance(extent, Dim):
        return split(x, indices_or_sections, axis)
    sections = integer_of(x, indices_or_sections, "array_split")
    if sections < 1:
        raise ShapeError(problem_with("array_split", x, f"{sections} parts are none"))
    count, longer = divmod(extent, sections)
    places = [count * number + min(number, longer) for number in range(1, sections)]
    return _parts(x, places, axis, "array_split")


def _parts(x: Any, places: list[Any], axis: int, name: str) -> list[Node]:
    """What lies between the begin, each place and the end; places as in a slice of numpy."""
    extent = x.shape[axis]
    try:
        bounds = [0, *(p if isinstance(p, Dim) else as_integer(p) for p in places), extent]
    except TypeError as error:
        raise ShapeError(problem_with(name, x, str(error))) from None
    before = (slice(None),) * axis
    return [x[(*before, slice(*pair))] for pair in itertools.pairwise(bounds)]


# --- copies ----------------------------------------------------------------------------------


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Node:
    """Each slice along `axis` so many times in a row; of all elements in one axis for None.
    `repeats` is an integer, or a list of one for each slice.

    Raises ShapeError for counts that are none, and for a list beside an open extent.

        twice = gc.repeat(x, 2, axis=0)  # rows 0, 0, 1, 1, ...
    """
    check_tensors("repeat", x)
    if axis is None:
        return repeat(reshaped(x, (x.size,)), repeats, 0)
    axis = axis_of(x, axis, "repeat")
    if is_several(repeats) and len(each_of(repeats)) != 1:
        return _repeated_each(x, repeats, axis)
    (count,) = each_of(repeats)
    count = _count_of(x, count, "repeat")
    column = expand_dims(x, axis + 1)
    copies = broadcast_to(column, (*x.shape[: axis + 1], count, *x.shape[axis + 1 :]))
    return reshaped(copies, (*x.shape[:axis], x.shape[axis] * count, *x.shape[axis + 1 :]))


def _repeated_each(x: Any, repeats: Any, axis: int) -> Node:
    counts, extent = [integer_of(x, count, "repeat") for count in repeats], x.shape[axis]
    if len(counts) != extent or min(counts) < 0:
        problem = f"{len(counts)} counts for an extent of {extent}"
        raise ShapeError(problem_with("repeat", x, problem))
    chosen = np.repeat(np.arange(extent), counts)
    return indexed.take(x, x.graph.constant(chosen, "i64"), axis=axis)


def tile(x: Any, reps: Any) -> Node:
    """`x` again and again: as often along each axis as `reps`, an integer or one for each axis,
    says; the shorter of shape and `reps` has 1 before it. Raises ShapeError for counts that are
    none.

        board = gc.tile(x, (2, 3))  # [4, 5] -> [8, 15]
    """
    check_tensors("tile", x)
    given = tuple(_count_of(x, count, "tile") for count in each_of(reps))
    rank = max(len(given), x.rank)
    counts = (1,) * (rank - len(given)) + given
    extents = (1,) * (rank - x.rank) + x.shape
    # Each axis is behind one of its copies, which needs no axis where there is one alone.
    apart: list[Extent] = []
    copied: list[Extent] = []
    for count, extent in zip(counts, extents, strict=True):
        is_copied = count != 1
        apart += [1, extent] if is_copied else [extent]
        copied += [count, extent] if is_copied else [extent]
    copies = broadcast_to(reshaped(x, tuple(apart)), tuple(copied))
    return reshaped(copies, tuple(c * e for c, e in zip(counts, extents, strict=True)))


def _count_of(x: Any, count: Any, name: str) -> Extent:
    """How often something is repeated. Raises ShapeError."""
    if isinstance(count, Dim):
        return count
    number = integer_of(x, count, name)
    if number < 0:
        raise ShapeError(problem_with(name, x, f"{number} is no number of copies"))
    return number


# --- parts in another order --------------------------------------------------------------------


def roll(x: Any, shift: Any, axis: Axis = None) -> Node:
    """The elements `shift` places further along `axis`, those beyond the end at the begin; several
    shifts for several axes, one after the other, and all elements in one axis, in x's shape, for
    None.

    Raises ShapeError for an axis that is open, and for several shifts beside another number of
    several axes.

        behind = gc.roll(x, 1, axis=0)
    """
    check_tensors("roll", x)
    if axis is None:
        return reshaped(roll(reshaped(x, (x.size,)), shift, 0), x.shape)
    axes = [axis_of(x, each, "roll") for each in each_of(axis)]
    shifts = [integer_of(x, each, "roll") for each in each_of(shift)]
    if len(shifts) == 1:
        shifts *= len(axes)
    elif len(axes) == 1:
        axes *= len(shifts)
    if len(shifts) != len(axes):
        problem = f"{len(shifts)} shifts for {len(axes)} axes"
        raise ShapeError(problem_with("roll", x, problem))
    for each, places in zip(axes, shifts, strict=True):
        x = _rolled(x, places, each)
    rolled: Node = x
    return rolled


def _rolled(x: Any, shift: int, axis: int) -> Any:
    extent = x.shape[axis]
    if isinstance(extent, Dim):
        problem = f"dimension {extent} is open; where its end comes to stand is not known"
        raise ShapeError(problem_with("roll", x, problem))
    if extent == 0 or shift % extent == 0:
        return x
    start, before = extent - shift % extent, (slice(None),) * axis
    return concatenate([x[(*before, slice(start, None))], x[(*before, slice(None, start))]], axis)


def flip(x: Any, axis: Axis = None) -> Node:
    """The elements in reverse along `axis`: an axis, several, or None for all. Raises ShapeError
    for an axis that is open.

        backwards = gc.flip(x, axis=1)
    """
    axes = axes_of(x, axis, "flip")
    starts = []
    for number, extent in enumerate(x.shape):
        if number in axes and isinstance(extent, Dim):
            problem = f"dimension {extent} is open; where its end stands is not known"
            raise ShapeError(problem_with("flip", x, problem))
        starts.append(max(extent - 1, 0) if number in axes else 0)
    if not axes:
        return x
    steps = tuple(-1 if number in axes else 1 for number in range(x.rank))
    return movement.slice_(x, starts=tuple(starts), counts=x.shape, steps=steps)
