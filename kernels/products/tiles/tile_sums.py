"""The lines that multiply into a tile, a long depth in blocks.

What blocks leave is added up in pairs (`kernels/loops/rewrites/pairwise.py`).
"""

from __future__ import annotations

from graphc.kernels.loops.language.expressions import Element, Expression, Name, applied, of
from graphc.kernels.loops.language.indices import ADVANCE
from graphc.kernels.loops.language.statements import Block, assigned, increased
from graphc.kernels.loops.rewrites.pairwise import PairwiseStack, entries_of, steps_of_block
from graphc.kernels.products.contraction import Contraction, Tiling
from graphc.kernels.products.variables import (
    BLOCK_NUMBER,
    CARRY,
    DEPTH_START,
    DEPTH_STEPS,
    TILE_BLOCKS,
    TILE_ELEMENT,
    TOP,
)

# Steps of a block that an accumulator adds up one after the other. The tile is then loaded, added
# and stored: more often would show.
BLOCK_STEPS = 512
# Fewer blocks are computed in one piece.
FEWEST_BLOCKS = 2
# Of which a block's steps are a multiple, so that vectors along the depth are whole.
MULTIPLE = 64

_STACK = PairwiseStack(TOP, BLOCK_NUMBER, CARRY)


def tile_sums(contraction: Contraction, tiling: Tiling, elements: int) -> TileSums | None:
    """How the depth of tiles of so many elements is cut in blocks; None where it is short."""
    most = BLOCK_STEPS if tiling.form == "outer" else BLOCK_STEPS * tiling.lanes
    if contraction.depth <= FEWEST_BLOCKS * most:
        return None
    steps = steps_of_block(contraction.depth, most, MULTIPLE)
    return TileSums(contraction, steps, elements)


class TileSums:
    """A tile of `elements` whose depth is cut in blocks of so many steps."""

    def __init__(self, contraction: Contraction, steps: int, elements: int) -> None:
        self._dtype = contraction.dtype
        self._depth = contraction.depth
        self._steps = steps
        self._elements = elements
        # Where microkernels store a block.
        self.target = applied(ADVANCE, TILE_BLOCKS, TOP * elements)

    @property
    def stack_elements(self) -> int:
        return entries_of(-(-self._depth // self._steps)) * self._elements

    def around(self, calls: Block, size: Expression, tile: Name, index: Expression) -> Block:
        """The tile, at `index` of `tile`, of which so many elements are computed. calls: of the
        microkernels, of a block."""
        depth, steps = self._depth, self._steps
        upper = Element(TILE_BLOCKS, TOP * self._elements + TILE_ELEMENT)
        lower = Element(TILE_BLOCKS, (TOP - 1) * self._elements + TILE_ELEMENT)
        whole, block, merged = Block(), Block(), Block()
        merged.loop(TILE_ELEMENT, size, Block.of(increased(lower, upper)))
        fits = DEPTH_START.at_most(depth - steps)
        block.assign(DEPTH_STEPS, of(steps).when(fits, of(depth) - DEPTH_START))
        block.extend(calls)
        block.extend(_STACK.pushed(merged))
        whole.extend(_STACK.begun())
        whole.loop(DEPTH_START, (0, depth, steps), block)
        whole.extend(_STACK.joined(merged))
        stored = assigned(Element(tile, index), Element(TILE_BLOCKS, TILE_ELEMENT))
        whole.loop(TILE_ELEMENT, size, Block.of(stored))
        return whole
