"""From a contraction group to numba source: tiles of a product with what goes before and after."""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphc.ir.graph import Node, is_among
from graphc.ir.lowering import Strided
from graphc.ir.types import row_major_strides
from graphc.kernels.access import Loop, digits_in_memory, place_in_memory
from graphc.kernels.accumulators import StorageOf
from graphc.kernels.block_reductions import BlockReductions
from graphc.kernels.contraction import RESERVED_NAMES, Contraction, MatrixAccess, Tiling
from graphc.kernels.domain import Domain, Refusal, common_domain
from graphc.kernels.element_lines import ElementLines
from graphc.kernels.gathered_rows import GatheredRows, gathered_rows
from graphc.kernels.group import ContractionGroup
from graphc.kernels.loopnest import LoopNest
from graphc.kernels.machine import MACHINE
from graphc.kernels.names import Names, described
from graphc.kernels.node_kinds import external_operands, loaded_operands, viewed
from graphc.kernels.operand_blocks import Prologue
from graphc.kernels.prologue import chains_of, prologue_lines
from graphc.kernels.row_blocks import rows_of_block
from graphc.kernels.row_epilogue import RowEpilogue, plan_rows
from graphc.kernels.source import (
    RESERVED,
    THREAD_SHARE,
    Arguments,
    Block,
    KernelSource,
    OwnRows,
    ScratchParts,
    Storage,
    function_text,
)
from graphc.kernels.thread_blocks import element_cost
from graphc.kernels.tile_epilogue import FarOperands
from graphc.kernels.tile_source import contraction_lines
from graphc.kernels.tiling import Tilings

SCRATCH = "scratch"
# What stands for the buffer of an operand that is in none.
COMPUTED = "computed"


def epilogue_domain(group: ContractionGroup) -> Domain | Refusal:
    """The loops over the product's tile that the epilogue shares, or why it cannot.

    Every epilogue value must vary as the product does, so that each element is computed once,
    unless whole rows are reduced.
    """
    product = group.contraction
    if group.reduces_rows:
        nest = plan_rows((product, *group.epilogue), group.outputs)
        return nest if isinstance(nest, Refusal) else nest.domain
    domain = common_domain((*group.epilogue, product))
    if isinstance(domain, Refusal):
        return domain
    span = domain.span(product)
    for node in group.epilogue:
        if domain.span(node) != span:
            return Refusal(
                f"{described(node)} of {node.type} has other extents than the product's "
                f"{product.type}, so tiles of the one are none of the other"
            )
    return domain


def contraction_of(
    group: ContractionGroup,
    names: tuple[str, str] = ("left", "right"),
    indices: str = "indices",
) -> Contraction:
    """The static shape and strides of a group's product whose operands stand in buffers so named,
    or are computed by its prologue; or of which one is rows of such a buffer by `indices`."""
    node = group.contraction
    batch = node.type.dims[:-2]
    rows, columns = node.type.dims[-2:]
    transposed = (node.attributes["transpose_x"], node.attributes["transpose_y"])
    accesses = []
    chains = chains_of(node, group.prologue)
    gathers = gathers_of(group)
    for operand, name, flip, chain, gathered in zip(
        node.operands, names, transposed, chains, gathers, strict=True
    ):
        if gathered is not None:
            accesses.append(gathered.access(name, indices))
            continue
        place = place_in_memory(operand)
        if place is None:
            accesses.append(_windowed_access(name, operand, len(batch), flip))
            continue
        access = _matrix_access(name, operand, place, len(batch), flip)
        cycles = None if chain is None else chain.element_cycles
        accesses.append(replace(access, computed_cycles=cycles))
    x_type = node.operands[0].type.dims
    depth = x_type[-2] if transposed[0] else x_type[-1]
    block = rows_of_block(rows) if group.reductions else None
    left, right = accesses
    whole = group.reduces_rows
    return Contraction(node.dtype.name, batch, rows, columns, depth, left, right, block, whole)


def gathers_of(group: ContractionGroup) -> list[GatheredRows | None]:
    """Of each operand of the product the rows that it is gathered from."""
    found = [
        gathered_rows(group.contraction, position)
        if is_among(viewed(operand), group.gathered)
        else None
        for position, operand in enumerate(group.contraction.operands)
    ]
    for each in found:
        if isinstance(each, Refusal):
            raise AssertionError(f"a gather was fused that cannot be: {each.reason}")
    return [each for each in found if not isinstance(each, Refusal)]


