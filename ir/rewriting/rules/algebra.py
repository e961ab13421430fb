"""Rules of elementwise arithmetic. Each gives the same bits, NaN, infinities and -0.0 included.

Not here, since IEEE does not give them: x + 0 = x and -(x - y) = y - x (wrong for zeros' signs),
x * 0 = 0, x - x = 0 and x / x = 1 (wrong for NaN and infinities), x / c = x * (1 / c) and
(x + y) + z = x + (y + z) (other roundings). A NaN's sign and payload are no part of a result.
"""

from __future__ import annotations

import math

import numpy as np

from graphc.ir.graph import Node
from graphc.ir.nodes.attributes import Literal
from graphc.ir.nodes.lowering import Region, Result
from graphc.ir.nodes.op import Op
from graphc.ir.ops import OPS, leaf
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.rewriting.match import (
    as_given,
    constant_value,
    either_order,
    is_constant,
    operand_of,
)
from graphc.ir.rewriting.rewrite import MATHEMATICS_ULPS, Rule, rule
from graphc.ir.types import DType

FOLDED_ELEMENTS = 1024
_COMPUTED: tuple[Op, ...] = tuple(
    op
    for op in OPS.values()
    # Where indices are checked the check must stay; a broadcast constant must not become large;
    # a copy is there to be one; a loop may be a long one.
    if op.arity != 0 and op.indices is None and op not in (movement.broadcast_to, ops.copy)
    if not isinstance(op.lowering, Region | Result)
)


@rule(*_COMPUTED, ulps=MATHEMATICS_ULPS)
def fold_constants(node: Node) -> Node | None:
    """f(constants) = constant"""
    if any(x.op is not leaf.constant for x in node.operands):
        return None
    if node.type.size > FOLDED_ELEMENTS:
        return None
    arrays = [x.attributes["value"].array for x in node.operands]
    with np.errstate(all="ignore"):
        value = node.op.reference(node.type, *arrays, **node.attributes)
    return node.graph.constant(value, node.dtype)


@rule(leaf.extent)
def fold_extent(node: Node) -> Node | None:
    """extent(known shape) = constant"""
    shape = node.attributes["shape"]
    if not all(isinstance(extent, int) for extent in shape):
        return None
    return node.graph.constant(math.prod(shape), node.dtype)


@rule(leaf.constant)
def broadcast_uniform_constant(node: Node) -> Node | None:
    """constant array of equal elements = broadcast_to(scalar constant)"""
    array = node.attributes["value"].array
    if array.ndim == 0 or array.size == 0:
        return None
    first = Literal(array.ravel()[0])
    if Literal(np.full(array.shape, first.array)) != node.attributes["value"]:
        return None
    return movement.broadcast_to(node.graph.constant(first.array, node.dtype), shape=node.shape)


# --- neutral elements ------------------------------------------------------------------------


@rule(ops.add)
def add_zero(node: Node) -> Node | None:
    """x + (-0.0) = x; for integers x + 0 = x"""
    zero = -0.0 if node.dtype.is_float else 0
    for x, y in either_order(node):
        if is_constant(y, zero):
            return as_given(node, x)
    return None


@rule(ops.subtract)
def subtract_zero(node: Node) -> Node | None:
    """x - 0 = x"""
    x, y = node.operands
    return as_given(node, x) if is_constant(y, 0.0) else None


@rule(ops.subtract)
def subtract_from_zero(node: Node) -> Node | None:
    """-0.0 - x = -x; for integers 0 - x = -x"""
    zero = -0.0 if node.dtype.is_float else 0
    x, y = node.operands
    return as_given(node, ops.negate(y)) if is_constant(x, zero) else None


@rule(ops.multiply)
def multiply_one(node: Node) -> Node | None:
    """x * 1 = x;  x * -1 = -x"""
    for x, y in either_order(node):
        if is_constant(y, 1):
            return as_given(node, x)
        if is_constant(y, -1):
            return as_given(node, ops.negate(x))
    return None


@rule(ops.divide)
def divide_by_one(node: Node) -> Node | None:
    """x / 1 = x;  x / -1 = -x"""
    x, y = node.operands
    if is_constant(y, 1):
        return as_given(node, x)
    return as_given(node, ops.negate(x)) if is_constant(y, -1) else None


@rule(ops.divide)
def divide_one(node: Node) -> Node | None:
    """1 / x = reciprocal(x)"""
    x, y = node.operands
    return as_given(node, ops.reciprocal(y)) if is_constant(x, 1) else None


@rule(ops.divide)
def divide_negative_constant(node: Node) -> Node | None:
    """(-c) / x = -(c / x) for a constant c"""
    x, y = node.operands
    value = constant_value(x)
    return -ops.divide(ops.negate(x), y) if value is not None and value < 0 else None


@rule(ops.divide)
def divide_by_power_of_two(node: Node) -> Node | None:
    """x / 2^k = x * 2^-k"""
    x, y = node.operands
    value = constant_value(y)
    if value is None or not _has_exact_reciprocal(value, node.dtype):
        return None
    return x * node.graph.constant(1 / value, node.dtype)


def _has_exact_reciprocal(value: float, dtype: DType) -> bool:
    """Whether `value` is plus or minus a power of two whose reciprocal is a normal number."""
    if value == 0 or not math.isfinite(value):
        return False
    mantissa, exponent = math.frexp(abs(value))
    limits = np.finfo(dtype.numpy)
    return mantissa == 0.5 and limits.minexp <= 1 - exponent < limits.maxexp


# --- negation --------------------------------------------------------------------------------


@rule(ops.negate)
def negate_negate(node: Node) -> Node | None:
    """-(-x) = x"""
    return operand_of(node.operands[0], ops.negate)


