"""The primitives of kernel source: how numba types them, and the LLVM IR that they become.

`kernels/mathematics/arithmetic/primitives.py` says what they mean. None of them raises or promotes,
and their LLVM IR needs no symbol of numba or of Python.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from graphc.ir.types import DTYPES
from graphc.kernels.loops.language.scalar import dtype_name
from graphc.kernels.mathematics import vecmath
from graphc.kernels.native.finishing import VECTOR_MATH_PREFIX
from graphc.kernels.native.jit.buffers import BUFFER_PRIMITIVES
from graphc.kernels.native.jit.conversions import (
    BITS,
    FLOATS,
    type_float_of_key,
    type_order_key,
    typed_bitcast,
    typed_cast,
)
from graphc.kernels.native.jit.exchanges import EXCHANGE_PRIMITIVES
from graphc.kernels.native.jit.integers import INTEGER_FUNCTIONS, typed_integer_function
from graphc.kernels.native.jit.threefry import type_unit_interval, typed_threefry
from graphc.kernels.native.loop_hints import UNROLLED_MARKER, VECTORS_MARKER

# An accumulation may be regrouped; of extremes the sign of zero is open besides.
REDUCTION_FLAGS = ("reassoc",)
EXTREME_FLAGS = ("reassoc", "nsz")
# The casts of kernel source.
CASTS = {dtype_name(dtype): dtype.numpy.type for dtype in DTYPES.values()}


def _marker(symbol: str) -> Any:
    """A call that says something of the loop around it; `kernels/native/loop_hints.py` makes hints
    of it."""

    @intrinsic
    def mark(typing_context: Any) -> Any:
        def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            marker = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, marker, symbol), [])
            return context.get_dummy_value()

        return types.none(), lower

    return mark


def _is_float(kind: types.Type) -> bool:
    return isinstance(kind, types.Float)


def _same(*kinds: types.Type) -> bool:
    """Whether all operands have one dtype: primitives never promote."""
    return all(kind == kinds[0] for kind in kinds)


def _call_llvm(
    floats: str,
    arity: int,
    signed: str | None = None,
    unsigned: str | None = None,
    flags: tuple[str, ...] = (),
    is_reduction: bool = False,
) -> Any:
    """The LLVM intrinsic `floats`, with `flags`, and those for integers with and without a sign
    where there are any.

    is_reduction: the second operand is accumulated in the first. It is frozen, which changes no
    value: of an extreme of elements that are selected, the others having the neutral element, LLVM
    would otherwise make a selection of extremes, in which its vectorizer finds no reduction.
    """

    def typed(*operands: types.Type) -> Any:
        name = _intrinsic_for(operands[0])
        if name is None or not _same(*operands):
            return None

        def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            kind = values[0].type
            values = list(values)
            if name == "abs":
                values.append(ir.IntType(1)(0))
            if is_reduction:
                values[1] = _frozen(builder, values[1])
            function_type = ir.FunctionType(kind, [value.type for value in values])
            symbol = f"llvm.{name}.{kind.intrinsic_name}"
            function = cgutils.get_or_insert_function(builder.module, function_type, symbol)
            return builder.call(function, values, fastmath=flags if name == floats else ())

        return operands[0](*operands), lower

    def _intrinsic_for(kind: types.Type) -> str | None:
        if isinstance(kind, types.Integer):
            return unsigned if kind in types.unsigned_domain else signed
        return floats if _is_float(kind) else None

    return _INTRINSIC_OF_ARITY[arity](typed)


def _frozen(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """The value, by an instruction through which LLVM moves no selection."""
    # The builder has no method for it.
    frozen = ir.Instruction(builder.block, value.type, "freeze", (value,))
    builder._insert(frozen)
    return frozen


def _call_vector_math(name: str, arity: int, of_integers: Callable[..., Any] | None = None) -> Any:
    """A call of the vector math function `name`, which is linked in and inlined later; of integers
    what `of_integers` builds."""

    def typed(*operands: Any) -> Any:
        if of_integers is not None and isinstance(operands[0], types.Integer):
            return of_integers(*operands)
        if not _same(*operands) or not _is_float(operands[0]):
            return None
        symbol = f"{VECTOR_MATH_PREFIX}{name}.f{operands[0].bitwidth}"

        def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            kind = values[0].type
            function_type = ir.FunctionType(kind, [kind] * arity)
            function = cgutils.get_or_insert_function(builder.module, function_type, symbol)
            return builder.call(function, values)

        return operands[0](*operands), lower

    return _INTRINSIC_OF_ARITY[arity](typed)


def _reduce(float_instruction: str, integer_instruction: str) -> Any:
    """An accumulation that LLVM may regroup."""

    def typed(accumulator: types.Type, x: types.Type) -> Any:
        if not _same(accumulator, x) or not isinstance(x, (types.Float, types.Integer)):
            return None

        def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            if _is_float(x):
                return getattr(builder, float_instruction)(*values, flags=REDUCTION_FLAGS)
            return getattr(builder, integer_instruction)(*values)

        return x(accumulator, x), lower

    return _binary(typed)


def _unary(typed: Callable[..., Any]) -> Any:
    def typed_unary(typing_context: Any, x: Any) -> Any:
        return typed(x)

    return intrinsic(typed_unary)


def _binary(typed: Callable[..., Any]) -> Any:
    def typed_binary(typing_context: Any, x: Any, y: Any) -> Any:
        return typed(x, y)

    return intrinsic(typed_binary)


def _ternary(typed: Callable[..., Any]) -> Any:
    def typed_ternary(typing_context: Any, x: Any, y: Any, z: Any) -> Any:
        return typed(x, y, z)

    return intrinsic(typed_ternary)


_INTRINSIC_OF_ARITY = {1: _unary, 2: _binary, 3: _ternary}


def _type_select(condition: types.Type, x: types.Type, y: types.Type) -> Any:
    if condition != types.boolean or not _same(x, y):
        return None

    def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        return builder.select(*values)

    return x(condition, x, y), lower


def kernel_namespace() -> dict[str, Any]:
    """The names that kernel source may use besides Python's own."""
    namespace: dict[str, Any] = {
        **CASTS,
        "inf": np.inf,
        "nan": np.nan,
        "unrolled": _marker(UNROLLED_MARKER),
        "in_vectors": _marker(VECTORS_MARKER),
        **BUFFER_PRIMITIVES,
        "select": _ternary(_type_select),
        "fma": _call_llvm("fmuladd", 3),
        "round_even": _call_llvm("roundeven", 1),
        "floor": _call_llvm("floor", 1),
        "ceil": _call_llvm("ceil", 1),
        "trunc": _call_llvm("trunc", 1),
        "sqrt": _call_llvm("sqrt", 1),
        "absolute": _call_llvm("fabs", 1, "abs"),
        "minimum": _call_llvm("minimum", 2, "smin", "umin"),
        "maximum": _call_llvm("maximum", 2, "smax", "umax"),
        "copysign": _call_llvm("copysign", 2),
        "bits_from_float": _unary(typed_bitcast(BITS)),
        "float_from_bits": _unary(typed_bitcast(FLOATS)),
        "order_key": _unary(type_order_key),
        "float_of_key": _unary(type_float_of_key),
        **EXCHANGE_PRIMITIVES,
        **{f"cast_{dtype}": _unary(typed_cast(dtype)) for dtype in DTYPES.values()},
        "threefry_i32": _binary(typed_threefry(types.int32)),
        "threefry_i64": _binary(typed_threefry(types.int64)),
        "threefry_second": _binary(typed_threefry(types.int32, word=1)),
        "unit_interval": _unary(type_unit_interval),
        "add_reassoc": _reduce("fadd", "add"),
        "multiply_reassoc": _reduce("fmul", "mul"),
        "minimum_reassoc": _call_llvm("minimum", 2, "smin", "umin", EXTREME_FLAGS, True),
        "maximum_reassoc": _call_llvm("maximum", 2, "smax", "umax", EXTREME_FLAGS, True),
    }
    of_integers = {name: typed_integer_function(lower) for name, lower in INTEGER_FUNCTIONS.items()}
    namespace |= {name: _binary(typed) for name, typed in of_integers.items()}
    for name, by_dtype in vecmath.VECTOR_MATH.items():
        arity = by_dtype["f32"].__code__.co_argcount
        namespace[name] = _call_vector_math(name, arity, of_integers.get(name))
    return namespace


