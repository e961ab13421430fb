"""Diagrams of what the compiler made: kernels before and after fusion, and the plan."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.compiler.fusion.decision import Decision
from graphc.compiler.pipeline import Compilation
from graphc.compiler.plan.planning import Plan, bytes_moved
from graphc.compiler.plan.work import kind_of, nodes_of
from graphc.drawing.build import Drawing, Kernels, Origin, is_given, keys_of
from graphc.drawing.diagram import Box, Boxing, Diagram
from graphc.drawing.labels import is_scalar_constant
from graphc.drawing.layers import layers_of
from graphc.drawing.values import Values
from graphc.inspect.wording import reason_of
from graphc.ir.graph import Node, is_among
from graphc.kernels.groups.group import Group
from graphc.kernels.nests.names import label
from graphc.kernels.nests.node_kinds import is_inline, is_view


def kernels_of(compilation: Compilation) -> Kernels:
    """The sources of all kernels, and which of them came from each line of each layer."""
    layers = layers_of(compilation.program)
    found: dict[Origin, dict[str, None]] = {}
    for instruction in plan_of(compilation).instructions:
        for node in nodes_of(instruction):
            origin = (node.location, layers.get(node, ""))
            found.setdefault(origin, {})[instruction.name] = None
    names = {origin: tuple(kernels) for origin, kernels in found.items()}
    return Kernels(sources_of(compilation), names)


def plan_of(compilation: Compilation) -> Plan:
    return compilation.plan


def sources_of(compilation: Compilation) -> dict[str, str]:
    return {i.name: i.source.text for i in plan_of(compilation).instructions}


def fusion_diagrams(
    fused: Compilation,
    unfused: Compilation,
    values: tuple[Values, Values] | None = None,
    decimals: int | None = None,
) -> tuple[Diagram, Diagram]:
    """One program before and after fusion: a kernel an op, and boxes around what shares a kernel.

    The same value has the same key, and the tint of its fusion group, in both. values: of the
    fused and of the unfused program, drawn on the edges.
    """
    keys = keys_of(fused.program)
    tints: dict[str, int] = {}
    for tint, group in enumerate(_groups(fused)):
        for node in group.nodes:
            tints.setdefault(keys.get(node, ""), tint)
    of_fused, of_unfused = values or (None, None)
    after = _Kernels(fused, tints, boxed=True, values=of_fused, decimals=decimals)
    before = _Kernels(unfused, tints, boxed=False, values=of_unfused, decimals=decimals)
    counts = [plan_of(each).kernels for each in (unfused, fused)]
    return (
        before.diagram(f"before fusion: {counts[0]} kernels"),
        after.diagram(f"after fusion: {counts[1]} kernels"),
    )


def _groups(compilation: Compilation) -> tuple[Group, ...]:
    return compilation.schedule.groups


class _Kernels:
    """Draws the groups of a compilation. A value that several kernels compute stands in each."""

    def __init__(
        self,
        compilation: Compilation,
        tints: Mapping[str, int],
        boxed: bool,
        values: Values | None = None,
        decimals: int | None = None,
    ) -> None:
        self.compilation = compilation
        self.tints = tints
        self.boxed = boxed
        self.drawing = Drawing(compilation.program, values, decimals)
        self.groups = _groups(compilation)
        self.makers = {value: i for i, group in enumerate(self.groups) for value in group.outputs}
        self.kernels = _kernels_by_group(compilation)
        self.boxes = [self._box(number) for number in range(len(self.groups))]

    def diagram(self, title: str) -> Diagram:
        for number, group in enumerate(self.groups):
            for node in group.nodes:
                self._draw(node, number)
        program = self.compilation.program
        for name, value in program.outputs:
            self.drawing.add_output(name, self._draw(value, self.makers.get(value)), value)
        for state, value in self.compilation.schedule.stores:
            self.drawing.add_update(state, self._draw(value, self.makers.get(value)), value)
        boxes = self.boxes if self.boxed else []
        boxing = Boxing.GROUP if self.boxed else None
        return self.drawing.finish(title, boxes, boxing, sources_of(self.compilation))

    def _draw(self, node: Node, group: int | None) -> str:
        """The id of `node` as the kernel of `group` has it, drawn now with what it reads.

        What is given and what only shows memory otherwise stands in each kernel that reads it.
        """
        is_inside = group is not None and is_among(node, self.groups[group].nodes)
        if not (is_inside or is_view(node) or is_inline(node) or is_given(node)):
            group = self.makers[node]
        name = f"g{group} {node.number}" if group is not None else f"{node.number}"
        if name in self.drawing.nodes:
            return name
        box = self.boxes[group] if group is not None and self.boxed else None
        names = self.kernels[group] if group is not None else ()
        tint = None if group is None or is_given(node) else self._tint(node, group)
        self.drawing.add(name, node, names, box, tint)
        for position, operand in enumerate(node.operands):
            if not is_scalar_constant(operand):
                self.drawing.connect(self._draw(operand, group), name, node, position)
        return name

    def _tint(self, node: Node, group: int) -> int | None:
        if self.boxed:
            return group
        return self.tints.get(self.drawing.keys.get(node, ""))

    def _box(self, number: int) -> Box:
        group, names = self.groups[number], self.kernels[number]
        inside = set(group.nodes)
        instruction = next(i for i in plan_of(self.compilation).instructions if i.group is group)
        notes = [f"{kind_of(instruction)}, {bytes_moved(group):,} bytes"]
        notes += [
            decision_text(decision)
            for decision in self.compilation.decisions
            if decision.fused and {decision.producer, decision.consumer} <= inside
        ]
        return Box(f"group {number}", Boxing.GROUP, names[0], names, number, tuple(notes))


def _kernels_by_group(compilation: Compilation) -> list[tuple[str, ...]]:
    """The names of each group's kernels: the one that computes, then those that finish."""
    names: dict[Group, list[str]] = {}
    for instruction in plan_of(compilation).instructions:
        group = instruction.group or instruction.finishes
        if group is not None:
            names.setdefault(group, []).append(instruction.name)
    return [tuple(names[group]) for group in _groups(compilation)]


def decision_text(decision: Decision) -> str:
    ends = f"{label(decision.producer)} + {label(decision.consumer)}"
    return f"{ends}: {reason_of(decision)}; saves {decision.bytes_saved:,} bytes"
