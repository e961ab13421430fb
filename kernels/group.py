"""What a fusion group is: the input language of this package.

A group is a set of nodes that one kernel computes, and the values among them that it stores. Views
belong to no group: an operand that is a view is read through its strides (or, when the viewed value
is computed in the same group, through the correspondence of axes).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from graphc.ir.graph import Node
from graphc.ir.lowering import (
    Assemble,
    Contract,
    Cumulative,
    Gather,
    LoopIndex,
    Reduction,
    Scalar,
    Scatter,
    Sorting,
    View,
)
from graphc.ir.ops import leaf
from graphc.kernels.names import described

# More buffers than this in one kernel leave too few address registers.
MOST_BUFFERS = 30


@dataclass(frozen=True, eq=False)
class LoopGroup:
    """Elementwise ops and reductions over common loops."""

    nodes: tuple[Node, ...]
    outputs: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class ContractionGroup:
    """A matrix product, the elementwise ops that make its operands while they are packed (the
    prologue), and those applied to its tiles (the epilogue).

    gathered: the gathers of rows that it makes while it reads its operands.
    reductions: of blocks of rows (`kernels/row_blocks.py`) of the product or of the epilogue's
        values.
    An epilogue may also reduce whole rows of the product (`kernels/row_epilogue.py`).
    """

    contraction: Node
    epilogue: tuple[Node, ...]
    outputs: tuple[Node, ...]
    prologue: tuple[Node, ...] = ()
    reductions: tuple[Node, ...] = ()
    gathered: tuple[Node, ...] = ()

    @property
    def nodes(self) -> tuple[Node, ...]:
        before = (*self.gathered, *self.prologue)
        return (*before, self.contraction, *self.epilogue, *self.reductions)

    @property
    def reduces_rows(self) -> bool:
        """Whether the epilogue has reductions of whole rows."""
        return any(isinstance(node.op.lowering, Reduction) for node in self.epilogue)


@dataclass(frozen=True, eq=False)
class MovementGroup:
    """One op that copies regions or moves slices by index."""

    node: Node

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.node,)

    @property
    def outputs(self) -> tuple[Node, ...]:
        return (self.node,)

    @property
    def gathers(self) -> bool:
        """Whether the op copies slices that indices choose."""
        return isinstance(self.node.op.lowering, Gather)


@dataclass(frozen=True, eq=False)
class OrderedGroup:
    """One op that goes along lines in order, or sorts them."""

    node: Node

    @property
    def nodes(self) -> tuple[Node, ...]:
        return (self.node,)

    @property
    def outputs(self) -> tuple[Node, ...]:
        return (self.node,)


Group = LoopGroup | ContractionGroup | MovementGroup | OrderedGroup


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


def is_movement(node: Node) -> bool:
    return isinstance(node.op.lowering, Assemble | Gather | Scatter)


def is_ordered(node: Node) -> bool:
    return isinstance(node.op.lowering, Cumulative | Sorting)


def reads_memory(node: Node) -> bool:
    """Whether the node's kernel reads its operands from memory, whatever makes them."""
    return is_contraction(node) or is_movement(node) or is_ordered(node)


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


# --- the common loops of a set of nodes ------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Domain:
    """The loop axes that a set of nodes has in common.

    extents: of each loop axis, slowest first.
    axes: for each node (and each view between two of them) the loop axis of each of its axes,
        None where the extent is 1.
    operand_axes: the same for operand number p of a node, by (node, p).
    """

    extents: tuple[int, ...]
    axes: Mapping[Node, tuple[int | None, ...]]
    operand_axes: Mapping[tuple[Node, int], tuple[int | None, ...]]

    def span(self, node: Node) -> frozenset[int]:
        """The loop axes along which the node's value varies."""
        return frozenset(axis for axis in self.axes[node] if axis is not None)

    def operand_span(self, node: Node, position: int) -> frozenset[int]:
        return frozenset(a for a in self.operand_axes[node, position] if a is not None)


@dataclass(frozen=True)
class Refusal:
    """Why nodes cannot share a kernel."""

    reason: str


# A value as (its number, None), or what a node reads as operand k as (the node's number, k).
_Token = tuple[int, int | None]


class _AxisClasses:
    """Union-find over (token, axis) pairs."""

    def __init__(self) -> None:
        self._parent: dict[tuple[_Token, int], tuple[_Token, int]] = {}

    def find(self, item: tuple[_Token, int]) -> tuple[_Token, int]:
        root = item
        while self._parent.setdefault(root, root) != root:
            root = self._parent[root]
        while self._parent[item] != root:
            self._parent[item], item = root, self._parent[item]
        return root

    def union(self, one: tuple[_Token, int], other: tuple[_Token, int]) -> None:
        self._parent[self.find(one)] = self.find(other)


