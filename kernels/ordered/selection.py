"""The first few of a line in order, without sorting the rest.

The best so far are kept in order; an element is put among them where it comes before the last of
these. In a line without any order few are.
"""

from __future__ import annotations

from graphc.kernels.loops.language.expressions import (
    Element,
    Expression,
    Name,
    applied,
    both,
    of,
    texts,
)
from graphc.kernels.loops.language.statements import Accumulate, Block, Stack, assigned
from graphc.kernels.ordered.lines import PLACE
from graphc.kernels.ordered.radix_sort import KEY

BEST, BEST_PLACES, LAST = Name("best"), Name("best_places"), Name("last")
TO, NEWEST, START = Name("to"), Name("newest"), Name("start")
SELECTION_VARIABLES = texts(BEST, BEST_PLACES, LAST, TO, NEWEST, START)
# How many elements are looked at together, whether any of them is among the best.
LOOKED_AT = 64


def select_first(into: Block, length: int, kept: int, key: Expression, dtype: str) -> None:
    """Appends what puts the `kept` least keys of a line in order in `best`, and where they stood in
    `best_places`; of equal keys the first. key: that of element i."""
    into.add(Stack(BEST, dtype, kept))
    into.add(Stack(BEST_PLACES, "i64", kept))
    begun = Block.of(assigned(KEY, key), assigned(TO, PLACE))
    begun.extend(_insertion())
    into.loop(PLACE, kept, begun)
    into.assign(LAST, Element(BEST, of(kept - 1)))
    whole = (length - kept) // LOOKED_AT * LOOKED_AT + kept
    each = _each(kept, key)
    if whole > kept:
        looked = Block.of(assigned(NEWEST, LAST))
        least = Block.of(Accumulate(NEWEST, applied("minimum_reassoc", NEWEST, key)))
        looked.loop(PLACE, (START, START + LOOKED_AT), least)
        inside = Block()
        inside.loop(PLACE, (START, START + LOOKED_AT), each)
        looked.branch(NEWEST.below(LAST), inside)
        into.loop(START, (kept, whole, LOOKED_AT), looked)
    into.loop(PLACE, (whole, length), each)


def _each(kept: int, key: Expression) -> Block:
    each, found = Block.of(assigned(KEY, key)), Block.of(assigned(TO, kept - 1))
    found.extend(_insertion())
    found.assign(LAST, Element(BEST, of(kept - 1)))
    each.branch(KEY.below(LAST), found)
    return each


def _insertion() -> Block:
    """Puts a key among the best, of which those from `to` on are one place further then."""
    before = TO - 1
    moved = Block.of(
        *(assigned(Element(array, TO), Element(array, before)) for array in (BEST, BEST_PLACES)),
        assigned(TO, before),
    )
    lines = Block()
    lines.repeat(both(TO.above(0), KEY.below(Element(BEST, before))), moved)
    lines.assign(Element(BEST, TO), KEY)
    lines.assign(Element(BEST_PLACES, TO), PLACE)
    return lines
