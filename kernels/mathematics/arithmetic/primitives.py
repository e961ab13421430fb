"""What the scalar primitives of kernels mean, in numpy.

Every function takes numpy arrays or numpy scalars of graphc's dtypes and broadcasts. The
compiled counterparts give the same bits, NaN payloads aside; `fma` is a true fused multiply-add
here as on the hosts that have the instruction.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ir.ops import random
from graphc.ir.ops.elementwise import references
from graphc.ir.types import DTYPES, DType

_SPLIT = np.float64(2.0**27 + 1.0)
_INTEGER_OF_FLOAT = {np.dtype(np.float32): np.int32, np.dtype(np.float64): np.int64}
_FLOAT_OF_INTEGER = {np.dtype(np.int32): np.float32, np.dtype(np.int64): np.float64}


def select(condition: Any, x: Any, y: Any) -> Any:
    """`x` where `condition` holds, else `y`; both sides are computed."""
    return np.where(condition, x, y)


def select_rare(
    condition: Any, function: Callable[..., Any], operands: tuple[Any, ...], common: Any
) -> Any:
    """`function(*operands)` where `condition` holds, else `common`; compiled code passes by the
    function where the condition holds nowhere in a vector."""
    return np.where(condition, function(*operands), common)


def lookup(table: np.ndarray, index: Any) -> Any:
    """The table's element: an f64 for an i64 that is in range."""
    return table[index]


def fma(x: Any, y: Any, z: Any) -> Any:
    """`x * y + z` rounded once."""
    with np.errstate(all="ignore"):
        if np.result_type(x, y, z) == np.float32:
            total, error = _two_sum(np.multiply(x, y, dtype=np.float64), np.asarray(z, np.float64))
            return _round_to_odd(total, error).astype(np.float32)[()]
        return _fma_f64(*np.broadcast_arrays(x, y, z))[()]


def _two_sum(x: Any, y: Any) -> tuple[Any, Any]:
    """Knuth: rounded sum and its exact error."""
    total = x + y
    part = total - x
    return total, (x - (total - part)) + (y - part)


def _two_product(x: Any, y: Any) -> tuple[Any, Any]:
    """Dekker and Veltkamp: rounded product and its exact error, if nothing under- or overflows."""
    product = x * y
    x_high = x * _SPLIT - (x * _SPLIT - x)
    y_high = y * _SPLIT - (y * _SPLIT - y)
    x_low, y_low = x - x_high, y - y_high
    return product, ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low


def _round_to_odd(total: Any, error: Any) -> Any:
    """The sum of a rounded f64 sum and its error, rounded to odd (Boldo and Melquiond 2008)."""
    total = np.asarray(total)
    bits = total.view(np.int64)
    inexact = (error != 0) & np.isfinite(total) & np.isfinite(error) & ((bits & 1) == 0)
    away_from_zero = (error > 0) == (total > 0)
    return np.where(inexact, bits + np.where(away_from_zero, 1, -1), bits).view(np.float64)


def _fma_f64(x: Any, y: Any, z: Any) -> Any:
    """Boldo and Melquiond 2008: correctly rounded unless something over- or underflows."""
    high, low = _two_product(x, y)
    inner, inner_error = _two_sum(z, low)
    outer, outer_error = _two_sum(high, inner)
    fused = outer + _round_to_odd(*_two_sum(inner_error, outer_error))
    # A zero takes its sign from the plain form, which is exact there.
    return np.where(np.isfinite(fused) & (fused != 0), fused, x * y + z)


def round_even(x: Any) -> Any:
    """To the nearest integer, ties to even."""
    return np.rint(x)


def floor(x: Any) -> Any:
    """The largest integer that is not above `x`."""
    return np.floor(x)


def ceil(x: Any) -> Any:
    """The smallest integer that is not below `x`."""
    return np.ceil(x)


def trunc(x: Any) -> Any:
    """`x` without its fraction."""
    return np.trunc(x)


def floor_divide(x: Any, y: Any) -> Any:
    """floor(x / y); of integers 0 where `y` is 0."""
    return np.floor_divide(x, y)


