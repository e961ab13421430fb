"""silu and mish, x times a gate made of exp(x), and their slopes.

A negative x takes exp(x) times 2**64, so that its product with x keeps its digits where exp(x) is
subnormal. Each function takes one exponential and one division.
"""

from typing import Any

import numpy as np

from graphc.kernels.mathematics.arithmetic.compensated import (
    Pair,
    pair_product,
    pair_quotient,
    quick_two_sum,
    two_product,
    two_sum,
)
from graphc.kernels.mathematics.arithmetic.primitives import absolute, copysign, fma, select
from graphc.kernels.mathematics.constants.vecmath_constants import F32, F64, FloatFormat
from graphc.kernels.mathematics.functions.exponentials import clamp_high, clamp_low, exp_parts

# x exp(x) is 0 below these, and exp(x) times 2**64 a normal number above.
LOWEST_F32 = np.float32(-120)
LOWEST_F64 = np.float64(-752)


def _decay(x: Any, lowest: Any, k: FloatFormat) -> tuple[Any, Pair, Pair, Any]:
    """(|x|, exp(-|x|) times 2**64, exp(-|x|), whether x is negative), |x| no more than counts."""
    magnitude = clamp_high(absolute(x), -lowest)
    first, rest, _, power = exp_parts(-magnitude, k.lifted_power_shift, k)
    mantissa, error = quick_two_sum(k.one, first + rest)
    lifted, lifted_error = mantissa * power, error * power
    factor = k.lifted_power_factor
    return magnitude, (lifted, lifted_error), (lifted * factor, lifted_error * factor), x < k.zero


def _chosen(condition: Any, x: Pair, y: Pair) -> Pair:
    return select(condition, x[0], y[0]), select(condition, x[1], y[1])


def _scaled(x: Any, is_negative: Any, k: FloatFormat) -> Any:
    """Without the factor 2**64 of a negative x."""
    return x * select(is_negative, k.lifted_power_factor, k.one)


def _silu(x: Any, lowest: Any, k: FloatFormat) -> Any:
    """x e / (1 + e) with e = exp(x) where x is negative, x / (1 + e) with e = exp(-x) elsewhere"""
    _, lifted, (e, e_error), is_negative = _decay(x, lowest, k)
    bounded = clamp_low(clamp_high(x, -lowest), lowest)
    numerator = _chosen(is_negative, pair_product((bounded, k.zero), lifted), (bounded, k.zero))
    total, error = quick_two_sum(k.one, e)
    quotient = pair_quotient(numerator, (total, error + e_error), k.one)
    # Where exp(-x) is nothing beside 1, x itself, which may be infinite.
    is_far = x > -lowest
    return select(is_far, x, copysign(_scaled(quotient, is_negative, k), x))


def _silu_slope(x: Any, lowest: Any, k: FloatFormat) -> Any:
    """e u (1 - |x| u) with u = 1 / (1 + e) where x is negative, u (1 + x e u) elsewhere"""
    magnitude, (lifted, _), (e, e_error), is_negative = _decay(x, lowest, k)
    total, error = quick_two_sum(k.one, e)
    u = k.one / total
    u_error = (fma(-u, total, k.one) - u * (error + e_error)) * u
    bent = fma(-magnitude, u_error, fma(-magnitude, u, k.one))
    below = lifted * (u + u_error) * bent * k.lifted_power_factor
    return select(is_negative, below, fma(magnitude * e * u, u, u + u_error))


def _mish_denominator(e: Pair, is_negative: Any, k: FloatFormat) -> Pair:
    """e (e + 2) + 2 where x is negative, 1 + 2 e (1 + e) elsewhere"""
    addend = select(is_negative, k.two, k.one)
    total, error = quick_two_sum(addend, e[0])
    factor = select(is_negative, k.one, k.two)
    product, product_error = pair_product((factor * e[0], factor * e[1]), (total, error + e[1]))
    result, result_error = two_sum(addend, product)
    return result, result_error + product_error


def _mish(x: Any, lowest: Any, k: FloatFormat) -> Any:
    """x e (e + 2) / (e (e + 2) + 2) with e = exp(x) where x is negative; elsewhere, with exp(-x),
    x (1 + 2 e) / (1 + 2 e (1 + e))"""
    _, lifted, e, is_negative = _decay(x, lowest, k)
    two_and_e, error = quick_two_sum(k.two, e[0])
    below = pair_product(lifted, (two_and_e, error + e[1]))
    above, error = two_sum(k.one, k.two * e[0])
    gate = _chosen(is_negative, below, (above, error + k.two * e[1]))
    bounded = clamp_low(clamp_high(x, -lowest), lowest)
    numerator = pair_product((bounded, k.zero), gate)
    quotient = pair_quotient(numerator, _mish_denominator(e, is_negative, k), k.one)
    return select(x > -lowest, x, copysign(_scaled(quotient, is_negative, k), x))


def _mish_slope(x: Any, lowest: Any, k: FloatFormat) -> Any:
    """e ((e + 2) d - 4 |x| (1 + e)) / d**2 where x is negative, 1 - 2 e**2 (d - 2 x (1 + e)) / d**2
    elsewhere, d the denominator of mish"""
    magnitude, (lifted, _), (e, e_error), is_negative = _decay(x, lowest, k)
    d, d_error = _mish_denominator((e, e_error), is_negative, k)
    two_and_e, sum_error = quick_two_sum(k.two, e)
    one_and_e, one_error = quick_two_sum(k.one, e)
    factor = _chosen(is_negative, (two_and_e, sum_error + e_error), (k.one, k.zero))
    grown, grown_error = pair_product(factor, (d, d_error))
    twice = k.two * magnitude
    bent, bent_error = pair_product((twice, k.zero), (one_and_e, one_error + e_error))
    scale = select(is_negative, k.two, k.one)
    difference = (grown - scale * bent) + (grown_error - scale * bent_error)
    numerator = select(is_negative, lifted, -k.two * (e * e)) * difference
    square, square_error = two_product(d, d)
    divisor = (square, fma(k.two * d, d_error, square_error))
    quotient = pair_quotient((numerator, k.zero), divisor, k.one)
    return select(is_negative, quotient * k.lifted_power_factor, k.one + quotient)


def silu_f32(x: Any) -> Any:
    """x sigmoid(x), 0 at -inf."""
    return _silu(x, LOWEST_F32, F32)


def silu_f64(x: Any) -> Any:
    """x sigmoid(x), 0 at -inf."""
    return _silu(x, LOWEST_F64, F64)


def silu_slope_f32(x: Any) -> Any:
    """The derivative of silu."""
    return _silu_slope(x, LOWEST_F32, F32)


def silu_slope_f64(x: Any) -> Any:
    """The derivative of silu."""
    return _silu_slope(x, LOWEST_F64, F64)


def mish_f32(x: Any) -> Any:
    """x tanh(softplus(x)), 0 at -inf."""
    return _mish(x, LOWEST_F32, F32)


def mish_f64(x: Any) -> Any:
    """x tanh(softplus(x)), 0 at -inf."""
    return _mish(x, LOWEST_F64, F64)


def mish_slope_f32(x: Any) -> Any:
    """The derivative of mish."""
    return _mish_slope(x, LOWEST_F32, F32)


def mish_slope_f64(x: Any) -> Any:
    """The derivative of mish."""
    return _mish_slope(x, LOWEST_F64, F64)
