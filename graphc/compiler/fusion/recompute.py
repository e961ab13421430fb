"""Values that are computed again by each reader rather than stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graphc.compiler.fusion.grouping import Uses, group_storing, needed_for, too_large
from graphc.compiler.fusion.partition import Partition
from graphc.compiler.fusion.traffic import traffic
from graphc.ir.graph import Node, is_among
from graphc.ir.nodes.lowering import Scalar
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
    groups: Iterable[Candidate], uses: Uses
) -> tuple[tuple[Candidate, ...], tuple[Recomputation, ...]]:
    """Groups in which a stored value that is cheap to make is made by each of its readers.

    Only values all of whose operands are stored anyway qualify, and only where fewer bytes move.
    """
    partition, recomputed = Partition(groups), list[Recomputation]()
    changed = True
    while changed:
        changed = False
        stored = partition.stored()
        for value in sorted(stored, key=lambda node: -node.number):
            if value in uses.kept or not _is_cheap(value, stored):
                continue
            cheaper = _without_storing(value, partition)
            if cheaper is not None:
                (made, saved), changed = cheaper, True
                partition.change(made)
                recomputed.append(Recomputation(value, saved))
                break
    return partition.groups, tuple(recomputed)


def _is_cheap(value: Node, stored: set[Node]) -> bool:
    lowering = value.op.lowering
    if not isinstance(lowering, Scalar) or lowering.cost > DUPLICATE_COST:
        return False
    return all(x in stored or not x.operands for x in external_operands([value]))


def _without_storing(
    value: Node, partition: Partition[Candidate]
) -> tuple[Mapping[Candidate, tuple[Candidate, ...]], int] | None:
    """What changes where each group that reads `value` computes it, and the bytes that this saves;
    None where it does not work or saves none."""
    result: dict[Candidate, tuple[Candidate, ...]] = {}
    saved = 0
    for group in partition.users(value):
        outputs = tuple(node for node in group.outputs if node is not value)
        reads = not is_among(value, group.nodes)
        nodes = (*group.nodes, value) if reads else needed_for(outputs, group.nodes)
        saved += traffic(group.nodes, group.outputs)
        result[group] = ()
        if not nodes:
            continue
        changed = too_large(nodes, outputs) or group_storing(nodes, outputs)
        if isinstance(changed, Refusal):
            return None
        saved -= traffic(changed.nodes, changed.outputs)
        result[group] = (changed,)
    return (result, saved) if saved > 0 else None
