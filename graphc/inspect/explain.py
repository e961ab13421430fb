"""Why a compiled program is what it is: fusions, rewrites, buffers, tiles and the disk cache."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.compiler.fusion.decision import Decision
from graphc.compiler.fusion.fuse import group_each
from graphc.compiler.fusion.recompute import Recomputation
from graphc.compiler.legalize.windowed_products import WindowsRead
from graphc.compiler.load.native import native
from graphc.compiler.pipeline import Compilation, Trace, compile_program
from graphc.compiler.plan.loop_bodies import LoopPlan
from graphc.compiler.plan.planning import Plan, bytes_moved
from graphc.functions.function import Function
from graphc.functions.variants import options_of
from graphc.inspect.explain_cache import CachedEntry, cached_entries
from graphc.inspect.explain_storage import buffers_of, computing_kernels
from graphc.inspect.explanation import (
    ExplainedLoop,
    Explanation,
    FusionDecision,
    RecomputedValue,
    Rewrite,
    TileAlternative,
    TileChoice,
    WindowsChoice,
)
from graphc.inspect.wording import described, reason_of, windows_text
from graphc.ir.graph import Node, Program
from graphc.ir.ops.region import Steps
from graphc.ir.rewriting.rewrite import Firing
from graphc.kernels.groups.group import Candidate, ContractionGroup
from graphc.kernels.native.cache import NO_ENTRY
from graphc.kernels.nests.names import label
from graphc.kernels.nests.node_kinds import matrix_axes
from graphc.kernels.products.contraction import Tiling
from graphc.kernels.products.tilings.tiling import Tilings


@dataclass(frozen=True, eq=False)
class Explained:
    """A compilation with what `explain` looks at: the program as it was declared and as it was
    after simplification, and the groups of the same program with a kernel an op."""

    declared: Program
    compilation: Compilation
    simplified: Program
    unfused: tuple[Candidate, ...]

    @property
    def plan(self) -> Plan:
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
    fusions, refusals = _fusions(compilation.decisions, plan)
    return Explanation(
        program=compilation.program.name,
        dimensions=dict(compilation.options.bindings),
        vector_bits=compilation.options.vector_bits,
        threads=compilation.options.threads,
        kernels=tuple(row.name for row in plan.instructions),
        ops=len(made.unfused),
        bytes_unfused=sum(map(bytes_moved, made.unfused)),
        bytes_fused=sum(map(bytes_moved, compilation.groups)),
        fusions=fusions,
        refusals=refusals,
        recomputed=tuple(_recomputed(each, plan) for each in compilation.recomputed),
        loops=tuple(_loops(compilation.loops, plan)),
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


def _fusions(
    decisions: Sequence[Decision], plan: Plan
) -> tuple[tuple[FusionDecision, ...], tuple[FusionDecision, ...]]:
    """The kernels that became one, and those that did not."""
    made = [_fusion(decision, plan) for decision in decisions]
    fused = tuple(each for each in made if each.fused)
    return fused, tuple(each for each in made if not each.fused)


def _loops(loops: Mapping[Node, LoopPlan], plan: Plan) -> Iterator[ExplainedLoop]:
    for loop, made in loops.items():
        unfused = group_each(made.ungrouped)
        fusions, refusals = _fusions(made.decisions, plan)
        length = Steps.of(loop).length
        yield ExplainedLoop(
            loop=described(loop),
            steps=length if isinstance(length, int) else None,
            kernels=len(made.groups),
            ops=len(unfused),
            bytes_unfused=sum(map(bytes_moved, unfused)),
            bytes_fused=sum(map(bytes_moved, made.groups)),
            fusions=fusions,
            refusals=refusals,
            recomputed=tuple(_recomputed(each, plan) for each in made.recomputed),
        )
        yield from _loops(made.loops, plan)


def _fusion(decision: Decision, plan: Plan) -> FusionDecision:
    ends = (decision.producer, decision.consumer)
    kernels = [name for node in ends for name in computing_kernels(plan, node)]
    return FusionDecision(
        described(decision.producer),
        described(decision.consumer),
        decision.fused,
        decision.bytes_saved,
        reason_of(decision),
        tuple(dict.fromkeys(kernels)),
    )


def _recomputed(each: Recomputation, plan: Plan) -> RecomputedValue:
    return RecomputedValue(
        described(each.value), computing_kernels(plan, each.value), each.bytes_saved
    )


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


# --- tiles -----------------------------------------------------------------------------------


def tiles_of(compilation: Compilation) -> Iterator[TileChoice]:
    """The tile of every matrix product, with the reason."""
    plan = compilation.plan
    for row in plan.instructions:
        if isinstance(row.group, ContractionGroup):
            yield tile_choice(row.name, row.group, compilation)


def tile_choice(kernel: str, group: ContractionGroup, compilation: Compilation) -> TileChoice:
    """The tile of one product."""
    product = group.contraction
    types = " x ".join(_operand(product, position) for position in (0, 1))
    tiling = group.tiling
    reason = tiling.reason
    if tiling.by_rows:
        reason += "; cut by rows, so that a thread goes on with rows that it has computed itself"
    others = _alternatives(group, tiling, compilation.tilings)
    line = str(product.location or "")
    read = _windows_read(product, compilation.windows, compilation.loops)
    windows = None if read is None else _windows_choice(read)
    return TileChoice(kernel, f"{types} = {product.type}", line, reason, others, windows)


def _windows_read(
    product: Node, windows: Mapping[Node, WindowsRead], loops: Mapping[Node, LoopPlan]
) -> WindowsRead | None:
    """What was decided about the product's windows, in whichever loop it is."""
    if product in windows:
        return windows[product]
    inner = (_windows_read(product, each.step.windows, each.loops) for each in loops.values())
    return next((read for read in inner if read is not None), None)


def _windows_choice(read: WindowsRead) -> WindowsChoice:
    return WindowsChoice(
        read.refusal is not None,
        read.copied_bytes,
        read.in_place_cycles,
        read.copied_cycles,
        windows_text(read),
    )


def _alternatives(
    group: ContractionGroup, chosen: Tiling, tilings: Tilings
) -> tuple[TileAlternative, ...]:
    """The next best of the chosen kind, and the best of every other kind."""
    ranked = tilings.ranked(group.shape)
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


def _operand(product: Node, position: int) -> str:
    rows, columns = matrix_axes(product, position)
    return f"{product.operands[position].type}{' transposed' if rows > columns else ''}"


# --- disk cache ------------------------------------------------------------------------------


def _elaborated(found: CachedEntry) -> CachedEntry:
    if found.reason != NO_ENTRY:
        return found
    meaning = "this source has not been compiled here, or was swept away"
    return replace(found, reason=f"{NO_ENTRY}: {meaning}")
