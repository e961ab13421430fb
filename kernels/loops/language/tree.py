"""Kernel source as a tree: what is inside of a statement or an expression."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from graphc.kernels.loops.language.expressions import (
    Applied,
    Constant,
    Element,
    Expression,
    Formula,
    Infix,
    Inverted,
    Name,
    Parenthesized,
    Select,
)
from graphc.kernels.loops.language.statements import (
    Accumulate,
    Break,
    Call,
    Comment,
    For,
    If,
    Let,
    Prefetch,
    Return,
    Stack,
    Statement,
    Store,
    While,
)

Tree = Statement | Expression

# The fields that hold trees, or tuples of them, in the order of the source.
_FIELDS: Mapping[type, tuple[str, ...]] = {
    Name: (),
    Constant: (),
    Element: ("buffer", "index"),
    Infix: ("left", "right"),
    Inverted: ("operand",),
    Select: ("chosen", "condition", "otherwise"),
    Applied: ("arguments",),
    Formula: ("operands",),
    Parenthesized: ("inner",),
    Let: ("name", "value"),
    Store: ("element", "value"),
    Accumulate: ("target", "value"),
    Stack: ("name",),
    Call: ("arguments",),
    Prefetch: ("element",),
    Comment: (),
    Return: (),
    Break: (),
    For: ("variable", "limits", "body"),
    If: ("condition", "body", "otherwise"),
    While: ("condition", "body"),
}


def inside(tree: Tree) -> Iterator[Tree]:
    """The trees that `tree` is made of."""
    for name in _FIELDS[type(tree)]:
        part = getattr(tree, name)
        if isinstance(part, tuple):
            yield from part
        else:
            yield part


def with_inside(tree: Tree, change: Callable[[Tree], Tree]) -> Tree:
    """The same of `change` of each tree that `tree` is made of."""
    # One of many dataclasses: no type says that each is one.
    whole: Any = tree
    changed: dict[str, Any] = {}
    for name in _FIELDS[type(tree)]:
        part = getattr(tree, name)
        changed[name] = tuple(map(change, part)) if isinstance(part, tuple) else change(part)
    made: Tree = replace(whole, **changed) if changed else tree
    return made
