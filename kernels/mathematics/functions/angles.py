"""tan, and the angles that asin, acos, atan and atan2 give."""

from typing import Any

from graphc.kernels.mathematics.arithmetic.compensated import (
    Pair,
    pair_quotient,
    quick_two_sum,
    two_sum,
)
from graphc.kernels.mathematics.arithmetic.polynomial import polynomial
from graphc.kernels.mathematics.arithmetic.primitives import (
    absolute,
    bits_from_float,
    copysign,
    fma,
    select,
    select_rare,
    sqrt,
)
from graphc.kernels.mathematics.constants.trigonometry_constants import (
    ANGLES_F32,
    ANGLES_F64,
    AngleConstants,
)
from graphc.kernels.mathematics.constants.vecmath_constants import F32, F64, FloatFormat
from graphc.kernels.mathematics.functions.sin_cos import (
    far_reduced_f32,
    far_reduced_f64,
    near_reduced_f32,
    near_reduced_f64,
)

# --- tan -------------------------------------------------------------------------------------


def _tan_reduced(r: Any, r_error: Any, quadrant: Any, k: FloatFormat) -> Any:
    """tan(r + quadrant * pi/2) on |r| <= pi/4: sine over cosine, or minus the inverse of that."""
    square = r * r
    sine = quick_two_sum(r, fma(polynomial(k.sin, square), square * r, r_error))
    half_square = k.half * square
    leading, leading_error = quick_two_sum(k.one, -half_square)
    square_error = fma(r, r, -square)
    rest = fma(polynomial(k.cos, square), square * square, -(r * r_error))
    rest = rest + (leading_error - k.half * square_error)
    cosine = quick_two_sum(leading, rest)
    is_even = (quadrant & k.bit_one) == k.bit_zero
    upper: Pair = (select(is_even, sine[0], -cosine[0]), select(is_even, sine[1], -cosine[1]))
    lower: Pair = (select(is_even, cosine[0], sine[0]), select(is_even, cosine[1], sine[1]))
    return pair_quotient(upper, lower, k.one)


def _far_tan_f32(x: Any) -> Any:
    r, r_error, quadrant = far_reduced_f32(x)
    return _tan_reduced(r, r_error, quadrant, F32)


def _far_tan_f64(x: Any) -> Any:
    r, r_error, quadrant = far_reduced_f64(x)
    return _tan_reduced(r, r_error, quadrant, F64)


def tan_f32(x: Any) -> Any:
    """Tangent, of every finite argument."""
    r, r_error, quadrant = near_reduced_f32(x)
    near = _tan_reduced(r, r_error, quadrant, F32)
    result = select_rare(absolute(x) > F32.near_limit, _far_tan_f32, (x,), near)
    return select(absolute(x) < F32.negligible, x, result)


def tan_f64(x: Any) -> Any:
    """Tangent, of every finite argument."""
    r, r_error, quadrant = near_reduced_f64(x)
    near = _tan_reduced(r, r_error, quadrant, F64)
    result = select_rare(absolute(x) > F64.near_limit, _far_tan_f64, (x,), near)
    return select(absolute(x) < F64.negligible, x, result)


# --- asin, acos ------------------------------------------------------------------------------


def _arcsine_parts(x: Any, k: FloatFormat, c: AngleConstants) -> tuple[Any, Any, Any]:
    """(s, rest, whether |x| > 1/2) with asin(s) = s + rest, where s is |x|, or, above 1/2, the root
    of (1 - |x|) / 2, whose arcsine is half of the rest of a quarter turn."""
    magnitude = absolute(x)
    is_upper = magnitude > k.half
    halved = fma(-k.half, magnitude, k.half)
    root = sqrt(halved)
    root_error = fma(-root, root, halved) / select(root > k.zero, root + root, k.one)
    s = select(is_upper, root, magnitude)
    z = select(is_upper, halved, magnitude * magnitude)
    rest = fma(polynomial(c.asin, z), z * s, select(is_upper, root_error, k.zero))
    return s, rest, is_upper


def _asin(x: Any, k: FloatFormat, c: AngleConstants) -> Any:
    """s + rest, or pi/2 - 2 (s + rest)"""
    s, rest, is_upper = _arcsine_parts(x, k, c)
    quarter, error = quick_two_sum(c.half_pi, -(s + s))
    upper = quarter + (error + (c.half_pi_low - (rest + rest)))
    return copysign(select(is_upper, upper, s + rest), x)


def _acos(x: Any, k: FloatFormat, c: AngleConstants) -> Any:
    """2 (s + rest) where x > 1/2, pi less that where x < -1/2, pi/2 - x - rest between"""
    s, rest, is_upper = _arcsine_parts(x, k, c)
    is_negative = x < k.zero
    start = select(is_upper, select(is_negative, c.half_pi + c.half_pi, k.zero), c.half_pi)
    start_low = select(
        is_upper, select(is_negative, c.half_pi_low + c.half_pi_low, k.zero), c.half_pi_low
    )
    upper, lower = select(is_negative, -k.two, k.two), select(is_negative, k.one, -k.one)
    signed = select(is_upper, upper, lower)
    total, error = two_sum(start, signed * s)
    return total + (error + fma(signed, rest, start_low))


