"""Values that change in steps, such as places, classes and conditions.

A rule that reads one hands its cotangent on to what was chosen. Around almost every point the
choice is the same, so a further derivative takes it as a constant: its slope there is 0.
"""

from __future__ import annotations

from collections.abc import Iterable

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Region
from graphc.ir.ops.elementwise.elementwise import stop_gradient


def steps_of_floats(nodes: Iterable[Node]) -> set[Node]:
    """Those of the nodes, each behind its operands, that are no floats but made of some."""
    found: set[Node] = set()
    for node in nodes:
        if isinstance(node.op.lowering, Region) or node.dtype.is_float:
            continue
        if any(x in found or _has_floats(x) for x in node.operands):
            found.add(node)
    return found


def _has_floats(node: Node) -> bool:
    """Any result of a loop may be made of floats that its steps read."""
    return isinstance(node.op.lowering, Region) or node.dtype.is_float


def as_constant(node: Node) -> Node:
    """The value as a constant for derivatives, if it changes in steps; floats are as they are."""
    is_leaf = not node.operands
    if is_leaf or node.dtype.is_float or node.op is stop_gradient:
        return node
    made: Node = stop_gradient(node)
    return made
