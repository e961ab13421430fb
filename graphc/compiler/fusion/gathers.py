"""Gathers of rows that products make while they read their operands.

The tile of a product is chosen as if the rows stood side by side, so that it sums in the same order
and its results have the same bits. What remains to be asked is whether such a tile can read rows
where they are: then nothing is stored and loaded again, and what is far comes while the product
computes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import ceil

from graphc.compiler.fusion.decision import NotFused
from graphc.compiler.fusion.fuse import Fused
from graphc.compiler.fusion.grouping import too_large, uses_of
from graphc.compiler.fusion.partition import Partition
from graphc.compiler.fusion.prologues import with_outcomes
from graphc.compiler.fusion.recompute import Recomputation
from graphc.compiler.fusion.traffic import traffic
from graphc.ir.graph import Node, Program, are_same, is_among
from graphc.kernels.groups.contraction_candidate import contraction_candidate
from graphc.kernels.groups.group import Candidate, ContractionCandidate, MovementGroup
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.node_kinds import viewed
from graphc.kernels.nests.refusal import Refusal
from graphc.kernels.products.contraction import oriented, reads_by_index
from graphc.kernels.products.tilings.tiling import Tilings

# Measured: to read rows beyond the second cache so often, each from another place, costs as much as
# to copy them once.
MOST_FAR_PASSES = 4


def fuse_gathers(program: Program, fused: Fused, tilings: Tilings, threads: int) -> Fused:
    """The groups with every gather in the products that read it, where each of its readers is one
    that can make it; and the decisions with what came of each."""
    kept = uses_of(program).kept
    partition, recomputed = Partition(fused.groups), list(fused.recomputed)
    outcomes: dict[Node, Refusal | None] = {}
    for maker in fused.groups:
        if not isinstance(maker, MovementGroup) or not maker.gathers:
            continue
        gather = maker.node
        readers = partition.readers(gather)
        if gather in kept or not any(_multiplies(group, gather) for group in readers):
            continue
        made = _gathering_all(readers, gather, tilings, threads)
        outcomes[gather] = made if isinstance(made, Refusal) else None
        if isinstance(made, Refusal):
            continue
        partition.change({maker: (), **{group: (changed,) for group, changed in made.items()}})
        saved = _traffic((maker, *readers)) - _traffic(made.values())
        recomputed.append(Recomputation(gather, saved))
    decisions = tuple(with_outcomes(fused.decisions, outcomes))
    return Fused(partition.groups, decisions, tuple(recomputed))


def _traffic(groups: Iterable[Candidate]) -> int:
    return sum(traffic(group.nodes, group.outputs) for group in groups)


def _multiplies(group: Candidate, value: Node) -> bool:
    return isinstance(group, ContractionCandidate) and is_among(
        value, map(viewed, group.contraction.operands)
    )


def _gathering_all(
    readers: Iterable[Candidate], gather: Node, tilings: Tilings, threads: int
) -> dict[Candidate, ContractionCandidate] | Refusal:
    """Every reader of a gather with the gather made in it, or why one is not to make it."""
    made: dict[Candidate, ContractionCandidate] = {}
    passes = 0
    for group in readers:
        found = _gathering(group, gather, tilings, threads)
        if isinstance(found, Refusal):
            return found
        made[group] = found
        passes += _passes(found, tilings, threads)
    if gather.type.nbytes > MACHINE.second_cache_bytes and passes > MOST_FAR_PASSES:
        return Refusal(NotFused.FAR_ROWS_READ_OFTEN, (gather, gather.type.nbytes, passes))
    return made


def _gathering(
    group: Candidate, gather: Node, tilings: Tilings, threads: int
) -> ContractionCandidate | Refusal:
    """The reader `group` with the gather made in it."""
    readers = [node for node in group.nodes if is_among(gather, map(viewed, node.operands))]
    if not isinstance(group, ContractionCandidate) or not are_same(readers, [group.contraction]):
        reader = next(node for node in readers if not _is_product(node, group))
        return Refusal(NotFused.READ_BESIDE_PRODUCTS, (reader, gather))
    product = group.contraction
    positions = [p for p, operand in enumerate(product.operands) if viewed(operand) is gather]
    if len(positions) > 1 or group.shape.is_gathered:
        return Refusal(NotFused.BOTH_OPERANDS_GATHERED, (product,))
    before = (gather, *group.parts.before)
    made = contraction_candidate(replace(group.parts, before=before))
    if isinstance(made, Refusal):
        return made
    refusal = too_large(made.nodes, made.outputs)
    if refusal is not None:
        return refusal
    tiling = tilings.choose(made.shape, threads)
    if not reads_by_index(made.shape, tiling):
        return Refusal(NotFused.ROWS_SIDE_BY_SIDE, (product, gather, tiling))
    return made


def _passes(group: ContractionCandidate, tilings: Tilings, threads: int) -> int:
    """How often the tiles of a product go through all rows that it gathers."""
    tiling = tilings.choose(group.shape, threads)
    columns = oriented(group.shape, tiling).columns
    return ceil(columns / tiling.columns) + (tiling.rest is not None)


def _is_product(node: Node, group: Candidate) -> bool:
    return isinstance(group, ContractionCandidate) and node is group.contraction
