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
from graphc.kernels.nests.access import Loop, place_in_memory
from graphc.kernels.nests.names import Names
from graphc.kernels.nests.node_kinds import external_operands, loaded_operands, viewed
from graphc.kernels.products.contraction import (
    Contraction,
    MatrixAccess,
    has_narrow_vectors,
)
from graphc.kernels.products.epilogues.block_reductions import BlockReductions
from graphc.kernels.products.epilogues.row_epilogue import RowEpilogue
from graphc.kernels.products.epilogues.tile_epilogue import FarOperands
from graphc.kernels.products.operands.operand_blocks import Prologue
from graphc.kernels.products.operands.prologue import prologue_of
from graphc.kernels.products.tiles.tile_source import contraction_source
from graphc.kernels.products.variables import (
    CHAIN,
    RESERVED_NAMES,
    SCRATCH,
    TILE_COLUMN,
    batch_indices,
)

# What stands for the buffer of an operand that is in none.
COMPUTED = "computed"


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
        None
        if chain is None
        else prologue_of(chain, position, product.rank, storage_of, arguments, names)
        for position, chain in enumerate(group.chains)
    )
    contraction = _contraction_in_buffers(group, (left, right), storage_of, arguments)
    reductions = None
    if group.reductions:
        reductions = BlockReductions(group.reductions, storage_of, arguments, names)
    epilogue: _Epilogue | RowEpilogue
    if group.row_nest is not None:
        epilogue = RowEpilogue(group.row_nest, storage_of, arguments, names)
    else:
        epilogue = _Epilogue(group, storage_of, arguments, names, reductions)
    far = epilogue.far_operands() if isinstance(epilogue, _Epilogue) else None
    made = contraction_source(contraction, tiling, epilogue, (left, right), reductions, far)
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


def _contraction_in_buffers(
    group: ContractionGroup,
    prologues: tuple[Prologue | None, Prologue | None],
    storage_of: StorageOf,
    arguments: Arguments,
) -> Contraction:
    """The group's product on the kernel's arguments; an operand with a prologue is computed."""

    def in_buffer(position: int, access: MatrixAccess) -> MatrixAccess:
        if prologues[position] is not None:
            return replace(access, buffer=COMPUTED)
        gathered = group.gathers[position]
        if gathered is None:
            operand = group.contraction.operands[position]
            return replace(access, buffer=arguments.name(storage_of(viewed(operand))).text)
        assert access.indices is not None
        chosen = arguments.name(storage_of(viewed(gathered.indices))).text
        return replace(
            access,
            buffer=arguments.name(storage_of(viewed(gathered.table))).text,
            indices=replace(access.indices, buffer=chosen),
        )

    left, right = map(in_buffer, (0, 1), (group.shape.left, group.shape.right))
    return replace(group.shape, left=left, right=right)


def _epilogue_cost(group: ContractionGroup) -> float:
    """Cycles for each element of the product."""
    return sum(element_cost(node) for node in (*group.epilogue, *group.reductions))


def _own_rows(group: ContractionGroup, storage_of: StorageOf) -> OwnRows | None:
    """What a thread uses of its own rows alone, where the product is cut by rows."""
    if not group.tiling.by_rows:
        return None
    product, domain, contraction = group.contraction, group.domain, group.shape
    left = contraction.left
    row_axis = domain.axes[product][-2]
    uses = [(node, domain.axes[node], row_axis) for node in group.outputs if node in domain.axes]
    uses += [
        (node.operands[position], domain.operand_axes[node, position], row_axis)
        for node, position in loaded_operands(group.nodes)
        if is_among(node, group.epilogue)
    ]
    left_chain, right_chain = group.chains
    found, others = set[Storage](), set(map(storage_of, group.reductions))
    gathers = group.gathers
    for gathered in gathers:
        if gathered is not None:
            others |= {storage_of(viewed(gathered.table)), storage_of(viewed(gathered.indices))}
    if left_chain is not None:
        uses += [(*use, left_chain.axes[left_chain.free_axis]) for use in left_chain.reads()]
    elif gathers[0] is None:
        storage = storage_of(viewed(product.operands[0]))
        by_rows = (left.offset, left.row_stride, left.column_stride) == (0, contraction.depth, 1)
        by_rows = by_rows and not left.is_windowed
        is_whole = contraction.rows * contraction.depth == storage.size
        (found if by_rows and is_whole else others).add(storage)
    right_reads = [product.operands[1]]
    if right_chain is not None:
        right_reads = [operand for operand, _ in right_chain.reads()]
    if gathers[1] is None:
        others |= {storage_of(viewed(operand)) for operand in right_reads}
    for node, axes, own_axis in uses:
        storage = storage_of(viewed(node))
        is_own = node.rank > 0 and own_axis is not None and axes[0] == own_axis
        (found if is_own and _is_in_rows(node, storage.size) else others).add(storage)
    return OwnRows(contraction.rows, group.tiling.rows_per_task, frozenset(found - others))


def _is_in_rows(node: Node, size: int) -> bool:
    """Whether row i of `node` shows row i alone of a memory of `size` elements, which has as many
    rows as the node."""
    place = place_in_memory(node)
    if place is None or place.offset:
        return False
    # All of the node lies in the memory from its beginning on, so no row reaches into the next.
    return place.strides[0] * node.type.dims[0] == size


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
