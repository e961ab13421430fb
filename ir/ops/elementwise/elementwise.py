"""Elementwise ops: one scalar expression applied everywhere, operands broadcast as in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ir.errors import DTypeError
from graphc.ir.nodes.attributes import DTYPE, FLOAT
from graphc.ir.nodes.lowering import Composite, Scalar
from graphc.ir.nodes.op import NonDifferentiable, Op, Stopped
from graphc.ir.ops.elementwise import references
from graphc.ir.ops.elementwise.elementwise_op import (
    ARITHMETIC,
    DIVISION,
    LONG_POLYNOMIAL,
    POLYNOMIAL,
    accepts_any,
    accepts_bools,
    accepts_numbers,
    as_reference,
    elementwise,
)
from graphc.ir.types import DType, TensorType, bool_, broadcast_shapes

_NO_SLOPE = NonDifferentiable("its result is not a continuous number")

add: Op = elementwise(
    "add", 2, np.add, "{x} + {y}", accepts=accepts_numbers, commutative=True,
    formula="x + y", vjp=[lambda ct, r, x, y: ct, lambda ct, r, x, y: ct],
)  # fmt: skip
subtract: Op = elementwise(
    "subtract", 2, np.subtract, "{x} - {y}", accepts=accepts_numbers,
    formula="x - y", vjp=[lambda ct, r, x, y: ct, lambda ct, r, x, y: -ct],
)  # fmt: skip
multiply: Op = elementwise(
    "multiply", 2, np.multiply, "{x} * {y}", accepts=accepts_numbers, commutative=True,
    is_product=True, formula="x * y", vjp=[lambda ct, r, x, y: ct * y, lambda ct, r, x, y: ct * x],
)  # fmt: skip
divide: Op = elementwise(
    "divide", 2, np.divide, "{x} / {y}", cost=DIVISION,
    formula="x / y", vjp=[lambda ct, r, x, y: ct / y, lambda ct, r, x, y: -(ct * r / y)],
)  # fmt: skip
negate: Op = elementwise(
    "negate",
    1,
    np.negative,
    "-{x}",
    accepts=accepts_numbers,
    formula="-x",
    vjp=[lambda ct, r, x: -ct],
)
reciprocal: Op = elementwise(
    "reciprocal", 1, np.reciprocal, "{T}(1) / {x}", cost=DIVISION,
    formula="1 / x", vjp=[lambda ct, r, x: -(ct * r / x)],
)  # fmt: skip
square: Op = elementwise(
    "square", 1, np.square, "{x} * {x}", accepts=accepts_numbers,
    formula="x * x", vjp=[lambda ct, r, x: 2 * (ct * x)],
)  # fmt: skip
sqrt: Op = elementwise(
    # The root of -0.0 is -0.0, where the slope is infinite, not -inf: hence r + 0.0.
    "sqrt",
    1,
    np.sqrt,
    "sqrt({x})",
    cost=DIVISION,
    formula="The root of x, NaN below 0",
    vjp=[lambda ct, r, x: ct * 0.5 / (r + 0.0)],
)
absolute: Op = elementwise(
    "abs", 1, np.abs, "absolute({x})", accepts=accepts_numbers,
    formula="|x|", vjp=[lambda ct, r, x: where(equal(stop_gradient(x), 0), 0, ct * sign(x))],
)  # fmt: skip
sign: Op = elementwise(
    "sign", 1, np.sign,
    "select({x} > {T}(0), {T}(1), select({x} < {T}(0), {T}(-1), absolute({x})))", cost=3,
    accepts=accepts_numbers,
    formula="-1, 0 or 1 as x is below, at or above 0", vjp=[lambda ct, r, x: None],
)  # fmt: skip


minimum: Op = elementwise(
    "minimum", 2, references.minimum, "minimum({x}, {y})", accepts=accepts_numbers,
    commutative=True, formula="The lesser of x and y",
    vjp=[lambda ct, r, x, y: _won(ct, y, x), lambda ct, r, x, y: _won(ct, x, y)],
)  # fmt: skip
maximum: Op = elementwise(
    "maximum", 2, references.maximum, "maximum({x}, {y})", accepts=accepts_numbers,
    commutative=True, formula="The greater of x and y",
    vjp=[lambda ct, r, x, y: _won(ct, x, y), lambda ct, r, x, y: _won(ct, y, x)],
)  # fmt: skip
exp: Op = elementwise(
    "exp", 1, np.exp, "exp({x})", cost=POLYNOMIAL, formula="e^x", vjp=[lambda ct, r, x: ct * r]
)
expm1: Op = elementwise(
    "expm1",
    1,
    np.expm1,
    "expm1({x})",
    cost=POLYNOMIAL,
    formula="e^x - 1, exact near 0 too",
    vjp=[lambda ct, r, x: ct * exp(x)],
)
log: Op = elementwise(
    # The slope at -0.0 is that at 0.0, inf, as log itself is -inf at both.
    "log",
    1,
    np.log,
    "log({x})",
    cost=POLYNOMIAL,
    formula="The natural logarithm of x, NaN below 0",
    vjp=[lambda ct, r, x: ct / (x + 0.0)],
)
log1p: Op = elementwise(
    "log1p",
    1,
    np.log1p,
    "log1p({x})",
    cost=POLYNOMIAL,
    formula="log(1 + x), exact near 0 too",
    vjp=[lambda ct, r, x: ct / (x + 1)],
)
sin: Op = elementwise(
    "sin",
    1,
    np.sin,
    "sin({x})",
    cost=2 * POLYNOMIAL,
    formula="The sine of x, in radians",
    vjp=[lambda ct, r, x: ct * cos(x)],
)
cos: Op = elementwise(
    "cos",
    1,
    np.cos,
    "cos({x})",
    cost=2 * POLYNOMIAL,
    formula="The cosine of x, in radians",
    vjp=[lambda ct, r, x: -(ct * sin(x))],
)


tanh: Op = elementwise(
    "tanh",
    1,
    np.tanh,
    "tanh({x})",
    cost=POLYNOMIAL,
    formula="(e^x - e^-x) / (e^x + e^-x)",
    vjp=[lambda ct, r, x: ct * tanh_slope(x)],
)
# 1 - tanh|x|: where tanh(x) rounds to 1 or -1, this has all its digits, and so has the slope.
tanh_tail: Op = elementwise(
    "tanh_tail", 1, lambda x: 2 * references.sigmoid_tail(2 * x), "tanh_tail({x})", cost=POLYNOMIAL,
    vjp=[lambda ct, r, x: -(ct * (sign(x) * tanh_slope(x)))],
)  # fmt: skip
# (1 - tanh(x)) (1 + tanh(x))
tanh_slope: Op = elementwise(
    "tanh_slope", 1, lambda x: 4 * references.sigmoid_slope(2 * x),
    Composite(lambda x: _product_with_rest(tanh_tail(x), 2)),
    vjp=[lambda ct, r, x: -(ct * (2 * (r * tanh(x))))],
)  # fmt: skip
sigmoid: Op = elementwise(
    "sigmoid", 1, references.sigmoid, "sigmoid({x})", cost=POLYNOMIAL,
    formula="1 / (1 + e^-x)", vjp=[lambda ct, r, x: ct * sigmoid_slope(x)],
)  # fmt: skip
# sigmoid(-|x|), the lesser of sigmoid(x) and sigmoid(-x), which add up to 1
sigmoid_tail: Op = elementwise(
    "sigmoid_tail", 1, references.sigmoid_tail, "sigmoid_tail({x})", cost=POLYNOMIAL,
    vjp=[lambda ct, r, x: -(ct * (sign(x) * sigmoid_slope(x)))],
)  # fmt: skip
# sigmoid(x) sigmoid(-x)
sigmoid_slope: Op = elementwise(
    "sigmoid_slope", 1, references.sigmoid_slope,
    Composite(lambda x: _product_with_rest(sigmoid_tail(x), 1)),
    vjp=[lambda ct, r, x: -(ct * (r * tanh(0.5 * x)))],
)  # fmt: skip
softplus: Op = elementwise(
    "softplus", 1, references.softplus, "softplus({x})", cost=2 * POLYNOMIAL,
    formula="log(1 + e^x)", vjp=[lambda ct, r, x: ct * sigmoid(x)],
)  # fmt: skip
relu: Op = elementwise(
    "relu", 1, lambda x: references.maximum(x, x.dtype.type(0)), "maximum({x}, {T}(0))",
    formula="max(x, 0)", vjp=[lambda ct, r, x: where(stop_gradient(r) > 0, ct, 0)],
)  # fmt: skip
leaky_relu: Op = elementwise(
    "leaky_relu", 1, lambda x, slope: np.where(x > 0, x, x * x.dtype.type(slope)),
    "select({x} > {T}(0), {x}, {T}({slope}) * {x})", cost=3, attributes={"slope": FLOAT},
    vjp=[lambda ct, r, x, slope: where(stop_gradient(x) > 0, ct, ct * slope if slope else 0)],
)  # fmt: skip
elu: Op = elementwise(
    "elu", 1, lambda x, alpha: np.where(x > 0, x, x.dtype.type(alpha) * np.expm1(x)),
    "select({x} > {T}(0), {x}, {T}({alpha}) * expm1({x}))", cost=POLYNOMIAL,
    attributes={"alpha": FLOAT},
    vjp=[
        # exp is taken of what is not positive, so that no infinity is multiplied with 0.
        lambda ct, r, x, alpha: where(
            stop_gradient(x) > 0, ct, ct * (alpha * exp(where(x > 0, 0, x))) if alpha else 0
        ),
    ],
)  # fmt: skip
power: Op = elementwise(
    "power", 2, references.power, "pow({x}, {y})", cost=LONG_POLYNOMIAL,
    vjp=[
        # At y = 0 the slope is 0 everywhere, at x = 0 too, where x ** (y - 1) is infinite.
        lambda ct, r, x, y: where(equal(y, 0), 0, ct * _exponent_times(y, power(x, y - 1))),
        # At x = 0 and y = 0 the slope is -inf: 1 at 0 and 0 beyond it.
        lambda ct, r, x, y: where(equal(r, 0), 0, ct * (r * log(x))),
    ],
)  # fmt: skip


# weight * x, but 0 where the weight is 0, be x infinite or NaN: a term t * log p of a loss.
weigh: Op = elementwise(
    "weigh", 2, references.weigh, "select({x} == {T}(0), {T}(0), {x} * {y})", cost=3,
    vjp=[lambda ct, r, weight, x: weigh(ct, x), lambda ct, r, weight, x: weigh(weight, ct)],
)  # fmt: skip


_MISSED = "select({x} > {T}(0), {T}(1) - {y}, {y})"
sigmoid_cross_entropy: Op = elementwise(
    "sigmoid_cross_entropy", 2, references.sigmoid_cross_entropy,
    f"select({_MISSED} == {{T}}(0), {{T}}(0), {_MISSED} * absolute({{x}}))"
    " + softplus(-absolute({x}))", cost=2 * POLYNOMIAL, logit=0,
    vjp=[lambda ct, r, x, y: ct * _misses(x, y), lambda ct, r, x, y: -(ct * x)],
)  # fmt: skip
# What a score x loses that is to be above 1, or below -1, as the target y is 1 or -1.
hinge: Op = elementwise(
    "hinge", 2, references.hinge, "maximum({T}(0), {T}(1) - {x} * {y})", cost=3, logit=0,
    vjp=[
        lambda ct, r, x, y: where(stop_gradient(r) > 0, -(ct * y), 0),
        lambda ct, r, x, y: where(stop_gradient(r) > 0, -(ct * x), 0),
    ],
)  # fmt: skip
log_cosh: Op = elementwise(
    "log_cosh", 1, references.log_cosh, Composite(lambda x: _expand_log_cosh(x)),
    vjp=[lambda ct, r, x: ct * tanh(x)],
)  # fmt: skip


def _comparison(name: str, function: Callable[..., Any], symbol: str) -> Op:
    return elementwise(
        name, 2, function, f"{{x}} {symbol} {{y}}", accepts=accepts_any, result=bool_,
        vjp=[_NO_SLOPE, _NO_SLOPE], commutative=symbol in ("==", "!="),
        formula=f"Whether x {symbol} y",
    )  # fmt: skip


equal: Op = _comparison("equal", np.equal, "==")
not_equal: Op = _comparison("not_equal", np.not_equal, "!=")
less: Op = _comparison("less", np.less, "<")
less_equal: Op = _comparison("less_equal", np.less_equal, "<=")
greater: Op = _comparison("greater", np.greater, ">")
greater_equal: Op = _comparison("greater_equal", np.greater_equal, ">=")

logical_and: Op = elementwise(
    "logical_and", 2, np.logical_and, "{x} & {y}", accepts=accepts_bools, commutative=True,
    conditions=(0, 1), formula="x and y", vjp=[_NO_SLOPE, _NO_SLOPE],
)  # fmt: skip
logical_or: Op = elementwise(
    "logical_or", 2, np.logical_or, "{x} | {y}", accepts=accepts_bools, commutative=True,
    conditions=(0, 1), formula="x or y", vjp=[_NO_SLOPE, _NO_SLOPE],
)  # fmt: skip
logical_xor: Op = elementwise(
    "logical_xor", 2, np.logical_xor, "{x} != {y}", accepts=accepts_bools, commutative=True,
    conditions=(0, 1), formula="x or y and not both", vjp=[_NO_SLOPE, _NO_SLOPE],
)  # fmt: skip
logical_not: Op = elementwise(
    "logical_not",
    1,
    np.logical_not,
    "not {x}",
    accepts=accepts_bools,
    conditions=(0,),
    formula="not x",
    vjp=[_NO_SLOPE],
)


def _infer_where(condition: TensorType, x: TensorType, y: TensorType) -> TensorType:
    if not condition.dtype.is_bool:
        raise DTypeError(f"a bool condition expected, not {condition.dtype}")
    if x.dtype != y.dtype:
        raise DTypeError("branches of one dtype expected; cast one")
    return TensorType(x.dtype, broadcast_shapes([condition.shape, x.shape, y.shape]))


where: Op = Op(
    "where",
    arity=3,
    infer=_infer_where,
    reference=as_reference(np.where),
    vjp=[
        _NO_SLOPE,
        lambda ct, r, c, x, y: where(c, ct, 0),
        lambda ct, r, c, x, y: where(c, 0, ct),
    ],
    lowering=Scalar("select({x}, {y}, {z})", ARITHMETIC),
    conditions=(0,),
)


def _infer_cast(x: TensorType, dtype: DType) -> TensorType:
    return x.with_dtype(dtype)


def _vjp_cast(ct: Any, result: Any, x: Any, dtype: DType) -> Any:
    return cast(ct, dtype=x.dtype)


cast: Op = Op(
    "cast",
    arity=1,
    attributes={"dtype": DTYPE},
    infer=_infer_cast,
    reference=as_reference(references.converted),
    vjp=[_vjp_cast],
    lowering=Scalar("cast_{dtype}({x})", ARITHMETIC),
)


copy: Op = elementwise(
    "copy", 1, lambda x: x, "{x}", accepts=accepts_any, vjp=[lambda ct, r, x: ct]
)  # fmt: skip


# x itself, as a constant for derivatives. What a derivative chooses by goes through it: the slope
# of a piecewise linear function changes in steps, so its own slope is 0 wherever there is one.
stop_gradient: Op = Op(
    "stop_gradient",
    arity=1,
    infer=lambda x: x,
    reference=lambda result, x: x,
    vjp=[Stopped()],
    lowering=Composite(lambda x: x),
)


def _product_with_rest(tail: Any, whole: float) -> Any:
    """tail * (whole - tail)"""
    return tail * (whole - tail)


def _expand_log_cosh(x: Any) -> Any:
    """log(1 + e^2 / (2 (e + 1))) with e = exp(|x|) - 1; |x| - log 2 where that has all digits."""
    size = absolute(x)
    e = expm1(minimum(size, references.FAR_COSH))
    near = log1p(square(e) / (2 * (e + 1)))
    return where(greater(size, references.FAR_COSH), size - math.log(2), near)


def _misses(x: Any, target: Any) -> Any:
    """sigmoid(x) - target without cancellation where the target is 0 or 1."""
    is_negative = less(stop_gradient(x), 0)
    tail = sigmoid(where(is_negative, x, -x))
    return where(is_negative, tail - target, (1 - target) - tail)


def _exponent_times(y: Any, factor: Any) -> Any:
    """y * factor, but 0 where y is infinite and the factor, a power with that exponent, is 0."""
    is_infinite = equal(absolute(stop_gradient(y)), float("inf"))
    return where(is_infinite, weigh(factor, y), y * factor)


def _won(ct: Any, winner: Any, loser: Any) -> Any:
    """`ct` where `winner` is the greater, half of it at a tie, 0 elsewhere."""
    x, y = stop_gradient(winner), stop_gradient(loser)
    return where(greater(x, y), ct, where(equal(x, y), ct * 0.5, 0))


OPS = (
    add, subtract, multiply, divide, negate, reciprocal, square, sqrt, absolute, sign, minimum,
    maximum, exp, expm1, log, log1p, sin, cos, tanh, tanh_tail, tanh_slope, sigmoid, sigmoid_tail,
    sigmoid_slope, softplus, relu, leaky_relu, elu, power, weigh, sigmoid_cross_entropy, hinge,
    log_cosh, equal, not_equal, less, less_equal, greater, greater_equal, logical_and, logical_or,
    logical_xor, logical_not, where, cast, copy, stop_gradient,
)  # fmt: skip
