"""Parts of loops: neighbouring steps that have a loop of their own, inside of another loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.kernels.loops.language.expressions import Expression, Name
from graphc.kernels.loops.language.statements import Block, Limits, LoopKind
from graphc.kernels.nests.access import Loop


def first_step(variable: str) -> Name:
    """What holds the first step of a part of the loop with this variable."""
    return Name(f"{variable}_from")


@dataclass(frozen=True)
class Part:
    """`steps` neighbouring steps of a loop; all of them, or one of several equal parts."""

    loop: Loop
    steps: int

    @property
    def is_whole(self) -> bool:
        return self.steps == self.loop.extent

    @property
    def variable(self) -> Name:
        """Of the loop."""
        return Name(self.loop.variable)

    @property
    def first(self) -> Name:
        """The first step of the part, where there are several."""
        return first_step(self.loop.variable)

    @property
    def place(self) -> Expression:
        """The place of the current step in the part."""
        return self.variable if self.is_whole else self.variable - self.first

    def wrap(self, into: Block, body: Block) -> None:
        """Appends `body` in a loop over the part's steps, which is unrolled."""
        limits: Limits = self.steps if self.is_whole else (self.first, self.first + self.steps)
        into.loop(self.variable, limits, body, LoopKind.UNROLLED)

    def wrap_around(self, into: Block, limits: tuple[Expression, Expression], body: Block) -> None:
        """Appends `body` in a loop over parts, from the first step of the limits to the last."""
        into.loop(self.first, (*limits, self.steps), body)


def wrap_in_parts(into: Block, parts: Sequence[Part], body: Block) -> None:
    """Appends `body` in loops over the steps of `parts`."""
    for part in reversed(parts):
        around = Block()
        part.wrap(around, body)
        body = around
    into.extend(body)
