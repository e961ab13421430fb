"""The error functions, gelu, and the gamma function's logarithm with its derivatives."""

from __future__ import annotations

import math
from typing import Any

from graphc.ir.nodes.op import NonDifferentiable, Op
from graphc.ir.ops.elementwise import special_references as references
from graphc.ir.ops.elementwise.elementwise import exp, square, weigh
from graphc.ir.ops.elementwise.elementwise_op import LONG_POLYNOMIAL, POLYNOMIAL, elementwise

_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
_ONE_OVER_ROOT_TWO_PI = 1 / math.sqrt(2 * math.pi)

erf: Op = elementwise(
    "erf", 1, references.erf, "erf({x})", cost=2 * POLYNOMIAL,
    formula="2 / sqrt(pi) times the integral of e^-t^2 from 0 to x",
    vjp=[lambda ct, r, x: ct * (_TWO_OVER_ROOT_PI * exp_minus_square(x))],
)  # fmt: skip
erfc: Op = elementwise(
    "erfc", 1, references.erfc, "erfc({x})", cost=LONG_POLYNOMIAL,
    formula="1 - erf(x), exact where erf is nearly 1 too",
    vjp=[lambda ct, r, x: -(ct * (_TWO_OVER_ROOT_PI * exp_minus_square(x)))],
)  # fmt: skip
# e^-x^2, of the square with what its rounding loses: far out that counts.
exp_minus_square: Op = elementwise(
    "exp_minus_square", 1, references.exp_minus_square, "exp_minus_square({x})", cost=POLYNOMIAL,
    vjp=[lambda ct, r, x: -2 * (ct * weigh(r, x))],
)  # fmt: skip
gelu: Op = elementwise(
    "gelu", 1, references.gelu, "gelu({x})", cost=LONG_POLYNOMIAL,
    vjp=[lambda ct, r, x: ct * gelu_slope(x)],
)  # fmt: skip
# The normal distribution function, and x times its density
gelu_slope: Op = elementwise(
    "gelu_slope", 1, references.gelu_slope, "gelu_slope({x})", cost=LONG_POLYNOMIAL,
    vjp=[lambda ct, r, x: ct * _gelu_curvature(x)],
)  # fmt: skip
lgamma: Op = elementwise(
    "lgamma", 1, references.lgamma, "lgamma({x})", cost=3 * LONG_POLYNOMIAL,
    formula="log |gamma(x)|, inf where gamma has a pole",
    vjp=[lambda ct, r, x: ct * digamma(x)],
)  # fmt: skip
digamma: Op = elementwise(
    "digamma", 1, references.digamma, "digamma({x})", cost=3 * LONG_POLYNOMIAL,
    formula="The derivative of log gamma(x), NaN at whole numbers below 0",
    vjp=[lambda ct, r, x: ct * trigamma(x)],
)  # fmt: skip
# The derivative of digamma
trigamma: Op = elementwise(
    "trigamma", 1, references.trigamma, "trigamma({x})", cost=3 * LONG_POLYNOMIAL,
    vjp=[NonDifferentiable("graphc has no polygamma function of order 2", is_missing=True)],
)  # fmt: skip


def _gelu_curvature(x: Any) -> Any:
    """(2 - x^2) times the normal density at x"""
    density = _ONE_OVER_ROOT_TWO_PI * exp(-0.5 * square(x))
    return weigh(density, 2 - square(x))


OPS = (erf, erfc, exp_minus_square, gelu, gelu_slope, lgamma, digamma, trigamma)
