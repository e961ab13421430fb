"""Sorting by digits, the least significant first: passes that each keep the order of equal digits.

A pass puts each key behind those before it that have the same digit; a digit that all keys share is
passed by. Of long keys the upper half comes first. It tells most keys apart, and what it leaves is
put in order by insertion. Where that takes too long, as where the upper halves are all the same,
the keys are sorted by all digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from graphc.kernels.loops.language.statements import (
    Block,
    Break,
    Element,
    Stack,
    Statement,
    assigned,
    increased,
)
from graphc.kernels.ordered.lines import PLACE

# More values of a digit would need more memory than the first cache has: keys go to all of them in
# turn.
DIGIT_BITS = 8
VALUES = 1 << DIGIT_BITS
# How many keys are moved at once.
TOGETHER = 2
# The upper bits of a key that come first.
FIRST_BITS = 32

KEY, COUNTS, COUNT, SLOT, DIGIT, SHIFT, SOURCE, TARGET, TO, MOST, SIGN, MOVES = (
    "key", "counts", "count", "slot", "digit", "shift", "source", "target", "to", "most", "sign",
    "moves",
)  # fmt: skip
RADIX_VARIABLES = frozenset(
    {KEY, COUNTS, COUNT, SLOT, DIGIT, SHIFT, SOURCE, TARGET, TO, MOST, SIGN, MOVES}
    | {f"{name}_{number}" for name in (KEY, SLOT, TO) for number in range(TOGETHER)}
)


@dataclass(frozen=True)
class Digits:
    """Bits `low` to `high` of integers, in digits of 8; signed: whether the last bit is a sign."""

    low: int
    high: int
    signed: bool

    @property
    def count(self) -> int:
        return (self.high - self.low) // DIGIT_BITS

    @property
    def slots(self) -> int:
        """How many counts there are for the values of all digits."""
        return self.count * VALUES

    def slot(self, key: str, number: int = 0) -> str:
        """Source of where the count of a key's digit stands. A sign bit that is set comes first."""
        shift = self.low + number * DIGIT_BITS
        value = f"({key} >> {shift}) & {VALUES - 1}"
        if self.signed and number == self.count - 1:
            value = f"(({key} >> {shift}) + {VALUES // 2}) & {VALUES - 1}"
        return f"{number * VALUES} + ({value})" if number else f"({value})"


@dataclass(frozen=True)
class Line:
    """A line that is sorted by digits.

    load_of: source of the key of the element at a place. arrays: of the keys, each with room for
        two lines, and of the places that go with them. store: (place, key or what goes with it) ->
        the statement that stores it as the element of the result.
    """

    length: int
    load_of: Callable[[str], str]
    arrays: tuple[str, ...]
    store: Callable[[str, str], Statement]


@dataclass(frozen=True)
class _Moved:
    """What a pass moves, as source of a place, and where to.

    key: of the key. other: of the place that goes with it. slot: of the key's count. store: (place,
    key, other) -> the statements.
    """

    key: Callable[[str], str]
    other: Callable[[str], str]
    slot: Callable[[str], str]
    store: Callable[[str, str, str], list[Statement]]


def radix_sort(into: Block, digits: Digits, line: Line, kept: int) -> None:
    """Appends what sorts a line and stores the first `kept` of it."""
    first = digits
    if digits.high - digits.low > FIRST_BITS:
        first = replace(digits, low=digits.high - FIRST_BITS)
    into.add(Stack(COUNTS, "i64", 2 * digits.slots))
    _count(into, first, line, line.load_of)
    # The last pass stores the result, unless that must be looked at once more.
    passes = first.count - (first is digits and kept == line.length)
    given = _Moved(line.load_of, lambda place: place, first.slot, _to_arrays(line, ""))
    if passes == 0:
        given = replace(given, store=lambda to, key, other: [line.store(to, key)])
    _begins(into, "0")
    _move(into, line, given)
    into.assign(SOURCE, "0")
    into.assign(TARGET, str(line.length))
    _passes(into, first, line, range(1, passes))
    if first is not digits:
        _insert(into, line)
        again = Block()
        _count(again, digits, line, lambda place: f"{line.arrays[0]}[{SOURCE} + {place}]")
        _passes(again, digits, line, range(digits.count))
        into.branch(f"{MOVES} > {line.length}", again)
    if passes == first.count:
        stored = line.store(PLACE, f"{line.arrays[-1]}[{SOURCE} + {PLACE}]")
        into.loop(PLACE, kept, Block.of(stored))
    elif passes:
        _begins(into, str(passes * VALUES))
        last = _from_arrays(line, lambda key: digits.slot(key, passes))
        _move(into, line, replace(last, store=lambda to, key, other: [line.store(to, key)]))


def _to_arrays(line: Line, target: str) -> Callable[[str, str, str], list[Statement]]:
    keys, *others = line.arrays
    return lambda to, key, other: [
        assigned(Element(keys, f"{target}{to}"), key),
        *(assigned(Element(array, f"{target}{to}"), other) for array in others),
    ]


def _from_arrays(line: Line, slot: Callable[[str], str]) -> _Moved:
    """From the half of the arrays where the line stands to the other."""
    return _Moved(
        lambda place: f"{line.arrays[0]}[{SOURCE} + {place}]",
        lambda place: f"{line.arrays[-1]}[{SOURCE} + {place}]",
        slot,
        _to_arrays(line, f"{TARGET} + "),
    )


