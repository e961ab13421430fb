"""Loops that move elements from one place of memory to another, and the kernels made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import RegionCopy, Strided
from graphc.ir.types import row_major_strides
from graphc.kernels.loops.language.expressions import Element, Expression, Name, texts
from graphc.kernels.loops.language.indices import Share, index_expression, share_limits
from graphc.kernels.loops.language.scalar import number
from graphc.kernels.loops.language.source import (
    RESERVED,
    Arguments,
    KernelSource,
    StorageOf,
    function_statements,
)
from graphc.kernels.loops.language.statements import (
    Block,
    Comment,
    Limits,
    LoopKind,
    Statement,
    assigned,
    innermost_loops,
)
from graphc.kernels.loops.rewrites.loops import INNER_VARIABLES
from graphc.kernels.nests.access import Access, Loop, merge_axes, place_in_memory
from graphc.kernels.nests.names import Names
from graphc.kernels.nests.node_kinds import viewed

StatementAt = Callable[[list[Expression]], Statement]

# Shorter rows are unrolled whole, so that the loop over rows is vectorised.
LONG_ROW = 64

# Names in loops over operands.
RUN, RUN_SOURCE = Name("number"), Name("source")
# The rows of a result that a thread adds to.
FIRST_ROW, ROWS_END = Name("first_row"), Name("rows_end")
# A row of a result, and where it and its operand's begin.
ROW, ROW_TARGET, ROW_SOURCE = Name("row"), Name("row_target"), Name("row_source")
# An index that was read.
INDEX = Name("index")


def movement_kernel(
    name: str,
    node: Node,
    storage_of: StorageOf,
    emit: Callable[[Node, StorageOf, Arguments, Block], None],
    indexes: bool = False,
    shared_cycles: float | None = None,
) -> KernelSource:
    """The kernel of the lines that `emit` makes. shared_cycles: what it takes on one thread, of a
    kernel that threads may share."""
    variables = texts(RUN, RUN_SOURCE, INDEX, FIRST_ROW, ROWS_END, ROW, ROW_TARGET, ROW_SOURCE)
    arguments = Arguments(Names({*RESERVED, *INNER_VARIABLES, *variables, name}))
    block = Block()
    if node.location is not None and node.location.text:
        block.add(Comment(f"{node.location}: {node.location.text}"))
    emit(node, storage_of, arguments, block)
    return KernelSource(
        name,
        function_statements(arguments, block),
        arguments.storages,
        unroll=any(loop.kind is not LoopKind.ROW for loop in innermost_loops(block.whole)),
        writes=(storage_of(node),),
        indexes=indexes,
        splits=shared_cycles is not None,
        cycles=shared_cycles or 0.0,
    )


def operand_place(operand: Node) -> Strided:
    place = place_in_memory(operand)
    if place is None:
        raise AssertionError(f"{operand!r} has no strides and was not copied")
    return place


def whole_place(node: Node) -> Strided:
    return Strided(0, row_major_strides(node.type.dims))


@dataclass(frozen=True)
class MovementLoops:
    """Loops, and in them the index of an element of each of some places."""

    loops: tuple[Loop, ...]
    indices: tuple[Expression, ...]

    @classmethod
    def over(
        cls, extents: Sequence[int], places: Sequence[Strided], variables: Sequence[str]
    ) -> MovementLoops:
        """As few loops over `extents` as the places allow."""
        accesses = [Access("", place.offset, place.strides) for place in places]
        loops = merge_axes(range(len(extents)), extents, accesses, variables)
        return cls(loops, tuple(index_expression(access, loops) for access in accesses))

    def around(
        self, body: Block, share: Share | None = None, long_row: LoopKind = LoopKind.PLAIN
    ) -> Block:
        """The loops around `body`; of the outermost a thread makes its share, if there is one.

        long_row: the kind of the innermost, where it is over many elements.
        """
        counted = [loop for loop in self.loops if loop.extent != 1]
        for loop in reversed(counted):
            limits: Limits = loop.extent
            if share is not None and loop is counted[0]:
                limits = share_limits(share, loop.extent)
            is_row = loop is counted[-1] and loop.extent >= LONG_ROW
            around = Block()
            around.loop(Name(loop.variable), limits, body, long_row if is_row else LoopKind.PLAIN)
            body = around
        return body


def nested_loops(
    block: Block,
    extents: Sequence[int],
    places: Sequence[Strided],
    statement: StatementAt,
    share: Share | None = None,
) -> None:
    """Loops over `extents` around a statement on one element of each of `places`."""
    loops = MovementLoops.over(extents, places, INNER_VARIABLES)
    element = Block.of(statement(list(loops.indices)))
    block.extend(loops.around(element, share, LoopKind.ROW))


def emit_zero(node: Node, target: Name, block: Block) -> None:
    zero = number(0, node.dtype)
    nested_loops(
        block,
        node.type.dims,
        [whole_place(node)],
        lambda at: assigned(Element(target, at[0]), zero),
    )


def emit_region(
    node: Node,
    copy: RegionCopy,
    target: Name,
    storage_of: StorageOf,
    arguments: Arguments,
    block: Block,
    share: Share | None = None,
) -> None:
    operand = node.operands[copy.operand]
    source = arguments.name(storage_of(viewed(operand)))
    nested_loops(
        block,
        operand.type.dims,
        [copy.region, operand_place(operand)],
        lambda at: assigned(Element(target, at[0]), Element(source, at[1])),
        share,
    )
