"""The diagram of a program: its values and the uses of each, by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from graphc.drawing.boxes import Part, layer_boxes
from graphc.drawing.diagram import Box, Boxing, Diagram, DrawnEdge, DrawnNode, NodeKind
from graphc.drawing.labels import is_scalar_constant, symbol, value_lines
from graphc.drawing.layers import layers_of, parts_of
from graphc.drawing.values import Values
from graphc.ir.graph import Node, Program
from graphc.ir.nodes.location import Location
from graphc.ir.nodes.op import Array
from graphc.ir.ops import leaf
from graphc.kernels.nests.node_kinds import is_view

# Of a diagram of more nodes its layers are drawn first, collapsed.
MOST_NODES_AT_FIRST = 60

# The user's line of a node, and its layer.
Origin = tuple[Location | None, str]


@dataclass(frozen=True)
class Kernels:
    """The kernels of a compiled program: sources by name, and names by the user's line and the
    layer, since one line may declare many layers."""

    sources: Mapping[str, str]
    by_origin: Mapping[Origin, tuple[str, ...]]


NO_KERNELS = Kernels({}, {})


@dataclass
class Drawing:
    """A diagram while it is built.

    values: of the batch that is drawn on the edges, if there is one, with so many decimals.
    layers, parts: of the program's nodes. drawn_parts: the part of each drawn node by its id.
    """

    program: Program
    values: Values | None = None
    decimals: int | None = None
    nodes: dict[str, DrawnNode] = field(default_factory=dict)
    edges: dict[DrawnEdge, None] = field(default_factory=dict)
    layers: Mapping[Node, str] = field(init=False)
    parts: Mapping[Node, Part] = field(init=False)
    drawn_parts: dict[str, Part] = field(default_factory=dict)
    keys: Mapping[Node, str] = field(init=False)

    def __post_init__(self) -> None:
        self.layers = layers_of(self.program)
        self.parts = parts_of(self.program, self.layers)
        self.keys = keys_of(self.program)

    def add(
        self,
        name: str,
        node: Node,
        kernels: tuple[str, ...],
        group: Box | None = None,
        tint: int | None = None,
    ) -> str:
        """Draws `node` under the id `name`, unless it is drawn; in the box of `group`."""
        if name not in self.nodes:
            self._put_in_part(name, node)
            self.nodes[name] = DrawnNode(
                name,
                symbol(node),
                kind_of_node(node),
                details=(str(node.type),),
                key=self.keys.get(node, ""),
                text=text_of(node),
                type=str(node.type),
                line=str(node.location or ""),
                source_line=node.location.text if node.location else "",
                kernels=kernels,
                boxes={} if group is None else {Boxing.GROUP: group.id},
                tint=tint,
                value=self._full_value(node),
            )
        return name

    def add_beside(self, name: str, given: Node, reader: Node) -> str:
        """Draws a value that comes from outside once in each layer that reads it."""
        drawn = self.add(f"{name} {self._part_name(reader)}", given, ())
        self._put_in_part(drawn, reader)
        return drawn

    def connect(self, source: str, target: str, node: Node, position: int) -> None:
        """Draws that operand number `position` of `node` comes from `source`."""
        if self.values is None:
            self.edges[DrawnEdge(source, target)] = None
            return
        above = self._lines(self.values.of.get(node.operands[position]))
        below = self._lines(self.values.gradients.get((node, position)))
        self.edges[DrawnEdge(source, target, above, below, position)] = None

    def add_output(self, name: str, source: str, value: Node) -> None:
        root = f"output {name}"
        self._add_root(root, NodeKind.OUTPUT, name, value)
        above = self._lines(self.values.of.get(value)) if self.values is not None else ()
        below = self._lines(self.values.total.get(value)) if self.values is not None else ()
        self.edges[DrawnEdge(source, root, above, below)] = None

    def add_update(self, state: Node, source: str, value: Node) -> None:
        """Draws the next value of a state, in the boxes of what computes it."""
        above = self._lines(self.values.of.get(value)) if self.values is not None else ()
        name = f"update {state.name}"
        self._add_root(name, NodeKind.UPDATE, f"{state.name} ←", value)
        groups = dict(self.nodes[source].boxes)
        self.nodes[name] = replace(self.nodes[name], boxes=groups)
        if source in self.drawn_parts:
            self.drawn_parts[name] = self.drawn_parts[source]
        self.edges[DrawnEdge(source, name, above)] = None

    def finish(
        self, title: str, groups: Sequence[Box], boxing: Boxing | None, sources: Mapping[str, str]
    ) -> Diagram:
        """The diagram; of many nodes first its boxes alone, those of layers unless there are
        others."""
        layers, nodes = layer_boxes(self.nodes.values(), self.edges, self.drawn_parts)
        boxes = (*groups, *layers)
        is_large = len(nodes) > MOST_NODES_AT_FIRST
        if is_large:
            boxing = boxing or Boxing.LAYER
        return Diagram(
            title,
            nodes,
            tuple(self.edges),
            boxes,
            boxing,
            collapsed=tuple(box.id for box in boxes if is_large and box.boxing is boxing),
            textbook=self.values is not None,
            sources=sources,
        )

    def _add_root(self, name: str, kind: NodeKind, title: str, value: Node) -> None:
        shown = self._full_value(value)
        self.nodes[name] = DrawnNode(
            name,
            title,
            kind,
            (str(value.type),),
            key=name,
            type=str(value.type),
            value=shown,
        )

    def _lines(self, array: Array | None) -> tuple[str, ...]:
        return value_lines(array, self.decimals) if array is not None else ()

    def _full_value(self, node: Node) -> str:
        if self.values is None or node not in self.values.of:
            return ""
        value, gradient = self.values.of[node], self.values.total.get(node)
        return f"{value}" if gradient is None else f"{value}\ngradient\n{gradient}"

    def _part_name(self, node: Node) -> str:
        return self.parts[node].name if node in self.parts else ""

    def _put_in_part(self, name: str, node: Node) -> None:
        if node in self.parts:
            self.drawn_parts[name] = self.parts[node]


def program_diagram(
    program: Program,
    title: str,
    kernels: Kernels = NO_KERNELS,
    values: Values | None = None,
    decimals: int | None = None,
) -> Diagram:
    """Every value of the program but scalar constants, which stand in the nodes that read them.

    kernels: what the nodes' lines became. values: of a batch, drawn on the edges.
    """
    drawing = Drawing(program, values, decimals)
    names: dict[Node, str] = {}
    for node in program.nodes:
        if is_scalar_constant(node):
            continue
        names[node] = f"n{len(names)}"
        if is_given(node) and values is None:
            continue
        origin = (node.location, drawing.layers.get(node, ""))
        drawing.add(names[node], node, kernels.by_origin.get(origin, ()))
        for position, operand in enumerate(node.operands):
            if operand not in names:
                continue
            source = names[operand]
            if is_given(operand) and values is None:
                source = drawing.add_beside(source, operand, node)
            drawing.connect(source, names[node], node, position)
    for name, value in program.outputs:
        source = drawing.add(names.setdefault(value, f"n{len(names)}"), value, ())
        drawing.add_output(name, source, value)
    for state, value in program.updates:
        source = drawing.add(names.setdefault(value, f"n{len(names)}"), value, ())
        drawing.add_update(state, source, value)
    boxing = None if values is not None else Boxing.LAYER
    return drawing.finish(title, (), boxing, kernels.sources)


def keys_of(program: Program) -> dict[Node, str]:
    """What names each value in all diagrams of this program, however it is grouped."""
    return {node: f"v{number}" for number, node in enumerate(program.nodes)}


def is_given(node: Node) -> bool:
    """Whether the value comes from outside: an input, a state, a constant array."""
    return node.op in (leaf.input_, leaf.state, leaf.constant)


def kind_of_node(node: Node) -> NodeKind:
    if node.op is leaf.input_:
        return NodeKind.INPUT
    if node.op is leaf.state:
        return NodeKind.PARAMETER if node.attributes["trainable"] else NodeKind.STATE
    if node.op is leaf.constant:
        return NodeKind.CONSTANT
    return NodeKind.VIEW if is_view(node) else NodeKind.OP


def text_of(node: Node) -> str:
    """The op and its attributes as text form prints them."""
    kinds = node.op.attributes
    given = {
        name: value for name, value in node.attributes.items() if name not in ("name", "value")
    }
    attributes = ",".join(f"{name}={kinds[name].show(value)}" for name, value in given.items())
    return f"{node.op.name}[{attributes}]" if attributes else node.op.name
