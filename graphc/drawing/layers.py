"""Which layer of the user's network each node belongs to, at any stage.

A layer is what the user's code names: the scope of its parameters (`dense_1` of `dense_1.kernel`),
else the line that declares the value. Nodes of the backward pass and updates belong to the layer
whose values they derive or update.
"""

from __future__ import annotations

from collections.abc import Iterable

from graphc.ir.graph import Node, Program, topological
from graphc.ir.location import Location
from graphc.ir.ops import leaf

# Nodes that no line of the user's made.
UNKNOWN = "graph"


def layers_of(program: Program) -> dict[Node, str]:
    """The layer of every node but inputs and scalar constants."""
    scopes = _parameter_scopes(program)
    layers: dict[Node, str] = {}
    forward = topological(node for _, node in program.outputs)
    for node in forward:
        if _has_layer(node):
            layers[node] = _forward_layer(node, layers, scopes)
    at_line: dict[Location | None, list[str]] = {}
    for node in forward:
        if node in layers:
            at_line.setdefault(node.location, []).append(layers[node])
    order = {layer: rank for rank, layer in enumerate(dict.fromkeys(layers.values()))}
    reached = _updated_scopes(program, scopes)
    for node in program.nodes:
        if node not in layers and _has_layer(node):
            candidates = dict.fromkeys(at_line.get(node.location, ()))
            layers[node] = _backward_layer(node, candidates, reached.get(node, set()), order)
    layers |= {state: scopes[state] for state in program.states if state in scopes}
    return layers


def _has_layer(node: Node) -> bool:
    return node.op is not leaf.input_ and not (node.op is leaf.constant and node.rank == 0)


def _parameter_scopes(program: Program) -> dict[Node, str]:
    """The scope of each parameter, and of the optimizer's slots that are named after it."""
    scopes: dict[Node, str] = {}
    trainable = [state for state in program.states if state.attributes["trainable"]]
    for state in program.states:
        for parameter in trainable:
            if state is parameter or state.name.endswith("." + parameter.name):
                scopes[state] = parameter.name.rpartition(".")[0] or parameter.name
    return scopes


def _forward_layer(node: Node, layers: dict[Node, str], scopes: dict[Node, str]) -> str:
    """The scope that it reads, else that of an operand written on the same line, else its line."""
    if node in scopes:
        return scopes[node]
    read = [scopes[x] for x in node.operands if x in scopes]
    beside = [layers[x] for x in node.operands if x in layers and x.location == node.location]
    return [_line(node), *beside, *read][-1]


def _backward_layer(
    node: Node, candidates: Iterable[str], reached: set[str], order: dict[str, int]
) -> str:
    """The layer of its line; where there are several, the last whose update needs the node.

    What an optimizer's line makes belongs to the only layer that it updates, if it is one.
    """
    at_line = list(candidates)
    if len(at_line) == 1:
        return at_line[0]
    if not at_line:
        return next(iter(reached)) if len(reached) == 1 else _line(node)
    needed = [layer for layer in at_line if layer in reached]
    return max(needed or at_line, key=lambda layer: order[layer])


def _line(node: Node) -> str:
    return str(node.location) if node.location is not None else UNKNOWN


def _updated_scopes(program: Program, scopes: dict[Node, str]) -> dict[Node, set[str]]:
    """For each node the scopes of the parameters whose update needs it."""
    reached: dict[Node, set[str]] = {}
    for state, value in program.updates:
        if state in scopes:
            reached.setdefault(value, set()).add(scopes[state])
    for node in reversed(program.nodes):
        for operand in node.operands:
            reached.setdefault(operand, set()).update(reached.get(node, ()))
    return reached
