"""sinh, cosh, their inverses and that of tanh, and hypot."""

from typing import Any

from graphc.kernels.mathematics.arithmetic.compensated import (
    Pair,
    quick_two_sum,
    two_product,
    two_sum,
)
from graphc.kernels.mathematics.arithmetic.polynomial import polynomial
from graphc.kernels.mathematics.arithmetic.primitives import absolute, copysign, fma, select, sqrt
from graphc.kernels.mathematics.constants.trigonometry_constants import (
    HYPERBOLIC_F32,
    HYPERBOLIC_F64,
    HyperbolicConstants,
)
from graphc.kernels.mathematics.constants.vecmath_constants import F32, F64, FloatFormat
from graphc.kernels.mathematics.functions.exponentials import clamp_high, exp_parts
from graphc.kernels.mathematics.functions.logarithms import log1p_reduced, split_exponent


def _odd(coefficients: Any, magnitude: Any) -> Any:
    """x + x**3 P(x**2)"""
    square = magnitude * magnitude
    return fma(polynomial(coefficients, square), square * magnitude, magnitude)


def _quarter_exp(magnitude: Any, k: FloatFormat, c: HyperbolicConstants) -> Pair:
    """exp(|x|) / 4, in range wherever sinh(x) is."""
    bounded = clamp_high(magnitude, c.exp_highest)
    first, rest, _, power = exp_parts(bounded, c.quarter_power_shift, k)
    mantissa, error = quick_two_sum(k.one, first + rest)
    return mantissa * power, error * power


def _sinh(x: Any, k: FloatFormat, c: HyperbolicConstants) -> Any:
    """(e - 1 / e) / 2 with e = exp(|x|), or a polynomial where that cancels"""
    magnitude = absolute(x)
    e, e_error = _quarter_exp(magnitude, k, c)
    difference, error = quick_two_sum(e, -(c.sixteenth / e))
    far = (difference + (error + e_error)) * k.two
    return copysign(select(magnitude < k.one, _odd(c.sinh, magnitude), far), x)


def _cosh(x: Any, k: FloatFormat, c: HyperbolicConstants) -> Any:
    """(e + 1 / e) / 2 with e = exp(|x|)"""
    e, e_error = _quarter_exp(absolute(x), k, c)
    total, error = quick_two_sum(e, c.sixteenth / e)
    return (total + (error + e_error)) * k.two


def _log_of(value: Pair, k: FloatFormat) -> Any:
    """log of a pair of at least 1, without its last digits near 1."""
    m, n = split_exponent(value[0], k)
    logarithm = log1p_reduced(m - k.one, k) + value[1] / value[0]
    return fma(n, k.ln2_high, fma(n, k.ln2_low, logarithm))


def _root(square: Pair, k: FloatFormat) -> Pair:
    """The root of a pair that is not 0."""
    root = sqrt(square[0])
    return root, (fma(-root, root, square[0]) + square[1]) / (root + root)


def _grown(x: Any, offset: Any, k: FloatFormat) -> Pair:
    """x + sqrt(x**2 + offset) where x is not large."""
    square, square_error = two_product(x, x)
    total, total_error = two_sum(square, offset)
    root, root_error = _root((total, total_error + square_error), k)
    result, error = two_sum(x, root)
    return result, error + root_error


def _asinh(x: Any, k: FloatFormat, c: HyperbolicConstants) -> Any:
    """log(|x| + sqrt(x**2 + 1)), log(|x|) + log(2) far out, or a polynomial near 0"""
    magnitude = absolute(x)
    is_far = magnitude > c.far
    grown, error = _grown(select(is_far, k.one, magnitude), k.one, k)
    value: Pair = (select(is_far, magnitude, grown), select(is_far, k.zero, error))
    logarithm = _log_of(value, k)
    far = logarithm + select(is_far, k.ln2_high, k.zero)
    result = select(magnitude < k.half, _odd(c.asinh, magnitude), far)
    return copysign(select(magnitude < k.infinity, result, magnitude), x)


