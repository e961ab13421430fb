"""The first few of a line in order, without sorting the rest.

The best so far are kept in order; an element is put among them where it comes before the last of
these. In a line without any order few are.
"""

from __future__ import annotations

from graphc.kernels.loops.language.statements import Accumulate, Block, Element, Stack, assigned
from graphc.kernels.ordered.lines import PLACE
from graphc.kernels.ordered.radix_sort import KEY

BEST, BEST_PLACES, LAST, TO, NEWEST, START = (
    "best", "best_places", "last", "to", "newest", "start",
)  # fmt: skip
SELECTION_VARIABLES = frozenset({BEST, BEST_PLACES, LAST, TO, NEWEST, START})
# How many elements are looked at together, whether any of them is among the best.
LOOKED_AT = 64


def select_first(into: Block, length: int, kept: int, key: str, dtype: str) -> None:
    """Appends what puts the `kept` least keys of a line in order in `best`, and where they stood in
    `best_places`; of equal keys the first. key: source of that of element i."""
    into.add(Stack(BEST, dtype, kept))
    into.add(Stack(BEST_PLACES, "i64", kept))
    begun = Block.of(assigned(KEY, key), assigned(TO, PLACE))
    begun.extend(_insertion())
    into.loop(PLACE, kept, begun)
    into.assign(LAST, f"{BEST}[{kept - 1}]")
    whole = (length - kept) // LOOKED_AT * LOOKED_AT + kept
    each = _each(kept, key)
    if whole > kept:
        looked = Block.of(assigned(NEWEST, LAST))
        least = Block.of(Accumulate(NEWEST, f"minimum_reassoc({NEWEST}, {key})"))
        looked.loop(PLACE, f"{START}, {START} + {LOOKED_AT}", least)
        inside = Block()
        inside.loop(PLACE, f"{START}, {START} + {LOOKED_AT}", each)
        looked.branch(f"{NEWEST} < {LAST}", inside)
        into.loop(START, f"{kept}, {whole}, {LOOKED_AT}", looked)
    into.loop(PLACE, f"{whole}, {length}", each)


def _each(kept: int, key: str) -> Block:
    each, found = Block.of(assigned(KEY, key)), Block.of(assigned(TO, str(kept - 1)))
    found.extend(_insertion())
    found.assign(LAST, f"{BEST}[{kept - 1}]")
    each.branch(f"{KEY} < {LAST}", found)
    return each


def _insertion() -> Block:
    """Puts a key among the best, of which those from `to` on are one place further then."""
    before = f"{TO} - 1"
    moved = Block.of(
        *(assigned(Element(array, TO), Element(array, before)) for array in (BEST, BEST_PLACES)),
        assigned(TO, before),
    )
    lines = Block()
    lines.repeat(f"{TO} > 0 and {KEY} < {BEST}[{before}]", moved)
    lines.assign(Element(BEST, TO), KEY)
    lines.assign(Element(BEST_PLACES, TO), PLACE)
    return lines
