"""Values as they are where a network is used and not trained."""

from __future__ import annotations

from collections.abc import Iterable

from graphc.ir.graph import Node, are_same, rebuild


def inference_values(roots: Iterable[Node]) -> dict[Node, Node]:
    """Maps each node below `roots` to its value in inference, in the same graph.

    Ops that are for training alone give way to what their records name; nodes that depend on none
    of them stay the same nodes.
    """

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        with node.graph.at(node.location):
            if node.op.inference is not None:
                return node.op.inference(*operands, **node.attributes)
            if are_same(operands, node.operands):
                return node
            return node.graph.apply(node.op, operands, node.attributes)

    return rebuild(roots, make)
