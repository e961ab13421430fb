"""From a movement group to numba source: copies of regions, and slices moved by index."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

from graphc.ir.graph import Node
from graphc.ir.lowering import Assemble, Gather, RegionCopy, ScatterAdd, Strided
from graphc.ir.types import row_major_strides
from graphc.kernels.access import Access, index_expression, merge_axes, place_in_memory
from graphc.kernels.accumulators import StorageOf
from graphc.kernels.group import MOST_BUFFERS, adds_to_base, viewed
from graphc.kernels.loops import INNER_VARIABLES
from graphc.kernels.names import Names
from graphc.kernels.scalar import dtype_name, number
from graphc.kernels.source import (
    RESERVED,
    THREAD_SHARE,
    Arguments,
    Block,
    KernelSource,
    OwnRows,
    Storage,
    function_text,
    share_limits,
)

Statement = Callable[[list[str]], str]

# What checks of indices use besides.
_CHECK_VARIABLES = ("least", "greatest", "index", "row_chunk", "start", "end")

# Names in loops over operands, and from how many on there is such a loop, which compiles in a
# fraction of the time.
RUN, RUN_SOURCE = "number", "source"
LEAST_RUN = 8

# Status with which a kernel stops the executor.
INDEX_OUT_OF_RANGE = 1


def emit_movement(name: str, node: Node, storage_of: StorageOf) -> tuple[KernelSource, ...]:
    """The kernels of one movement op, in their order: one, or several where an op puts together
    more operands than one kernel has buffers for."""
    lowering = node.op.lowering
    if isinstance(lowering, Assemble):
        return tuple(
            _kernel(
                name if number == 0 else f"{name}_part_{number + 1}",
                node,
                storage_of,
                functools.partial(_emit_assemble, part, lowering.zero_first and number == 0),
            )
            for number, part in enumerate(assembled_parts(node))
        )
    if isinstance(lowering, Gather):
        return (_kernel(name, node, storage_of, _emit_gather, indexes=True),)
    if isinstance(lowering, ScatterAdd):
        return (_kernel(name, node, storage_of, _emit_scatter, indexes=True),)
    raise AssertionError(f"{node!r} is no movement")


def assembled_parts(node: Node) -> list[tuple[RegionCopy, ...]]:
    """The copies that each kernel of an assembling op makes."""
    lowering = node.op.lowering
    assert isinstance(lowering, Assemble)
    types = tuple(operand.type for operand in node.operands)
    copies = lowering.regions(node.type, types, **node.attributes)
    starts = range(0, len(copies), MOST_BUFFERS - 1)
    return [copies[start : start + MOST_BUFFERS - 1] for start in starts]


def _kernel(
    name: str,
    node: Node,
    storage_of: StorageOf,
    emit: Callable[[Node, StorageOf, Arguments, Block], None],
    indexes: bool = False,
) -> KernelSource:
    """The kernel of the lines that `emit` makes."""
    arguments = Arguments(Names({*RESERVED, *INNER_VARIABLES, RUN, RUN_SOURCE, name, "index"}))
    block = Block()
    if node.location is not None and node.location.text:
        block.add(f"# {node.location}: {node.location.text}")
    emit(node, storage_of, arguments, block)
    return KernelSource(
        name,
        function_text(name, arguments, block.lines),
        arguments.storages,
        writes=(storage_of(node),),
        indexes=indexes,
    )


def _place(operand: Node) -> Strided:
    place = place_in_memory(operand)
    if place is None:
        raise AssertionError(f"{operand!r} has no strides and was not copied")
    return place


def _whole(node: Node) -> Strided:
    return Strided(0, row_major_strides(node.type.dims))


def _nested_loops(
    block: Block, extents: Sequence[int], places: Sequence[Strided], statement: Statement
) -> None:
    """Loops over `extents` around a statement on one element of each of `places`."""
    accesses = [Access("", place.offset, place.strides) for place in places]
    loops = merge_axes(range(len(extents)), extents, accesses, INNER_VARIABLES)
    body = Block([statement([index_expression(access, loops) for access in accesses])])
    for loop in reversed(loops):
        if loop.extent != 1:
            around = Block()
            around.nest(f"for {loop.variable} in range({loop.extent}):", body)
            body = around
    block.extend(body)


def _emit_zero(node: Node, target: str, block: Block) -> None:
    zero = number(0, node.dtype)
    _nested_loops(block, node.type.dims, [_whole(node)], lambda at: f"{target}[{at[0]}] = {zero}")


def _emit_assemble(
    copies: Sequence[RegionCopy],
    zero_first: bool,
    node: Node,
    storage_of: StorageOf,
    arguments: Arguments,
    block: Block,
) -> None:
    target = arguments.name(storage_of(node))
    if zero_first:
        _emit_zero(node, target, block)
    step = _even_step(node, copies, storage_of)
    if step is not None:
        _emit_run(node, copies, step, target, storage_of, arguments, block)
        return
    for copy in copies:
        _emit_region(node, copy, target, storage_of, arguments, block)


def _even_step(node: Node, copies: Sequence[RegionCopy], storage_of: StorageOf) -> int | None:
    """How far the regions stand apart, where there are many and they differ in nothing but the
    operand and that: one loop over all operands copies them. None otherwise."""
    if len(copies) < LEAST_RUN:
        return None
    operands = [node.operands[copy.operand] for copy in copies]
    if len({storage_of(viewed(operand)) for operand in operands}) != len(copies):
        return None
    pairs = zip(operands, copies, strict=True)
    forms = {(x.type, _place(x), copy.region.strides) for x, copy in pairs}
    steps = {other.region.offset - one.region.offset for one, other in itertools.pairwise(copies)}
    return steps.pop() if len(forms) == len(steps) == 1 else None


def _emit_run(
    node: Node,
    copies: Sequence[RegionCopy],
    step: int,
    target: str,
    storage_of: StorageOf,
    arguments: Arguments,
    block: Block,
) -> None:
    """A loop over operands of one type, whose regions in the target stand `step` apart."""
    operands = [node.operands[copy.operand] for copy in copies]
    first = arguments.run([storage_of(viewed(operand)) for operand in operands])
    dtype = dtype_name(node.dtype)
    count = first + len(copies)
    each = Block([f"{RUN_SOURCE} = buffer_in_run(arguments, {first}, {RUN}, {count}, {dtype})"])
    _nested_loops(
        each,
        operands[0].type.dims,
        [copies[0].region, _place(operands[0])],
        lambda at: f"{target}[{at[0]} + {RUN} * {step}] = {RUN_SOURCE}[{at[1]}]",
    )
    block.nest(f"for {RUN} in range({len(copies)}):", each)


def _emit_region(
    node: Node,
    copy: RegionCopy,
    target: str,
    storage_of: StorageOf,
    arguments: Arguments,
    block: Block,
) -> None:
    operand = node.operands[copy.operand]
    source = arguments.name(storage_of(viewed(operand)))
    _nested_loops(
        block,
        operand.type.dims,
        [copy.region, _place(operand)],
        lambda at: f"{target}[{at[0]}] = {source}[{at[1]}]",
    )


def _split(place: Strided, axis: int, indices: Strided) -> tuple[Strided, Strided]:
    """Strides along (axes before, index axes, axes after) of the sliced and the index tensor."""
    before, after = place.strides[:axis], place.strides[axis + 1 :]
    index_rank = len(indices.strides)
    sliced = Strided(place.offset, (*before, *(0,) * index_rank, *after))
    chosen = Strided(indices.offset, (*(0,) * len(before), *indices.strides, *(0,) * len(after)))
    return sliced, chosen


def _emit_gather(node: Node, storage_of: StorageOf, arguments: Arguments, block: Block) -> None:
    """result[a, i, c] = x[a, indices[i], c]"""
    x, indices = node.operands
    axis = node.attributes["axis"]
    target = arguments.name(storage_of(node))
    source = arguments.name(storage_of(viewed(x)))
    index = arguments.name(storage_of(viewed(indices)))
    place = _place(x)
    sliced, chosen = _split(place, axis, _place(indices))
    stride = place.strides[axis]
    _nested_loops(
        block,
        node.type.dims,
        [_whole(node), sliced, chosen],
        lambda at: f"{target}[{at[0]}] = {source}[{at[1]} + {index}[{at[2]}] * {stride}]",
    )


def _emit_scatter(node: Node, storage_of: StorageOf, arguments: Arguments, block: Block) -> None:
    """result[a, indices[i], c] += x[a, i, c], in the order of the indices

    The result is the base from the start where it overwrites it.
    """
    x, indices = node.operands[-2:]
    axis = node.attributes["axis"]
    target = arguments.name(storage_of(node))
    source = arguments.name(storage_of(viewed(x)))
    index = arguments.name(storage_of(viewed(indices)))
    if not adds_to_base(node):
        _emit_zero(node, target, block)
    elif storage_of(viewed(node.operands[0])) is not storage_of(node):
        whole = RegionCopy(0, _whole(node))
        _emit_region(node, whole, target, storage_of, arguments, block)
    result = _whole(node)
    sliced, chosen = _split(result, axis, _place(indices))
    stride = result.strides[axis]

    def statement(at: list[str]) -> str:
        element = f"{target}[{at[0]} + {index}[{at[1]}] * {stride}]"
        return f"{element} = {element} + {source}[{at[2]}]"

    _nested_loops(block, x.type.dims, [sliced, chosen, _place(x)], statement)


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
    names = Names({*RESERVED, *INNER_VARIABLES, *_CHECK_VARIABLES, name})
    arguments = Arguments(names)
    source = arguments.name(given or indices)
    cast = dtype_name(indices.dtype)
    element = Block(
        [
            f"index = {source}[j]",
            "least = minimum_reassoc(least, index)",
            "greatest = maximum_reassoc(greatest, index)",
        ]
    )
    if given is not None:
        element.store(f"{arguments.name(indices)}[j] = index")
    block = Block([f"least = {cast}(0)", f"greatest = {cast}(0)"])
    if reader is None:
        block.nest(f"for j in range({indices.size}):", element)
    else:
        block.extend(_in_chunks(indices.size, reader, element))
    if indices.size:
        stop = Block([f"return {INDEX_OUT_OF_RANGE}"])
        block.nest(f"if least < 0 or greatest >= {limit}:", stop)
    return KernelSource(
        name,
        function_text(name, arguments, block.lines),
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
    end = f"start + {chunk}"
    if size % chunk:
        end += f" if row_chunk < {chunks - 1} else {size}"
    own, block = Block([f"start = row_chunk * {chunk}", f"end = {end}"]), Block()
    own.nest("for j in range(start, end):", element)
    block.nest(f"for row_chunk in range({share_limits(THREAD_SHARE, chunks)}):", own)
    return block
