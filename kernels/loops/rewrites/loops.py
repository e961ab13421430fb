"""The loops that a loop nest becomes in source, and the indices of its values in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Strided
from graphc.ir.types import row_major_strides
from graphc.kernels.loops.language.expressions import Expression, Name, of
from graphc.kernels.loops.language.indices import (
    ZERO,
    Share,
    flat_index,
    index_expression,
    share_limits,
)
from graphc.kernels.loops.language.statements import Block, Limits
from graphc.kernels.loops.rewrites.block_sums import BlockSums
from graphc.kernels.loops.rewrites.parts import Part
from graphc.kernels.nests.access import (
    Access,
    Loop,
    access_along,
    merge_axes,
    place_in_memory,
)
from graphc.kernels.nests.loopnest import LoopNest
from graphc.kernels.nests.node_kinds import is_index, is_inline, viewed

# Of as many axes as windows along three of them have where they overlap, and some.
MOST_LOOPS = 16
OUTER_VARIABLES = ("i", *(f"i{number}" for number in range(1, MOST_LOOPS)))
INNER_VARIABLES = ("j", *(f"j{number}" for number in range(1, MOST_LOOPS)))


@dataclass(frozen=True)
class Loops:
    """Loops over rows and over the elements of a row, outermost first.

    The indices are in terms of the loops' variables.
    """

    nest: LoopNest
    outer: tuple[Loop, ...]
    inner: tuple[Loop, ...]

    @property
    def row_size(self) -> int:
        """The number of elements of a row."""
        return math.prod(loop.extent for loop in self.inner)

    @property
    def row_loop(self) -> Loop | None:
        """The loop over a row, where it is one."""
        loops = [loop for loop in self.inner if loop.extent != 1]
        return loops[0] if len(loops) == 1 else None

    @property
    def row_index(self) -> Expression:
        """The index of the current element within its row."""
        strides = row_major_strides([loop.extent for loop in self.inner])
        loops = zip(self.inner, strides, strict=True)
        return flat_index(*((Name(x.variable), stride) for x, stride in loops if x.extent != 1))

    def operand_index(self, node: Node, position: int) -> Expression:
        """The index of the current element of an operand in the buffer of the value it views."""
        return self._index(_operand_access(self.nest, node, position))

    def is_streamed(self, node: Node, position: int) -> bool:
        """Whether the loops read an operand's elements one after the other, each once in a row."""
        access = _operand_access(self.nest, node, position)
        strides = [access.strides[loop.axes[-1]] for loop in (*self.outer, *self.inner)]
        return all(strides) and strides[-1] == 1

    def steps_by_one(self, loop: Loop) -> bool:
        """Whether along the loop all that is read or stored steps by one element or by none."""
        return all(a.strides[loop.axes[-1]] in (0, 1) for a in _accesses(self.nest))

    def is_read_again(self, node: Node, position: int, loop: Loop) -> bool:
        """Whether an operand in memory has the same elements for all steps of the loop."""
        if not _is_addressed(self.nest, node.operands[position]):
            return False
        return _operand_access(self.nest, node, position).strides[loop.axes[-1]] == 0

    def is_transposed(self, rows: Loop, elements: Loop) -> bool:
        """Whether something steps by one element from row to row, and by more along a row."""
        return any(
            access.strides[rows.axes[-1]] == 1 and access.strides[elements.axes[-1]] not in (0, 1)
            for access in _accesses(self.nest)
        )

    def result_index(self, node: Node) -> Expression:
        """The index of the current element of a value that is stored whole."""
        return self._index(_result_access(self.nest, node))

    def _index(self, access: Access) -> Expression:
        return index_expression(access, (*self.outer, *self.inner))


def loops_of(nest: LoopNest) -> Loops:
    """The loops of `nest`: axes that all values step through evenly are one loop."""
    accesses = _accesses(nest)
    extents = nest.domain.extents
    return Loops(
        nest,
        merge_axes(nest.outer, extents, accesses, OUTER_VARIABLES),
        merge_axes(nest.inner, extents, accesses, INNER_VARIABLES),
    )


def _accesses(nest: LoopNest) -> list[Access]:
    """Of all that is read, stored, or an index."""
    accesses = [
        _operand_access(nest, node, position)
        for node in nest.nodes
        for position, operand in enumerate(node.operands)
        if _is_addressed(nest, operand)
    ]
    accesses += [_result_access(nest, node) for node in nest.outputs]
    accesses += [_result_access(nest, node) for node in nest.nodes if is_index(node)]
    return accesses


def wrap_in_loops(
    into: Block,
    loops: tuple[Loop, ...],
    body: Block,
    share: Share | None = None,
    sums: BlockSums | None = None,
    inside: Sequence[Part] = (),
) -> None:
    """Appends `body` inside `loops`; with a share, the outermost runs over that of its extent.

    sums: what one of the loops accumulates in blocks. inside: parts of loops that `body` has
    inside; whole ones have no loop here, others one over parts.
    """
    if sums is not None:
        sums.begin(into)
    parts = {part.loop: part for part in inside}
    for loop in reversed(loops):
        part = parts.get(loop)
        if loop.extent != 1 and (part is None or not part.is_whole):
            is_cut = share is not None and loop is loops[0]
            limits = share_limits(share, loop.extent) if share and is_cut else whole_range(loop)
            around = Block()
            nest = partial(_nest_loop, loop=loop, part=part, body=body)
            if sums is not None and sums.cut.loop is loop:
                sums.wrap(around, limits, nest)
            else:
                nest(around, limits)
            body = around
    into.extend(body)
    if sums is not None:
        sums.end(into)


def whole_range(loop: Loop) -> tuple[Expression, Expression]:
    """The limits of a loop that no share cuts."""
    return ZERO, of(loop.extent)


def _nest_loop(
    into: Block, limits: tuple[Expression, Expression], loop: Loop, part: Part | None, body: Block
) -> None:
    if part is not None:
        part.wrap_around(into, limits, body)
        return
    start, end = limits
    shown: Limits = end if start == ZERO else limits
    into.loop(Name(loop.variable), shown, body)


def _is_addressed(nest: LoopNest, operand: Node) -> bool:
    """Whether the operand's place matters: where it is loaded from, or as the value of an index."""
    base = viewed(operand)
    return base not in nest.roles and (is_index(base) or not is_inline(base))


def _operand_access(nest: LoopNest, node: Node, position: int) -> Access:
    operand = node.operands[position]
    place = place_in_memory(operand)
    if place is None:
        raise AssertionError(f"{operand!r} has no strides and was not copied")
    axes = nest.domain.operand_axes[node, position]
    return access_along("", place, axes, len(nest.domain.extents))


def _result_access(nest: LoopNest, node: Node) -> Access:
    place = Strided(0, row_major_strides(node.type.dims))
    return access_along("", place, nest.domain.axes[node], len(nest.domain.extents))
