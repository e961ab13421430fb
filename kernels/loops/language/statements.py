"""Loops as data, between a nest and its text.

A kernel's body is a tree of the statements below. Emitters build it block by block and put loops
around blocks; what later stages ask of a kernel's loops they read from the tree. Expressions are
source text. `printed` gives the lines that Numba compiles and people read.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from graphc.ir.graph import Node
from graphc.ir.location import Location

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


@dataclass(frozen=True)
class Element:
    """An element of a buffer; as text what is loaded."""

    buffer: str
    index: str

    def __str__(self) -> str:
        return f"{self.buffer}[{self.index}]"


# What a statement assigns to: a variable, or an element of memory.
Target = str | Element


@dataclass(frozen=True)
class Let:
    """name = value. location: the user's line, where it stands beside."""

    name: str
    value: str
    location: Location | None = None


@dataclass(frozen=True)
class Store:
    """element = value"""

    element: Element
    value: str
    location: Location | None = None


@dataclass(frozen=True)
class Accumulate:
    """target = value, which is the target with one more term in it."""

    target: Target
    value: str
    location: Location | None = None


@dataclass(frozen=True)
class Stack:
    """name = stack(dtype, count): an array in the kernel's frame."""

    name: str
    dtype: str
    count: int


@dataclass(frozen=True)
class Call:
    """function(arguments)"""

    function: str
    arguments: tuple[str, ...]


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
    """return value: what the kernel says to the executor."""

    value: str


@dataclass(frozen=True)
class Break:
    """break: nothing more of the loop around it."""


@dataclass(frozen=True)
class For:
    """for variable in range(limits): body"""

    variable: str
    limits: str
    body: tuple[Statement, ...]
    kind: LoopKind = LoopKind.PLAIN


@dataclass(frozen=True)
class If:
    """if condition: body, else otherwise"""

    condition: str
    body: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] = ()


@dataclass(frozen=True)
class While:
    """while condition: body"""

    condition: str
    body: tuple[Statement, ...]


Simple = Let | Store | Accumulate | Stack | Call | Prefetch | Comment | Return | Break
Statement = Simple | For | If | While


def assigned(target: Target, value: str | Element) -> Let | Store:
    """target = value"""
    if isinstance(target, Element):
        return Store(target, str(value))
    return Let(target, str(value))


def increased(target: Target, term: str | Element) -> Accumulate:
    """target = target + term"""
    return Accumulate(target, f"{target} + {term}")


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

    def assign(self, target: Target, value: str | Element, node: Node | None = None) -> None:
        """Appends an assignment; the user's line stands beside the first that comes from it."""
        location = self._shown(node)
        if isinstance(target, Element):
            self.add(Store(target, str(value), location))
        else:
            self.add(Let(target, str(value), location))

    def accumulate(self, target: Target, value: str, node: Node | None = None) -> None:
        """Appends an accumulation: `value` is the target with one more term in it."""
        self.add(Accumulate(target, value, self._shown(node)))

    def store_last(self, element: Element, value: str) -> None:
        """Appends a store to those that come last."""
        self.stores.append(Store(element, value))

    def loop(
        self, variable: str, limits: str | int, body: Block, kind: LoopKind = LoopKind.PLAIN
    ) -> None:
        """Appends a loop around `body`; nothing when the body is empty."""
        self._nest(lambda inside: For(variable, str(limits), inside, kind), body)

    def branch(self, condition: str, body: Block, otherwise: Block | None = None) -> None:
        """Appends `body` under a condition; nothing when it is empty."""
        other = () if otherwise is None else otherwise.whole
        self._nest(lambda inside: If(condition, inside, other), body)

    def choose(self, cases: Sequence[tuple[str, Block]], otherwise: Block | None = None) -> None:
        """Appends the first of the cases whose condition holds, or `otherwise`."""
        for condition, body in reversed(cases):
            chosen = Block()
            chosen.branch(condition, body, otherwise)
            otherwise = chosen
        if otherwise is not None:
            self.extend(otherwise)

    def repeat(self, condition: str, body: Block) -> None:
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
    lines: list[str] = []
    for statement in statements:
        match statement:
            case For(variable, limits, body):
                lines.append(f"for {variable} in range({limits}):")
            case If():
                lines += _branches(statement)
                continue
            case While(condition, body):
                lines.append(f"while {condition}:")
            case _:
                lines.append(_line(statement))
                continue
        lines += _inside(body)
    return lines


def _branches(statement: If) -> list[str]:
    lines = [f"if {statement.condition}:", *_inside(statement.body)]
    match statement.otherwise:
        case ():
            return lines
        case (If() as other,):
            first, *rest = _branches(other)
            return [*lines, f"el{first}", *rest]
        case others:
            return [*lines, "else:", *_inside(others)]


def _inside(statements: Sequence[Statement]) -> list[str]:
    return [INDENT + line for line in printed(statements)]


def _line(statement: Simple) -> str:
    match statement:
        case Let(target, value, location):
            return _with_location(f"{target} = {value}", location)
        case Store(element, value, location):
            return _with_location(f"{element} = {value}", location)
        case Accumulate(target, value, location):
            return _with_location(f"{target} = {value}", location)
        case Stack(name, dtype, count):
            return f"{name} = stack({dtype}, {count})"
        case Call(function, arguments):
            return f"{function}({', '.join(arguments)})"
        case Prefetch(element):
            return f"prefetch({element.buffer}, {element.index})"
        case Comment(text):
            return f"# {text}"
        case Return(value):
            return f"return {value}"
        case Break():
            return "break"


def _with_location(line: str, location: Location | None) -> str:
    if location is None or not location.text:
        return line
    return f"{line}  # {location}: {location.text}"
