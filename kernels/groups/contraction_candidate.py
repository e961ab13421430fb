"""From a product and what goes before and after it to a candidate, or why there is no kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Reduction
from graphc.kernels.groups.group import ContractionCandidate
from graphc.kernels.nests.domain import Domain, common_domain
from graphc.kernels.nests.loopnest import LoopNest
from graphc.kernels.nests.node_kinds import contracted_axes
from graphc.kernels.nests.refusal import NoProduct, Refusal
from graphc.kernels.nests.row_blocks import rows_of_block
from graphc.kernels.products.contraction import Contraction
from graphc.kernels.products.epilogues.row_epilogue import plan_rows
from graphc.kernels.products.operands.operand_read import OperandRead, operand_read
from graphc.kernels.products.operands.stored_operand import batch_extents, extent_of


@dataclass(frozen=True, eq=False)
class ContractionNodes:
    """The nodes of a contraction group, by what they are to the product.

    before: makes its operands while it reads them (`OperandRead`). reductions: of blocks of rows of
    the product or of the epilogue's values.
    """

    product: Node
    epilogue: tuple[Node, ...]
    outputs: tuple[Node, ...]
    before: tuple[Node, ...] = ()
    reductions: tuple[Node, ...] = ()


def candidate_nodes(group: ContractionCandidate) -> ContractionNodes:
    """What the group was made of, to make another of it."""
    return ContractionNodes(
        group.contraction,
        group.epilogue,
        group.outputs,
        group.before,
        group.reductions,
    )


def contraction_candidate(nodes: ContractionNodes) -> ContractionCandidate | Refusal:
    """The kernel of a product with what goes before and after it, or why there is none."""
    product, epilogue = nodes.product, nodes.epilogue
    row_nest: LoopNest | None = None
    if any(isinstance(node.op.lowering, Reduction) for node in epilogue):
        nest = plan_rows((product, *epilogue), nodes.outputs)
        if isinstance(nest, Refusal):
            return nest
        row_nest, domain = nest, nest.domain
    else:
        found = _tile_domain(product, epilogue)
        if isinstance(found, Refusal):
            return found
        domain = found
    reads: list[OperandRead] = []
    for position in range(2):
        read = operand_read(product, position, nodes.before)
        if isinstance(read, Refusal):
            return read
        reads.append(read)
    return ContractionCandidate(
        product,
        epilogue,
        nodes.outputs,
        nodes.before,
        nodes.reductions,
        domain,
        row_nest,
        tuple(reads),
        _shape(nodes, reads, row_nest is not None),
    )


def _tile_domain(product: Node, epilogue: tuple[Node, ...]) -> Domain | Refusal:
    """The loops over the product's tile that the epilogue shares, or why it cannot.

    Every epilogue value must vary as the product does, so that each element is computed once.
    """
    domain = common_domain((*epilogue, product))
    if isinstance(domain, Refusal):
        return domain
    span = domain.span(product)
    for node in epilogue:
        if domain.span(node) != span:
            return Refusal(NoProduct.OTHER_EXTENTS, (node, product))
    return domain


def _shape(nodes: ContractionNodes, reads: Sequence[OperandRead], whole_rows: bool) -> Contraction:
    """The static shape and strides of the product; its operands have the names of their places."""
    product = nodes.product
    x, y = product.operands
    of_x, of_y = (contracted_axes(product, position) for position in (0, 1))
    rows, columns = extent_of(x, of_x.free), extent_of(y, of_y.free)
    left, right = (read.access(name) for read, name in zip(reads, ("left", "right"), strict=True))
    return Contraction(
        product.dtype.name,
        batch_extents(product),
        rows,
        columns,
        extent_of(x, of_x.depth),
        left,
        right,
        rows_of_block(rows) if nodes.reductions else None,
        whole_rows,
    )
