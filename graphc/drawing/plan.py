"""The diagram of a plan: a node an instruction, an edge for each stored value that it reads."""

from __future__ import annotations

from collections import Counter

from graphc.compiler.pipeline import Compilation
from graphc.compiler.plan.planning import PlannedInstruction, Storages
from graphc.compiler.plan.work import kind_of, locations_of, nodes_of
from graphc.drawing.boxes import Part, layer_boxes
from graphc.drawing.build import MOST_NODES_AT_FIRST, kind_of_node
from graphc.drawing.diagram import Boxing, Diagram, DrawnEdge, DrawnNode, NodeKind
from graphc.drawing.kernels import plan_of, sources_of
from graphc.drawing.labels import symbol
from graphc.drawing.layers import UNKNOWN, layers_of, parts_of
from graphc.ir.graph import Node
from graphc.kernels.loops.language.source import Storage
from graphc.kernels.nests.node_kinds import external_operands, viewed


def plan_diagram(compilation: Compilation) -> Diagram:
    """The instructions, inputs and outputs; states stand in the instructions that use them."""
    plan = plan_of(compilation)
    drawing = _PlanDrawing(compilation)
    for number, instruction in enumerate(plan.instructions):
        drawing.add_instruction(number, instruction)
    for name, value in compilation.program.outputs:
        drawing.add_output(name, value)
    boxes, nodes = layer_boxes(drawing.nodes.values(), drawing.edges, drawing.drawn_parts)
    is_large = len(nodes) > MOST_NODES_AT_FIRST
    return Diagram(
        f"plan: {plan.kernels} instructions, arena of {plan.arena.nbytes:,} bytes",
        nodes,
        tuple(drawing.edges),
        boxes,
        Boxing.LAYER if is_large else None,
        collapsed=tuple(box.id for box in boxes if is_large),
        sources=sources_of(compilation),
    )


class _PlanDrawing:
    """Follows storages: what each holds and which instruction wrote it last."""

    def __init__(self, compilation: Compilation) -> None:
        self.program = compilation.program
        self.storages = plan_of(compilation).storages
        self.parts = parts_of(self.program, layers_of(self.program))
        self.drawn_parts: dict[str, Part] = {}
        self.given = {storage: node for node, storage in self.storages.inputs.items()}
        self.given |= {storage: node for node, storage in self.storages.constants.items()}
        self.states = {storage: node for node, storage in self.storages.states.items()}
        self.nodes: dict[str, DrawnNode] = {}
        self.edges: dict[DrawnEdge, None] = {}
        self.writers: dict[Storage, str] = {}

    def add_instruction(self, number: int, instruction: PlannedInstruction) -> None:
        """Draws the instruction, and an edge for each value that another left or that is given."""
        name = f"i{number}"
        self.nodes[name] = self._instruction(name, number, instruction)
        for storage in _reads(instruction, self.storages):
            if storage in self.writers or storage in self.given:
                self._connect(storage, name)
        self.writers |= dict.fromkeys(instruction.source.writes, name)

    def add_output(self, name: str, value: Node) -> None:
        root = f"output {name}"
        shown = str(value.type)
        self.nodes[root] = DrawnNode(root, name, NodeKind.OUTPUT, (shown,), key=root, type=shown)
        self._connect(self.storages.of(viewed(value)), root)

    def _instruction(self, name: str, number: int, instruction: PlannedInstruction) -> DrawnNode:
        nodes, writes = nodes_of(instruction), instruction.source.writes
        lines = locations_of(nodes)
        found = Counter(self.parts[node] for node in nodes if node in self.parts)
        self.drawn_parts[name] = found.most_common(1)[0][0] if found else Part(UNKNOWN, UNKNOWN)
        ops = "op" if len(nodes) == 1 else "ops"
        reads = [s for s in _reads(instruction, self.storages) if s in self.states]
        updates = [s for s in writes if s in self.states]
        details = [f"{number} · {kind_of(instruction)} · {len(nodes)} {ops}"]
        details += _listed("reads", [self.states[s].name for s in reads if s not in updates])
        details += _listed("updates", [self.states[s].name for s in updates])
        shares = "shared by all threads" if instruction.shared else "one thread"
        barrier = ", after a barrier" if instruction.barrier else ""
        return DrawnNode(
            name,
            instruction.name,
            NodeKind.KERNEL,
            tuple(details),
            key=instruction.name,
            text=f"{', '.join(node.op.name for node in nodes)}; {shares}{barrier}",
            type="; ".join(f"{s.name}: {s.dtype}, {s.nbytes:,} bytes" for s in writes),
            line=", ".join(str(line) for line in lines),
            source_line="\n".join(line.text for line in lines),
            kernels=(instruction.name,),
            tint=number,
        )

    def _connect(self, storage: Storage, target: str) -> None:
        """Draws the edge from the last writer of `storage`, with the storage's name and size."""
        source = self.writers.get(storage)
        if source is None:
            self.edges[DrawnEdge(self._add_given(storage, target), target)] = None
        else:
            label = (storage.name, f"{storage.nbytes:,} bytes")
            self.edges[DrawnEdge(source, target, label)] = None

    def _add_given(self, storage: Storage, reader: str) -> str:
        """Draws what is given beside each instruction that reads it."""
        name, value = f"given {storage.name} {reader}", self.given[storage]
        location = value.location
        self.nodes[name] = DrawnNode(
            name,
            symbol(value),
            kind_of_node(value),
            (str(value.type),),
            key=f"given {storage.name}",
            text=f"{storage.nbytes:,} bytes",
            type=str(value.type),
            line=str(location or ""),
            source_line=location.text if location is not None else "",
        )
        self.drawn_parts[name] = self.drawn_parts[reader]
        return name


def _listed(verb: str, names: list[str]) -> list[str]:
    """One line that names the first and counts the others."""
    if not names:
        return []
    others = f" +{len(names) - 1}" if len(names) > 1 else ""
    return [f"{verb} {names[0]}{others}"]


def _reads(instruction: PlannedInstruction, storages: Storages) -> list[Storage]:
    """Arguments that are not written, and those that the group reads where it writes."""
    source = instruction.source
    reads = [storage for storage in source.arguments if storage not in source.writes]
    if instruction.group is not None:
        reads += map(storages.of, external_operands(instruction.group.nodes))
    return list(dict.fromkeys(reads))
