"""The text form of a program, and its inverse: `parse_program(print_program(p)) == p`.

    program step(x: f32[batch,64], t: i32[batch]) {
      w = state[trainable=true] : f32[64,10]
      %0 = matmul[transpose_x=false,transpose_y=false](x, w) : f32[batch,10]  # digits.py:12
      %1 = multiply(%0, 2.0:f32) : f32[batch,10]
      return scores=%1
      update w = %2
    }

One value a line, states first, operands before users, numbered from 0. Inputs and states stand
under their own names and scalar constants under their value and dtype. A name that is not made of
letters, digits, `_`, `.` and `/` is quoted. What follows a `#` is a comment.

The body of a loop is a program among its attributes, with its statements on lines of their own, or
behind each other with a `;` between them:

      %0 = scan[carries=1,slices=1,length=9,...,body=program body(c: f32[], x: f32[]) {
        %0 = add(c, x) : f32[]
        return c=%0
      }](start, xs) : (f32[])
      %1 = result[number=0](%0) : f32[]
"""

from __future__ import annotations

import ast
import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, ClassVar

from graphc.ir.arguments.given import shown
from graphc.ir.errors import GraphError
from graphc.ir.graph import Graph, Node, Program
from graphc.ir.nodes.attributes import SHAPE, Literal
from graphc.ir.nodes.location import Location
from graphc.ir.nodes.op import Op
from graphc.ir.ops import OPS, leaf
from graphc.ir.ops.region import PROGRAM
from graphc.ir.text.printing import BARE_NAME, printed_attributes
from graphc.ir.text.printing import INDENT as INDENT
from graphc.ir.text.printing import name_text as name_text
from graphc.ir.text.printing import print_program as print_program
from graphc.ir.text.printing import value_labels as value_labels
from graphc.ir.text.printing import value_text as value_text
from graphc.ir.types import DTYPES, TensorType, TupleType

_QUOTED = r"'(?:[^'\\]|\\.)*+'|\"(?:[^\"\\]|\\.)*+\""
# A quote that nothing closes: all that follows, which is then looked at once.
_UNCLOSED = r"['\"].*"
# Nobody has written more loops in loops.
MOST_NESTED = 16
_OPENING, _CLOSING = "([{", ")]}"
_SEPARATORS = ",:=;"


def parse_program(text: str, filename: str = "<text>", ops: Sequence[Op] = ()) -> Program:
    """The program that `text` describes, in a graph of its own. `ops` are those that it applies
    besides the built-in ones.

    Its nodes carry the lines of `text` as their location. Raises GraphError with the number of
    the line and what was expected there.
    """
    return Parser(filename, ops_by_name(ops)).parse(text)


def ops_by_name(ops: Sequence[Op]) -> Mapping[str, Op]:
    """The built-in ops and `ops`, by name."""
    return {**{op.name: op for op in ops}, **OPS}


