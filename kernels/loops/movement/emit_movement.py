"""From a movement op to its kernels: copies of regions, and slices moved by index."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Assemble, Gather, RegionCopy, Scatter, Strided
from graphc.kernels.loops.language.expressions import (
    Constant,
    Element,
    Expression,
    Name,
    applied,
    either,
    of,
    texts,
)
from graphc.kernels.loops.language.indices import (
    THREAD_SHARE,
    Share,
    advanced,
    flat_index,
    share_limits,
)
from graphc.kernels.loops.language.scalar import cast, dtype_name, number
from graphc.kernels.loops.language.source import (
    MOST_BUFFERS,
    PARAMETERS,
    RESERVED,
    Arguments,
    KernelSource,
    OwnRows,
    Storage,
    StorageOf,
    function_statements,
)
from graphc.kernels.loops.language.statements import Block, LoopKind, Return, assigned
from graphc.kernels.loops.movement.emit_indexed import (
    MOVED_ELEMENT_CYCLES,
    gather_kernel,
    scatter_kernel,
)
from graphc.kernels.loops.movement.movement_loops import (
    INDEX,
    ROW,
    ROW_SOURCE,
    ROW_TARGET,
    RUN,
    RUN_SOURCE,
    emit_region,
    emit_zero,
    movement_kernel,
    nested_loops,
    operand_place,
)
from graphc.kernels.loops.rewrites.loops import INNER_VARIABLES
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.names import Names
from graphc.kernels.nests.node_kinds import viewed

# What checks of indices use besides.
_LEAST, _GREATEST, _CHUNK = Name("least"), Name("greatest"), Name("row_chunk")
_START, _END = Name("start"), Name("end")

# From how many operands on there is a loop over them, which compiles in a fraction of the time.
LEAST_RUN = 8

# What takes less is not worth a meeting of threads.
LEAST_SHARED_CYCLES = 8 * MACHINE.meeting_cycles

# Shorter rows are quicker set to zero all at once.
LEAST_ROW_ELEMENTS = 64

# Status with which a kernel stops the executor.
INDEX_OUT_OF_RANGE = 1


def emit_movement(name: str, node: Node, storage_of: StorageOf) -> tuple[KernelSource, ...]:
    """The kernels of one movement op, in their order: one, or several where an op puts together
    more operands than one kernel has buffers for."""
    lowering = node.op.lowering
    if _is_row_by_row(node):
        cycles = node.type.size * MACHINE.copied_element_cycles
        cycles += node.operands[0].type.size * MOVED_ELEMENT_CYCLES
        return (movement_kernel(name, node, storage_of, _emit_row_by_row, shared_cycles=cycles),)
    if isinstance(lowering, Assemble):
        return tuple(
            _assembling_kernel(
                name if number == 0 else f"{name}_part_{number + 1}",
                node,
                storage_of,
                part,
                lowering.zero_first and number == 0,
            )
            for number, part in enumerate(assembled_parts(node))
        )
    if isinstance(lowering, Gather):
        return (gather_kernel(name, node, storage_of),)
    if isinstance(lowering, Scatter):
        return (scatter_kernel(name, node, storage_of),)
    raise AssertionError(f"{node!r} is no movement")


def _assembling_kernel(
    name: str, node: Node, storage_of: StorageOf, part: Sequence[RegionCopy], zero_first: bool
) -> KernelSource:
    """The kernel of some copies. Each region is one operand's alone, so threads may share each
    copy; not where zeros come first, which another thread might set behind it."""
    extents = [node.operands[copy.operand].type.dims for copy in part]
    elements = sum(map(math.prod, extents))
    cycles = elements * MACHINE.copied_element_cycles
    are_loops = all(math.prod(dims) > 1 for dims in extents)
    share = None if zero_first or not are_loops or cycles < LEAST_SHARED_CYCLES else THREAD_SHARE
    emit = functools.partial(_emit_assemble, part, zero_first, share)
    shared_cycles = None if share is None else cycles
    return movement_kernel(name, node, storage_of, emit, shared_cycles=shared_cycles)


def assembled_parts(node: Node) -> list[tuple[RegionCopy, ...]]:
    """The copies that each kernel of an assembling op makes."""
    lowering = node.op.lowering
    assert isinstance(lowering, Assemble)
    types = tuple(operand.type for operand in node.operands)
    copies = lowering.regions(node.type, types, **node.attributes)
    starts = range(0, len(copies), MOST_BUFFERS - 1)
    return [copies[start : start + MOST_BUFFERS - 1] for start in starts]


def _is_row_by_row(node: Node) -> bool:
    """Whether each row of the result, of which there are several, is zeros around that of the one
    operand. Threads share such rows."""
    lowering = node.op.lowering
    if not isinstance(lowering, Assemble) or not lowering.zero_first or node.rank < 2:
        return False
    (copy, *others) = lowering.regions(
        node.type, tuple(operand.type for operand in node.operands), **node.attributes
    )
    rows, width = node.type.dims[0], math.prod(node.type.dims[1:])
    if width < LEAST_ROW_ELEMENTS:
        return False
    begins = (copy.region.strides[0], copy.region.offset // width) == (width, 0)
    return not others and begins and rows == node.operands[0].type.dims[0] > 1


def _emit_row_by_row(node: Node, storage_of: StorageOf, arguments: Arguments, block: Block) -> None:
    """Zeros in a row, then the operand's: a row is in cache meanwhile."""
    (operand,) = node.operands
    lowering = node.op.lowering
    assert isinstance(lowering, Assemble)
    (copy,) = lowering.regions(node.type, (operand.type,), **node.attributes)
    target = arguments.name(storage_of(node))
    source = arguments.name(storage_of(viewed(operand)))
    rows, width = node.type.dims[0], math.prod(node.type.dims[1:])
    place, row = operand_place(operand), Block()
    element = Name(INNER_VARIABLES[0])
    cleared = Element(target, flat_index((ROW, width), (element, 1)))
    zero = Block.of(assigned(cleared, number(0, node.dtype)))
    row.loop(element, width, zero, LoopKind.ROW)
    first = flat_index((ROW, width))
    row.assign(ROW_TARGET, advanced(target, first))
    row.assign(ROW_SOURCE, advanced(source, flat_index((ROW, place.strides[0]))))
    nested_loops(
        row,
        operand.type.dims[1:],
        [_without_rows(copy.region), _without_rows(place)],
        lambda at: assigned(Element(ROW_TARGET, at[0]), Element(ROW_SOURCE, at[1])),
    )
    block.loop(ROW, share_limits(THREAD_SHARE, rows), row)


