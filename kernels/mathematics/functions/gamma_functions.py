"""lgamma, digamma and trigamma, computed in f64.

From 2.5 on they are asymptotic forms with a fitted rest; below, a polynomial, of lgamma and digamma
divided by the differences from their roots, so that they are accurate relative to the result there
too. Small arguments are moved up by one, negative ones reflected. Between poles below 0 terms
cancel: near the roots of lgamma and digamma there the error is about a unit in the last place of
the terms.
"""

from typing import Any

from graphc.kernels.mathematics.arithmetic.compensated import (
    Pair,
    pair_product,
    quick_two_sum,
    two_product,
    two_sum,
)
from graphc.kernels.mathematics.arithmetic.polynomial import polynomial
from graphc.kernels.mathematics.arithmetic.primitives import (
    absolute,
    copysign,
    fma,
    narrow,
    round_even,
    select,
    widen,
)
from graphc.kernels.mathematics.constants.gamma_constants import (
    DIGAMMA_CENTER,
    DIGAMMA_FAR,
    DIGAMMA_NEAR,
    DIGAMMA_ROOT,
    HALF_LOG_TWO_PI,
    LGAMMA_CENTER,
    LGAMMA_FAR,
    LGAMMA_HIGHEST,
    LGAMMA_LOW,
    LGAMMA_LOW_NEGATIVE,
    LGAMMA_NEAR,
    LOG_PI,
    NEAR_LIMIT,
    PI,
    QUARTER,
    TRIGAMMA_FAR,
    TRIGAMMA_NEAR,
)
from graphc.kernels.mathematics.constants.vecmath_constants import F64
from graphc.kernels.mathematics.functions.logarithms import log_double_f64

ZERO, HALF, ONE, TWO = F64.zero, F64.half, F64.one, F64.two


def _sin_cos_pi(r: Any) -> tuple[Any, Any]:
    """sin(pi r) and cos(pi r) on |r| <= 1/2"""
    magnitude = absolute(r)
    is_upper = magnitude > QUARTER
    turned = select(is_upper, HALF - magnitude, magnitude)
    angle, error = two_product(turned, PI[0])
    error = fma(turned, PI[1], error)
    square = angle * angle
    sine = angle + fma(polynomial(F64.sin, square), square * angle, error)
    leading, lost = quick_two_sum(ONE, -(HALF * square))
    cosine = leading + fma(polynomial(F64.cos, square), square * square, lost)
    return copysign(select(is_upper, cosine, sine), r), select(is_upper, sine, cosine)


def _lgamma_far(a: Any, logarithm: Pair) -> Any:
    """(a - 1/2) log(a) - a + log(2 pi) / 2 + P(1 / a**2) / a"""
    shifted = a - HALF
    product, error = two_product(shifted, logarithm[0])
    error = fma(shifted, logarithm[1], error)
    total, lost = two_sum(product, -a)
    total, lost_too = two_sum(total, HALF_LOG_TWO_PI[0])
    reciprocal = ONE / a
    rest = polynomial(LGAMMA_FAR, reciprocal * reciprocal) * reciprocal
    return total + (rest + (HALF_LOG_TWO_PI[1] + (error + (lost + lost_too))))


def _lgamma_near(a: Any, is_low: Any, is_middle: Any, is_negative: Any) -> Pair:
    """(y - 1) (y - 2) P(y) with y = a; where that is low, y = 1 + x, and 2 + x in the middle"""
    is_edge = is_low & (is_middle ^ is_negative)
    shift = select(is_low, select(is_edge, ONE, -ONE), -TWO)
    factor = pair_product((select(is_low, a, a - ONE), ZERO), two_sum(a, shift))
    low_offset = select(is_negative, -a, a) + select(is_middle, TWO, ONE)
    offset = select(is_low, low_offset, a) - LGAMMA_CENTER
    *higher, last = LGAMMA_NEAR
    value = two_sum(last, polynomial(tuple(higher), offset) * offset)
    return pair_product(factor, value)


def lgamma_f64(x: Any) -> Any:
    """log |gamma(x)|, infinite at 0 and at whole numbers below."""
    a, is_negative = absolute(x), x < ZERO
    is_low = a < LGAMMA_LOW
    is_middle = is_low & is_negative & (a >= LGAMMA_LOW_NEGATIVE)
    near, near_error = _lgamma_near(a, is_low, is_middle, is_negative)
    # Of 1 + x less log |x|, of 2 + x less log |x (1 + x)| in the middle.
    moved_by, moved_error = two_product(a, select(is_middle, ONE - a, ONE))
    high, low = log_double_f64(moved_by)
    moved, lost = two_sum(near, -high)
    moved_low = near_error - (low + select(is_middle, moved_error / moved_by, ZERO))
    beyond = select(a > NEAR_LIMIT, _lgamma_far(a, (high, low)), near + near_error)
    positive = select(is_low, moved + (lost + moved_low), beyond)
    # log(pi / (a |sin(pi a)|)) - lgamma(a)
    r = a - round_even(a)
    sine, _ = _sin_cos_pi(r)
    divisor, divisor_error = two_product(a, absolute(sine))
    log_divisor, log_low = log_double_f64(divisor)
    total, lost = two_sum(LOG_PI[0] - log_divisor, -positive)
    reflected = total + (lost + (LOG_PI[1] - (log_low + divisor_error / divisor)))
    result = select(is_negative & (a >= LGAMMA_LOW), reflected, positive)
    is_pole = (x <= ZERO) & (r == ZERO)
    is_infinite = (a == F64.infinity) | (x > LGAMMA_HIGHEST) | is_pole
    return select(is_infinite, F64.infinity, select(x != x, x, result))


