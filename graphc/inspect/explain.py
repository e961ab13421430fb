"""Why a compiled program is what it is: fusions, rewrites, buffers, tiles and the disk cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from graphc.compiler.arena import LiveRange
from graphc.compiler.fuse import Decision, Recomputation, group_each
from graphc.compiler.native import native
from graphc.compiler.pipeline import Compilation, Trace, compile_program
from graphc.compiler.plan import Plan, PlannedInstruction, bytes_moved
from graphc.functions.function import Function
from graphc.functions.variants import options_of
from graphc.inspect.explain_cache import CachedEntry, cached_entries
from graphc.ir.graph import Node, Program
from graphc.ir.rewrite import Firing
from graphc.kernels.cache import NO_ENTRY
from graphc.kernels.contraction import Tiling
from graphc.kernels.emit_contraction import contraction_of, tiling_of
from graphc.kernels.group import ContractionGroup, Group, viewed
from graphc.kernels.names import described, label
from graphc.kernels.source import Storage
from graphc.kernels.tiling import Tilings

# How loop kernels name the rows that they keep between passes.
KEPT_ROW = "_row"


@dataclass(frozen=True)
class FusionDecision:
    """Two kernels that became one, or why they did not.

    kernels: where the two parts are computed now; one name where they were fused.
    bytes_saved: reads and writes of memory that fall away, or would have.
    """

    producer: str
    consumer: str
    fused: bool
    bytes_saved: int
    reason: str
    kernels: tuple[str, ...]


@dataclass(frozen=True)
class RecomputedValue:
    """A value that is cheaper to compute in each of `kernels` than to store."""

    value: str
    kernels: tuple[str, ...]
    bytes_saved: int


@dataclass(frozen=True)
class Rewrite:
    """A rule that fired `times` times on what a line of the user had declared."""

    rule: str
    equation: str
    line: str
    text: str
    times: int
    before: str
    after: str


@dataclass(frozen=True)
class ExplainedBuffer:
    """A run of memory. role: input, state, constant, temporary or scratch.

    first, last: the numbers of the first and the last instruction that use it, None where nothing
    does; `last` is the number of instructions where it is read after the step. offset: in the
    arena, in bytes; None for memory that is given.
    """

    name: str
    role: str
    dtype: str
    elements: int
    bytes: int
    offset: int | None
    first: int | None
    last: int | None
    reason: str


@dataclass(frozen=True)
class TileAlternative:
    """A tile that was not taken, and how much longer it is estimated to take: 0.1 is a tenth.

    It takes less where the product is cut by rows for threads.
    """

    tile: str
    slower: float


@dataclass(frozen=True)
class TileChoice:
    """How a matrix product is cut. product: the types of operands and result.

    alternatives: the next best tile, and the best of each other form and packing.
    """

    kernel: str
    product: str
    line: str
    reason: str
    alternatives: tuple[TileAlternative, ...]


@dataclass(frozen=True)
class Explanation:
    """What was decided about a program, each decision with its reason.

    kernels: in the order in which they run. bytes_unfused, bytes_fused: what all kernels read and
    write at the least, with a kernel an op and as they are. arena_bytes holds values_bytes of
    temporaries, which share memory.
    """

    program: str
    dimensions: dict[str, int]
    vector_bits: int
    threads: int
    kernels: tuple[str, ...]
    ops: int
    bytes_unfused: int
    bytes_fused: int
    fusions: tuple[FusionDecision, ...]
    refusals: tuple[FusionDecision, ...]
    recomputed: tuple[RecomputedValue, ...]
    rewrites: tuple[Rewrite, ...]
    buffers: tuple[ExplainedBuffer, ...]
    arena_bytes: int
    values_bytes: int
    tiles: tuple[TileChoice, ...]
    cache: tuple[CachedEntry, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Explained:
    """A compilation with what `explain` looks at: the program as it was declared and as it was
    after simplification, and the groups of the same program with a kernel an op."""

    declared: Program
    compilation: Compilation
    simplified: Program
    unfused: tuple[Group, ...]

    @property
    def plan(self) -> Plan:
        assert self.compilation.plan is not None
        return self.compilation.plan


def compiled_for_explaining(step: Function, dimensions: dict[str, int]) -> Explained:
    """Compiles to a plan, without machine code."""
    traces: list[Trace] = []
    options = options_of(step, dimensions)
    compilation = compile_program(step.program, options, traces.append)
    after = {trace.name: trace.after.program for trace in traces}
    # What no fusion has changed yet.
    unfused = group_each(after["legalize"])
    return Explained(step.program, compilation, after["simplify"], unfused)


def explain(made: Explained) -> Explanation:
    """Everything that was decided. Reads the disk cache's directory and compiles nothing."""
    compilation, plan = made.compilation, made.plan
    decisions = [_fusion(decision, plan) for decision in compilation.decisions]
    return Explanation(
        program=compilation.program.name,
        dimensions=dict(compilation.options.bindings),
        vector_bits=compilation.options.vector_bits,
        threads=compilation.options.threads,
        kernels=tuple(row.name for row in plan.instructions),
        ops=len(made.unfused),
        bytes_unfused=sum(map(bytes_moved, made.unfused)),
        bytes_fused=sum(map(bytes_moved, compilation.groups)),
        fusions=tuple(each for each in decisions if each.fused),
        refusals=tuple(each for each in decisions if not each.fused),
        recomputed=tuple(_recomputed(each, plan) for each in compilation.recomputed),
        rewrites=rewrites_of(compilation.firings),
        buffers=tuple(buffers_of(compilation)),
        arena_bytes=plan.arena.nbytes,
        values_bytes=sum(live.storage.nbytes for live in plan.arena.ranges),
        tiles=tuple(tiles_of(compilation)),
        cache=tuple(
            map(_elaborated, cached_entries(made.declared, compilation.options, plan, native()))
        ),
    )


