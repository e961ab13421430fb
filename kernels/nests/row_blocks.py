"""Reductions over rows in a product's epilogue: a partial result for each block of rows.

A thread has some rows of a product only, so a reduction over all rows cannot end in its kernel. Its
epilogue reduces blocks of rows instead, which the shape alone fixes; no task has a part of a block,
and each adds up its rows in order. What a kernel after it makes of the blocks has then the same
bits at any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Reduction
from graphc.ir.ops.movement import movement

# A block of fewer rows leaves partial results that are hardly smaller than what they are made of.
SMALLEST_BLOCK_ROWS = 4
MOST_BLOCKS = 24
# More rows are too many to add up one after the other, though four sums at a time.
MOST_BLOCK_ROWS = 512
# Whole blocks are shared out; how evenly is asked for these numbers of threads.
THREADS_SERVED = (2, 3, 4)
MOST_UNEVEN = 1.34  # times the rows of an even share


def rows_of_block(rows: int) -> int | None:
    """The rows of a block where `rows` of a product are cut into equal ones; None where no cut
    lets threads share the blocks evenly.

    Of the cuts that are the most even for a few threads it has the fewest blocks.
    """
    least = max(2, ceil(rows / MOST_BLOCK_ROWS))
    most = min(max(MOST_BLOCKS, 2 * least), rows // SMALLEST_BLOCK_ROWS)
    blocks = even_cut(rows, range(least, most + 1))
    return None if blocks is None else rows // blocks


def even_cut(rows: int, counts: Iterable[int]) -> int | None:
    """Of some numbers of equal blocks the one that a few threads share most evenly, the least of
    several; None where none cuts `rows` or lets threads share them evenly."""
    cuts = [(_unevenness(rows, rows // blocks), blocks) for blocks in counts if rows % blocks == 0]
    uneven, blocks = min(cuts, default=(MOST_UNEVEN + 1, 1))
    return blocks if uneven <= MOST_UNEVEN else None


def _unevenness(rows: int, block: int) -> float:
    """The largest share of whole blocks, by the rows of an even share; of several threads the
    worst."""
    shares = [ceil(rows / threads) for threads in THREADS_SERVED]
    return max(rounded_to_blocks(share, block) / share for share in shares)


def rounded_to_blocks(rows: int, block: int | None) -> int:
    """The least number of whole blocks that has as many rows; None: blocks of one row."""
    return rows if block is None else ceil(rows / block) * block


def in_blocks(reduction: Node) -> Node | None:
    """The same reduction in two steps, first over the rows of each block: None where `reduction`
    is none over all rows of matrices, or their number has no cut into blocks."""
    assert isinstance(reduction.op.lowering, Reduction)
    (value,) = reduction.operands
    row_axis = value.rank - 2
    if row_axis < 0 or row_axis not in reduction.attributes["axes"]:
        return None
    *batch, rows, columns = value.type.dims
    block = rows_of_block(rows)
    if block is None:
        return None
    apply = value.graph.apply
    blocks = rows // block
    with value.graph.at(reduction.location):
        cut = movement.reshape(value, shape=(*batch, blocks, block, columns))
        partial = apply(reduction.op, (cut,), {"axes": (row_axis + 1,)})
        joined = movement.reshape(partial, shape=(*batch, blocks, columns))
        return apply(reduction.op, (joined,), reduction.attributes)


def reduced_in_blocks(node: Node) -> Node | None:
    """The value of which `node` reduces each block of rows; None where it is no such reduction."""
    if not isinstance(node.op.lowering, Reduction):
        return None
    (cut,) = node.operands
    if cut.op is not movement.reshape:
        return None
    (value,) = cut.operands
    row_axis = value.rank - 2
    if row_axis < 0 or node.attributes["axes"] != (row_axis + 1,):
        return None
    *batch, rows, columns = value.type.dims
    block = rows_of_block(rows)
    if block is None or cut.type.dims != (*batch, rows // block, block, columns):
        return None
    return value
