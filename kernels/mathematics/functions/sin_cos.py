"""sin and cos of every finite argument: reduction to |r| <= pi/4, near and far.

Arguments of ordinary size take off multiples of pi/2 in three parts; larger ones, which are rare,
take the digits of 2/pi that count.
"""

from typing import Any

import numpy as np

from graphc.kernels.mathematics.arithmetic.compensated import two_product, two_sum
from graphc.kernels.mathematics.arithmetic.polynomial import polynomial
from graphc.kernels.mathematics.arithmetic.primitives import (
    absolute,
    bits_from_float,
    float_from_bits,
    fma,
    lookup,
    narrow,
    round_even,
    select,
    select_rare,
    widen,
)
from graphc.kernels.mathematics.constants.vecmath_constants import (
    F32,
    F64,
    HALF_PI,
    HALF_PI_F32,
    TURNS_PIECES,
    TURNS_SCALE,
    TWO_OVER_PI_PIECES,
    FloatFormat,
)

QUARTER = F64.half * F64.half
FOUR = F64.two * F64.two
# Large f64 arguments of sin and cos: the low bits of the exponent's field, whose highest is set; 32
# exponents go by one row of the table; the field of 2**(51 - 32 row).
FAR_EXPONENT_MASK = np.int64(2**10 - 1)
FAR_ROW_SHIFT = np.int64(5)
FAR_SCALE_EXPONENT = np.int64(1023 + TURNS_SCALE)


def _sin_cos_reduced(r: Any, r_error: Any, quadrant: Any, k: FloatFormat) -> Any:
    """sin(r + quadrant * pi/2) on |r| <= pi/4, `quadrant` an integer; r_error is what r lacks."""
    square = r * r
    sine = r + fma(polynomial(k.sin, square), square * r, r_error)
    cosine_rest = fma(polynomial(k.cos, square), square * square, -(r * r_error))
    half_square = k.half * square
    leading = k.one - half_square
    cosine = leading + (((k.one - leading) - half_square) + cosine_rest)
    magnitude = select((quadrant & k.bit_one) == k.bit_zero, sine, cosine)
    return select((quadrant & k.bit_two) == k.bit_zero, magnitude, -magnitude)


def near_reduced_f32(x: Any) -> tuple[Any, Any, Any]:
    """(r, what it lacks, bits of the quadrant) with x = r + quadrant * pi/2, where |x| is at most
    the near limit (Cody and Waite)."""
    shifted = fma(x, F32.two_over_pi, F32.integer_shift)
    n = shifted - F32.integer_shift
    first = fma(n, -HALF_PI_F32[0], x)
    product = n * HALF_PI_F32[1]
    product_error = fma(n, HALF_PI_F32[1], -product)
    r = first - product
    r_error = ((first - r) - product) - fma(n, HALF_PI_F32[2], product_error)
    return r, r_error, bits_from_float(shifted)


def far_reduced_f32(x: Any) -> tuple[Any, Any, Any]:
    """The same for every x, by reduction in f64 (Payne and Hanek 1983).

    Each product of x and a piece of 2/pi is exact. Whole quarter turns are taken off after each
    piece, so that the fraction, which can be as small as 2**-30, keeps its digits.
    """
    x = widen(x)
    fraction = x * TWO_OVER_PI_PIECES[0]
    whole = round_even(fraction)
    fraction = fraction - whole
    quadrant = fma(round_even(whole * QUARTER), -FOUR, whole)
    for piece in TWO_OVER_PI_PIECES[1:]:
        fraction = fma(x, piece, fraction)
        whole = round_even(fraction)
        fraction = fraction - whole
        quadrant = quadrant + fma(round_even(whole * QUARTER), -FOUR, whole)
    quadrant_bits = bits_from_float(narrow(quadrant) + F32.integer_shift)
    r = fraction * HALF_PI[0]
    reduced = narrow(r)
    return reduced, narrow(r - widen(reduced)), quadrant_bits


def _far_sin_cos_f32(x: Any, first_quadrant: Any) -> Any:
    r, r_error, quadrant = far_reduced_f32(x)
    return _sin_cos_reduced(r, r_error, quadrant + first_quadrant, F32)


