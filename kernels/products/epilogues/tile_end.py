"""What is done with a tile when its product is there: the epilogue, element by element, and what it
reduces over blocks of rows."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.kernels.loops.language.expressions import Element, Expression, Name
from graphc.kernels.loops.language.indices import flat_index
from graphc.kernels.loops.language.statements import Block, Prefetch
from graphc.kernels.machine import MACHINE
from graphc.kernels.products.epilogues.tile_epilogue import (
    CHAINS,
    Epilogue,
    FarOperands,
    RowReductions,
)
from graphc.kernels.products.microkernels.microkernel import ITEM_BYTES
from graphc.kernels.products.variables import (
    ACCUMULATED,
    CHAIN,
    COLUMN,
    COLUMN_START,
    REDUCED_BLOCK,
    REDUCED_END,
    REDUCED_START,
    ROW,
    ROW_START,
    TILE,
    TILE_COLUMN,
    TILE_ROW,
)


@dataclass(frozen=True)
class TileEnd:
    """Writes what ends the tiles of a contraction, or of a part of its columns.

    row, column: the variables along the rows and columns of a tile. first_column: of the part.
    block: the rows of a block, where `reductions` has any. tile_stride: from a row of the tile in
    `tile` to the next.
    """

    dtype: str
    batch_indices: tuple[Name, ...]
    row: Name
    column: Name
    first_column: int
    tile_stride: int
    block: int | None
    epilogue: Epilogue
    reductions: RowReductions | None
    far_operands: FarOperands | None

    def ask_ahead(self, into: Block, rows: Expression, columns: int) -> None:
        """Asks for the cache lines that the epilogue will read: rows of a panel stand far apart,
        so that no processor foresees them."""
        if self.far_operands is None:
            return
        row = Block()
        self._index_of(row, self.row, ROW_START, TILE_ROW)
        line = MACHINE.line_bytes // ITEM_BYTES[self.dtype]
        for first in range(0, columns, line):
            start = flat_index((COLUMN_START, 1), offset=self.first_column + first)
            row.assign(self.column, start)
            far = self.far_operands(batch_indices=self.batch_indices, row=ROW, column=COLUMN)
            row.add(*map(Prefetch, far))
        into.loop(TILE_ROW, rows, row)

    def finish(self, into: Block, rows: Expression, columns: int) -> None:
        """Runs the epilogue over the finished tile."""
        row, element = Block(), Block()
        self._index_of(row, self.row, ROW_START, TILE_ROW)
        self._find_chain(row)
        self._index_of(element, self.column, COLUMN_START, TILE_COLUMN)
        place = flat_index((TILE_ROW, self.tile_stride), (TILE_COLUMN, 1))
        element.assign(ACCUMULATED, Element(TILE, place))
        made = self.epilogue(
            batch_indices=self.batch_indices, row=ROW, column=COLUMN, value=ACCUMULATED
        )
        element.extend(made)
        row.loop(TILE_COLUMN, columns, element)
        self._each_row(into, rows, row, columns)

    def _index_of(self, into: Block, variable: Name, start: Name, step: Name) -> None:
        """The row or column of the result."""
        offset = self.first_column if variable == COLUMN else 0
        into.assign(variable, flat_index((start, 1), (step, 1), offset=offset))

    def _find_chain(self, into: Block) -> None:
        """Which of the parts a row is added to, where rows are reduced."""
        if self.reductions is not None:
            into.assign(CHAIN, ROW % CHAINS * self.tile_stride)

    def _each_row(self, into: Block, rows: Expression, row: Block, columns: int) -> None:
        """The loop over the tile's rows; where they are reduced, over those of a block at a time.

        A tile may end one block, hold others whole and begin the next.
        """
        block, reductions = self.block, self.reductions
        if reductions is None or block is None:
            into.loop(TILE_ROW, rows, row)
            return
        part, begun, ended = Block(), Block(), Block()
        part.assign(REDUCED_START, REDUCED_BLOCK * block - ROW_START)
        part.assign(REDUCED_END, REDUCED_START + block)
        neutral = reductions.begun(element=TILE_COLUMN)
        begun.loop(TILE_COLUMN, CHAINS * self.tile_stride, neutral)
        part.branch(REDUCED_START.at_least(0), begun)
        first = REDUCED_START.when(REDUCED_START.at_least(0), 0)
        end = REDUCED_END.when(REDUCED_END.at_most(rows), rows)
        part.loop(TILE_ROW, (first, end), row)
        ended.loop(TILE_COLUMN, columns, self._ended(reductions))
        part.branch(REDUCED_END.at_most(rows), ended)
        blocks = ROW_START // block, (ROW_START + rows + (block - 1)) // block
        into.loop(REDUCED_BLOCK, blocks, part)

    def _ended(self, reductions: RowReductions) -> Block:
        """A block's result in a column of the tile."""
        strides = range(0, CHAINS * self.tile_stride, self.tile_stride)
        parts = (flat_index((TILE_COLUMN, 1), offset=stride) for stride in strides)
        element = Block()
        self._index_of(element, COLUMN, COLUMN_START, TILE_COLUMN)
        result = reductions.ended(
            batch_indices=self.batch_indices,
            block=REDUCED_BLOCK,
            column=COLUMN,
            elements=tuple(parts),
        )
        element.extend(result)
        return element
