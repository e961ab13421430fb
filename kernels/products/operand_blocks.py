"""How the tiles of a contraction get their operands: from where they stand, packed, or computed.

The right operand comes as a panel of columns, the left one as a block of rows. What is packed or
computed stands in a thread's part of `scratch`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from graphc.ir.lowering import Digit
from graphc.kernels.loops.language.source import Microkernel, advanced, flat_index
from graphc.kernels.loops.language.statements import (
    Block,
    Call,
    Element,
    Stack,
    Statement,
    assigned,
    increased,
)
from graphc.kernels.machine import MACHINE
from graphc.kernels.products.contraction import (
    Contraction,
    MatrixAccess,
    RowIndices,
    Tiling,
    left_as_read,
)
from graphc.kernels.products.copy_microkernel import copy_microkernel
from graphc.kernels.products.microkernel import Indices, transpose_microkernel
from graphc.kernels.products.tile_places import digits_of_tile, row_digits
from graphc.kernels.products.tile_sums import DEPTH_START, DEPTH_STEPS
from graphc.kernels.products.window_microkernel import ENTRIES_AN_AXIS

# Steps of the depth that are copied of all tiles before the next: their lines, each in another
# page, may compete for the ways of one set of the first cache.
COPIED_STEPS = MACHINE.first_cache_ways


@dataclass(frozen=True)
class Prologue:
    """Statements that compute an element of an operand, and the expression that is then it.

    They use the batch indices b0, b1, ...; `k` along the depth; and `i` along the result's rows
    for the first operand, `j` along its columns for the second.
    """

    statements: tuple[Statement, ...]
    value: str


class OperandBlocks:
    """Statements of one contraction, whose operands are in the order of its tiling.

    prefix: of the variables that hold operands. row, column: those along the rows and columns of
    what is computed. microkernels: what the statements call.
    """

    def __init__(
        self,
        contraction: Contraction,
        tiling: Tiling,
        left: Prologue | None,
        right: Prologue | None,
        prefix: str = "",
    ) -> None:
        self.contraction = contraction
        self.tiling = tiling
        self.left = left
        self.right = right
        self.left_block, self.right_panel = f"{prefix}left_block", f"{prefix}right_panel"
        self.places = f"{prefix}places"
        # Those of the rows of a tile, where all tiles have the same.
        self.row_digits = digits_of_tile(contraction, tiling)
        self.row, self.column = ("j", "i") if tiling.swapped else ("i", "j")
        self.batch_indices = tuple(f"b{axis}" for axis in range(len(contraction.batch)))
        self.microkernels: dict[str, Microkernel] = {}
        length, count = contraction.depth, tiling.columns
        if tiling.form == "outer":
            length, count = count, length
        self.packed_stride = ceil(length / tiling.lanes) * tiling.lanes
        self.panel_size = count * self.packed_stride

    @property
    def packs(self) -> bool:
        """Whether a panel of the right operand is put into scratch."""
        return self.tiling.packing != "none"

    def scratch(self) -> dict[str, int]:
        """The elements of each array that a thread packs or computes operands into."""
        contraction, tiling = self.contraction, self.tiling
        arrays: dict[str, int] = {}
        if self.packs:
            panels = ceil(contraction.columns / tiling.columns) if tiling.left_first else 1
            arrays["packed"] = panels * self.panel_size
        if self.right is not None and tiling.packing == "transpose":
            arrays["right_values"] = contraction.depth * tiling.columns
        if self.left is not None:
            arrays["left_values"] = contraction.depth * tiling.left_rows
        if tiling.left_copied:
            arrays["left_values"] = tiling.left_rows // tiling.rows * self._copied_tile
        return arrays

    @property
    def _copied_tile(self) -> int:
        """The elements from one tile's rows of left to the next one's, where they are copied."""
        return self.contraction.depth * left_as_read(self.contraction, self.tiling).column_stride

    # --- the right operand -----------------------------------------------------------------------

    def find_panel(self, into: Block) -> None:
        """The panel of the right operand from `column_start` on, where it stands in memory."""
        if self.right is not None:
            return
        right = self.contraction.right
        terms = self._batch_terms(right)
        if not _runs_along(right.indices, "columns"):
            terms.append(("column_start", right.column_stride))
        start = flat_index(*terms, offset=right.offset)
        into.assign(self.right_panel, advanced(right.buffer, start))

    def find_packed_panel(self, into: Block) -> None:
        """The panel in scratch, where that holds all of them."""
        start = flat_index(("column_panel", self.panel_size))
        into.assign("packed_panel", advanced("packed", start))

    def pack(self, into: Block, columns: int) -> None:
        """Fills the packed panel with rows, or columns for the inner form, contiguous and
        `packed_stride` apart."""
        if self.tiling.left_first:
            self.find_packed_panel(into)
        if self.tiling.packing == "transpose":
            self._transpose(into, columns)
            return
        right, stride, depth = self.contraction.right, self.packed_stride, self.contraction.depth
        loops, place = [("k", depth), ("q", columns)], f"k * {stride} + q"
        if self.tiling.form == "inner":
            loops, place = loops[::-1], f"q * {stride} + k"
        target = Element(self._packed, place)
        if self.right is not None:
            self._compute_right(into, self.right, loops, target)
            return
        row, column, indices = "k", "q", right.indices
        if indices is not None:
            if indices.along == "rows":
                row = f"{indices.buffer}[{flat_index(('k', 1), offset=indices.offset)}]"
            else:
                place = flat_index(("column_start", 1), ("q", 1), offset=indices.offset)
                column = f"{indices.buffer}[{place}]"
        element = flat_index((row, right.row_stride), (column, right.column_stride))
        copied = assigned(target, Element(self.right_panel, element))
        into.extend(_nested(loops, Block.of(copied)))

    def panel_read(self, depth_start: str) -> tuple[str, str]:
        """The panel as arguments of a microkernel: where, and the stride of its rows or, for the
        inner form, columns. depth_start: the first row that it reads, "" for 0."""
        is_outer = self.tiling.form == "outer"
        if self.packs:
            step = self.packed_stride if is_outer else 1
            return _from(self._packed, depth_start, step), str(self.packed_stride)
        right = self.contraction.right
        stride = right.row_stride if is_outer else right.column_stride
        step = 0 if _runs_along(right.indices, "rows") else right.row_stride
        return _from(self.right_panel, depth_start, step), str(stride)

    @property
    def _packed(self) -> str:
        return "packed_panel" if self.tiling.left_first else "packed"

    def _transpose(self, into: Block, columns: int) -> None:
        right, depth, lanes = self.contraction.right, self.contraction.depth, self.tiling.lanes
        panel, column_stride = self.right_panel, right.column_stride
        if self.right is not None:
            panel, column_stride = "right_values", depth
            target = Element(panel, f"q * {column_stride} + k")
            self._compute_right(into, self.right, [("q", columns), ("k", depth)], target)
        while lanes > depth:
            lanes //= 2
        kernel = transpose_microkernel(self.contraction.dtype, columns, lanes)
        self.microkernels[kernel.name] = kernel
        panels = (panel, str(column_stride), str(right.row_stride), panel, "0")
        arguments = (str(depth), *panels, self._packed, str(self.packed_stride))
        into.add(Call(kernel.name, arguments))

    def _compute_right(
        self, into: Block, prologue: Prologue, loops: Sequence[tuple[str, int]], target: Element
    ) -> None:
        column = assigned(self.column, "column_start + q")
        element = Block.of(column, *prologue.statements, assigned(target, prologue.value))
        into.extend(_nested(loops, element))

    # --- the left operand ------------------------------------------------------------------------

    def compute_left(self, end: str) -> Block:
        """The block of left from row `block_start` on, of rows up to `end`."""
        assert self.left is not None
        contraction, rows = self.contraction, self.tiling.left_rows
        values = left_as_read(contraction, self.tiling)
        clipped = f"block_start + {rows} if block_start <= {end} - {rows} else {end}"
        loops: list[tuple[str, int | str]]
        loops = [("r", "block_end - block_start"), ("k", contraction.depth)]
        if values.row_stride == 1:
            loops.reverse()
        place = flat_index(("r", values.row_stride), ("k", values.column_stride))
        row = assigned(self.row, "block_start + r")
        value = assigned(Element("left_values", place), self.left.value)
        body = Block.of(assigned("block_end", clipped))
        body.extend(_nested(loops, Block.of(row, *self.left.statements, value)))
        return body

    def copy_left(self, into: Block, start: str, end: str, sizes: Sequence[int]) -> None:
        """Copies the rows of left from `start` to `end`, a tile's behind the one before; a tile has
        as many rows as one of the sizes says, which are those of `tile_calls`.

        Some steps of the depth at a time: steps may stand in different pages, and of so many the
        first cache keeps the lines, of which each has rows of several tiles.
        """
        left, rows, depth = self.contraction.left, self.tiling.rows, self.contraction.depth
        step = left_as_read(self.contraction, self.tiling).column_stride
        terms = [*self._batch_terms(left), ("row_start", 1), (DEPTH_START, left.column_stride)]
        source = advanced(left.buffer, flat_index(*terms, offset=left.offset))
        tile = (f"((row_start - block_start) // {rows})", self._copied_tile)
        target = advanced("left_values", flat_index(tile, (DEPTH_START, step)))

        def call(size: int) -> Call:
            kernel = copy_microkernel(self.contraction.dtype, size, self.tiling.lanes)
            self.microkernels[kernel.name] = kernel
            operands = (source, "1", str(left.column_stride), source, "0")
            return Call(kernel.name, (DEPTH_STEPS, *operands, target, str(step)))

        tile_rows, some = Block(), Block()
        if len(sizes) > 1:
            tile_rows.add(rows_of_tile(rows, end))
        tile_rows.extend(tile_calls(sizes, call))
        last = f"{depth} - {DEPTH_START}"
        fits = f"{DEPTH_START} <= {depth - COPIED_STEPS}"
        into.assign("block_start", start)
        some.assign(DEPTH_STEPS, f"{COPIED_STEPS} if {fits} else {last}")
        some.loop("row_start", f"block_start, {end}, {rows}", tile_rows)
        into.loop(DEPTH_START, f"0, {depth}, {COPIED_STEPS}", some)

    def find_left_block(self, into: Block) -> None:
        """The rows of left from `row_start` on."""
        left = self.contraction.left
        if self.tiling.left_copied:
            tile = (f"((row_start - block_start) // {self.tiling.rows})", self._copied_tile)
            into.assign(self.left_block, advanced("left_values", flat_index(tile)))
        elif left.is_windowed:
            self._find_windows(into)
        elif self.left is None:
            terms = self._batch_terms(left)
            if not _runs_along(left.indices, "rows"):
                terms.append(("row_start", left.row_stride))
            index = flat_index(*terms, offset=left.offset)
            into.assign(self.left_block, advanced(left.buffer, index))
        else:
            row_stride = left_as_read(self.contraction, self.tiling).row_stride
            index = flat_index(("(row_start - block_start)", row_stride))
            into.assign(self.left_block, advanced("left_values", index))

    def left_read(self, depth_start: str) -> tuple[str, str, str]:
        """The block of left as arguments of a microkernel, from a column on, "" for 0."""
        left = left_as_read(self.contraction, self.tiling)
        step = 0 if _runs_along(left.indices, "columns") else left.column_stride
        block = _from(self.left_block, depth_start, step)
        return block, str(left.row_stride), str(left.column_stride)

    # --- windows ---------------------------------------------------------------------------------

    @property
    def outer_depth(self) -> tuple[Digit, ...]:
        """The axes of left's depth around the innermost, the nearest to it first."""
        return self.contraction.left.column_digits[-2::-1]

    @property
    def inner_steps(self) -> int:
        """The steps of the innermost axis of the depth."""
        digits = self.contraction.left.column_digits
        return digits[-1].extent if digits else self.contraction.depth

    def declare_places(self, into: Block) -> None:
        """What a microkernel is told of windows: the outer axes of the depth, which are set here,
        and where the rows of a tile begin."""
        if not self.contraction.left.is_windowed:
            return
        entries = [each for digit in self.outer_depth for each in (digit.extent, digit.stride)]
        rows = 0 if self.row_digits else self.tiling.rows
        into.add(Stack(self.places, "i64", max(len(entries) + rows, 1)))
        for number, entry in enumerate(entries):
            into.assign(Element(self.places, str(number)), str(entry))

    def _find_windows(self, into: Block) -> None:
        """Where the rows of a tile begin: the first by division, the others by counting on, unless
        the microkernel knows how far behind it they are."""
        left = self.contraction.left
        digits = row_digits(self.contraction)
        terms: list[tuple[str, int]] = []
        after = 1
        for number, digit in reversed([*enumerate(digits)]):
            value = "row_start" if after == 1 else f"row_start // {after}"
            value += f" % {digit.extent}" if number else ""
            after *= digit.extent
            # A tile of whole lines begins with one.
            if self.row_digits and self.tiling.rows % after == 0:
                continue
            into.assign(f"digit{number}", value)
            terms.insert(0, (f"digit{number}", digit.stride))
        before = self._batch_terms(left)
        if self.row_digits:
            start = flat_index(*before, *terms, offset=left.offset)
            into.assign(self.left_block, advanced(left.buffer, start))
            return
        start = flat_index(*before, offset=left.offset)
        into.assign(self.left_block, advanced(left.buffer, start))
        into.assign("place", flat_index(*terms))
        first = len(self.outer_depth) * ENTRIES_AN_AXIS
        row = Element(self.places, flat_index(("r", 1), offset=first))
        counted = Block.of(assigned(row, "place"), increased("place", str(digits[-1].stride)))
        counted.extend(_counted_on(digits))
        into.loop("r", self.tiling.rows, counted)

    # --- rows by index ---------------------------------------------------------------------------

    def indices(self) -> Indices | None:
        """What a microkernel gathers while it reads it."""
        left, right = self.contraction.left.indices, self.contraction.right.indices
        if left is not None:
            return Indices("a_rows" if left.along == "rows" else "a_depth", left.dtype)
        if right is not None and not self.packs:
            return Indices("b_depth", right.dtype)
        return None

    def indices_read(self, depth_start: str) -> list[str]:
        """The indices as arguments of a microkernel, those along the depth from there on."""
        if self.contraction.left.is_windowed:
            return [self.places, "0"]
        if self.indices() is None:
            return []
        left = self.contraction.left.indices
        found = left or self.contraction.right.indices
        assert found is not None
        if not _runs_along(left, "rows"):
            terms = [(depth_start, 1)] if depth_start else []
            return [advanced(found.buffer, flat_index(*terms, offset=found.offset)), "0"]
        rows = self.tiling.rows
        following = self.contraction.rows - 2 * rows
        place = flat_index(("row_start", 1), offset=found.offset)
        return [advanced(found.buffer, place), f"{rows} if row_start <= {following} else 0"]

    def _batch_terms(self, access: MatrixAccess) -> list[tuple[str, int]]:
        return [*zip(self.batch_indices, access.batch_strides, strict=True)]


