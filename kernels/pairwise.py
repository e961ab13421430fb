"""The lines that add up the sums of blocks in pairs.

A sum of n terms one after the other errs by up to n roundings, one in pairs by the logarithm of n
(Higham, Accuracy and Stability of Numerical Algorithms, 4.2). So a long loop stops after each block
of terms and puts the block's sum on a stack. Where the stack then ends in two sums of as many
blocks they become one, as digits are carried when one counts in binary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from graphc.kernels.source import INDENT


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

    top: str
    number: str
    carry: str

    def begun(self) -> list[str]:
        """Before the first block."""
        return [f"{self.number} = 0", f"{self.top} = 0"]

    def pushed(self, merged: Sequence[str]) -> list[str]:
        """Behind a block, whose sum stands in entry `top`. merged: adds that entry to the one
        before it."""
        return [
            f"{self.carry} = {self.number}",
            f"while {self.carry} & 1:",
            *self._merge(merged),
            f"{INDENT}{self.carry} = {self.carry} >> 1",
            f"{self.top} = {self.top} + 1",
            f"{self.number} = {self.number} + 1",
        ]

    def joined(self, merged: Sequence[str]) -> list[str]:
        """Behind the last block: the first entry becomes the sum of all."""
        return [f"{self.top} = {self.top} - 1", f"while {self.top} > 0:", *self._merge(merged)]

    def _merge(self, merged: Sequence[str]) -> list[str]:
        return [INDENT + line for line in (*merged, f"{self.top} = {self.top} - 1")]
