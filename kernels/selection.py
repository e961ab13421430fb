"""The first few of a line in order, without sorting the rest.

The best so far are kept in order; an element is put among them where it comes before the last of
these. In a line without any order few are.
"""

from __future__ import annotations

from graphc.kernels.lines import PLACE
from graphc.kernels.radix_sort import KEY
from graphc.kernels.source import Block

BEST, BEST_PLACES, LAST, TO, NEWEST, START = (
    "best", "best_places", "last", "to", "newest", "start",
)  # fmt: skip
SELECTION_VARIABLES = frozenset({BEST, BEST_PLACES, LAST, TO, NEWEST, START})
# How many elements are looked at together, whether any of them is among the best.
LOOKED_AT = 64


def select_first(into: Block, length: int, kept: int, key: str, dtype: str) -> None:
    """Appends what puts the `kept` least keys of a line in order in `best`, and where they stood in
    `best_places`; of equal keys the first. key: source of that of element i."""
    into.add(f"{BEST} = stack({dtype}, {kept})")
    into.add(f"{BEST_PLACES} = stack(i64, {kept})")
    begun = Block([f"{KEY} = {key}", f"{TO} = {PLACE}"])
    begun.extend(_insertion())
    into.nest(f"for {PLACE} in range({kept}):", begun)
    into.add(f"{LAST} = {BEST}[{kept - 1}]")
    whole = (length - kept) // LOOKED_AT * LOOKED_AT + kept
    each = _each(kept, key)
    if whole > kept:
        looked = Block([f"{NEWEST} = {LAST}"])
        least = Block([f"{NEWEST} = minimum_reassoc({NEWEST}, {key})"])
        looked.nest(f"for {PLACE} in range({START}, {START} + {LOOKED_AT}):", least)
        inside = Block()
        inside.nest(f"for {PLACE} in range({START}, {START} + {LOOKED_AT}):", each)
        looked.nest(f"if {NEWEST} < {LAST}:", inside)
        into.nest(f"for {START} in range({kept}, {whole}, {LOOKED_AT}):", looked)
    into.nest(f"for {PLACE} in range({whole}, {length}):", each)


def _each(kept: int, key: str) -> Block:
    each, found = Block([f"{KEY} = {key}"]), Block([f"{TO} = {kept - 1}"])
    found.extend(_insertion())
    found.add(f"{LAST} = {BEST}[{kept - 1}]")
    each.nest(f"if {KEY} < {LAST}:", found)
    return each


def _insertion() -> Block:
    """Puts a key among the best, of which those from `to` on are one place further then."""
    moved = [
        f"{BEST}[{TO}] = {BEST}[{TO} - 1]",
        f"{BEST_PLACES}[{TO}] = {BEST_PLACES}[{TO} - 1]",
        f"{TO} = {TO} - 1",
    ]
    lines = Block()
    lines.nest(f"while {TO} > 0 and {KEY} < {BEST}[{TO} - 1]:", Block(moved))
    lines.lines += [f"{BEST}[{TO}] = {KEY}", f"{BEST_PLACES}[{TO}] = {PLACE}"]
    return lines
