"""Loops over long sums stop after each block of terms (`kernels/loops/rewrites/pairwise.py`).

Where blocks end depends on the shape and the width of vectors alone, so the bits do not depend on
the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import ceil, prod

from graphc.ir.graph import Node
from graphc.kernels.loops.language.expressions import (
    Element,
    Expression,
    Name,
    Operand,
    Parenthesized,
)
from graphc.kernels.loops.language.indices import ZERO, flat_index
from graphc.kernels.loops.language.scalar import combined_in_order, neutral_element
from graphc.kernels.loops.language.statements import Block, Target
from graphc.kernels.loops.rewrites.pairwise import PairwiseStack, entries_of, steps_of_block
from graphc.kernels.nests.access import Loop
from graphc.kernels.nests.names import Names


@dataclass(frozen=True)
class Terms:
    """How many terms a block has, about, and how many are added up in one piece at most."""

    block: int
    longest: int


# Terms that the lanes of the widest vectors share, ...
SHARED_BY_LANES = Terms(2048, 4096)
WIDEST_VECTOR_BITS = 512
# ... those that are added one after the other, as rows are ...
ONE_AFTER_THE_OTHER = Terms(64, 256)
# ... and rows of few elements, of which the lanes of vectors take many.
SHORT_ROWS = Terms(1024, 2048)


def shared_by_lanes(vector_bits: int) -> Terms:
    """How many terms the lanes of vectors of so many bits share.

    Each lane adds up equally many: half as wide vectors have half the lanes, and LLVM has half as
    many of them side by side, since there are half the registers.
    """
    narrower = (WIDEST_VECTOR_BITS // vector_bits) ** 2
    return Terms(SHARED_BY_LANES.block // narrower, SHARED_BY_LANES.longest // narrower)


@dataclass(frozen=True)
class Cut:
    """A loop that stops after every `steps` of it, and how many blocks that makes in all."""

    loop: Loop
    steps: int
    blocks: int


def cut_of(loops: Sequence[Loop], terms: Terms, multiple: int, shares: int) -> Cut | None:
    """Where nested loops stop after a block of steps of the innermost; None of short ones.

    multiple: of which a block's steps are one, if there are as many. shares: among how many the
    outermost loop is shared out.
    """
    extents = [loop.extent for loop in loops]
    if extents:
        extents[0] = ceil(extents[0] / shares)
    if prod(extents) <= terms.longest:
        return None
    inside = 1
    for position in reversed(range(len(loops))):
        around, extent = prod(extents[:position]), extents[position]
        if inside * extent > terms.block:
            steps = steps_of_block(extent, max(terms.block // inside, 1), multiple)
            return Cut(loops[position], steps, around * ceil(extent / steps))
        inside *= extent
    raise AssertionError(f"loops of {extents} steps have none to stop after {terms.block} of them")


@dataclass(frozen=True)
class Elements:
    """The elements of an array that each have a sum of their own: one of `size` at `index`.

    wrap: appends a body inside the loop over them.
    """

    size: int
    index: Expression
    wrap: Callable[[Block, Block], None]


@dataclass
class BlockSums:
    """The lines around a cut loop in which sums are accumulated.

    A sum is a variable, or an element of an array where each row of several side by side, or each
    column, has a sum of its own.
    """

    cut: Cut
    names: Names
    block_start: Block = field(default_factory=Block)
    block_end: Block = field(default_factory=Block)
    merged: Block = field(default_factory=Block)
    after: Block = field(default_factory=Block)

    def __post_init__(self) -> None:
        def unique(wanted: str) -> Name:
            return Name(self.names.unique(wanted))

        self.stack = PairwiseStack(unique("top"), unique("block_number"), unique("carry"))
        variable = self.cut.loop.variable
        self._start, self._end = unique(f"{variable}_start"), unique(f"{variable}_end")

    @property
    def entries(self) -> int:
        """The most sums that are put aside."""
        return entries_of(self.cut.blocks)

    def accumulate(
        self, node: Node, target: Target, entries: Name, elements: Elements | None = None
    ) -> None:
        """`target` holds the sum of a block's terms, and behind the loop that of all.

        entries: an array of `entries` sums. elements: of a target that is an element of an array.
        """
        top = self.stack.top
        size, index = (1, ZERO) if elements is None else (elements.size, elements.index)
        place = partial(_place, entries, size, index)

        def assign(into: Block, to: Target, value: Operand, of: Node | None = None) -> None:
            if elements is None:
                into.assign(to, value, of)
                return
            body = Block()
            body.assign(to, value, of)
            elements.wrap(into, body)

        assign(self.block_start, target, neutral_element(node), node)
        assign(self.block_end, place(top), target)
        # In parentheses also where it stands alone.
        lower, upper = place(Parenthesized(top - 1)), place(top)
        assign(self.merged, lower, combined_in_order(node, lower, upper))
        assign(self.after, target, place(ZERO))

    def wrap(
        self,
        into: Block,
        limits: tuple[Expression, Expression],
        steps: Callable[[Block, tuple[Expression, Expression]], None],
    ) -> None:
        """Appends the cut loop, whose range has these limits. steps: appends the loop over the
        range that it is given, a block's.

        Before:                    After, of blocks of 64 steps:

            for i in range(1000):      for i_start in range(0, 1000, 64):
                sum += term                i_end = i_start + 64, or 1000 in the last
                                           sum = 0
                                           for i in range(i_start, i_end):
                                               sum += term
                                           put the sum on the stack, add up in pairs
        """
        start, end, size = self._start, self._end, self.cut.steps
        first, last = limits
        block = Block()
        block.assign(end, (start + size).when(start.at_most(last - size), last))
        block.extend(self.block_start)
        steps(block, (start, end))
        block.extend(self.block_end)
        block.extend(self.stack.pushed(self.merged))
        into.loop(start, (first, last, size), block)

    def begin(self, into: Block) -> None:
        """Appends what comes before all loops over a sum's terms."""
        into.extend(self.stack.begun())

    def end(self, into: Block) -> None:
        """Appends what comes behind them."""
        into.extend(self.stack.joined(self.merged))
        into.extend(self.after)


def _place(entries: Name, size: int, index: Expression, entry: Expression) -> Element:
    """The element of an entry of the stack."""
    terms = [(each, stride) for each, stride in ((entry, size), (index, 1)) if each != ZERO]
    return Element(entries, flat_index(*terms))
