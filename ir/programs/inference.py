"""Values as they are where a network is used and not trained, and where it is trained alone."""

from __future__ import annotations

from collections.abc import Iterable

from graphc.ir.graph import Node, Program, rebuild
from graphc.ir.nodes.lowering import Region
from graphc.ir.ops.training import training_form
from graphc.ir.programs.lower import applied


def inference_values(roots: Iterable[Node]) -> dict[Node, Node]:
    """Maps each node below `roots` to its value in inference, in the same graph.

    Ops that are for training alone give way to what their records name; nodes that depend on none
    of them stay the same nodes.
    """

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        if node.op.inference is not None:
            with node.graph.at(node.location):
                return node.op.inference(*operands, **node.attributes)
        return applied(node, operands, _in_inference)

    return rebuild(roots, make)


def _in_inference(body: Program) -> Program:
    made = inference_values(body.roots)
    return body.map_roots(made.__getitem__)


def without_training_forms(program: Program) -> Program:
    """The program with training values in the place of training forms.

    So what inference alone needs, such as running means, is no part of it. Values that are inputs
    of the program stay as they are: it is to be cut there.
    """
    if not any(_holds_forms(node) for node in program.nodes):
        return program
    given = set(program.inputs)

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        if node in given:
            return node
        if node.op is training_form:
            return operands[0]
        return applied(node, operands, without_training_forms)

    made = rebuild(program.roots, make)
    return program.map_roots(made.__getitem__)


def _holds_forms(node: Node) -> bool:
    return node.op is training_form or isinstance(node.op.lowering, Region)
