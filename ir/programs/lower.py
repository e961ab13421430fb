"""Programs without composite ops, programs without open dimensions, and bodies of loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphc.ir.errors import ShapeError
from graphc.ir.graph import Graph, Node, Program, are_same, rebuild
from graphc.ir.nodes.location import located
from graphc.ir.nodes.lowering import Composite, Region
from graphc.ir.ops import leaf
from graphc.ir.types import static_shape


def expand_composites(program: Program) -> Program:
    """The program, in the same graph, with every Composite op built from primitives.

    An expansion may itself hold composites; they are expanded too. New nodes carry the line of
    the node that they stand for.
    """
    expanded: dict[Node, Node] = {}
    stack = list(program.roots)
    while stack:
        node = stack[-1]
        unknown = [x for x in node.operands if x not in expanded]
        if node in expanded:
            stack.pop()
        elif unknown:
            stack.extend(reversed(unknown))
        else:
            once = _expand_once(node, tuple(expanded[x] for x in node.operands))
            if once is node or once in expanded:
                expanded[node] = expanded.get(once, once)
            else:
                stack.append(once)
    return program.map_roots(expanded.__getitem__)


def _expand_once(node: Node, operands: tuple[Node, ...]) -> Node:
    with node.graph.at(node.location):
        if isinstance(node.op.lowering, Composite):
            return node.op.lowering.expand(*operands, **node.attributes)
        if are_same(operands, node.operands):
            return node
        return node.graph.apply(node.op, operands, node.attributes)


def specialize(program: Program, bindings: Mapping[str, int]) -> Program:
    """The program in a graph of its own, each named dimension replaced by its extent.

    Extents that thereby become known are constants. Raises ShapeError when a dimension stays
    open, and where shapes do not fit each other once it is bound.
    """
    graph = Graph()

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        attributes = _bound_attributes(node, bindings)
        with graph.at(node.location):
            if node.op is leaf.input_:
                return graph.input(**attributes)
            if node.op is leaf.state:
                return graph.state(**attributes)
            if node.op is leaf.extent:
                return graph.extent(**attributes)
            return graph.apply(node.op, operands, attributes)

    declared = (*program.inputs, *(state for state, _ in program.updates))
    made = rebuild((*declared, *program.roots), make)
    return Program(
        program.name,
        tuple(made[node] for node in program.inputs),
        tuple((name, made[node]) for name, node in program.outputs),
        tuple((made[state], made[value]) for state, value in program.updates),
    )


def deeply(change: Callable[[Program], Program]) -> Callable[[Program], Program]:
    """`change` for a program and before that, inner ones first, for the bodies of its loops."""

    def changed(program: Program) -> Program:
        return change(with_bodies(program, changed))

    return changed


def with_bodies(program: Program, change: Callable[[Program], Program]) -> Program:
    """The program, in the same graph, with the body of each of its loops changed."""
    if not any(isinstance(node.op.lowering, Region) for node in program.nodes):
        return program
    made = rebuild(program.roots, lambda node, operands: applied(node, operands, change))
    return program.map_roots(made.__getitem__)


def applied(
    node: Node, operands: tuple[Node, ...], change: Callable[[Program], Program] | None = None
) -> Node:
    """The node's op on other operands; of a loop with its body changed."""
    attributes = node.attributes
    if change is not None and isinstance(node.op.lowering, Region):
        attributes = {**attributes, "body": change(attributes["body"])}
    elif are_same(operands, node.operands):
        return node
    with node.graph.at(node.location):
        return node.graph.apply(node.op, operands, attributes)


def _bound_attributes(node: Node, bindings: Mapping[str, int]) -> dict[str, Any]:
    """The node's attributes with all shapes fixed. Raises ShapeError for an open dimension."""
    attributes = dict(node.attributes)
    if isinstance(node.op.lowering, Region):
        attributes["body"] = specialize(attributes["body"], bindings)
    for name, kind in node.op.attributes.items():
        if kind.bind is not None:
            try:
                attributes[name] = _static(kind.bind(attributes[name], bindings))
            except ShapeError as error:
                problem = f"{node.op.name}{kind.show(attributes[name])}: {error}"
                raise ShapeError(located(problem, node.location)) from None
    return attributes


def _static(bound: Any) -> Any:
    """Extents, or a single one, as integers. Raises ShapeError for an open one."""
    return static_shape(bound) if isinstance(bound, tuple) else static_shape((bound,))[0]
