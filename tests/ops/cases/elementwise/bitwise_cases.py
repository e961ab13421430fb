"""Cases of the ops on the bits of integers."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator

import numpy as np

from graphc.ir.errors import DTypeError, GraphError
from graphc.ir.ops import OPS
from graphc.testing.cases import BYTES, Case, ErrorCase, Operand, integers
from tests.ops.cases.elementwise.elementwise_cases import by_scalar
from tests.ops.cases.elementwise.elementwise_errors import applied

BITS: dict[str, Callable[[int, int], int]] = {
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
    "bitwise_xor": operator.xor,
}
WIDTHS = {"i32": 32, "i64": 64, "u8": 8}


def _shifted(dtype: str, up: bool) -> Callable[[int, int], int]:
    """Of Python's integers, cut to the dtype; 0 or copies of the sign beyond its width."""
    width = WIDTHS[dtype]
    kind = {"i32": np.int32, "i64": np.int64, "u8": np.uint8}[dtype]

    def shift(x: int, y: int) -> int:
        x, y = int(x), int(y)
        if not 0 <= y < width:
            return 0 if up else -(x < 0)
        return int(np.array((x << y) % 2**width, np.uint64).astype(kind)) if up else x >> y

    return shift


def _cases() -> Iterator[Case]:
    samples = {"i32": integers(-999, 999), "i64": integers(-(2**62), 2**62), "u8": BYTES}
    for dtype, sample in samples.items():
        for name, function in BITS.items():
            operands = (
                Operand(("batch", 5), dtype, sample), Operand((3, 1, 5), dtype, sample),
            )  # fmt: skip
            yield Case(
                name, dtype, operands, expect=by_scalar(function, int), bindings={"batch": 3}
            )
        inverted = Operand(("batch", 9), dtype, sample)
        mask = 255 if dtype == "u8" else -1
        yield Case(
            "invert", dtype, (inverted,), expect=by_scalar(lambda x, m=mask: x ^ m, int),
            bindings={"batch": 2},
        )  # fmt: skip
        places = integers(0 if dtype == "u8" else -2, WIDTHS[dtype] + 3)
        for name in ("left_shift", "right_shift"):
            operands = (Operand(("batch", 90), dtype, sample), Operand((90,), dtype, places))
            expect = by_scalar(_shifted(dtype, name == "left_shift"), int)
            yield Case(name, dtype, operands, expect=expect, bindings={"batch": 2})


BITWISE_CASES: tuple[Case, ...] = tuple(_cases())


def _errors() -> Iterator[ErrorCase]:
    for name in (*BITS, "invert", "left_shift", "right_shift"):
        arity = OPS[name].arity or 1
        for dtype in ("f32", "bool"):
            types = (((3,), dtype),) * arity
            message = f": i32, i64 or u8 expected, not {dtype}"
            yield ErrorCase(name, dtype, applied(name, types), DTypeError, message)
        many = (((3,), "i32"),) * (arity + 1)
        yield ErrorCase(
            name, "arity", applied(name, many), GraphError, f"{arity} operands expected"
        )


BITWISE_ERRORS: tuple[ErrorCase, ...] = tuple(_errors())
