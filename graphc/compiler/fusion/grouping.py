"""A partition of a program's nodes into fusion groups while it is being made."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sized
from dataclasses import dataclass

from graphc.compiler.fusion.decision import NotFused
from graphc.ir.graph import Node, Program, is_among
from graphc.ir.nodes.lowering import Scalar
from graphc.ir.ops import leaf
from graphc.ir.ops.movement.indexed import in_range
from graphc.kernels.groups.contraction_candidate import contraction_candidate
from graphc.kernels.groups.group import (
    Candidate,
    LoopGroup,
    MovementGroup,
    OrderedGroup,
    RegionGroup,
)
from graphc.kernels.loops.language.source import MOST_BUFFERS
from graphc.kernels.loops.rewrites.passes import RECOMPUTE_COST
from graphc.kernels.loops.thread_blocks import op_cost
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.loopnest import LoopNest, Phase, Reduces, plan_loops
from graphc.kernels.nests.node_kinds import (
    external_operands,
    is_contraction,
    is_inline,
    is_movement,
    is_ordered,
    is_region,
    is_result,
    is_view,
    viewed,
)
from graphc.kernels.nests.refusal import Refusal
from graphc.kernels.nests.row_blocks import reduced_in_blocks
from graphc.kernels.products.product_nodes import ProductNodes

# The cost of a kernel's ops for an element, at most. What LLVM takes grows faster than the length
# of a function; a value that is stored and loaded once for so much arithmetic costs nothing.
MOST_COST = 256

# Columns that one thread takes, so that no two write to one line, of whatever dtype.
COLUMNS_OF_A_LINE = MACHINE.line_bytes
# Fewer lines are not shared evenly.
LINES_TO_SHARE = 4


@dataclass(frozen=True, eq=False)
class Uses:
    """Who reads each computed value: nodes (through views), and the program itself."""

    program: Program
    readers: dict[Node, tuple[Node, ...]]
    kept: frozenset[Node]

    def outputs_of(self, nodes: Iterable[Node]) -> tuple[Node, ...]:
        """The values among `nodes` that something outside reads and that must be stored."""
        inside = set(nodes)
        return tuple(
            node
            for node in inside_order(inside)
            if node in self.kept or not inside.issuperset(self.readers[node])
        )


def inside_order(nodes: Iterable[Node]) -> list[Node]:
    """Operands before users: a node's number is greater than its operands'."""
    return sorted(nodes, key=lambda node: node.number)


def computed_nodes(program: Program) -> list[Node]:
    """The nodes that some kernel computes, operands first."""
    return [
        node for node in program.nodes if not (is_view(node) or is_inline(node) or _given(node))
    ]


def smallest_parts(program: Program) -> list[tuple[Node, ...]]:
    """The computed nodes, each by itself; but loops with their results."""
    parts: dict[Node, list[Node]] = {}
    for node in computed_nodes(program):
        parts.setdefault(node.operands[0] if is_result(node) else node, []).append(node)
    return [tuple(part) for part in parts.values()]


def _given(node: Node) -> bool:
    return node.op in (leaf.input_, leaf.state, leaf.constant)


def uses_of(program: Program) -> Uses:
    """Readers and roots of every computed value."""
    computed = computed_nodes(program)
    readers: dict[Node, dict[Node, None]] = {node: {} for node in computed}
    for node in computed:
        for base in map(viewed, node.operands):
            if base in readers:
                readers[base][node] = None
    kept = {viewed(root) for root in program.roots}
    kept |= {viewed(node) for node in program.nodes if node.op is in_range}
    return Uses(
        program,
        {node: tuple(found) for node, found in readers.items()},
        frozenset(kept & set(computed)),
    )


def make_group(nodes: Iterable[Node], uses: Uses) -> Candidate | Refusal:
    """The kernel of `nodes`, or why one kernel cannot compute them."""
    ordered = tuple(inside_order(set(nodes)))
    return group_storing(ordered, uses.outputs_of(ordered))


def too_large(nodes: Collection[Node], outputs: Sized) -> Refusal | None:
    """Why one kernel should not compute `nodes` and store `outputs`, though it could."""
    buffers = len(external_operands(nodes)) + len(outputs)
    if buffers > MOST_BUFFERS:
        return Refusal(NotFused.TOO_MANY_BUFFERS, (buffers, MOST_BUFFERS))
    cost = sum(map(op_cost, nodes))
    if cost > MOST_COST:
        return Refusal(NotFused.TOO_MUCH_ARITHMETIC, (cost, MOST_COST))
    return None


def group_storing(nodes: Iterable[Node], outputs: tuple[Node, ...]) -> Candidate | Refusal:
    """The kernel that computes `nodes` and stores `outputs`, or why there is none."""
    ordered = tuple(inside_order(set(nodes)))
    products = [node for node in ordered if is_contraction(node)]
    loops = [node for node in ordered if is_region(node)]
    if loops:
        if all(node is loops[0] or node.operands[0] is loops[0] for node in ordered):
            return RegionGroup(loops[0], outputs)
        return Refusal(NotFused.LOOP, (loops[0],))
    moves = [node for node in ordered if is_movement(node)]
    if moves:
        if len(ordered) == 1:
            return MovementGroup(ordered[0])
        return Refusal(NotFused.MOVEMENT, (moves[0],))
    ordered_ops = [node for node in ordered if is_ordered(node)]
    if ordered_ops:
        if len(ordered) == 1:
            return OrderedGroup(ordered[0])
        return Refusal(NotFused.ORDERED, (ordered_ops[0],))
    if len(products) > 1:
        return Refusal(NotFused.TWO_PRODUCTS, (products[0], products[1]))
    if products:
        return _contraction_group(products[0], ordered, outputs)
    nest = plan_loops(ordered, outputs)
    if isinstance(nest, Refusal):
        return nest
    too_costly = (
        _recomputed_by_row(nest) or _reduced_across_rows(nest) or _reduced_by_one_thread(nest)
    )
    return too_costly or LoopGroup(nest)


def _reduced_across_rows(nest: LoopNest) -> Refusal | None:
    """Refuses sums of sums whose loops would have to step from row to row of memory.

    A kernel a sum runs along the rows, and what goes between them is one row.
    """
    last = len(nest.domain.extents) - 1
    rows = [node for node, kind in nest.reduces.items() if kind is Reduces.ROWS]
    if not rows or not nest.inner or last in nest.inner:
        return None
    return Refusal(NotFused.SUMS_ACROSS_ROWS, (rows[0],))


def _reduced_by_one_thread(nest: LoopNest) -> Refusal | None:
    """Refuses passes over few long columns of memory, such as the channels of a batch.

    Threads share columns by whole lines of the cache, of which there are too few, and each pass
    reads all from beyond the second cache. Kernels that run along the rows of memory read as
    much, and threads share the rows.
    """
    extents, last = nest.domain.extents, len(nest.domain.extents) - 1
    columns = [node for node, kind in nest.reduces.items() if kind is Reduces.ROW]
    if not columns or not nest.outer or last in nest.inner or nest.passes < 2:
        return None
    lines = -(-extents[last] // COLUMNS_OF_A_LINE)
    if math.prod(extents[axis] for axis in nest.outer if axis != last) * lines >= LINES_TO_SHARE:
        return None
    elements = math.prod(extents[axis] for axis in nest.inner) * min(
        extents[last], COLUMNS_OF_A_LINE
    )
    itemsize = max(node.dtype.itemsize for node in nest.nodes)
    if elements * itemsize <= MACHINE.second_cache_beside_bytes:
        return None
    return Refusal(NotFused.FEW_COLUMNS, (columns[0],))


def _contraction_group(
    product: Node, ordered: tuple[Node, ...], outputs: tuple[Node, ...]
) -> Candidate | Refusal:
    reductions = tuple(node for node in ordered if _is_reduced_in_blocks(node, product, ordered))
    inside = {node: None for node in ordered if node is not product}
    epilogue = tuple(node for node in inside if not is_among(node, reductions))
    for operand in map(viewed, product.operands):
        if operand in inside:
            return Refusal(NotFused.READ_AS_A_WHOLE, (product, operand))
    for node in epilogue:
        if not isinstance(node.op.lowering, Scalar):
            return Refusal(NotFused.MORE_THAN_A_TILE, (node,))
    return contraction_candidate(ProductNodes(product, epilogue, outputs, reductions=reductions))


def _is_reduced_in_blocks(node: Node, product: Node, inside: Iterable[Node]) -> bool:
    """Whether the epilogue of `product` reduces each block of its rows to `node`."""
    value = reduced_in_blocks(node)
    return (
        value is not None
        and is_among(value, inside)
        and (value.shape, value.dtype) == (product.shape, product.dtype)
    )


def _recomputed_by_row(nest: LoopNest) -> Refusal | None:
    """Refuses kernels that compute a costly value, the same for every row, in every row."""
    costs: dict[Node, int] = {}
    for node in nest.nodes:
        role = nest.roles[node]
        is_column = role.inner and not role.outer and node not in nest.reduces
        if is_column and nest.outer and role.phase is Phase.MAIN:
            lowering = node.op.lowering
            costs[node] = lowering.cost if isinstance(lowering, Scalar) else 0
    if sum(costs.values()) > RECOMPUTE_COST:
        costliest = max(costs, key=costs.__getitem__)
        return Refusal(NotFused.COSTLY_IN_EVERY_ROW, (costliest,))
    return None


def needed_for(outputs: tuple[Node, ...], nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """Those of `nodes`, operands first, that `outputs` depend on."""
    needed, inside = set(outputs), set(nodes)
    for node in sorted(nodes, key=lambda n: n.number, reverse=True):
        if node in needed:
            needed |= {base for base in map(viewed, node.operands) if base in inside}
    return tuple(node for node in nodes if node in needed)
