"""Bodies of loops as programs of their own: carries and stacked values are their states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from graphc.compiler.fusion.decision import Decision
from graphc.compiler.fusion.recompute import Recomputation
from graphc.compiler.legalize.copies import legalize
from graphc.compiler.legalize.windowed_products import WindowsRead
from graphc.compiler.plan.schedule import Schedule
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.ops.region import Steps
from graphc.ir.programs.loops import copy_values, unused
from graphc.kernels.groups.group import Group
from graphc.kernels.products.tilings.tiling import Tilings


@dataclass(frozen=True, eq=False)
class LoopStep:
    """A step of a loop as a program, which is made again and again.

    program: its states are the carries, which a step reads and updates, and the stacked values, of
        which it writes the slice of this step; its inputs are slices of what is given, and values
        from outside. It is legal.
    carries: of each carry its state, None where no step reads or writes it.
    stacked: of each stacked value its state.
    slices, values: the inputs, in the order of the loop's operands.
    windows: of each product whose operand has no strides how it is read.
    """

    program: Program
    carries: tuple[Node, ...]
    stacked: tuple[Node, ...]
    slices: tuple[Node, ...]
    values: tuple[Node, ...]
    windows: Mapping[Node, WindowsRead]


@dataclass(frozen=True, eq=False)
class LoopPlan:
    """A step in kernels: their order, and the loops in them.

    ungrouped: the step's program before its nodes were grouped. groups, decisions, recomputed: what
        fusion made of it, as of a program of its own.
    """

    step: LoopStep
    ungrouped: Program
    groups: tuple[Group, ...]
    decisions: tuple[Decision, ...]
    recomputed: tuple[Recomputation, ...]
    schedule: Schedule
    loops: Mapping[Node, LoopPlan]


def _again(x: Node, graph: Graph, declare: Callable[..., Node]) -> Node:
    """An input of a body in another graph, at the user's line that it has."""
    with graph.at(x.location):
        return declare(x.name, x.shape, x.dtype)


def step_of(loop: Node, tilings: Tilings) -> LoopStep:
    """The step of a loop's node."""
    steps = Steps.of(loop)
    body: Program = steps.body
    carries, slices = steps.carries, steps.slices
    graph = Graph()
    states = [_again(x, graph, graph.state) for x in body.inputs[:carries]]
    given = [_again(x, graph, graph.input) for x in body.inputs[carries:]]
    values = [value for _, value in body.outputs]
    made = copy_values(values, dict(zip(body.inputs, [*states, *given], strict=True)), graph)
    stacked = []
    for name, value in body.outputs[carries:]:
        taken = {*graph.states, *graph.inputs}
        stacked.append(graph.state(unused(taken, name), value.shape, value.dtype))
    updates = zip([*states, *stacked], made, strict=True)
    program = Program(
        body.name, tuple(given), (), tuple((s, value) for s, value in updates if s is not value)
    )
    legal = legalize(program, tilings)
    return LoopStep(
        legal.program,
        tuple(states),
        tuple(stacked),
        tuple(given[:slices]),
        tuple(given[slices:]),
        legal.windows,
    )
