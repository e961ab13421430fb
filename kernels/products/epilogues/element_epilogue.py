"""Epilogues that work element by element on a tile, and reduce blocks of its rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphc.ir.graph import Node, is_among
from graphc.ir.nodes.lowering import Strided
from graphc.ir.types import row_major_strides
from graphc.kernels.loops.language.element_lines import ElementLines
from graphc.kernels.loops.language.expressions import Element, Expression, Name
from graphc.kernels.loops.language.source import Arguments, StorageOf
from graphc.kernels.loops.language.statements import Block
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.access import Loop, place_in_memory
from graphc.kernels.nests.domain import Domain, common_domain
from graphc.kernels.nests.names import Names
from graphc.kernels.nests.node_kinds import loaded_operands, viewed
from graphc.kernels.nests.refusal import NoProduct, Refusal
from graphc.kernels.nests.row_blocks import rows_of_block
from graphc.kernels.products.contraction import Contraction, has_narrow_vectors
from graphc.kernels.products.epilogues.block_reductions import BlockReductions
from graphc.kernels.products.epilogues.epilogue import Epilogue
from graphc.kernels.products.epilogues.tile_end import TileByTile
from graphc.kernels.products.epilogues.tile_epilogue import FarOperands
from graphc.kernels.products.product_nodes import ProductNodes
from graphc.kernels.products.variables import CHAIN, TILE_COLUMN


@dataclass(frozen=True, eq=False)
class ElementPlan:
    """An `EpiloguePlan` of each element by itself. Its domain is the loops over the elements of the
    product."""

    parts: ProductNodes
    domain: Domain

    def shaped(self, contraction: Contraction) -> Contraction:
        if not self.parts.reductions:
            return contraction
        return replace(contraction, block=rows_of_block(contraction.rows))

    def in_kernel(
        self, lanes: int, storage_of: StorageOf, arguments: Arguments, names: Names
    ) -> Epilogue:
        reductions = None
        if self.parts.reductions:
            reductions = BlockReductions(self.parts.reductions, storage_of, arguments, names)
        element = _ElementStatements(
            self.parts, self.domain, lanes, storage_of, arguments, names, reductions
        )
        return TileByTile(element, reductions, element.far_operands())


def plan_elements(parts: ProductNodes) -> ElementPlan | Refusal:
    """The loops over a product's tile that its epilogue shares, or why it cannot.

    Every epilogue value must vary as the product does, so that each element is computed once.
    """
    domain = common_domain((*parts.epilogue, parts.product))
    if isinstance(domain, Refusal):
        return domain
    span = domain.span(parts.product)
    for node in parts.epilogue:
        if domain.span(node) != span:
            return Refusal(NoProduct.OTHER_EXTENTS, (node, parts.product))
    return ElementPlan(parts, domain)


@dataclass(frozen=True, eq=False)
class _ElementStatements:
    """The statements that turn one accumulated element into what the kernel stores."""

    parts: ProductNodes
    domain: Domain
    lanes: int
    storage_of: StorageOf
    arguments: Arguments
    names: Names
    reductions: BlockReductions | None

    def __call__(
        self, *, batch_indices: tuple[Name, ...], row: Name, column: Name, value: Name
    ) -> Block:
        """The scalar statements for one element; called once for each form of tile."""
        product = self.parts.product
        known: dict[object, Expression] = {product: value}
        lines = self._lines((*batch_indices, row, column), known)
        for node in self.parts.epilogue:
            lines.named(node)
        if self.reductions is not None:
            for node in self.parts.reductions:
                reduced = lines.known[viewed(node.operands[0])]
                self.reductions.accumulate(lines.block, node, CHAIN + TILE_COLUMN, reduced)
        for node in self.parts.outputs:
            if is_among(node, self.parts.reductions):
                continue
            place = Strided(0, row_major_strides(node.type.dims))
            target = lines.place(node, place, self.domain.axes[node])
            lines.block.assign(target, lines.known[node])
        return lines.block

    def far_operands(self) -> FarOperands | None:
        """What the epilogue reads element by element from beyond the caches, if there is any.

        Each is as large as the second cache. Of narrow vectors, whose tiles are computed in less
        time than it takes to fetch their lines, all are together.
        """
        found: dict[Node, tuple[Strided, tuple[int | None, ...]]] = {}
        product = self.parts.product
        for node, position in loaded_operands(self.parts.nodes):
            if not is_among(node, self.parts.epilogue):
                continue
            operand, axes = node.operands[position], self.domain.operand_axes[node, position]
            place = place_in_memory(operand)
            if place is None or axes != self.domain.axes[product] or place.strides[-1] != 1:
                continue
            found.setdefault(operand, (place, axes))
        sizes = {operand: operand.viewed.type.nbytes for operand in found}
        together = has_narrow_vectors(product.dtype.name, self.lanes)
        for operand, size in sizes.items():
            if (sum(sizes.values()) if together else size) < MACHINE.second_cache_bytes:
                del found[operand]
        if not found:
            return None

        def elements(*, batch_indices: tuple[Name, ...], row: Name, column: Name) -> list[Element]:
            lines = self._lines((*batch_indices, row, column), {})
            return [lines.place(node, *where) for node, where in found.items()]

        return elements

    def _lines(self, variables: tuple[Name, ...], known: dict[object, Expression]) -> ElementLines:
        """Of an element of the product, by the variables along its axes."""
        product = self.parts.product
        loops = [
            Loop(variable.text, extent, (axis,))
            for variable, extent, axis in zip(
                variables, product.type.dims, self.domain.axes[product], strict=True
            )
            if axis is not None
        ]
        names = Names(self.names.taken)
        return ElementLines(self.domain, loops, self.storage_of, self.arguments, names, known)
