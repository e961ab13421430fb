"""The meaning of elementwise ops for which numpy has no function, or one that leaves a choice."""

from __future__ import annotations

import numpy as np

from graphc.ir.arguments.given import Array
from graphc.ir.types import DType


def maximum(x: Array, y: Array) -> Array:
    """numpy's, which may give either zero; IEEE 754-2019 says that 0.0 is above -0.0."""
    return np.asarray(np.where((x == 0) & (y == 0), np.add(x, y), np.maximum(x, y)))


def minimum(x: Array, y: Array) -> Array:
    return np.asarray(
        np.where((x == 0) & (y == 0), -np.add(np.negative(x), np.negative(y)), np.minimum(x, y))
    )


def _decay(x: Array) -> Array:
    """exp(-|x|), in f64, since numpy's exp of f32 is within 3 ULP only."""
    return np.exp(-np.abs(x, dtype=np.float64))


def sigmoid(x: Array) -> Array:
    """1/(1+exp(-x)) without overflow: exp is only taken of numbers that are not positive."""
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1 / (1 + e), e / (1 + e)))


def sigmoid_tail(x: Array) -> Array:
    e = _decay(x)
    return np.asarray(e / (1 + e))


def sigmoid_slope(x: Array) -> Array:
    tail = sigmoid_tail(x)
    return np.asarray(tail * (1 - tail))


def silu(x: Array) -> Array:
    """In f64, where the gate is no subnormal number before the product is; 0 at -inf."""
    wide = x.astype(np.float64)
    e = _decay(x)
    return np.asarray(np.where(x == -np.inf, -0.0, wide * np.where(x < 0, e, 1) / (1 + e)))


def silu_slope(x: Array) -> Array:
    e = _decay(x)
    tail = e / (1 + e)
    bent = np.where(np.isinf(x), 0, np.abs(x, dtype=np.float64) * e) / (1 + e) ** 2
    # Written so that what vanishes below 0 is -0.
    return np.asarray(np.where(x < 0, -(bent - tail), 1 - tail + bent))


def _mish_gate(x: Array) -> tuple[Array, Array, Array]:
    """t = tanh(softplus(x)), its slope, and x, all in f64.

    With e = exp(x) and n = e (e + 2), t = n / (n + 2) and its slope is 4 e (1 + e) / (n + 2)^2;
    where x is positive both are written with exp(-x), which does not overflow.
    """
    wide, e = x.astype(np.float64), _decay(x)
    gate = np.where(x < 0, e * (e + 2) / (e * (e + 2) + 2), (1 + 2 * e) / (1 + 2 * e * (1 + e)))
    slope = np.where(
        x < 0,
        4 * e * (1 + e) / (e * (e + 2) + 2) ** 2,
        4 * e**2 * (1 + e) / (1 + 2 * e * (1 + e)) ** 2,
    )
    return gate, slope, wide


def mish(x: Array) -> Array:
    gate, _, wide = _mish_gate(x)
    return np.asarray(np.where(x == -np.inf, -0.0, wide * gate))


def mish_slope(x: Array) -> Array:
    gate, slope, wide = _mish_gate(x)
    # Written so that what vanishes below 0 is -0.
    bent = np.where(np.isinf(x), 0, np.abs(wide) * slope)
    return np.asarray(np.where(x < 0, -(bent - gate), gate + bent))


def softsign(x: Array) -> Array:
    return np.asarray(np.where(np.isinf(x), np.sign(x), x / (1 + np.abs(x))))


def softplus(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def weigh(weight: Array, x: Array) -> Array:
    return np.asarray(np.where(weight == 0, 0, weight * x))


def sigmoid_cross_entropy(x: Array, y: Array) -> Array:
    """-y log sigmoid(x) - (1 - y) log(1 - sigmoid(x)): of the two terms one is beyond softplus."""
    return np.asarray(weigh(np.where(x > 0, 1 - y, y), np.abs(x)) + softplus(-np.abs(x)))


# cosh(x) is exp(|x|) / 2 from here on, to all digits of f64.
FAR_COSH = 20.0


def log_cosh(x: Array) -> Array:
    size = np.abs(x)
    e = np.expm1(np.minimum(size, FAR_COSH))
    near = np.log1p(e * e / (2 * (e + 1)))
    return np.asarray(np.where(size > FAR_COSH, size - np.log(2).astype(x.dtype), near))


def hinge(x: Array, y: Array) -> Array:
    return maximum(x.dtype.type(0), 1 - x * y)


def converted(x: Array, dtype: DType) -> Array:
    """`x` in `dtype`. Floats drop their fraction to become integers: what lies beyond these is the
    nearest of them and NaN is 0, as in LLVM's `fptosi.sat`. Integers keep the bits that fit."""
    if not (dtype.is_integer and x.dtype.kind == "f"):
        return np.asarray(x.astype(dtype.numpy))
    limits = np.iinfo(dtype.numpy)
    # The greatest i64 is no float, and the power of two above it is one.
    least, above = float(limits.min), float(limits.max + 1)
    value = np.where((x > least) & (x < above), x, 0).astype(dtype.numpy)
    value = np.where(x <= least, limits.min, value)
    return np.asarray(np.where(x >= above, limits.max, value), dtype.numpy)


def power(x: Array, y: Array) -> Array:
    """pow of IEEE 754. numpy takes the square root where one exponent of 0.5 serves many elements,
    which is another at -0 and at -inf."""
    is_other = (y == 0.5) & ((x == 0) | (x == -np.inf))
    return np.where(is_other, np.abs(x), np.power(x, y))


def order_key(x: Array) -> Array:
    """Integers, of the same width, that are in order as the floats are: -0.0 comes before 0.0, and
    every NaN is the greatest.

    The bits of a float without its sign are in order as its magnitude is.
    """
    bits = x.view(np.dtype(f"i{x.itemsize}"))
    greatest = np.iinfo(bits.dtype).max
    return np.where(np.isnan(x), greatest, bits ^ ((bits >> (8 * x.itemsize - 1)) & greatest))


def float_of_key(key: Array) -> Array:
    """The float whose `order_key` it is."""
    bits = key ^ ((key >> (8 * key.itemsize - 1)) & np.iinfo(key.dtype).max)
    return bits.view(np.dtype(f"f{key.itemsize}"))
