"""The stack of the sums of blocks: every block counts once, and the stack is as long as it says."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from graphc.kernels.loops.language.expressions import (
    Element,
    Name,
    applied,
    expression_text,
    of,
)
from graphc.kernels.loops.language.statements import (
    Block,
    Call,
    assigned,
    increased,
    loops_in,
)
from graphc.kernels.loops.rewrites.block_sums import Terms, cut_of
from graphc.kernels.loops.rewrites.pairwise import PairwiseStack, entries_of, steps_of_block
from graphc.kernels.nests.access import Loop
from graphc.kernels.products.contraction import Tiling
from graphc.kernels.products.tiles.tile_sums import tile_sums
from graphc.kernels.products.variables import DEPTH_START, TILE, TILE_ELEMENT
from tests.kernels.products.contractions import plain

STACK = PairwiseStack(Name("top"), Name("number"), Name("carry"))
ENTRIES, BLOCK = Name("entries"), Name("block")
LOWER, UPPER = Element(ENTRIES, STACK.top - 1), Element(ENTRIES, STACK.top)
MERGED = Block.of(Call("merges.append", (applied("pair", LOWER, UPPER),)), increased(LOWER, UPPER))


def _summed(blocks: int) -> dict[str, Any]:
    """The variables after the lines for blocks of 1, 2, 4, ..., which no two sums share."""
    pushed = Block.of(assigned(UPPER, of(1) << BLOCK))
    pushed.extend(STACK.pushed(MERGED))
    whole = STACK.begun()
    whole.loop(BLOCK, blocks, pushed)
    whole.extend(STACK.joined(MERGED))
    found: dict[str, Any] = {"entries": [0] * entries_of(blocks), "merges": []}
    found["pair"] = lambda *values: values
    exec("\n".join(whole.lines), found)
    return found


@pytest.mark.parametrize("blocks", [*range(1, 34), 63, 64, 65, 127, 128, 129])
def test_every_block_is_added_once_in_pairs(blocks: int) -> None:
    found = _summed(blocks)
    assert found["top"] == 0
    assert found["entries"][0] == (1 << blocks) - 1
    depth = dict.fromkeys((1 << block for block in range(blocks)), 0)
    for left, right in found["merges"]:
        depth[left + right] = max(depth[left], depth[right]) + 1
    # Of a whole power of two blocks as few additions as can be, else less than twice as many.
    most = (blocks - 1).bit_length()
    assert depth[(1 << blocks) - 1] <= (most if blocks & (blocks - 1) == 0 else 2 * most)


@pytest.mark.parametrize("shares", [1, 3, 4])
@pytest.mark.parametrize("multiple", [1, 16])
@pytest.mark.parametrize("extents", [(1000,), (7, 300), (300, 7), (5, 6, 7), (9, 2, 500), (401, 1)])
def test_as_many_blocks_as_a_cut_loop_stops_after(
    extents: tuple[int, ...], multiple: int, shares: int
) -> None:
    loops = [Loop(f"i{axis}", extent, (axis,)) for axis, extent in enumerate(extents)]
    cut = cut_of(loops, Terms(16, 64), multiple, shares)
    assert cut is not None
    position = loops.index(cut.loop)
    # The largest share of the outermost loop.
    own = [range(-(-extents[0] // shares)), *map(range, extents[1:])]
    stops = sum(len(own[position][:: cut.steps]) for _ in itertools.product(*own[:position]))
    assert cut.blocks == stops


@pytest.mark.parametrize(
    ("extent", "most", "multiple"), [(1001, 300, 1), (5003, 512, 64), (9, 3, 4)]
)
def test_blocks_are_even_and_of_whole_multiples(extent: int, most: int, multiple: int) -> None:
    steps = steps_of_block(extent, most, multiple)
    assert steps < most + multiple and (steps % multiple == 0 or steps < multiple)
    assert -(-extent // steps) <= -(-extent // most)


@pytest.mark.parametrize("depth", [1025, 1536, 1537, 2048, 3585, 3586, 4000, 7680, 7681, 8192])
def test_a_tile_has_room_for_the_sums_of_all_blocks(depth: int) -> None:
    contraction, _ = plain("f32", 6, depth, 32)
    sums = tile_sums(contraction, Tiling("outer", False, 6, 32, 16, "none", 6), 192)
    assert sums is not None
    around = sums.around(Block(), of(192), TILE, TILE_ELEMENT)
    (loop,) = (loop for loop in loops_in(around.whole) if loop.variable == DEPTH_START)
    _, end, steps = (int(expression_text(each)) for each in loop.limits)
    assert end == depth
    assert sums.stack_elements == 192 * entries_of(len(range(0, depth, steps)))
