"""Parts of exp(x) that the functions made of it share, over the primitives."""

from typing import Any

from graphc.kernels.mathematics.arithmetic.polynomial import polynomial
from graphc.kernels.mathematics.arithmetic.primitives import (
    bits_from_float,
    float_from_bits,
    fma,
    select,
)
from graphc.kernels.mathematics.constants.vecmath_constants import FloatFormat


def clamp_high(x: Any, highest: Any) -> Any:
    """The smaller of both; NaN stays."""
    return select(x > highest, highest, x)


def clamp_low(x: Any, lowest: Any) -> Any:
    """The larger of both; NaN stays."""
    return select(x < lowest, lowest, x)


def exp_parts(x: Any, shift: Any, k: FloatFormat) -> tuple[Any, Any, Any, Any]:
    """(first, rest, n, power) with exp(x) = (1 + first + rest) * 2**n (Cody and Waite).

    `first` is exact, and x itself where n = 0; `rest` is small. `power` is 2**n times what the
    `shift` has in its low bits.
    """
    shifted = fma(x, k.log2_e, shift)
    n = shifted - shift
    first = fma(n, -k.ln2_high, x)
    # What `first` lacks joins the small terms, so that the sum of both is rounded once.
    missing = n * -k.ln2_low
    r = first + missing
    rest = fma(polynomial(k.expm1, r), r * r, missing)
    return first, rest, n, float_from_bits(bits_from_float(shifted) << k.mantissa_bits)


def exp_nonpositive(x: Any, k: FloatFormat) -> Any:
    """exp(x) on x <= 0"""
    bounded = clamp_low(x, k.exp_lowest)
    first, rest, _, power = exp_parts(bounded, k.lifted_power_shift, k)
    return fma(first + rest, power, power) * k.lifted_power_factor


def expm1_factors(x: Any, shift: Any, k: FloatFormat) -> tuple[Any, Any]:
    """(p, power) with exp(x) = (1 + p) * 2**n, and `power` as in `exp_parts`, in two operations
    fewer: where n is not 0 the reduced argument is rounded, and p with it."""
    shifted = fma(x, k.log2_e, shift)
    n = shifted - shift
    r = fma(n, -k.ln2_low, fma(n, -k.ln2_high, x))
    p = fma(polynomial(k.expm1, r), r * r, r)
    return p, float_from_bits(bits_from_float(shifted) << k.mantissa_bits)


def exp_nonpositive_rounded(x: Any, k: FloatFormat) -> Any:
    """exp(x) on x <= 0, in two operations fewer than `exp_nonpositive`, from a rounded reduced
    argument. For sigmoid, whose error stays the same; that of softplus in f64 would pass 2 ULP."""
    p, power = expm1_factors(clamp_low(x, k.exp_lowest), k.lifted_power_shift, k)
    return fma(p, power, power) * k.lifted_power_factor


def exp_factors(x: Any, k: FloatFormat) -> tuple[Any, Any]:
    """(y, 2**n) with exp(x) = y * 2**n a normal number, to about 1 ULP.

    For results in which exp(x) is the smaller term, and its last bit counts for less.
    """
    p, power = expm1_factors(x, k.power_shift, k)
    return k.one + p, power
