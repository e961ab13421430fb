"""From a product and what goes before and after it to a candidate, or why there is no kernel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from graphc.ir.graph import Node, is_among
from graphc.ir.nodes.lowering import Reduction
from graphc.kernels.groups.group import ContractionCandidate
from graphc.kernels.nests.access import digits_in_memory, place_in_memory
from graphc.kernels.nests.domain import Domain, common_domain
from graphc.kernels.nests.loopnest import LoopNest
from graphc.kernels.nests.node_kinds import contracted_axes, matrix_axes, viewed
from graphc.kernels.nests.refusal import NoProduct, Refusal
from graphc.kernels.nests.row_blocks import rows_of_block
from graphc.kernels.products.contraction import Contraction, MatrixAccess
from graphc.kernels.products.epilogues.row_epilogue import plan_rows
from graphc.kernels.products.operands.gathered_rows import GatheredRows, gathered_rows
from graphc.kernels.products.operands.prologue import OperandChain, operand_chain


@dataclass(frozen=True, eq=False)
class ContractionNodes:
    """The nodes of a contraction group, by what they are to the product.

    prologue: makes its operands while they are packed. gathered: the gathers of rows that it makes
    while it reads them. reductions: of blocks of rows of the product or of the epilogue's values.
    """

    product: Node
    epilogue: tuple[Node, ...]
    outputs: tuple[Node, ...]
    prologue: tuple[Node, ...] = ()
    reductions: tuple[Node, ...] = ()
    gathered: tuple[Node, ...] = ()


def candidate_nodes(group: ContractionCandidate) -> ContractionNodes:
    """What the group was made of, to make another of it."""
    return ContractionNodes(
        group.contraction,
        group.epilogue,
        group.outputs,
        group.prologue,
        group.reductions,
        group.gathered,
    )


def contraction_candidate(nodes: ContractionNodes) -> ContractionCandidate | Refusal:
    """The kernel of a product with its prologue and epilogue, or why there is none."""
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
    chains: list[OperandChain | None] = []
    gathers: list[GatheredRows | None] = []
    for position, operand in enumerate(map(viewed, product.operands)):
        is_made, is_gathered = is_among(operand, nodes.prologue), is_among(operand, nodes.gathered)
        chain = operand_chain(product, position, nodes.prologue) if is_made else None
        rows = gathered_rows(product, position) if is_gathered else None
        for refusal in (chain, rows):
            if isinstance(refusal, Refusal):
                return refusal
        assert not isinstance(chain, Refusal) and not isinstance(rows, Refusal)
        chains.append(chain)
        gathers.append(rows)
    shape = _shape(nodes, chains, gathers, row_nest is not None)
    return ContractionCandidate(
        product,
        epilogue,
        nodes.outputs,
        nodes.prologue,
        nodes.reductions,
        nodes.gathered,
        domain,
        row_nest,
        tuple(chains),
        tuple(gathers),
        shape,
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


def _shape(
    nodes: ContractionNodes,
    chains: Sequence[OperandChain | None],
    gathers: Sequence[GatheredRows | None],
    whole_rows: bool,
) -> Contraction:
    """The static shape and strides of the product; its operands have the names of their places."""
    product = nodes.product
    x, y = product.operands
    of_x, of_y = (contracted_axes(product, position) for position in (0, 1))
    batch = product.type.dims[: product.rank - len(of_x.free) - len(of_y.free)]
    rows, columns = _extent(x, of_x.free), _extent(y, of_y.free)
    accesses = []
    for position, name in enumerate(("left", "right")):
        chain, gathered = chains[position], gathers[position]
        if gathered is not None:
            accesses.append(gathered.access(name, "indices"))
            continue
        cycles = None if chain is None else chain.element_cycles
        access = _matrix_access(name, product, position, len(batch))
        accesses.append(replace(access, computed_cycles=cycles))
    depth = _extent(x, of_x.depth)
    block = rows_of_block(rows) if nodes.reductions else None
    left, right = accesses
    dtype = product.dtype.name
    return Contraction(dtype, batch, rows, columns, depth, left, right, block, whole_rows)


def _extent(operand: Node, axes: tuple[int, ...]) -> int:
    return math.prod(operand.type.dims[axis] for axis in axes)


def _matrix_access(buffer: str, product: Node, position: int, batch_rank: int) -> MatrixAccess:
    operand = product.operands[position]
    place = place_in_memory(operand)
    rows, columns = matrix_axes(product, position)
    if place is None or len(rows) != 1 or len(columns) != 1:
        return _counted_access(buffer, product, position, batch_rank)
    strides = [
        0 if operand.type.dims[axis] == 1 else place.strides[axis]
        for axis in contracted_axes(product, position).batch
    ]
    batch_strides = (0,) * (batch_rank - len(strides)) + tuple(strides)
    return MatrixAccess(
        buffer, place.offset, batch_strides, place.strides[rows[0]], place.strides[columns[0]]
    )


def _counted_access(buffer: str, product: Node, position: int, batch_rank: int) -> MatrixAccess:
    """Of an operand whose rows or columns are counted by several digits."""
    operand = product.operands[position]
    at = digits_in_memory(operand)
    batch = contracted_axes(product, position).batch
    if at is None or any(len(at.axes[axis]) > 1 for axis in batch):
        raise AssertionError(f"{operand!r} stands at no digits and was not copied")
    strides = tuple(at.axes[axis][0].stride if at.axes[axis] else 0 for axis in batch)
    rows, columns = (
        tuple(digit for axis in axes for digit in at.axes[axis])
        for axes in matrix_axes(product, position)
    )
    return MatrixAccess(
        buffer,
        at.offset,
        (0,) * (batch_rank - len(strides)) + strides,
        rows[-1].stride if rows else 1,
        columns[-1].stride if columns else 1,
        row_digits=rows if len(rows) > 1 else (),
        column_digits=columns if len(columns) > 1 else (),
    )
