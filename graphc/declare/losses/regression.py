"""Losses of numbers against numbers, elementwise."""

from __future__ import annotations

import math

from graphc.declare.hyperparameters import check_number
from graphc.declare.losses.checks import Reduction, check_like, reduce_losses
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops


def mean_squared_error(predictions: Node, targets: Node, reduction: Reduction = "mean") -> Node:
    """(y - t)^2 elementwise, the mean taken over every element.

    Raises ShapeError or DTypeError when the types differ.

        loss = gc.losses.mean_squared_error(predictions, targets)
    """
    check_like("mean_squared_error", predictions, targets)
    return reduce_losses(ops.square(predictions - targets), reduction)


def mean_absolute_error(predictions: Node, targets: Node, reduction: Reduction = "mean") -> Node:
    """|y - t| elementwise, the mean taken over every element. At y = t the derivative is 0.

    Raises ShapeError or DTypeError when the types differ.

        loss = gc.losses.mean_absolute_error(predictions, targets)
    """
    check_like("mean_absolute_error", predictions, targets)
    return reduce_losses(ops.absolute(predictions - targets), reduction)


def huber(
    predictions: Node, targets: Node, delta: float = 1.0, reduction: Reduction = "mean"
) -> Node:
    """d^2 / 2 where |d| = |y - t| is at most delta, else delta (|d| - delta / 2); elementwise.

    Source: Huber, Robust estimation of a location parameter, 1964. Raises ShapeError or DTypeError
    when the types differ, ValueError unless delta is finite and above 0.

        loss = gc.losses.huber(predictions, targets, delta=1.0)
    """
    check_like("huber", predictions, targets)
    check_number("delta", delta, least=0, dtype=predictions.dtype)
    if delta == 0:
        raise ValueError("delta: a number above 0 expected, not 0")
    distance = ops.absolute(predictions - targets)
    # Of the near part, an infinite distance would make an infinite square of no use.
    near = ops.minimum(distance, delta)
    return reduce_losses(near * (distance - 0.5 * near), reduction)


def log_cosh(predictions: Node, targets: Node, reduction: Reduction = "mean") -> Node:
    """log cosh(y - t) elementwise: near d^2 / 2 for small d, |d| - log 2 for large ones.

    Raises ShapeError or DTypeError when the types differ.

        loss = gc.losses.log_cosh(predictions, targets)
    """
    check_like("log_cosh", predictions, targets)
    return reduce_losses(ops.log_cosh(predictions - targets), reduction)


@checks_flags
def gaussian_nll(
    predictions: Node,
    targets: Node,
    variance: Node,
    full: bool = False,
    epsilon: float = 1e-6,
    reduction: Reduction = "mean",
) -> Node:
    """(log v + (y - t)^2 / v) / 2 elementwise, for v the variance, but at least epsilon.

    variance: of the type of the predictions, predicted too. Where it is below epsilon it has a
    derivative of 0. full: log(2 pi) / 2 is added, which makes it minus the logarithm of a density.
    Raises ShapeError or DTypeError when the types differ, ValueError unless epsilon is finite and
    above 0.

        loss = gc.losses.gaussian_nll(mean, targets, gc.softplus(spread))
    """
    check_like("gaussian_nll", predictions, targets)
    check_like("gaussian_nll", predictions, variance)
    check_number("epsilon", epsilon, least=0, dtype=predictions.dtype)
    if epsilon == 0:
        raise ValueError("epsilon: a number above 0 expected, not 0")
    bounded = ops.maximum(variance, epsilon)
    losses = 0.5 * (ops.log(bounded) + ops.square(predictions - targets) / bounded)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return reduce_losses(losses, reduction)


@checks_flags
def poisson_nll(
    predictions: Node,
    targets: Node,
    log_input: bool = True,
    full: bool = False,
    epsilon: float = 1e-8,
    reduction: Reduction = "mean",
) -> Node:
    """exp(z) - t z elementwise, for logarithms z of rates; a target of 0 has no second term.

    log_input: where it is false, predictions are rates y themselves: y - t log(y + epsilon). full:
    Stirling's t log t - t + log(2 pi t) / 2 is added where t is above 1. Raises ShapeError or
    DTypeError when the types differ, ValueError unless epsilon is finite and not negative.

        loss = gc.losses.poisson_nll(log_rates, counts)
    """
    check_like("poisson_nll", predictions, targets)
    check_number("epsilon", epsilon, least=0, dtype=predictions.dtype)
    if log_input:
        losses = ops.exp(predictions) - ops.weigh(targets, predictions)
    else:
        is_nothing = ops.equal(ops.stop_gradient(targets), 0)
        rates = ops.where(is_nothing, 1.0, predictions + epsilon)
        losses = predictions - ops.weigh(targets, ops.log(rates))
    if full:
        is_large = ops.greater(ops.stop_gradient(targets), 1)
        count = ops.where(is_large, targets, 1.0)
        stirling = count * ops.log(count) - count + 0.5 * ops.log(2 * math.pi * count)
        losses = losses + ops.where(is_large, stirling, 0.0)
    return reduce_losses(losses, reduction)
