"""The parts of an epilogue that works element by element, at each place of the loops over tiles."""

from __future__ import annotations

from typing import Protocol

from graphc.kernels.loops.language.expressions import Element, Expression, Name
from graphc.kernels.loops.language.statements import Block, Stack

# Steps of an accumulation that are under way at once: one waits for what the last has stored.
CHAINS = 4


class ElementEpilogue(Protocol):
    """Statements that use the finished scalar `value`; they stand in the innermost loop."""

    def __call__(
        self, *, batch_indices: tuple[Name, ...], row: Name, column: Name, value: Name
    ) -> Block: ...


class FarOperands(Protocol):
    """Where the epilogue reads what does not fit the caches: the elements in a row and column."""

    def __call__(
        self, *, batch_indices: tuple[Name, ...], row: Name, column: Name
    ) -> list[Element]: ...


class RowReductions(Protocol):
    """Statements of what an epilogue reduces over each block of rows, a column apart.

    It keeps `elements` of its own for each reduction: CHAINS results, each of every CHAINS-th row,
    so that a row need not wait for the one before it, an element a column of the tile.
    """

    def declared(self, elements: int) -> list[Stack]: ...

    def begun(self, *, element: Expression) -> Block:
        """Sets an element to the neutral one."""
        ...

    def ended(
        self,
        *,
        batch_indices: tuple[Name, ...],
        block: Name,
        column: Name,
        elements: tuple[Expression, ...],
    ) -> Block:
        """Stores the result of a block and column, of which `elements` are the parts."""
        ...
