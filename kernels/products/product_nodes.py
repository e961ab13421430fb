"""The nodes that the kernel of a product computes, by what they are to it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from graphc.ir.graph import Node, is_among


@dataclass(frozen=True, eq=False)
class ProductNodes:
    """The nodes of a product's kernel.

    before: makes its operands while it reads them (`OperandRead`). reductions: of blocks of rows
    (`kernels/nests/row_blocks.py`) of the product or of the epilogue's values.
    """

    product: Node
    epilogue: tuple[Node, ...]
    outputs: tuple[Node, ...]
    before: tuple[Node, ...] = ()
    reductions: tuple[Node, ...] = ()

    @property
    def behind(self) -> tuple[Node, ...]:
        """What is made of the product's results."""
        return (*self.epilogue, *self.reductions)

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (*self.before, self.product, *self.behind)

    def storing(self, outputs: tuple[Node, ...], behind: Collection[Node]) -> ProductNodes:
        """The same that stores other values, for which it makes those of `behind` alone."""
        return replace(
            self,
            epilogue=tuple(node for node in self.epilogue if is_among(node, behind)),
            outputs=outputs,
            reductions=tuple(node for node in self.reductions if is_among(node, behind)),
        )
