"""Activations that other ops make, with the names and arguments of torch.nn.functional."""

from __future__ import annotations

from typing import Any

from graphc.ir.arguments.checks import axis_of, problem_with
from graphc.ir.arguments.given import check_tensors, is_one_of, shown
from graphc.ir.dims import Dim
from graphc.ir.errors import ShapeError
from graphc.ir.nodes.op import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.elementwise import special

# With these, layers of normal weights keep the mean 0 and the variance 1 (Klambauer et al., 2017).
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
# 2 sqrt(2 / pi), and 0.044715 times that
GELU_SLOPE = 1.5957691216057308
GELU_BEND = 0.07135481627260025


def gelu(x: Any, approximate: str = "none") -> Node:
    """x times the share of a normal distribution below x: x's shape and dtype.

    approximate: "none" for that, exact to the last digits, far below 0 too; "tanh" for
    x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, which differs by up to 5e-4.

        hidden = gc.gelu(x)

    Source: Hendrycks and Gimpel, Gaussian error linear units, 2016. Raises ValueError for another
    `approximate`, DTypeError unless `x` is of floats.
    """
    check_tensors("gelu", x)
    if not is_one_of(approximate, ("none", "tanh")):
        problem = f"approximate: 'none' or 'tanh' expected, not {shown(approximate)}"
        raise ValueError(problem_with("gelu", x, problem))
    if approximate == "none":
        return special.gelu(x)
    # (1 + tanh(u)) / 2 is sigmoid(2 u), whose tail does not cancel.
    inner = ops.multiply(x, GELU_SLOPE + GELU_BEND * ops.square(x))
    return ops.weigh(ops.sigmoid(inner), x)


def log_sigmoid(x: Any) -> Node:
    """log(sigmoid(x)) without overflow, elementwise: x's shape and dtype. Raises DTypeError unless
    `x` is of floats.

        log_likelihood = gc.log_sigmoid(scores)
    """
    check_tensors("log_sigmoid", x)
    return ops.negate(ops.softplus(ops.negate(x)))


def selu(x: Any) -> Node:
    """1.0507 x where positive, 1.0507 * 1.6733 (exp(x) - 1) elsewhere: x's shape and dtype.

    Source: Klambauer et al., Self-normalizing neural networks, 2017. Raises DTypeError unless `x`
    is of floats.

        hidden = gc.selu(x)
    """
    check_tensors("selu", x)
    return ops.multiply(ops.elu(x, alpha=SELU_ALPHA), SELU_SCALE)


def hard_tanh(x: Any, min_val: float = -1.0, max_val: float = 1.0) -> Node:
    """x, but `min_val` below that and `max_val` above that: x's shape and dtype. At both the
    derivative is 0, as PyTorch has it.

        hidden = gc.hard_tanh(x)

    Raises DTypeError for dtypes that have no such numbers, TypeError unless `x` is a tensor.
    """
    check_tensors("hard_tanh", x)
    return _between(x, (min_val, min_val), (max_val, max_val), x)


def hard_sigmoid(x: Any) -> Node:
    """(x + 3) / 6, but 0 below -3 and 1 above 3: x's shape and dtype. At both the derivative is 0,
    as PyTorch has it. Raises DTypeError unless `x` is of floats.

        gate = gc.hard_sigmoid(x)
    """
    check_tensors("hard_sigmoid", x)
    return _between(x, (-3, 0), (3, 1), ops.divide(x + 3, 6))


def _between(x: Node, low: tuple[float, float], high: tuple[float, float], inside: Node) -> Node:
    """`inside` where x is between the limits, and the value beside each limit from there on."""
    by = ops.stop_gradient(x)
    least, at_least = low
    greatest, at_most = high
    return ops.where(by >= greatest, at_most, ops.where(by <= least, at_least, inside))


def prelu(x: Any, weight: Any) -> Node:
    """x where positive, weight * x elsewhere, with a slope that is learned.

    weight: one number, or a tensor whose shape broadcasts against x's: one for each feature of the
    last axis is of shape (features,).

        hidden = gc.prelu(x, graph.parameter("slope", (64,), gc.init.constant(0.25)))

    Source: He et al., Delving deep into rectifiers, 2015. Raises DTypeError unless both are floats
    of one dtype, ShapeError for shapes that differ.
    """
    check_tensors("prelu", x)
    is_positive = ops.stop_gradient(x) > 0
    # What is positive hands back nothing to the weight, be it infinite.
    return ops.where(is_positive, x, ops.multiply(ops.where(is_positive, 0, x), weight))


def glu(x: Any, axis: int = -1) -> Node:
    """The first half of x along `axis` times the sigmoid of the second: half the extent.

    Source: Dauphin et al., Language modeling with gated convolutional networks, 2017. Raises
    ShapeError where the extent is odd, open or not there, DTypeError unless `x` is of floats.

        hidden = gc.glu(gc.nn.dense(x, 128))  # [batch, 128] -> [batch, 64]
    """
    axis = axis_of(x, axis, "glu")
    extent = x.shape[axis]
    if isinstance(extent, Dim) or extent % 2:
        raise ShapeError(problem_with("glu", x, f"an even extent expected, not {extent}"))
    before = (slice(None),) * axis
    value = x[(*before, slice(None, extent // 2))]
    gate = x[(*before, slice(extent // 2, None))]
    node: Node = value * ops.sigmoid(gate)
    return node
