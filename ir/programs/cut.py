"""Programs whose inputs are computed values of a graph: the graph is cut there."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from graphc.ir.errors import GraphError
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.nodes.location import located
from graphc.ir.ops import leaf


def cut_at_inputs(program: Program) -> Program:
    """The program with its inputs that are values or states made inputs, in a graph of its own.

    What these alone are made of is no part of it. Such an input has its value's shape, dtype and
    line; it is named as the state or after the op, with a number where that name is taken. A
    program whose inputs are all declared as such stays as it is. Raises GraphError for a constant
    among the inputs, for a state that is updated too, and for what no root depends on past the
    other inputs.
    """
    cuts = [node for node in program.inputs if node.op is not leaf.input_]
    if not cuts:
        return program
    needed = needed_nodes(program)
    reached = set(needed)
    for node in cuts:
        _check(node, reached, program)
    made = _inputs(program.inputs, needed)
    (graph,) = {node.graph for node in made.values()}
    for node in (*needed, *(state for state, _ in program.updates)):
        if node in made:
            continue
        with graph.at(node.location):
            if node.op is leaf.state:
                made[node] = graph.state(**node.attributes)
            else:
                operands = [made[operand] for operand in node.operands]
                made[node] = graph.apply(node.op, operands, node.attributes)
    return Program(
        program.name,
        tuple(made[node] for node in program.inputs),
        tuple((name, made[node]) for name, node in program.outputs),
        tuple((made[state], made[value]) for state, value in program.updates),
    )


def needed_nodes(program: Program) -> tuple[Node, ...]:
    """Every node that the roots need where the inputs are given, these included, operands first."""
    given = set(program.inputs)
    order: dict[Node, None] = {}
    stack = list(reversed(program.roots))
    while stack:
        node = stack[-1]
        unknown = [] if node in given else [x for x in node.operands if x not in order]
        if node in order or not unknown:
            order[stack.pop()] = None
        else:
            stack.extend(reversed(unknown))
    return tuple(order)


def _check(node: Node, reached: Collection[Node], program: Program) -> None:
    if node.op is not leaf.state and not node.operands:
        problem = f"{node!r} cannot be an input: an input, a state or a computed value expected"
        raise GraphError(located(problem, node.location))
    if any(node is state for state, _ in program.updates):
        raise GraphError(located(f"{node!r} is an input, so it cannot be updated", node.location))
    if node not in reached:
        problem = f"no output and no update depends on {node!r}, given the other inputs"
        raise GraphError(located(f"{problem}; leave it out of the inputs", node.location))


def _inputs(inputs: Iterable[Node], needed: Iterable[Node]) -> dict[Node, Node]:
    """An input of a new graph for each of `inputs`."""
    given = tuple(inputs)
    named = (leaf.input_, leaf.state)
    taken = {node.name for node in (*given, *needed) if node.op in named}
    graph = Graph()
    made: dict[Node, Node] = {}
    for node in given:
        free = _unused(node.op.name, {*taken, *graph.inputs})
        name = node.name if node.op in named else free
        with graph.at(node.location):
            made[node] = graph.input(name, node.shape, node.dtype)
    return made


def _unused(base: str, taken: Collection[str]) -> str:
    """`base`, or `base_2`, `base_3`, ... where it is taken."""
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    return name