def digamma_f64(x: Any) -> Any:
    """The derivative of log gamma(x); infinite at 0, NaN at whole numbers below."""
    a, is_negative = absolute(x), x < ZERO
    is_low, is_far = a < ONE, a > NEAR_LIMIT
    # digamma(y) with y = a, or a + 1 where that is low: (y - root) P(y)
    root = select(is_low, DIGAMMA_ROOT[0] - ONE, DIGAMMA_ROOT[0])
    offset = a - select(is_low, DIGAMMA_CENTER - ONE, DIGAMMA_CENTER)
    near = ((a - root) - DIGAMMA_ROOT[1]) * polynomial(DIGAMMA_NEAR, offset)
    reciprocal = ONE / a
    # Of the least subnormal numbers it is infinite, and nothing is lacking.
    is_finite = reciprocal < F64.infinity
    lacking = select(is_finite, fma(-reciprocal, a, ONE) * reciprocal, ZERO)
    # log(a) - 1 / (2 a) - P(1 / a**2) / a**2
    high, low = log_double_f64(a)
    z = reciprocal * reciprocal
    total, lost = two_sum(high, -(HALF * reciprocal))
    far = total + (lost + (low - HALF * lacking) - z * polynomial(DIGAMMA_FAR, z))
    value = select(is_far, far, near)
    moved, lost = two_sum(value, -reciprocal)
    positive = select(is_low, moved + select(is_finite, lost - lacking, ZERO), value)
    # digamma(1 + a) + pi / tan(pi a)
    r = a - round_even(a)
    sine, cosine = _sin_cos_pi(r)
    grown, lost = two_sum(value, reciprocal)
    above = select(is_low, value, grown)
    above_low = select(is_low, ZERO, lost + lacking)
    total, lost = two_sum(above, PI[0] * (cosine / sine))
    reflected = total + select(absolute(total) < F64.infinity, lost + above_low, ZERO)
    result = select(is_negative, select(r == ZERO, F64.not_a_number, reflected), positive)
    result = select(x == F64.infinity, x, result)
    return select(x == ZERO, -copysign(F64.infinity, x), result)


def trigamma_f64(x: Any) -> Any:
    """The derivative of digamma(x); infinite at 0 and at whole numbers below."""
    a, is_negative = absolute(x), x < ZERO
    is_low, is_far = a < ONE, a > NEAR_LIMIT
    offset = a - select(is_low, DIGAMMA_CENTER - ONE, DIGAMMA_CENTER)
    near = polynomial(TRIGAMMA_NEAR, offset)
    reciprocal = ONE / a
    z = reciprocal * reciprocal
    # 1 / a + 1 / (2 a**2) + P(1 / a**2) / a**3
    far = reciprocal + (HALF * z + z * polynomial(TRIGAMMA_FAR, z) * reciprocal)
    value = select(is_far, far, near)
    lacking = select(z < F64.infinity, fma(-reciprocal, a, ONE) * z, ZERO)
    z_error = fma(reciprocal, reciprocal, -z) + TWO * lacking
    moved, lost = two_sum(z, value)
    positive = select(is_low, moved + select(z < F64.infinity, lost + z_error, ZERO), value)
    # pi**2 / sin(pi a)**2 - trigamma(1 + a)
    r = a - round_even(a)
    sine, _ = _sin_cos_pi(r)
    quotient = PI[0] / sine
    reflected = quotient * quotient - select(is_low, value, value - z)
    result = select(is_negative, reflected, positive)
    return select((r == ZERO) & (x <= ZERO), F64.infinity, result)


def lgamma_f32(x: Any) -> Any:
    """log |gamma(x)|, infinite at 0 and at whole numbers below."""
    return narrow(lgamma_f64(widen(x)))


def digamma_f32(x: Any) -> Any:
    """The derivative of log gamma(x); infinite at 0, NaN at whole numbers below."""
    return narrow(digamma_f64(widen(x)))


def trigamma_f32(x: Any) -> Any:
    """The derivative of digamma(x); infinite at 0 and at whole numbers below."""
    return narrow(trigamma_f64(widen(x)))
