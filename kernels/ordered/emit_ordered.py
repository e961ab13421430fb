"""From an op in scan order to its kernel: lines are gone along, or sorted."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Cumulative, Sorting, Strided
from graphc.ir.types import row_major_strides
from graphc.kernels.loops.language.expressions import Expression, Formula, Name, texts
from graphc.kernels.loops.language.scalar import cast, dtype_name, number
from graphc.kernels.loops.language.source import (
    RESERVED,
    Arguments,
    KernelSource,
    StorageOf,
    function_statements,
)
from graphc.kernels.loops.language.statements import Block, Comment
from graphc.kernels.nests.access import place_in_memory
from graphc.kernels.nests.names import Names
from graphc.kernels.nests.node_kinds import viewed
from graphc.kernels.ordered import cumulative
from graphc.kernels.ordered.lines import FIRST, GROUP, LINE, LINES, PLACE, line_groups
from graphc.kernels.ordered.sorting import SORTING_VARIABLES, SortedLines, sorted_lines

# Lines of memory are gone along so many at a time, and columns of it.
LINES_AT_A_TIME = 8
COLUMNS_AT_A_TIME = 64
# The estimated cycles of one core for an element of a cumulative op.
CUMULATIVE_CYCLES = 1.5

_VARIABLES = texts(GROUP, FIRST, LINES, LINE, PLACE) | cumulative.VARIABLES | SORTING_VARIABLES


def emit_ordered(
    name: str, node: Node, storage_of: StorageOf, vector_bits: int, threads: int
) -> KernelSource:
    """The kernel of an op in scan order, whose lines threads share.

    What is made of a line depends on nothing but its elements, so the bits are the same at any
    number of threads.
    """
    lowering = node.op.lowering
    arguments = Arguments(Names({*RESERVED, *_VARIABLES, name}))
    block = Block()
    if node.location is not None and node.location.text:
        block.add(Comment(f"{node.location}: {node.location.text}"))
    buffers = [arguments.name(storage_of(viewed(x))) for x in node.operands]
    buffers.append(arguments.name(storage_of(node)))
    made = SortedLines()
    count, cycles = 0, 0.0
    if node.type.size:
        if isinstance(lowering, Cumulative):
            count = _cumulative(node, lowering, buffers, block)
            cycles = CUMULATIVE_CYCLES * node.type.size
        else:
            assert isinstance(lowering, Sorting)
            places = [*map(_place, node.operands), _whole(node)]
            made = sorted_lines(node, places, buffers, arguments, block, vector_bits, threads)
            count, cycles = made.groups, made.cycles
    return KernelSource(
        name,
        function_statements(arguments, block),
        arguments.storages,
        scratch=made.scratch,
        writes=(storage_of(node), *made.scratch),
        splits=count > 1,
        cycles=cycles,
        parts=made.parts,
    )


def _place(operand: Node) -> Strided:
    place = place_in_memory(operand)
    if place is None:
        raise AssertionError(f"{operand!r} has no strides and was not copied")
    return place


def _whole(node: Node) -> Strided:
    return Strided(0, row_major_strides(node.type.dims))


def _cumulative(node: Node, lowering: Cumulative, buffers: Sequence[Name], block: Block) -> int:
    """Appends the loops of a cumulative op; how many groups of lines there are."""
    axis, length = node.attributes["axis"], node.type.dims[node.attributes["axis"]]
    places = [*map(_place, node.operands), _whole(node)]
    groups = line_groups(node.type.dims, axis, places, LINES_AT_A_TIME)
    are_columns = groups.apart[-1] == 1
    in_blocks = lowering.in_blocks and length >= cumulative.BLOCK_LENGTH
    width = COLUMNS_AT_A_TIME if are_columns else 1 if in_blocks else LINES_AT_A_TIME
    groups = line_groups(node.type.dims, axis, places, width)
    backwards = length if node.attributes.get("reverse") else None
    arrays = [groups.array(k, buffer, backwards=backwards) for k, buffer in enumerate(buffers)]
    x, y = arrays[0], arrays[-1]
    begins = [0 if backwards is None else length - 1] * len(arrays)
    link = arrays[1] if len(arrays) > 2 else None
    # Between an element and the one before it stands the later of the two places.
    links_back = 1 if backwards is not None else 0
    template = lowering.step.format(carry="{0}", x="{1}", y="{2}")

    def step(carry: Expression, place: Expression, line: Expression) -> Expression:
        operands = [carry, x.element(place, line)]
        if link is not None:
            before = place - links_back if links_back else place
            operands.append(link.element(before, line))
        made = Formula(template, tuple(operands))
        return made if node.dtype.is_float else cast(node.dtype, made)

    zero = number(-0.0 if node.dtype.is_float else 0, node.dtype)
    steps = cumulative.Step(dtype_name(node.dtype), zero, step)
    body = Block()
    if not in_blocks:
        cumulative.one_after_the_other(body, steps, x, y, length, width, groups.lines)
    elif are_columns:
        cumulative.blocks_side_by_side(body, steps, x, y, length, width, groups.lines)
    else:
        cumulative.one_line_in_blocks(body, steps, x, y, length)
    groups.wrap(block, list(zip(arrays, begins, strict=True)), body)
    return groups.count
