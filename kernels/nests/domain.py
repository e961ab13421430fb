"""The loop axes that a set of nodes has in common, or why there are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import View
from graphc.kernels.nests.node_kinds import is_inline, is_loop_node, is_view, viewed
from graphc.kernels.nests.refusal import NoLoops, Refusal


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
                    return Refusal(NoLoops.ORDER_CHANGES, (view, view.operands[0].type))
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
    values = {_value_token(member): member for member in members}
    reads = {
        (node, position): _operand_token(node, position)
        for node in nodes
        for position, _ in enumerate(_looped_operands(node))
    }
    for (node, position), token in reads.items():
        values.setdefault(token, node.operands[position])
    numbers: dict[tuple[_Token, int], int] = {}
    extents: list[int] = []
    loop_axes: dict[_Token, tuple[int | None, ...]] = {}
    for token, value in sorted(values.items(), key=lambda item: -_loop_rank(item[1])):
        axes: list[int | None] = []
        for axis, extent in enumerate(value.type.dims):
            if extent == 1:
                axes.append(None)
                continue
            root = classes.find((token, axis))
            if root not in numbers:
                numbers[root] = len(extents)
                extents.append(extent)
            if numbers[root] in axes:
                return Refusal(NoLoops.TWO_AXES_IN_ONE, (value,))
            axes.append(numbers[root])
        loop_axes[token] = tuple(axes)
    return Domain(
        tuple(extents),
        {member: loop_axes[_value_token(member)] for member in members},
        {read: loop_axes[token] for read, token in reads.items()},
    )


def _loop_rank(value: Node) -> int:
    return sum(extent != 1 for extent in value.type.dims)
