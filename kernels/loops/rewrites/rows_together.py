"""Neighbouring rows of few elements run together: what they add to a sum over rows is a register.

A sum over rows of which each element has its own is loaded, added to and stored once a row, and
each addition waits for the store before it. Rows of one or two vectors hold nothing else that the
processor could do meanwhile; and LLVM unrolls the loop over so few elements whole, after which it
finds vectors again as it may. So some neighbouring rows run inside of the loop over the elements,
unrolled: their terms are added up in a register, and that is added to the sum.

Before:                            After:

    for i in range(2048):              for i_from in range(0, 2048, 4):
        for j in range(16):                for j in range(16):
            sum[j] += x[i, j]                  of_rows = 0
                                               for i in range(i_from, i_from + 4):
                                                   of_rows += x[i, j]
                                               sum[j] += of_rows

How many rows run together depends on the shape alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from graphc.ir.graph import Node
from graphc.kernels.loops.language.expressions import Name
from graphc.kernels.loops.language.indices import Share
from graphc.kernels.loops.language.scalar import combined, neutral_element
from graphc.kernels.loops.language.statements import Block, Target
from graphc.kernels.loops.rewrites.block_sums import BlockSums, Cut
from graphc.kernels.loops.rewrites.loops import Loops, wrap_in_loops
from graphc.kernels.loops.rewrites.parts import Part, wrap_in_parts
from graphc.kernels.loops.rewrites.register_blocks import MOST_OPERATIONS
from graphc.kernels.loops.rewrites.stages import is_vector_math
from graphc.kernels.nests.loopnest import SHORT_ROW, LoopNest, Phase, Reduces
from graphc.kernels.nests.node_kinds import loaded_operands

# As many hide how long an addition takes.
MOST_ROWS = 4
# LLVM vectorises the loop over rows that are shorter.
FEWEST_ELEMENTS = 8


@dataclass(frozen=True)
class SumOfRows:
    """A sum over rows: where it stands, and what the terms of rows that run together add up in."""

    target: Target
    register: Name


def rows_together(loops: Loops, cut: Cut | None, blocks: int) -> tuple[Part, ...]:
    """The parts of the loops over rows that run inside of the loop over a row's elements, slowest
    first; none where rows run one after the other.

    cut: where the loops over rows put sums aside. blocks: among how many the outermost is shared
    out.
    """
    nest = loops.nest
    if not FEWEST_ELEMENTS <= loops.row_size < SHORT_ROW or loops.row_loop is None:
        return ()
    if not _has_elements_alone(nest):
        return ()
    most = min(MOST_ROWS, MOST_OPERATIONS // (len(_made_of_rows(nest)) + len(nest.reduces)))
    parts: list[Part] = []
    for loop in reversed([loop for loop in loops.outer if loop.extent != 1]):
        whole = loop.extent
        if loop is loops.outer[0]:
            # Of blocks that are not equally long none begins with a part.
            whole = whole // blocks if whole % blocks == 0 else 1
        if cut is not None and cut.loop is loop:
            whole = math.gcd(whole, cut.steps)
        steps = next(steps for steps in range(max(most, 1), 0, -1) if whole % steps == 0)
        if steps > 1:
            parts.append(Part(loop, steps))
        if steps < loop.extent:
            break
        most //= steps
    return tuple(reversed(parts))


def _has_elements_alone(nest: LoopNest) -> bool:
    """Whether all that is computed while rows go by are elements and their sums over rows."""
    if set(nest.reduces.values()) != {Reduces.ROWS} or nest.passes != 1:
        return False
    rows = _made_of_rows(nest)
    if any(not nest.roles[node].inner and nest.domain.span(node) for node in rows):
        return False
    if any(map(is_vector_math, rows)):
        return False
    inner = frozenset(nest.inner)
    if not all(nest.roles[node].inner for node in nest.reduces):
        return False
    spans = [nest.domain.operand_span(*each) for each in loaded_operands(nest.nodes)]
    return all(span & inner or not span for span in spans)


def _made_of_rows(nest: LoopNest) -> list[Node]:
    """What is computed while rows go by."""
    return [node for node in nest.nodes if nest.roles[node].phase is Phase.MAIN]


def nest_rows_together(
    into: Block,
    loops: Loops,
    parts: tuple[Part, ...],
    element: Block,
    sums: Mapping[Node, SumOfRows],
    share: Share | None,
    row_sums: BlockSums | None,
) -> None:
    """Appends the loops over rows, of which `parts` run together, each with `element`.

    sums: what `element` adds to. row_sums: what the loops over rows accumulate in blocks.
    """
    together, row = Block(), Block()
    for node, each in sums.items():
        together.assign(each.register, neutral_element(node), node)
    wrap_in_parts(together, parts, element)
    for node, each in sums.items():
        together.accumulate(each.target, combined(node, each.target, each.register))
    wrap_in_loops(row, loops.inner, together)
    wrap_in_loops(into, loops.outer, row, share, row_sums, inside=parts)