def rows_of_tile(rows: int, end: str) -> Statement:
    """How many rows the tile from `row_start` on has, of tiles of `rows` rows up to `end`."""
    return assigned("block_rows", f"{rows} if row_start <= {end} - {rows} else {end} - row_start")


def tile_calls(sizes: Sequence[int], call: Callable[[int], Call]) -> Block:
    """The call for as many rows as a tile has: one of the sizes, and `block_rows` if there are
    several."""
    calls = Block()
    *cases, last = ((f"block_rows == {size}", Block.of(call(size))) for size in sizes)
    calls.choose(cases, last[1])
    return calls


def _counted_on(digits: Sequence[Digit]) -> Block:
    """One more in the last digit, and what is carried to those before it."""
    counted, last = Block(), len(digits) - 1
    if last:
        beyond = digits[-2].stride - digits[-1].extent * digits[-1].stride
        carried = Block.of(assigned(f"digit{last}", "0"), increased("place", str(beyond)))
        carried.extend(_counted_on(digits[:-1]))
        counted.add(increased(f"digit{last}", "1"))
        counted.branch(f"digit{last} == {digits[-1].extent}", carried)
    return counted


def _from(buffer: str, depth_start: str, step: int) -> str:
    """The buffer from a place along the depth on, which has such a stride in it."""
    return advanced(buffer, flat_index((depth_start, step))) if depth_start else buffer


def _runs_along(indices: RowIndices | None, along: str) -> bool:
    return indices is not None and indices.along == along


def _nested(loops: Sequence[tuple[str, int | str]], body: Block) -> Block:
    """`body` inside loops over ranges, the outermost first."""
    for variable, limits in reversed(loops):
        around = Block()
        around.loop(variable, limits, body)
        body = around
    return body
