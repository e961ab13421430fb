"""Random numbers that are a function of a key and a counter: no generator has a state to keep.

So every element has its number wherever, whenever and however often it is computed: in one kernel
or in two, on any thread, in vectors of any width, and in numpy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.nodes.attributes import DTYPE, RATE
from graphc.ir.nodes.lowering import Composite, Scalar
from graphc.ir.nodes.op import Array, NonDifferentiable, Op
from graphc.ir.ops.elementwise.elementwise import greater_equal, where
from graphc.ir.types import DType, TensorType, broadcast_shapes, f32, f64, i32, i64

# Threefry-2x32 of Salmon, Moraes, Dror and Shaw, Parallel Random Numbers: As Easy as 1, 2, 3, 2011:
# additions, rotations and exclusive ors of 32-bit words, which every vector unit has. With 13
# rounds it passes BigCrush of TestU01.
ROUNDS = 13
ROTATIONS = (13, 15, 26, 6, 17, 29, 16, 24)
KEY_PARITY = 0x1BD11BDA
# The key is added to the words again after each so many rounds.
ROUNDS_PER_KEY = 4
# In about one vector instruction each, a rotation counting one.
THREEFRY_COST = 3 * ROUNDS + 3 * (ROUNDS // ROUNDS_PER_KEY)

_RANDOM = NonDifferentiable("a random number is not a continuous function of it")


def threefry(key: Array, counter: Array) -> tuple[Array, Array]:
    """The two words (u32) of block number `counter` (i32 or i64, without a sign) by `key` (i64)."""
    with np.errstate(over="ignore"):
        low, high = _words(key)
        keys = (low, high, low ^ high ^ np.uint32(KEY_PARITY))
        x, y = (word + part for word, part in zip(_words(counter), keys, strict=False))
        for number in range(ROUNDS):
            rotation = ROTATIONS[number % len(ROTATIONS)]
            x = x + y
            y = x ^ ((y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation)))
            count, rest = divmod(number + 1, ROUNDS_PER_KEY)
            if rest == 0:
                x = x + keys[count % 3]
                y = y + keys[(count + 1) % 3] + np.uint32(count)
    return x, y


def _words(bits: Array) -> tuple[Array, Array]:
    """The low and the high word (u32) of integers."""
    unsigned = np.asarray(bits)
    unsigned = unsigned.view(np.uint32 if unsigned.dtype == np.int32 else np.uint64)
    wide = unsigned.astype(np.uint64)
    return wide.astype(np.uint32), (wide >> np.uint64(32)).astype(np.uint32)


def _infer_random_bits(key: TensorType, counter: TensorType, dtype: DType) -> TensorType:
    if key.dtype != i64 or not counter.dtype.is_integer:
        raise DTypeError("a key of i64 and a counter of i32 or i64 expected")
    if not dtype.is_integer:
        raise DTypeError(f"i32 or i64 expected, not {dtype}")
    return TensorType(dtype, broadcast_shapes([key.shape, counter.shape]))


def bits_i32(key: Array, counter: Array) -> Array:
    """The first word of a block."""
    return np.asarray(threefry(key, counter)[0]).view(np.int32)


def bits_i64(key: Array, counter: Array) -> Array:
    """Both words of a block, the first the low one."""
    x, y = threefry(key, counter)
    return np.asarray(x | y.astype(np.uint64) << np.uint64(32)).view(np.int64)


def second_bits_i32(key: Array, counter: Array) -> Array:
    """The second word of a block."""
    return np.asarray(threefry(key, counter)[1]).view(np.int32)


def fraction(bits: Array) -> Array:
    """The leading 24 bits of an i32 as an f32 in [0, 1), or 53 of an i64 as an f64."""
    bits = np.asarray(bits)
    if bits.dtype == np.int32:
        short = bits.view(np.uint32) >> np.uint32(8)
        return np.asarray(short.astype(np.float32) * np.float32(2.0**-24))
    long = bits.view(np.uint64) >> np.uint64(11)
    return np.asarray(long.astype(np.float64) * np.float64(2.0**-53))


random_bits: Op = Op(
    "random_bits",
    arity=2,
    attributes={"dtype": DTYPE},
    infer=_infer_random_bits,
    reference=lambda result, key, counter, dtype: (bits_i32 if dtype == i32 else bits_i64)(
        key, counter
    ),
    vjp=[_RANDOM, _RANDOM],
    lowering=Scalar("threefry_{dtype}({x}, {y})", THREEFRY_COST),
)


def _infer_second_bits(key: TensorType, counter: TensorType) -> TensorType:
    return _infer_random_bits(key, counter, dtype=i32)


# The second word of the block whose first word random_bits gives: a kernel that reads both makes
# the block once.
second_bits: Op = Op(
    "second_bits",
    arity=2,
    infer=_infer_second_bits,
    reference=lambda result, key, counter: second_bits_i32(key, counter),
    vjp=[_RANDOM, _RANDOM],
    lowering=Scalar("threefry_second({x}, {y})", THREEFRY_COST),
)


def _infer_unit_interval(bits: TensorType) -> TensorType:
    if not bits.dtype.is_integer:
        raise DTypeError(f"i32 or i64 expected, not {bits.dtype}")
    return bits.with_dtype(f32 if bits.dtype == i32 else f64)


unit_interval: Op = Op(
    "unit_interval",
    arity=1,
    infer=_infer_unit_interval,
    reference=lambda result, bits: fraction(bits),
    vjp=[NonDifferentiable("bits are not a continuous number")],
    lowering=Scalar("unit_interval({x})", 3),
)


def _infer_dropout(x: TensorType, key: TensorType, rate: float) -> TensorType:
    if not x.dtype.is_float:
        raise DTypeError(f"f32 or f64 expected, not {x.dtype}; cast first")
    if key.dtype != i64:
        raise DTypeError(f"a key of i64 expected, not {key.dtype}")
    if key.shape != ():
        raise ShapeError("a scalar key expected")
    return x


def _threshold(rate: float) -> int:
    """The i32 below which lies the share `rate` of all i32."""
    limits = np.iinfo(np.int32)
    return min(round(rate * 2**32) + limits.min, limits.max)


def scale(rate: float) -> float:
    """What dropout multiplies the elements with that it keeps."""
    return 1 / (1 - rate)


def _reference_dropout(result: TensorType, x: Array, key: Array, rate: float) -> Array:
    index = np.arange(x.size).astype(np.int32).reshape(x.shape)
    is_kept = bits_i32(key, index) >= _threshold(rate)
    return np.where(is_kept, x * x.dtype.type(scale(rate)), x.dtype.type(0))


def _expand_dropout(x: Any, key: Any, rate: float) -> Any:
    numbers = random_bits(key, x.graph.iota(x.shape, i32), dtype=i32)
    return where(greater_equal(numbers, _threshold(rate)), x * scale(rate), 0)


dropout: Op = Op(
    "dropout",
    arity=2,
    attributes={"rate": RATE},
    infer=_infer_dropout,
    reference=_reference_dropout,
    vjp=[lambda ct, r, x, key, rate: dropout(ct, key, rate=rate), _RANDOM],
    lowering=Composite(_expand_dropout),
    inference=lambda x, key, rate: x,
)

OPS = (random_bits, second_bits, unit_interval, dropout)
