"""Rules that turn what people write into the form that does not overflow or lose digits.

Both sides are equal for real numbers. The right-hand side is the more accurate one, and gives
what was meant where the left overflows (exp of a large number) or cancels (log(1 + x) of a small
one). Where they differ, at overflow and in zeros' signs, the rule says so when it is not plain.
"""

from __future__ import annotations

from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.nodes.op import Op
from graphc.ir.ops import composite
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import indexed, movement
from graphc.ir.ops.reductions import reduce
from graphc.ir.rewriting.match import (
    are_opposite,
    as_given,
    below_peak,
    beside_one,
    either_order,
    is_constant,
    is_peak,
    negation,
    one_minus,
    operand_of,
    reduced_along,
    unsqueezed,
)
from graphc.ir.rewriting.rewrite import CHOICE_ULPS, MATHEMATICS_ULPS, SUM_ULPS, Rule, rule

# --- sigmoid and softplus --------------------------------------------------------------------


@rule(ops.reciprocal, ulps=MATHEMATICS_ULPS)
def reciprocal_to_sigmoid(node: Node) -> Node | None:
    """1 / (1 + exp(-x)) = sigmoid(x)"""
    exponential = beside_one(node.operands[0])
    exponent = None if exponential is None else operand_of(exponential, ops.exp)
    return None if exponent is None else ops.sigmoid(negation(exponent))


@rule(ops.divide, ulps=MATHEMATICS_ULPS)
def quotient_to_sigmoid(node: Node) -> Node | None:
    """exp(x) / (1 + exp(x)) = sigmoid(x)"""
    numerator, denominator = node.operands
    x = operand_of(numerator, ops.exp)
    if x is None or beside_one(denominator) is not numerator:
        return None
    return ops.sigmoid(x)


@rule(ops.log, ops.log1p, ulps=MATHEMATICS_ULPS)
def log_to_softplus(node: Node) -> Node | None:
    """log(1 + exp(x)) = log1p(exp(x)) = softplus(x)"""
    (argument,) = node.operands
    exponential = beside_one(argument) if node.op is ops.log else argument
    x = None if exponential is None else operand_of(exponential, ops.exp)
    return None if x is None else ops.softplus(x)


@rule(ops.log, ulps=MATHEMATICS_ULPS)
def log_of_sigmoid(node: Node) -> Node | None:
    """log(sigmoid(x)) = -softplus(-x)"""
    x = operand_of(node.operands[0], ops.sigmoid)
    return None if x is None else -ops.softplus(negation(x))


@rule(ops.log, ulps=MATHEMATICS_ULPS)
def log_of_sigmoid_complement(node: Node) -> Node | None:
    """log(1 - sigmoid(x)) = -softplus(x)"""
    complement = one_minus(node.operands[0])
    x = None if complement is None else operand_of(complement, ops.sigmoid)
    return None if x is None else -ops.softplus(x)


@rule(ops.add, ops.subtract, ulps=MATHEMATICS_ULPS)
def binary_cross_entropy(node: Node) -> Node | None:
    """t * softplus(-z) + (1 - t) * softplus(z) = sigmoid_cross_entropy(z, t)

    And with the signs that log(sigmoid(z)) brings: -a - b for the sum a + b of the left-hand side.
    """
    x, y = node.operands
    negated = node.op is ops.subtract
    first = operand_of(x, ops.negate) if negated else x
    if first is None:
        return None
    for a, b in ((first, y), (y, first)):
        found = _cross_entropy_terms(a, b)
        if found is not None:
            value = as_given(node, ops.sigmoid_cross_entropy(*found))
            return value if value is None or not negated else -value
    return None


def _cross_entropy_terms(x: Node, y: Node) -> tuple[Node, Node] | None:
    """(z, t) where x is t * softplus(-z) and y is (1 - t) * softplus(z)."""
    if x.op is not ops.multiply or y.op is not ops.multiply:
        return None
    for target, positive in either_order(x):
        for complement, negative in either_order(y):
            if one_minus(complement) is not target:
                continue
            minus_z, z = operand_of(positive, ops.softplus), operand_of(negative, ops.softplus)
            if minus_z is not None and z is not None and are_opposite(minus_z, z):
                return z, target
    return None


