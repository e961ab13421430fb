"""Primitives of integers that machines leave undefined where divisors are 0 or shifts are wide."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types

Lower = Callable[[Any, Any, Any, bool], Any]


def lower_floor_divide(builder: Any, x: Any, y: Any, is_signed: bool) -> Any:
    """floor(x / y), 0 where y is 0; the least number over -1 is itself."""
    quotient, _ = _divided(builder, x, y, is_signed)
    return quotient


def lower_mod(builder: Any, x: Any, y: Any, is_signed: bool) -> Any:
    """x - y floor(x / y), 0 where y is 0."""
    _, rest = _divided(builder, x, y, is_signed)
    return rest


def _divided(builder: Any, x: Any, y: Any, is_signed: bool) -> tuple[Any, Any]:
    zero, one, minus_one = x.type(0), x.type(1), x.type(-1)
    is_zero = builder.icmp_unsigned("==", y, zero)
    if not is_signed:
        divisor = builder.select(is_zero, one, y)
        quotient, rest = builder.udiv(x, divisor), builder.urem(x, divisor)
    else:
        # x / -1 is -x, which may overflow, and leaves no rest.
        is_minus_one = builder.icmp_signed("==", y, minus_one)
        divisor = builder.select(builder.or_(is_zero, is_minus_one), one, y)
        toward_zero, signed_rest = builder.sdiv(x, divisor), builder.srem(x, divisor)
        has_rest = builder.icmp_signed("!=", signed_rest, zero)
        differs = builder.icmp_signed("<", builder.xor(signed_rest, divisor), zero)
        is_above = builder.and_(has_rest, differs)
        floored = builder.select(is_above, builder.sub(toward_zero, one), toward_zero)
        quotient = builder.select(is_minus_one, builder.sub(zero, x), floored)
        rest = builder.select(is_above, builder.add(signed_rest, divisor), signed_rest)
    return builder.select(is_zero, zero, quotient), builder.select(is_zero, zero, rest)


def lower_left_shift(builder: Any, x: Any, y: Any, is_signed: bool) -> Any:
    """The bits moved up; 0 where y is no place that x has."""
    is_place = builder.icmp_unsigned("<", y, x.type(x.type.width))
    inside = builder.select(is_place, y, x.type(0))
    return builder.select(is_place, builder.shl(x, inside), x.type(0))


def lower_right_shift(builder: Any, x: Any, y: Any, is_signed: bool) -> Any:
    """The bits moved down, the sign copied in; copies of the sign where y is no place of x."""
    width = x.type.width
    is_place = builder.icmp_unsigned("<", y, x.type(width))
    inside = builder.select(is_place, y, x.type(width - 1))
    if is_signed:
        return builder.ashr(x, inside)
    return builder.select(is_place, builder.lshr(x, inside), x.type(0))


# Of two integers of one type.
INTEGER_FUNCTIONS: dict[str, Lower] = {
    "floor_divide": lower_floor_divide,
    "mod": lower_mod,
    "left_shift": lower_left_shift,
    "right_shift": lower_right_shift,
}


def typed_integer_function(lower: Lower) -> Callable[..., Any]:
    """What numba asks of an intrinsic: (x, y) -> signature and lowering, None for other types."""

    def typed(x: Any, y: Any) -> Any:
        if x != y or not isinstance(x, types.Integer):
            return None

        def build(context: Any, builder: ir.IRBuilder, sig: Any, values: Any) -> Any:
            return lower(builder, values[0], values[1], x not in types.unsigned_domain)

        return x(x, y), build

    return typed
