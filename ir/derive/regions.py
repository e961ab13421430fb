"""The sum of what regions of one tensor contribute, as derivatives of its slices do.

The derivative of a slice is `embed`, zeros but for the slice's region, and T slices of a tensor
would be T tensors to add. Regions that do not overlap become a concatenation instead, those that
overlap are added where they do, and the time is linear in T.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from graphc.ir.dims import Dim, Extent
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.movement import movement
from graphc.ir.types import Shape


@dataclass(frozen=True, eq=False)
class _Region:
    """`value`, which begins at element `starts[a]` of axis a."""

    value: Node
    starts: tuple[int, ...]

    def interval(self, axis: int) -> tuple[int, Extent]:
        """Where the region begins along an axis, and how long it is."""
        return self.starts[axis], self.value.shape[axis]


def sum_of_embedded(embedded: Sequence[Node]) -> Node:
    """The sum of nodes of the op `embed`, all of one type; there is at least one.

    Values that are added to each other are added in the order of where they begin.
    """
    shape = embedded[0].shape
    in_open = [node for node in embedded if _is_part_of_open(node)]
    if in_open:
        rest = [node for node in embedded if not _is_part_of_open(node)]
        joined = _tiles(in_open)
        return _sum([*(in_open if joined is None else [joined]), *_sums(rest)])
    by_steps: dict[tuple[int, ...], list[_Region]] = {}
    # A region without elements says nothing but that there are zeros.
    for node in [each for each in embedded if 0 not in each.operands[0].shape] or embedded[:1]:
        steps, region = _forward(node)
        by_steps.setdefault(steps, []).append(region)
    return _sum(_spread(shape, steps, regions) for steps, regions in by_steps.items())


def _sum(values: Iterable[Node]) -> Node:
    first, *others = values
    for value in others:
        first = first + value
    return first


def _sums(embedded: Sequence[Node]) -> list[Node]:
    return [sum_of_embedded(embedded)] if embedded else []


# --- open extents ----------------------------------------------------------------------------


def _is_part_of_open(node: Node) -> bool:
    """Whether the region is a part of an open extent."""
    places = zip(node.attributes["starts"], node.operands[0].shape, node.shape, strict=True)
    return any(
        isinstance(start, Dim) or (isinstance(extent, Dim) and count != extent)
        for start, count, extent in places
    )


def _tiles(embedded: Sequence[Node]) -> Node | None:
    """The sum of regions that lie one after the other along an axis, whole along all others, from
    its begin to its end: their concatenation. None where they do not."""
    shape = embedded[0].shape
    axes = {
        axis
        for node in embedded
        for axis, extent in enumerate(shape)
        if node.operands[0].shape[axis] != extent
    }
    if len(axes) != 1 or any(set(node.attributes["steps"]) != {1} for node in embedded):
        return None
    (axis,) = axes
    by_place: dict[tuple[Extent, Extent], list[Node]] = {}
    for node in embedded:
        (value,) = node.operands
        place = node.attributes["starts"][axis], value.shape[axis]
        by_place.setdefault(place, []).append(value)
    pieces: list[Node] = []
    at: Extent = 0
    while by_place:
        following = next((each for each in by_place if each[0] == at), None)
        if following is None:
            return None
        pieces.append(_sum(by_place.pop(following)))
        at = at + following[1]
    return build.concatenate(pieces, axis) if at == shape[axis] else None


# --- steps -----------------------------------------------------------------------------------


def _forward(node: Node) -> tuple[tuple[int, ...], _Region]:
    """An embedded value turned so that its steps are positive, and 1 where nothing is stepped."""
    (value,) = node.operands
    starts, steps = list(node.attributes["starts"]), list(node.attributes["steps"])
    turned = [1] * value.rank
    for axis, count in enumerate(value.shape):
        if not isinstance(count, int) or count <= 1:
            steps[axis] = 1
        elif steps[axis] < 0:
            starts[axis] += (count - 1) * steps[axis]
            steps[axis] = -steps[axis]
            turned[axis] = -1
    return tuple(steps), _Region(_turned(value, turned), tuple(starts))


def _turned(value: Node, steps: Sequence[int]) -> Node:
    """The value backwards along each axis whose step is -1."""
    if all(step == 1 for step in steps):
        return value
    starts = []
    for count, step in zip(value.shape, steps, strict=True):
        starts.append(count - 1 if isinstance(count, int) and step < 0 else 0)
    return movement.slice_(value, starts=tuple(starts), counts=value.shape, steps=tuple(steps))


def _spread(shape: Shape, steps: tuple[int, ...], regions: Sequence[_Region]) -> Node:
    """The sum of regions that step alike.

    An axis in steps of s is two axes, [extent / s, s], of which a region is one column.
    """
    if all(step == 1 for step in steps):
        return _placed(shape, regions)
    split: list[Extent] = []
    whole: list[Extent] = []
    for extent, step in zip(shape, steps, strict=True):
        if isinstance(extent, int) and step != 1:
            rows = -(-extent // step)
            split += [rows, step]
            whole.append(rows * step)
        else:
            split.append(extent)
            whole.append(extent)
    made = _placed(tuple(split), [_split(region, steps) for region in regions])
    made = build.reshape(made, tuple(whole))
    if tuple(whole) == shape:
        return made
    ones = (1,) * len(shape)
    return movement.slice_(made, starts=(0,) * len(shape), counts=shape, steps=ones)


def _split(region: _Region, steps: Sequence[int]) -> _Region:
    starts: list[int] = []
    counts: list[Extent] = []
    for start, count, step in zip(region.starts, region.value.shape, steps, strict=True):
        starts += [start] if step == 1 else [start // step, start % step]
        counts += [count] if step == 1 else [count, 1]
    return _Region(build.reshape(region.value, tuple(counts)), tuple(starts))


# --- places ----------------------------------------------------------------------------------


def _placed(shape: Shape, regions: Iterable[_Region]) -> Node:
    """The sum of regions in zeros of `shape`: along one axis after the other."""
    alike: dict[tuple[object, ...], list[_Region]] = {}
    for region in regions:
        alike.setdefault((region.starts, region.value.shape), []).append(region)
    apart = [_Region(_sum(r.value for r in same), same[0].starts) for same in alike.values()]
    axis = _axis_apart(shape, apart)
    if axis is None:
        (region,) = apart
        return _embedded(region.value, shape, region.starts)
    by_interval: dict[tuple[int, Extent], list[_Region]] = {}
    for region in apart:
        by_interval.setdefault(region.interval(axis), []).append(region)
    pieces = []
    for (start, count), members in by_interval.items():
        inner = (*shape[:axis], count, *shape[axis + 1 :])
        moved = [_Region(r.value, (*r.starts[:axis], 0, *r.starts[axis + 1 :])) for r in members]
        pieces.append(_Piece(start, _placed(inner, moved), axis))
    extent = shape[axis]
    assert isinstance(extent, int)
    return _joined([_overlaid(each) for each in _overlapping(pieces)], 0, extent)


def _axis_apart(shape: Shape, regions: Sequence[_Region]) -> int | None:
    """The axis along which regions of different places have least to make; None for one region."""
    made: dict[int, float] = {}
    for axis, extent in enumerate(shape):
        intervals = {region.interval(axis) for region in regions}
        if len(intervals) > 1 and isinstance(extent, int):
            made[axis] = sum(count for _, count in intervals if isinstance(count, int)) / extent
    return min(made, key=made.__getitem__, default=None)


def _embedded(value: Node, shape: Shape, starts: tuple[int, ...]) -> Node:
    if value.shape == shape:
        return value
    return movement.embed(value, shape=shape, starts=starts, steps=(1,) * len(shape))


@dataclass(frozen=True, eq=False)
class _Piece:
    """`value` at element `start` of `axis`; whole along the other axes."""

    start: int
    value: Node
    axis: int

    @property
    def end(self) -> int:
        count = self.value.shape[self.axis]
        assert isinstance(count, int)
        return self.start + count


def _overlapping(pieces: Iterable[_Piece]) -> list[list[_Piece]]:
    """The pieces in their order, in lists of those that overlap, directly or through others."""
    lists: list[list[_Piece]] = []
    end = 0
    for piece in sorted(pieces, key=lambda piece: (piece.start, piece.end)):
        if lists and piece.start < end:
            lists[-1].append(piece)
        else:
            lists.append([piece])
        end = max(end, piece.end)
    return lists


def _overlaid(pieces: Sequence[_Piece]) -> _Piece:
    """The sum of pieces, where each has a place: in as few layers as pieces overlap."""
    layers: list[list[_Piece]] = []
    ends: list[tuple[int, int]] = []
    for piece in pieces:
        if ends and ends[0][0] <= piece.start:
            _, number = heapq.heappop(ends)
        else:
            number = len(layers)
            layers.append([])
        layers[number].append(piece)
        heapq.heappush(ends, (piece.end, number))
    start, end = pieces[0].start, max(piece.end for piece in pieces)
    value = _sum(_joined(layer, start, end) for layer in layers)
    return _Piece(start, value, pieces[0].axis)


def _joined(pieces: Sequence[_Piece], start: int, end: int) -> Node:
    """Pieces in their order, none of which overlap, with zeros between them, from `start` to
    `end`."""
    first, axis = pieces[0], pieces[0].axis
    shape = first.value.shape

    def with_extent(extent: int) -> Shape:
        return (*shape[:axis], extent, *shape[axis + 1 :])

    values, at = [], first.start
    for piece in pieces:
        if piece.start > at:
            zero = first.value.graph.constant(0.0, first.value.dtype)
            values.append(build.broadcast_to(zero, with_extent(piece.start - at)))
        values.append(piece.value)
        at = piece.end
    value = build.concatenate(values, axis) if len(values) > 1 else values[0]
    starts = tuple(first.start - start if a == axis else 0 for a in range(len(shape)))
    return _embedded(value, with_extent(end - start), starts)