# --- fusion ----------------------------------------------------------------------------------


def kernels_of(plan: Plan, node: Node) -> tuple[str, ...]:
    """The names of the kernels that compute `node`, in their order."""
    return plan.computing.get(node, ())


def _rows(plan: Plan) -> Sequence[PlannedInstruction]:
    return plan.instructions


def _fusion(decision: Decision, plan: Plan) -> FusionDecision:
    ends = (decision.producer, decision.consumer)
    kernels = [name for node in ends for name in kernels_of(plan, node)]
    return FusionDecision(
        described(decision.producer),
        described(decision.consumer),
        decision.fused,
        decision.bytes_saved,
        decision.reason,
        tuple(dict.fromkeys(kernels)),
    )


def _recomputed(each: Recomputation, plan: Plan) -> RecomputedValue:
    return RecomputedValue(described(each.value), kernels_of(plan, each.value), each.bytes_saved)


# --- rewriting -------------------------------------------------------------------------------

EXPRESSION_DEPTH = 2


def rewrites_of(firings: Sequence[Firing]) -> tuple[Rewrite, ...]:
    """The firings, those of one rule at one line together, in order; the first is shown."""
    counts = Counter((firing.rule, firing.location) for firing in firings)
    first = {(firing.rule, firing.location): firing for firing in reversed(firings)}
    return tuple(_rewrite(first[key], count) for key, count in counts.items())


def _rewrite(firing: Firing, times: int) -> Rewrite:
    where = firing.location
    return Rewrite(
        firing.rule,
        firing.equation,
        str(where or ""),
        where.text if where is not None else "",
        times,
        expression(firing.before),
        expression(firing.after),
    )


def expression(node: Node, depth: int = EXPRESSION_DEPTH) -> str:
    """The value as calls of its ops, `depth` deep; below that its type stands for it."""
    if not node.operands:
        if "value" in node.attributes:
            value = node.attributes["value"].array
            return f"{value.item():g}" if value.size == 1 else f"constant {node.type}"
        return label(node)
    if depth == 0:
        return f"{label(node)} {node.type}"
    inside = ", ".join(expression(operand, depth - 1) for operand in node.operands)
    return f"{label(node)}({inside})"


# --- buffers ---------------------------------------------------------------------------------


