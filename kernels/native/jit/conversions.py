"""Primitives that give a number another dtype: casts, bits of floats, and keys in their order."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.np.numpy_support import as_dtype, from_dtype

from graphc.ir.types import DType

# The signature and the lowering for an operand; None where there is none.
Typed = Callable[[Any], Any]

# The floats and their bits, by each other.
BITS: dict[types.Type, types.Type] = {types.float32: types.int32, types.float64: types.int64}
FLOATS: dict[types.Type, types.Type] = {bits: kind for kind, bits in BITS.items()}


def typed_bitcast(partners: Mapping[types.Type, types.Type]) -> Typed:
    """The bits of an operand as its partner's; other operands have none."""

    def typed(x: types.Type) -> Any:
        if x not in partners:
            return None
        result = partners[x]

        def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            return builder.bitcast(values[0], context.get_value_type(result))

        return result(x), lower

    return typed


def _in_order(builder: Any, bits: Any) -> Any:
    """The bits of a float as an integer that is in order as the floats are; its own inverse."""
    sign = builder.ashr(bits, bits.type(bits.type.width - 1))
    return builder.xor(bits, builder.and_(sign, bits.type(_greatest(bits.type))))


def _greatest(kind: Any) -> int:
    return (1 << (kind.width - 1)) - 1


def type_order_key(x: types.Type) -> Any:
    if x not in BITS:
        return None
    result = BITS[x]

    def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        key = _in_order(builder, builder.bitcast(values[0], context.get_value_type(result)))
        is_number = builder.fcmp_ordered("ord", values[0], values[0])
        return builder.select(is_number, key, key.type(_greatest(key.type)))

    return result(x), lower


def type_float_of_key(key: types.Type) -> Any:
    if key not in FLOATS:
        return None
    result = FLOATS[key]

    def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return builder.bitcast(_in_order(builder, values[0]), context.get_value_type(result))

    return result(key), lower


def typed_cast(dtype: DType) -> Typed:
    """The cast op: floats beyond an integer type become its limits, NaN 0."""
    result = from_dtype(dtype.numpy)

    def typed(x: types.Type) -> Any:
        given = types.unliteral(x)

        def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            if not (isinstance(result, types.Integer) and isinstance(given, types.Float)):
                return context.cast(builder, values[0], given, result)
            return _saturated(builder, values[0], given, dtype)

        return result(given), lower

    return typed


def _saturated(builder: Any, x: Any, given: types.Type, dtype: DType) -> Any:
    """`x` as an integer of `dtype`: its limits for what is beyond them, 0 for NaN.

    As comparisons and choices, which make vectors; `llvm.fptosi.sat` takes 30 times as long.
    """
    target = ir.IntType(8 * dtype.itemsize)
    limits = np.iinfo(dtype.numpy)
    least, above = float(limits.min), float(limits.max + 1)
    greatest = np.nextafter(as_dtype(given).type(above), 0)  # of the floats below `above`
    greatest = float(min(greatest, limits.max))

    def constant(value: float) -> Any:
        return ir.Constant(x.type, value)

    at_least = builder.select(builder.fcmp_ordered(">", x, constant(least)), x, constant(least))
    is_inside = builder.fcmp_ordered("<", at_least, constant(greatest))
    bounded = builder.select(is_inside, at_least, constant(greatest))
    # No instruction makes bytes of floats.
    value = builder.fptosi(bounded, max(target, ir.IntType(32), key=lambda kind: kind.width))
    if target.width < value.type.width:
        value = builder.trunc(value, target)
    if greatest < limits.max:
        is_beyond = builder.fcmp_ordered(">=", x, constant(above))
        value = builder.select(is_beyond, target(limits.max), value)
    is_number = builder.fcmp_ordered("ord", x, x)
    return builder.select(is_number, value, target(0)) if least else value