def _matrix_access(
    buffer: str, operand: Node, place: Strided, batch_rank: int, flip: bool
) -> MatrixAccess:
    own = operand.type.dims[:-2]
    strides = [
        0 if extent == 1 else stride for extent, stride in zip(own, place.strides, strict=False)
    ]
    batch_strides = (0,) * (batch_rank - len(own)) + tuple(strides)
    row, column = place.strides[-2:][::-1] if flip else place.strides[-2:]
    return MatrixAccess(buffer, place.offset, batch_strides, row, column)


def _windowed_access(buffer: str, operand: Node, batch_rank: int, flip: bool) -> MatrixAccess:
    """Of an operand whose rows or columns are counted by several digits."""
    at = digits_in_memory(operand)
    if at is None or any(len(axis) > 1 for axis in at.axes[:-2]):
        raise AssertionError(f"{operand!r} stands at no digits and was not copied")
    strides = tuple(axis[0].stride if axis else 0 for axis in at.axes[:-2])
    rows, columns = at.axes[-2:][::-1] if flip else at.axes[-2:]
    return MatrixAccess(
        buffer,
        at.offset,
        (0,) * (batch_rank - len(strides)) + strides,
        rows[-1].stride if rows else 1,
        columns[-1].stride if columns else 1,
        row_digits=rows if len(rows) > 1 else (),
        column_digits=columns if len(columns) > 1 else (),
    )


def tiling_of(group: ContractionGroup, tilings: Tilings, threads: int = 1) -> Tiling:
    """The tile that is chosen for a group's product, with the reason."""
    return tilings.choose(contraction_of(group), threads)


def emit_contraction(
    name: str, group: ContractionGroup, storage_of: StorageOf, tilings: Tilings, threads: int = 1
) -> KernelSource:
    """The kernel of a matrix product and its epilogue, for at most `threads` threads."""
    domain = epilogue_domain(group)
    if isinstance(domain, Refusal):
        raise AssertionError(f"an epilogue was fused that cannot be: {domain.reason}")
    product = group.contraction
    names = Names({*RESERVED, *RESERVED_NAMES, name, *(f"b{axis}" for axis in range(product.rank))})
    arguments = Arguments(names)
    for value in (*external_operands(group.nodes), *group.outputs):
        arguments.name(storage_of(value))
    left, right = (
        None
        if chain is None
        else prologue_lines(chain, position, product.rank, storage_of, arguments, names)
        for position, chain in enumerate(chains_of(product, group.prologue))
    )
    contraction = _contraction_in_buffers(group, (left, right), storage_of, arguments)
    tiling = tilings.choose(contraction, threads)
    reductions = None
    if group.reductions:
        reductions = BlockReductions(group.reductions, storage_of, arguments, names)
    epilogue: _Epilogue | RowEpilogue
    if group.reduces_rows:
        nest = plan_rows((product, *group.epilogue), group.outputs)
        assert isinstance(nest, LoopNest)
        epilogue = RowEpilogue(nest, storage_of, arguments, names)
    else:
        epilogue = _Epilogue(group, domain, storage_of, arguments, names, reductions)
    far = epilogue.far_operands() if isinstance(epilogue, _Epilogue) else None
    made = contraction_lines(contraction, tiling, epilogue, (left, right), reductions, far)
    scratch: tuple[Storage, ...] = ()
    parts: tuple[ScratchParts, ...] = ()
    if made.scratch:
        scratch = (Storage(SCRATCH, product.dtype, made.scratch * threads, product),)
        thread, _ = THREAD_SHARE
        parts = (ScratchParts(scratch[0], thread, threads, made.scratch, made.arrays),)
        arguments.reserve(scratch[0], SCRATCH)
    heading = Block()
    heading.add(f"# {tiling.reason}")
    location = product.location
    if location is not None and location.text:
        heading.add(f"# {location}: {location.text}")
    body = [*heading.lines, *(line.removeprefix("    ") for line in made.lines)]
    return KernelSource(
        name,
        function_text(name, arguments, body),
        arguments.storages,
        scratch,
        made.microkernels,
        unroll=False,
        writes=(*(storage_of(node) for node in group.outputs), *scratch),
        splits=made.splits,
        cycles=tiling.cycles + product.type.size * _epilogue_cost(group),
        own_rows=_own_rows(group, domain, contraction, tiling, storage_of),
        parts=parts,
    )


