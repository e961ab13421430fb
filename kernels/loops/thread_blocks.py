"""How a loop nest is shared among threads: blocks of rows, fixed by the shape alone."""

from __future__ import annotations

import math

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Scalar
from graphc.kernels.loops.rewrites.row_strips import RowStrips
from graphc.kernels.loops.rewrites.transposed_tiles import TransposedTiles
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.loopnest import LoopNest, Reduces

# A block is far longer than a meeting of threads takes.
SMALLEST_BLOCK_CYCLES = 8 * MACHINE.meeting_cycles
SMALLEST_BLOCK_ELEMENTS = 256  # so that no block is unrolled whole
# Numbers of blocks that two, three and four threads share evenly, or nearly so.
EVEN_COUNTS = (16, 12, 8, 6, 4, 2, 1)


def block_count(nest: LoopNest, cut: RowStrips | TransposedTiles | None = None) -> int:
    """Into how many blocks the outermost loop is cut; 1 where sharing does not pay.

    cut: the strips or tiles in which the nest runs over its rows; each stays whole.

    The cut depends on shapes and ops only, so that results have the same bits at any number of
    threads: sums over rows are added up block by block.
    """
    loop = _shared_axis(nest)
    if loop is None:
        return 1
    by_work = int(cycles(nest) // SMALLEST_BLOCK_CYCLES)
    by_size = math.prod(nest.domain.extents) // SMALLEST_BLOCK_ELEMENTS
    most = nest.domain.extents[loop] if cut is None else _outermost_steps(cut)
    limit = max(1, min(by_work, by_size, most))
    return next(count for count in EVEN_COUNTS if count <= limit)


def _outermost_steps(cut: RowStrips | TransposedTiles) -> int:
    """The steps of the loop that threads share."""
    return cut.outer[0].extent if cut.outer else cut.count


def _shared_axis(nest: LoopNest) -> int | None:
    """The axis whose loop is cut: the outermost, unless a row is all there is to reduce."""
    if nest.outer:
        return nest.outer[0]
    if nest.inner and Reduces.ROW not in nest.reduces.values():
        return nest.inner[0]
    return None


def op_cost(node: Node) -> int:
    """The vector instructions of a node, about."""
    return node.op.lowering.cost if isinstance(node.op.lowering, Scalar) else 1


def element_cost(node: Node) -> float:
    """The cycles that one core needs for an element of a node in a loop over elements."""
    return op_cost(node) / MACHINE.nominal_lanes


def cycles(nest: LoopNest) -> float:
    """An estimate of the cycles that one core needs for the nest."""
    arithmetic = 0.0
    for node in nest.nodes:
        span = nest.domain.span(node)
        if node.operands:
            span |= nest.domain.operand_span(node, 0)
        size = math.prod(nest.domain.extents[axis] for axis in span)
        arithmetic += size * element_cost(node)
    elements = math.prod(nest.domain.extents)
    moved = max((node.dtype.itemsize for node in nest.nodes), default=0) * elements
    return max(arithmetic, moved / MACHINE.streamed_bytes_a_cycle)
