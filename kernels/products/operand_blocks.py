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
from graphc.kernels.loops.language.statements import INDENT
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
from graphc.kernels.products.tile_sums import DEPTH_START, DEPTH_STEPS
from graphc.kernels.products.window_microkernel import ENTRIES_AN_AXIS

# Steps of the depth that are copied of all tiles before the next: their lines, each in another
# page, may compete for the ways of one set of the first cache.
COPIED_STEPS = MACHINE.first_cache_ways


@dataclass(frozen=True)
class Prologue:
    """Source lines that compute an element of an operand, and the expression that is then it.

    They use the batch indices b0, b1, ...; `k` along the depth; and `i` along the result's rows
    for the first operand, `j` along its columns for the second.
    """

    lines: tuple[str, ...]
    value: str


class OperandBlocks:
    """Source lines of one contraction, whose operands are in the order of its tiling.

    prefix: of the variables that hold operands. row, column: those along the rows and columns of
    what is computed. microkernels: what the lines call.
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

    def find_panel(self) -> list[str]:
        """The panel of the right operand from `column_start` on, where it stands in memory."""
        if self.right is not None:
            return []
        right = self.contraction.right
        terms = self._batch_terms(right)
        if not _runs_along(right.indices, "columns"):
            terms.append(("column_start", right.column_stride))
        start = flat_index(*terms, offset=right.offset)
        return [f"{self.right_panel} = {advanced(right.buffer, start)}"]

    def find_packed_panel(self) -> list[str]:
        """The panel in scratch, where that holds all of them."""
        start = flat_index(("column_panel", self.panel_size))
        return [f"packed_panel = {advanced('packed', start)}"]

    def pack(self, columns: int) -> list[str]:
        """Fill the packed panel with rows, or columns for the inner form, contiguous and
        `packed_stride` apart."""
        found = self.find_packed_panel() if self.tiling.left_first else []
        if self.tiling.packing == "transpose":
            return [*found, *self._transpose(columns)]
        right, stride, depth = self.contraction.right, self.packed_stride, self.contraction.depth
        loops, target = [("k", depth), ("q", columns)], f"{self._packed}[k * {stride} + q]"
        if self.tiling.form == "inner":
            loops, target = loops[::-1], f"{self._packed}[q * {stride} + k]"
        if self.right is not None:
            return [*found, *self._compute_right(self.right, loops, target)]
        row, column, indices = "k", "q", right.indices
        if indices is not None:
            if indices.along == "rows":
                row = f"{indices.buffer}[{flat_index(('k', 1), offset=indices.offset)}]"
            else:
                place = flat_index(("column_start", 1), ("q", 1), offset=indices.offset)
                column = f"{indices.buffer}[{place}]"
        element = flat_index((row, right.row_stride), (column, right.column_stride))
        return [*found, *_nested(loops, [f"{target} = {self.right_panel}[{element}]"])]

    def panel_read(self, depth_start: str) -> str:
        """The panel as arguments of a microkernel: where, and the stride of its rows or, for the
        inner form, columns. depth_start: the first row that it reads, "" for 0."""
        is_outer = self.tiling.form == "outer"
        if self.packs:
            step = self.packed_stride if is_outer else 1
            return f"{_from(self._packed, depth_start, step)}, {self.packed_stride}"
        right = self.contraction.right
        stride = right.row_stride if is_outer else right.column_stride
        step = 0 if _runs_along(right.indices, "rows") else right.row_stride
        return f"{_from(self.right_panel, depth_start, step)}, {stride}"

    @property
    def _packed(self) -> str:
        return "packed_panel" if self.tiling.left_first else "packed"

    def _transpose(self, columns: int) -> list[str]:
        right, depth, lanes = self.contraction.right, self.contraction.depth, self.tiling.lanes
        lines: list[str] = []
        panel, column_stride = self.right_panel, right.column_stride
        if self.right is not None:
            panel, column_stride = "right_values", depth
            target = f"right_values[q * {column_stride} + k]"
            lines = self._compute_right(self.right, [("q", columns), ("k", depth)], target)
        while lanes > depth:
            lanes //= 2
        kernel = transpose_microkernel(self.contraction.dtype, columns, lanes)
        self.microkernels[kernel.name] = kernel
        panels = f"{panel}, {column_stride}, {right.row_stride}, {panel}, 0"
        return [*lines, f"{kernel.name}({depth}, {panels}, {self._packed}, {self.packed_stride})"]

    def _compute_right(
        self, prologue: Prologue, loops: list[tuple[str, int]], target: str
    ) -> list[str]:
        lines = [f"{self.column} = column_start + q", *prologue.lines]
        return _nested(loops, [*lines, f"{target} = {prologue.value}"])

    # --- the left operand ------------------------------------------------------------------------

    def compute_left(self, start: str, end: str) -> list[str]:
        """The loop over blocks of rows from `start` to `end`, with a block of left computed in
        each; what uses it goes behind, as deep as the loop's body."""
        assert self.left is not None
        contraction, rows = self.contraction, self.tiling.left_rows
        values = left_as_read(contraction, self.tiling)
        clipped = f"block_start + {rows} if block_start <= {end} - {rows} else {end}"
        loops: list[tuple[str, int | str]]
        loops = [("r", "block_end - block_start"), ("k", contraction.depth)]
        if values.row_stride == 1:
            loops.reverse()
        target = flat_index(("r", values.row_stride), ("k", values.column_stride))
        element = [f"{self.row} = block_start + r", *self.left.lines]
        element.append(f"left_values[{target}] = {self.left.value}")
        body = [f"block_end = {clipped}", *_nested(loops, element)]
        return _nested([("block_start", f"{start}, {end}, {rows}")], body)

    def copy_left(self, start: str, end: str, sizes: Sequence[int]) -> list[str]:
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

        def call(size: int) -> str:
            kernel = copy_microkernel(self.contraction.dtype, size, self.tiling.lanes)
            self.microkernels[kernel.name] = kernel
            operands = f"{source}, 1, {left.column_stride}, {source}, 0"
            return f"{kernel.name}({DEPTH_STEPS}, {operands}, {target}, {step})"

        counted = [rows_of_tile(rows, end)] if len(sizes) > 1 else []
        last = f"{depth} - {DEPTH_START}"
        fits = f"{DEPTH_START} <= {depth - COPIED_STEPS}"
        return [
            f"block_start = {start}",
            f"for {DEPTH_START} in range(0, {depth}, {COPIED_STEPS}):",
            f"{INDENT}{DEPTH_STEPS} = {COPIED_STEPS} if {fits} else {last}",
            f"{INDENT}for row_start in range(block_start, {end}, {rows}):",
            *(INDENT * 2 + line for line in (*counted, *tile_calls(sizes, call))),
        ]

    def find_left_block(self) -> list[str]:
        """The rows of left from `row_start` on."""
        left = self.contraction.left
        if self.tiling.left_copied:
            tile = (f"((row_start - block_start) // {self.tiling.rows})", self._copied_tile)
            return [f"{self.left_block} = {advanced('left_values', flat_index(tile))}"]
        if left.is_windowed:
            start = flat_index(*self._batch_terms(left), offset=left.offset)
            found = f"{self.left_block} = {advanced(left.buffer, start)}"
            return [found, *self._find_rows_of_windows()]
        if self.left is None:
            terms = self._batch_terms(left)
            if not _runs_along(left.indices, "rows"):
                terms.append(("row_start", left.row_stride))
            index = flat_index(*terms, offset=left.offset)
            return [f"{self.left_block} = {advanced(left.buffer, index)}"]
        row_stride = left_as_read(self.contraction, self.tiling).row_stride
        index = flat_index(("(row_start - block_start)", row_stride))
        return [f"{self.left_block} = {advanced('left_values', index)}"]

    def left_read(self, depth_start: str) -> str:
        """The block of left as arguments of a microkernel, from a column on, "" for 0."""
        left = left_as_read(self.contraction, self.tiling)
        step = 0 if _runs_along(left.indices, "columns") else left.column_stride
        block = _from(self.left_block, depth_start, step)
        return f"{block}, {left.row_stride}, {left.column_stride}"

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

    def declare_places(self) -> list[str]:
        """What a microkernel is told of windows: the outer axes of the depth, which are set here,
        and where the rows of a tile begin."""
        if not self.contraction.left.is_windowed:
            return []
        entries = [each for digit in self.outer_depth for each in (digit.extent, digit.stride)]
        lines = [f"{self.places} = stack(i64, {len(entries) + self.tiling.rows})"]
        return lines + [f"{self.places}[{n}] = {entry}" for n, entry in enumerate(entries)]

    def _find_rows_of_windows(self) -> list[str]:
        """Where each row of a tile begins: the first by division, the others by counting on."""
        left = self.contraction.left
        digits = left.row_digits or (Digit(self.contraction.rows, left.row_stride),)
        lines: list[str] = []
        terms: list[tuple[str, int]] = []
        after = 1
        for number, digit in reversed([*enumerate(digits)]):
            value = "row_start" if after == 1 else f"row_start // {after}"
            value += f" % {digit.extent}" if number else ""
            lines.append(f"digit{number} = {value}")
            terms.insert(0, (f"digit{number}", digit.stride))
            after *= digit.extent
        lines.append(f"place = {flat_index(*terms)}")
        first = len(self.outer_depth) * ENTRIES_AN_AXIS
        body = [f"{self.places}[{flat_index(('r', 1), offset=first)}] = place"]
        body.append(f"place = place + {digits[-1].stride}")
        return [*lines, *_nested([("r", self.tiling.rows)], [*body, *_counted_on(digits)])]

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


