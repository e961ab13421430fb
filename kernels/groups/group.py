"""What a fusion group is: the input language of this package.

A group is a set of nodes that one kernel computes, and the values among them that it stores. Views
belong to no group.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Gather
from graphc.kernels.nests.loopnest import LoopNest
from graphc.kernels.products.contraction import Contraction, Tiling
from graphc.kernels.products.epilogues.epilogue import EpiloguePlan
from graphc.kernels.products.operands.operand_read import OperandRead
from graphc.kernels.products.product_nodes import ProductNodes


@dataclass(frozen=True, eq=False)
class LoopGroup:
    """Elementwise ops and reductions over common loops."""

    nest: LoopNest

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.nest.nodes

    @property
    def outputs(self) -> tuple[Node, ...]:
        return self.nest.outputs


@dataclass(frozen=True, eq=False)
class ContractionCandidate:
    """A matrix product, what makes its operands while it reads them, and what is done with its
    results while they are at hand. `contraction_candidate` makes it.

    parts: its nodes. end: what comes behind the product. reads: how it reads each of its operands.
    shape: the product as tilings see it, whose operands are called left and right.
    """

    parts: ProductNodes
    end: EpiloguePlan
    reads: tuple[OperandRead, ...]
    shape: Contraction

    @property
    def contraction(self) -> Node:
        return self.parts.product

    @property
    def nodes(self) -> tuple[Node, ...]:
        return self.parts.nodes

    @property
    def outputs(self) -> tuple[Node, ...]:
        return self.parts.outputs


@dataclass(frozen=True, eq=False)
class ContractionGroup(ContractionCandidate):
    """The same when nothing more is fused into it, with its tiling."""

    tiling: Tiling


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


# What fusion merges, and what it leaves.
Candidate = LoopGroup | ContractionCandidate | MovementGroup | OrderedGroup | RegionGroup
Group = LoopGroup | ContractionGroup | MovementGroup | OrderedGroup | RegionGroup
