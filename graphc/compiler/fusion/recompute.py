"""Values that are computed again by each reader rather than stored."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.compiler.fusion.grouping import Uses, group_storing, needed_for, too_large
from graphc.compiler.fusion.traffic import traffic
from graphc.ir.graph import Node, is_among
from graphc.ir.lowering import Scalar
from graphc.kernels.groups.group import Candidate
from graphc.kernels.nests.node_kinds import external_operands
from graphc.kernels.nests.refusal import Refusal

# A value of at most this cost is computed by each reader rather than stored and read again.
DUPLICATE_COST = 3


@dataclass(frozen=True, eq=False)
class Recomputation:
    """A value that each of its readers computes for itself, so that it is not stored."""

    value: Node
    bytes_saved: int


def recompute_cheap_values(
    groups: list[Candidate], uses: Uses
) -> tuple[tuple[Candidate, ...], tuple[Recomputation, ...]]:
    """Groups in which a stored value that is cheap to make is made by each of its readers.

    Only values all of whose operands are stored anyway qualify, and only where fewer bytes move.
    """
    recomputed: list[Recomputation] = []
    changed = True
    while changed:
        changed = False
        stored = {node for group in groups for node in group.outputs}
        for value in sorted(stored, key=lambda node: -node.number):
            if value in uses.kept or not _is_cheap(value, stored):
                continue
            cheaper = _without_storing(value, groups, uses.readers[value])
            if cheaper is not None:
                (groups, saved), changed = cheaper, True
                recomputed.append(Recomputation(value, saved))
                break
    return tuple(groups), tuple(recomputed)


def _is_cheap(value: Node, stored: set[Node]) -> bool:
    lowering = value.op.lowering
    if not isinstance(lowering, Scalar) or lowering.cost > DUPLICATE_COST:
        return False
    return all(x in stored or not x.operands for x in external_operands([value]))


def _without_storing(
    value: Node, groups: list[Candidate], readers: tuple[Node, ...]
) -> tuple[list[Candidate], int] | None:
    """The groups with `value` computed in each that reads it, and the bytes that this saves; None
    where it does not work or saves none."""
    result: list[Candidate] = []
    saved = 0
    for group in groups:
        inside = set(group.nodes)
        reads = value not in inside and not inside.isdisjoint(readers)
        makes = is_among(value, group.outputs)
        if not (reads or makes):
            result.append(group)
            continue
        outputs = tuple(node for node in group.outputs if node is not value)
        nodes = (*group.nodes, value) if reads else needed_for(outputs, group.nodes)
        saved += traffic(group.nodes, group.outputs)
        if not nodes:
            continue
        changed = too_large(nodes, outputs) or group_storing(nodes, outputs)
        if isinstance(changed, Refusal):
            return None
        saved -= traffic(changed.nodes, changed.outputs)
        result.append(changed)
    return (result, saved) if saved > 0 else None
