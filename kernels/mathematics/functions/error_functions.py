"""erfc, exp(-x**2), gelu and its slope: tails that keep their digits.

exp(-x**2) is taken of the square and what its rounding loses, times 2**64, so that products with it
keep their digits where it is subnormal. What erfc is beside it, erfc(x) exp(x**2), is smooth: a
polynomial up to 2, and one of 1 / x**2 over x beyond.
"""

from typing import Any

from graphc.kernels.mathematics.arithmetic.compensated import (
    Pair,
    pair_product,
    quick_two_sum,
    quotient_by,
    two_product,
    two_sum,
)
from graphc.kernels.mathematics.arithmetic.polynomial import polynomial
from graphc.kernels.mathematics.arithmetic.primitives import absolute, copysign, fma, select
from graphc.kernels.mathematics.constants.error_constants import (
    ERRORS_F32,
    ERRORS_F64,
    ErrorConstants,
)
from graphc.kernels.mathematics.constants.vecmath_constants import F32, F64, FloatFormat
from graphc.kernels.mathematics.functions.exponentials import clamp_high, clamp_low, exp_parts


def _lifted_exp(square: Pair, k: FloatFormat) -> Pair:
    """exp(-square) times 2**64"""
    first, rest, _, power = exp_parts(-square[0], k.lifted_power_shift, k)
    reduced = first + rest
    lost = fma(-square[1], k.one + reduced, (first - reduced) + rest)
    mantissa, error = quick_two_sum(k.one, reduced)
    return mantissa * power, (error + lost) * power


def _beside_exp(x: Pair, k: FloatFormat, c: ErrorConstants) -> tuple[Pair, Pair, Any]:
    """erfc(x) exp(x**2) from 1/2 on, as a numerator and a denominator, and the reciprocal of that:
    there is one division"""
    is_middle = x[0] < k.two
    t = (x[0] - c.center) + x[1]
    *higher, last = c.middle
    middle, middle_error = two_sum(last, polynomial(tuple(higher), t) * t)
    reciprocal = k.one / x[0]
    z = reciprocal * reciprocal
    bent = polynomial(c.far, z - c.far_center) * c.one_over_root_pi
    far, far_error = quick_two_sum(c.one_over_root_pi, bent * z)
    numerator = (
        select(is_middle, middle, far),
        select(is_middle, middle_error + c.middle_low, far_error + c.one_over_root_pi_low),
    )
    denominator = (select(is_middle, k.one, x[0]), select(is_middle, k.zero, x[1]))
    return numerator, denominator, select(is_middle, k.one, reciprocal)


def _erf_small(x: Any, k: FloatFormat) -> Any:
    """erf(x) - x on |x| <= 1/2"""
    return polynomial(k.erf_small, x * x) * x


def _erfc(x: Any, k: FloatFormat, c: ErrorConstants) -> Any:
    """1 - x - (erf(x) - x) near 0, exp(-x**2) times a smooth function further out, 2 less that of
    a negative x"""
    magnitude = clamp_high(absolute(x), c.highest)
    lifted = _lifted_exp(two_product(magnitude, magnitude), k)
    numerator, denominator, reciprocal = _beside_exp((magnitude, k.zero), k, c)
    quotient = quotient_by(pair_product(lifted, numerator), denominator, reciprocal)
    tail = quotient * k.lifted_power_factor
    total, error = quick_two_sum(k.one, -clamp_low(clamp_high(x, k.half), -k.half))
    near = total + (error - _erf_small(x, k))
    return select(magnitude < k.half, near, select(x < k.zero, k.two - tail, tail))


def _exp_minus_square(x: Any, k: FloatFormat, c: ErrorConstants) -> Any:
    magnitude = clamp_high(absolute(x), c.highest)
    lifted, error = _lifted_exp(two_product(magnitude, magnitude), k)
    return (lifted + error) * k.lifted_power_factor


def _normal_parts(x: Any, k: FloatFormat, c: ErrorConstants) -> tuple[Any, Pair, Pair]:
    """(|x|, |x| / sqrt(2), exp(-x**2 / 2) times 2**64), |x| no more than counts."""
    magnitude = clamp_high(absolute(x), c.normal_highest)
    square, error = two_product(magnitude, magnitude)
    scaled, scaled_error = two_product(magnitude, c.root_half)
    lifted = _lifted_exp((k.half * square, k.half * error), k)
    return magnitude, (scaled, fma(magnitude, c.root_half_low, scaled_error)), lifted


def _near_share(scaled: Pair, k: FloatFormat) -> Any:
    """erfc(x) / 2 on 0 <= x <= 1/2"""
    rest = k.half * (_erf_small(scaled[0], k) + scaled[1])
    total, error = quick_two_sum(k.half, -k.half * scaled[0])
    return total + (error - rest)


def _gelu(x: Any, k: FloatFormat, c: ErrorConstants) -> Any:
    """x times the share of a normal distribution below x: where x is positive, x less the rest"""
    magnitude, scaled, lifted = _normal_parts(x, k, c)
    numerator, denominator, reciprocal = _beside_exp(scaled, k, c)
    product = pair_product((k.half * magnitude, k.zero), pair_product(lifted, numerator))
    far = quotient_by(product, denominator, reciprocal) * k.lifted_power_factor
    rest = select(scaled[0] < k.half, magnitude * _near_share(scaled, k), far)
    return copysign(select(x < k.zero, rest, x - rest), x)


def _gelu_slope(x: Any, k: FloatFormat, c: ErrorConstants) -> Any:
    """The share of a normal distribution below x, and x times its density at x"""
    magnitude, scaled, (lifted, error) = _normal_parts(x, k, c)
    numerator, denominator, reciprocal = _beside_exp(scaled, k, c)
    share = k.half * quotient_by(numerator, denominator, reciprocal)
    far = (lifted + error) * fma(-magnitude, c.one_over_root_two_pi, share)
    density = (lifted + error) * k.lifted_power_factor * c.one_over_root_two_pi
    near = fma(-magnitude, density, _near_share(scaled, k))
    tail = select(scaled[0] < k.half, near, far * k.lifted_power_factor)
    return select(x < k.zero, tail, k.one - tail)


def erfc_f32(x: Any) -> Any:
    """1 - erf(x), accurate relative to the result; subnormal results are right."""
    return _erfc(x, F32, ERRORS_F32)


def erfc_f64(x: Any) -> Any:
    """1 - erf(x), accurate relative to the result; subnormal results are right."""
    return _erfc(x, F64, ERRORS_F64)


def exp_minus_square_f32(x: Any) -> Any:
    """exp(-x**2), accurate relative to the result."""
    return _exp_minus_square(x, F32, ERRORS_F32)


def exp_minus_square_f64(x: Any) -> Any:
    """exp(-x**2), accurate relative to the result."""
    return _exp_minus_square(x, F64, ERRORS_F64)


def gelu_f32(x: Any) -> Any:
    """x times the normal distribution function, -0.0 at -inf."""
    return _gelu(x, F32, ERRORS_F32)


def gelu_f64(x: Any) -> Any:
    """x times the normal distribution function, -0.0 at -inf."""
    return _gelu(x, F64, ERRORS_F64)


def gelu_slope_f32(x: Any) -> Any:
    """The derivative of gelu."""
    return _gelu_slope(x, F32, ERRORS_F32)


def gelu_slope_f64(x: Any) -> Any:
    """The derivative of gelu."""
    return _gelu_slope(x, F64, ERRORS_F64)
