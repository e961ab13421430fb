"""Straight-line functions over the primitives, recorded as textual LLVM IR.

A function of `vecmath` is called once with values that write down what is done to them. It is
rebuilt with the primitives of this file in place of numpy's, so that one text serves as numpy
reference and as machine code. Nothing here may be contracted or reassociated by LLVM: the compiled
function gives the bits that numpy gives.
"""

import struct
from collections.abc import Callable, Mapping
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

LLVM_TYPES: Mapping[str, str] = {
    "f32": "float",
    "f64": "double",
    "i32": "i32",
    "i64": "i64",
    "bool": "i1",
}
_BIT_PARTNERS = {"f32": "i32", "i32": "f32", "f64": "i64", "i64": "f64"}
_DTYPE_NAMES = {
    np.dtype(np.float32): "f32",
    np.dtype(np.float64): "f64",
    np.dtype(np.int32): "i32",
    np.dtype(np.int64): "i64",
    np.dtype(np.bool_): "bool",
}


class Recording:
    """The instructions written so far and the intrinsics that they need."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.declarations: dict[str, str] = {}

    def emit(self, instruction: str, dtype: str) -> "Recorded":
        """Append an instruction; returns its result."""
        name = f"%v{len(self.lines)}"
        self.lines.append(f"  {name} = {instruction}")
        return Recorded(self, name, dtype)

    def call(self, intrinsic: str, *arguments: "Recorded") -> "Recorded":
        """Call the LLVM intrinsic of the arguments' common type."""
        dtype = arguments[0].dtype
        llvm_type = LLVM_TYPES[dtype]
        symbol = f"@llvm.{intrinsic}.{dtype}"
        parameters = ", ".join([llvm_type] * len(arguments))
        self.declarations[symbol] = f"declare {llvm_type} {symbol}({parameters})"
        operands = ", ".join(f"{llvm_type} {argument.name}" for argument in arguments)
        return self.emit(f"call {llvm_type} {symbol}({operands})", dtype)


class Recorded:
    """A scalar whose operations are written down."""

    # numpy scalars must leave `constant + recorded` to __radd__.
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, recording: Recording, name: str, dtype: str) -> None:
        self.recording = recording
        self.name = name
        self.dtype = dtype

    def _is_float(self) -> bool:
        return self.dtype in ("f32", "f64")

    def _binary(
        self, float_name: str | None, other_name: str | None, other: Any, swap: bool
    ) -> Any:
        operand = _as_recorded(self.recording, other)
        if operand.dtype != self.dtype:
            raise TypeError(f"operands of dtype {self.dtype} and {operand.dtype}")
        instruction = float_name if self._is_float() else other_name
        if instruction is None:
            raise TypeError(f"operation is not defined for {self.dtype}")
        first, second = (operand, self) if swap else (self, operand)
        is_comparison = instruction.startswith(("fcmp", "icmp"))
        return self.recording.emit(
            f"{instruction} {LLVM_TYPES[self.dtype]} {first.name}, {second.name}",
            "bool" if is_comparison else self.dtype,
        )

    def __add__(self, other: Any) -> Any:
        return self._binary("fadd", "add", other, False)

    def __radd__(self, other: Any) -> Any:
        return self._binary("fadd", "add", other, True)

    def __sub__(self, other: Any) -> Any:
        return self._binary("fsub", "sub", other, False)

    def __rsub__(self, other: Any) -> Any:
        return self._binary("fsub", "sub", other, True)

    def __mul__(self, other: Any) -> Any:
        return self._binary("fmul", "mul", other, False)

    def __rmul__(self, other: Any) -> Any:
        return self._binary("fmul", "mul", other, True)

    def __truediv__(self, other: Any) -> Any:
        return self._binary("fdiv", None, other, False)

    def __rtruediv__(self, other: Any) -> Any:
        return self._binary("fdiv", None, other, True)

    def __neg__(self) -> Any:
        return self.recording.emit(f"fneg {LLVM_TYPES[self.dtype]} {self.name}", self.dtype)

    def __and__(self, other: Any) -> Any:
        return self._binary(None, "and", other, False)

    def __or__(self, other: Any) -> Any:
        return self._binary(None, "or", other, False)

    def __xor__(self, other: Any) -> Any:
        return self._binary(None, "xor", other, False)

    def __lshift__(self, other: Any) -> Any:
        return self._binary(None, "shl", other, False)

    def __rshift__(self, other: Any) -> Any:
        return self._binary(None, "ashr", other, False)

    def __lt__(self, other: Any) -> Any:
        return self._binary("fcmp olt", "icmp slt", other, False)

    def __le__(self, other: Any) -> Any:
        return self._binary("fcmp ole", "icmp sle", other, False)

    def __gt__(self, other: Any) -> Any:
        return self._binary("fcmp ogt", "icmp sgt", other, False)

    def __ge__(self, other: Any) -> Any:
        return self._binary("fcmp oge", "icmp sge", other, False)

    def __eq__(self, other: Any) -> Any:
        return self._binary("fcmp oeq", "icmp eq", other, False)

    def __ne__(self, other: Any) -> Any:
        return self._binary("fcmp une", "icmp ne", other, False)


