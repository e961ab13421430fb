"""Functions over the primitives, recorded as textual LLVM IR of a scalar or of a vector.

A function of `vecmath` is called once with values that write down what is done to them. It is
rebuilt with the primitives of this file in place of numpy's, so that one text serves as numpy
reference and as machine code. Nothing here may be contracted or reassociated by LLVM: the compiled
function gives the bits that numpy gives, and a vector's lane those of a scalar.

The functions are straight-line code but for `select_rare`, which becomes a branch.
"""

import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


# How much likelier it is that a branch passes by what is rare.
_RARE_WEIGHT = 2000
_FIRST_BLOCK = "first"


class Recording:
    """The instructions written so far and what they need, for vectors of `lanes` or a scalar.

    block: the label of the block that is being written.
    """

    def __init__(self, symbol: str, lanes: int = 1) -> None:
        self.symbol = symbol
        self.lanes = lanes
        self.lines: list[str] = []
        self.block = _FIRST_BLOCK
        self.has_branch = False
        self.declarations: dict[str, str] = {}
        self.tables: list[str] = []

    def llvm_type(self, dtype: str) -> str:
        """A value's type."""
        return _vector_of(LLVM_TYPES[dtype], self.lanes)

    def constant(self, text: str, dtype: str) -> str:
        """A constant with the same value in each lane."""
        return text if self.lanes == 1 else f"splat ({LLVM_TYPES[dtype]} {text})"

    def emit(self, instruction: str, dtype: str) -> "Recorded":
        """Append an instruction; returns its result."""
        name = f"%v{len(self.lines)}"
        self.lines.append(f"  {name} = {instruction}")
        return Recorded(self, name, dtype)

    def call(self, intrinsic: str, *arguments: "Recorded") -> "Recorded":
        """Call the LLVM intrinsic of the arguments' common type."""
        dtype = arguments[0].dtype
        llvm_type = self.llvm_type(dtype)
        symbol = f"@llvm.{intrinsic}.{dtype if self.lanes == 1 else f'v{self.lanes}{dtype}'}"
        parameters = ", ".join([llvm_type] * len(arguments))
        self.declarations[symbol] = f"declare {llvm_type} {symbol}({parameters})"
        operands = ", ".join(f"{llvm_type} {argument.name}" for argument in arguments)
        return self.emit(f"call {llvm_type} {symbol}({operands})", dtype)

    def table(self, values: np.ndarray) -> str:
        """A constant array of f64; returns its symbol."""
        name = f'@"{self.symbol}.table{len(self.tables)}"'
        elements = ", ".join(f"double {_float_pattern(value)}" for value in values)
        self.tables.append(f"{name} = private constant [{len(values)} x double] [{elements}]")
        return name

    def begin_block(self, label: str) -> None:
        """What follows stands in a block of its own."""
        self.lines.append(f"{label}:")
        self.block = label


class Recorded:
    """A scalar whose operations are written down."""

    # numpy scalars must leave `constant + recorded` to __radd__.
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, recording: Recording, name: str, dtype: str) -> None:
        self.recording = recording
        self.name = name
        self.dtype = dtype

    @property
    def llvm_type(self) -> str:
        return self.recording.llvm_type(self.dtype)

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
            f"{instruction} {self.llvm_type} {first.name}, {second.name}",
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
        return self.recording.emit(f"fneg {self.llvm_type} {self.name}", self.dtype)

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
        return Recorded(recording, recording.constant(_float_pattern(value), dtype), dtype)
    return Recorded(recording, recording.constant(str(int(value)), dtype), dtype)


def _float_pattern(value: Any) -> str:
    """A float constant: LLVM writes it as the bits of the double of the same value."""
    (pattern,) = struct.unpack("<Q", struct.pack("<d", float(value)))
    return f"0x{pattern:016X}"


def _vector_of(element: str, lanes: int) -> str:
    return element if lanes == 1 else f"<{lanes} x {element}>"


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
    kind = first.llvm_type
    return recording.emit(
        f"select {test.llvm_type} {test.name}, {kind} {first.name}, {kind} {second.name}",
        first.dtype,
    )


def _select_rare(
    condition: Recorded, function: Callable[..., Any], operands: tuple[Any, ...], common: Recorded
) -> Recorded:
    """Control passes by `function` where the condition holds in no lane."""
    recording = condition.recording
    before, number = recording.block, len(recording.lines)
    rare, after = f"rare{number}", f"after{number}"
    is_any = condition.name
    if recording.lanes > 1:
        mask = f"i{recording.lanes}"
        bits = f"%mask{number}"
        recording.lines.append(f"  {bits} = bitcast {condition.llvm_type} {is_any} to {mask}")
        is_any = f"%any{number}"
        recording.lines.append(f"  {is_any} = icmp ne {mask} {bits}, 0")
    recording.lines.append(f"  br i1 {is_any}, label %{rare}, label %{after}, !prof !0")
    recording.has_branch = True
    recording.begin_block(rare)
    chosen = _select(condition, function(*operands), common)
    last = recording.block
    recording.lines.append(f"  br label %{after}")
    recording.begin_block(after)
    sources = f"[ {common.name}, %{before} ], [ {chosen.name}, %{last} ]"
    return recording.emit(f"phi {common.llvm_type} {sources}", common.dtype)


