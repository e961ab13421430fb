"""Rules that bring the backward pass of a loss to its textbook form, such as (p - t) / n."""

from __future__ import annotations

import math

from graphc.ir.graph import Node
from graphc.ir.ops import composite, random
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions import reduce
from graphc.ir.rewriting.match import (
    constant_value,
    either_order,
    is_constant,
    is_constant_along,
    operand_of,
)
from graphc.ir.rewriting.rewrite import SUM_ULPS, Rule, rule
from graphc.ir.types import static_shape


@rule(reduce.sum_)
def sum_of_one_hot(node: Node) -> Node | None:
    """sum(one_hot(labels), its new axis) = 1, since labels are checked to be in range"""
    (x,) = node.operands
    if x.op is not composite.one_hot or node.attributes["axes"] != (x.rank - 1,):
        return None
    return movement.broadcast_to(node.graph.constant(1, node.dtype), shape=node.shape)


@rule(ops.subtract, ulps=SUM_ULPS)
def log_softmax_backward(node: Node) -> Node | None:
    """t * s - p * sum(t * s, axis) = (p * sum(t, axis) - t) * -s for p = softmax(x, axis)

    Here t is one-hot: of any other t the sum may overflow where that of t * s does not. s is
    constant along the axis: the weight 1/n of a mean, or one a row. The left-hand side is
    log_softmax's VJP of the cotangent t * s (or weigh(t, s)), or where(t, s, 0), and the right is
    (p - t) * -s. The rounding differs in the last digit.
    """
    ct, product = node.operands
    found = _softmax_times_sum(product, ct)
    if found is None:
        return None
    probabilities, axis = found
    target, scale, is_negative = _split_scale(ct, axis)
    if scale is None or target.op is not composite.one_hot:
        return None
    expected = probabilities * reduce.sum_(target, axes=(axis,))
    return (expected - target if is_negative else target - expected) * scale


def _softmax_times_sum(product: Node, summed: Node) -> tuple[Node, int] | None:
    """(p, axis) where `product` is p * sum(summed, axis) with a softmax p along that axis."""
    if product.op is not ops.multiply:
        return None
    for probabilities, total in either_order(product):
        if probabilities.op is not composite.softmax:
            continue
        axis = probabilities.attributes["axis"]
        is_sum = total.op is reduce.sum_ and total.attributes["axes"] == (axis,)
        if is_sum and total.operands[0] is summed:
            return probabilities, axis
    return None


def _split_scale(ct: Node, axis: int) -> tuple[Node, Node | None, bool]:
    """`ct` as (t, s, negative), with s the product of all factors constant along `axis`.

    s is None when there is no such factor. The sign is that of -(t * s) or of a constant s.
    """
    target, scale, is_negative = ct, None, False
    while True:
        inner = operand_of(target, ops.negate)
        if inner is not None:
            target, is_negative = inner, not is_negative
            continue
        split = _selected(target, axis) or _constant_factor(target, axis)
        if split is None:
            return target, scale, is_negative
        target, factor = split
        positive, value = operand_of(factor, ops.negate), constant_value(factor)
        if value is not None and value < 0:
            positive = ops.negate(factor)
        if positive is not None:
            factor, is_negative = positive, not is_negative
        scale = factor if scale is None else scale * factor


def _selected(node: Node, axis: int) -> tuple[Node, Node] | None:
    """(t, s) where `node` is where(t, s, 0) with a one-hot t and s constant along `axis`."""
    if node.op is not ops.where:
        return None
    is_chosen, factor, rest = node.operands
    is_one_hot = is_chosen.op is composite.one_hot and is_chosen.shape == node.shape
    if not (is_one_hot and is_constant(rest, 0.0) and is_constant_along(factor, axis, node.shape)):
        return None
    depth = is_chosen.attributes["depth"]
    return composite.one_hot(*is_chosen.operands, depth=depth, dtype=node.dtype), factor


