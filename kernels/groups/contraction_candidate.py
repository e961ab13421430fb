"""From a product and what goes before and after it to a candidate, or why there is no kernel."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.kernels.groups.group import ContractionCandidate
from graphc.kernels.nests.node_kinds import contracted_axes
from graphc.kernels.nests.refusal import Refusal
from graphc.kernels.products.contraction import Contraction
from graphc.kernels.products.epilogues.epilogue_plan import epilogue_plan
from graphc.kernels.products.operands.operand_read import OperandRead, operand_read
from graphc.kernels.products.operands.stored_operand import batch_extents, extent_of
from graphc.kernels.products.product_nodes import ProductNodes


def contraction_candidate(parts: ProductNodes) -> ContractionCandidate | Refusal:
    """The kernel of a product with what goes before and after it, or why there is none."""
    end = epilogue_plan(parts)
    if isinstance(end, Refusal):
        return end
    reads: list[OperandRead] = []
    for position in range(2):
        read = operand_read(parts.product, position, parts.before)
        if isinstance(read, Refusal):
            return read
        reads.append(read)
    return ContractionCandidate(parts, end, tuple(reads), end.shaped(_shape(parts, reads)))


def _shape(parts: ProductNodes, reads: Sequence[OperandRead]) -> Contraction:
    """The static shape and strides of the product; its operands have the names of their places."""
    product = parts.product
    x, y = product.operands
    of_x, of_y = (contracted_axes(product, position) for position in (0, 1))
    left, right = (read.access(name) for read, name in zip(reads, ("left", "right"), strict=True))
    return Contraction(
        product.dtype.name,
        batch_extents(product),
        extent_of(x, of_x.free),
        extent_of(y, of_y.free),
        extent_of(x, of_x.depth),
        left,
        right,
    )
