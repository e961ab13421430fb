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

from graphc.kernels.loops.language.statements import (
    Block,
    Element,
    Stack,
    Statement,
    assigned,
    increased,
)
from graphc.kernels.loops.rewrites.pairwise import PairwiseStack, entries_of
from graphc.kernels.ordered.lines import LINE, PLACE, LineArray

# The variables of the lines below.
CARRY, VALUE, TOTAL, ENTRIES, ENTRY, BEFORE = (
    "carry",
    "value",
    "total",
    "entries",
    "entry",
    "before",
)
START, END, PART, TOTALS = "start", "end", "part", "totals"
STACK = PairwiseStack("top", "number", "digits")
VARIABLES = frozenset({CARRY, VALUE, TOTAL, ENTRIES, ENTRY, BEFORE, START, END, PART, TOTALS})
VARIABLES |= {STACK.top, STACK.number, STACK.carry}

# A block of one line is cut into parts that are added up side by side: each addition waits for the
# one before it, which takes as long as several others.
PARTS = 8
PART_LENGTH = 32
BLOCK_LENGTH = PARTS * PART_LENGTH
# The elements of a block of lines side by side.
BESIDE_LENGTH = 128


@dataclass(frozen=True)
class Step:
    """An op's step as source: `of(carry, place, line)` is the element at `place` of a line.

    zero: what adds nothing, the sign of zero included.
    """

    dtype: str
    zero: str
    of: Callable[[str, str, str], str]


def one_after_the_other(
    into: Block, step: Step, x: LineArray, y: LineArray, length: int, width: int, lines: str
) -> None:
    """Lines side by side, each element of the one before it."""
    if lines == "1":
        into.assign(CARRY, x.at("0", "0"))
        into.assign(y.element("0", "0"), CARRY)
        body = Block()
        body.assign(CARRY, step.of(CARRY, PLACE, "0"))
        body.assign(y.element(PLACE, "0"), CARRY)
        into.loop(PLACE, f"1, {length}", body)
        return
    carry = Element(CARRY, LINE)
    into.add(Stack(CARRY, step.dtype, width))
    first = Block.of(
        assigned(VALUE, x.at("0")), assigned(carry, VALUE), assigned(y.element("0"), VALUE)
    )
    into.loop(LINE, lines, first)
    later = Block()
    value = Block.of(
        assigned(VALUE, step.of(str(carry), PLACE, LINE)),
        assigned(carry, VALUE),
        assigned(y.element(PLACE), VALUE),
    )
    later.loop(LINE, lines, value)
    into.loop(PLACE, f"1, {length}", later)


def blocks_side_by_side(
    into: Block, step: Step, x: LineArray, y: LineArray, length: int, width: int, lines: str
) -> None:
    """Sums of long lines side by side, each in blocks."""

    def each(block: Block, *statements: Statement) -> None:
        block.loop(LINE, lines, Block.of(*statements))

    def entry(number: str) -> Element:
        return Element(ENTRIES, f"{number} * {width} + {LINE}")

    total, before = Element(TOTAL, LINE), Element(BEFORE, LINE)
    entries = entries_of(ceil(length / BESIDE_LENGTH))
    into.add(Stack(TOTAL, step.dtype, width))
    into.add(Stack(BEFORE, step.dtype, width))
    into.add(Stack(ENTRIES, step.dtype, entries * width))
    each(into, assigned(before, step.zero))
    into.extend(STACK.begun())
    block, inside, merged = Block(), Block(), Block()
    last = length - BESIDE_LENGTH
    block.assign(END, f"{START} + {BESIDE_LENGTH} if {START} <= {last} else {length}")
    each(block, assigned(total, step.zero))
    value = [assigned(VALUE, step.of(str(total), PLACE, LINE)), assigned(total, VALUE)]
    each(inside, *value, assigned(y.element(PLACE), f"{before} + {VALUE}"))
    block.loop(PLACE, f"{START}, {END}", inside)
    each(block, assigned(entry(STACK.top), total))
    each(merged, increased(entry(f"({STACK.top} - 1)"), entry(STACK.top)))
    block.extend(STACK.pushed(merged))
    each(block, assigned(before, entry("0")))
    sums = Block()
    each(sums, increased(before, entry(ENTRY)))
    block.loop(ENTRY, f"1, {STACK.top}", sums)
    into.loop(START, f"0, {length}, {BESIDE_LENGTH}", block)


def one_line_in_blocks(into: Block, step: Step, x: LineArray, y: LineArray, length: int) -> None:
    """Sums of one long line: of parts of a block side by side, then of the parts before each."""
    blocks = length // BLOCK_LENGTH
    into.add(Stack(TOTALS, step.dtype, PARTS))
    into.add(Stack(ENTRIES, step.dtype, entries_of(blocks)))
    into.assign(BEFORE, step.zero)
    into.extend(STACK.begun())
    whole = blocks * BLOCK_LENGTH
    into.loop(START, f"0, {whole}, {BLOCK_LENGTH}", _block(step, x, y))
    if whole < length:
        into.assign(TOTAL, step.zero)
        rest = Block.of(
            assigned(TOTAL, step.of(TOTAL, PLACE, "0")),
            assigned(y.element(PLACE, "0"), f"{BEFORE} + {TOTAL}"),
        )
        into.loop(PLACE, f"{whole}, {length}", rest)


def _block(step: Step, x: LineArray, y: LineArray) -> Block:
    """The lines of one block, behind which `before` is the sum of all so far."""
    total = Element(TOTALS, PART)
    place = f"{START} + {PART} * {PART_LENGTH} + {PLACE}"
    first = place.removesuffix(f" + {PLACE}")
    block, inside, offset = Block(), Block(), Block()
    begun = [assigned(total, x.at(first, "0")), assigned(y.element(first, "0"), total)]
    block.loop(PART, PARTS, Block.of(*begun))
    value = [assigned(VALUE, step.of(str(total), place, "0")), assigned(total, VALUE)]
    inside.loop(PART, PARTS, Block.of(*value, assigned(y.element(place, "0"), VALUE)))
    block.loop(PLACE, f"1, {PART_LENGTH}", inside)
    element = y.element(place, "0")
    offset.loop(PLACE, PART_LENGTH, Block.of(assigned(element, f"{BEFORE} + {element}")))
    offset.assign(BEFORE, f"{BEFORE} + {total}")
    block.loop(PART, PARTS, offset)
    totals = [f"{TOTALS}[{part}]" for part in range(PARTS)]
    block.assign(Element(ENTRIES, STACK.top), _sum_in_pairs(totals))
    merged = increased(Element(ENTRIES, f"{STACK.top} - 1"), Element(ENTRIES, STACK.top))
    block.extend(STACK.pushed(Block.of(merged)))
    block.assign(BEFORE, f"{ENTRIES}[0]")
    sums = Block.of(increased(BEFORE, Element(ENTRIES, ENTRY)))
    block.loop(ENTRY, f"1, {STACK.top}", sums)
    return block


def _sum_in_pairs(terms: list[str]) -> str:
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return f"({_sum_in_pairs(terms[:half])} + {_sum_in_pairs(terms[half:])})"