def _acosh(x: Any, k: FloatFormat, c: HyperbolicConstants) -> Any:
    """log(x + sqrt(x**2 - 1)), log(x) + log(2) far out, or, near 1, sqrt(2 t) times a polynomial of
    t = x - 1; NaN below 1"""
    is_far = x > c.far
    grown, error = _grown(select(is_far, k.two, x), -k.one, k)
    value: Pair = (select(is_far, x, grown), select(is_far, k.zero, error))
    far = _log_of(value, k) + select(is_far, k.ln2_high, k.zero)
    t = x - k.one
    twice = t + t
    root = sqrt(twice)
    root_error = fma(-root, root, twice) / select(root > k.zero, root + root, k.one)
    near = root + fma(polynomial(c.acosh, t), t * root, root_error)
    result = select(t < k.half, near, far)
    return select(x < k.infinity, result, x)


def _atanh(x: Any, k: FloatFormat, c: HyperbolicConstants) -> Any:
    """log((1 + |x|) / (1 - |x|)) / 2, or a polynomial near 0; NaN beyond 1"""
    magnitude = absolute(x)
    total, total_error = quick_two_sum(k.one, magnitude)
    rest = k.one - magnitude
    is_inside = magnitude < k.one
    divisor = select(is_inside, rest, k.one)
    quotient = total / divisor
    error = (fma(-quotient, divisor, total) + total_error) / divisor
    far = k.half * _log_of((quotient, error), k)
    result = select(magnitude < k.half, _odd(c.atanh, magnitude), far)
    at_one = select(magnitude == k.one, k.infinity, k.not_a_number)
    return copysign(select(is_inside, result, at_one), x)


def _hypot(x: Any, y: Any, k: FloatFormat, c: HyperbolicConstants) -> Any:
    """sqrt(x**2 + y**2), of numbers that are scaled where their squares are out of range"""
    a, b = absolute(x), absolute(y)
    greatest = select(a > b, a, b)
    is_large, is_small = greatest > c.large, greatest < c.small
    scale = select(is_large, c.down, select(is_small, c.up, k.one))
    unscale = select(is_large, c.undo_down, select(is_small, c.undo_up, k.one))
    a, b = a * scale, b * scale
    square, square_error = two_product(a, a)
    other, other_error = two_product(b, b)
    total, total_error = two_sum(square, other)
    root = sqrt(total)
    rest = (fma(-root, root, total) + (total_error + (square_error + other_error))) * k.half
    corrected = root + rest / select(root > k.zero, root, k.one)
    is_infinite = (absolute(x) == k.infinity) | (absolute(y) == k.infinity)
    return select(is_infinite, k.infinity, corrected * unscale)


def sinh_f32(x: Any) -> Any:
    """Hyperbolic sine."""
    return _sinh(x, F32, HYPERBOLIC_F32)


def sinh_f64(x: Any) -> Any:
    """Hyperbolic sine."""
    return _sinh(x, F64, HYPERBOLIC_F64)


def cosh_f32(x: Any) -> Any:
    """Hyperbolic cosine."""
    return _cosh(x, F32, HYPERBOLIC_F32)


def cosh_f64(x: Any) -> Any:
    """Hyperbolic cosine."""
    return _cosh(x, F64, HYPERBOLIC_F64)


def asinh_f32(x: Any) -> Any:
    """Inverse hyperbolic sine."""
    return _asinh(x, F32, HYPERBOLIC_F32)


def asinh_f64(x: Any) -> Any:
    """Inverse hyperbolic sine."""
    return _asinh(x, F64, HYPERBOLIC_F64)


def acosh_f32(x: Any) -> Any:
    """Inverse hyperbolic cosine, NaN below 1."""
    return _acosh(x, F32, HYPERBOLIC_F32)


def acosh_f64(x: Any) -> Any:
    """Inverse hyperbolic cosine, NaN below 1."""
    return _acosh(x, F64, HYPERBOLIC_F64)


def atanh_f32(x: Any) -> Any:
    """Inverse hyperbolic tangent, NaN beyond 1."""
    return _atanh(x, F32, HYPERBOLIC_F32)


def atanh_f64(x: Any) -> Any:
    """Inverse hyperbolic tangent, NaN beyond 1."""
    return _atanh(x, F64, HYPERBOLIC_F64)


def hypot_f32(x: Any, y: Any) -> Any:
    """sqrt(x**2 + y**2) without overflow."""
    return _hypot(x, y, F32, HYPERBOLIC_F32)


def hypot_f64(x: Any, y: Any) -> Any:
    """sqrt(x**2 + y**2) without overflow."""
    return _hypot(x, y, F64, HYPERBOLIC_F64)