def buffers_of(compilation: Compilation) -> Iterator[ExplainedBuffer]:
    """Every storage: first what is given, then the arena in the order of its use."""
    plan = compilation.plan
    assert plan is not None
    storages = plan.storages
    given = (
        ("input", storages.inputs, "given by the caller at each step"),
        ("state", storages.states, "lives from step to step"),
        ("constant", storages.constants, "known when the program is compiled"),
    )
    writers = {storage: value for value, storage in storages.overwritten.items()}
    for role, nodes, reason in given:
        for storage in nodes.values():
            used = [n for n, row in enumerate(_rows(plan)) if storage in row.source.arguments]
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
    return f"overwritten where it stands by {', '.join(kernels_of(plan, value))}"


def storing_reason(node: Node, compilation: Compilation) -> str:
    """Why a stored value is stored: who reads it, and why they do not compute it."""
    plan = compilation.plan
    assert plan is not None
    made_by = ", ".join(kernels_of(plan, node))
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
            return decision.reason
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
        if row.group.prologue:
            return f"what {row.name} packs of an operand while it computes it"
        return f"the packed panel of {row.name}, which reads the right operand row by row"
    if live.last > live.first:
        following = plan.instructions[live.last].name
        return f"{value} of each block of rows in {row.name}; {following} combines them"
    if live.storage.name.endswith(KEPT_ROW):
        return (
            f"a row of {value} that {row.name} keeps for its next pass: cheaper than computing it "
            "again"
        )
    return f"{value}, which {row.name} makes over all rows and reads after the last of them"


# --- tiles -----------------------------------------------------------------------------------


def tiles_of(compilation: Compilation) -> Iterator[TileChoice]:
    """The tile of every matrix product, with the reason."""
    plan = compilation.plan
    assert plan is not None
    for row in plan.instructions:
        if isinstance(row.group, ContractionGroup):
            yield tile_choice(row.name, row.group, compilation)


def tile_choice(kernel: str, group: ContractionGroup, compilation: Compilation) -> TileChoice:
    """The tile of one product."""
    product = group.contraction
    left, right = product.operands
    types = f"{_operand(product, 'transpose_x', left)} x {_operand(product, 'transpose_y', right)}"
    tiling = tiling_of(group, compilation.tilings, compilation.options.threads)
    reason = tiling.reason
    if tiling.by_rows:
        reason += "; cut by rows, so that a thread goes on with rows that it has computed itself"
    others = _alternatives(group, tiling, compilation.tilings)
    line = str(product.location or "")
    return TileChoice(kernel, f"{types} = {product.type}", line, reason, others)


def _alternatives(
    group: ContractionGroup, chosen: Tiling, tilings: Tilings
) -> tuple[TileAlternative, ...]:
    """The next best of the chosen kind, and the best of every other kind."""
    ranked = tilings.ranked(contraction_of(group))
    best: dict[tuple[str, bool, str], Tiling] = {}
    for tiling in ranked:
        if (_kind(tiling), tiling.rows, tiling.columns) != (
            _kind(chosen),
            chosen.rows,
            chosen.columns,
        ):
            best.setdefault(_kind(tiling), tiling)
    return tuple(
        TileAlternative(_tile_text(tiling), tiling.cycles / chosen.cycles - 1)
        for tiling in best.values()
        if chosen.cycles
    )


def _kind(tiling: Tiling) -> tuple[str, bool, str]:
    return tiling.form, tiling.swapped, tiling.packing


def _tile_text(tiling: Tiling) -> str:
    packing = {"none": "in place", "copy": "copied panel", "transpose": "transposed panel"}
    parts = [f"{tiling.rows}x{tiling.columns}", packing[tiling.packing]]
    parts += ["lanes along the depth"] * (tiling.form == "inner")
    parts += ["computed transposed"] * tiling.swapped
    return ", ".join(parts)


def _operand(product: Node, flag: str, operand: Node) -> str:
    return f"{operand.type}{' transposed' if product.attributes[flag] else ''}"


# --- disk cache ------------------------------------------------------------------------------


def _elaborated(found: CachedEntry) -> CachedEntry:
    if found.reason != NO_ENTRY:
        return found
    meaning = "this source has not been compiled here, or was swept away"
    return replace(found, reason=f"{NO_ENTRY}: {meaning}")
