"""exp, log, tanh, sigmoid, erf, pow and their like, as straight-line code over the primitives.

No loop at run time, and no branch but around what is rare (`select_rare`), which is there for
vectors of each width, so that LLVM vectorises a loop around them, and each element gets the same
bits wherever it stands. The functions run on numpy arrays as they are; `record` turns them into
LLVM IR. Special values are those of C99 (annex F). Errors are within 2 units in the last place;
`benchmarks/ulp.py` measures them.
"""

from collections.abc import Callable, Mapping
from typing import Any

from graphc.kernels.mathematics.arithmetic.polynomial import polynomial
from graphc.kernels.mathematics.arithmetic.primitives import (
    absolute,
    bits_from_float,
    copysign,
    float_from_bits,
    fma,
    narrow,
    round_even,
    select,
    widen,
)
from graphc.kernels.mathematics.constants.vecmath_constants import (
    F32,
    F64,
    POW32_EXP2,
    POW32_LOG2,
    FloatFormat,
)
from graphc.kernels.mathematics.functions.angles import (
    acos_f32,
    acos_f64,
    asin_f32,
    asin_f64,
    atan2_f32,
    atan2_f64,
    atan_f32,
    atan_f64,
    tan_f32,
    tan_f64,
)
from graphc.kernels.mathematics.functions.error_functions import (
    erfc_f32,
    erfc_f64,
    exp_minus_square_f32,
    exp_minus_square_f64,
    gelu_f32,
    gelu_f64,
    gelu_slope_f32,
    gelu_slope_f64,
)
from graphc.kernels.mathematics.functions.exponentials import (
    clamp_high,
    clamp_low,
    exp_factors,
    exp_nonpositive,
    exp_nonpositive_rounded,
    exp_parts,
    expm1_factors,
)
from graphc.kernels.mathematics.functions.gamma_functions import (
    digamma_f32,
    digamma_f64,
    lgamma_f32,
    lgamma_f64,
    trigamma_f32,
    trigamma_f64,
)
from graphc.kernels.mathematics.functions.gates import (
    mish_f32,
    mish_f64,
    mish_slope_f32,
    mish_slope_f64,
    silu_f32,
    silu_f64,
    silu_slope_f32,
    silu_slope_f64,
)
from graphc.kernels.mathematics.functions.hyperbolic import (
    acosh_f32,
    acosh_f64,
    asinh_f32,
    asinh_f64,
    atanh_f32,
    atanh_f64,
    cosh_f32,
    cosh_f64,
    hypot_f32,
    hypot_f64,
    sinh_f32,
    sinh_f64,
)
from graphc.kernels.mathematics.functions.logarithms import (
    exponent_bits_of,
    exponent_of,
    log1p_reduced,
    log_double_f64,
    split_exponent,
)
from graphc.kernels.mathematics.functions.other_bases import (
    exp2_f32,
    exp2_f64,
    log2_f32,
    log2_f64,
    log10_f32,
    log10_f64,
)
from graphc.kernels.mathematics.functions.remainder import (
    floor_divide_f32,
    floor_divide_f64,
    mod_f32,
    mod_f64,
)
from graphc.kernels.mathematics.functions.sin_cos import cos_f32, cos_f64, sin_f32, sin_f64

# f32 pow: log2(result) beyond this over- or underflows in f32 and stays finite in f64.
POW_LIMIT_F32 = F64.one * 300.0


def _exp(x: Any, k: FloatFormat) -> Any:
    bounded = clamp_low(clamp_high(x, k.exp_highest), k.exp_lowest)
    is_below_zero = x < k.zero
    shift = select(is_below_zero, k.lifted_power_shift, k.half_power_shift)
    first, rest, _, power = exp_parts(bounded, shift, k)
    factor = select(is_below_zero, k.lifted_power_factor, k.two)
    # A product that underflows takes some processors a hundred cycles, and masked scores are -inf.
    factor = select(x < k.exp_lowest, k.zero, factor)
    return fma(first + rest, power, power) * factor


def _expm1(x: Any, k: FloatFormat) -> Any:
    """p * 2**n + (2**n - 1)"""
    bounded = clamp_low(clamp_high(x, k.exp_highest), k.expm1_lowest)
    # Half the power of two, since 2**n itself can be out of range where the result is not.
    first, rest, _, half_power = exp_parts(bounded, k.half_power_shift, k)
    result = k.two * fma(first + rest, half_power, half_power - k.half)
    return select(absolute(x) < k.negligible, x, result)


