"""Rows whose elements stand far apart in memory are run over side by side, a strip of rows at once.

A reduction over an axis that is not the last has such rows: each step along one is a jump to the
next line of the cache. Elements of neighbouring rows are neighbours there, so the innermost loop
runs from row to row of a strip, and what a row accumulates or computes once stands in a buffer with
an element for each row of the strip. A row's own elements are added up in their order, whatever
the strip, so that results have the same bits at any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.graph import Node
from graphc.ir.types import row_major_strides
from graphc.kernels.loops.language.expressions import Expression, Name, of, total
from graphc.kernels.loops.language.indices import Share, share_limits
from graphc.kernels.loops.language.scalar import dtype_name
from graphc.kernels.loops.language.statements import Block, Stack
from graphc.kernels.loops.rewrites.loops import Loops
from graphc.kernels.loops.rewrites.parts import Part, wrap_in_parts
from graphc.kernels.loops.rewrites.register_blocks import NO_BLOCK, RegisterBlock
from graphc.kernels.loops.rewrites.stages import STRIP, STRIP_END, STRIP_START
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.access import Loop
from graphc.kernels.nests.loopnest import LoopNest, Phase, Reduces
from graphc.kernels.nests.node_kinds import loaded_operands

# Fewer rows side by side do not fill a vector.
FEWEST_ROWS = 16
# Shorter rows are unrolled whole, so that the loop over rows is vectorised.
SHORTEST_ROW = 8
# A strip's rows are as many as a stage's elements at most, and two vectors at least.
NARROWEST = 32
# Strips are shared among threads where no other loop is.
STRIPS_TO_SHARE = 16
# Values that a row has once each take a buffer on the stack.
MOST_ROW_VALUES = 64

STRIP_NUMBER = Name("strip_number")


@dataclass(frozen=True)
class RowStrips:
    """Strips of `width` rows along the innermost of the loops over rows.

    outer: the loops around it. registers: short loops inside of that over a strip, some of `outer`
    among them; a strip then has so many times its rows.
    """

    outer: tuple[Loop, ...]
    loop: Loop
    width: int
    registers: RegisterBlock = NO_BLOCK

    @property
    def count(self) -> int:
        """The steps of the loop over strips."""
        return -(-self.loop.extent // self.width)

    @property
    def size(self) -> int:
        """The rows of a strip."""
        return self.width * self.registers.row_count

    @property
    def variable(self) -> Name:
        """Of the loop over rows."""
        return Name(self.loop.variable)

    @property
    def index(self) -> Expression:
        """The place of the current row in its strip."""
        parts = self.registers.rows
        strides = row_major_strides([*(part.steps for part in parts), self.width])
        places = (part.place * stride for part, stride in zip(parts, strides, strict=False))
        return total(*places, self.variable - STRIP_START)

    def index_within(self, row_index: Expression) -> Expression:
        """The place of a row's element in an array of the strip: [elements of a row, rows]."""
        return row_index * self.size + self.index

    def has_whole_rows(self, loops: Loops) -> bool:
        """Whether the loop over a strip has all elements of its rows inside."""
        taken = math.prod(part.steps for part in self.registers.elements)
        return bool(self.registers.elements) and taken == loops.row_size

    def declaration(self, buffer: Name, node: Node) -> Stack:
        """What makes a buffer with a value's element for each row of a strip."""
        return Stack(buffer, dtype_name(node.dtype), self.size)

    def wrap_in_rows(self, into: Block, body: Block) -> None:
        """Appends `body` in loops over the rows of a strip."""
        self._wrap(into, self.registers.rows, body)

    def wrap_in_elements(self, into: Block, body: Block) -> None:
        """Appends `body` in loops over the rows of a strip and those elements of each that are
        taken at once."""
        self._wrap(into, (*self.registers.elements, *self.registers.rows), body)

    def _wrap(self, into: Block, parts: Sequence[Part], body: Block) -> None:
        inside = Block()
        wrap_in_parts(inside, parts, body)
        into.loop(self.variable, (STRIP_START, STRIP_END), inside)

    def wrap_in_strips(self, into: Block, body: Block, share: Share | None) -> None:
        """Appends `body`, which runs over the rows of a strip, in a loop over strips, or over a
        share of their number.

        Before:                    After, of strips of 128 rows:

            for i in range(256):       for strip_number in range(2):
                row                        strip = strip_number * 128
                                           strip_end = strip + 128
                                           for i in range(strip, strip_end):
                                               row
        """
        limits = share_limits(share, self.count) if share else self.count
        strip = Block()
        strip.assign(STRIP_START, STRIP_NUMBER * self.width)
        end, extent = STRIP_START + self.width, of(self.loop.extent)
        if self.loop.extent % self.width:
            end = end.when(end.below(extent), extent)
        strip.assign(STRIP_END, end)
        strip.extend(body)
        into.loop(STRIP_NUMBER, limits, strip)


def row_strips(nest: LoopNest, loops: Loops) -> RowStrips | None:
    """The strips in which the nest runs over its rows; None where it takes one row at a time.

    Strips are for reductions of rows where everything steps by one element or none from row to
    row, and by more along a row.
    """
    if set(nest.reduces.values()) != {Reduces.ROW} or loops.row_size < SHORTEST_ROW:
        return None
    finishes = any(role.phase is Phase.FINISH for role in nest.roles.values())
    if finishes or _row_values(nest) > MOST_ROW_VALUES or not loops.outer:
        return None
    *outer, loop = loops.outer
    if loop.extent < FEWEST_ROWS or not loops.steps_by_one(loop):
        return None
    if any(loops.steps_by_one(each) for each in loops.inner):
        return None
    width = STRIP
    if nest.passes > 1:
        itemsize = max(node.dtype.itemsize for node in nest.nodes)
        # Later passes find the strip in the second cache.
        bytes_of_strip = MACHINE.second_cache_beside_bytes
        width = min(width, bytes_of_strip // (loops.row_size * itemsize))
    if not outer:
        width = min(width, loop.extent // STRIPS_TO_SHARE)
    stored = [node.dtype.itemsize for node in nest.outputs if nest.roles[node].inner]
    # Threads that write to one line take it from each other: of each result a strip has whole ones.
    least = max(NARROWEST, MACHINE.line_bytes // min(stored, default=MACHINE.line_bytes))
    width = max(least, width // least * least)
    return RowStrips(tuple(outer), loop, min(width, loop.extent))


def _row_values(nest: LoopNest) -> int:
    """How many values each row has once, at most: computed, or read."""
    inner = frozenset(nest.inner)
    read = sum(
        not nest.domain.operand_span(node, position) & inner
        for node, position in loaded_operands(nest.nodes)
    )
    return read + sum(not role.inner for role in nest.roles.values())
