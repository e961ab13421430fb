"""Sorting by digits, the least significant first: passes that each keep the order of equal digits.

A pass puts each key behind those before it that have the same digit; a digit that all keys share is
passed by. Of long keys the upper half comes first. It tells most keys apart, and what it leaves is
put in order by insertion. Where that takes too long, as where the upper halves are all the same,
the keys are sorted by all digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from graphc.kernels.loops.language.expressions import (
    Element,
    Expression,
    Name,
    Parenthesized,
    both,
    of,
    texts,
    total,
)
from graphc.kernels.loops.language.indices import ZERO
from graphc.kernels.loops.language.statements import (
    Block,
    Break,
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

KEY, COUNTS, COUNT, SLOT = map(Name, ("key", "counts", "count", "slot"))
DIGIT, SHIFT, SIGN, SOURCE = map(Name, ("digit", "shift", "sign", "source"))
TARGET, TO, MOST, MOVES = map(Name, ("target", "to", "most", "moves"))


def _numbered(name: Name) -> list[Name]:
    """The variables of several keys that are moved at once."""
    return [Name(f"{name.text}_{number}") for number in range(TOGETHER)]


RADIX_VARIABLES = texts(
    *(KEY, COUNTS, COUNT, SLOT, DIGIT, SHIFT, SOURCE, TARGET, TO, MOST, SIGN, MOVES),
    *(each for name in (KEY, SLOT, TO) for each in _numbered(name)),
)

# The expression of what stands at a place.
_At = Callable[[Expression], Expression]


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

    def slot(self, key: Expression, number: int = 0) -> Expression:
        """Where the count of a key's digit stands. A sign bit that is set comes first."""
        value = key >> (self.low + number * DIGIT_BITS)
        if self.signed and number == self.count - 1:
            value = value + VALUES // 2
        value = Parenthesized(value & (VALUES - 1))
        return of(number * VALUES) + value if number else value


@dataclass(frozen=True)
class Line:
    """A line that is sorted by digits.

    load_of: the key of the element at a place. arrays: of the keys, each with room for
        two lines, and of the places that go with them. store: (place, key or what goes with it) ->
        the statement that stores it as the element of the result.
    """

    length: int
    load_of: _At
    arrays: tuple[Name, ...]
    store: Callable[[Expression, Expression], Statement]


@dataclass(frozen=True)
class _Moved:
    """What a pass moves, by its place, and where to.

    key: of the key. other: of the place that goes with it. slot: of the key's count. store: (place,
    key, other) -> the statements.
    """

    key: _At
    other: _At
    slot: _At
    store: Callable[[Expression, Expression, Expression], list[Statement]]


def radix_sort(into: Block, digits: Digits, line: Line, kept: int) -> None:
    """Appends what sorts a line and stores the first `kept` of it."""
    first = digits
    if digits.high - digits.low > FIRST_BITS:
        first = replace(digits, low=digits.high - FIRST_BITS)
    into.add(Stack(COUNTS, "i64", 2 * digits.slots))
    _count(into, first, line, line.load_of)
    # The last pass stores the result, unless that must be looked at once more.
    passes = first.count - (first is digits and kept == line.length)
    given = _Moved(line.load_of, lambda place: place, first.slot, _to_arrays(line, ZERO))
    if passes == 0:
        given = replace(given, store=lambda to, key, other: [line.store(to, key)])
    _begins(into, ZERO)
    _move(into, line, given)
    into.assign(SOURCE, 0)
    into.assign(TARGET, line.length)
    _passes(into, first, line, range(1, passes))
    if first is not digits:
        _insert(into, line)
        again = Block()
        _count(again, digits, line, lambda place: Element(line.arrays[0], SOURCE + place))
        _passes(again, digits, line, range(digits.count))
        into.branch(MOVES.above(line.length), again)
    if passes == first.count:
        stored = line.store(PLACE, Element(line.arrays[-1], SOURCE + PLACE))
        into.loop(PLACE, kept, Block.of(stored))
    elif passes:
        _begins(into, of(passes * VALUES))
        last = _from_arrays(line, lambda key: digits.slot(key, passes))
        _move(into, line, replace(last, store=lambda to, key, other: [line.store(to, key)]))


def _to_arrays(
    line: Line, target: Expression
) -> Callable[[Expression, Expression, Expression], list[Statement]]:
    """Stores that begin at a place of the arrays."""
    keys, *others = line.arrays

    def stores(to: Expression, key: Expression, other: Expression) -> list[Statement]:
        place = to if target == ZERO else target + to
        values = [(keys, key), *((array, other) for array in others)]
        return [assigned(Element(array, place), value) for array, value in values]

    return stores


def _from_arrays(line: Line, slot: _At) -> _Moved:
    """From the half of the arrays where the line stands to the other."""
    return _Moved(
        lambda place: Element(line.arrays[0], SOURCE + place),
        lambda place: Element(line.arrays[-1], SOURCE + place),
        slot,
        _to_arrays(line, TARGET),
    )