def _as_recorded(recording: Recording, value: Any) -> Recorded:
    """A recorded value as it is, a numpy scalar as a constant; Python numbers are refused."""
    if isinstance(value, Recorded):
        return value
    if not isinstance(value, np.generic):
        raise TypeError(f"a constant must be a numpy scalar of a definite dtype, not {value!r}")
    dtype = _DTYPE_NAMES[value.dtype]
    if dtype in ("f32", "f64"):
        # LLVM writes a float constant as the bits of the double of the same value.
        (pattern,) = struct.unpack("<Q", struct.pack("<d", float(value)))
        return Recorded(recording, f"0x{pattern:016X}", dtype)
    return Recorded(recording, str(int(value)), dtype)


def _all_recorded(*values: Any) -> tuple[Recording, list[Recorded]]:
    recording = next(value.recording for value in values if isinstance(value, Recorded))
    return recording, [_as_recorded(recording, value) for value in values]


def _intrinsic(name: str) -> Callable[..., Recorded]:
    def recorded_primitive(*values: Any) -> Recorded:
        recording, arguments = _all_recorded(*values)
        return recording.call(name, *arguments)

    return recorded_primitive


def _select(condition: Any, x: Any, y: Any) -> Recorded:
    recording, (test, first, second) = _all_recorded(condition, x, y)
    if first.dtype != second.dtype:
        raise TypeError(f"select between {first.dtype} and {second.dtype}")
    kind = LLVM_TYPES[first.dtype]
    return recording.emit(
        f"select i1 {test.name}, {kind} {first.name}, {kind} {second.name}", first.dtype
    )


def _bitcast(x: Recorded) -> Recorded:
    partner = _BIT_PARTNERS[x.dtype]
    instruction = f"bitcast {LLVM_TYPES[x.dtype]} {x.name} to {LLVM_TYPES[partner]}"
    return x.recording.emit(instruction, partner)


def _widen(x: Recorded) -> Recorded:
    return x.recording.emit(f"fpext float {x.name} to double", "f64")


def _narrow(x: Recorded) -> Recorded:
    return x.recording.emit(f"fptrunc double {x.name} to float", "f32")


RECORDED_PRIMITIVES: Mapping[str, Callable[..., Any]] = {
    "select": _select,
    "fma": _intrinsic("fmuladd"),
    "round_even": _intrinsic("roundeven"),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "sqrt": _intrinsic("sqrt"),
    "absolute": _intrinsic("fabs"),
    "minimum": _intrinsic("minimum"),
    "maximum": _intrinsic("maximum"),
    "copysign": _intrinsic("copysign"),
    "bits_from_float": _bitcast,
    "float_from_bits": _bitcast,
    "widen": _widen,
    "narrow": _narrow,
}


def recordable(module: ModuleType) -> dict[str, Any]:
    """The module's names, its functions rebuilt to call each other and the recording primitives."""
    namespace = dict(vars(module))
    for name, value in vars(module).items():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            namespace[name] = FunctionType(
                value.__code__, namespace, name, value.__defaults__, value.__closure__
            )
    namespace.update(RECORDED_PRIMITIVES)
    return namespace


def record_function(function: Callable[..., Any], symbol: str, dtype: str, arity: int) -> str:
    """LLVM IR of `dtype symbol(dtype, ...)`: a pure function, inlined wherever it is called.

    `function` comes out of `recordable`. Raises TypeError where dtypes do not fit.
    """
    recording = Recording()
    arguments = [Recorded(recording, f"%x{index}", dtype) for index in range(arity)]
    result = function(*arguments)
    if result.dtype != dtype:
        raise TypeError(f"{symbol} takes {dtype} and returns {result.dtype}")
    llvm_type = LLVM_TYPES[dtype]
    parameters = ", ".join(f"{llvm_type} {argument.name}" for argument in arguments)
    body = "\n".join(recording.lines)
    declarations = "\n".join(recording.declarations.values())
    return (
        f'define {llvm_type} @"{symbol}"({parameters}) alwaysinline {{\n{body}\n'
        f"  ret {llvm_type} {result.name}\n}}\n{declarations}\n"
    )