def _lookup(table: np.ndarray, index: Recorded) -> Recorded:
    recording = index.recording
    name, lanes = recording.table(table), recording.lanes
    if lanes == 1:
        address = recording.emit(f"getelementptr double, ptr {name}, i64 {index.name}", "i64")
        return recording.emit(f"load double, ptr {address.name}", "f64")
    kind = recording.llvm_type("f64")
    result = Recorded(recording, "poison", "f64")
    for lane in range(lanes):
        at = recording.emit(f"extractelement {index.llvm_type} {index.name}, i64 {lane}", "i64")
        address = recording.emit(f"getelementptr double, ptr {name}, i64 {at.name}", "i64")
        element = recording.emit(f"load double, ptr {address.name}", "f64")
        result = recording.emit(
            f"insertelement {kind} {result.name}, double {element.name}, i64 {lane}", "f64"
        )
    return result


def _bitcast(x: Recorded) -> Recorded:
    partner = _BIT_PARTNERS[x.dtype]
    instruction = f"bitcast {x.llvm_type} {x.name} to {x.recording.llvm_type(partner)}"
    return x.recording.emit(instruction, partner)


def _widen(x: Recorded) -> Recorded:
    return _converted("fpext", x, "f64")


def _narrow(x: Recorded) -> Recorded:
    return _converted("fptrunc", x, "f32")


def _converted(instruction: str, x: Recorded, dtype: str) -> Recorded:
    kind = x.recording.llvm_type(dtype)
    return x.recording.emit(f"{instruction} {x.llvm_type} {x.name} to {kind}", dtype)


RECORDED_PRIMITIVES: Mapping[str, Callable[..., Any]] = {
    "select": _select,
    "select_rare": _select_rare,
    "lookup": _lookup,
    "fma": _intrinsic("fmuladd"),
    "round_even": _intrinsic("roundeven"),
    "floor": _intrinsic("floor"),
    "ceil": _intrinsic("ceil"),
    "trunc": _intrinsic("trunc"),
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


def recordable(
    module: ModuleType, rebuilt: dict[str, dict[str, Any]] | None = None
) -> dict[str, Any]:
    """The module's names, its functions and those that it imports rebuilt to call each other and
    the recording primitives.

    rebuilt: the modules that are done, by name.
    """
    done = {} if rebuilt is None else rebuilt
    if module.__name__ in done:
        return done[module.__name__]
    namespace = done[module.__name__] = dict(vars(module))
    for name, value in vars(module).items():
        if not isinstance(value, FunctionType) or name in RECORDED_PRIMITIVES:
            continue
        if value.__module__ == module.__name__:
            namespace[name] = FunctionType(
                value.__code__, namespace, name, value.__defaults__, value.__closure__
            )
        else:
            namespace[name] = recordable(sys.modules[value.__module__], done)[value.__name__]
    namespace.update(RECORDED_PRIMITIVES)
    return namespace


@dataclass(frozen=True)
class RecordedFunction:
    """LLVM IR of a pure function that is inlined wherever it is called.

    has_branch: whether it is more than straight-line code, which loops around it are vectorised
    with.
    """

    llvm_ir: str
    has_branch: bool


def record_function(
    function: Callable[..., Any], symbol: str, dtype: str, arity: int, lanes: int = 1
) -> RecordedFunction:
    """`dtype symbol(dtype, ...)`, of scalars or of vectors of `lanes`.

    `function` comes out of `recordable`. Raises TypeError where dtypes do not fit.
    """
    recording = Recording(symbol, lanes)
    arguments = [Recorded(recording, f"%x{index}", dtype) for index in range(arity)]
    result = function(*arguments)
    if result.dtype != dtype:
        raise TypeError(f"{symbol} takes {dtype} and returns {result.dtype}")
    llvm_type = recording.llvm_type(dtype)
    parameters = ", ".join(f"{llvm_type} {argument.name}" for argument in arguments)
    lines = [
        *recording.tables,
        f'define {llvm_type} @"{symbol}"({parameters}) alwaysinline {{',
        f"{_FIRST_BLOCK}:",
        *recording.lines,
        f"  ret {llvm_type} {result.name}",
        "}",
        *recording.declarations.values(),
    ]
    if recording.has_branch:
        lines.append(f'!0 = !{{!"branch_weights", i32 1, i32 {_RARE_WEIGHT}}}')
    return RecordedFunction("\n".join([*lines, ""]), recording.has_branch)
