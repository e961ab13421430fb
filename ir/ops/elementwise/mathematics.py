"""Trigonometric and hyperbolic functions, their inverses, and exponentials of other bases.

Slopes are written so that they neither cancel nor overflow where the function does not.
"""

from __future__ import annotations

import math

import numpy as np

from graphc.ir.nodes.op import Op
from graphc.ir.ops.elementwise.elementwise import equal, sqrt, square, stop_gradient, where
from graphc.ir.ops.elementwise.elementwise_op import (
    DIVISION,
    LONG_POLYNOMIAL,
    POLYNOMIAL,
    elementwise,
)

_LOG2_E, _LOG10_E = 1 / math.log(2), 1 / math.log(10)

exp2: Op = elementwise(
    "exp2", 1, np.exp2, "exp2({x})", cost=POLYNOMIAL,
    formula="2^x", vjp=[lambda ct, r, x: ct * (r * math.log(2))],
)  # fmt: skip
log2: Op = elementwise(
    # The slope at -0.0 is that at 0.0, as that of log.
    "log2", 1, np.log2, "log2({x})", cost=POLYNOMIAL,
    formula="The logarithm of x to base 2, NaN below 0",
    vjp=[lambda ct, r, x: ct * _LOG2_E / (x + 0.0)],
)  # fmt: skip
log10: Op = elementwise(
    "log10", 1, np.log10, "log10({x})", cost=POLYNOMIAL,
    formula="The logarithm of x to base 10, NaN below 0",
    vjp=[lambda ct, r, x: ct * _LOG10_E / (x + 0.0)],
)  # fmt: skip
tan: Op = elementwise(
    "tan", 1, np.tan, "tan({x})", cost=2 * POLYNOMIAL,
    formula="The tangent of x, in radians", vjp=[lambda ct, r, x: ct * (1 + square(r))],
)  # fmt: skip
sinh: Op = elementwise(
    "sinh", 1, np.sinh, "sinh({x})", cost=2 * POLYNOMIAL,
    formula="(e^x - e^-x) / 2", vjp=[lambda ct, r, x: ct * cosh(x)],
)  # fmt: skip
cosh: Op = elementwise(
    "cosh", 1, np.cosh, "cosh({x})", cost=2 * POLYNOMIAL,
    formula="(e^x + e^-x) / 2", vjp=[lambda ct, r, x: ct * sinh(x)],
)  # fmt: skip
asin: Op = elementwise(
    "asin", 1, np.arcsin, "asin({x})", cost=2 * POLYNOMIAL,
    formula="The angle whose sine is x, from -pi/2 to pi/2, NaN beyond 1",
    vjp=[lambda ct, r, x: ct / sqrt((1 - x) * (1 + x))],
)  # fmt: skip
acos: Op = elementwise(
    "acos", 1, np.arccos, "acos({x})", cost=2 * POLYNOMIAL,
    formula="The angle whose cosine is x, from 0 to pi, NaN beyond 1",
    vjp=[lambda ct, r, x: -(ct / sqrt((1 - x) * (1 + x)))],
)  # fmt: skip
atan: Op = elementwise(
    "atan", 1, np.arctan, "atan({x})", cost=2 * POLYNOMIAL,
    formula="The angle whose tangent is x, from -pi/2 to pi/2",
    vjp=[lambda ct, r, x: ct / (1 + square(x))],
)  # fmt: skip
asinh: Op = elementwise(
    "asinh", 1, np.arcsinh, "asinh({x})", cost=LONG_POLYNOMIAL,
    formula="log(x + sqrt(x^2 + 1))", vjp=[lambda ct, r, x: ct / hypot(x, 1.0)],
)  # fmt: skip
acosh: Op = elementwise(
    "acosh", 1, np.arccosh, "acosh({x})", cost=LONG_POLYNOMIAL,
    formula="log(x + sqrt(x^2 - 1)), NaN below 1",
    vjp=[lambda ct, r, x: ct / (sqrt(x - 1) * sqrt(x + 1))],
)  # fmt: skip
atanh: Op = elementwise(
    "atanh", 1, np.arctanh, "atanh({x})", cost=LONG_POLYNOMIAL,
    formula="log((1 + x) / (1 - x)) / 2, NaN beyond 1",
    vjp=[lambda ct, r, x: ct / ((1 - x) * (1 + x))],
)  # fmt: skip
hypot: Op = elementwise(
    "hypot", 2, np.hypot, "hypot({x}, {y})", cost=4 * DIVISION, commutative=True,
    formula="sqrt(x^2 + y^2) without overflow",
    vjp=[
        # 0 at the kink, as abs has it.
        lambda ct, r, x, y: where(equal(stop_gradient(r), 0), 0, ct * (x / r)),
        lambda ct, r, x, y: where(equal(stop_gradient(r), 0), 0, ct * (y / r)),
    ],
)  # fmt: skip
atan2: Op = elementwise(
    "atan2", 2, np.arctan2, "atan2({x}, {y})", cost=3 * POLYNOMIAL,
    formula="The angle of the point with the ordinate x and the abscissa y, from -pi to pi",
    vjp=[
        lambda ct, r, x, y: ct * (y / hypot(x, y) / hypot(x, y)),
        lambda ct, r, x, y: -(ct * (x / hypot(x, y) / hypot(x, y))),
    ],
)  # fmt: skip

OPS = (
    exp2, log2, log10, tan, sinh, cosh, asin, acos, atan, asinh, acosh, atanh, hypot, atan2,
)  # fmt: skip
