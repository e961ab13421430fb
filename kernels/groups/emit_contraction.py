"""From a contraction group to its kernel: tiles of a product with what goes before and after."""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphc.ir.graph import Node, is_among
from graphc.ir.nodes.lowering import Strided
from graphc.ir.types import row_major_strides
from graphc.kernels.groups.group import ContractionGroup
from graphc.kernels.loops.language.element_lines import ElementLines
from graphc.kernels.loops.language.expressions import Element, Expression, Name, texts
from graphc.kernels.loops.language.indices import THREAD
from graphc.kernels.loops.language.source import (
    RESERVED,
    Arguments,
    KernelSource,
    OwnRows,
    ScratchParts,
    Storage,
    StorageOf,
    function_statements,
)
from graphc.kernels.loops.language.statements import Block, Comment
from graphc.kernels.loops.thread_blocks import element_cost
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.access import Loop, is_in_rows, place_in_memory
from graphc.kernels.nests.names import Names
from graphc.kernels.nests.node_kinds import external_operands, loaded_operands, viewed
from graphc.kernels.products.contraction import has_narrow_vectors
from graphc.kernels.products.epilogues.block_reductions import BlockReductions
from graphc.kernels.products.epilogues.row_epilogue import RowEpilogue
from graphc.kernels.products.epilogues.tile_epilogue import FarOperands
from graphc.kernels.products.tiles.tile_source import contraction_source
from graphc.kernels.products.variables import (
    CHAIN,
    RESERVED_NAMES,
    SCRATCH,
    TILE_COLUMN,
    batch_indices,
)


def emit_contraction(
    name: str, group: ContractionGroup, storage_of: StorageOf, threads: int = 1
) -> KernelSource:
    """The kernel of a matrix product and its epilogue, for at most `threads` threads."""
    product, tiling = group.contraction, group.tiling
    names = Names({*RESERVED, *RESERVED_NAMES, name, *texts(*batch_indices(product.rank))})
    arguments = Arguments(names)
    for value in (*external_operands(group.nodes), *group.outputs):
        arguments.name(storage_of(value))
    left, right = (
        read.in_kernel(access, storage_of, arguments, names)
        for read, access in zip(group.reads, (group.shape.left, group.shape.right), strict=True)
    )
    contraction = replace(group.shape, left=left, right=right)
    reductions = None
    if group.reductions:
        reductions = BlockReductions(group.reductions, storage_of, arguments, names)
    epilogue: _Epilogue | RowEpilogue
    if group.row_nest is not None:
        epilogue = RowEpilogue(group.row_nest, storage_of, arguments, names)
    else:
        epilogue = _Epilogue(group, storage_of, arguments, names, reductions)
    far = epilogue.far_operands() if isinstance(epilogue, _Epilogue) else None
    made = contraction_source(contraction, tiling, epilogue, reductions, far)
    scratch: tuple[Storage, ...] = ()
    parts: tuple[ScratchParts, ...] = ()
    if made.scratch:
        scratch = (Storage(SCRATCH.text, product.dtype, made.scratch * threads, product),)
        parts = (ScratchParts(scratch[0], THREAD, threads, made.scratch, made.arrays),)
        arguments.reserve(scratch[0], SCRATCH)
    body = Block()
    body.add(Comment(tiling.reason))
    location = product.location
    if location is not None and location.text:
        body.add(Comment(f"{location}: {location.text}"))
    body.add(*made.statements)
    return KernelSource(
        name,
        function_statements(arguments, body),
        arguments.storages,
        scratch,
        made.microkernels,
        unroll=False,
        writes=(*(storage_of(node) for node in group.outputs), *scratch),
        splits=made.splits,
        cycles=tiling.cycles + product.type.size * _epilogue_cost(group),
        own_rows=_own_rows(group, storage_of),
        parts=parts,
    )


def _epilogue_cost(group: ContractionGroup) -> float:
    """Cycles for each element of the product."""
    return sum(element_cost(node) for node in (*group.epilogue, *group.reductions))


def _own_rows(group: ContractionGroup, storage_of: StorageOf) -> OwnRows | None:
    """What a thread uses of its own rows alone, where the product is cut by rows."""
    if not group.tiling.by_rows:
        return None
    domain, found, others = group.domain, set[Storage](), set(map(storage_of, group.reductions))
    left, right = group.reads
    for storage, is_own in left.storages(storage_of):
        (found if is_own else others).add(storage)
    others |= {storage for storage, _ in right.storages(storage_of)}
    row_axis = domain.axes[group.contraction][-2]
    uses = [(node, domain.axes[node]) for node in group.outputs if node in domain.axes]
    uses += [
        (node.operands[position], domain.operand_axes[node, position])
        for node, position in loaded_operands(group.nodes)
        if is_among(node, group.epilogue)
    ]
    for node, axes in uses:
        storage = storage_of(viewed(node))
        is_own = node.rank > 0 and row_axis is not None and axes[0] == row_axis
        (found if is_own and is_in_rows(node, storage.size) else others).add(storage)
    return OwnRows(group.shape.rows, group.tiling.rows_per_task, frozenset(found - others))


@dataclass(frozen=True, eq=False)
class _Epilogue:
    """The statements that turn one accumulated element into the group's outputs."""

    group: ContractionGroup
    storage_of: StorageOf
    arguments: Arguments
    names: Names
    reductions: BlockReductions | None

    def __call__(
        self, *, batch_indices: tuple[Name, ...], row: Name, column: Name, value: Name
    ) -> Block:
        """The scalar statements for one element; called once for each form of tile."""
        product = self.group.contraction
        known: dict[object, Expression] = {product: value}
        lines = self._lines((*batch_indices, row, column), known)
        for node in self.group.epilogue:
            lines.named(node)
        if self.reductions is not None:
            for node in self.group.reductions:
                reduced = lines.known[viewed(node.operands[0])]
                self.reductions.accumulate(lines.block, node, CHAIN + TILE_COLUMN, reduced)
        for node in self.group.outputs:
            if is_among(node, self.group.reductions):
                continue
            place = Strided(0, row_major_strides(node.type.dims))
            target = lines.place(node, place, self.group.domain.axes[node])
            lines.block.assign(target, lines.known[node])
        return lines.block

    def far_operands(self) -> FarOperands | None:
        """What the epilogue reads element by element from beyond the caches, if there is any.

        Each is as large as the second cache. Of narrow vectors, whose tiles are computed in less
        time than it takes to fetch their lines, all are together.
        """
        found: dict[Node, tuple[Strided, tuple[int | None, ...]]] = {}
        product = self.group.contraction
        for node, position in loaded_operands(self.group.nodes):
            if not is_among(node, self.group.epilogue):
                continue
            operand, axes = node.operands[position], self.group.domain.operand_axes[node, position]
            place = place_in_memory(operand)
            if place is None or axes != self.group.domain.axes[product] or place.strides[-1] != 1:
                continue
            found.setdefault(operand, (place, axes))
        sizes = {operand: operand.viewed.type.nbytes for operand in found}
        together = has_narrow_vectors(product.dtype.name, self.group.tiling.lanes)
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
        product = self.group.contraction
        loops = [
            Loop(variable.text, extent, (axis,))
            for variable, extent, axis in zip(
                variables, product.type.dims, self.group.domain.axes[product], strict=True
            )
            if axis is not None
        ]
        names = Names(self.names.taken)
        return ElementLines(self.group.domain, loops, self.storage_of, self.arguments, names, known)
