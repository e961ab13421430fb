"""A loop in parts: its operands with the inputs of its body, and what the body makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphc.ir.graph import Node, Program, depends_on, topological
from graphc.ir.programs.loops import apply_scan, body_of


@dataclass(frozen=True, eq=False)
class Loop:
    """A loop under change.

    carries, slices, values: the operands in each role, with the input of the body that each is.
    nexts: of each carry. stacked: what the body stacks.
    """

    node: Node
    carries: tuple[tuple[Node, Node], ...]
    slices: tuple[tuple[Node, Node], ...]
    values: tuple[tuple[Node, Node], ...]
    nexts: tuple[Node, ...]
    stacked: tuple[Node, ...]

    @classmethod
    def of(cls, node: Node) -> Loop:
        body: Program = node.attributes["body"]
        pairs = tuple(zip(node.operands, body.inputs, strict=True))
        carries, slices = node.attributes["carries"], node.attributes["slices"]
        made = tuple(value for _, value in body.outputs)
        behind = carries + slices
        return cls(
            node, pairs[:carries], pairs[carries:behind], pairs[behind:],
            made[:carries], made[carries:],
        )  # fmt: skip

    @property
    def roots(self) -> tuple[Node, ...]:
        return (*self.nexts, *self.stacked)

    @property
    def graph(self) -> Any:
        return self.node.attributes["body"].graph

    @property
    def length(self) -> Any:
        return self.node.attributes["length"]

    def applied(self) -> Node:
        """The loop as a node."""
        pairs = (*self.carries, *self.slices, *self.values)
        attributes = self.node.attributes
        with self.node.graph.at(self.node.location):
            return apply_scan(
                body_of([x for _, x in pairs], self.nexts, self.stacked),
                [operand for operand, _ in pairs],
                len(self.carries),
                len(self.slices),
                self.length,
                attributes["reverse"],
                attributes["recompute"],
            )

    def fixed(self) -> set[Node]:
        """The values of the body that are the same in all steps."""
        moving = [x for _, x in (*self.carries, *self.slices)]
        return set(topological(self.roots)) - depends_on(self.roots, moving)

    def free(self) -> set[Node]:
        """The values of the body that depend on no step before."""
        return set(topological(self.roots)) - depends_on(self.roots, [x for _, x in self.carries])
