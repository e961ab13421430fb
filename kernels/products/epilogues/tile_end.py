"""What is done with a tile when its product is there: the epilogue, element by element, and what it
reduces over blocks of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from graphc.kernels.loops.language.expressions import Element, Expression, Name
from graphc.kernels.loops.language.indices import flat_index
from graphc.kernels.loops.language.source import Microkernel
from graphc.kernels.loops.language.statements import Block, Prefetch, Stack
from graphc.kernels.machine import MACHINE
from graphc.kernels.products.epilogues.epilogue import Tiles, TilesEnd
from graphc.kernels.products.epilogues.tile_epilogue import (
    CHAINS,
    ElementEpilogue,
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
class TileByTile:
    """An `Epilogue` that ends each tile by itself.

    reductions: over blocks of rows, where the contraction has any; `element` adds to their element
    `chain + q`. far_operands: what their lines are asked for before a tile's product is computed.
    """

    element: ElementEpilogue
    reductions: RowReductions | None = None
    far_operands: FarOperands | None = None

    def declared(self, tile_stride: int) -> Sequence[Stack]:
        return () if self.reductions is None else self.reductions.declared(CHAINS * tile_stride)

    def end_of(self, tiles: Tiles) -> TilesEnd:
        if (tiles.contraction.block is None) != (self.reductions is None):
            raise ValueError("blocks of rows, but nothing that is reduced over them, or none to be")
        if tiles.contraction.whole_rows:
            raise ValueError("tiles of all columns, but an epilogue that ends each by itself")
        return _TileEnd(tiles, self)


@dataclass(frozen=True)
class _TileEnd:
    """Writes what ends the tiles one by one."""

    tiles: Tiles
    epilogue: TileByTile
    rows_at_once: int = 0
    before: Block = field(default_factory=Block)
    microkernels: dict[str, Microkernel] = field(default_factory=dict)

    def ask_ahead(self, into: Block, rows: Expression, columns: int) -> None:
        """Asks for the cache lines that the epilogue will read: rows of a panel stand far apart,
        so that no processor foresees them."""
        far_operands = self.epilogue.far_operands
        # Of a tile that is computed transposed, elements that follow each other are apart.
        if far_operands is None or self.tiles.tiling.swapped:
            return
        row = Block()
        self._index_of(row, self.tiles.row, ROW_START, TILE_ROW)
        line = MACHINE.line_bytes // ITEM_BYTES[self.tiles.contraction.dtype]
        for first in range(0, columns, line):
            start = flat_index((COLUMN_START, 1), offset=self.tiles.first_column + first)
            row.assign(self.tiles.column, start)
            far = far_operands(batch_indices=self.tiles.batch_indices, row=ROW, column=COLUMN)
            row.add(*map(Prefetch, far))
        into.loop(TILE_ROW, rows, row)

    def finish(self, into: Block, rows: Expression, columns: int) -> None:
        """Runs the epilogue over the finished tile."""
        row, element = Block(), Block()
        self._index_of(row, self.tiles.row, ROW_START, TILE_ROW)
        self._find_chain(row)
        self._index_of(element, self.tiles.column, COLUMN_START, TILE_COLUMN)
        place = flat_index((TILE_ROW, self.tiles.stride), (TILE_COLUMN, 1))
        element.assign(ACCUMULATED, Element(TILE, place))
        made = self.epilogue.element(
            batch_indices=self.tiles.batch_indices, row=ROW, column=COLUMN, value=ACCUMULATED
        )
        element.extend(made)
        row.loop(TILE_COLUMN, columns, element)
        self._each_row(into, rows, row, columns)

    def finish_rows(self, into: Block) -> None:
        """Rows are ended tile by tile."""

    def _index_of(self, into: Block, variable: Name, start: Name, step: Name) -> None:
        """The row or column of the result."""
        offset = self.tiles.first_column if variable == COLUMN else 0
        into.assign(variable, flat_index((start, 1), (step, 1), offset=offset))

    def _find_chain(self, into: Block) -> None:
        """Which of the parts a row is added to, where rows are reduced."""
        if self.epilogue.reductions is not None:
            into.assign(CHAIN, ROW % CHAINS * self.tiles.stride)

    def _each_row(self, into: Block, rows: Expression, row: Block, columns: int) -> None:
        """The loop over the tile's rows; where they are reduced, over those of a block at a time.

        A tile may end one block, hold others whole and begin the next.
        """
        block, reductions = self.tiles.contraction.block, self.epilogue.reductions
        if reductions is None or block is None:
            into.loop(TILE_ROW, rows, row)
            return
        part, begun, ended = Block(), Block(), Block()
        part.assign(REDUCED_START, REDUCED_BLOCK * block - ROW_START)
        part.assign(REDUCED_END, REDUCED_START + block)
        neutral = reductions.begun(element=TILE_COLUMN)
        begun.loop(TILE_COLUMN, CHAINS * self.tiles.stride, neutral)
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
        strides = range(0, CHAINS * self.tiles.stride, self.tiles.stride)
        parts = (flat_index((TILE_COLUMN, 1), offset=stride) for stride in strides)
        element = Block()
        self._index_of(element, COLUMN, COLUMN_START, TILE_COLUMN)
        result = reductions.ended(
            batch_indices=self.tiles.batch_indices,
            block=REDUCED_BLOCK,
            column=COLUMN,
            elements=tuple(parts),
        )
        element.extend(result)
        return element
