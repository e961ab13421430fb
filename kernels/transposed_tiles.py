"""Loops that read an operand across its rows run in small square tiles.

Each element of a row is then in another line of the operand's memory, and the lines of a long row
are gone from the cache, above all where rows are a power of two apart, before the next row reads
their next elements. The lines that a tile reads and stores stay.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.lowering import Scalar
from graphc.kernels.access import Loop
from graphc.kernels.loopnest import LoopNest, Phase
from graphc.kernels.loops import Loops, wrap_in_loops
from graphc.kernels.source import Block, Share, share_limits
from graphc.kernels.stages import VECTOR_MATH_COST

# Rows and elements of a tile: with more, lines that are a power of two apart push each other out of
# a cache of eight ways.
TILE = 8
# The lines that shorter rows stand across stay in the nearest cache anyway.
SHORTEST_ROW = 32

TILE_ROW, TILE_COLUMN = "tile_row", "tile_column"


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
        """Appends the loops: `row` is what comes before a row's elements, `element` is each."""
        inside = Block()
        inside.extend(row)
        inside.nest(_within(self.elements, TILE_COLUMN), element)
        tile, tiles, around = Block(), Block(), Block()
        tile.nest(_within(self.rows, TILE_ROW), inside)
        tiles.nest(f"for {TILE_COLUMN} in range({self.elements.extent // TILE}):", tile)
        is_cut = share is not None and not self.outer
        limits = share_limits(share, self.count) if share and is_cut else str(self.count)
        around.nest(f"for {TILE_ROW} in range({limits}):", tiles)
        wrap_in_loops(into, self.outer, around, share)


def _within(loop: Loop, tile: str) -> str:
    return f"for {loop.variable} in range({tile} * {TILE}, {tile} * {TILE} + {TILE}):"


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
