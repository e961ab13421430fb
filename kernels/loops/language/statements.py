"""Loops as data, between a nest and its text.

A kernel's body is a tree of the statements below. Emitters build it block by block and put loops
around blocks; what later stages ask of a kernel's loops they read from the tree. `printed` gives
the lines that Numba compiles and people read.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from graphc.ir.graph import Node
from graphc.ir.nodes.location import Location
from graphc.kernels.loops.language.expressions import (
    Element,
    Expression,
    Infix,
    Name,
    Naming,
    Operand,
    expression_text,
    of,
)

INDENT = "    "


class LoopKind(enum.Enum):
    """What a loop is to the compiler of the source."""

    PLAIN = "plain"
    # Over strips of a row, each of many vectors: LLVM need not unroll what is inside.
    STRIPS = "strips"
    # Over a row of a tile: short, and not to be unrolled whole.
    TILE = "tile"
    # Over a row of many elements, in vectors: unrolled whole, several rows are a block of code that
    # LLVM takes seconds to schedule.
    ROW = "row"
    # Of few steps, all unrolled, so that the loop around it is vectorised.
    UNROLLED = "unrolled"
    # Over a row that is reduced: unrolled whole, a sum is one chain of additions.
    VECTORS = "vectors"


# What loops call first of which LLVM is told what they are.
MARKERS = {LoopKind.UNROLLED: "unrolled", LoopKind.VECTORS: "in_vectors"}

# What a statement assigns to: a variable, or an element of memory.
Target = Name | Element
# The range of a loop: its end, or start and end, or these and the step.
Limits = Operand | tuple[Operand, ...]


@dataclass(frozen=True)
class Let:
    """name = value. location: the user's line, where it stands beside."""

    name: Name
    value: Expression
    location: Location | None = None


@dataclass(frozen=True)
class Store:
    """element = value"""

    element: Element
    value: Expression
    location: Location | None = None


@dataclass(frozen=True)
class Accumulate:
    """target = value, which is the target with one more term in it."""

    target: Target
    value: Expression
    location: Location | None = None


@dataclass(frozen=True)
class Stack:
    """name = stack(dtype, count): an array in the kernel's frame."""

    name: Name
    dtype: str
    count: int


@dataclass(frozen=True)
class Call:
    """function(arguments)"""

    function: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True)
class Prefetch:
    """The cache line of an element is asked for."""

    element: Element


@dataclass(frozen=True)
class Comment:
    """# text"""

    text: str


@dataclass(frozen=True)
class Return:
    """return status: what the kernel says to the executor."""

    status: int


@dataclass(frozen=True)
class Break:
    """break: nothing more of the loop around it."""


@dataclass(frozen=True)
class For:
    """for variable in range(limits): body"""

    variable: Name
    limits: tuple[Expression, ...]
    body: tuple[Statement, ...]
    kind: LoopKind = LoopKind.PLAIN


@dataclass(frozen=True)
class If:
    """if condition: body, else otherwise"""

    condition: Expression
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] = ()


@dataclass(frozen=True)
class While:
    """while condition: body"""

    condition: Expression
    body: tuple[Statement, ...]


_OneLine = Let | Store | Accumulate | Stack | Call | Prefetch | Return | Break
Statement = _OneLine | Comment | For | If | While


def assigned(target: Target, value: Operand) -> Let | Store:
    """target = value"""
    if isinstance(target, Element):
        return Store(target, of(value))
    return Let(target, of(value))


def increased(target: Target, term: Operand) -> Accumulate:
    """target = target + term"""
    return Accumulate(target, Infix("+", target, of(term)))


def loops_in(statements: Sequence[Statement]) -> Iterator[For]:
    """Every loop of them, outer ones first."""
    for statement in statements:
        if isinstance(statement, For):
            yield statement
        if isinstance(statement, For | If | While):
            yield from loops_in(statement.body)
        if isinstance(statement, If):
            yield from loops_in(statement.otherwise)


def innermost_loops(statements: Sequence[Statement]) -> Iterator[For]:
    """The loops of them in which there is no other."""
    return (loop for loop in loops_in(statements) if not any(loops_in(loop.body)))


