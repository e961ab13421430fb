"""The meaning of elementwise ops for which numpy has no function, or one that leaves a choice."""

from __future__ import annotations

import numpy as np

from graphc.ir.given import Array
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


def softplus(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def weigh(weight: Array, x: Array) -> Array:
    return np.asarray(np.where(weight == 0, 0, weight * x))


def sigmoid_cross_entropy(x: Array, y: Array) -> Array:
    """-y log sigmoid(x) - (1 - y) log(1 - sigmoid(x)): of the two terms one is beyond softplus."""
    return np.asarray(weigh(np.where(x > 0, 1 - y, y), np.abs(x)) + softplus(-np.abs(x)))


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
