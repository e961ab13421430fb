"""Parts of log(x) that the functions made of it share, over the primitives."""

from typing import Any

from graphc.kernels.mathematics.arithmetic.polynomial import polynomial
from graphc.kernels.mathematics.arithmetic.primitives import (
    bits_from_float,
    float_from_bits,
    fma,
    select,
)
from graphc.kernels.mathematics.constants.vecmath_constants import (
    F64,
    POW64_ATANH,
    TWO_THIRDS,
    FloatFormat,
)


def log1p_reduced(f: Any, k: FloatFormat) -> Any:
    """log(1 + f) on |f| <= 1/3"""
    return fma(polynomial(k.log1p, f), f * f, f)


def exponent_bits_of(x: Any, k: FloatFormat) -> Any:
    """n in the exponent field, where x = m * 2**n with m in [2/3, 4/3), for a positive normal x."""
    return (bits_from_float(x) - k.two_thirds_bits) & k.exponent_mask


def exponent_of(exponent_bits: Any, k: FloatFormat) -> Any:
    """n as a float."""
    n = exponent_bits >> k.mantissa_bits
    return float_from_bits(n + k.integer_shift_bits) - k.integer_shift


def split_exponent(x: Any, k: FloatFormat) -> tuple[Any, Any]:
    """(m, n) with x = m * 2**n and m in [2/3, 4/3), for a positive x, subnormal or not."""
    is_subnormal = x < k.smallest_normal
    normal = select(is_subnormal, x * k.subnormal_scale, x)
    exponent_bits = exponent_bits_of(normal, k)
    m = float_from_bits(bits_from_float(normal) - exponent_bits)
    n = exponent_of(exponent_bits, k)
    return m, select(is_subnormal, n - k.subnormal_exponent, n)


def log_double_f64(x: Any) -> tuple[Any, Any]:
    """log(x) of a positive x to about 2**-64, as a sum of two f64.

    log(m) = 2 s + s z (2/3 + z P(z)) with s = (m - 1) / (m + 1) and z = s**2, the leading terms in
    doubled precision (the series of fdlibm's pow).
    """
    m, n = split_exponent(x, F64)
    f = m - F64.one
    denominator = F64.two + f
    denominator_error = f - (denominator - F64.two)
    reciprocal = F64.one / denominator
    s = f * reciprocal
    s_error = (fma(-s, denominator, f) - s * denominator_error) * reciprocal
    z = s * s
    z_error = fma(s, s, -z) + F64.two * s * s_error
    tail = z * polynomial(POW64_ATANH, z)
    factor = TWO_THIRDS[0] + tail
    factor_error = (TWO_THIRDS[0] - factor) + tail + TWO_THIRDS[1]
    product = z * factor
    product_error = fma(z, factor, -product) + (z * factor_error + z_error * factor)
    total = F64.two + product
    total_error = (F64.two - total) + product + product_error
    log_m = s * total
    log_m_error = fma(s, total, -log_m) + (s * total_error + s_error * total)
    whole = n * F64.ln2_high
    whole_error = fma(n, F64.ln2_high, -whole) + n * F64.ln2_low
    high = whole + log_m
    return high, (whole - high) + log_m + (whole_error + log_m_error)