# --- log1p, expm1, tanh ----------------------------------------------------------------------


@rule(ops.log, ulps=MATHEMATICS_ULPS)
def log_to_log1p(node: Node) -> Node | None:
    """log(1 + x) = log1p(x);  log(1 - x) = log1p(-x)

    1 + x drops the digits of a small x before the logarithm can see them. At no more cost log1p
    keeps them, and it agrees at NaN, -1, below -1 and at infinity.
    """
    (argument,) = node.operands
    x = beside_one(argument)
    if x is None:
        complement = one_minus(argument)
        x = None if complement is None else ops.negate(complement)
    return None if x is None else as_given(node, ops.log1p(x))


@rule(ops.subtract, ulps=MATHEMATICS_ULPS)
def exp_to_expm1(node: Node) -> Node | None:
    """exp(x) - 1 = expm1(x)

    For a small x the difference cancels nearly all digits of exp(x); expm1 keeps them.
    """
    exponential, one = node.operands
    x = operand_of(exponential, ops.exp)
    return ops.expm1(x) if x is not None and is_constant(one, 1.0) else None


@rule(ops.divide, ulps=MATHEMATICS_ULPS)
def quotient_to_tanh(node: Node) -> Node | None:
    """(exp(x) - exp(-x)) / (exp(x) + exp(-x)) = tanh(x)"""
    difference, total = node.operands
    if difference.op is not ops.subtract or total.op is not ops.add:
        return None
    if set(difference.operands) != set(total.operands):
        return None
    x, minus_x = (operand_of(each, ops.exp) for each in difference.operands)
    if x is None or minus_x is None or not are_opposite(x, minus_x):
        return None
    return ops.tanh(x)


# --- softmax and logsumexp -------------------------------------------------------------------


@rule(ops.divide, ulps=SUM_ULPS)
def quotient_to_softmax(node: Node) -> Node | None:
    """exp(x) / sum(exp(x), axis) = softmax(x, axis)"""
    numerator, denominator = node.operands
    x = operand_of(numerator, ops.exp)
    reduced = reduced_along(denominator, reduce.sum_)
    if x is None or reduced is None or reduced[0] is not numerator:
        return None
    return None if _is_empty(x, reduced[1]) else composite.softmax(x, axis=reduced[1])


@rule(composite.softmax, composite.log_softmax, ulps=SUM_ULPS)
def softmax_below_peak(node: Node) -> Node | None:
    """softmax(x - max(x)) = softmax(x);  the same for log_softmax

    Both begin by subtracting the maximum, and that of x - max(x) is 0: the same bits.
    """
    x = below_peak(node.operands[0], (node.attributes["axis"],))
    return None if x is None or x.type != node.type else node.op(x, **node.attributes)


@rule(ops.log, ulps=SUM_ULPS)
def log_of_softmax(node: Node) -> Node | None:
    """log(move(softmax(x))) = move(log_softmax(x)) for any chain of moves, such as pick"""
    moves: list[Node] = []
    source = node.operands[0]
    while source.op in _MOVES:
        moves.append(source)
        source = source.operands[0]
    if source.op is not composite.softmax:
        return None
    value = composite.log_softmax(source.operands[0], **source.attributes)
    for move in reversed(moves):
        value = move.op(value, *move.operands[1:], **move.attributes)
    return value


# Ops whose result holds elements of operand 0 and nothing else.
_MOVES: tuple[Op, ...] = (
    movement.reshape,
    movement.transpose,
    movement.broadcast_to,
    movement.slice_,
    indexed.take,
    composite.pick,
)


@rule(ops.exp, ulps=SUM_ULPS)
def exp_of_log_softmax(node: Node) -> Node | None:
    """exp(log_softmax(x)) = softmax(x)"""
    (inner,) = node.operands
    if inner.op is not composite.log_softmax:
        return None
    return composite.softmax(inner.operands[0], **inner.attributes)


