"""Statements that compute one element of elementwise ops at given indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Strided
from graphc.kernels.loops.language.expressions import Element, Expression, Name
from graphc.kernels.loops.language.indices import index_expression
from graphc.kernels.loops.language.source import Arguments, StorageOf
from graphc.kernels.loops.language.statements import Block
from graphc.kernels.loops.language.values import ValueWriter
from graphc.kernels.nests.access import (
    Access,
    Loop,
    access_along,
    place_in_memory,
)
from graphc.kernels.nests.domain import Domain
from graphc.kernels.nests.names import Names, label
from graphc.kernels.nests.node_kinds import viewed


@dataclass(frozen=True, eq=False)
class ElementLines(ValueWriter[None]):
    """The statements of an element; each value is loaded or computed once, under a name of its own.

    loops: the variables along the loop axes of `domain`. names: gives those of the values; known:
    what is at hand has them already.
    """

    domain: Domain
    loops: Sequence[Loop]
    storage_of: StorageOf
    arguments: Arguments
    names: Names
    known: dict[object, Expression]
    block: Block = field(default_factory=Block)

    def named(self, node: Node) -> Expression:
        """The node's element by its name, whose operands are at hand or in memory."""
        self.compute(node, None)
        return self.known[node]

    def place(self, node: Node, place: Strided, axes: tuple[int | None, ...]) -> Element:
        """The element of `node` in memory."""
        buffer = self.arguments.name(self.storage_of(viewed(node)))
        return Element(buffer, self._index(place, axes))

    def _index(self, place: Strided, axes: tuple[int | None, ...]) -> Expression:
        access: Access = access_along("", place, axes, len(self.domain.extents))
        return index_expression(access, self.loops)

    def is_made(self, node: Node) -> bool:
        return node in self.known

    def home(self, node: Node, place: None) -> None:
        return None

    def found(self, node: Node, place: None) -> Expression:
        return self.known[node]

    def loaded(self, node: Node, position: int, place: None) -> Expression:
        operand = node.operands[position]
        at = place_in_memory(operand)
        assert at is not None
        element = self.place(operand, at, self.domain.operand_axes[node, position])
        if element not in self.known:
            name = Name(self.names.unique(f"{label(viewed(operand))}_value"))
            self.block.assign(name, element, node)
            self.known[element] = name
        return self.known[element]

    def index(self, node: Node, position: int | None) -> Expression:
        assert position is not None
        at = place_in_memory(node.operands[position])
        assert at is not None
        return self._index(at, self.domain.operand_axes[node, position])

    def remember(self, node: Node, expression: Expression, place: None) -> None:
        self.known[node] = expression

    def assign(self, node: Node, expression: Expression, place: None) -> None:
        name = Name(self.names.unique(label(node)))
        self.block.assign(name, expression, node)
        self.known[node] = name
