"""Values as they are where a network is used and not trained, and where it is trained alone."""

from __future__ import annotations

from collections.abc import Iterable

from graphc.ir.graph import Node, Program, are_same, rebuild
from graphc.ir.ops.training import training_form


def inference_values(roots: Iterable[Node]) -> dict[Node, Node]:
    """Maps each node below `roots` to its value in inference, in the same graph.

    Ops that are for training alone give way to what their records name; nodes that depend on none
    of them stay the same nodes.
    """

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        if node.op.inference is not None:
            with node.graph.at(node.location):
                return node.op.inference(*operands, **node.attributes)
        return _applied(node, operands)

    return rebuild(roots, make)


def without_training_forms(program: Program) -> Program:
    """The program with training values in the place of training forms.

    So what inference alone needs, such as running means, is no part of it. Values that are inputs
    of the program stay as they are: it is to be cut there.
    """
    if not any(node.op is training_form for node in program.nodes):
        return program
    given = set(program.inputs)

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        if node in given:
            return node
        return operands[0] if node.op is training_form else _applied(node, operands)

    made = rebuild(program.roots, make)
    return program.map_roots(made.__getitem__)


def _applied(node: Node, operands: tuple[Node, ...]) -> Node:
    """The node's op on other operands."""
    if are_same(operands, node.operands):
        return node
    with node.graph.at(node.location):
        return node.graph.apply(node.op, operands, node.attributes)