# --- atan, atan2 -----------------------------------------------------------------------------


def _angle(a: Any, b: Any, k: FloatFormat, c: AngleConstants) -> tuple[Any, Any]:
    """The angle of a / b as (value, what it lacks), for numbers that are not negative, b is not 0,
    and whose sum is in range.

    The lesser over the greater is at most 1, and from tan(pi/8) on an eighth of a turn is taken
    off: atan(t) = pi/4 + atan((t - 1) / (t + 1)).
    """
    is_steep = a > b
    least, greatest = select(is_steep, b, a), select(is_steep, a, b)
    is_upper = least > c.tan_eighth * greatest
    difference, difference_error = two_sum(least, -greatest)
    total, total_error = quick_two_sum(greatest, least)
    upper = select(is_upper, difference, least)
    upper_error = select(is_upper, difference_error, k.zero)
    lower = select(is_upper, total, greatest)
    lower_error = select(is_upper, total_error, k.zero)
    reciprocal = k.one / lower
    t = upper / lower
    t_error = (fma(-t, lower, upper) + (upper_error - t * lower_error)) * reciprocal
    z = t * t
    rest = fma(polynomial(c.atan, z), z * t, t_error)
    start = select(is_upper, k.half * c.half_pi, k.zero)
    start_low = select(is_upper, k.half * c.half_pi_low, k.zero)
    angle, angle_error = two_sum(start, t)
    angle_error = angle_error + (rest + start_low)
    turned, turned_error = quick_two_sum(c.half_pi, -angle)
    turned_error = turned_error + (c.half_pi_low - angle_error)
    return select(is_steep, turned, angle), select(is_steep, turned_error, angle_error)


def _atan(x: Any, k: FloatFormat, c: AngleConstants) -> Any:
    magnitude = absolute(x)
    bounded = select(magnitude > c.steepest, c.steepest, magnitude)
    angle, error = _angle(bounded, k.one, k, c)
    result = copysign(angle + error, x)
    return select(magnitude < k.negligible, x, result)


def _atan2(y: Any, x: Any, k: FloatFormat, c: AngleConstants) -> Any:
    """The angle of the point (x, y), from -pi to pi, with the sign of y; that of x counts where it
    is 0 too."""
    a, b = absolute(y), absolute(x)
    is_infinite_a, is_infinite_b = a == k.infinity, b == k.infinity
    is_any = is_infinite_a | is_infinite_b
    a = select(is_any, select(is_infinite_a, k.one, k.zero), a)
    b = select(is_any, select(is_infinite_b, k.one, k.zero), b)
    greatest = select(a > b, a, b)
    scale = select(greatest > c.large, c.down, select(greatest < c.small, c.up, k.one))
    b = select(greatest == k.zero, k.one, b)
    angle, error = _angle(a * scale, b * scale, k, c)
    turned, turned_error = two_sum(c.half_pi + c.half_pi, -angle)
    turned_error = turned_error + ((c.half_pi_low + c.half_pi_low) - error)
    is_left = bits_from_float(x) < k.bit_zero
    result = copysign(select(is_left, turned + turned_error, angle + error), y)
    return select((x != x) | (y != y), k.not_a_number, result)


def asin_f32(x: Any) -> Any:
    """Inverse sine, from -pi/2 to pi/2."""
    return _asin(x, F32, ANGLES_F32)


def asin_f64(x: Any) -> Any:
    """Inverse sine, from -pi/2 to pi/2."""
    return _asin(x, F64, ANGLES_F64)


def acos_f32(x: Any) -> Any:
    """Inverse cosine, from 0 to pi."""
    return _acos(x, F32, ANGLES_F32)


def acos_f64(x: Any) -> Any:
    """Inverse cosine, from 0 to pi."""
    return _acos(x, F64, ANGLES_F64)


def atan_f32(x: Any) -> Any:
    """Inverse tangent, from -pi/2 to pi/2."""
    return _atan(x, F32, ANGLES_F32)


def atan_f64(x: Any) -> Any:
    """Inverse tangent, from -pi/2 to pi/2."""
    return _atan(x, F64, ANGLES_F64)


def atan2_f32(y: Any, x: Any) -> Any:
    """The angle of the point (x, y), from -pi to pi."""
    return _atan2(y, x, F32, ANGLES_F32)


def atan2_f64(y: Any, x: Any) -> Any:
    """The angle of the point (x, y), from -pi to pi."""
    return _atan2(y, x, F64, ANGLES_F64)
