"""Short loops in the registers of a strip: what neighbouring rows add up is kept while it grows.

Where the rows of a strip add up few elements, as those of a window do, a loop over the strip for
each element loads and stores every sum as often as there are elements. Inside of one loop over the
strip such short loops are unrolled by LLVM: a sum is a register, what several rows read is loaded
once, and the loop over the strip is vectorised. The rows are those of the strip, times some steps
of the loops around it: positions of a convolution whose channels are by themselves, or elements of
its kernel while the gradient of the kernel goes along positions. Each sum takes its terms in the
same order as before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.graph import Node, is_among
from graphc.ir.nodes.lowering import Scalar
from graphc.kernels.loops.language.scalar import sums_floats
from graphc.kernels.loops.rewrites.block_sums import Cut
from graphc.kernels.loops.rewrites.loops import Loops
from graphc.kernels.loops.rewrites.parts import Part
from graphc.kernels.loops.rewrites.stages import VECTOR_MATH_COST
from graphc.kernels.nests.access import Loop
from graphc.kernels.nests.loopnest import LoopNest
from graphc.kernels.nests.node_kinds import viewed

# Operations of the loop over a strip, one line each, that LLVM still unrolls whole.
MOST_OPERATIONS = 96
# Sums that are added up side by side over several loops, one register each.
MOST_SUMS = 12


@dataclass(frozen=True)
class RegisterBlock:
    """What runs inside of the loop over a strip, slowest first.

    rows: of the loops around the strip. elements: of the loops over a row.
    """

    rows: tuple[Part, ...] = ()
    elements: tuple[Part, ...] = ()

    @property
    def row_count(self) -> int:
        """How many rows there are for each of the strip's."""
        return math.prod(part.steps for part in self.rows)


NO_BLOCK = RegisterBlock()


def register_block(loops: Loops, outer: Sequence[Loop], cut: Cut | None) -> RegisterBlock:
    """The short loops of a nest in strips that run inside of the loop over a strip.

    outer: the loops around strips, of which threads share the first. cut: where sums over a row
    are put aside.

    Where a row is short, all of it, and some rows; else some rows, and a part of each. None where
    each element is read once: memory is better read in its order than from many places in turn.
    """
    nest = loops.nest
    if nest.passes != 1 or any(_cost(node) >= VECTOR_MATH_COST for node in nest.nodes):
        return NO_BLOCK
    if not any(_is_shared(loops, loop) for loop in outer[1:]):
        return NO_BLOCK
    of_elements = sum(nest.roles[node].inner or node in nest.reduces for node in nest.nodes)
    of_rows = len(nest.nodes) - of_elements
    inner = [loop for loop in loops.inner if loop.extent != 1]
    around = [loop for loop in outer[1:] if loop.extent != 1]
    whole = math.prod(loop.extent for loop in inner)
    of_whole_row = whole * of_elements + of_rows
    if of_whole_row <= MOST_OPERATIONS:
        elements = tuple(Part(loop, loop.extent) for loop in inner)
        return RegisterBlock(_innermost(around, MOST_OPERATIONS // of_whole_row), elements)
    rows = _innermost(around, MOST_SUMS)
    most = MOST_OPERATIONS // (of_elements * math.prod(part.steps for part in rows))
    return RegisterBlock(rows, _innermost(inner, most, cut))


def _is_shared(loops: Loops, loop: Loop) -> bool:
    """Whether the elements of rows read something that is the same for all steps of the loop."""
    nest = loops.nest
    return loop.extent != 1 and any(
        loops.is_read_again(node, position, loop)
        for node in nest.nodes
        if nest.roles[node].inner or node in nest.reduces
        for position in range(len(node.operands))
    )


def _cost(node: Node) -> int:
    return node.op.lowering.cost if isinstance(node.op.lowering, Scalar) else 0


def _innermost(loops: Sequence[Loop], most: int, cut: Cut | None = None) -> tuple[Part, ...]:
    """The innermost of nested loops, with `most` steps in all at most: whole loops, and equal parts
    of the one around them. What is put aside after some steps has whole parts of them."""
    parts: list[Part] = []
    for loop in reversed(loops):
        is_cut = cut is not None and cut.loop is loop
        whole = math.gcd(loop.extent, cut.steps) if cut is not None and is_cut else loop.extent
        steps = next(steps for steps in range(max(most, 1), 0, -1) if whole % steps == 0)
        if steps > 1:
            parts.append(Part(loop, steps))
        if steps < loop.extent:
            break
        most //= steps
    return tuple(reversed(parts))


def product_of_sum(nest: LoopNest, node: Node) -> Node | None:
    """The product whose elements a sum adds up and that nothing else in the nest reads; None of
    other reductions."""
    term = viewed(node.operands[0])
    lowering = term.op.lowering
    if not (isinstance(lowering, Scalar) and lowering.is_product and sums_floats(node)):
        return None
    if term not in nest.roles or not nest.roles[term].inner or is_among(term, nest.outputs):
        return None
    readers = [each for each in nest.nodes if is_among(term, map(viewed, each.operands))]
    return term if len(readers) == 1 else None