def _tanh_parts(x: Any, k: FloatFormat) -> tuple[Any, Any, Any]:
    """(|x|, m, u) with m = (exp(2|x|) - 1) / 2 and u = 1 / (m + 1) = 1 - tanh |x|."""
    magnitude = absolute(x)
    bounded = clamp_high(magnitude, k.tanh_highest)
    p, half_power = expm1_factors(bounded + bounded, k.half_power_shift, k)
    m = fma(p, half_power, half_power - k.half)
    return bounded, m, select(magnitude > k.tanh_highest, k.zero, k.one / (m + k.one))


def _tanh(x: Any, k: FloatFormat) -> Any:
    """1 - u far out; near 0 |x| + (m - |x| - |x| m) u, whose second term is small."""
    magnitude, m, u = _tanh_parts(x, k)
    near = fma(fma(-magnitude, m, m - magnitude), u, magnitude)
    return copysign(select(magnitude > k.one, k.one - u, near), x)


def _tanh_tail(x: Any, k: FloatFormat) -> Any:
    _, _, u = _tanh_parts(x, k)
    return u


def _sigmoid_tail(x: Any, k: FloatFormat) -> Any:
    """e / (1 + e) with e = exp(-|x|)"""
    magnitude = absolute(x)
    e = exp_nonpositive_rounded(-magnitude, k)
    quotient = e / (k.one + e)
    # Where e is small, the rounding of 1 + e weighs; q = e - e q is the same number and does not
    # feel it.
    return select(magnitude > k.one, fma(-e, quotient, e), quotient)


def _sigmoid(x: Any, k: FloatFormat) -> Any:
    tail = _sigmoid_tail(x, k)
    return select(x < k.zero, tail, k.one - tail)


def _softplus(x: Any, k: FloatFormat) -> Any:
    """max(x, 0) + log(1 + exp(-|x|))"""
    e = exp_nonpositive(-absolute(x), k)
    # 1 + e lies in [1, 2]; the upper part is halved to stay near 1.
    is_halved = e > k.third
    f = select(is_halved, fma(k.half, e, -k.half), e)
    positive = clamp_low(x, k.zero)
    logarithm = log1p_reduced(f, k)
    return positive + select(is_halved, logarithm + k.ln2_low + k.ln2_high, logarithm)


def _log(x: Any, k: FloatFormat) -> Any:
    m, n = split_exponent(x, k)
    result = fma(n, k.ln2_high, fma(n, k.ln2_low, log1p_reduced(m - k.one, k)))
    at_most_zero = select(x == k.zero, -k.infinity, k.not_a_number)
    is_ordinary = (x > k.zero) & (x < k.infinity)
    return select(is_ordinary, result, select(x <= k.zero, at_most_zero, x))


def _log1p(x: Any, k: FloatFormat) -> Any:
    """log(1 + f) + n log(2), where 1 + x = (1 + f) * 2**n; f comes from x, not from 1 + x."""
    exponent_bits = exponent_bits_of(k.one + x, k)
    quarter = k.half * k.half
    # 2**(2 - n): 2**-n itself can be subnormal.
    scale = float_from_bits(k.one_bits + (k.bit_two << k.mantissa_bits) - exponent_bits)
    f = fma(quarter * x, scale, fma(quarter, scale, -k.one))
    n = exponent_of(exponent_bits, k)
    result = fma(n, k.ln2_high, fma(n, k.ln2_low, log1p_reduced(f, k)))
    at_most_minus_one = select(x == -k.one, -k.infinity, k.not_a_number)
    is_ordinary = (absolute(x) >= k.negligible) & (x < k.infinity)
    return select(x <= -k.one, at_most_minus_one, select(is_ordinary, result, x))


def _erf(x: Any, k: FloatFormat) -> Any:
    """x + x P(x**2) near 0, 1 - exp(-Q(|x|)) further out"""
    magnitude = absolute(x)
    near = fma(polynomial(k.erf_small, x * x), x, x)
    bounded = clamp_high(magnitude, k.erf_highest)
    y, power = exp_factors(-polynomial(k.erf_large, bounded - k.erf_center), k)
    far = fma(-y, power, k.one)
    return select(magnitude < k.erf_split, near, copysign(far, x))