@rule(ops.negate)
def negate_multiple(node: Node) -> Node | None:
    """-(c * x) = (-c) * x for a constant c"""
    (product,) = node.operands
    if product.op is not ops.multiply:
        return None
    for c, x in either_order(product):
        value = constant_value(c)
        if value is not None:
            return as_given(node, ops.negate(c) * x)
    return None


@rule(ops.add)
def add_negated(node: Node) -> Node | None:
    """x + (-y) = x - y"""
    for x, y in either_order(node):
        positive = operand_of(y, ops.negate)
        if positive is not None:
            return ops.subtract(x, positive)
    return None


@rule(ops.subtract)
def subtract_negated(node: Node) -> Node | None:
    """x - (-y) = x + y"""
    x, y = node.operands
    positive = operand_of(y, ops.negate)
    return None if positive is None else ops.add(x, positive)


@rule(ops.multiply, ops.divide)
def draw_out_negation(node: Node) -> Node | None:
    """(-x) * y = -(x * y);  (-x) * (-y) = x * y;  the same for x / y"""
    positive = [operand_of(x, ops.negate) for x in node.operands]
    if all(inner is None for inner in positive):
        return None
    x, y = (
        given if inner is None else inner
        for inner, given in zip(positive, node.operands, strict=True)
    )
    value = node.op(x, y)
    return ops.negate(value) if any(inner is None for inner in positive) else value


@rule(ops.square, ops.absolute)
def drop_inner_sign(node: Node) -> Node | None:
    """square(-x) = square(x);  abs(-x) = abs(x);  the same for an inner abs"""
    (x,) = node.operands
    if x.op is ops.negate or x.op is ops.absolute:
        return node.op(x.operands[0])
    return None


# --- products and powers ---------------------------------------------------------------------


@rule(ops.multiply)
def multiply_itself(node: Node) -> Node | None:
    """x * x = square(x)"""
    x, y = node.operands
    return ops.square(x) if x is y else None


@rule(ops.power, ulps=MATHEMATICS_ULPS)
def small_power(node: Node) -> Node | None:
    """x ** 1 = x;  x ** 2 = square(x);  x ** -1 = reciprocal(x);  x ** 0 = 1

    The last for NaN too, as IEEE has it. x ** 0.5 is not sqrt(x): they differ at -0.0 and -inf.
    """
    x, y = node.operands
    if is_constant(y, 1):
        return as_given(node, x)
    if is_constant(y, 2):
        return as_given(node, ops.square(x))
    if is_constant(y, -1):
        return as_given(node, ops.reciprocal(x))
    if constant_value(y) == 0:
        return movement.broadcast_to(node.graph.constant(1.0, node.dtype), shape=node.shape)
    return None


# --- selection and casts ---------------------------------------------------------------------


@rule(ops.minimum, ops.maximum, ops.logical_and, ops.logical_or)
def combine_equals(node: Node) -> Node | None:
    """max(x, x) = x;  the same for min, and, or"""
    x, y = node.operands
    return x if x is y else None


@rule(ops.logical_not)
def not_not(node: Node) -> Node | None:
    """not (not x) = x"""
    return operand_of(node.operands[0], ops.logical_not)


@rule(ops.where)
def where_known(node: Node) -> Node | None:
    """where(true, x, y) = x;  where(false, x, y) = y;  where(c, x, x) = x"""
    condition, x, y = node.operands
    known = constant_value(condition)
    if known is not None:
        chosen = x if known else y
        return chosen if chosen.type == node.type else _stretched(chosen, node)
    return _stretched(x, node) if x is y else None


def _stretched(x: Node, node: Node) -> Node:
    return x if x.type == node.type else movement.broadcast_to(x, shape=node.shape)


@rule(ops.where)
def where_not(node: Node) -> Node | None:
    """where(not c, x, y) = where(c, y, x)"""
    condition, x, y = node.operands
    inner = operand_of(condition, ops.logical_not)
    return None if inner is None else ops.where(inner, y, x)


@rule(ops.cast)
def cast_to_own_dtype(node: Node) -> Node | None:
    """cast(x, its own dtype) = x"""
    return as_given(node, node.operands[0])


@rule(ops.cast)
def cast_twice(node: Node) -> Node | None:
    """cast(cast(x, wider), dtype) = cast(x, dtype)"""
    x = operand_of(node.operands[0], ops.cast)
    if x is None or not _keeps_every_value(x.dtype, node.operands[0].dtype):
        return None
    saturates = node.operands[0].dtype.is_float and node.dtype.is_integer
    if saturates and not x.dtype.is_float and not _keeps_every_value(x.dtype, node.dtype):
        return None  # a float beyond the integers becomes the nearest, an integer keeps some bits
    return ops.cast(x, dtype=node.dtype)


def _keeps_every_value(dtype: DType, wider: DType) -> bool:
    """Whether each value of `dtype` is one of `wider`. numpy calls i64 to f64 safe; it is not."""
    if dtype.is_integer and wider.is_float:
        return np.iinfo(dtype.numpy).bits <= np.finfo(wider.numpy).nmant
    return bool(np.can_cast(dtype.numpy, wider.numpy, "safe"))


RULES: tuple[Rule, ...] = (
    fold_constants,
    fold_extent,
    broadcast_uniform_constant,
    add_zero,
    subtract_zero,
    subtract_from_zero,
    multiply_one,
    divide_by_one,
    divide_one,
    divide_negative_constant,
    divide_by_power_of_two,
    negate_negate,
    negate_multiple,
    add_negated,
    subtract_negated,
    draw_out_negation,
    drop_inner_sign,
    multiply_itself,
    small_power,
    combine_equals,
    not_not,
    where_known,
    where_not,
    cast_to_own_dtype,
    cast_twice,
)