@dataclass
class Parser:
    """Reads line by line; `values` are the nodes by the label under which they were defined."""

    # What is said besides of an op that is unknown.
    hint: ClassVar[str] = ""

    filename: str
    ops: Mapping[str, Op]
    line: int = 0
    # How many loops are around what is read.
    depth: int = 0
    graph: Graph = field(default_factory=Graph)
    values: dict[str, Node] = field(default_factory=dict)
    outputs: list[tuple[str, Node]] = field(default_factory=list)
    updates: list[tuple[Node, Node]] = field(default_factory=list)

    @property
    def location(self) -> Location:
        """That of the nodes of the line being read."""
        return Location(self.filename, self.line)

    def parse(self, text: str) -> Program:
        lines = self._lines(text)
        name, inputs = self._header(next(lines, ""))
        for line in lines:
            if line == "}":
                break
            self._statement(self._whole(line, lines))
        else:
            raise self._error("'}' expected at the end")
        for line in lines:
            raise self._error(f"nothing expected after '}}', not {shown(line)}")
        return Program(name, inputs, tuple(self.outputs), tuple(self.updates))

    def _whole(self, line: str, further: Iterator[str]) -> str:
        """The statement that begins with `line`, with all lines of the bodies in it."""
        whole, depth = line, _depth(line)
        while depth > 0:
            line = next(further, "")
            if not line:
                raise self._error("'}' expected at the end of a body")
            depth += _depth(line)
            is_between = not whole.endswith("{") and not line.startswith("}")
            whole = f"{whole}{'; ' if is_between else ' '}{line}"
        return whole

    def _body(self, text: str) -> Program:
        """The program in an attribute: a header and statements in braces."""
        if self.depth == MOST_NESTED:
            raise self._error(f"loops in loops up to a depth of {MOST_NESTED} expected")
        inner = Parser(self.filename, self.ops, self.line, depth=self.depth + 1)
        head, brace, rest = text.partition("{")
        if not brace or not rest.rstrip().endswith("}"):
            raise self._error(f"'program NAME(...) {{ ... }}' expected, not {shown(text)}")
        name, inputs = inner._header(head + brace)
        for statement in inner._parts(rest.rstrip()[:-1], ";"):
            inner._statement(statement)
        return Program(name, inputs, tuple(inner.outputs), tuple(inner.updates))

    def _lines(self, text: str) -> Iterator[str]:
        """The lines that say something, without comments."""
        for number, line in enumerate(text.splitlines(), 1):
            self.line = number
            stripped = without_comment(line).strip()
            if stripped:
                yield stripped

    def _header(self, line: str) -> tuple[str, tuple[Node, ...]]:
        found = re.fullmatch(rf"program\s+({_QUOTED}|[^\s(]+)\s*\((.*)\)\s*{{", line)
        if not found:
            raise self._error("'program NAME(INPUT: TYPE, ...) {' expected")
        inputs = []
        for part in self._parts(found[2], ","):
            label, _, type_text = self._split(part, ":", "'INPUT: TYPE' expected")
            wanted = self._type(type_text)
            inputs.append(self._define(label, leaf.input_, {}, (), wanted))
        return self._name(found[1]), tuple(inputs)

    def _statement(self, line: str) -> None:
        if re.match(r"return\s", line):
            for part in self._parts(line[len("return") :], ","):
                name, _, value = self._split(part, "=", "'NAME=VALUE' expected")
                self.outputs.append((self._name(name), self._operand(value)))
        elif re.match(r"update\s", line):
            state, _, value = self._split(
                line[len("update") :], "=", "'update STATE = VALUE' expected"
            )
            self.updates.append((self._operand(state), self._operand(value)))
        else:
            self._value(line)

    def _value(self, line: str) -> None:
        expected = "'VALUE = OP[ATTRIBUTES](OPERANDS) : TYPE' expected"
        label, _, rest = self._split(line, "=", expected)
        call, _, type_text = self._split(rest, ":", expected)
        op, attributes, operands_text = self._call(call)
        operands = tuple(self._operand(part) for part in self._parts(operands_text, ","))
        self._define(label, op, attributes, operands, self._type(type_text))

    def _call(self, text: str) -> tuple[Op, dict[str, Any], str]:
        """Op, attributes and the text of the operands of `OP[ATTRIBUTES](OPERANDS)`."""
        found = _call_parts(text)
        if found is None:
            raise self._error(f"'OP[ATTRIBUTES](OPERANDS)' expected, not {shown(text)}")
        name, attributes, operands = found
        op = self.ops.get(name)
        if op is None:
            raise self._error(f"an op expected, not {shown(name)}{self.hint}")
        return op, self._attributes(op, attributes), operands

    def _define(
        self,
        label: str,
        op: Op,
        attributes: dict[str, Any],
        operands: tuple[Node, ...],
        wanted: TensorType,
    ) -> Node:
        if label in self.values:
            raise self._error(f"a new name expected, {label} has a value already")
        is_named = op in (leaf.input_, leaf.state) and "name" not in attributes
        if not is_named and not re.fullmatch(r"%\d+", label):
            raise self._error(f"a label like %0 expected, not {shown(label)}")
        name = self._name(label) if is_named else ""
        try:
            with self.graph.at(self.location):
                if not is_named:
                    node = self.graph.apply(op, operands, attributes)
                elif op is leaf.input_:
                    node = self.graph.input(name, wanted.shape, wanted.dtype)
                else:
                    node = self.graph.state(name, wanted.shape, wanted.dtype, **attributes)
        except GraphError as error:
            raise self._error(str(error)) from None
        if node.type != wanted:
            raise self._error(f"{op.name} gives {node.type}, not {wanted}")
        self.values[label] = node
        return node

    def _attributes(self, op: Op, text: str) -> dict[str, Any]:
        expected = printed_attributes(op)
        found: dict[str, Any] = {}
        for part in self._parts(text, ","):
            name, _, value = self._split(part, "=", f"'ATTRIBUTE=VALUE' of {op.name} expected")
            if name not in expected or name in found:
                raise self._error(
                    f"{op.name}: attributes {list(expected)} expected, not {shown(name)}"
                )
            if expected[name] is PROGRAM:
                found[name] = self._body(value)
                continue
            try:
                found[name] = expected[name].read(value)
            except (ValueError, SyntaxError, TypeError):
                raise self._error(
                    f"{op.name}: {name} is of kind {expected[name].name}, not {shown(value)}"
                ) from None
        if found.keys() != expected.keys():
            raise self._error(f"{op.name}: attributes {list(expected)} expected, not {list(found)}")
        return found

    def _operand(self, text: str) -> Node:
        text = text.strip()
        if text in self.values:
            return self.values[text]
        number, colon, dtype = text.rpartition(":")
        if colon and dtype in DTYPES:
            try:
                literal = Literal(_number(number), DTYPES[dtype])
            except (ValueError, SyntaxError, OverflowError):
                raise self._error(f"a number expected, not {shown(number)}") from None
            with self.graph.at(self.location):
                return self.graph.apply(leaf.constant, (), {"value": literal})
        raise self._error(f"a value defined above expected, not {shown(text)}")

    def _type(self, text: str) -> TensorType:
        if text.startswith("(") and text.endswith(")"):
            return TupleType.of([self._type(part) for part in self._parts(text[1:-1], ",")])
        found = re.fullmatch(r"(\w+)(\[[^\[\]]*\])", text)
        if not found or found[1] not in DTYPES:
            raise self._error(f"a type like f32[2,batch] expected, not {shown(text)}")
        try:
            return TensorType(DTYPES[found[1]], SHAPE.read(found[2]))
        except (GraphError, ValueError) as error:
            raise self._error(
                f"a type like f32[2,batch] expected, not {shown(text)}: {error}"
            ) from None

    def _name(self, text: str) -> str:
        if re.fullmatch(_QUOTED, text):
            with contextlib.suppress(SyntaxError, ValueError):
                return str(ast.literal_eval(text))
        elif BARE_NAME.fullmatch(text):
            return text
        raise self._error(f"a name expected, not {shown(text)}")

    def _parts(self, text: str, separator: str) -> list[str]:
        """`text` cut at separators outside brackets and quotes; none for a blank text."""
        cuts = [-1, *(i for i, c in _outside(text) if c == separator), len(text)]
        parts = [text[a + 1 : b].strip() for a, b in pairwise(cuts)]
        if parts == [""]:
            return []
        if "" in parts:
            raise self._error(
                f"something expected on each side of every {separator!r} in {shown(text)}"
            )
        return parts

    def _split(self, text: str, separator: str, expected: str) -> tuple[str, str, str]:
        """What stands before and after the first separator outside brackets and quotes."""
        for i, c in _outside(text):
            if c == separator:
                return text[:i].strip(), separator, text[i + 1 :].strip()
        raise self._error(expected)

    def _error(self, expected: str) -> GraphError:
        return GraphError(f"{self.filename}, line {self.line}: {expected}")