def _pow_specials(x: Any, y: Any, magnitude: Any, k: FloatFormat) -> Any:
    """pow(x, y) from |x|**y, which may be anything where an operand is 0, infinite or NaN."""
    base = absolute(x)
    vanishes = (base > k.one) ^ (y > k.zero)
    is_limit = (base == k.zero) | (base == k.infinity) | (absolute(y) == k.infinity)
    magnitude = select(is_limit, select(vanishes, k.zero, k.infinity), magnitude)
    magnitude = select(base == k.one, k.one, magnitude)
    half_y = k.half * y
    is_integral = round_even(y) == y
    is_odd = is_integral & (round_even(half_y) != half_y)
    is_negative = bits_from_float(x) < k.bit_zero
    result = select(is_negative & is_odd, -magnitude, magnitude)
    is_invalid = (x < k.zero) & (x > -k.infinity) & (round_even(y) != y)
    is_invalid = is_invalid | (x != x) | (y != y)
    result = select(is_invalid, k.not_a_number, result)
    return select((x == k.one) | (y == k.zero), k.one, result)


def exp_f32(x: Any) -> Any:
    """e**x; subnormal results are right."""
    return _exp(x, F32)


def exp_f64(x: Any) -> Any:
    """e**x; subnormal results are right."""
    return _exp(x, F64)


def expm1_f32(x: Any) -> Any:
    """e**x - 1, accurate near 0."""
    return _expm1(x, F32)


def expm1_f64(x: Any) -> Any:
    """e**x - 1, accurate near 0."""
    return _expm1(x, F64)


def log_f32(x: Any) -> Any:
    """Natural logarithm; subnormal arguments are right."""
    return _log(x, F32)


def log_f64(x: Any) -> Any:
    """Natural logarithm; subnormal arguments are right."""
    return _log(x, F64)


def log1p_f32(x: Any) -> Any:
    """log(1 + x), accurate near 0."""
    return _log1p(x, F32)


def log1p_f64(x: Any) -> Any:
    """log(1 + x), accurate near 0."""
    return _log1p(x, F64)


def tanh_f32(x: Any) -> Any:
    """Hyperbolic tangent."""
    return _tanh(x, F32)


def tanh_f64(x: Any) -> Any:
    """Hyperbolic tangent."""
    return _tanh(x, F64)


def sigmoid_f32(x: Any) -> Any:
    """1 / (1 + e**-x), accurate relative to the result."""
    return _sigmoid(x, F32)


def sigmoid_f64(x: Any) -> Any:
    """1 / (1 + e**-x), accurate relative to the result."""
    return _sigmoid(x, F64)


def tanh_tail_f32(x: Any) -> Any:
    """1 - tanh |x|, accurate relative to the result."""
    return _tanh_tail(x, F32)


def tanh_tail_f64(x: Any) -> Any:
    """1 - tanh |x|, accurate relative to the result."""
    return _tanh_tail(x, F64)


def sigmoid_tail_f32(x: Any) -> Any:
    """sigmoid(-|x|), accurate relative to the result."""
    return _sigmoid_tail(x, F32)


def sigmoid_tail_f64(x: Any) -> Any:
    """sigmoid(-|x|), accurate relative to the result."""
    return _sigmoid_tail(x, F64)


def softplus_f32(x: Any) -> Any:
    """log(1 + e**x), accurate relative to the result."""
    return _softplus(x, F32)


def softplus_f64(x: Any) -> Any:
    """log(1 + e**x), accurate relative to the result."""
    return _softplus(x, F64)


def erf_f32(x: Any) -> Any:
    """Error function."""
    return _erf(x, F32)


def erf_f64(x: Any) -> Any:
    """Error function."""
    return _erf(x, F64)


def pow_f32(x: Any, y: Any) -> Any:
    """x**y as C99 defines it, computed in f64."""
    m, n = split_exponent(widen(absolute(x)), F64)
    f = m - F64.one
    exponent = widen(y) * fma(polynomial(POW32_LOG2, f), f, n)
    exponent = clamp_low(clamp_high(exponent, POW_LIMIT_F32), -POW_LIMIT_F32)
    shifted = exponent + F64.integer_shift
    r = exponent - (shifted - F64.integer_shift)
    power = float_from_bits((bits_from_float(shifted) << F64.mantissa_bits) + F64.one_bits)
    magnitude = fma(polynomial(POW32_EXP2, r) * r, power, power)
    return _pow_specials(x, y, narrow(magnitude), F32)