def _constant_factor(node: Node, axis: int) -> tuple[Node, Node] | None:
    """(x, s) where `node` is x * s, x has its shape and s is constant along `axis`."""
    if node.op is ops.weigh and is_constant_along(node.operands[1], axis, node.shape):
        x, factor = node.operands
        return (x, factor) if x.shape == node.shape else None
    if node.op is not ops.multiply:
        return None
    for x, factor in either_order(node):
        if x.shape == node.shape and is_constant_along(factor, axis, node.shape):
            return x, factor
    return None


@rule(ops.where)
def relu_dropout_backward(node: Node) -> Node | None:
    """where(r > 0, dropout(ct), 0) = where(dropout(r) > 0, ct / (1 - rate), 0) by the same key

    The backward pass of dropout after relu: it needs what dropout gave, which the next layer needs
    as well, and neither the mask nor what relu gave. A factor of at least 1 takes no number to 0.
    """
    condition, dropped, zero = node.operands
    is_derivative = dropped.op is random.dropout and is_constant(zero, 0.0)
    if not (is_derivative and condition.op is ops.greater):
        return None
    r, least = condition.operands
    if r.type != dropped.type or not is_constant(least, 0.0):
        return None
    ct, key = dropped.operands
    rate = dropped.attributes["rate"]
    is_passed = ops.greater(random.dropout(r, key, rate=rate), 0)
    return ops.where(is_passed, ct * random.scale(rate), 0)


@rule(reduce.sum_, ulps=SUM_ULPS)
def sum_of_centred(node: Node) -> Node | None:
    """sum(t + s * (x - mean(x, axes)), axes) = sum(t, axes) for s constant along axes;  for -t too

    What a normalisation hands back is centred in its turn: of one of its terms the sum is 0, but
    for rounding. The other needs no value of this pass.
    """
    (total,) = node.operands
    axes = node.attributes["axes"]
    inner = operand_of(total, ops.negate)
    terms = total if inner is None else inner
    if terms.op is not ops.add or not terms.dtype.is_float:
        return None
    for t, centred in either_order(terms):
        if t.shape == total.shape == centred.shape and _is_centred(centred, axes):
            return reduce.sum_(t if inner is None else ops.negate(t), axes=axes)
    return None


def _is_centred(node: Node, axes: tuple[int, ...]) -> bool:
    """Whether `node` is x - mean(x, axes), perhaps scaled by what is constant along `axes`."""
    while node.op in (ops.multiply, ops.negate):
        if node.op is ops.negate:
            (node,) = node.operands
            continue
        scaled = [
            x
            for x, scale in either_order(node)
            if x.shape == node.shape
            and all(is_constant_along(scale, axis, node.shape) for axis in axes)
        ]
        if not scaled:
            return False
        node = scaled[0]
    if node.op is not ops.subtract:
        return False
    x, mean = node.operands
    return x.shape == node.shape and _is_mean(mean, x, axes)


def _is_mean(node: Node, x: Node, axes: tuple[int, ...]) -> bool:
    """Whether `node` is sum(x, axes) / n, or times 1 / n, for the number n of terms."""
    counts = [x.shape[axis] for axis in axes]
    if node.op not in (ops.divide, ops.multiply) or not all(isinstance(n, int) for n in counts):
        return False
    count = math.prod(static_shape(tuple(counts)))
    total, by = node.operands if node.op is ops.divide else _constant_last(node)
    if total.op is not reduce.sum_ or total.attributes["axes"] != axes:
        return False
    factor = constant_value(by)
    if factor is None or total.operands[0] is not x or count == 0:
        return False
    return bool(factor == count if node.op is ops.divide else factor * count == 1)


def _constant_last(node: Node) -> tuple[Node, Node]:
    x, y = node.operands
    return (y, x) if constant_value(x) is not None else (x, y)


RULES: tuple[Rule, ...] = (
    sum_of_one_hot,
    log_softmax_backward,
    relu_dropout_backward,
    sum_of_centred,
)