def common_domain(nodes: tuple[Node, ...]) -> Domain | Refusal:
    """The loops over which all of `nodes` can be computed together, or why there are none."""
    inside = set(nodes)
    classes = _AxisClasses()
    members: list[Node] = []
    for node in nodes:
        members.append(node)
        for position, operand in enumerate(_looped_operands(node)):
            for view in _views_between(operand, inside):
                if view_axes(view) is None:
                    return Refusal(
                        f"{described(view)} changes the order of elements between them, "
                        f"{view.operands[0].type} to {view.type}, so no loop runs along both"
                    )
                members.append(view)
                _unite_view(classes, view)
            token = _operand_token(node, position)
            for operand_axis, result_axis in _axis_links(node, operand):
                classes.union((token, operand_axis), (_value_token(node), result_axis))
    return _numbered(nodes, members, classes)


def _looped_operands(node: Node) -> tuple[Node, ...]:
    """The operands that are read element by element in the node's own loops."""
    return node.operands if is_loop_node(node) else ()


def _value_token(node: Node) -> _Token:
    return node.number, None


def _operand_token(node: Node, position: int) -> _Token:
    """What stands for an operand in the union of axes: itself, since all who read it run along it
    together; but every reader of an index counts along an axis of its own choice."""
    operand = node.operands[position]
    return (node.number, position) if is_inline(viewed(operand)) else _value_token(operand)


def _views_between(operand: Node, inside: set[Node]) -> Iterator[Node]:
    if viewed(operand) in inside:
        while is_view(operand):
            yield operand
            operand = operand.operands[0]


def view_axes(view: Node) -> tuple[int, ...] | None:
    """For each axis of the viewed value the axis of the view that it becomes, where it is one."""
    lowering = view.op.lowering
    assert isinstance(lowering, View)
    return lowering.axes(view.operands[0].type, view.type, **view.attributes)


def _unite_view(classes: _AxisClasses, view: Node) -> None:
    operand = view.operands[0]
    for axis, becomes in enumerate(view_axes(view) or ()):
        if operand.type.dims[axis] != 1:
            classes.union((_value_token(operand), axis), (_value_token(view), becomes))


def _axis_links(node: Node, operand: Node) -> Iterator[tuple[int, int]]:
    """Pairs (axis of the operand, axis of the node) that the same loop runs over."""
    shift = node.rank - operand.rank
    for axis, extent in enumerate(operand.type.dims):
        if extent != 1 and node.type.dims[axis + shift] == extent:
            yield axis, axis + shift


def _numbered(
    nodes: tuple[Node, ...], members: list[Node], classes: _AxisClasses
) -> Domain | Refusal:
    """Loop axes in the order in which the nodes of highest rank have them."""
    tokens = [(_value_token(member), member) for member in members]
    tokens += [
        (_operand_token(node, position), operand)
        for node in nodes
        for position, operand in enumerate(_looped_operands(node))
    ]
    numbers: dict[tuple[_Token, int], int] = {}
    extents: list[int] = []
    for token, value in sorted(tokens, key=lambda item: -_loop_rank(item[1])):
        roots = [classes.find((token, a)) for a, e in enumerate(value.type.dims) if e != 1]
        if len(set(roots)) != len(roots):
            return Refusal(
                f"two axes of {described(value)} of {value.type} would run along one loop"
            )
        for axis, extent in enumerate(value.type.dims):
            if extent != 1:
                root = classes.find((token, axis))
                if root not in numbers:
                    numbers[root] = len(extents)
                    extents.append(extent)

    def loop_axes(token: _Token, value: Node) -> tuple[int | None, ...]:
        return tuple(
            None if extent == 1 else numbers[classes.find((token, axis))]
            for axis, extent in enumerate(value.type.dims)
        )

    axes = {member: loop_axes(_value_token(member), member) for member in members}
    operand_axes = {}
    for node in nodes:
        for position, operand in enumerate(_looped_operands(node)):
            token = _operand_token(node, position)
            operand_axes[node, position] = loop_axes(token, operand)
    return Domain(tuple(extents), axes, operand_axes)


def _loop_rank(value: Node) -> int:
    return sum(extent != 1 for extent in value.type.dims)