def pow_f64(x: Any, y: Any) -> Any:
    """x**y as C99 defines it, by way of a logarithm in doubled precision."""
    high, low = log_double_f64(absolute(x))
    exponent = high * y
    exponent_error = fma(high, y, -exponent) + low * y
    bounded = clamp_low(clamp_high(exponent, F64.exp_highest), F64.exp_lowest)
    is_below_zero = bounded < F64.zero
    shift = select(is_below_zero, F64.lifted_power_shift, F64.half_power_shift)
    shifted = fma(bounded, F64.log2_e, shift)
    n = shifted - shift
    r = fma(n, -F64.ln2_low, fma(n, -F64.ln2_high, bounded))
    r = select(bounded == exponent, r + exponent_error, r)
    p = fma(polynomial(F64.expm1, r), r * r, r)
    power = float_from_bits(bits_from_float(shifted) << F64.mantissa_bits)
    factor = select(is_below_zero, F64.lifted_power_factor, F64.two)
    magnitude = fma(p, power, power) * factor
    return _pow_specials(x, y, magnitude, F64)


VECTOR_MATH: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "exp": {"f32": exp_f32, "f64": exp_f64},
    "expm1": {"f32": expm1_f32, "f64": expm1_f64},
    "log": {"f32": log_f32, "f64": log_f64},
    "log1p": {"f32": log1p_f32, "f64": log1p_f64},
    "tanh": {"f32": tanh_f32, "f64": tanh_f64},
    "tanh_tail": {"f32": tanh_tail_f32, "f64": tanh_tail_f64},
    "sigmoid": {"f32": sigmoid_f32, "f64": sigmoid_f64},
    "sigmoid_tail": {"f32": sigmoid_tail_f32, "f64": sigmoid_tail_f64},
    "softplus": {"f32": softplus_f32, "f64": softplus_f64},
    "erf": {"f32": erf_f32, "f64": erf_f64},
    "erfc": {"f32": erfc_f32, "f64": erfc_f64},
    "exp_minus_square": {"f32": exp_minus_square_f32, "f64": exp_minus_square_f64},
    "gelu": {"f32": gelu_f32, "f64": gelu_f64},
    "gelu_slope": {"f32": gelu_slope_f32, "f64": gelu_slope_f64},
    "digamma": {"f32": digamma_f32, "f64": digamma_f64},
    "lgamma": {"f32": lgamma_f32, "f64": lgamma_f64},
    "trigamma": {"f32": trigamma_f32, "f64": trigamma_f64},
    "sin": {"f32": sin_f32, "f64": sin_f64},
    "cos": {"f32": cos_f32, "f64": cos_f64},
    "pow": {"f32": pow_f32, "f64": pow_f64},
    "silu": {"f32": silu_f32, "f64": silu_f64},
    "silu_slope": {"f32": silu_slope_f32, "f64": silu_slope_f64},
    "mish": {"f32": mish_f32, "f64": mish_f64},
    "mish_slope": {"f32": mish_slope_f32, "f64": mish_slope_f64},
    "mod": {"f32": mod_f32, "f64": mod_f64},
    "floor_divide": {"f32": floor_divide_f32, "f64": floor_divide_f64},
    "exp2": {"f32": exp2_f32, "f64": exp2_f64},
    "log2": {"f32": log2_f32, "f64": log2_f64},
    "log10": {"f32": log10_f32, "f64": log10_f64},
    "tan": {"f32": tan_f32, "f64": tan_f64},
    "sinh": {"f32": sinh_f32, "f64": sinh_f64},
    "cosh": {"f32": cosh_f32, "f64": cosh_f64},
    "asin": {"f32": asin_f32, "f64": asin_f64},
    "acos": {"f32": acos_f32, "f64": acos_f64},
    "atan": {"f32": atan_f32, "f64": atan_f64},
    "asinh": {"f32": asinh_f32, "f64": asinh_f64},
    "acosh": {"f32": acosh_f32, "f64": acosh_f64},
    "atanh": {"f32": atanh_f32, "f64": atanh_f64},
    "hypot": {"f32": hypot_f32, "f64": hypot_f64},
    "atan2": {"f32": atan2_f32, "f64": atan2_f64},
}
