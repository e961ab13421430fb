"""How the tiles of a contraction get their operands: from where they stand, packed, or computed.

The right operand comes as a panel of columns, the left one as a block of rows. What is packed or
computed stands in a thread's part of `scratch`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from graphc.kernels.loops.language.expressions import (
    Element,
    Expression,
    Name,
    Parenthesized,
    of,
)
from graphc.kernels.loops.language.indices import ZERO, advanced, flat_index
from graphc.kernels.loops.language.source import Microkernel
from graphc.kernels.loops.language.statements import (
    Block,
    Call,
    Limits,
    assigned,
)
from graphc.kernels.machine import MACHINE
from graphc.kernels.products.contraction import (
    Contraction,
    MatrixAccess,
    Prologue,
    RowIndices,
    Tiling,
    left_as_read,
)
from graphc.kernels.products.microkernels.copy_microkernel import copy_microkernel
from graphc.kernels.products.microkernels.inner_microkernel import inner_microkernel
from graphc.kernels.products.microkernels.microkernel import (
    Indices,
    microkernel,
    transpose_microkernel,
)
from graphc.kernels.products.microkernels.window_microkernel import window_microkernel
from graphc.kernels.products.operands.tile_windows import WindowPlaces
from graphc.kernels.products.tile_calls import called, end_of_block, rows_of_tile, tile_calls
from graphc.kernels.products.tilings.tile_places import digits_of_tile
from graphc.kernels.products.variables import (
    BLOCK_END,
    BLOCK_START,
    COLUMN,
    COLUMN_PANEL,
    COLUMN_START,
    DEPTH,
    DEPTH_START,
    DEPTH_STEPS,
    LEFT_VALUES,
    PACKED,
    PACKED_PANEL,
    RIGHT_VALUES,
    ROW,
    ROW_START,
    TILE_COLUMN,
    TILE_ROW,
    batch_indices,
    left_block,
    right_panel,
    window_places,
)

# Steps of the depth that are copied of all tiles before the next: their lines, each in another
# page, may compete for the ways of one set of the first cache.
COPIED_STEPS = MACHINE.first_cache_ways


class OperandBlocks:
    """Statements of one contraction, whose operands are in the order of its tiling.

    prefix: of the variables that hold operands. row, column: those along the rows and columns of
    what is computed. microkernels: what the statements call.
    """

    def __init__(
        self,
        contraction: Contraction,
        tiling: Tiling,
        prefix: str = "",
    ) -> None:
        for access in (contraction.left, contraction.right):
            if access.is_computed != (access.prologue is not None):
                problem = "computed, but no prologue, or none to be"
                raise ValueError(f"operand {access.buffer!r}: {problem}")
        self.contraction = contraction
        self.tiling = tiling
        self.left, self.right = contraction.left.prologue, contraction.right.prologue
        self.left_block, self.right_panel = left_block(prefix), right_panel(prefix)
        self.windows: WindowPlaces | None = None
        if contraction.left.is_windowed:
            digits = digits_of_tile(contraction, tiling)
            self.windows = WindowPlaces(contraction, tiling.rows, window_places(prefix), digits)
        self.row, self.column = (COLUMN, ROW) if tiling.swapped else (ROW, COLUMN)
        self.batch_indices = batch_indices(len(contraction.batch))
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

    def scratch(self) -> dict[Name, int]:
        """The elements of each array that a thread packs or computes operands into."""
        contraction, tiling = self.contraction, self.tiling
        arrays: dict[Name, int] = {}
        if self.packs:
            panels = ceil(contraction.columns / tiling.columns) if tiling.left_first else 1
            arrays[PACKED] = panels * self.panel_size
        if self.right is not None and tiling.packing == "transpose":
            arrays[RIGHT_VALUES] = contraction.depth * tiling.columns
        if self.left is not None:
            arrays[LEFT_VALUES] = contraction.depth * tiling.left_rows
        if tiling.left_copied:
            arrays[LEFT_VALUES] = tiling.left_rows // tiling.rows * self._copied_tile
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
            terms.append((COLUMN_START, right.column_stride))
        start = flat_index(*terms, offset=right.offset)
        into.assign(self.right_panel, advanced(Name(right.buffer), start))

    def find_packed_panel(self, into: Block) -> None:
        """The panel in scratch, where that holds all of them."""
        start = flat_index((COLUMN_PANEL, self.panel_size))
        into.assign(PACKED_PANEL, advanced(PACKED, start))

    def pack(self, into: Block, columns: int) -> None:
        """Fills the packed panel with rows, or columns for the inner form, contiguous and
        `packed_stride` apart."""
        if self.tiling.left_first:
            self.find_packed_panel(into)
        if self.tiling.packing == "transpose":
            self._transpose(into, columns)
            return
        right, stride, depth = self.contraction.right, self.packed_stride, self.contraction.depth
        loops, place = [(DEPTH, depth), (TILE_COLUMN, columns)], DEPTH * stride + TILE_COLUMN
        if self.tiling.form == "inner":
            loops, place = loops[::-1], TILE_COLUMN * stride + DEPTH
        target = Element(self._packed, place)
        if self.right is not None:
            self._compute_right(into, self.right, loops, target)
            return
        row: Expression = DEPTH
        column: Expression = TILE_COLUMN
        indices = right.indices
        if indices is not None:
            if indices.along == "rows":
                row = Element(Name(indices.buffer), flat_index((DEPTH, 1), offset=indices.offset))
            else:
                chosen = flat_index((COLUMN_START, 1), (TILE_COLUMN, 1), offset=indices.offset)
                column = Element(Name(indices.buffer), chosen)
        element = flat_index((row, right.row_stride), (column, right.column_stride))
        copied = assigned(target, Element(self.right_panel, element))
        into.extend(_nested(loops, Block.of(copied)))

    def panel_read(self, depth_start: Name | None) -> tuple[Expression, ...]:
        """The panel as arguments of a microkernel: where, and the stride of its rows or, for the
        inner form, columns. depth_start: the first row that it reads, None for 0."""
        is_outer = self.tiling.form == "outer"
        if self.packs:
            step = self.packed_stride if is_outer else 1
            return _from(self._packed, depth_start, step), of(self.packed_stride)
        right = self.contraction.right
        stride = right.row_stride if is_outer else right.column_stride
        step = 0 if _runs_along(right.indices, "rows") else right.row_stride
        return _from(self.right_panel, depth_start, step), of(stride)

    @property
    def _packed(self) -> Name:
        return PACKED_PANEL if self.tiling.left_first else PACKED

    def _transpose(self, into: Block, columns: int) -> None:
        right, depth, lanes = self.contraction.right, self.contraction.depth, self.tiling.lanes
        panel, column_stride = self.right_panel, right.column_stride
        if self.right is not None:
            panel, column_stride = RIGHT_VALUES, depth
            target = Element(panel, TILE_COLUMN * column_stride + DEPTH)
            loops = [(TILE_COLUMN, columns), (DEPTH, depth)]
            self._compute_right(into, self.right, loops, target)
        while lanes > depth:
            lanes //= 2
        kernel = transpose_microkernel(self.contraction.dtype, columns, lanes)
        self.microkernels[kernel.name] = kernel
        read = (panel, column_stride, right.row_stride, panel, 0)
        into.add(called(kernel, depth, *read, self._packed, self.packed_stride))

    def _compute_right(
        self, into: Block, prologue: Prologue, loops: Sequence[tuple[Name, int]], target: Element
    ) -> None:
        column = assigned(self.column, COLUMN_START + TILE_COLUMN)
        element = Block.of(column, *prologue.statements, assigned(target, prologue.value))
        into.extend(_nested(loops, element))

    # --- the left operand ------------------------------------------------------------------------

    def compute_left(self, end: Expression) -> Block:
        """The block of left from row `block_start` on, of rows up to `end`."""
        assert self.left is not None
        contraction, rows = self.contraction, self.tiling.left_rows
        values = left_as_read(contraction, self.tiling)
        loops: list[tuple[Name, Limits]]
        loops = [(TILE_ROW, BLOCK_END - BLOCK_START), (DEPTH, contraction.depth)]
        if values.row_stride == 1:
            loops.reverse()
        place = flat_index((TILE_ROW, values.row_stride), (DEPTH, values.column_stride))
        row = assigned(self.row, BLOCK_START + TILE_ROW)
        value = assigned(Element(LEFT_VALUES, place), self.left.value)
        body = Block.of(end_of_block(rows, end))
        body.extend(_nested(loops, Block.of(row, *self.left.statements, value)))
        return body

    def copy_left(
        self, into: Block, start: Expression, end: Expression, sizes: Sequence[int]
    ) -> None:
        """Copies the rows of left from `start` to `end`, a tile's behind the one before; a tile has
        as many rows as one of the sizes says, which are those of `tile_calls`.

        Some steps of the depth at a time: steps may stand in different pages, and of so many the
        first cache keeps the lines, of which each has rows of several tiles.
        """
        left, rows, depth = self.contraction.left, self.tiling.rows, self.contraction.depth
        step = left_as_read(self.contraction, self.tiling).column_stride
        terms = [*self._batch_terms(left), (ROW_START, 1), (DEPTH_START, left.column_stride)]
        source = advanced(Name(left.buffer), flat_index(*terms, offset=left.offset))
        target = advanced(LEFT_VALUES, flat_index(self._copied_place, (DEPTH_START, step)))

        def call(size: int) -> Call:
            kernel = copy_microkernel(self.contraction.dtype, size, self.tiling.lanes)
            self.microkernels[kernel.name] = kernel
            read = (source, 1, left.column_stride, source, 0)
            return called(kernel, DEPTH_STEPS, *read, target, step)

        tile_rows, some = Block(), Block()
        if len(sizes) > 1:
            tile_rows.add(rows_of_tile(rows, end))
        tile_rows.extend(tile_calls(sizes, call))
        fits = DEPTH_START.at_most(depth - COPIED_STEPS)
        into.assign(BLOCK_START, start)
        some.assign(DEPTH_STEPS, of(COPIED_STEPS).when(fits, of(depth) - DEPTH_START))
        some.loop(ROW_START, (BLOCK_START, end, rows), tile_rows)
        into.loop(DEPTH_START, (0, depth, COPIED_STEPS), some)

    @property
    def _copied_place(self) -> tuple[Expression, int]:
        """Where the copied rows of a tile begin."""
        tile = Parenthesized((ROW_START - BLOCK_START) // self.tiling.rows)
        return tile, self._copied_tile

    def find_left_block(self, into: Block) -> None:
        """The rows of left from `row_start` on."""
        left = self.contraction.left
        if self.tiling.left_copied:
            into.assign(self.left_block, advanced(LEFT_VALUES, flat_index(self._copied_place)))
        elif self.windows is not None:
            before = self._batch_terms(left)
            self.windows.find(into, self.left_block, before)
        elif self.left is None:
            terms = self._batch_terms(left)
            if not _runs_along(left.indices, "rows"):
                terms.append((ROW_START, left.row_stride))
            index = flat_index(*terms, offset=left.offset)
            into.assign(self.left_block, advanced(Name(left.buffer), index))
        else:
            row_stride = left_as_read(self.contraction, self.tiling).row_stride
            index = flat_index((Parenthesized(ROW_START - BLOCK_START), row_stride))
            into.assign(self.left_block, advanced(LEFT_VALUES, index))

    def left_read(self, depth_start: Name | None) -> tuple[Expression, ...]:
        """The block of left as arguments of a microkernel, from a column on, None for 0."""
        left = left_as_read(self.contraction, self.tiling)
        step = 0 if _runs_along(left.indices, "columns") else left.column_stride
        block = _from(self.left_block, depth_start, step)
        return block, of(left.row_stride), of(left.column_stride)

    @property
    def inner_steps(self) -> int:
        """The steps of the innermost axis of the depth."""
        digits = self.contraction.left.column_digits
        return digits[-1].extent if digits else self.contraction.depth

    def declare_places(self, into: Block) -> None:
        """What microkernels are told of windows, before all tiles."""
        if self.windows is not None:
            self.windows.declare(into)

    # --- what reads them -------------------------------------------------------------------------

    def microkernel(self, rows: int, columns: int) -> Microkernel:
        """What computes a tile of so many rows and columns of operands that are read so."""
        dtype, tiling = self.contraction.dtype, self.tiling
        if self.windows is not None:
            outer_axes, digits = len(self.windows.outer_depth), self.windows.tile_digits
            return window_microkernel(dtype, rows, columns, tiling.lanes, outer_axes, digits)
        make = microkernel if tiling.form == "outer" else inner_microkernel
        return make(dtype, rows, columns, tiling.lanes, self._indices())

    def _indices(self) -> Indices | None:
        """What a microkernel gathers while it reads it."""
        left, right = self.contraction.left.indices, self.contraction.right.indices
        if left is not None:
            return Indices("a_rows" if left.along == "rows" else "a_depth", left.dtype)
        if right is not None and not self.packs:
            return Indices("b_depth", right.dtype)
        return None

    def tables_read(self, depth_start: Name | None) -> list[Expression]:
        """The places of windows or the indices of rows, those along the depth from there on, as
        arguments of a microkernel; none where it reads neither."""
        if self.windows is not None:
            return [self.windows.table, ZERO]
        if self._indices() is None:
            return []
        left = self.contraction.left.indices
        found = left or self.contraction.right.indices
        assert found is not None
        if not _runs_along(left, "rows"):
            start = flat_index(*_terms(depth_start, 1), offset=found.offset)
            return [advanced(Name(found.buffer), start), ZERO]
        rows = self.tiling.rows
        following = self.contraction.rows - 2 * rows
        place = flat_index((ROW_START, 1), offset=found.offset)
        ahead = of(rows).when(ROW_START.at_most(following), 0)
        return [advanced(Name(found.buffer), place), ahead]

    def _batch_terms(self, access: MatrixAccess) -> list[tuple[Expression, int]]:
        return [*zip(self.batch_indices, access.batch_strides, strict=True)]


def _from(buffer: Name, depth_start: Name | None, step: int) -> Expression:
    """The buffer from a place along the depth on, which has such a stride in it."""
    return advanced(buffer, flat_index(*_terms(depth_start, step)))


def _terms(depth_start: Name | None, step: int) -> list[tuple[Expression, int]]:
    return [] if depth_start is None else [(depth_start, step)]


def _runs_along(indices: RowIndices | None, along: str) -> bool:
    return indices is not None and indices.along == along


def _nested(loops: Sequence[tuple[Name, Limits]], body: Block) -> Block:
    """`body` inside loops over ranges, the outermost first."""
    for variable, limits in reversed(loops):
        around = Block()
        around.loop(variable, limits, body)
        body = around
    return body