def rows_of_tile(rows: int, end: str) -> str:
    """How many rows the tile from `row_start` on has, of tiles of `rows` rows up to `end`."""
    return f"block_rows = {rows} if row_start <= {end} - {rows} else {end} - row_start"


def tile_calls(sizes: Sequence[int], call: Callable[[int], str]) -> list[str]:
    """The call for as many rows as a tile has: one of the sizes, and `block_rows` if there are
    several."""
    if len(sizes) == 1:
        return [call(sizes[0])]
    lines = []
    for position, size in enumerate(sizes):
        branch = f"{'elif' if position else 'if'} block_rows == {size}:"
        lines.append(branch if size != sizes[-1] else "else:")
        lines.append(f"{INDENT}{call(size)}")
    return lines


def _counted_on(digits: Sequence[Digit]) -> list[str]:
    """One more in the last digit, and what is carried to those before it."""
    last = len(digits) - 1
    if last == 0:
        return []
    beyond = digits[-2].stride - digits[-1].extent * digits[-1].stride
    carried = [f"digit{last} = 0", f"place = place + {beyond}", *_counted_on(digits[:-1])]
    condition = f"if digit{last} == {digits[-1].extent}:"
    return [f"digit{last} = digit{last} + 1", condition, *(INDENT + line for line in carried)]


def _from(buffer: str, depth_start: str, step: int) -> str:
    """The buffer from a place along the depth on, which has such a stride in it."""
    return advanced(buffer, flat_index((depth_start, step))) if depth_start else buffer


def _runs_along(indices: RowIndices | None, along: str) -> bool:
    return indices is not None and indices.along == along


def _nested(loops: Sequence[tuple[str, int | str]], body: Sequence[str]) -> list[str]:
    """`body` inside loops over ranges, the outermost first."""
    lines = [
        f"{INDENT * depth}for {variable} in range({limits}):"
        for depth, (variable, limits) in enumerate(loops)
    ]
    return [*lines, *(INDENT * len(loops) + line for line in body)]
