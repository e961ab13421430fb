"""What rules look at a node with: constants, operands in either order, negations, peaks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from graphc.ir.graph import Node, are_same
from graphc.ir.nodes.op import Op
from graphc.ir.ops import leaf
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions import reduce
from graphc.ir.types import Shape


def constant_value(node: Node) -> Any:
    """The number that a scalar constant holds; None for any other node.

    Rewriting turns a constant array of equal elements into a broadcast scalar and draws that
    broadcast out of elementwise ops, so rules need to know scalar constants alone.
    """
    if node.op is leaf.constant and node.shape == ():
        return node.attributes["value"].array.item()
    return None


def is_constant(node: Node, number: float) -> bool:
    """Whether `node` is the scalar constant `number`; zeros must agree in sign."""
    value = constant_value(node)
    if value is None or isinstance(value, bool) or value != number:
        return False
    return not node.dtype.is_float or math.copysign(1.0, value) == math.copysign(1.0, number)


def either_order(node: Node) -> Iterator[tuple[Node, Node]]:
    """The two operands of a node, as they stand and swapped."""
    x, y = node.operands
    yield x, y
    yield y, x


def operand_of(node: Node, op: Op) -> Node | None:
    """The only operand of a node of the unary op `op`; None for any other node."""
    return node.operands[0] if node.op is op else None


def beside_one(node: Node) -> Node | None:
    """x of `1 + x` or `x + 1`; None for any other node."""
    if node.op is ops.add:
        for x, y in either_order(node):
            if is_constant(x, 1.0):
                return y
    return None


def one_minus(node: Node) -> Node | None:
    """x of `1 - x`; None for any other node."""
    if node.op is ops.subtract and is_constant(node.operands[0], 1.0):
        return node.operands[1]
    return None


def as_given(node: Node, x: Node) -> Node | None:
    """`x` as the replacement of `node`; None when it has not its type (it was broadcast)."""
    return x if x.type == node.type else None


def negation(x: Node) -> Node:
    """-x where the sign of a zero does not matter: as `b - a` when x is `a - b`."""
    if x.op is ops.negate:
        return x.operands[0]
    if x.op is ops.subtract:
        return ops.subtract(x.operands[1], x.operands[0])
    return ops.negate(x)


def are_opposite(x: Node, y: Node) -> bool:
    """Whether x is written as -y, y as -x, or one as `a - b` and the other as `b - a`."""
    if operand_of(x, ops.negate) is y or operand_of(y, ops.negate) is x:
        return True
    both_differences = x.op is ops.subtract and y.op is ops.subtract
    if both_differences and are_same(x.operands, y.operands[::-1]):
        return True
    one, other = _scaled(x), _scaled(y, -1)
    return one is not None and other is not None and one[0] is other[0] and one[1] == other[1]


def _scaled(node: Node, sign: int = 1) -> tuple[Node, Any] | None:
    """(x, sign * c) of c * x with a scalar constant c; None for any other node."""
    if node.op is ops.multiply:
        for c, x in either_order(node):
            value = constant_value(c)
            if value is not None:
                return x, sign * value
    return None


def unsqueezed(node: Node) -> Node:
    """x where `node` is x without leading axes of extent 1, which broadcasting brings back."""
    x = operand_of(node, movement.reshape)
    if x is not None and x.rank > node.rank and is_prefixed(x.shape, node.shape):
        return x
    return node


def is_prefixed(longer: Shape, shorter: Shape) -> bool:
    """Whether `longer` is `shorter` with extents of 1 before it."""
    extra = len(longer) - len(shorter)
    return extra >= 0 and longer == (1,) * extra + shorter


def reduced_along(node: Node, op: Op) -> tuple[Node, int] | None:
    """(x, axis) of a reduction of x by `op` over one axis, squeezed or not; else None."""
    kept = unsqueezed(node)
    if kept.op is op and len(kept.attributes["axes"]) == 1:
        return kept.operands[0], kept.attributes["axes"][0]
    return None


def is_peak(node: Node, x: Node, axes: tuple[int, ...]) -> bool:
    """Whether `node` is max(x) over `axes`, squeezed or not."""
    kept = unsqueezed(node)
    return kept.op is reduce.max_ and kept.operands[0] is x and kept.attributes["axes"] == axes


def below_peak(node: Node, axes: tuple[int, ...]) -> Node | None:
    """x of `x - max(x)` with the maximum over `axes`; None for any other node."""
    if node.op is ops.subtract and is_peak(node.operands[1], node.operands[0], axes):
        return node.operands[0]
    return None


def is_constant_along(node: Node, axis: int, shape: Shape) -> bool:
    """Whether `node`, broadcast to `shape`, has equal elements along `axis`."""
    position = axis - (len(shape) - node.rank)
    return position < 0 or node.shape[position] == 1
