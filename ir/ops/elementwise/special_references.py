"""The meaning of the special functions, in f64 and element by element."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from graphc.ir.arguments.given import Array

# Where the asymptotic series of digamma and trigamma are exact to the last digit.
_FAR = 12.0
# exp(-x**2 / 2) is 0 from here on.
_EXP_LIMIT = 55.0
# With more digits than f64 where the machine has such numbers.
_SQRT_HALF = np.sqrt(np.longdouble(0.5))


def _everywhere(function: Callable[[float], float]) -> Callable[[Array], Array]:
    of_arrays = np.vectorize(function, otypes=[np.float64])
    return lambda x: np.asarray(of_arrays(x.astype(np.float64)))


def _exp_minus_square(x: float, share: float = 1.0) -> float:
    """exp(-x**2 share), by a y of few digits, whose square is exact: exp(-y**2 share) times
    exp(-(x - y) (x + y) share)."""
    if not abs(x) < _EXP_LIMIT:
        return x if math.isnan(x) else 0.0
    y = round(x * 2**20) / 2**20
    return math.exp(-y * y * share) * math.exp(-(x - y) * (x + y) * share)


def _normal_share(x: float) -> float:
    """erfc(-x / sqrt(2)) / 2. What the quotient lacks counts as often as its square has units."""
    exact = -x * _SQRT_HALF
    nearest = float(exact)
    lacking = 0.0 if math.isinf(x) else float(exact - nearest)
    slope = -2 / math.sqrt(math.pi) * math.exp(-min(nearest * nearest, _EXP_LIMIT**2))
    return 0.5 * (math.erfc(nearest) + slope * lacking)


def _gelu(x: float) -> float:
    return math.copysign(0.0, x) if x == -math.inf else x * _normal_share(x)


def _gelu_slope(x: float) -> float:
    density = _exp_minus_square(x, 0.5) / math.sqrt(2 * math.pi)
    bent = math.copysign(0.0, x) if math.isinf(x) else x * density
    # Written so that what vanishes below 0 is -0.
    return -(-bent - _normal_share(x)) if x < 0 else bent + _normal_share(x)


def _is_pole(x: float) -> bool:
    return x <= 0 and x == math.floor(x)


def _lgamma(x: float) -> float:
    if math.isinf(x) or (not math.isnan(x) and _is_pole(x)):
        return math.inf
    try:
        return math.lgamma(x)
    except OverflowError:
        return math.inf


def _from_whole(x: float) -> float:
    """pi times what x lacks to a whole number, for functions of that period."""
    return math.pi * (x - round(x))


def _digamma(x: float) -> float:
    """By the recurrence up to where the asymptotic series holds; reflected below 0."""
    if math.isnan(x) or x == math.inf:
        return x
    if x == -math.inf or (x < 0 and _is_pole(x)):
        return math.nan
    if x == 0:
        return -math.copysign(math.inf, x)
    if x < 0:
        return _digamma(1 - x) - math.pi / math.tan(_from_whole(x))
    steps = []
    while x < _FAR:
        steps.append(-1 / x)
        x += 1
    z = 1 / x / x
    series = 1 / 252 - z * (1 / 240 - z * (1 / 132 - z * 691 / 32760))
    series = 1 / 12 - z * (1 / 120 - z * series)
    return math.fsum([*steps, math.log(x), -0.5 / x, -z * series])


def _trigamma(x: float) -> float:
    if math.isnan(x):
        return x
    if x == -math.inf:
        return math.nan
    if _is_pole(x):
        return math.inf
    if x < 0:
        quotient = math.pi / math.sin(_from_whole(x))
        return quotient * quotient - _trigamma(1 - x)
    total = 0.0
    while x < _FAR:
        total += 1 / x / x
        x += 1
    z = 1 / x / x
    series = 1 / 6 - z * (1 / 30 - z * (1 / 42 - z * (1 / 30 - z * (5 / 66 - z * 691 / 2730))))
    return total + 1 / x + 0.5 * z + z / x * series


erf = _everywhere(math.erf)
erfc = _everywhere(math.erfc)
exp_minus_square = _everywhere(_exp_minus_square)
gelu = _everywhere(_gelu)
gelu_slope = _everywhere(_gelu_slope)
lgamma = _everywhere(_lgamma)
digamma = _everywhere(_digamma)
trigamma = _everywhere(_trigamma)
