"""Arguments that begin where a kernel first touches them.

    x = buffer(arguments, 0, 2, f32)            # x: from element 1024 on
    y = buffer(arguments, 1, 2, f32)            x = buffer(arguments, 0, 2, f32)
    for i in range(512):                        y = buffer(arguments, 1, 2, f32)
        y[i] = x[i + 1024]                      for i in range(512):
                                                    y[i] = x[i]

So kernels of slices that differ in nothing but their places are one kernel, compiled once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphc.kernels.loops.language.expressions import (
    Applied,
    Constant,
    Element,
    Expression,
    Infix,
    Name,
    of,
    total,
)
from graphc.kernels.loops.language.indices import ADVANCE, advanced
from graphc.kernels.loops.language.source import BUFFER, KernelSource
from graphc.kernels.loops.language.statements import Comment, Let, Statement
from graphc.kernels.loops.language.tree import Tree, inside, with_inside


def from_first_elements(source: KernelSource) -> KernelSource:
    """The kernel whose arguments begin behind the elements that all places in them skip.

    An argument that is handed on as it is begins where it did.
    """
    numbers = _declared(source.statements)
    starts = _starts(source.statements, numbers)
    if not starts:
        return source
    moved = _Moved(starts)
    comments = [Comment(f"{name.text}: from element {n} on") for name, n in starts.items()]
    by_number = {numbers[name]: start for name, start in starts.items()}
    return replace(
        source,
        statements=(*comments, *map(moved.changed, source.statements)),
        starts=tuple(by_number.get(number, 0) for number in range(len(source.arguments))),
    )


def _declared(statements: Sequence[Statement]) -> dict[Name, int]:
    """The variables that are arguments, and the number of each."""
    found = {}
    for statement in statements:
        match statement:
            case Let(name, Applied(function, (_, Constant(number), *_))) if function == BUFFER:
                found[name] = int(number)
    return found


def _starts(statements: Sequence[Statement], arguments: Mapping[Name, int]) -> dict[Name, int]:
    """The arguments of which all places skip elements, and how many each does at the least."""
    found: dict[Name, int] = {}
    waiting = set(arguments)
    for statement in statements:
        for buffer, index in _places(statement):
            if buffer not in waiting:
                continue
            skipped = 0 if index is None else _skipped(index)
            found[buffer] = min(skipped, found.get(buffer, skipped))
            if found[buffer] <= 0:
                del found[buffer]
                waiting.remove(buffer)
        if not waiting:
            break
    return found


def _places(tree: Tree) -> Iterator[tuple[Name, Expression | None]]:
    """Each place in a buffer that the tree states, None for the buffer, or another variable, as it
    is; where an argument is declared none."""
    match tree:
        case Let(_, Applied(function)) if function == BUFFER:
            return
        case Element(buffer, index) | Applied(_, (Name() as buffer, index)) if _is_place(tree):
            yield buffer, index
            yield from _places(index)
        case Name():
            yield tree, None
        case _:
            for each in inside(tree):
                yield from _places(each)


def _is_place(tree: Tree) -> bool:
    return isinstance(tree, Element) or (isinstance(tree, Applied) and tree.function == ADVANCE)


def _skipped(index: Expression) -> int:
    """How many elements the index skips: the number that is a term of it."""
    return sum(int(term.text) for term in _terms(index) if isinstance(term, Constant))


def _terms(index: Expression) -> Iterator[Expression]:
    if isinstance(index, Infix) and index.operator == "+":
        yield from _terms(index.left)
        yield from _terms(index.right)
    else:
        yield index


@dataclass(frozen=True)
class _Moved:
    """Statements when arguments begin later. starts: at which of their elements."""

    starts: Mapping[Name, int]

    def changed(self, tree: Any) -> Any:
        match tree:
            case Element(buffer, index):
                return Element(buffer, self._index(buffer, index))
            case Applied(function, (Name() as buffer, index)) if function == ADVANCE:
                return advanced(buffer, self._index(buffer, index))
        return with_inside(tree, self.changed)

    def _index(self, buffer: Name, index: Expression) -> Expression:
        inner = self.changed(index)
        start = self.starts.get(buffer, 0)
        if not start:
            return inner
        rest = _skipped(inner) - start
        terms = [term for term in _terms(inner) if not isinstance(term, Constant)]
        if rest or not terms:
            terms.append(of(rest))
        return total(*terms)
