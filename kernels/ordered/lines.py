"""The lines of arrays along an axis, in groups that stand evenly side by side.

A line is what shares all indices but that of the axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.nodes.lowering import Strided
from graphc.kernels.loops.language.expressions import Element, Expression, Name, of
from graphc.kernels.loops.language.indices import THREAD_SHARE, ZERO, flat_index, share_limits
from graphc.kernels.loops.language.statements import Block
from graphc.kernels.loops.rewrites.loops import INNER_VARIABLES
from graphc.kernels.nests.access import Access, Loop, merge_axes

GROUP, FIRST, LINES, LINE, PLACE = map(Name, ("group", "first", "lines", "line", "i"))


@dataclass(frozen=True)
class LineArray:
    """The lines of an array: `start` is the variable of where the first line of a group begins.

    apart: elements from one line of the group to the next. step: from one element to the next.
    """

    buffer: Name
    start: Name
    apart: int
    step: int

    def element(self, place: Expression, line: Expression = LINE) -> Element:
        """An element of a line of the group."""
        index: Expression = self.start
        if line != ZERO:
            index = index + flat_index((line, self.apart))
        if place != ZERO:
            index = index + (place if self.step == 1 else place * self.step)
        return Element(self.buffer, index)


@dataclass(frozen=True)
class LineGroups:
    """All lines of arrays of equal extents but for `axis`, in groups of `width` at most.

    beside: how many lines stand evenly side by side. around: the loops over such sets of lines.
    """

    axis: int
    accesses: tuple[Access, ...]
    around: tuple[Loop, ...]
    beside: int
    apart: tuple[int, ...]
    width: int

    @property
    def count(self) -> int:
        return math.prod(loop.extent for loop in self.around) * self._tiles

    @property
    def _tiles(self) -> int:
        return math.ceil(self.beside / self.width)

    @property
    def lines(self) -> Expression:
        """How many lines a group has."""
        if self.beside <= self.width:
            return of(self.beside)
        return LINES if self.beside % self.width else of(self.width)

    def array(self, number: int, buffer: Name, *, backwards: int | None = None) -> LineArray:
        """Array `number`; backwards: how many elements a line has that is gone through from its
        end."""
        step = self.accesses[number].strides[self.axis]
        step = step if backwards is None else -step
        return LineArray(buffer, Name(f"{buffer.text}_start"), self.apart[number], step)

    def wrap(self, into: Block, arrays: Sequence[tuple[LineArray, int]], body: Block) -> None:
        """Appends `body` in a loop over the thread's share of the groups.

        arrays: with the element of a line at which each begins.
        """
        around = Block()
        tile = GROUP if not self.around else GROUP % self._tiles
        if self._tiles > 1:
            around.assign(FIRST, tile * self.width)
        if self.lines == LINES:
            last = self.beside - self.width
            rest = self.beside % self.width
            around.assign(LINES, of(self.width).when(FIRST.at_most(last), rest))
        for number, (array, begins) in enumerate(arrays):
            around.assign(array.start, self._start(number, begins))
        around.extend(body)
        limits = share_limits(THREAD_SHARE, self.count)
        into.loop(GROUP, limits, around)

    def _start(self, number: int, begins: int) -> Expression:
        access = self.accesses[number]
        terms: list[tuple[Expression, int]]
        terms = [(FIRST, self.apart[number])] if self._tiles > 1 else []
        inside = self._tiles
        for loop in reversed(self.around):
            digit = GROUP if inside == 1 else GROUP // inside
            if loop is not self.around[0]:
                digit = digit % loop.extent
            terms.append((digit, access.strides[loop.axes[-1]]))
            inside *= loop.extent
        return flat_index(*terms, offset=access.offset + begins * access.strides[self.axis])


def line_groups(
    extents: Sequence[int], axis: int, places: Sequence[Strided], width: int
) -> LineGroups:
    """The lines along `axis` of arrays of `extents` that stand at `places`."""
    accesses = tuple(Access("", place.offset, place.strides) for place in places)
    others = [a for a, extent in enumerate(extents) if a != axis and extent != 1]
    loops = merge_axes(others, extents, accesses, INNER_VARIABLES)
    *around, last = loops or (Loop("", 1, (axis,)),)
    apart = tuple(access.strides[last.axes[-1]] for access in accesses)
    return LineGroups(axis, accesses, tuple(around), last.extent, apart, width)
