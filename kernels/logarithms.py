"""Parts of log(x) that the functions made of it share, over the primitives."""

from typing import Any

from graphc.kernels.polynomial import polynomial
from graphc.kernels.primitives import bits_from_float, float_from_bits, fma, select
from graphc.kernels.vecmath_constants import FloatFormat


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
