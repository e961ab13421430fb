"""Sorting by digits, the least significant first: passes that each keep the order of equal digits.

Every pass reads the keys once and puts each behind those of the same digit. How long it takes
depends on the number of keys alone, and a digit that all keys share is passed by.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from graphc.kernels.lines import PLACE
from graphc.kernels.source import Block

# Lines of fewer elements than this have digits of 8 bits: counts of longer ones take longer than
# the keys.
MANY_KEYS = 3000
LONG_DIGIT_BITS, SHORT_DIGIT_BITS = 11, 8

KEY, COUNTS, COUNT, SLOT, DIGIT, SHIFT, SOURCE, TARGET, TO, MOST = (
    "key", "counts", "count", "slot", "digit", "shift", "source", "target", "to", "most",
)  # fmt: skip
RADIX_VARIABLES = frozenset({KEY, COUNTS, COUNT, SLOT, DIGIT, SHIFT, SOURCE, TARGET, TO, MOST})


@dataclass(frozen=True)
class Digits:
    """The digits of keys: bits `low` to `high` of each, which are unsigned numbers."""

    low: int
    high: int
    bits: int

    @property
    def passes(self) -> int:
        return ceil((self.high - self.low) / self.bits)

    @property
    def values(self) -> int:
        return 1 << self.bits


def digits_of(low: int, high: int, length: int) -> Digits:
    """Digits of bits `low` to `high` for lines of `length` keys."""
    return Digits(low, high, LONG_DIGIT_BITS if length >= MANY_KEYS else SHORT_DIGIT_BITS)


def radix_sort(
    into: Block, digits: Digits, length: int, load: list[str], arrays: tuple[str, ...]
) -> None:
    """Appends what sorts one line: `arrays[0]` holds the keys, others what goes with each.

    load: the lines that set `key` to the key of element i and put it, with what goes with it, at i.
    Each array has room for two lines; behind the sort the line begins at `source`.
    """
    values, mask = digits.values, digits.values - 1
    into.add(f"{COUNTS} = stack(i64, {digits.passes * values})")
    into.nest(f"for {SLOT} in range({digits.passes * values}):", Block([f"{COUNTS}[{SLOT}] = 0"]))
    counted = Block(list(load))
    for number in range(digits.passes):
        shift = digits.low + number * digits.bits
        counted.add(f"{SLOT} = {number * values} + (({KEY} >> {shift}) & {mask})")
        counted.add(f"{COUNTS}[{SLOT}] = {COUNTS}[{SLOT}] + 1")
    into.nest(f"for {PLACE} in range({length}):", counted)
    into.lines += [f"{SOURCE} = 0", f"{TARGET} = {length}"]
    body = Block([f"{TO} = 0", f"{MOST} = 0"])
    begins = [
        f"{COUNT} = {COUNTS}[{SLOT}]",
        f"{COUNTS}[{SLOT}] = {TO}",
        f"{TO} = {TO} + {COUNT}",
        f"{MOST} = {COUNT} if {COUNT} > {MOST} else {MOST}",
    ]
    first = f"{DIGIT} * {values}"
    body.nest(f"for {SLOT} in range({first}, {first} + {values}):", Block(begins))
    moved = Block([f"{SHIFT} = {digits.low} + {DIGIT} * {digits.bits}"])
    move = [
        f"{KEY} = {arrays[0]}[{SOURCE} + {PLACE}]",
        f"{SLOT} = {first} + (({KEY} >> {SHIFT}) & {mask})",
        f"{TO} = {COUNTS}[{SLOT}]",
        f"{COUNTS}[{SLOT}] = {TO} + 1",
        f"{arrays[0]}[{TARGET} + {TO}] = {KEY}",
        *(f"{array}[{TARGET} + {TO}] = {array}[{SOURCE} + {PLACE}]" for array in arrays[1:]),
    ]
    moved.nest(f"for {PLACE} in range({length}):", Block(move))
    moved.lines += [f"{SOURCE} = {length} - {SOURCE}", f"{TARGET} = {length} - {TARGET}"]
    body.nest(f"if {MOST} < {length}:", moved)
    into.nest(f"for {DIGIT} in range({digits.passes}):", body)
