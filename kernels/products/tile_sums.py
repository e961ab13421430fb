"""The lines that multiply into a tile, a long depth in blocks.

What blocks leave is added up in pairs (`kernels/loops/rewrites/pairwise.py`).
"""

from __future__ import annotations

from graphc.kernels.loops.language.statements import Block, Element, assigned, increased
from graphc.kernels.loops.rewrites.pairwise import PairwiseStack, entries_of, steps_of_block
from graphc.kernels.products.contraction import Contraction, Tiling

# Steps of a block that an accumulator adds up one after the other. The tile is then loaded, added
# and stored: more often would show.
BLOCK_STEPS = 512
# Fewer blocks are computed in one piece.
FEWEST_BLOCKS = 2
# Of which a block's steps are a multiple, so that vectors along the depth are whole.
MULTIPLE = 64

DEPTH_START, DEPTH_STEPS = "depth_start", "depth_steps"
TILE_BLOCKS = "tile_blocks"
_STACK = PairwiseStack("top", "block_number", "carry")


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
        self.target = f"advance({TILE_BLOCKS}, {_STACK.top} * {elements})"

    @property
    def stack_elements(self) -> int:
        return entries_of(-(-self._depth // self._steps)) * self._elements

    def around(self, calls: Block, size: str, tile: str, index: str) -> Block:
        """The tile, at `index` of `tile`, of which so many elements are computed. calls: of the
        microkernels, of a block."""
        depth, steps = self._depth, self._steps
        rest = f"{depth} - {DEPTH_START}"
        upper = Element(TILE_BLOCKS, f"{_STACK.top} * {self._elements} + e")
        lower = Element(TILE_BLOCKS, f"({_STACK.top} - 1) * {self._elements} + e")
        whole, block, merged = Block(), Block(), Block()
        merged.loop("e", size, Block.of(increased(lower, upper)))
        block.assign(DEPTH_STEPS, f"{steps} if {DEPTH_START} <= {depth - steps} else {rest}")
        block.extend(calls)
        block.extend(_STACK.pushed(merged))
        whole.extend(_STACK.begun())
        whole.loop(DEPTH_START, f"0, {depth}, {steps}", block)
        whole.extend(_STACK.joined(merged))
        stored = assigned(Element(tile, index), Element(TILE_BLOCKS, "e"))
        whole.loop("e", size, Block.of(stored))
        return whole
