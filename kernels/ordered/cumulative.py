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

from graphc.kernels.loops.language.statements import Block, Element, Stack
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
    carry = f"{CARRY}[{LINE}]"
    into.add(Stack(CARRY, step.dtype, width))
    first = [f"{VALUE} = {x.at('0')}", f"{carry} = {VALUE}", f"{y.at('0')} = {VALUE}"]
    into.loop(LINE, lines, Block.of_lines(*first))
    later = Block()
    value = [f"{VALUE} = {step.of(carry, PLACE, LINE)}", *first[1:2], f"{y.at(PLACE)} = {VALUE}"]
    later.loop(LINE, lines, Block.of_lines(*value))
    into.loop(PLACE, f"1, {length}", later)


def blocks_side_by_side(
    into: Block, step: Step, x: LineArray, y: LineArray, length: int, width: int, lines: str
) -> None:
    """Sums of long lines side by side, each in blocks."""

    def each(block: Block, *statements: str) -> None:
        block.loop(LINE, lines, Block.of_lines(*statements))

    def entry(number: str) -> str:
        return f"{ENTRIES}[{number} * {width} + {LINE}]"

    total, before = f"{TOTAL}[{LINE}]", f"{BEFORE}[{LINE}]"
    entries = entries_of(ceil(length / BESIDE_LENGTH))
    into.add(Stack(TOTAL, step.dtype, width))
    into.add(Stack(BEFORE, step.dtype, width))
    into.add(Stack(ENTRIES, step.dtype, entries * width))
    each(into, f"{before} = {step.zero}")
    into.extend(STACK.begun())
    block, inside, merged = Block(), Block(), Block()
    last = length - BESIDE_LENGTH
    block.assign(END, f"{START} + {BESIDE_LENGTH} if {START} <= {last} else {length}")
    each(block, f"{total} = {step.zero}")
    value = [f"{VALUE} = {step.of(total, PLACE, LINE)}", f"{total} = {VALUE}"]
    each(inside, *value, f"{y.at(PLACE)} = {before} + {VALUE}")
    block.loop(PLACE, f"{START}, {END}", inside)
    each(block, f"{entry(STACK.top)} = {total}")
    lower = entry(f"({STACK.top} - 1)")
    each(merged, f"{lower} = {lower} + {entry(STACK.top)}")
    block.extend(STACK.pushed(merged))
    each(block, f"{before} = {entry('0')}")
    sums = Block()
    each(sums, f"{before} = {before} + {entry(ENTRY)}")
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
        rest = [
            f"{TOTAL} = {step.of(TOTAL, PLACE, '0')}",
            f"{y.at(PLACE, '0')} = {BEFORE} + {TOTAL}",
        ]
        into.loop(PLACE, f"{whole}, {length}", Block.of_lines(*rest))


def _block(step: Step, x: LineArray, y: LineArray) -> Block:
    """The lines of one block, behind which `before` is the sum of all so far."""
    total = f"{TOTALS}[{PART}]"
    place = f"{START} + {PART} * {PART_LENGTH} + {PLACE}"
    first = place.removesuffix(f" + {PLACE}")
    block, inside, offset = Block(), Block(), Block()
    begun = [f"{total} = {x.at(first, '0')}", f"{y.at(first, '0')} = {total}"]
    block.loop(PART, PARTS, Block.of_lines(*begun))
    value = [f"{VALUE} = {step.of(total, place, '0')}", f"{total} = {VALUE}"]
    inside.loop(PART, PARTS, Block.of_lines(*value, f"{y.at(place, '0')} = {VALUE}"))
    block.loop(PLACE, f"1, {PART_LENGTH}", inside)
    element = y.at(place, "0")
    offset.loop(PLACE, PART_LENGTH, Block.of_lines(f"{element} = {BEFORE} + {element}"))
    offset.assign(BEFORE, f"{BEFORE} + {total}")
    block.loop(PART, PARTS, offset)
    totals = [f"{TOTALS}[{part}]" for part in range(PARTS)]
    block.assign(Element(ENTRIES, STACK.top), _sum_in_pairs(totals))
    lower = f"{ENTRIES}[{STACK.top} - 1]"
    block.extend(STACK.pushed(Block.of_lines(f"{lower} = {lower} + {ENTRIES}[{STACK.top}]")))
    block.assign(BEFORE, f"{ENTRIES}[0]")
    sums = Block.of_lines(f"{BEFORE} = {BEFORE} + {ENTRIES}[{ENTRY}]")
    block.loop(ENTRY, f"1, {STACK.top}", sums)
    return block


def _sum_in_pairs(terms: list[str]) -> str:
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return f"({_sum_in_pairs(terms[:half])} + {_sum_in_pairs(terms[half:])})"
