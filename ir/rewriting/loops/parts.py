"""A loop in parts: its operands with the inputs of its body, and what the body makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphc.ir.graph import Node, Program, depends_on, topological
from graphc.ir.ops.region import Steps
from graphc.ir.programs.loops import body_of


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
        steps = Steps.of(node)
        body: Program = steps.body
        pairs = tuple(zip(node.operands, body.inputs, strict=True))
        made = tuple(value for _, value in body.outputs)
        carries, behind = steps.carries, steps.carries + steps.slices
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
        """The number of steps; None where the first carry says whether another one is made."""
        return Steps.of(self.node).length

    def applied(self) -> Node:
        """The loop as a node."""
        pairs = (*self.carries, *self.slices, *self.values)
        body = body_of([x for _, x in pairs], self.nexts, self.stacked)
        counts = {"carries": len(self.carries), "slices": len(self.slices), "body": body}
        attributes = {k: counts.get(k, v) for k, v in self.node.attributes.items()}
        with self.node.graph.at(self.node.location):
            return self.node.graph.apply(self.node.op, [x for x, _ in pairs], attributes)

    def fixed(self) -> set[Node]:
        """The values of the body that are the same in all steps."""
        moving = [x for _, x in (*self.carries, *self.slices)]
        return set(topological(self.roots)) - depends_on(self.roots, moving)

    def free(self) -> set[Node]:
        """The values of the body that depend on no step before."""
        return set(topological(self.roots)) - depends_on(self.roots, [x for _, x in self.carries])
