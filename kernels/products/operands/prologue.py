"""A contraction's prologue: elementwise ops that make an operand while it is packed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Scalar
from graphc.kernels.loops.language.element_lines import ElementLines
from graphc.kernels.loops.language.source import Arguments, Storage, StorageOf
from graphc.kernels.loops.thread_blocks import element_cost
from graphc.kernels.nests.access import Loop, is_in_rows
from graphc.kernels.nests.domain import Domain, common_domain, view_axes
from graphc.kernels.nests.names import Names
from graphc.kernels.nests.node_kinds import contracted_axes, is_view, loaded_operands, viewed
from graphc.kernels.nests.refusal import NoProduct, Refusal
from graphc.kernels.products.contraction import MatrixAccess, Prologue
from graphc.kernels.products.operands.stored_operand import StoredOperand
from graphc.kernels.products.variables import COLUMN, DEPTH, ROW, batch_indices

# What stands for the buffer of an operand that is in none.
COMPUTED = "computed"


@dataclass(frozen=True, eq=False)
class OperandChain:
    """The ops that make operand number `position` of a product, an `OperandRead`: operands first,
    the last makes what it views.

    axes: for each axis of the operand, batch axes first, the loop axis of `domain`.
    free_axis: the operand's axis that is one of the result; depth_axis: the one summed over.
    """

    product: Node
    position: int
    nodes: tuple[Node, ...]
    domain: Domain
    axes: tuple[int | None, ...]
    free_axis: int
    depth_axis: int

    @property
    def operand(self) -> Node:
        return self.product.operands[self.position]

    def access(self, buffer: str) -> MatrixAccess:
        """The strides are those that it would have in memory; cycles are of the arithmetic of one
        element, without loads and stores."""
        cycles = sum(element_cost(node) for node in self.nodes)
        stored = StoredOperand(self.product, self.position)
        return replace(stored.access(buffer), computed_cycles=cycles)

    def in_kernel(
        self, access: MatrixAccess, storage_of: StorageOf, arguments: Arguments, names: Names
    ) -> MatrixAccess:
        rank = self.product.rank
        variables = [*batch_indices(rank)[rank - self.operand.rank :]]
        variables[self.free_axis] = (ROW, COLUMN)[self.position]
        variables[self.depth_axis] = DEPTH
        loops = [
            Loop(variable.text, extent, (axis,))
            for variable, extent, axis in zip(
                variables, self.operand.type.dims, self.axes, strict=True
            )
            if axis is not None
        ]
        lines = ElementLines(self.domain, loops, storage_of, arguments, names, {})
        for node in self.nodes:
            lines.named(node)
        prologue = Prologue(lines.block.whole, lines.known[viewed(self.operand)])
        return replace(access, buffer=COMPUTED, prologue=prologue)

    def storages(self, storage_of: StorageOf) -> Iterator[tuple[Storage, bool]]:
        own_axis = self.axes[self.free_axis]
        for node, position in loaded_operands(self.nodes):
            read, axes = node.operands[position], self.domain.operand_axes[node, position]
            storage = storage_of(viewed(read))
            is_own = read.rank > 0 and own_axis is not None and axes[0] == own_axis
            yield storage, is_own and is_in_rows(read, storage.size)


def operand_chain(product: Node, position: int, made: Sequence[Node]) -> OperandChain | Refusal:
    """How the nodes `made` make operand number `position`, which is one of them or views one; or
    why a packed block of it cannot be computed."""
    operand = product.operands[position]
    value = viewed(operand)
    nodes = _needed_for(value, made)
    for node in nodes:
        if not isinstance(node.op.lowering, Scalar):
            return Refusal(NoProduct.MORE_THAN_AN_ELEMENT, (node,))
    domain = common_domain(nodes)
    if isinstance(domain, Refusal):
        return domain
    for node in nodes:
        if domain.span(node) != domain.span(value):
            return Refusal(NoProduct.AGAIN_FOR_ELEMENTS, (node, value))
    axes = _axes_of_view(operand, domain)
    if isinstance(axes, Refusal):
        return axes
    roles = contracted_axes(product, position)
    (free,), (depth,) = roles.free, roles.depth
    return OperandChain(product, position, nodes, domain, axes, free, depth)


def _needed_for(value: Node, nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Those of `nodes` that `value`, which is one of them, depends on, and itself."""
    inside, needed = set(nodes), {value}
    for node in sorted(inside, key=lambda node: -node.number):
        if node in needed:
            needed |= inside.intersection(map(viewed, node.operands))
    return tuple(sorted(needed, key=lambda node: node.number))


def _axes_of_view(operand: Node, domain: Domain) -> tuple[int | None, ...] | Refusal:
    """The loop axis of each axis of a view, given those of what it views; None along an axis that
    repeats elements or has an extent of 1."""
    if not is_view(operand):
        return domain.axes[operand]
    below = operand.operands[0]
    axes = _axes_of_view(below, domain)
    if isinstance(axes, Refusal):
        return axes
    becomes = view_axes(operand)
    if becomes is None:
        return Refusal(NoProduct.ORDER_CHANGES, (operand, below.type))
    found: list[int | None] = [None] * operand.rank
    for axis, place in enumerate(becomes):
        if below.type.dims[axis] != 1:
            found[place] = axes[axis]
    return tuple(found)
