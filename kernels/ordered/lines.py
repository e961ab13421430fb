"""The lines of arrays along an axis, in groups that stand evenly side by side.

A line is what shares all indices but that of the axis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.lowering import Strided
from graphc.kernels.loops.language.source import THREAD_SHARE, flat_index, share_limits
from graphc.kernels.loops.language.statements import Block, Element
from graphc.kernels.loops.rewrites.loops import INNER_VARIABLES
from graphc.kernels.nests.access import Access, Loop, merge_axes

GROUP, FIRST, LINES, LINE, PLACE = "group", "first", "lines", "line", "i"


@dataclass(frozen=True)
class LineArray:
    """The lines of an array: `start` is the variable of where the first line of a group begins.

    apart: elements from one line of the group to the next. step: from one element to the next.
    """

    buffer: str
    start: str
    apart: int
    step: int

    def at(self, place: str, line: str = LINE) -> str:
        """Source of an element of a line of the group."""
        return str(self.element(place, line))

    def element(self, place: str, line: str = LINE) -> Element:
        """An element of a line of the group."""
        first = self.start if line == "0" else f"{self.start} + {flat_index((line, self.apart))}"
        index = first if place == "0" else f"{first} + {_scaled(place, self.step)}"
        return Element(self.buffer, index)


def _scaled(place: str, step: int) -> str:
    if step == 1:
        return place
    return f"{place} * {step}" if place.isidentifier() or place.isdigit() else f"({place}) * {step}"


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
    def lines(self) -> str:
        """Source of how many lines a group has."""
        if self.beside <= self.width:
            return str(self.beside)
        return LINES if self.beside % self.width else str(self.width)

    def array(self, number: int, buffer: str, *, backwards: int | None = None) -> LineArray:
        """Array `number`; backwards: how many elements a line has that is gone through from its
        end."""
        step = self.accesses[number].strides[self.axis]
        step = step if backwards is None else -step
        return LineArray(buffer, f"{buffer}_start", self.apart[number], step)

    def wrap(self, into: Block, arrays: Sequence[tuple[LineArray, int]], body: Block) -> None:
        """Appends `body` in a loop over the thread's share of the groups.

        arrays: with the element of a line at which each begins.
        """
        around = Block()
        tile = GROUP if not self.around else f"{GROUP} % {self._tiles}"
        if self._tiles > 1:
            around.assign(FIRST, f"{tile} * {self.width}")
        if self.lines == LINES:
            last = self.beside - self.width
            rest = self.beside % self.width
            around.assign(LINES, f"{self.width} if {FIRST} <= {last} else {rest}")
        for number, (array, begins) in enumerate(arrays):
            around.assign(array.start, self._start(number, begins))
        around.extend(body)
        limits = share_limits(THREAD_SHARE, self.count)
        into.loop(GROUP, limits, around)

    def _start(self, number: int, begins: int) -> str:
        access = self.accesses[number]
        terms = [(FIRST, self.apart[number])] if self._tiles > 1 else []
        inside = self._tiles
        for loop in reversed(self.around):
            digit = GROUP if inside == 1 else f"{GROUP} // {inside}"
            if loop is not self.around[0]:
                digit = f"{digit} % {loop.extent}"
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
