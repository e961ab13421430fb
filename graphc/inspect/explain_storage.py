"""Why values stand in memory, and for how long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphc.compiler.fusion.decision import Decision
from graphc.compiler.pipeline import Compilation
from graphc.compiler.plan.arena import LiveRange
from graphc.compiler.plan.planning import Plan, PlannedInstruction
from graphc.inspect.explanation import ExplainedBuffer
from graphc.inspect.wording import described, reason_of
from graphc.ir.graph import Node
from graphc.kernels.groups.group import ContractionGroup
from graphc.kernels.loops.language.source import Storage
from graphc.kernels.nests.names import label
from graphc.kernels.nests.node_kinds import viewed


def computing_kernels(plan: Plan, node: Node) -> tuple[str, ...]:
    """The names of the kernels that compute `node`, in their order."""
    return plan.computing.get(node, ())


def buffers_of(compilation: Compilation) -> Iterator[ExplainedBuffer]:
    """Every storage: first what is given, then the arena in the order of its use."""
    plan = compilation.plan
    storages = plan.storages
    given = (
        ("input", storages.inputs, "given by the caller at each step"),
        ("state", storages.states, "lives from step to step"),
        ("constant", storages.constants, "known when the program is compiled"),
    )
    writers = {storage: value for value, storage in storages.overwritten.items()}
    for role, nodes, reason in given:
        for storage in nodes.values():
            used = [n for n, row in enumerate(plan.instructions) if storage in row.source.arguments]
            shown = reason
            if storage in writers:
                shown += "; " + _overwritten(writers[storage], plan)
            first, last = (used[0], used[-1]) if used else (None, None)
            yield _buffer(storage, role, None, first, last, shown)
    values = {storage: node for node, storage in storages.temporaries.items()}
    copies = {storage: node for node, storage in storages.checked.items()}
    for live in plan.arena.ranges:
        node = values.get(live.storage)
        if live.storage in copies:
            offset = plan.arena.offsets[live.storage]
            reason = checked_reason(copies[live.storage], plan)
            yield _buffer(live.storage, "temporary", offset, live.first, live.last, reason)
            continue
        reason = scratch_reason(live, plan) if node is None else storing_reason(node, compilation)
        role = "scratch" if node is None else "temporary"
        offset = plan.arena.offsets[live.storage]
        yield _buffer(live.storage, role, offset, live.first, live.last, reason)


def _buffer(
    storage: Storage,
    role: str,
    offset: int | None,
    first: int | None,
    last: int | None,
    reason: str,
) -> ExplainedBuffer:
    dtype = str(storage.dtype)
    size, nbytes = storage.size, storage.nbytes
    return ExplainedBuffer(storage.name, role, dtype, size, nbytes, offset, first, last, reason)


def _overwritten(value: Node, plan: Plan) -> str:
    return f"overwritten where it stands by {', '.join(computing_kernels(plan, value))}"


def storing_reason(node: Node, compilation: Compilation) -> str:
    """Why a stored value is stored: who reads it, and why they do not compute it."""
    plan = compilation.plan
    made_by = ", ".join(computing_kernels(plan, node))
    reasons = [f"made by {made_by}"]
    outputs = [name for name, value in compilation.program.outputs if viewed(value) is node]
    if outputs:
        reasons.append(f"output {', '.join(outputs)}")
    states = [state.name for state, value in compilation.program.updates if value is node]
    if states:
        reasons.append(
            f"next value of {', '.join(states)}, whose old value is read or may be read later"
        )
    readers = [
        f"{row.name} ({_why_apart(node, row, compilation)})" for row in plan.reading.get(node, ())
    ]
    if readers:
        reasons.append(f"read by {'; '.join(readers)}")
    return "; ".join(reasons)


def _why_apart(node: Node, reader: PlannedInstruction, compilation: Compilation) -> str:
    assert reader.group is not None
    for each in reader.group.nodes:
        decision = decision_between(node, each, compilation.decisions)
        if decision is not None and not decision.fused:
            return reason_of(decision)
    if not compilation.decisions:
        return "a kernel an op" if not compilation.options.fuse else "a kernel of its own"
    return "it computes values again that stood in a kernel between them"


def decision_between(one: Node, other: Node, decisions: Sequence[Decision]) -> Decision | None:
    """The decision that fused the two, or that kept the kernels of the two apart."""
    for decision in decisions:
        first, second = decision.parts
        if (one in first and other in second) or (one in second and other in first):
            return decision
    return None


def checked_reason(node: Node, plan: Plan) -> str:
    """Why an input that holds indices is copied."""
    storage = plan.storages.checked[node]
    row = next(row for row in plan.instructions if storage in row.source.writes)
    return f"made by {row.name}: what it has checked of {label(node)}, whatever the caller writes"


def scratch_reason(live: LiveRange, plan: Plan) -> str:
    """Why a kernel has memory of its own, and whose value it makes with it."""
    row = plan.instructions[live.first]
    assert live.storage.of is not None
    value = described(live.storage.of)
    if isinstance(row.group, ContractionGroup):
        if row.group.shape.is_computed:
            return f"what {row.name} packs of an operand while it computes it"
        return f"the packed panel of {row.name}, which reads the right operand row by row"
    if live.last > live.first:
        following = plan.instructions[live.last].name
        return f"{value} of each block of rows in {row.name}; {following} combines them"
    if live.storage.keeps_row:
        return (
            f"a row of {value} that {row.name} keeps for its next pass: cheaper than computing it "
            "again"
        )
    return f"{value}, which {row.name} makes over all rows and reads after the last of them"
