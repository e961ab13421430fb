"""The loops around what is computed of each row: pass by pass, row by row or in strips of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.kernels.loops.language.expressions import Name
from graphc.kernels.loops.language.indices import Share
from graphc.kernels.loops.language.statements import Block, LoopKind
from graphc.kernels.loops.rewrites.block_sums import BlockSums
from graphc.kernels.loops.rewrites.loops import Loops, wrap_in_loops
from graphc.kernels.loops.rewrites.parts import wrap_in_parts
from graphc.kernels.loops.rewrites.row_strips import RowStrips
from graphc.kernels.loops.rewrites.stages import FarOperand, wrap_in_strips


@dataclass(frozen=True)
class RowPass:
    """A pass over a row.

    stages: what is computed of each element, stage by stage. row: what of the row after it.
    sums: what the pass accumulates in blocks. in_vectors: whether the loop over the row's elements
    is vectorised before anything else.
    """

    stages: Sequence[Block]
    row: Block
    sums: BlockSums | None = None
    in_vectors: bool = False


def nest_rows(
    into: Block,
    loops: Loops,
    before: Block,
    passes: Sequence[RowPass],
    prefetches: Sequence[FarOperand],
    share: Share | None,
    sums: BlockSums | None = None,
) -> None:
    """Appends the loops over rows, the outermost over a share of its extent.

    After:

        for i in range(64):
            before
            for j in range(9):
                element of the first pass
            row of the first pass
            for j in range(9):
                element of the second pass
            row of the second pass

    before: what is computed of a row before the first pass. prefetches: for passes of several
    stages. sums: what the loops over rows accumulate in blocks.
    """
    shared_inner = share is not None and not loops.outer
    row = Block()
    row.extend(before)
    for each in passes:
        _nest_pass(row, loops, each, prefetches, share if shared_inner else None)
        row.extend(each.row)
    wrap_in_loops(into, loops.outer, row, None if shared_inner else share, sums)


def _nest_pass(
    into: Block,
    loops: Loops,
    each: RowPass,
    prefetches: Sequence[FarOperand],
    share: Share | None,
) -> None:
    """A pass over a row, as one loop or, in stages, strip by strip."""
    if len(each.stages) > 1 and loops.row_loop is not None:
        wrap_in_strips(into, loops.row_loop, each.stages, prefetches, share, each.sums)
    elif each.in_vectors and each.sums is None and loops.row_loop is not None:
        row = loops.row_loop
        into.loop(Name(row.variable), row.extent, each.stages[-1], LoopKind.VECTORS)
    else:
        wrap_in_loops(into, loops.inner, each.stages[-1], share, each.sums)


def nest_strips(
    into: Block,
    loops: Loops,
    strips: RowStrips,
    before: Block,
    passes: Sequence[RowPass],
    share: Share | None,
) -> None:
    """Appends the loops over rows where a strip of them goes side by side; no pass has stages.

    Before:                    After, inside of the loop over strips:

        for i in range(64):        for i in range(strip, strip_end):
            before                     before
            for j in range(9):     for j in range(9):
                element                for i in range(strip, strip_end):
            behind                         element
                                   for i in range(strip, strip_end):
                                       behind

    Short loops run inside of that over the strip's rows; where the whole row does, that is one
    loop, and `before` and `behind` are in it too.
    """
    strip, around = Block(), Block()
    if strips.has_whole_rows(loops):
        (each,) = passes
        row = Block()
        row.extend(before)
        wrap_in_parts(row, strips.registers.elements, each.stages[-1])
        row.extend(each.row)
        strips.wrap_in_rows(strip, row)
    else:
        strips.wrap_in_rows(strip, before)
        for each in passes:
            element = Block()
            strips.wrap_in_elements(element, each.stages[-1])
            wrap_in_loops(
                strip, loops.inner, element, sums=each.sums, inside=strips.registers.elements
            )
            strips.wrap_in_rows(strip, each.row)
    strips.wrap_in_strips(around, strip, None if strips.outer else share)
    wrap_in_loops(into, strips.outer, around, share, inside=strips.registers.rows)
