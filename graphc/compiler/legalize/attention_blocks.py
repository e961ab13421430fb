"""Attention over long sequences is computed in blocks of scores.

All scores of a batch are [..., n, m], which grows with the square of the length. Where they are few
they are stored once, and the backward pass reads them again. Where they leave the caches, those of
some queries at a time are made, used, and made again for the derivative
(`graphc.ir.ops.attention_blocks`); with causality that leaves out half of them besides. The shapes
alone say what the blocks are, so the bits do not depend on the number of threads.
"""

from __future__ import annotations

from graphc.ir.graph import Node
from graphc.ir.ops import attention as records
from graphc.ir.rewriting.rewrite import Rule, rule
from graphc.kernels.machine import MACHINE

# Scores of so many bytes are stored whole: those that causality halves as long as two cores' second
# caches hold them, and others while it takes longer to make them again than to fetch them.
WHOLE_CAUSAL_BYTES = 4 * MACHINE.second_cache_bytes
WHOLE_BYTES = 32 * MACHINE.second_cache_bytes
# Queries of a block: products of fewer read their keys too often, and of more blocks than a few
# each has twice as many. Each block has kernels of its own, so their number is limited.
FEWEST_QUERIES = 128
FEW_BLOCKS = 8
MOST_BLOCKS = 16


@rule(records.attention, records.attention_slope)
def cut_attention(node: Node) -> Node | None:
    """attention(q, k, v) = attention of each block of q, below each other"""
    if node.attributes["block"]:
        return None
    block = _block_of(node)
    if block == 0:
        return None
    attributes = dict(node.attributes) | {"block": block}
    return node.graph.apply(node.op, node.operands, attributes)


RULES: tuple[Rule, ...] = (cut_attention,)


def _block_of(node: Node) -> int:
    """The queries of a block; 0 where the scores are not cut."""
    first = 0 if node.op is records.attention else 1
    q, k = node.operands[first : first + 2]
    queries, keys = q.type.dims[-2], k.type.dims[-2]
    scores = records.scores_type(*(x.type for x in node.operands[first:]))
    whole = WHOLE_CAUSAL_BYTES if node.attributes["causal"] else WHOLE_BYTES
    if queries <= FEWEST_QUERIES or not keys or scores.nbytes <= whole:
        return 0
    block = FEWEST_QUERIES
    if block * FEW_BLOCKS < queries:
        block *= 2
    while block * MOST_BLOCKS < queries:
        block *= 2
    return block
