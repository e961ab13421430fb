"""Which layer of the user's network each node belongs to, at any stage.

A layer is what the user's code names: the scopes and the call of a layer that a node was declared
in, else the scope of the parameters that it reads (`dense_1` of `dense_1.kernel`), else the
function that declares it, where that was called several times, else the line. Nodes of the backward
pass and updates belong to the layer whose values they derive or update.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from graphc.drawing.boxes import Part
from graphc.ir.graph import Node, Program, topological
from graphc.ir.nodes.location import Location
from graphc.ir.ops import leaf

# A file, and the name of a function in it.
_Function = tuple[str, str]

# Nodes that no line of the user's made.
UNKNOWN = "graph"


def layers_of(program: Program) -> dict[Node, str]:
    """The layer of every node but inputs and scalar constants."""
    scopes = _parameter_scopes(program)
    layers: dict[Node, str] = {}
    forward = _forward(program)
    functions = _functions_called_again(forward)
    for node in forward:
        if _has_layer(node):
            layers[node] = _forward_layer(node, layers, scopes, functions)
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


def parts_of(program: Program, layers: Mapping[Node, str]) -> dict[Node, Part]:
    """The layers, and what a box is called that a node opens: what no output needs is mostly of the
    backward pass."""
    forward = set(_forward(program))
    return {
        node: Part(
            layer, layer if node in forward or node.op is leaf.state else f"{layer} backward"
        )
        for node, layer in layers.items()
    }


def _forward(program: Program) -> tuple[Node, ...]:
    return topological(node for _, node in program.outputs)


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


def _forward_layer(
    node: Node,
    layers: Mapping[Node, str],
    scopes: Mapping[Node, str],
    functions: Collection[_Function],
) -> str:
    """As the module says; an operand written on the same line brings its layer along."""
    if named := _named_scope(node):
        return named
    if node in scopes:
        return scopes[node]
    if node.location is not None and _function(node.location) in functions:
        return node.location.function
    read = [scopes[x] for x in node.operands if x in scopes]
    beside = [layers[x] for x in node.operands if x in layers and x.location == node.location]
    return [_line(node), *beside, *read][-1]


def _named_scope(node: Node) -> str:
    return ".".join(node.location.scope) if node.location is not None else ""


def _function(location: Location) -> _Function:
    return location.filename, location.function


def _functions_called_again(nodes: Iterable[Node]) -> set[_Function]:
    """The functions of which every line has made the same op more than once."""
    counts: dict[_Function, dict[int, Counter[str]]] = {}
    for node in nodes:
        place = node.location
        if node.operands and place is not None and place.function:
            lines = counts.setdefault(_function(place), {})
            lines.setdefault(place.line, Counter())[node.op.name] += 1
    return {
        function
        for function, lines in counts.items()
        if all(max(ops.values()) > 1 for ops in lines.values())
    }


def _backward_layer(
    node: Node, candidates: Iterable[str], reached: set[str], order: dict[str, int]
) -> str:
    """The layer of its line; where there are several, the last whose update needs the node.

    What an optimizer's line makes belongs to the only layer that it updates, if it is one.
    """
    if named := _named_scope(node):
        return named
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
