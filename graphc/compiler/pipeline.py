"""The passes of the compiler, in one visible order, and the driver that runs them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from graphc.compiler.fusion.decision import Decision
from graphc.compiler.fusion.epilogue_reductions import fuse_with_reductions
from graphc.compiler.fusion.fuse import group_each
from graphc.compiler.fusion.gathers import fuse_gathers
from graphc.compiler.fusion.prologues import fuse_prologues
from graphc.compiler.fusion.recompute import Recomputation
from graphc.compiler.fusion.row_epilogues import fuse_row_epilogues
from graphc.compiler.fusion.tiles import with_tiles
from graphc.compiler.legalize import attention_blocks, depth_blocks, window_sums
from graphc.compiler.legalize.constants import load_many_constants
from graphc.compiler.legalize.copies import legalize
from graphc.compiler.legalize.row_inputs import take_rows
from graphc.compiler.legalize.windowed_products import WindowsRead
from graphc.compiler.options import Options
from graphc.compiler.plan.loop_bodies import LoopPlan, step_of
from graphc.compiler.plan.planning import Plan, plan
from graphc.compiler.plan.schedule import Schedule, schedule
from graphc.ir.graph import Node, Program
from graphc.ir.programs.guard import guard_indices
from graphc.ir.programs.lower import deeply, expand_composites, specialize, with_bodies
from graphc.ir.programs.verify import verify
from graphc.ir.rewriting.loops.rules import simplify_loops
from graphc.ir.rewriting.rewrite import Firing, rewrite
from graphc.ir.rewriting.row_updates import update_rows
from graphc.ir.rewriting.simplify import simplify
from graphc.ir.rewriting.simplify import simplify_primitives as simplified_primitives
from graphc.kernels.groups.group import Group, RegionGroup
from graphc.kernels.products.tilings.tiling import Tilings


@dataclass(frozen=True, eq=False)
class Rewriting:
    """A program while passes rewrite it.

    tilings: those of its products, as far as passes have asked for them. firings: of the rules.
    windows: of each product whose operand has no strides how it is read.
    """

    options: Options
    program: Program
    tilings: Tilings
    firings: tuple[Firing, ...] = ()
    windows: Mapping[Node, WindowsRead] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, kw_only=True)
class Grouped(Rewriting):
    """A program whose nodes are kernels.

    became: in the order of the program that was grouped what each of its nodes is in `program`,
        where epilogues begin some of its reductions.
    """

    became: Mapping[Node, Node]
    groups: tuple[Group, ...]
    decisions: tuple[Decision, ...]
    recomputed: tuple[Recomputation, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Scheduled(Grouped):
    """A program whose kernels have an order. loops: of each loop what its steps are."""

    schedule: Schedule
    loops: Mapping[Node, LoopPlan]


@dataclass(frozen=True, eq=False, kw_only=True)
class Compilation(Scheduled):
    """All that passes have found out about a program, and its plan."""

    plan: Plan


# From one of these stages to the same or the next.
Pass = Callable[[Any], Rewriting]


def specialize_dimensions(state: Rewriting) -> Rewriting:
    """Named dimensions become extents; shapes are static from here on."""
    return replace(state, program=specialize(state.program, state.options.bindings))


def take_rows_of_inputs(state: Rewriting) -> Rewriting:
    """Inputs that are whole arrays become the rows of a batch."""
    return replace(state, program=take_rows(state.program, state.options.row_inputs))


def simplify_program(state: Rewriting) -> Rewriting:
    """What was written becomes what is stable and cheap."""
    firings = list(state.firings)
    program = simplify_loops(state.program, firings.append)
    program = deeply(lambda part: simplify(part, firings.append))(program)
    # Behind it, when what only seemed to need a gradient is gone.
    program = update_rows(program, firings.append)
    return replace(state, program=program, firings=tuple(firings))


def simplify_primitives(state: Rewriting) -> Rewriting:
    """The same without the rules that would fold primitives up again."""
    firings = list(state.firings)
    program = deeply(lambda part: simplified_primitives(part, firings.append))(state.program)
    return replace(state, program=program, firings=tuple(firings))


def guard_program(state: Rewriting) -> Rewriting:
    """Every index operand is marked, so that its range is checked before it is read."""
    # Who gives an order of rows has checked it.
    given = len(state.program.inputs) - bool(state.options.row_inputs)
    program = with_bodies(state.program, deeply(guard_indices))
    return replace(state, program=guard_indices(program, program.inputs[given:]))


def cut_attentions(state: Rewriting) -> Rewriting:
    """Scores that would leave the caches are made in blocks."""
    firings = list(state.firings)
    rules = attention_blocks.RULES
    program = deeply(lambda part: rewrite(part, rules, firings.append))(state.program)
    return replace(state, program=program, firings=tuple(firings))


def add_up_windows(state: Rewriting) -> Rewriting:
    """Products of windows that hold mostly zeros, or fill few lanes, become sums of windows."""
    firings = list(state.firings)
    rules = window_sums.rules(state.tilings)
    program = deeply(lambda part: rewrite(part, rules, firings.append))(state.program)
    return replace(state, program=program, firings=tuple(firings))


def expand_program(state: Rewriting) -> Rewriting:
    """Ops that exist for the sake of rewriting become primitives."""
    return replace(state, program=deeply(expand_composites)(state.program))


def cut_long_depths(state: Rewriting) -> Rewriting:
    """Products that add up very many rows do so in blocks."""
    firings = list(state.firings)
    program = deeply(lambda part: rewrite(part, depth_blocks.RULES, firings.append))(state.program)
    return replace(state, program=program, firings=tuple(firings))


def load_constants(state: Rewriting) -> Rewriting:
    """Ops that differ in very many constants alone load them, so that they share kernels' code."""
    return replace(state, program=deeply(load_many_constants)(state.program))