def _sin_cos_f32(x: Any, first_quadrant: Any) -> Any:
    r, r_error, quadrant = near_reduced_f32(x)
    near = _sin_cos_reduced(r, r_error, quadrant + first_quadrant, F32)
    is_far = absolute(x) > F32.near_limit
    return select_rare(is_far, _far_sin_cos_f32, (x, first_quadrant), near)


def near_reduced_f64(x: Any) -> tuple[Any, Any, Any]:
    """(r, what it lacks, bits of the quadrant) with x = r + quadrant * pi/2, where |x| is at most
    the near limit (Cody and Waite)."""
    shifted = fma(x, F64.two_over_pi, F64.integer_shift)
    n = shifted - F64.integer_shift
    first = fma(n, -HALF_PI[0], x)
    product = n * HALF_PI[1]
    product_error = fma(n, HALF_PI[1], -product)
    r = first - product
    r_error = ((first - r) - product) - fma(n, HALF_PI[2], product_error)
    return r, r_error, bits_from_float(shifted)


def _without_whole(x: Any) -> Any:
    return x - round_even(x)


def far_reduced_f64(x: Any) -> tuple[Any, Any, Any]:
    """The same where |x| is 2 or more: reduction by the digits of 1 / (2 pi) that count (Payne and
    Hanek 1983).

    Near a multiple of pi/2 as few as 2**-62 of a turn are left; the sums lose less than 2**-120.
    """
    exponent = (bits_from_float(x) >> F64.mantissa_bits) & FAR_EXPONENT_MASK
    row = exponent >> FAR_ROW_SHIFT
    scale_exponent = FAR_SCALE_EXPONENT - (row << FAR_ROW_SHIFT)
    m = x * float_from_bits(scale_exponent << F64.mantissa_bits)
    (product0, error0), (product1, error1), (product2, error2) = (
        two_product(m, lookup(piece, row)) for piece in TURNS_PIECES[:3]
    )
    # Multiples of 2**-53 so far: the sum is exact.
    turns = _without_whole(_without_whole(product0) + _without_whole(error0))
    turns, lost = two_sum(turns, _without_whole(product1))
    quarters = FOUR * turns
    whole = round_even(quarters)
    fraction = quarters - whole
    rest = error2 + m * lookup(TURNS_PIECES[3], row)
    for addend in (error1, product2, lost):
        fraction, error = two_sum(fraction, FOUR * addend)
        rest = fma(QUARTER, error, rest)
    fraction, fraction_error = two_sum(fraction, FOUR * rest)
    r, r_error = two_product(fraction, HALF_PI[0])
    r_error = fma(fraction_error, HALF_PI[0], fma(fraction, HALF_PI[1], r_error))
    quadrant_bits = bits_from_float(whole + F64.integer_shift)
    return r, r_error, quadrant_bits


def _far_sin_cos_f64(x: Any, first_quadrant: Any) -> Any:
    r, r_error, quadrant = far_reduced_f64(x)
    return _sin_cos_reduced(r, r_error, quadrant + first_quadrant, F64)


def _sin_cos_f64(x: Any, first_quadrant: Any) -> Any:
    r, r_error, quadrant = near_reduced_f64(x)
    near = _sin_cos_reduced(r, r_error, quadrant + first_quadrant, F64)
    is_far = absolute(x) > F64.near_limit
    return select_rare(is_far, _far_sin_cos_f64, (x, first_quadrant), near)


def sin_f32(x: Any) -> Any:
    """Sine, of every finite argument."""
    return select(absolute(x) < F32.negligible, x, _sin_cos_f32(x, F32.bit_zero))


def sin_f64(x: Any) -> Any:
    """Sine, of every finite argument."""
    return select(absolute(x) < F64.negligible, x, _sin_cos_f64(x, F64.bit_zero))


def cos_f32(x: Any) -> Any:
    """Cosine, of every finite argument."""
    return _sin_cos_f32(x, F32.bit_one)


def cos_f64(x: Any) -> Any:
    """Cosine, of every finite argument."""
    return _sin_cos_f64(x, F64.bit_one)
