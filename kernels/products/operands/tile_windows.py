"""Where the windows that a tile's rows read begin, and what a microkernel is told of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.nodes.lowering import Digit
from graphc.kernels.loops.language.expressions import Element, Expression, Name, of
from graphc.kernels.loops.language.indices import advanced, flat_index
from graphc.kernels.loops.language.statements import Block, Stack, assigned, increased
from graphc.kernels.products.contraction import Contraction
from graphc.kernels.products.microkernels.window_microkernel import ENTRIES_AN_AXIS
from graphc.kernels.products.tilings.tile_places import row_digits
from graphc.kernels.products.variables import DIGITS, PLACE, ROW_START, TILE_ROW


@dataclass(frozen=True)
class WindowPlaces:
    """Of a contraction whose left operand is read as windows, in tiles of so many rows.

    table: the array that the microkernel reads: the outer axes of the depth, then where the rows
    of the tile begin. tile_digits: how those rows are counted, where all tiles have the same; then
    the table has none of them.
    """

    contraction: Contraction
    tile_rows: int
    table: Name
    tile_digits: tuple[Digit, ...]

    @property
    def outer_depth(self) -> tuple[Digit, ...]:
        """The axes of left's depth around the innermost, the nearest to it first."""
        return self.contraction.left.column_digits[-2::-1]

    def declare(self, into: Block) -> None:
        """The table, and in it the outer axes of the depth."""
        entries = [each for digit in self.outer_depth for each in (digit.extent, digit.stride)]
        rows = 0 if self.tile_digits else self.tile_rows
        into.add(Stack(self.table, "i64", max(len(entries) + rows, 1)))
        for number, entry in enumerate(entries):
            into.assign(Element(self.table, of(number)), entry)

    def find(self, into: Block, block: Name, before: Sequence[tuple[Expression, int]]) -> None:
        """Sets `block` to where the rows of a tile begin: the first by division, the others by
        counting on, unless the microkernel knows how far behind it they are.

        before: the terms of the batch.
        """
        left = self.contraction.left
        digits = row_digits(self.contraction)
        terms: list[tuple[Expression, int]] = []
        after = 1
        for number, digit in reversed([*enumerate(digits)]):
            value = ROW_START if after == 1 else ROW_START // after
            after *= digit.extent
            # A tile of whole lines begins with one.
            if self.tile_digits and self.tile_rows % after == 0:
                continue
            into.assign(DIGITS[number], value % digit.extent if number else value)
            terms.insert(0, (DIGITS[number], digit.stride))
        if self.tile_digits:
            start = flat_index(*before, *terms, offset=left.offset)
            into.assign(block, advanced(Name(left.buffer), start))
            return
        start = flat_index(*before, offset=left.offset)
        into.assign(block, advanced(Name(left.buffer), start))
        into.assign(PLACE, flat_index(*terms))
        first = len(self.outer_depth) * ENTRIES_AN_AXIS
        row = Element(self.table, flat_index((TILE_ROW, 1), offset=first))
        counted = Block.of(assigned(row, PLACE), increased(PLACE, digits[-1].stride))
        counted.extend(_counted_on(digits))
        into.loop(TILE_ROW, self.tile_rows, counted)


def _counted_on(digits: Sequence[Digit]) -> Block:
    """One more in the last digit, and what is carried to those before it."""
    counted, last = Block(), len(digits) - 1
    if last:
        beyond = digits[-2].stride - digits[-1].extent * digits[-1].stride
        carried = Block.of(assigned(DIGITS[last], 0), increased(PLACE, beyond))
        carried.extend(_counted_on(digits[:-1]))
        counted.add(increased(DIGITS[last], 1))
        counted.branch(DIGITS[last].equals(digits[-1].extent), carried)
    return counted
