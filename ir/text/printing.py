"""The text form of a program (`graphc.ir.text.parsing`), printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from graphc.ir.graph import Node, Program, is_among, topological
from graphc.ir.nodes.attributes import Literal
from graphc.ir.nodes.location import Location
from graphc.ir.nodes.op import Op
from graphc.ir.ops import leaf
from graphc.ir.ops.region import PROGRAM
from graphc.ir.types import f32

INDENT = "  "
BARE_NAME = re.compile(r"(?!(?:return|update)$)[A-Za-z_][\w./]*", re.ASCII)


def value_labels(program: Program) -> dict[Node, str]:
    """What the text form calls each value, in the order of its lines."""
    order = topological((*program.inputs, *(state for state, _ in program.updates), *program.roots))
    labels: dict[Node, str] = {}
    count = 0
    for node in order:
        if node.op in (leaf.input_, leaf.state):
            labels[node] = name_text(node.name)
        elif _is_scalar_constant(node):
            labels[node] = _scalar_text(node)
        else:
            labels[node] = f"%{count}"
            count += 1
    return labels


def print_program(program: Program, locations: bool = False) -> str:
    """The text form; with `locations` each line ends on a comment that names the user's line."""
    labels = value_labels(program)
    declared: list[tuple[str, Location | None]] = []
    lines: list[tuple[str, Location | None]] = []
    for node in labels:
        if node.op in (leaf.input_, leaf.state):
            if not is_among(node, program.inputs):
                declared.append((value_text(node, labels), node.location))
        elif not _is_scalar_constant(node):
            lines.append((_value(node, labels, _in_lines), node.location))
    if program.outputs:
        lines.append((_return_text(program, labels), None))
    for state, value in program.updates:
        lines.append((f"update {labels[state]} = {labels[value]}", None))
    body = [_line_text(text, where if locations else None) for text, where in declared + lines]
    body = [line.replace("\n", f"\n{INDENT}") for line in body]
    return "\n".join([_header_text(program, labels), *body, "}"]) + "\n"


def _line_text(text: str, location: Location | None) -> str:
    return f"{INDENT}{text}" if location is None else f"{INDENT}{text}  # {location}"


def value_text(node: Node, labels: Mapping[Node, str]) -> str:
    """The line of a value, without its place in the user's source."""
    return _value(node, labels, _in_a_line)


def _value(node: Node, labels: Mapping[Node, str], show: Callable[[Program], str]) -> str:
    """The text of a value, in which `show` prints bodies of loops."""
    shown = [
        f"{name}={(show if kind is PROGRAM else kind.show)(node.attributes[name])}"
        for name, kind in printed_attributes(node.op).items()
    ]
    attributes = f"[{','.join(shown)}]" if shown else ""
    operands = ", ".join(labels[operand] for operand in node.operands)
    call = f"({operands})" if node.operands or node.op.arity is None else ""
    return f"{labels[node]} = {node.op.name}{attributes}{call} : {node.type}"


def _in_lines(body: Program) -> str:
    return print_program(body).rstrip()


def _in_a_line(body: Program) -> str:
    """The body's header, its statements with `;` between them, and its end."""
    labels = value_labels(body)
    statements = [
        value_text(node, labels)
        for node in labels
        if not (node.op is leaf.input_ or _is_scalar_constant(node))
    ]
    statements.append(_return_text(body, labels))
    return f"{_header_text(body, labels)} {'; '.join(statements)} }}"


def _header_text(program: Program, labels: Mapping[Node, str]) -> str:
    parameters = ", ".join(f"{labels[node]}: {node.type}" for node in program.inputs)
    return f"program {name_text(program.name)}({parameters}) {{"


def _return_text(program: Program, labels: Mapping[Node, str]) -> str:
    returned = ", ".join(f"{name_text(name)}={labels[x]}" for name, x in program.outputs)
    return f"return {returned}"


def printed_attributes(op: Op) -> dict[str, Any]:
    """The attributes that stand in brackets: a declared value's name and type stand elsewhere."""
    if op in (leaf.input_, leaf.state):
        return {k: v for k, v in op.attributes.items() if k not in ("name", "shape", "dtype")}
    return dict(op.attributes)


def _is_scalar_constant(node: Node) -> bool:
    return node.op is leaf.constant and node.shape == ()


def _scalar_text(node: Node) -> str:
    array = node.attributes["value"].array
    number = repr(array.item())
    if node.dtype is f32:
        short = str(array[()])  # 0.1, where a float of Python has 0.10000000149011612
        number = short if Literal(float(short), f32) == Literal(array) else number
    return f"{number}:{node.dtype}"


def name_text(name: str) -> str:
    """The name of an input, a state, an output or a program."""
    return name if BARE_NAME.fullmatch(name) else repr(name)
