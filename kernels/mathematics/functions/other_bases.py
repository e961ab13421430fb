"""exp2, log2 and log10: exact where the result is a whole number."""

from typing import Any

from graphc.kernels.mathematics.arithmetic.compensated import two_product, two_sum
from graphc.kernels.mathematics.arithmetic.polynomial import polynomial
from graphc.kernels.mathematics.arithmetic.primitives import (
    bits_from_float,
    float_from_bits,
    fma,
    select,
)
from graphc.kernels.mathematics.constants.trigonometry_constants import (
    BASES_F32,
    BASES_F64,
    BaseConstants,
    Logarithm,
)
from graphc.kernels.mathematics.constants.vecmath_constants import F32, F64, FloatFormat
from graphc.kernels.mathematics.functions.exponentials import clamp_high, clamp_low
from graphc.kernels.mathematics.functions.logarithms import split_exponent


def _exp2(x: Any, k: FloatFormat, c: BaseConstants) -> Any:
    bounded = clamp_low(clamp_high(x, c.exp2_highest), c.exp2_lowest)
    is_below_zero = x < k.zero
    shift = select(is_below_zero, k.lifted_power_shift, k.half_power_shift)
    shifted = bounded + shift
    r = bounded - (shifted - shift)
    power = float_from_bits(bits_from_float(shifted) << k.mantissa_bits)
    factor = select(is_below_zero, k.lifted_power_factor, k.two)
    # As in exp: 0 without a product that underflows.
    factor = select(x < c.exp2_lowest, k.zero, factor)
    return fma(polynomial(c.exp2, r) * r, power, power) * factor


def _log(x: Any, k: FloatFormat, c: Logarithm) -> Any:
    """n c(2) + c(e) log(m) with x = m 2**n, c the logarithm; products in pairs"""
    m, n = split_exponent(x, k)
    f = m - k.one
    tail = polynomial(k.log1p, f) * (f * f)
    product, product_error = two_product(f, c.of_e)
    rest = fma(tail, c.of_e, fma(f, c.of_e_low, product_error))
    total, total_error = two_sum(n * c.of_2, product)
    result = total + (total_error + fma(n, c.of_2_low, rest))
    at_most_zero = select(x == k.zero, -k.infinity, k.not_a_number)
    is_ordinary = (x > k.zero) & (x < k.infinity)
    return select(is_ordinary, result, select(x <= k.zero, at_most_zero, x))


def exp2_f32(x: Any) -> Any:
    """2**x; subnormal results are right."""
    return _exp2(x, F32, BASES_F32)


def exp2_f64(x: Any) -> Any:
    """2**x; subnormal results are right."""
    return _exp2(x, F64, BASES_F64)


def log2_f32(x: Any) -> Any:
    """Logarithm to base 2; subnormal arguments are right."""
    return _log(x, F32, BASES_F32.log2)


def log2_f64(x: Any) -> Any:
    """Logarithm to base 2; subnormal arguments are right."""
    return _log(x, F64, BASES_F64.log2)


def log10_f32(x: Any) -> Any:
    """Logarithm to base 10; subnormal arguments are right."""
    return _log(x, F32, BASES_F32.log10)


def log10_f64(x: Any) -> Any:
    """Logarithm to base 10; subnormal arguments are right."""
    return _log(x, F64, BASES_F64.log10)