def _contraction_in_buffers(
    group: ContractionGroup,
    prologues: tuple[Prologue | None, Prologue | None],
    storage_of: StorageOf,
    arguments: Arguments,
) -> Contraction:
    """The group's product on the kernel's arguments; an operand with a prologue is computed."""
    gathers = gathers_of(group)
    stored = [
        operand if gathered is None else gathered.table
        for operand, gathered in zip(group.contraction.operands, gathers, strict=True)
    ]
    left, right = (
        COMPUTED if prologue else arguments.name(storage_of(viewed(operand)))
        for operand, prologue in zip(stored, prologues, strict=True)
    )
    chosen = [gathered.indices for gathered in gathers if gathered is not None]
    indices = arguments.name(storage_of(viewed(chosen[0]))) if chosen else ""
    return contraction_of(group, (left, right), indices)


def _epilogue_cost(group: ContractionGroup) -> float:
    """Cycles for each element of the product."""
    return sum(element_cost(node) for node in (*group.epilogue, *group.reductions))


def _own_rows(
    group: ContractionGroup,
    domain: Domain,
    contraction: Contraction,
    tiling: Tiling,
    storage_of: StorageOf,
) -> OwnRows | None:
    """What a thread uses of its own rows alone, where the product is cut by rows."""
    if not tiling.by_rows:
        return None
    product, left = group.contraction, contraction.left
    row_axis = domain.axes[product][-2]
    uses = [(node, domain.axes[node], row_axis) for node in group.outputs if node in domain.axes]
    uses += [
        (node.operands[position], domain.operand_axes[node, position], row_axis)
        for node, position in loaded_operands(group.nodes)
        if is_among(node, group.epilogue)
    ]
    left_chain, right_chain = chains_of(product, group.prologue)
    found, others = set[Storage](), set(map(storage_of, group.reductions))
    gathers = gathers_of(group)
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
    return OwnRows(contraction.rows, tiling.rows_per_task, frozenset(found - others))


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
    """The lines that turn one accumulated element into the group's outputs."""

    group: ContractionGroup
    domain: Domain
    storage_of: StorageOf
    arguments: Arguments
    names: Names
    reductions: BlockReductions | None

    def __call__(
        self, *, batch_indices: tuple[str, ...], row: str, column: str, value: str
    ) -> list[str]:
        """The scalar lines for one element; called once for each form of tile."""
        product = self.group.contraction
        known: dict[object, str] = {product: value}
        lines = self._lines((*batch_indices, row, column), known)
        for node in self.group.epilogue:
            lines.compute(node)
        if self.reductions is not None:
            for node in self.group.reductions:
                value = lines.known[viewed(node.operands[0])]
                lines.block.add(self.reductions.accumulated(node, "chain + q", value), node)
        for node in self.group.outputs:
            if is_among(node, self.group.reductions):
                continue
            place = Strided(0, row_major_strides(node.type.dims))
            target = lines.place(node, place, self.domain.axes[node])
            lines.block.add(f"{target} = {lines.known[node]}")
        return lines.block.lines

    def far_operands(self) -> FarOperands | None:
        """What the epilogue reads element by element from beyond the caches, if there is any."""
        found: dict[Node, tuple[Strided, tuple[int | None, ...]]] = {}
        product = self.group.contraction
        for node, position in loaded_operands(self.group.nodes):
            if not is_among(node, self.group.epilogue):
                continue
            operand, axes = node.operands[position], self.domain.operand_axes[node, position]
            place = place_in_memory(operand)
            if place is None or axes != self.domain.axes[product] or place.strides[-1] != 1:
                continue
            if operand.viewed.type.nbytes >= MACHINE.second_cache_bytes:
                found.setdefault(operand, (place, axes))
        if not found:
            return None

        def elements(
            *, batch_indices: tuple[str, ...], row: str, column: str
        ) -> list[tuple[str, str]]:
            lines = self._lines((*batch_indices, row, column), {})
            return [lines.place_in_buffer(node, *where) for node, where in found.items()]

        return elements

    def _lines(self, variables: tuple[str, ...], known: dict[object, str]) -> ElementLines:
        """Of an element of the product, by the variables along its axes."""
        product = self.group.contraction
        loops = [
            Loop(variable, extent, (axis,))
            for variable, extent, axis in zip(
                variables, product.type.dims, self.domain.axes[product], strict=True
            )
            if axis is not None
        ]
        names = Names(self.names.taken)
        return ElementLines(self.domain, loops, self.storage_of, self.arguments, names, known)
