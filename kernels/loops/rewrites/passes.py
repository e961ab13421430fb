"""What each pass over a row has to bring about, and what later passes keep of earlier ones."""

from __future__ import annotations

from graphc.ir.graph import Node, is_among
from graphc.ir.nodes.lowering import Scalar
from graphc.kernels.nests.loopnest import LoopNest, Phase, Reduces
from graphc.kernels.nests.node_kinds import viewed

# A value that costs less than this is computed again in a later pass rather than kept for it.
RECOMPUTE_COST = 8


def pass_sinks(nest: LoopNest, level: int) -> list[Node]:
    """Stores and accumulations that pass `level` brings about."""
    inner = frozenset(nest.inner)
    result = []
    for node in nest.nodes:
        role = nest.roles[node]
        if role.phase is not Phase.MAIN or role.level != level:
            continue
        if node in nest.reduces:
            if nest.domain.operand_span(node, 0) & inner:
                result.append(node)
        elif role.inner and is_among(node, nest.outputs):
            result.append(node)
    return result


def row_sinks(nest: LoopNest, level: int) -> list[Node]:
    """Stores and accumulations of row values that exist after pass `level`."""
    inner = frozenset(nest.inner)
    result = []
    for node in nest.nodes:
        role = nest.roles[node]
        if role.phase is not Phase.MAIN or role.level != level or role.inner:
            continue
        if nest.reduces.get(node) is Reduces.ROWS:
            if not nest.domain.operand_span(node, 0) & inner:
                result.append(node)
        elif is_among(node, nest.outputs):
            result.append(node)
    return result


def is_reloaded(nest: LoopNest, node: Node, level: int) -> bool:
    """Whether an earlier pass of the same row has stored the value as an output."""
    role = nest.roles[node]
    return is_among(node, nest.outputs) and role.phase is Phase.MAIN and role.level < level


def values_kept_between_passes(nest: LoopNest) -> dict[Node, int]:
    """Inner values that a later pass needs and that cost too much to compute again.

    Maps each to its pass. Later passes are looked at first: what they keep is one more thing that
    an earlier pass has to compute.
    """
    kept: dict[Node, int] = {}
    for level in range(nest.passes - 1, 0, -1):
        wanted = [*pass_sinks(nest, level), *(n for n, made in kept.items() if made == level)]
        seen: set[Node] = set()
        while wanted:
            for operand in map(viewed, wanted.pop().operands):
                if operand in seen or not is_inner_value(nest, operand):
                    continue
                seen.add(operand)
                if is_reloaded(nest, operand, level) or operand in kept:
                    continue
                made = nest.roles[operand].level
                if made < level and _cost_in_pass(nest, operand, level, kept) > RECOMPUTE_COST:
                    kept[operand] = made
                else:
                    wanted.append(operand)
    return kept


def is_inner_value(nest: LoopNest, node: Node) -> bool:
    return node in nest.roles and nest.roles[node].inner and node not in nest.reduces


def _cost_in_pass(nest: LoopNest, node: Node, level: int, kept: dict[Node, int]) -> int:
    """The cost of computing the value from what pass `level` has at hand."""
    cost, wanted, seen = 0, [node], {node}
    while wanted:
        current = wanted.pop()
        if isinstance(current.op.lowering, Scalar):
            cost += current.op.lowering.cost
        for operand in map(viewed, current.operands):
            at_hand = (
                operand in seen
                or not is_inner_value(nest, operand)
                or operand in kept
                or is_reloaded(nest, operand, level)
            )
            if not at_hand:
                seen.add(operand)
                wanted.append(operand)
    return cost
