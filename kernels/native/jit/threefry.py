"""Primitives of random numbers: Threefry's words of a key and a counter, and what they make."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from graphc.ir.ops import random


def typed_threefry(result: types.Type, word: int = 0) -> Callable[[Any, Any], Any]:
    """One word of a block as i32, or both as i64: `graphc.ir.ops.random.threefry`."""

    def typed(key: types.Type, counter: types.Type) -> Any:
        if key != types.int64 or counter not in (types.int32, types.int64):
            return None

        def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            x, y = _threefry_words(builder, *values)
            if result == types.int32:
                return (x, y)[word]
            wide = ir.IntType(64)
            return builder.or_(builder.zext(x, wide), builder.shl(builder.zext(y, wide), wide(32)))

        return result(key, counter), lower

    return typed


def _threefry_words(builder: Any, key: Any, counter: Any) -> tuple[Any, Any]:
    word = ir.IntType(32)

    def words(bits: Any) -> tuple[Any, Any]:
        if bits.type == word:
            return bits, word(0)
        return builder.trunc(bits, word), builder.trunc(builder.lshr(bits, bits.type(32)), word)

    low, high = words(key)
    keys = (low, high, builder.xor(builder.xor(low, high), word(random.KEY_PARITY)))
    rotate = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(word, [word] * 3), "llvm.fshl.i32"
    )
    x, y = (builder.add(*pair) for pair in zip(words(counter), keys, strict=False))
    for number in range(random.ROUNDS):
        rotation = random.ROTATIONS[number % len(random.ROTATIONS)]
        x = builder.add(x, y)
        y = builder.xor(x, builder.call(rotate, [y, y, word(rotation)]))
        count, rest = divmod(number + 1, random.ROUNDS_PER_KEY)
        if rest == 0:
            x = builder.add(x, keys[count % 3])
            y = builder.add(y, builder.add(keys[(count + 1) % 3], word(count)))
    return x, y


def type_unit_interval(bits: types.Type) -> Any:
    if bits not in (types.int32, types.int64):
        return None
    result, digits = (types.float32, 24) if bits == types.int32 else (types.float64, 53)

    def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        kind = context.get_value_type(result)
        kept = builder.lshr(values[0], values[0].type(values[0].type.width - digits))
        # Unlike unsigned ones, signed integers are converted in one instruction.
        return builder.fmul(builder.sitofp(kept, kind), kind(2.0**-digits))

    return result(bits), lower
