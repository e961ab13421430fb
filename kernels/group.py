"""What a fusion group is: the input language of this package.

A group is a set of nodes that one kernel computes, and the values among them that it stores. Views
belong to no group.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.graph import Node
from graphc.ir.lowering import Gather, Reduction

# More buffers than this in one kernel leave too few address registers.
MOST_BUFFERS = 30


@dataclass(frozen=True, eq=False)
class LoopGroup:
    """Elementwise ops and reductions over common loops."""

    nodes: tuple[Node, ...]
    outputs: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class ContractionGroup:
    """A matrix product, the elementwise ops that make its operands while they are packed (the
    prologue), and those applied to its tiles (the epilogue).

    gathered: the gathers of rows that it makes while it reads its operands.
    reductions: of blocks of rows (`kernels/row_blocks.py`) of the product or of the epilogue's
        values.
    An epilogue may also reduce whole rows of the product (`kernels/row_epilogue.py`).
    """

    contraction: Node
    epilogue: tuple[Node, ...]
    outputs: tuple[Node, ...]
    prologue: tuple[Node, ...] = ()
    reductions: tuple[Node, ...] = ()
    gathered: tuple[Node, ...] = ()

    @property
    def nodes(self) -> tuple[Node, ...]:
        before = (*self.gathered, *self.prologue)
        return (*before, self.contraction, *self.epilogue, *self.reductions)

    @property
    def reduces_rows(self) -> bool:
        """Whether the epilogue has reductions of whole rows."""
        return any(isinstance(node.op.lowering, Reduction) for node in self.epilogue)


@dataclass(frozen=True, eq=False)
class MovementGroup:
    """One op that copies regions or moves slices by index."""

    node: Node

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.node,)

    @property
    def outputs(self) -> tuple[Node, ...]:
        return (self.node,)

    @property
    def gathers(self) -> bool:
        """Whether the op copies slices that indices choose."""
        return isinstance(self.node.op.lowering, Gather)


@dataclass(frozen=True, eq=False)
class OrderedGroup:
    """One op that goes along lines in order, or sorts them."""

    node: Node

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.node,)

    @property
    def outputs(self) -> tuple[Node, ...]:
        return (self.node,)


@dataclass(frozen=True, eq=False)
class RegionGroup:
    """A loop and those of its results that are read: its steps have kernels of their own."""

    node: Node
    outputs: tuple[Node, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.node, *self.outputs)


Group = LoopGroup | ContractionGroup | MovementGroup | OrderedGroup | RegionGroup