@rule(ops.log, ulps=SUM_ULPS)
def log_of_sum_of_exp(node: Node) -> Node | None:
    """log(sum(exp(x))) = logsumexp(x)"""
    (argument,) = node.operands
    total = argument.operands[0] if argument.op is movement.reshape else argument
    x = operand_of(total.operands[0], ops.exp) if total.op is reduce.sum_ else None
    if x is None:
        return None
    axes = total.attributes["axes"]
    if below_peak(x, axes) is not None or any(_is_empty(x, axis) for axis in axes):
        return None
    if x.shape == total.shape:
        return None  # one term a sum; its maximum is that term
    return build.reshape(composite.logsumexp(x, axes=axes), node.shape)


@rule(ops.add, ulps=SUM_ULPS)
def written_logsumexp(node: Node) -> Node | None:
    """log(sum(exp(x - max(x)))) + max(x) = logsumexp(x)

    Where the greatest term is infinite the left-hand side is NaN.
    """
    for logarithm, peak in either_order(node):
        found = _log_sum_below_peak(logarithm)
        if found is not None and is_peak(peak, found[0], (found[1],)):
            value = composite.logsumexp(found[0], axes=(found[1],))
            return build.reshape(value, node.shape) if node.type == logarithm.type else None
    return None


@rule(ops.subtract, ulps=SUM_ULPS)
def subtract_logsumexp(node: Node) -> Node | None:
    """x - logsumexp(x) = log_softmax(x)"""
    x, subtracted = node.operands
    total = unsqueezed(subtracted)
    if total.op is not composite.logsumexp or total.operands[0] is not x:
        return None
    axes = total.attributes["axes"]
    return as_given(node, composite.log_softmax(x, axis=axes[0])) if len(axes) == 1 else None


@rule(ops.subtract, ulps=SUM_ULPS)
def subtract_log_sum(node: Node) -> Node | None:
    """(x - max(x)) - log(sum(exp(x - max(x)))) = log_softmax(x)"""
    shifted, subtracted = node.operands
    found = _log_sum_below_peak(unsqueezed(subtracted))
    if found is None or below_peak(shifted, (found[1],)) is not found[0]:
        return None
    return as_given(node, composite.log_softmax(found[0], axis=found[1]))


def _log_sum_below_peak(node: Node) -> tuple[Node, int] | None:
    """(x, axis) of log(sum(exp(x - max(x)))) over one axis; None for any other node."""
    total = operand_of(node, ops.log)
    reduced = None if total is None else reduced_along(total, reduce.sum_)
    shifted = None if reduced is None else operand_of(reduced[0], ops.exp)
    if reduced is None or shifted is None:
        return None
    x = below_peak(shifted, (reduced[1],))
    return None if x is None else (x, reduced[1])


def _is_empty(x: Node, axis: int) -> bool:
    """Whether x has no elements along `axis`; an open dimension is taken to have some."""
    return x.shape[axis] == 0


@rule(composite.argmax, ulps=CHOICE_ULPS)
def argmax_of_softmax(node: Node) -> Node | None:
    """argmax(softmax(x)) = argmax(log_softmax(x)) = argmax(x)

    Both grow with x along the axis. Rounding may make equal what differs in x, and a NaN spreads
    over its row; then the greatest x, or the NaN, is what was asked for. sigmoid is not among
    them: it saturates at 1, so that ties are common and which of them comes first is visible.
    """
    (inner,) = node.operands
    if inner.op not in (composite.softmax, composite.log_softmax):
        return None
    if inner.attributes["axis"] != node.attributes["axis"]:
        return None
    return composite.argmax(inner.operands[0], **node.attributes)


RULES: tuple[Rule, ...] = (
    reciprocal_to_sigmoid,
    quotient_to_sigmoid,
    log_to_softplus,
    log_of_sigmoid,
    log_of_sigmoid_complement,
    binary_cross_entropy,
    log_to_log1p,  # after softplus and sigmoid, which begin with log(1 + x) and log(1 - x) too
    exp_to_expm1,
    quotient_to_tanh,
    quotient_to_softmax,
    softmax_below_peak,
    log_of_softmax,
    exp_of_log_softmax,
    log_of_sum_of_exp,
    written_logsumexp,
    subtract_logsumexp,
    subtract_log_sum,
    argmax_of_softmax,
)
