"""What each fusion saves: the same ops with a kernel each, measured beside."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.compiler.load.native import LoadedProgram
from graphc.compiler.plan.planning import PlannedInstruction
from graphc.compiler.plan.work import nodes_of, work_of
from graphc.ir.graph import Node
from graphc.kernels.nests.names import label
from graphc.profiling.results import Saving, Value


def savings(
    fused: LoadedProgram,
    unfused: LoadedProgram,
    fused_nanoseconds: Sequence[float],
    unfused_nanoseconds: Sequence[float],
    fused_calls: Sequence[float],
    unfused_calls: Sequence[float],
) -> list[Saving | None]:
    """One a row of the fused program; None for rows that no op of their own has. Times and calls
    are those of the rows.

    Both programs were the same, node by node, when their nodes were grouped.
    """
    pairs = zip(unfused.compilation.became, fused.compilation.became.values(), strict=True)
    same = dict(pairs)
    charged: dict[Node, list[int]] = {}
    for row, instruction in enumerate(unfused.plan.instructions):
        if instruction.checked is None:
            for node in nodes_of(instruction):
                charged.setdefault(same.get(node, node), []).append(row)
    stored = {same.get(node, node) for node in unfused.plan.storages.temporaries}
    own = _own_rows(fused.plan.instructions)
    found: list[Saving | None] = []
    for instruction in fused.plan.instructions:
        group = instruction.group
        if group is None:
            found.append(None)
            continue
        rows = [row for node in group.nodes for row in charged.pop(node, [])]
        nanoseconds = sum(float(unfused_nanoseconds[row]) for row in rows)
        moved = _moved(unfused, rows, unfused_calls)
        mine = own[group]
        kept = set(group.outputs)
        found.append(
            Saving(
                unfused_kernels=len(rows),
                unfused_nanoseconds=nanoseconds,
                unfused_bytes=moved,
                nanoseconds=nanoseconds - sum(float(fused_nanoseconds[row]) for row in mine),
                bytes=moved - _moved(fused, mine, fused_calls),
                intermediates=tuple(
                    Value(label(node), str(node.type), node.type.nbytes)
                    for node in group.nodes
                    if node in stored and node not in kept
                ),
            )
        )
    return found


def _moved(program: LoadedProgram, rows: Sequence[int], calls: Sequence[float]) -> int:
    """The bytes of some rows."""
    return sum(work_of(program.plan.instructions[row], calls[row]).bytes for row in rows)


def _own_rows(instructions: Sequence[PlannedInstruction]) -> dict[object, list[int]]:
    """The rows of each group: its kernel, and those that finish its sums."""
    rows: dict[object, list[int]] = {}
    for row, instruction in enumerate(instructions):
        group = instruction.group or instruction.finishes
        if group is not None:
            rows.setdefault(group, []).append(row)
    return rows