def legalize_program(state: Rewriting) -> Rewriting:
    """Copies where strides cannot express a view or a value has no memory of its own."""
    legal = legalize(state.program, state.tilings)
    return replace(state, program=legal.program, windows=legal.windows)


def group_nodes(state: Rewriting) -> Grouped:
    """Nodes become kernels."""
    tilings, threads = state.tilings, state.options.threads
    if not state.options.fuse:
        return Grouped(
            **_fields(state),
            became={node: node for node in state.program.nodes},
            groups=with_tiles(group_each(state.program), tilings, threads),
            decisions=(),
            recomputed=(),
        )
    cut, fused = fuse_with_reductions(state.program)
    made = fuse_prologues(cut.program, fused, tilings)
    made = fuse_row_epilogues(cut.program, made, tilings)
    # Last, since tiles do not change any more.
    made = fuse_gathers(cut.program, made, tilings, threads)
    windows = {cut.became.get(product, product): read for product, read in state.windows.items()}
    return Grouped(
        **_fields(replace(state, program=cut.program, windows=windows)),
        became=cut.became,
        groups=with_tiles(made.groups, tilings, threads),
        decisions=made.decisions,
        recomputed=made.recomputed,
    )


def schedule_groups(state: Grouped) -> Scheduled:
    """An order in which states are read before they are overwritten."""
    return _scheduled(state, outlast_stops=True)


def _scheduled(state: Grouped, outlast_stops: bool) -> Scheduled:
    made = schedule(state.program, state.groups, state.options.threads, outlast_stops)
    loops = [group.node for group in state.groups if isinstance(group, RegionGroup)]
    steps = {loop: _plan_loop(loop, state) for loop in loops}
    return Scheduled(**_fields(state), schedule=made, loops=steps)


def _plan_loop(loop: Node, state: Rewriting) -> LoopPlan:
    """The kernels of a step and their order, as of a program of its own."""
    step = step_of(loop, state.tilings)
    grouped = group_nodes(
        Rewriting(state.options, step.program, state.tilings, windows=step.windows)
    )
    # Carries are gone with the run that an index stops.
    inner = _scheduled(grouped, outlast_stops=False)
    return LoopPlan(
        replace(step, program=inner.program, windows=inner.windows), step.program, inner.groups,
        inner.decisions,
        inner.recomputed, inner.schedule, inner.loops,
    )  # fmt: skip


def plan_instructions(state: Scheduled) -> Compilation:
    """Kernel sources, the arena and the rows of the table."""
    options = state.options
    made = plan(state.program, state.schedule, options.vector_bits, options.threads, state.loops)
    return Compilation(**_fields(state), plan=made)


def _fields(state: Rewriting) -> dict[str, Any]:
    """What a stage knows, which the next one knows too."""
    return {field.name: getattr(state, field.name) for field in fields(state)}


PASSES: tuple[tuple[str, Pass], ...] = (
    # First, so that everything later sees integers only.
    ("specialize", specialize_dimensions),
    # Behind that, since it makes the graph that gets one more input.
    ("rows", take_rows_of_inputs),
    # Before expansion, while softmax and its like still have names.
    ("simplify", simplify_program),
    # After simplification, which drops indices that nothing needs; before pick is expanded.
    ("guard", guard_program),
    # Before expansion, which makes the blocks.
    ("attention", cut_attentions),
    # After simplification, which makes windows among zeros and leaves out what nothing reads;
    # before expansion, which says how windows are added up.
    ("window-sums", add_up_windows),
    ("expand", expand_program),
    # Again, since expansion makes constants, casts and reshapes side by side.
    ("simplify-primitives", simplify_primitives),
    # After rewriting, which finds gradients of weights as plain products.
    ("depth", cut_long_depths),
    # After the simplifications, which see what is constant and would fold the views.
    ("constants", load_constants),
    # Last of the passes on nodes: a simplification would drop its copies.
    ("legalize", legalize_program),
    ("group", group_nodes),
    # After grouping: what may be written in place depends on who reads in which kernel.
    ("schedule", schedule_groups),
    ("plan", plan_instructions),
)


@dataclass(frozen=True, eq=False)
class Trace:
    """How long each pass took (seconds) and what it left."""

    name: str
    seconds: float
    after: Rewriting


def compile_program(
    program: Program, options: Options, on_pass: Callable[[Trace], None] | None = None
) -> Compilation:
    """Runs all passes, verifying the program after each. Raises GraphError for a broken program."""
    state = Rewriting(options, program, Tilings(options.vector_bits))
    verify(program)
    for name, apply in PASSES:
        start = time.perf_counter()
        before = state.program
        state = apply(state)
        if state.program is not before:
            verify(state.program)
        if on_pass is not None:
            on_pass(Trace(name, time.perf_counter() - start, state))
    assert isinstance(state, Compilation)
    return state
