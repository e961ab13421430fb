"""The nodes of a graph as text, one a line in the order of their numbers, and its inverse.

    graph {
      x = input : f32[batch,64]  # digits.py:9
      w = state[trainable=true] : f32[64]  # digits.py:10
      %2 = add(x, w) : f32[batch,64]  # digits.py:12 in encoder > dense
      %3 = constant[value=f32[]=2.0] : f32[]
      %4 = array 0 : f32[10,10]
    }

The lines of a program (`graphc.ir.text.parsing`), but that each node has one, scalar constants too,
and is labelled with the number of its line: so nodes that were made in an order are made in that
order again. The elements of large constants stand beside the text. An input or a state whose name
the graph has given to another, or to none, is labelled as other nodes are:

    %5 = dropped 'learning_rate' state[trainable=false] : f32[]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from graphc.ir.graph import Graph, Node
from graphc.ir.nodes.attributes import Literal
from graphc.ir.nodes.location import Location
from graphc.ir.nodes.op import Array, Op
from graphc.ir.ops import OPS, leaf
from graphc.ir.text.parsing import (
    INDENT,
    Parser,
    name_text,
    ops_by_name,
    value_text,
    without_comment,
)

# A constant of more elements stands beside the text.
MOST_IN_TEXT = 16

HEADER, END = "graph {", "}"
_ARRAY = re.compile(r"(%\d+) = array (\d{1,9}) : (.*)")
_DROPPED = re.compile(r"(%\d+) = dropped ('(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\") (.*)")
_COMMENT = re.compile(r"  # (.+):(\d{1,9})(?: in (.+))?")
_INSIDE = " > "


@dataclass(frozen=True)
class GraphText:
    """text: the lines. labels: what they call each node. arrays: elements of large constants, in
    the order of their numbers. ops: those that are not built in."""

    text: str
    labels: Mapping[Node, str]
    arrays: tuple[Array, ...]
    ops: tuple[Op, ...]


def print_nodes(
    nodes: Sequence[Node],
    named: Collection[Node],
    filename: Callable[[Location], str] = lambda location: location.filename,
) -> GraphText:
    """The text of `nodes`, which hold their operands before them.

    named: the inputs and states that are labelled with their names, no two the same. filename: what
    the text calls the file of a node's line.
    """
    labels: dict[Node, str] = {}
    arrays: list[Array] = []
    lines = [HEADER]
    for number, node in enumerate(nodes):
        labels[node] = name_text(node.name) if node in named else f"%{number}"
        line = value_text(node, labels)
        if node.op is leaf.constant and node.type.size > MOST_IN_TEXT:
            line = f"{labels[node]} = array {len(arrays)} : {node.type}"
            arrays.append(node.attributes["value"].array)
        elif node.op in (leaf.input_, leaf.state) and node not in named:
            line = line.replace(" = ", f" = dropped {node.name!r} ", 1)
        lines.append(f"{INDENT}{line}{_comment(node.location, filename)}")
    added = dict.fromkeys(node.op for node in nodes if OPS.get(node.op.name) is not node.op)
    return GraphText("\n".join([*lines, END]) + "\n", labels, tuple(arrays), tuple(added))


def _comment(location: Location | None, filename: Callable[[Location], str]) -> str:
    if location is None:
        return ""
    inside = f" in {_INSIDE.join(location.scope)}" if location.scope else ""
    comment = f"  # {filename(location)}:{location.line}{inside}"
    return comment if comment.isprintable() else ""


def read_nodes(
    graph: Graph,
    text: str,
    arrays: Sequence[Array] = (),
    ops: Sequence[Op] = (),
    filename: Callable[[str], str] = lambda name: name,
) -> dict[str, Node]:
    """Makes the nodes of `text` in `graph`, which is empty, and returns them by their labels.

    filename: the file of a node's location for what the text calls it. Raises GraphError with the
    number of the line and what was expected there.
    """
    return _NodesParser("<graph>", ops_by_name(ops), graph=graph).read(text, arrays, filename)


@dataclass
class _NodesParser(Parser):
    hint = "; an op of one's own is given as one of custom_objects"

    arrays: Sequence[Array] = ()
    place: Location | None = field(default=None)

    def read(
        self, text: str, arrays: Sequence[Array], filename: Callable[[str], str]
    ) -> dict[str, Node]:
        lines = text.splitlines()
        self.arrays = arrays
        if not lines or lines[0] != HEADER or lines[-1] != END:
            raise self._error(f"{HEADER!r} expected as the first line and {END!r} as the last")
        for self.line, line in enumerate(lines[1:-1], 2):
            code = without_comment(line)
            found = _COMMENT.fullmatch(line[len(code.rstrip()) :])
            self.place = None
            if found:
                scope = tuple(found[3].split(_INSIDE)) if found[3] else ()
                self.place = Location(filename(found[1]), int(found[2]), scope)
            self._node(code.strip())
            if len(self.graph.nodes) != self.line - 1:
                raise self._error("a node that no line before has expected")
        return self.values

    def _node(self, line: str) -> None:
        if found := _ARRAY.fullmatch(line):
            label, number, type_text = found.groups()
            if int(number) >= len(self.arrays):
                raise self._error(f"an array expected, but there are {len(self.arrays)}")
            literal = Literal(self.arrays[int(number)])
            self._define(label, leaf.constant, {"value": literal}, (), self._type(type_text))
        elif found := _DROPPED.fullmatch(line):
            self._dropped(*found.groups())
        else:
            self._value(line)

    def _dropped(self, label: str, name: str, rest: str) -> None:
        """An input or a state of which the graph knows no name."""
        call, _, type_text = self._split(rest, ":", "'OP[ATTRIBUTES] : TYPE' expected")
        op, attributes, _ = self._call(call)
        wanted = self._type(type_text)
        if op not in (leaf.input_, leaf.state):
            raise self._error(f"an input or a state expected, not {op.name}")
        given = {"name": self._name(name), "shape": wanted.shape, "dtype": wanted.dtype}
        self._define(label, op, {**given, **attributes}, (), wanted)

    @property
    def location(self) -> Location:
        return self.place or super().location