def _without_rows(place: Strided) -> Strided:
    return Strided(place.offset, place.strides[1:])


def _emit_assemble(
    copies: Sequence[RegionCopy],
    zero_first: bool,
    share: Share | None,
    node: Node,
    storage_of: StorageOf,
    arguments: Arguments,
    block: Block,
) -> None:
    """share: what a thread copies of each region, or of the operands of a loop over them."""
    target = arguments.name(storage_of(node))
    if zero_first:
        emit_zero(node, target, block)
    step = _even_step(node, copies, storage_of)
    if step is not None:
        _emit_run(node, copies, step, share, target, storage_of, arguments, block)
        return
    for copy in copies:
        emit_region(node, copy, target, storage_of, arguments, block, share)


def _even_step(node: Node, copies: Sequence[RegionCopy], storage_of: StorageOf) -> int | None:
    """How far the regions stand apart, where there are many and they differ in nothing but the
    operand and that: one loop over all operands copies them. None otherwise."""
    if len(copies) < LEAST_RUN:
        return None
    operands = [node.operands[copy.operand] for copy in copies]
    if len({storage_of(viewed(operand)) for operand in operands}) != len(copies):
        return None
    pairs = zip(operands, copies, strict=True)
    forms = {(x.type, operand_place(x), copy.region.strides) for x, copy in pairs}
    steps = {other.region.offset - one.region.offset for one, other in itertools.pairwise(copies)}
    return steps.pop() if len(forms) == len(steps) == 1 else None


def _emit_run(
    node: Node,
    copies: Sequence[RegionCopy],
    step: int,
    share: Share | None,
    target: Name,
    storage_of: StorageOf,
    arguments: Arguments,
    block: Block,
) -> None:
    """A loop over operands of one type, whose regions in the target stand `step` apart."""
    operands = [node.operands[copy.operand] for copy in copies]
    first = arguments.run([storage_of(viewed(operand)) for operand in operands])
    dtype = Constant(dtype_name(node.dtype))
    count = first + len(copies)
    buffer = applied("buffer_in_run", PARAMETERS[0], first, RUN, count, dtype)
    each = Block.of(assigned(RUN_SOURCE, buffer))
    nested_loops(
        each,
        operands[0].type.dims,
        [copies[0].region, operand_place(operands[0])],
        lambda at: assigned(Element(target, at[0] + RUN * step), Element(RUN_SOURCE, at[1])),
    )
    block.loop(RUN, len(copies) if share is None else share_limits(share, len(copies)), each)


def emit_range_check(
    name: str,
    indices: Storage,
    limit: int,
    given: Storage | None = None,
    reader: OwnRows | None = None,
) -> KernelSource:
    """A kernel that stops the executor unless 0 <= index < limit for every element of `indices`.

    given: where they come from; the kernel copies them then, and checks what it has copied.
    reader: the rows of a kernel that reads the copy by its own rows; the check is cut like it.
    """
    variables = texts(_LEAST, _GREATEST, INDEX, _CHUNK, _START, _END)
    names = Names({*RESERVED, *INNER_VARIABLES, *variables, name})
    arguments = Arguments(names)
    source = arguments.name(given or indices)
    zero, place = cast(indices.dtype, of(0)), Name(INNER_VARIABLES[0])
    element = Block()
    element.assign(INDEX, Element(source, place))
    element.accumulate(_LEAST, applied("minimum_reassoc", _LEAST, INDEX))
    element.accumulate(_GREATEST, applied("maximum_reassoc", _GREATEST, INDEX))
    if given is not None:
        element.store_last(Element(arguments.name(indices), place), INDEX)
    block = Block.of(assigned(_LEAST, zero), assigned(_GREATEST, zero))
    if reader is None:
        block.loop(place, indices.size, element)
    else:
        block.extend(_in_chunks(indices.size, reader, element))
    if indices.size:
        stop = Block.of(Return(INDEX_OUT_OF_RANGE))
        block.branch(either(_LEAST.below(0), _GREATEST.at_least(limit)), stop)
    return KernelSource(
        name,
        function_statements(arguments, block),
        arguments.storages,
        writes=() if given is None else (indices,),
        splits=reader is not None,
        own_rows=None if reader is None else replace(reader, arguments=frozenset([indices])),
        can_stop=True,
    )


def _in_chunks(size: int, rows: OwnRows, element: Block) -> Block:
    """The loop over the elements of those chunks of rows that are the thread's."""
    chunk = rows.rows_per_chunk * (size // rows.rows)
    chunks = -(-size // chunk)
    end: Expression = _START + chunk
    if size % chunk:
        end = end.when(_CHUNK.below(chunks - 1), size)
    own, block = Block(), Block()
    own.assign(_START, _CHUNK * chunk)
    own.assign(_END, end)
    own.loop(Name(INNER_VARIABLES[0]), (_START, _END), element)
    block.loop(_CHUNK, share_limits(THREAD_SHARE, chunks), own)
    return block