def mod(x: Any, y: Any) -> Any:
    """x - y floor(x / y), with the sign of `y`; of integers 0 where `y` is 0."""
    return np.mod(x, y)


def left_shift(x: Any, y: Any) -> Any:
    """The bits moved up; 0 where `y` is no place that `x` has."""
    return np.left_shift(x, y)


def right_shift(x: Any, y: Any) -> Any:
    """The bits moved down, the sign copied in; all of them where `y` is no place that `x` has."""
    return np.right_shift(x, y)


def sqrt(x: Any) -> Any:
    """Correctly rounded square root; NaN below zero."""
    with np.errstate(invalid="ignore"):
        return np.sqrt(x)


def absolute(x: Any) -> Any:
    """Magnitude; clears the sign bit of a float."""
    return np.abs(x)


def minimum(x: Any, y: Any) -> Any:
    """The smaller one; NaN if either is NaN. Which of two zeros is returned is open."""
    return np.minimum(x, y)


def maximum(x: Any, y: Any) -> Any:
    """The larger one; NaN if either is NaN. Which of two zeros is returned is open."""
    return np.maximum(x, y)


def copysign(magnitude: Any, sign: Any) -> Any:
    """`magnitude` with the sign bit of `sign`."""
    return np.copysign(magnitude, sign)


def bits_from_float(x: Any) -> Any:
    """The bit pattern: f32 to i32, f64 to i64."""
    x = np.asarray(x)
    return x.view(_INTEGER_OF_FLOAT[x.dtype])[()]


def float_from_bits(bits: Any) -> Any:
    """The float of a bit pattern: i32 to f32, i64 to f64."""
    bits = np.asarray(bits)
    return bits.view(_FLOAT_OF_INTEGER[bits.dtype])[()]


def order_key(x: Any) -> Any:
    """An integer of the same width that is in order as the floats are: -0.0 before 0.0, NaN the
    greatest."""
    return references.order_key(np.asarray(x))[()]


def float_of_key(key: Any) -> Any:
    """The float whose `order_key` it is."""
    return references.float_of_key(np.asarray(key))[()]


def widen(x: Any) -> Any:
    """f32 to f64, exact."""
    return np.asarray(x).astype(np.float64)[()]


def narrow(x: Any) -> Any:
    """f64 to f32, rounded to nearest even."""
    with np.errstate(over="ignore"):
        return np.asarray(x).astype(np.float32)[()]


def cast_to(dtype: DType) -> Callable[[Any], Any]:
    """The cast to `dtype`: floats beyond an integer type become its limits, NaN 0."""
    return lambda x: references.converted(np.asarray(x), dtype)[()]


cast_f32, cast_f64, cast_i32, cast_i64, cast_u8, cast_bool = map(cast_to, DTYPES.values())


def threefry_i32(key: Any, counter: Any) -> Any:
    """A random i32: the first word of the block of an i64 key and an i32 or i64 counter."""
    return random.bits_i32(key, counter)[()]


def threefry_i64(key: Any, counter: Any) -> Any:
    """A random i64: both words of the block."""
    return random.bits_i64(key, counter)[()]


def threefry_second(key: Any, counter: Any) -> Any:
    """A random i32: the second word of the block."""
    return random.second_bits_i32(key, counter)[()]


def unit_interval(bits: Any) -> Any:
    """The leading 24 bits of an i32 as an f32 in [0, 1), or 53 of an i64 as an f64."""
    return random.fraction(bits)[()]


def add_reassoc(accumulator: Any, x: Any) -> Any:
    """One step of a sum; compiled code may regroup the steps."""
    return np.add(accumulator, x)


def multiply_reassoc(accumulator: Any, x: Any) -> Any:
    """One step of a product; compiled code may regroup the steps."""
    return np.multiply(accumulator, x)


def maximum_reassoc(accumulator: Any, x: Any) -> Any:
    """One step of a maximum; NaN stays NaN, which of two zeros wins is open."""
    return np.maximum(accumulator, x)


def minimum_reassoc(accumulator: Any, x: Any) -> Any:
    """One step of a minimum; NaN stays NaN, which of two zeros wins is open."""
    return np.minimum(accumulator, x)