@dataclass
class Block:
    """Statements at one depth while they are being written.

    stores: those that come last. A state may be overwritten in place, and whatever else the block
    computes reads the value before.
    """

    statements: list[Statement] = field(default_factory=list)
    stores: list[Statement] = field(default_factory=list)
    _commented: Location | None = None

    @classmethod
    def of(cls, *statements: Statement) -> Block:
        """A block of these statements."""
        return cls(list(statements))

    @property
    def whole(self) -> tuple[Statement, ...]:
        """All statements in their order."""
        return (*self.statements, *self.stores)

    @property
    def lines(self) -> list[str]:
        """All statements as source."""
        return printed(self.whole)

    def add(self, *statements: Statement) -> None:
        self.statements += statements

    def assign(self, target: Target, value: Operand, node: Node | None = None) -> None:
        """Appends an assignment; the user's line stands beside the first that comes from it."""
        location = self._shown(node)
        if isinstance(target, Element):
            self.add(Store(target, of(value), location))
        else:
            self.add(Let(target, of(value), location))

    def accumulate(self, target: Target, value: Expression, node: Node | None = None) -> None:
        """Appends an accumulation: `value` is the target with one more term in it."""
        self.add(Accumulate(target, value, self._shown(node)))

    def store_last(self, element: Element, value: Expression) -> None:
        """Appends a store to those that come last."""
        self.stores.append(Store(element, value))

    def loop(
        self, variable: Name, limits: Limits, body: Block, kind: LoopKind = LoopKind.PLAIN
    ) -> None:
        """Appends a loop around `body`; nothing when the body is empty."""
        range_ = tuple(map(of, limits)) if isinstance(limits, tuple) else (of(limits),)
        self._nest(lambda inside: For(variable, range_, inside, kind), body)

    def branch(self, condition: Expression, body: Block, otherwise: Block | None = None) -> None:
        """Appends `body` under a condition; nothing when it is empty."""
        other = () if otherwise is None else otherwise.whole
        self._nest(lambda inside: If(condition, inside, other), body)

    def choose(
        self, cases: Sequence[tuple[Expression, Block]], otherwise: Block | None = None
    ) -> None:
        """Appends the first of the cases whose condition holds, or `otherwise`."""
        for condition, body in reversed(cases):
            chosen = Block()
            chosen.branch(condition, body, otherwise)
            otherwise = chosen
        if otherwise is not None:
            self.extend(otherwise)

    def repeat(self, condition: Expression, body: Block) -> None:
        """Appends `body` as long as a condition holds; nothing when it is empty."""
        self._nest(lambda inside: While(condition, inside), body)

    def extend(self, other: Block) -> None:
        self.statements += other.whole

    def _nest(self, around: Callable[[tuple[Statement, ...]], Statement], body: Block) -> None:
        if body.whole:
            self.statements.append(around(body.whole))

    def _shown(self, node: Node | None) -> Location | None:
        """The user's line of a node, unless the block has shown it last."""
        location = node.location if node is not None else None
        if location is None or location == self._commented:
            return None
        self._commented = location
        return location


def printed(statements: Sequence[Statement]) -> list[str]:
    """The lines of statements, those inside of loops and branches indented."""
    return _Printer().lines(statements)


def canonical_lines(statements: Sequence[Statement], parameters: Sequence[Name]) -> list[str]:
    """The lines without comments, the names numbered, first the parameters', then in their order.

    Kernels that differ in nothing but names and comments have the same.
    """
    numbered = {each.text: f"v{number}" for number, each in enumerate(parameters)}

    def named(name: str) -> str:
        return numbered.setdefault(name, f"v{len(numbered)}")

    return _Printer(named, comments=False).lines(statements)


@dataclass(frozen=True)
class _Printer:
    """Prints statements. named: what a variable is called in the text."""

    named: Naming = str
    comments: bool = True

    def lines(self, statements: Sequence[Statement]) -> list[str]:
        lines: list[str] = []
        for statement in statements:
            match statement:
                case For(variable, limits, body, kind):
                    name = self.named(variable.text)
                    lines.append(f"for {name} in range({self._listed(limits)}):")
                    if kind in MARKERS:
                        lines.append(f"{INDENT}{MARKERS[kind]}()")
                case If():
                    lines += self._branches(statement)
                    continue
                case While(condition, body):
                    lines.append(f"while {self._text(condition)}:")
                case Comment(text):
                    if self.comments:
                        lines.append(f"# {text}")
                    continue
                case _:
                    lines.append(self._line(statement))
                    continue
            lines += self._inside(body)
        return lines

    def _branches(self, statement: If) -> list[str]:
        lines = [f"if {self._text(statement.condition)}:", *self._inside(statement.body)]
        match statement.otherwise:
            case ():
                return lines
            case (If() as other,):
                first, *rest = self._branches(other)
                return [*lines, f"el{first}", *rest]
            case others:
                return [*lines, "else:", *self._inside(others)]

    def _inside(self, statements: Sequence[Statement]) -> list[str]:
        return [INDENT + line for line in self.lines(statements)]

    def _line(self, statement: _OneLine) -> str:
        match statement:
            case Let(target, value, location):
                return self._assignment(target, value, location)
            case Store(target, value, location):
                return self._assignment(target, value, location)
            case Accumulate(target, value, location):
                return self._assignment(target, value, location)
            case Stack(name, dtype, count):
                return f"{self.named(name.text)} = stack({dtype}, {count})"
            case Call(function, arguments):
                return f"{function}({self._listed(arguments)})"
            case Prefetch(element):
                return f"prefetch({self._listed((element.buffer, element.index))})"
            case Return(status):
                return f"return {status}"
            case Break():
                return "break"

    def _assignment(self, target: Target, value: Expression, location: Location | None) -> str:
        line = f"{self._text(target)} = {self._text(value)}"
        if location is None or not location.text or not self.comments:
            return line
        return f"{line}  # {location}: {location.text}"

    def _text(self, expression: Expression) -> str:
        return expression_text(expression, self.named)

    def _listed(self, expressions: Sequence[Expression]) -> str:
        return ", ".join([self._text(each) for each in expressions])
