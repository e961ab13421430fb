"""What kernels make of a node: a value of loops, a view, a movement, an index, a constant.

Views are no work: an operand that is a view is read through its strides (or, when the viewed value
is computed in the same kernel, through the correspondence of axes).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import (
    Assemble,
    Contract,
    ContractedAxes,
    Cumulative,
    Gather,
    LoopIndex,
    Reduction,
    Region,
    Result,
    Scalar,
    Scatter,
    Sorting,
    View,
)
from graphc.ir.ops import leaf


def is_view(node: Node) -> bool:
    return isinstance(node.op.lowering, View)


def is_index(node: Node) -> bool:
    """Whether an element's value is its place: what would be its index in a buffer."""
    return isinstance(node.op.lowering, LoopIndex)


def is_inline(node: Node) -> bool:
    """Whether every kernel computes the value where it needs it: scalar constants and indices."""
    # Most nodes have operands, and this is asked for very often.
    return not node.operands and (is_index(node) or (node.op is leaf.constant and node.rank == 0))


def is_loop_node(node: Node) -> bool:
    return isinstance(node.op.lowering, Scalar | Reduction | LoopIndex)


def is_contraction(node: Node) -> bool:
    return isinstance(node.op.lowering, Contract)


def contracted_axes(product: Node, position: int) -> ContractedAxes:
    """What the axes of operand number `position` are to a contraction."""
    lowering = product.op.lowering
    assert isinstance(lowering, Contract)
    ranks = [operand.rank for operand in product.operands]
    return lowering.axes(*ranks, **product.attributes)[position]


def matrix_axes(product: Node, position: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of an operand that count its rows, and those that count its columns: the first is
    rows x depth, the second depth x columns."""
    axes = contracted_axes(product, position)
    return (axes.free, axes.depth) if position == 0 else (axes.depth, axes.free)


def is_movement(node: Node) -> bool:
    return isinstance(node.op.lowering, Assemble | Gather | Scatter)


def is_ordered(node: Node) -> bool:
    return isinstance(node.op.lowering, Cumulative | Sorting)


def is_region(node: Node) -> bool:
    """Whether the node is a loop over steps, of which others are results."""
    return isinstance(node.op.lowering, Region)


def is_result(node: Node) -> bool:
    """Whether the node is one result of a loop."""
    return isinstance(node.op.lowering, Result)


def reads_memory(node: Node) -> bool:
    """Whether the node's kernel reads its operands from memory, whatever makes them."""
    return is_contraction(node) or is_movement(node) or is_ordered(node) or is_region(node)


def changes_base(node: Node) -> bool:
    """Whether the node is its operand 0 but for slices that are put at indices."""
    lowering = node.op.lowering
    return isinstance(lowering, Scatter) and lowering.has_base


def viewed(node: Node) -> Node:
    """The value whose memory `node` shows: the node itself unless it is a view."""
    return node.viewed


def external_operands(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The stored values that kernels of `nodes` read, each once, in order of first use."""
    inside = set(nodes)
    read = {operand.viewed: None for node in nodes for operand in node.operands}
    return tuple(base for base in read if base not in inside and not is_inline(base))


def loaded_operands(nodes: Collection[Node]) -> Iterator[tuple[Node, int]]:
    """Each operand that kernels of `nodes` read from memory: who reads it, and its number.

    What they compute is not among them, nor scalar constants and indices, which have no memory.
    """
    inside = set(nodes)
    for node in nodes:
        for position, operand in enumerate(node.operands):
            if operand.viewed not in inside and not is_inline(operand.viewed):
                yield node, position
