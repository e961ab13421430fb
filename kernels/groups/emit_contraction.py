"""From a contraction group to its kernel: tiles of a product with what goes before and after."""

from __future__ import annotations

from dataclasses import replace

from graphc.ir.graph import is_among
from graphc.kernels.groups.group import ContractionGroup
from graphc.kernels.loops.language.expressions import texts
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
from graphc.kernels.nests.access import is_in_rows
from graphc.kernels.nests.names import Names
from graphc.kernels.nests.node_kinds import external_operands, loaded_operands, viewed
from graphc.kernels.products.tiles.tile_source import contraction_source
from graphc.kernels.products.variables import (
    RESERVED_NAMES,
    SCRATCH,
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
    epilogue = group.end.in_kernel(tiling.lanes, storage_of, arguments, names)
    made = contraction_source(contraction, tiling, epilogue)
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
    return sum(element_cost(node) for node in group.parts.behind)


def _own_rows(group: ContractionGroup, storage_of: StorageOf) -> OwnRows | None:
    """What a thread uses of its own rows alone, where the product is cut by rows."""
    if not group.tiling.by_rows:
        return None
    found, others = set[Storage](), set[Storage]()
    left, right = group.reads
    for storage, is_own in left.storages(storage_of):
        (found if is_own else others).add(storage)
    others |= {storage for storage, _ in right.storages(storage_of)}
    domain = group.end.domain
    row_axis = domain.axes[group.contraction][-2]
    others |= {storage_of(node) for node in group.outputs if node not in domain.axes}
    uses = [(node, domain.axes[node]) for node in group.outputs if node in domain.axes]
    uses += [
        (node.operands[position], domain.operand_axes[node, position])
        for node, position in loaded_operands(group.nodes)
        if is_among(node, group.parts.epilogue)
    ]
    for node, axes in uses:
        storage = storage_of(viewed(node))
        is_own = node.rank > 0 and row_axis is not None and axes[0] == row_axis
        (found if is_own and is_in_rows(node, storage.size) else others).add(storage)
    return OwnRows(group.shape.rows, group.tiling.rows_per_task, frozenset(found - others))
