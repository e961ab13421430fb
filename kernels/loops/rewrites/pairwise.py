"""The lines that add up the sums of blocks in pairs.

A sum of n terms one after the other errs by up to n roundings, one in pairs by the logarithm of n
(Higham, Accuracy and Stability of Numerical Algorithms, 4.2). So a long loop stops after each block
of terms and puts the block's sum on a stack. Where the stack then ends in two sums of as many
blocks they become one, as digits are carried when one counts in binary.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from graphc.kernels.loops.language.expressions import Name
from graphc.kernels.loops.language.statements import Block, increased


def steps_of_block(extent: int, most: int, multiple: int) -> int:
    """The steps of a block where `extent` is cut evenly into blocks of at most `most`.

    multiple: of which they are one, if there are as many.
    """
    steps = ceil(extent / ceil(extent / most))
    return ceil(steps / multiple) * multiple if steps > multiple else steps


def entries_of(blocks: int) -> int:
    """The most sums that the stack of so many blocks holds: one for each binary digit."""
    return blocks.bit_length()


@dataclass(frozen=True)
class PairwiseStack:
    """A stack of sums of blocks, and the variables of its lines.

    top: the number of the entry that comes next. number: that of the block. carry: what is left of
        it while entries are merged.
    """

    top: Name
    number: Name
    carry: Name

    def begun(self) -> Block:
        """Before the first block."""
        block = Block()
        block.assign(self.number, 0)
        block.assign(self.top, 0)
        return block

    def pushed(self, merged: Block) -> Block:
        """Behind a block, whose sum stands in entry `top`. merged: adds that entry to the one
        before it."""
        block, carried = Block(), self._merge(merged)
        block.assign(self.carry, self.number)
        carried.assign(self.carry, self.carry >> 1)
        block.repeat(self.carry & 1, carried)
        block.add(increased(self.top, 1), increased(self.number, 1))
        return block

    def joined(self, merged: Block) -> Block:
        """Behind the last block: the first entry becomes the sum of all."""
        block = Block()
        block.assign(self.top, self.top - 1)
        block.repeat(self.top.above(0), self._merge(merged))
        return block

    def _merge(self, merged: Block) -> Block:
        block = Block()
        block.extend(merged)
        block.assign(self.top, self.top - 1)
        return block
