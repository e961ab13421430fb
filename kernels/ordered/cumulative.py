"""Lines along which each element is made of the one before it.

Where the step is a sum, a long line stops after each block, and the sum of all blocks before is
made of the sums of blocks that are added up in pairs (`kernels/loops/rewrites/pairwise.py`): an
element errs by about as many roundings as a block has terms, and one for each binary digit of their
number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from graphc.kernels.loops.language.expressions import (
    Element,
    Expression,
    Infix,
    Name,
    Parenthesized,
    of,
    texts,
)
from graphc.kernels.loops.language.indices import ZERO
from graphc.kernels.loops.language.statements import (
    Block,
    Stack,
    Statement,
    assigned,
    increased,
)
from graphc.kernels.loops.rewrites.pairwise import PairwiseStack, entries_of
from graphc.kernels.ordered.lines import LINE, PLACE, LineArray

# The variables of the lines below.
CARRY, VALUE, TOTAL, BEFORE = map(Name, ("carry", "value", "total", "before"))
ENTRIES, ENTRY, PART, TOTALS = map(Name, ("entries", "entry", "part", "totals"))
START, END = Name("start"), Name("end")
STACK = PairwiseStack(Name("top"), Name("number"), Name("digits"))
VARIABLES = texts(CARRY, VALUE, TOTAL, ENTRIES, ENTRY, BEFORE, START, END, PART, TOTALS)
VARIABLES |= texts(STACK.top, STACK.number, STACK.carry)

# A block of one line is cut into parts that are added up side by side: each addition waits for the
# one before it, which takes as long as several others.
PARTS = 8
PART_LENGTH = 32
BLOCK_LENGTH = PARTS * PART_LENGTH
# The elements of a block of lines side by side.
BESIDE_LENGTH = 128


@dataclass(frozen=True)
class Step:
    """An op's step: `of(carry, place, line)` is the element at `place` of a line.

    zero: what adds nothing, the sign of zero included.
    """

    dtype: str
    zero: Expression
    of: Callable[[Expression, Expression, Expression], Expression]


def one_after_the_other(
    into: Block,
    step: Step,
    x: LineArray,
    y: LineArray,
    length: int,
    width: int,
    lines: Expression,
) -> None:
    """Lines side by side, each element of the one before it."""
    if lines == of(1):
        into.assign(CARRY, x.element(ZERO, ZERO))
        into.assign(y.element(ZERO, ZERO), CARRY)
        body = Block()
        body.assign(CARRY, step.of(CARRY, PLACE, ZERO))
        body.assign(y.element(PLACE, ZERO), CARRY)
        into.loop(PLACE, (1, length), body)
        return
    carry = Element(CARRY, LINE)
    into.add(Stack(CARRY, step.dtype, width))
    first = Block.of(
        assigned(VALUE, x.element(ZERO)), assigned(carry, VALUE), assigned(y.element(ZERO), VALUE)
    )
    into.loop(LINE, lines, first)
    later = Block()
    value = Block.of(
        assigned(VALUE, step.of(carry, PLACE, LINE)),
        assigned(carry, VALUE),
        assigned(y.element(PLACE), VALUE),
    )
    later.loop(LINE, lines, value)
    into.loop(PLACE, (1, length), later)


def blocks_side_by_side(
    into: Block,
    step: Step,
    x: LineArray,
    y: LineArray,
    length: int,
    width: int,
    lines: Expression,
) -> None:
    """Sums of long lines side by side, each in blocks."""

    def each(block: Block, *statements: Statement) -> None:
        block.loop(LINE, lines, Block.of(*statements))

    def entry(number: Expression) -> Element:
        return Element(ENTRIES, number * width + LINE)

    total, before = Element(TOTAL, LINE), Element(BEFORE, LINE)
    entries = entries_of(ceil(length / BESIDE_LENGTH))
    into.add(Stack(TOTAL, step.dtype, width))
    into.add(Stack(BEFORE, step.dtype, width))
    into.add(Stack(ENTRIES, step.dtype, entries * width))
    each(into, assigned(before, step.zero))
    into.extend(STACK.begun())
    block, inside, merged = Block(), Block(), Block()
    last = length - BESIDE_LENGTH
    block.assign(END, (START + BESIDE_LENGTH).when(START.at_most(last), length))
    each(block, assigned(total, step.zero))
    value = [assigned(VALUE, step.of(total, PLACE, LINE)), assigned(total, VALUE)]
    each(inside, *value, assigned(y.element(PLACE), _sum(before, VALUE)))
    block.loop(PLACE, (START, END), inside)
    each(block, assigned(entry(STACK.top), total))
    each(merged, increased(entry(STACK.top - 1), entry(STACK.top)))
    block.extend(STACK.pushed(merged))
    each(block, assigned(before, entry(ZERO)))
    sums = Block()
    each(sums, increased(before, entry(ENTRY)))
    block.loop(ENTRY, (1, STACK.top), sums)
    into.loop(START, (0, length, BESIDE_LENGTH), block)


def one_line_in_blocks(into: Block, step: Step, x: LineArray, y: LineArray, length: int) -> None:
    """Sums of one long line: of parts of a block side by side, then of the parts before each."""
    blocks = length // BLOCK_LENGTH
    into.add(Stack(TOTALS, step.dtype, PARTS))
    into.add(Stack(ENTRIES, step.dtype, entries_of(blocks)))
    into.assign(BEFORE, step.zero)
    into.extend(STACK.begun())
    whole = blocks * BLOCK_LENGTH
    into.loop(START, (0, whole, BLOCK_LENGTH), _block(step, x, y))
    if whole < length:
        into.assign(TOTAL, step.zero)
        rest = Block.of(
            assigned(TOTAL, step.of(TOTAL, PLACE, ZERO)),
            assigned(y.element(PLACE, ZERO), _sum(BEFORE, TOTAL)),
        )
        into.loop(PLACE, (whole, length), rest)


def _block(step: Step, x: LineArray, y: LineArray) -> Block:
    """The lines of one block, behind which `before` is the sum of all so far."""
    total = Element(TOTALS, PART)
    first = START + PART * PART_LENGTH
    place = first + PLACE
    block, inside, offset = Block(), Block(), Block()
    begun = [assigned(total, x.element(first, ZERO)), assigned(y.element(first, ZERO), total)]
    block.loop(PART, PARTS, Block.of(*begun))
    value = [assigned(VALUE, step.of(total, place, ZERO)), assigned(total, VALUE)]
    inside.loop(PART, PARTS, Block.of(*value, assigned(y.element(place, ZERO), VALUE)))
    block.loop(PLACE, (1, PART_LENGTH), inside)
    element = y.element(place, ZERO)
    offset.loop(PLACE, PART_LENGTH, Block.of(assigned(element, _sum(BEFORE, element))))
    offset.assign(BEFORE, _sum(BEFORE, total))
    block.loop(PART, PARTS, offset)
    totals: list[Expression] = [Element(TOTALS, of(part)) for part in range(PARTS)]
    block.assign(Element(ENTRIES, STACK.top), _sum_in_pairs(totals))
    merged = increased(Element(ENTRIES, STACK.top - 1), Element(ENTRIES, STACK.top))
    block.extend(STACK.pushed(Block.of(merged)))
    block.assign(BEFORE, Element(ENTRIES, ZERO))
    sums = Block.of(increased(BEFORE, Element(ENTRIES, ENTRY)))
    block.loop(ENTRY, (1, STACK.top), sums)
    return block


def _sum(first: Expression, second: Expression) -> Expression:
    """Of two elements, whose order matters."""
    return Infix("+", first, second)


def _sum_in_pairs(terms: list[Expression]) -> Expression:
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return Parenthesized(_sum(_sum_in_pairs(terms[:half]), _sum_in_pairs(terms[half:])))
