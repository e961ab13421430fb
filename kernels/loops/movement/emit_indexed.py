"""Kernels of ops that index: slices chosen by indices, or put at them."""

from __future__ import annotations

import math

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import RegionCopy, Scatter, Strided
from graphc.ir.types import row_major_strides
from graphc.kernels.loops.language.expressions import (
    Element,
    Expression,
    Name,
    applied,
    both,
)
from graphc.kernels.loops.language.indices import THREAD_SHARE, flat_index, share_limits
from graphc.kernels.loops.language.scalar import number
from graphc.kernels.loops.language.source import Arguments, KernelSource, StorageOf
from graphc.kernels.loops.language.statements import Block, Statement, assigned, increased
from graphc.kernels.loops.movement.movement_loops import (
    FIRST_ROW,
    INDEX,
    ROWS_END,
    MovementLoops,
    emit_region,
    emit_zero,
    movement_kernel,
    nested_loops,
    operand_place,
    whole_place,
)
from graphc.kernels.loops.rewrites.loops import INNER_VARIABLES
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.node_kinds import changes_base, viewed

# Cycles: to move an element that an index chose, or add it; to look at an index.
MOVED_ELEMENT_CYCLES = 0.5
COMPARED_INDEX_CYCLES = 3.0


def _split(place: Strided, axis: int, indices: Strided) -> tuple[Strided, Strided]:
    """Strides along (axes before, index axes, axes after) of the sliced and the index tensor."""
    before, after = place.strides[:axis], place.strides[axis + 1 :]
    index_rank = len(indices.strides)
    sliced = Strided(place.offset, (*before, *(0,) * index_rank, *after))
    chosen = Strided(indices.offset, (*(0,) * len(before), *indices.strides, *(0,) * len(after)))
    return sliced, chosen


def gather_kernel(name: str, node: Node, storage_of: StorageOf) -> KernelSource:
    """Threads share what the outermost loop goes over."""
    cycles = node.type.size * MOVED_ELEMENT_CYCLES
    # A single element has no loop to share.
    shared = cycles if node.type.size > 1 else None
    return movement_kernel(name, node, storage_of, _emit_gather, indexes=True, shared_cycles=shared)


def _emit_gather(node: Node, storage_of: StorageOf, arguments: Arguments, block: Block) -> None:
    """result[a, i, c] = x[a, indices[i], c]"""
    x, indices = node.operands
    axis = node.attributes["axis"]
    target = arguments.name(storage_of(node))
    source = arguments.name(storage_of(viewed(x)))
    index = arguments.name(storage_of(viewed(indices)))
    place = operand_place(x)
    sliced, chosen = _split(place, axis, operand_place(indices))
    stride = place.strides[axis]
    nested_loops(
        block,
        node.type.dims,
        [whole_place(node), sliced, chosen],
        lambda at: assigned(
            Element(target, at[0]), Element(source, at[1] + Element(index, at[2]) * stride)
        ),
        THREAD_SHARE if node.type.size > 1 else None,
    )


def scatter_kernel(name: str, node: Node, storage_of: StorageOf) -> KernelSource:
    """Threads share the rows of the result where they can."""
    if not _is_shared_by_rows(node, storage_of):
        return movement_kernel(name, node, storage_of, _emit_scatter, indexes=True)
    added, indices = (operand.type.size for operand in node.operands[-2:])
    cycles = added * MOVED_ELEMENT_CYCLES + indices * COMPARED_INDEX_CYCLES
    if not changes_base(node):
        cycles += node.type.size * MACHINE.copied_element_cycles
    return movement_kernel(
        name, node, storage_of, _emit_scatter_by_rows, indexes=True, shared_cycles=cycles
    )


def _is_shared_by_rows(node: Node, storage_of: StorageOf) -> bool:
    """Whether slices are whole rows of the result, which begins as zeros or in its base's place."""
    in_place = changes_base(node) and storage_of(viewed(node.operands[0])) is storage_of(node)
    is_begun = in_place or not changes_base(node)
    return node.attributes["axis"] == 0 and node.type.dims[0] > 1 and is_begun


def _emit_scatter_by_rows(
    node: Node, storage_of: StorageOf, arguments: Arguments, block: Block
) -> None:
    """result[indices[i], c] += x[i, c], or = x[i, c], in the rows of a thread, in the order of the
    indices."""
    x, indices = node.operands[-2:]
    target = arguments.name(storage_of(node))
    source = arguments.name(storage_of(viewed(x)))
    index = arguments.name(storage_of(viewed(indices)))
    rows, width = node.type.dims[0], math.prod(node.type.dims[1:])
    for variable, limit in zip(
        (FIRST_ROW, ROWS_END), share_limits(THREAD_SHARE, rows), strict=True
    ):
        block.assign(variable, limit)
    row = Name(INNER_VARIABLES[0])
    if not changes_base(node):
        zero = Block()
        zero.assign(Element(target, row), number(0, node.dtype))
        limits = flat_index((FIRST_ROW, width)), flat_index((ROWS_END, width))
        block.loop(row, limits, zero)
    rank, place, extents = indices.rank, operand_place(x), x.type.dims
    slices = MovementLoops.over(
        extents[:rank], [operand_place(indices), _part(place, 0, rank)], INNER_VARIABLES
    )
    left = INNER_VARIABLES[len(slices.loops) :]
    inside = [Strided(0, row_major_strides(extents[rank:])), _part(place, rank, x.rank)]
    elements = MovementLoops.over(extents[rank:], inside, left)
    (chosen, first), (offset, step) = slices.indices, elements.indices
    element = Element(target, INDEX * width + offset)
    adding = Block()
    adding.branch(
        both(FIRST_ROW.at_most(INDEX), INDEX.below(ROWS_END)),
        elements.around(Block.of(_put(node, element, Element(source, first + step)))),
    )
    slice_ = Block.of(assigned(INDEX, applied("i64", Element(index, chosen))))
    slice_.extend(adding)
    block.extend(slices.around(slice_))


def _part(place: Strided, begin: int, end: int) -> Strided:
    """The axes from `begin` to `end`, with the offset where they are the first."""
    return Strided(0 if begin else place.offset, place.strides[begin:end])


def _emit_scatter(node: Node, storage_of: StorageOf, arguments: Arguments, block: Block) -> None:
    """result[a, indices[i], c] += x[a, i, c], or = x[a, i, c], in the order of the indices

    The result is the base from the start where it overwrites it.
    """
    x, indices = node.operands[-2:]
    axis = node.attributes["axis"]
    target = arguments.name(storage_of(node))
    source = arguments.name(storage_of(viewed(x)))
    index = arguments.name(storage_of(viewed(indices)))
    if not changes_base(node):
        emit_zero(node, target, block)
    elif storage_of(viewed(node.operands[0])) is not storage_of(node):
        whole = RegionCopy(0, whole_place(node))
        emit_region(node, whole, target, storage_of, arguments, block)
    result = whole_place(node)
    sliced, chosen = _split(result, axis, operand_place(indices))
    stride = result.strides[axis]

    def statement(at: list[Expression]) -> Statement:
        element = Element(target, at[0] + Element(index, at[1]) * stride)
        return _put(node, element, Element(source, at[2]))

    nested_loops(block, x.type.dims, [sliced, chosen, operand_place(x)], statement)


def _put(node: Node, element: Element, value: Element) -> Statement:
    """The statement that puts a slice's element in its place."""
    lowering = node.op.lowering
    assert isinstance(lowering, Scatter)
    return increased(element, value) if lowering.adds else assigned(element, value)
