"""Copies where a kernel could not read or write a value as the program has it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count

from graphc.compiler.legalize.windowed_products import WindowsRead, reading_windows
from graphc.ir.graph import Node, Program, are_same, rebuild
from graphc.ir.nodes.lowering import Strided
from graphc.ir.ops import leaf, region
from graphc.ir.ops.elementwise import elementwise
from graphc.ir.ops.movement.indexed import in_range
from graphc.ir.programs.lower import applied
from graphc.ir.types import row_major_strides
from graphc.kernels.nests.access import place_in_memory
from graphc.kernels.nests.loopnest import is_reduction
from graphc.kernels.nests.node_kinds import (
    is_inline,
    is_region,
    is_result,
    is_view,
    reads_memory,
    viewed,
)
from graphc.kernels.products.tilings.tiling import Tilings


@dataclass(frozen=True, eq=False)
class Legalized:
    """A program that kernels can compute. windows: of each product whose operand has no strides
    how it is read."""

    program: Program
    windows: Mapping[Node, WindowsRead]


def legalize(program: Program, tilings: Tilings) -> Legalized:
    """The program with copies where they are needed.

    After it every view has strides in the memory of a stored value, or is of windows that a product
    reads where they stand; the operands of contractions, movements, ops in scan order and loops are
    stored, and what is checked as indices is all of a stored value. Loops read whole values; those
    that their carries begin with are nobody else's. Every output and update is a value that a
    kernel computes; those of updates are computed for one state alone and are no views.
    """
    windows: dict[Node, WindowsRead] = {}

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        made, read = reading_windows(_legal(node, operands), tilings)
        if read is not None:
            windows[made] = read
        return made

    made = rebuild(program.roots, make)
    program = program.map_roots(made.__getitem__)
    outputs = tuple((name, _owned(value)) for name, value in program.outputs)
    taken: set[Node] = set()
    updates = []
    for state, value in program.updates:
        owned = _unshared(value, taken)
        taken.add(owned)
        updates.append((state, owned))
    program = Program(program.name, program.inputs, outputs, tuple(updates))
    return _with_own_carries(Legalized(program, windows))


def _legal(node: Node, operands: tuple[Node, ...]) -> Node:
    if is_region(node):
        operands = tuple(x if _is_whole(x) else _copy(x) for x in operands)
    if reads_memory(node) or node.op is in_range:
        operands = tuple(_copy(x) if is_inline(viewed(x)) else x for x in operands)
    if node.op is in_range and not _shows_all(operands[0]):
        operands = (_copy(operands[0]),)
    if not are_same(operands, node.operands):
        with node.graph.at(node.location):
            node = node.graph.apply(node.op, operands, node.attributes)
    if is_view(node) and place_in_memory(node) is None:
        with node.graph.at(node.location):
            node = node.graph.apply(node.op, (_copy(node.operands[0]),), node.attributes)
    return node


def _with_own_carries(legal: Legalized) -> Legalized:
    """The program in which carries of loops begin with copies, over which the loops write."""
    program = legal.program
    if not any(is_region(node) for node in program.nodes):
        return legal
    numbers = count()

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        if not is_region(node):
            return applied(node, operands)
        carries = node.attributes["carries"]
        with node.graph.at(node.location):
            started = [region.start(x, number=next(numbers)) for x in operands[:carries]]
        return applied(node, (*started, *operands[carries:]))

    made = rebuild(program.roots, make)
    windows = {made.get(product, product): read for product, read in legal.windows.items()}
    return Legalized(program.map_roots(made.__getitem__), windows)


def _is_whole(value: Node) -> bool:
    """Whether the value is all of the memory that it shows, in row-major order."""
    whole = Strided(0, row_major_strides(value.type.dims))
    return place_in_memory(value) == whole and viewed(value).type.size == value.type.size


def _shows_all(value: Node) -> bool:
    """Whether every element of the memory that `value` shows is one of its own."""
    place = place_in_memory(value)
    if place is None:
        return False
    runs = zip(value.type.dims, place.strides, strict=True)
    seen = sorted((abs(stride), n) for n, stride in runs if stride and n != 1)
    if math.prod(n for _, n in seen) != viewed(value).type.size:
        return False
    # As many elements as there are; and none twice, since each step leads beyond all shorter ones.
    reached = 0
    for stride, n in seen:
        if stride <= reached:
            return False
        reached += stride * (n - 1)
    return True


def _copy(value: Node) -> Node:
    with value.graph.at(value.location):
        return elementwise.copy(value)


def _is_leaf(value: Node) -> bool:
    return value.op in (leaf.input_, leaf.state, leaf.constant)


def _owned(value: Node) -> Node:
    """An output must not show memory that the caller or an update may change."""
    base = viewed(value)
    return _copy(value) if _is_leaf(base) or is_inline(base) else value


def _unshared(value: Node, taken: set[Node]) -> Node:
    """A value that its kernel may store straight into a state's memory."""
    base = viewed(value)
    is_made_elsewhere = is_reduction(value) or is_result(value)
    if base is not value or _is_leaf(base) or is_inline(base) or is_made_elsewhere:
        value = _copy(value)
    while value in taken:
        value = _copy(value)
    return value