def _count(into: Block, digits: Digits, line: Line, load: _At) -> None:
    """How often each value of each digit occurs: of every second key apart, since a count that the
    key before has changed is not at hand at once."""
    zero = Block.of(assigned(Element(COUNTS, SLOT), 0))
    into.loop(SLOT, 2 * digits.slots, zero)
    whole = line.length // 2 * 2
    if whole:
        into.loop(PLACE, (0, whole, 2), _counted(digits, load, 2))
    if whole < line.length:
        into.loop(PLACE, (whole, line.length), _counted(digits, load, 1))
    second = Element(COUNTS, of(digits.slots) + SLOT)
    into.loop(SLOT, digits.slots, Block.of(increased(Element(COUNTS, SLOT), second)))


def _counted(digits: Digits, load: _At, keys: int) -> Block:
    lines = Block()
    for n in range(keys):
        lines.assign(KEY, load(PLACE + n if n else PLACE))
        for number in range(digits.count):
            slot = digits.slot(KEY, number)
            lines.assign(SLOT, of(n * digits.slots) + slot if n else slot)
            lines.add(increased(Element(COUNTS, SLOT), 1))
    return lines


def _begins(into: Block, first: Expression) -> None:
    """In place of each count of a digit the number of keys that come before, and `most` of them."""
    into.assign(TO, 0)
    into.assign(MOST, 0)
    count = Element(COUNTS, SLOT)
    begins = Block.of(
        assigned(COUNT, count),
        assigned(count, TO),
        increased(TO, COUNT),
        assigned(MOST, COUNT.when(COUNT.above(MOST), MOST)),
    )
    into.loop(SLOT, (first, first + VALUES), begins)


def _move(into: Block, line: Line, moved: _Moved) -> None:
    """Puts each key, and the place that goes with it, behind those with the same digit.

    Several at once: where the next key goes is read before the one before it is stored, since a
    load waits for stores whose address is not known yet. Of equal digits the later goes one place
    further.
    """
    whole = line.length // TOGETHER * TOGETHER
    if whole:
        body = Block.of(*_several(moved, TOGETHER))
        into.loop(PLACE, (0, whole, TOGETHER), body)
    if whole < line.length:
        into.loop(PLACE, (whole, line.length), Block.of(*_several(moved, 1)))


def _several(moved: _Moved, count: int) -> list[Statement]:
    numbers = range(count)
    keys, slots, to = map(_numbered, (KEY, SLOT, TO))
    at = [PLACE + n if n else PLACE for n in numbers]
    counts = [Element(COUNTS, slots[n]) for n in numbers]
    made: list[Statement] = [assigned(keys[n], moved.key(at[n])) for n in numbers]
    made += [assigned(slots[n], moved.slot(keys[n])) for n in numbers]
    for n in numbers:
        same = (slots[n].equals(slots[before]) for before in range(n))
        made.append(assigned(to[n], total(counts[n], *same)))
    made += [assigned(counts[n], to[n] + 1) for n in numbers]
    for n in numbers:
        made += moved.store(to[n], keys[n], moved.other(at[n]))
    return made


def _passes(into: Block, digits: Digits, line: Line, numbers: range) -> None:
    """A pass for each of some digits."""
    if not numbers:
        return
    body, moved = Block(), Block()
    _begins(body, DIGIT * VALUES)
    sign = VALUES // 2 if digits.signed else 0
    moved.assign(SHIFT, of(digits.low) + DIGIT * DIGIT_BITS)
    moved.assign(SIGN, of(sign).when(DIGIT.equals(digits.count - 1), 0))

    def slot(key: Expression) -> Expression:
        return DIGIT * VALUES + (((key >> SHIFT) + SIGN) & (VALUES - 1))

    _move(moved, line, _from_arrays(line, slot))
    moved.assign(SOURCE, of(line.length) - SOURCE)
    moved.assign(TARGET, of(line.length) - TARGET)
    body.branch(MOST.below(line.length), moved)
    into.loop(DIGIT, (numbers.start, numbers.stop), body)


def _insert(into: Block, line: Line) -> None:
    """Puts each key before those that are greater, until there were too many of these."""
    keys = line.arrays[0]
    into.assign(MOVES, 0)
    each, found = Block.of(assigned(KEY, Element(keys, PLACE))), Block.of(assigned(TO, PLACE))
    found.add(*(assigned(COUNT, Element(array, PLACE)) for array in line.arrays[1:]))
    before = TO - 1
    moved = Block.of(
        *(assigned(Element(array, TO), Element(array, before)) for array in line.arrays),
        assigned(TO, before),
        increased(MOVES, 1),
    )
    found.repeat(both(TO.above(SOURCE), KEY.below(Element(keys, before))), moved)
    found.assign(Element(keys, TO), KEY)
    found.add(*(assigned(Element(array, TO), COUNT) for array in line.arrays[1:]))
    found.branch(MOVES.above(line.length), Block.of(Break()))
    each.branch(KEY.below(Element(keys, PLACE - 1)), found)
    into.loop(PLACE, (SOURCE + 1, SOURCE + line.length), each)