def _number(text: str) -> Any:
    if text in ("True", "False"):
        return text == "True"
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


def _call_parts(text: str) -> tuple[str, str, str] | None:
    """Op, attributes and operands of `OP[ATTRIBUTES](OPERANDS)`; None for another text."""
    marks = [(i, c) for i, c in _outside(text) if c in _OPENING + _CLOSING]
    brackets = "".join(c for _, c in marks)
    if brackets not in ("", "[]", "()", "[]()"):
        return None
    cuts = [-1, *(i for i, _ in marks), len(text)]
    name, *inside = (text[a + 1 : b].strip() for a, b in pairwise(cuts))
    after = inside[1::2]
    if not re.fullmatch(r"\w+", name) or any(after):
        return None
    return name, inside[0] if "[" in brackets else "", inside[-2] if "(" in brackets else ""


def _outside(text: str) -> Iterator[tuple[int, str]]:
    """Positions and characters of the separators that stand outside brackets and quotes, and of the
    outermost brackets."""
    depth = 0
    marks = re.escape(_OPENING + _CLOSING + _SEPARATORS)
    for found in re.finditer(rf"{_QUOTED}|{_UNCLOSED}|[{marks}]", text):
        c = found[0]
        if c[0] in "'\"":
            continue
        depth -= c in _CLOSING
        if depth == 0:
            yield found.start(), c
        depth += c in _OPENING


def _depth(line: str) -> int:
    """How many braces the line opens more than it closes."""
    marks = re.findall(rf"{_QUOTED}|{_UNCLOSED}|[{{}}]", line)
    return marks.count("{") - marks.count("}")


def without_comment(line: str) -> str:
    """The line up to its comment."""
    for found in re.finditer(rf"{_QUOTED}|{_UNCLOSED}|#", line):
        if found[0] == "#":
            return line[: found.start()]
    return line
