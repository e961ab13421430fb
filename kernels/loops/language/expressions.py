"""Expressions of kernel source as data: what statements compute, and where elements stand.

Emitters write them as arithmetic of names, `row * 64 + column`. One printer makes the source text
of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any


class Expression:
    """What has a value. Operators make larger ones of integers: a sum of a sum is one sum."""

    __slots__ = ()

    def __add__(self, other: Operand) -> Expression:
        term = of(other)
        if isinstance(term, Infix) and term.operator in ("+", "-"):
            return Infix(term.operator, self + term.left, term.right)
        return Infix("+", self, term)

    def __sub__(self, other: Operand) -> Expression:
        return Infix("-", self, of(other))

    def __mul__(self, other: Operand) -> Expression:
        return Infix("*", self, of(other))

    def __floordiv__(self, other: Operand) -> Expression:
        return Infix("//", self, of(other))

    def __mod__(self, other: Operand) -> Expression:
        return Infix("%", self, of(other))

    def __rshift__(self, other: Operand) -> Expression:
        return Infix(">>", self, of(other))

    def __lshift__(self, other: Operand) -> Expression:
        return Infix("<<", self, of(other))

    def __and__(self, other: Operand) -> Expression:
        return Infix("&", self, of(other))

    def __or__(self, other: Operand) -> Expression:
        return Infix("|", self, of(other))

    def __invert__(self) -> Expression:
        return Inverted(self)

    def below(self, other: Operand) -> Expression:
        """self < other"""
        return Infix("<", self, of(other))

    def at_most(self, other: Operand) -> Expression:
        """self <= other"""
        return Infix("<=", self, of(other))

    def above(self, other: Operand) -> Expression:
        """self > other"""
        return Infix(">", self, of(other))

    def at_least(self, other: Operand) -> Expression:
        """self >= other"""
        return Infix(">=", self, of(other))

    def equals(self, other: Operand) -> Expression:
        """self == other"""
        return Infix("==", self, of(other))

    def when(self, condition: Expression, otherwise: Operand) -> Expression:
        """self if condition else otherwise"""
        return Select(self, condition, of(otherwise))


@dataclass(frozen=True, slots=True)
class Name(Expression):
    """A variable: what it is called does not matter to the kernel's machine code."""

    text: str


@dataclass(frozen=True, slots=True)
class Constant(Expression):
    """A number, or a dtype as an argument, as source."""

    text: str


@dataclass(frozen=True, slots=True)
class Element(Expression):
    """buffer[index]: an element of a buffer, which is loaded or stored."""

    buffer: Name
    index: Expression


@dataclass(frozen=True, slots=True)
class Infix(Expression):
    """left operator right"""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Inverted(Expression):
    """~operand: all bits of an integer inverted."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Select(Expression):
    """chosen if condition else otherwise"""

    chosen: Expression
    condition: Expression
    otherwise: Expression


@dataclass(frozen=True, slots=True)
class Applied(Expression):
    """function(arguments): a primitive, vector math, or a cast."""

    function: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Formula(Expression):
    """What an op's record says of an element: `{0}`, `{1}`, ... are the operands."""

    template: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Parenthesized(Expression):
    """(inner), where source shows what belongs together."""

    inner: Expression


# A bare number is one of integers.
Operand = Expression | int

# What operators bind, the weakest first.
_COMPARISONS = ("<", "<=", ">", ">=", "==")
_OPERATORS = (
    *(("or",), ("and",), _COMPARISONS, ("|",), ("&",), ("<<", ">>")),
    *(("+", "-"), ("*", "//", "%")),
)
_STRENGTH = {each: strength for strength, group in enumerate(_OPERATORS) for each in group}
# Who reads source does not know by heart what they bind.
_OF_BITS = frozenset({"|", "&", "<<", ">>"})


def of(value: Operand) -> Expression:
    """The expression of a bare integer, or what is one already."""
    return Constant(str(value)) if isinstance(value, int) else value


def applied(function: str, *arguments: Operand) -> Applied:
    """function(arguments)"""
    return Applied(function, tuple(map(of, arguments)))


def both(first: Expression, second: Expression) -> Expression:
    """first and second"""
    return Infix("and", first, second)


def either(first: Expression, second: Expression) -> Expression:
    """first or second"""
    return Infix("or", first, second)


def total(first: Expression, *others: Expression) -> Expression:
    """The terms added up one after the other."""
    return reduce(Expression.__add__, others, first)


def texts(*names: Name) -> frozenset[str]:
    """What the names are called."""
    return frozenset(name.text for name in names)


# What a name is called in the text.
Naming = Callable[[str], str]


def expression_text(expression: Expression, named: Naming = str) -> str:
    """Source of the expression, with as few parentheses as it can be read with."""
    match expression:
        case Name(text):
            return named(text)
        case Constant(text):
            return text
        case Element(buffer, index):
            return f"{named(buffer.text)}[{expression_text(index, named)}]"
        case Infix(operator, left, right):
            strength = _STRENGTH[operator]
            first = _operand_text(left, operator, strength + (operator in _COMPARISONS), named)
            second = _operand_text(right, operator, strength + 1, named)
            return f"{first} {operator} {second}"
        case Applied(function, arguments):
            return f"{function}({', '.join([expression_text(each, named) for each in arguments])})"
        case Formula(template, operands):
            return template.format(*[expression_text(each, named) for each in operands])
        case Select(chosen, condition, otherwise):
            parts = [expression_text(each, named) for each in (chosen, condition, otherwise)]
            return f"{parts[0]} if {parts[1]} else {parts[2]}"
        case Inverted(operand):
            inner = expression_text(operand, named)
            return f"~({inner})" if isinstance(operand, _COMPOUND) else f"~{inner}"
        case Parenthesized(inner):
            return f"({expression_text(inner, named)})"
    raise AssertionError(f"{expression!r} is no expression")


_COMPOUND: tuple[type[Any], ...] = (Infix, Select, Formula)


def _operand_text(operand: Expression, outer: str, least: int, named: Naming) -> str:
    """An operand of an operator, in parentheses unless it binds as `least` does, or stronger."""
    text = expression_text(operand, named)
    if isinstance(operand, Infix):
        inner = operand.operator
        mixes_bits = outer in _OF_BITS and inner != outer
        return f"({text})" if _STRENGTH[inner] < least or mixes_bits else text
    return f"({text})" if isinstance(operand, _COMPOUND) else text