def _count(into: Block, digits: Digits, line: Line, load: Callable[[str], str]) -> None:
    """How often each value of each digit occurs: of every second key apart, since a count that the
    key before has changed is not at hand at once."""
    zero = Block.of(assigned(Element(COUNTS, SLOT), "0"))
    into.loop(SLOT, 2 * digits.slots, zero)
    whole = line.length // 2 * 2
    if whole:
        into.loop(PLACE, f"0, {whole}, 2", _counted(digits, load, 2))
    if whole < line.length:
        into.loop(PLACE, f"{whole}, {line.length}", _counted(digits, load, 1))
    both = Block()
    both.add(increased(Element(COUNTS, SLOT), Element(COUNTS, f"{digits.slots} + {SLOT}")))
    into.loop(SLOT, digits.slots, both)


def _counted(digits: Digits, load: Callable[[str], str], keys: int) -> Block:
    lines = Block()
    for n in range(keys):
        lines.assign(KEY, load(f"{PLACE} + {n}" if n else PLACE))
        for number in range(digits.count):
            slot = digits.slot(KEY, number)
            lines.assign(SLOT, f"{n * digits.slots} + {slot}" if n else slot)
            lines.accumulate(Element(COUNTS, SLOT), f"{COUNTS}[{SLOT}] + 1")
    return lines


def _begins(into: Block, first: str) -> None:
    """In place of each count of a digit the number of keys that come before, and `most` of them."""
    into.assign(TO, "0")
    into.assign(MOST, "0")
    count = Element(COUNTS, SLOT)
    begins = Block.of(
        assigned(COUNT, count),
        assigned(count, TO),
        increased(TO, COUNT),
        assigned(MOST, f"{COUNT} if {COUNT} > {MOST} else {MOST}"),
    )
    into.loop(SLOT, f"{first}, {first} + {VALUES}", begins)


def _move(into: Block, line: Line, moved: _Moved) -> None:
    """Puts each key, and the place that goes with it, behind those with the same digit.

    Several at once: where the next key goes is read before the one before it is stored, since a
    load waits for stores whose address is not known yet. Of equal digits the later goes one place
    further.
    """
    whole = line.length // TOGETHER * TOGETHER
    if whole:
        body = Block.of(*_several(moved, TOGETHER))
        into.loop(PLACE, f"0, {whole}, {TOGETHER}", body)
    if whole < line.length:
        into.loop(PLACE, f"{whole}, {line.length}", Block.of(*_several(moved, 1)))


def _several(moved: _Moved, count: int) -> list[Statement]:
    numbers = range(count)
    at = [f"{PLACE} + {n}" if n else PLACE for n in numbers]
    counts = [Element(COUNTS, f"{SLOT}_{n}") for n in numbers]
    made: list[Statement] = [assigned(f"{KEY}_{n}", moved.key(at[n])) for n in numbers]
    made += [assigned(f"{SLOT}_{n}", moved.slot(f"{KEY}_{n}")) for n in numbers]
    for n in numbers:
        same = [f" + ({SLOT}_{n} == {SLOT}_{before})" for before in range(n)]
        made.append(assigned(f"{TO}_{n}", f"{counts[n]}{''.join(same)}"))
    made += [assigned(counts[n], f"{TO}_{n} + 1") for n in numbers]
    for n in numbers:
        made += moved.store(f"{TO}_{n}", f"{KEY}_{n}", moved.other(at[n]))
    return made


def _passes(into: Block, digits: Digits, line: Line, numbers: range) -> None:
    """A pass for each of some digits."""
    if not numbers:
        return
    body, moved = Block(), Block()
    _begins(body, f"{DIGIT} * {VALUES}")
    sign = VALUES // 2 if digits.signed else 0
    moved.assign(SHIFT, f"{digits.low} + {DIGIT} * {DIGIT_BITS}")
    moved.assign(SIGN, f"{sign} if {DIGIT} == {digits.count - 1} else 0")
    value = f"{SHIFT}) + {SIGN}) & {VALUES - 1})"
    slot = f"{DIGIT} * {VALUES} + ((("
    _move(moved, line, _from_arrays(line, lambda key: f"{slot}{key} >> {value}"))
    moved.assign(SOURCE, f"{line.length} - {SOURCE}")
    moved.assign(TARGET, f"{line.length} - {TARGET}")
    body.branch(f"{MOST} < {line.length}", moved)
    into.loop(DIGIT, f"{numbers.start}, {numbers.stop}", body)


def _insert(into: Block, line: Line) -> None:
    """Puts each key before those that are greater, until there were too many of these."""
    keys = line.arrays[0]
    into.assign(MOVES, "0")
    each, found = Block.of(assigned(KEY, Element(keys, PLACE))), Block.of(assigned(TO, PLACE))
    found.add(*(assigned(COUNT, Element(array, PLACE)) for array in line.arrays[1:]))
    before = f"{TO} - 1"
    moved = Block.of(
        *(assigned(Element(array, TO), Element(array, before)) for array in line.arrays),
        assigned(TO, before),
        increased(MOVES, "1"),
    )
    found.repeat(f"{TO} > {SOURCE} and {KEY} < {keys}[{before}]", moved)
    found.assign(Element(keys, TO), KEY)
    found.add(*(assigned(Element(array, TO), COUNT) for array in line.arrays[1:]))
    found.branch(f"{MOVES} > {line.length}", Block.of(Break()))
    each.branch(f"{KEY} < {keys}[{PLACE} - 1]", found)
    into.loop(PLACE, f"{SOURCE} + 1, {SOURCE} + {line.length}", each)
