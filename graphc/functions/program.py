"""The program that a user asks for by inputs, outputs and updates, checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from graphc.declare.graphs.forms import Nodes, listed
from graphc.display.table import counted
from graphc.ir.arguments.given import shown
from graphc.ir.errors import ForeignTensorError, GraphError
from graphc.ir.graph import Node, Program, is_among, topological
from graphc.ir.ops import leaf
from graphc.ir.programs.cut import needed_nodes
from graphc.ir.programs.inference import without_training_forms
from graphc.ir.types import is_several, named_dimensions

Updates = Mapping[Node, Node] | Sequence[tuple[Node, Node]]


def program_of(
    name: str, inputs: Node | Sequence[Node], outputs: Nodes, updates: Updates | None
) -> Program:
    """The program, with a name for each output. Raises GraphError where it is none."""
    if outputs is None:
        raise GraphError("outputs: a node, a list or a mapping expected, not None; [] for none")
    if isinstance(outputs, Node):
        named: tuple[tuple[str, Node], ...] = (("output", outputs),)
    elif isinstance(outputs, Mapping):
        named = tuple(outputs.items())
    else:
        named = tuple((f"output{i}", node) for i, node in enumerate(_several("outputs", outputs)))
    program = Program(name, tuple(_several("inputs", inputs)), named, _pairs(updates))
    _check_nodes(program)
    program = without_training_forms(program)
    _check(program)
    return program


def _several(role: str, nodes: Any) -> list[Node]:
    try:
        return listed(nodes)
    except TypeError as error:
        raise GraphError(f"{role}: {error}") from None


def _pairs(updates: Any) -> tuple[tuple[Node, Node], ...]:
    if updates is None or isinstance(updates, Mapping):
        return tuple((updates or {}).items())
    pairs = tuple(updates) if is_several(updates) else (updates,)
    if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        problem = f"states and their next values expected, not {shown(updates)}"
        raise GraphError(f"updates: {problem}")
    return pairs


def _check_nodes(program: Program) -> None:
    """Raises GraphError unless there are nodes, all of one graph."""
    nodes = (*program.inputs, *program.roots, *(state for state, _ in program.updates))
    if not nodes:
        raise GraphError("a function needs an input, an output or an update")
    for node in nodes:
        if not isinstance(node, Node):
            raise GraphError(f"{shown(node)} is no tensor of a graph")
        if node.graph is not nodes[0].graph:
            raise ForeignTensorError(f"{node!r} is of another graph than {nodes[0]!r}")


def _check(program: Program) -> None:
    _check_order(program)
    needed = needed_nodes(program)
    missing = [n for n in needed if n.op is leaf.input_ and not is_among(n, program.inputs)]
    if missing:
        raise GraphError(f"the outputs need inputs that are not listed: {missing}")
    for role, nodes in (
        ("input", program.inputs),
        ("update of state", tuple(state for state, _ in program.updates)),
    ):
        twice = [node for node, count in Counter(nodes).items() if count > 1]
        if twice:
            raise GraphError(f"{role} {twice[0]!r} is listed twice")
    for state, value in program.updates:
        if state.op is not leaf.state:
            raise GraphError(f"{state!r} is no state, so it cannot be updated")
        if state.type != value.type:
            raise GraphError(f"state {state.name!r} is {state.type}, its update {value.type}")


def _check_order(program: Program) -> None:
    """Raises GraphError where the inputs are computed from what was asked for."""
    below = set(topological(program.inputs)).difference(program.inputs)
    if program.roots and below.issuperset(program.roots):
        problem = "the inputs are computed from the outputs"
        raise GraphError(f"{problem}; inputs come first: gc.function(inputs, outputs)")


def described(program: Program, sizes: Sequence[str]) -> str:
    """A function in a line: inputs, outputs, updates, and the sizes that it is loaded for."""
    inputs = ", ".join(f"{node.name}: {node.type}" for node in program.inputs)
    outputs = ", ".join(f"{name}: {node.type}" for name, node in program.outputs) or "nothing"
    updates = f", updates {counted(len(program.updates), 'state')}" if program.updates else ""
    compiled = f"; compiled for {', '.join(sizes) or 'its size'}" if sizes else "; not compiled"
    return f"<function {program.name}({inputs}) -> {outputs}{updates}{compiled}>"


def open_dimensions(program: Program) -> tuple[str, ...]:
    """The names of the inputs' open dimensions, in order of appearance."""
    return named_dimensions(node.shape for node in program.inputs)
