"""Lines along which each element is made of the one before it.

Where the step is a sum, a long line stops after each block, and the sum of all blocks before is
made of the sums of blocks that are added up in pairs (`kernels/pairwise.py`): an element errs by
about as many roundings as a block has terms, and one for each binary digit of their number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from graphc.kernels.lines import LINE, PLACE, LineArray
from graphc.kernels.pairwise import PairwiseStack, entries_of
from graphc.kernels.source import Block

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
        into.add(f"{CARRY} = {x.at('0', '0')}")
        into.add(f"{y.at('0', '0')} = {CARRY}")
        body = Block([f"{CARRY} = {step.of(CARRY, PLACE, '0')}", f"{y.at(PLACE, '0')} = {CARRY}"])
        into.nest(f"for {PLACE} in range(1, {length}):", body)
        return
    carry = f"{CARRY}[{LINE}]"
    into.add(f"{CARRY} = stack({step.dtype}, {width})")
    first = [f"{VALUE} = {x.at('0')}", f"{carry} = {VALUE}", f"{y.at('0')} = {VALUE}"]
    into.nest(f"for {LINE} in range({lines}):", Block(first))
    later = Block()
    value = [f"{VALUE} = {step.of(carry, PLACE, LINE)}", *first[1:2], f"{y.at(PLACE)} = {VALUE}"]
    later.nest(f"for {LINE} in range({lines}):", Block(value))
    into.nest(f"for {PLACE} in range(1, {length}):", later)


def blocks_side_by_side(
    into: Block, step: Step, x: LineArray, y: LineArray, length: int, width: int, lines: str
) -> None:
    """Sums of long lines side by side, each in blocks."""

    def each(block: Block, *statements: str) -> None:
        block.nest(f"for {LINE} in range({lines}):", Block(list(statements)))

    def entry(number: str) -> str:
        return f"{ENTRIES}[{number} * {width} + {LINE}]"

    total, before = f"{TOTAL}[{LINE}]", f"{BEFORE}[{LINE}]"
    entries = entries_of(ceil(length / BESIDE_LENGTH))
    into.add(f"{TOTAL} = stack({step.dtype}, {width})")
    into.add(f"{BEFORE} = stack({step.dtype}, {width})")
    into.add(f"{ENTRIES} = stack({step.dtype}, {entries * width})")
    each(into, f"{before} = {step.zero}")
    into.lines += STACK.begun()
    block, inside, merged = Block(), Block(), Block()
    last = length - BESIDE_LENGTH
    block.add(f"{END} = {START} + {BESIDE_LENGTH} if {START} <= {last} else {length}")
    each(block, f"{total} = {step.zero}")
    value = [f"{VALUE} = {step.of(total, PLACE, LINE)}", f"{total} = {VALUE}"]
    each(inside, *value, f"{y.at(PLACE)} = {before} + {VALUE}")
    block.nest(f"for {PLACE} in range({START}, {END}):", inside)
    each(block, f"{entry(STACK.top)} = {total}")
    lower = entry(f"({STACK.top} - 1)")
    each(merged, f"{lower} = {lower} + {entry(STACK.top)}")
    block.lines += STACK.pushed(merged.lines)
    each(block, f"{before} = {entry('0')}")
    sums = Block()
    each(sums, f"{before} = {before} + {entry(ENTRY)}")
    block.nest(f"for {ENTRY} in range(1, {STACK.top}):", sums)
    into.nest(f"for {START} in range(0, {length}, {BESIDE_LENGTH}):", block)


def one_line_in_blocks(into: Block, step: Step, x: LineArray, y: LineArray, length: int) -> None:
    """Sums of one long line: of parts of a block side by side, then of the parts before each."""
    blocks = length // BLOCK_LENGTH
    into.add(f"{TOTALS} = stack({step.dtype}, {PARTS})")
    into.add(f"{ENTRIES} = stack({step.dtype}, {entries_of(blocks)})")
    into.add(f"{BEFORE} = {step.zero}")
    into.lines += STACK.begun()
    whole = blocks * BLOCK_LENGTH
    into.nest(f"for {START} in range(0, {whole}, {BLOCK_LENGTH}):", _block(step, x, y))
    if whole < length:
        into.add(f"{TOTAL} = {step.zero}")
        rest = [
            f"{TOTAL} = {step.of(TOTAL, PLACE, '0')}",
            f"{y.at(PLACE, '0')} = {BEFORE} + {TOTAL}",
        ]
        into.nest(f"for {PLACE} in range({whole}, {length}):", Block(rest))


def _block(step: Step, x: LineArray, y: LineArray) -> Block:
    """The lines of one block, behind which `before` is the sum of all so far."""
    total = f"{TOTALS}[{PART}]"
    place = f"{START} + {PART} * {PART_LENGTH} + {PLACE}"
    first = place.removesuffix(f" + {PLACE}")
    block, inside, offset = Block(), Block(), Block()
    begun = [f"{total} = {x.at(first, '0')}", f"{y.at(first, '0')} = {total}"]
    block.nest(f"for {PART} in range({PARTS}):", Block(begun))
    value = [f"{VALUE} = {step.of(total, place, '0')}", f"{total} = {VALUE}"]
    inside.nest(f"for {PART} in range({PARTS}):", Block([*value, f"{y.at(place, '0')} = {VALUE}"]))
    block.nest(f"for {PLACE} in range(1, {PART_LENGTH}):", inside)
    element = y.at(place, "0")
    offset.nest(
        f"for {PLACE} in range({PART_LENGTH}):", Block([f"{element} = {BEFORE} + {element}"])
    )
    offset.add(f"{BEFORE} = {BEFORE} + {total}")
    block.nest(f"for {PART} in range({PARTS}):", offset)
    block.add(f"{ENTRIES}[{STACK.top}] = {_sum_in_pairs([f'{TOTALS}[{p}]' for p in range(PARTS)])}")
    lower = f"{ENTRIES}[{STACK.top} - 1]"
    block.lines += STACK.pushed([f"{lower} = {lower} + {ENTRIES}[{STACK.top}]"])
    block.add(f"{BEFORE} = {ENTRIES}[0]")
    sums = Block([f"{BEFORE} = {BEFORE} + {ENTRIES}[{ENTRY}]"])
    block.nest(f"for {ENTRY} in range(1, {STACK.top}):", sums)
    return block


def _sum_in_pairs(terms: list[str]) -> str:
    if len(terms) == 1:
        return terms[0]
    half = len(terms) // 2
    return f"({_sum_in_pairs(terms[:half])} + {_sum_in_pairs(terms[half:])})"
