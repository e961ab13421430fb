"""Products that add up very many rows, such as gradients of weights over a large batch.

x^T y of x [rows, m] and y [rows, n] with a small result is computed in blocks of rows, whose
results are added up after them. Each thread then takes blocks of its own, whose rows it has mostly
computed itself: cut by its columns instead, the product would fetch half of all rows from the cache
of another core, and its tiles would go through all rows again and again. The shape alone says what
the blocks are, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

from math import ceil

from graphc.ir.graph import Node
from graphc.ir.ops import contract, movement, reduce
from graphc.ir.rewrite import Rule, rule
from graphc.kernels.row_blocks import even_cut

# Fewer rows are added up as quickly in one piece.
FEWEST_ROWS = 1024
# Rows of a block at most: some columns of them stay in the second cache.
BLOCK_ROWS = 1024
FEWEST_BLOCKS = 4
# Threads that share the tiles of a larger result each have enough to do with what they fetch.
LARGEST_RESULT_BYTES = 256 * 1024


@rule(contract.matmul)
def add_up_in_blocks(node: Node) -> Node | None:
    """matmul(xT, y) = sum over blocks b of rows (matmul(x_bT, y_b)), of very many rows"""
    blocks = _blocks(node)
    if blocks is None:
        return None
    parts = []
    for operand in node.operands:
        rows, columns = operand.type.dims
        parts.append(movement.reshape(operand, shape=(blocks, rows // blocks, columns)))
    results = contract.matmul(*parts, transpose_x=True, transpose_y=False)
    return movement.reshape(reduce.sum_(results, axes=(0,)), shape=node.shape)


RULES: tuple[Rule, ...] = (add_up_in_blocks,)


def _blocks(product: Node) -> int | None:
    """Into how many blocks the rows are cut that the product adds up; None where they are not.

    A block has as many rows at least as the result has rows or columns: so the results of all
    blocks take less memory than the operands.
    """
    if any(operand.rank != 2 for operand in product.operands):
        return None
    if not product.attributes["transpose_x"] or product.attributes["transpose_y"]:
        return None
    rows = product.operands[0].type.dims[0]
    if rows < FEWEST_ROWS or not 0 < product.type.nbytes <= LARGEST_RESULT_BYTES:
        return None
    least = max(FEWEST_BLOCKS, ceil(rows / BLOCK_ROWS))
    most = rows // max(product.type.dims)
    return even_cut(rows, range(least, min(2 * least, most) + 1))
