"""Division with a whole quotient: floor(x / y), and the remainder, which has the sign of y.

The remainder of magnitudes is exact. Where the quotient has few digits one step gives it, by a
fused multiply-add; where it has more, which is rare, each step takes off its leading ones.
"""

from typing import Any

import numpy as np

from graphc.kernels.mathematics.arithmetic.primitives import (
    absolute,
    copysign,
    floor,
    fma,
    narrow,
    select,
    select_rare,
    widen,
)
from graphc.kernels.mathematics.constants.vecmath_constants import F32, F64, FloatFormat

# Up to these quotients one step is exact: of f32 in f64, and of f64.
NEAR_QUOTIENT_F32 = np.float64(2.0**28)
NEAR_QUOTIENT_F64 = np.float64(2.0**51)
# Powers of two that the divisor is raised by, from the greatest quotient of two f32 down to 1.
FAR_SCALES_F32 = tuple(np.float64(2.0**exponent) for exponent in range(252, -1, -28))
# The same of f64, each as three factors, since most are beyond f64.
FAR_SCALES_F64 = tuple(
    tuple(np.float64(2.0 ** ((exponent + part) // 3)) for part in range(3))
    for exponent in range(51 * 41, -1, -51)
)


def _step(x: Any, y: Any, k: FloatFormat) -> Any:
    """x - y floor(x / y), where rounding may have made the quotient one too many; 0 <= x."""
    rest = fma(-floor(x / y), y, x)
    return select(rest < k.zero, rest + y, rest)


def _far_rest_f32(x: Any, y: Any) -> Any:
    rest, divisor = widen(absolute(x)), widen(absolute(y))
    for scale in FAR_SCALES_F32:
        rest = _step(rest, divisor * scale, F64)
    return narrow(rest)


def _rest_f32(x: Any, y: Any) -> Any:
    """|x| - |y| floor(|x / y|)"""
    wide_x, wide_y = widen(absolute(x)), widen(absolute(y))
    near = narrow(_step(wide_x, wide_y, F64))
    quotient = wide_x / wide_y
    is_far = (quotient > NEAR_QUOTIENT_F32) & (quotient < F64.infinity)
    rest = select_rare(is_far, _far_rest_f32, (x, y), near)
    return select((absolute(y) == F32.infinity) & (absolute(x) < F32.infinity), absolute(x), rest)


def _far_rest_f64(x: Any, y: Any) -> Any:
    rest, divisor = absolute(x), absolute(y)
    for first, second, third in FAR_SCALES_F64:
        raised = divisor * first * second * third
        is_less = rest < raised
        rest = select(is_less, rest, _step(rest, raised, F64))
    return rest


def _rest_f64(x: Any, y: Any) -> Any:
    """|x| - |y| floor(|x / y|)"""
    near = _step(absolute(x), absolute(y), F64)
    quotient = absolute(x) / absolute(y)
    is_far = (quotient > NEAR_QUOTIENT_F64) & (absolute(x) < F64.infinity) & (y != F64.zero)
    rest = select_rare(is_far, _far_rest_f64, (x, y), near)
    return select((absolute(y) == F64.infinity) & (absolute(x) < F64.infinity), absolute(x), rest)


def _signs_differ(rest: Any, y: Any, k: FloatFormat) -> Any:
    return (rest != k.zero) & ((rest < k.zero) ^ (y < k.zero))


def _mod(rest: Any, y: Any, k: FloatFormat) -> Any:
    """From the remainder with the sign of x to that with the sign of y."""
    moved = select(_signs_differ(rest, y, k), rest + y, rest)
    return select(moved == k.zero, copysign(k.zero, y), moved)


def _floor_divide(x: Any, y: Any, rest: Any, k: FloatFormat) -> Any:
    """floor(x / y) by the exact multiple of y that x lacks the rest to, as numpy has it."""
    quotient = (x - rest) / y
    quotient = select(_signs_differ(rest, y, k), quotient - k.one, quotient)
    whole = floor(quotient)
    whole = select(quotient - whole > k.half, whole + k.one, whole)
    whole = select(quotient == k.zero, copysign(k.zero, x / y), whole)
    return select(y == k.zero, x / y, whole)


def mod_f32(x: Any, y: Any) -> Any:
    """x - y floor(x / y), exact but for the last addition of y."""
    return _mod(copysign(_rest_f32(x, y), x), y, F32)


def mod_f64(x: Any, y: Any) -> Any:
    """x - y floor(x / y), exact but for the last addition of y."""
    return _mod(copysign(_rest_f64(x, y), x), y, F64)


def floor_divide_f32(x: Any, y: Any) -> Any:
    """floor(x / y), where the quotient is infinite too."""
    return _floor_divide(x, y, copysign(_rest_f32(x, y), x), F32)


def floor_divide_f64(x: Any, y: Any) -> Any:
    """floor(x / y), where the quotient is infinite too."""
    return _floor_divide(x, y, copysign(_rest_f64(x, y), x), F64)