def call_microkernel(symbol: str) -> Any:
    """`name(depth, a, a_row_stride, a_depth_stride, b, b_stride, c, c_row_stride)` in source."""
    lower = _call_symbol(symbol)

    @intrinsic
    def call(
        typing_context: Any,
        depth: Any,
        a: Any,
        a_row_stride: Any,
        a_depth_stride: Any,
        b: Any,
        b_stride: Any,
        c: Any,
        c_row_stride: Any,
    ) -> Any:
        size = types.intp
        return types.void(size, a, size, size, b, size, c, size), lower

    return call


def call_indexed_microkernel(symbol: str) -> Any:
    """As `call_microkernel`, with `indices` and `ahead` behind the other arguments."""
    lower = _call_symbol(symbol)

    @intrinsic
    def call(
        typing_context: Any,
        depth: Any,
        a: Any,
        a_row_stride: Any,
        a_depth_stride: Any,
        b: Any,
        b_stride: Any,
        c: Any,
        c_row_stride: Any,
        indices: Any,
        ahead: Any,
    ) -> Any:
        size = types.intp
        return types.void(size, a, size, size, b, size, c, size, indices, size), lower

    return call


def _call_symbol(symbol: str) -> Callable[..., Any]:
    """The lowering of a call of a function that another module defines."""

    def lower(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        function_type = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        function = cgutils.get_or_insert_function(builder.module, function_type, symbol)
        builder.call(function, values)
        return context.get_dummy_value()

    return lower
