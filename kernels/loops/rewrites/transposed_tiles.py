"""Loops that read an operand across its rows run in small square tiles.

Each element of a row is then in another line of the operand's memory, and the lines of a long row
are gone from the cache, above all where rows are a power of two apart, before the next row reads
their next elements. The lines that a tile reads and stores stay.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.nodes.lowering import Scalar
from graphc.kernels.loops.language.expressions import Expression, Name
from graphc.kernels.loops.language.indices import Share, share_limits
from graphc.kernels.loops.language.statements import Block, LoopKind
from graphc.kernels.loops.rewrites.loops import Loops, wrap_in_loops
from graphc.kernels.loops.rewrites.stages import VECTOR_MATH_COST
from graphc.kernels.nests.access import Loop
from graphc.kernels.nests.loopnest import LoopNest, Phase

# Rows and elements of a tile: with more, lines that are a power of two apart push each other out of
# a cache of eight ways.
TILE = 8
# The lines that shorter rows stand across stay in the nearest cache anyway.
SHORTEST_ROW = 32

TILE_ROW, TILE_COLUMN = Name("tile_row"), Name("tile_column")


@dataclass(frozen=True)
class TransposedTiles:
    """Tiles along a loop over rows and the loop over a row's elements.

    outer: the loops around them.
    """

    outer: tuple[Loop, ...]
    rows: Loop
    elements: Loop

    @property
    def count(self) -> int:
        """The steps of the loop over tiles side by side along the rows' loop."""
        return self.rows.extent // TILE

    def wrap(self, into: Block, row: Block, element: Block, share: Share | None) -> None:
        """Appends the loops: `row` is what comes before a row's elements, `element` is each.

        Before:                    After:

            for i in range(64):        for tile_row in range(8):
                row                        for tile_column in range(4):
                for j in range(32):            for i in range(tile_row * 8, tile_row * 8 + 8):
                    element                        row
                                                   for j in range(tile_column * 8, ... + 8):
                                                       element
        """
        inside = Block()
        inside.extend(row)
        inside.loop(Name(self.elements.variable), _within(TILE_COLUMN), element, LoopKind.TILE)
        tile, tiles, around = Block(), Block(), Block()
        tile.loop(Name(self.rows.variable), _within(TILE_ROW), inside, LoopKind.TILE)
        tiles.loop(TILE_COLUMN, self.elements.extent // TILE, tile)
        is_cut = share is not None and not self.outer
        limits = share_limits(share, self.count) if share and is_cut else self.count
        around.loop(TILE_ROW, limits, tiles)
        wrap_in_loops(into, self.outer, around, share)


def _within(tile: Name) -> tuple[Expression, Expression]:
    """The range of a tile's rows or elements."""
    return tile * TILE, tile * TILE + TILE


def transposed_tiles(nest: LoopNest, loops: Loops) -> TransposedTiles | None:
    """The tiles in which the nest runs over its rows; None where it runs along whole rows.

    Tiles are for cheap elementwise ops that read something across its rows, where tiles cover both
    loops evenly.
    """
    elements = loops.row_loop
    if nest.reduces or elements is None or elements.extent < SHORTEST_ROW:
        return None
    if any(role.phase is Phase.FINISH or not role.inner for role in nest.roles.values()):
        return None
    costs = (node.op.lowering.cost for node in nest.nodes if isinstance(node.op.lowering, Scalar))
    if sum(costs) >= VECTOR_MATH_COST or elements.extent % TILE:
        return None
    for rows in loops.outer:
        if loops.is_transposed(rows, elements) and rows.extent % TILE == 0:
            outer = tuple(loop for loop in loops.outer if loop is not rows)
            return TransposedTiles(outer, rows, elements)
    return None
