"""Uses of the elementwise ops that are refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from graphc.ir.errors import DTypeError, GraphError, ShapeError
from graphc.ir.graph import Graph, Node
from graphc.ir.ops import OPS
from graphc.testing.cases import (
    ErrorCase,
)
from tests.ops.cases.elementwise.elementwise_cases import BINARY, COMPARISONS

FLOAT_ONLY = (
    "divide", "reciprocal", "sqrt", "exp", "expm1", "log", "log1p", "sin", "cos", "tanh",
    "tanh_tail", "tanh_slope", "sigmoid", "sigmoid_tail", "sigmoid_slope", "softplus", "relu",
    "power", "weigh", "sigmoid_cross_entropy", "hinge", "log_cosh",
)  # fmt: skip
NUMBERS_ONLY = (
    "add", "subtract", "multiply", "negate", "square", "abs", "sign", "minimum", "maximum",
    "clamp_min", "clamp_max",
)  # fmt: skip
BOOLS_ONLY = ("logical_and", "logical_or", "logical_xor", "logical_not")


def applied(
    name: str, types: tuple[tuple[Any, str], ...], **attributes: Any
) -> Callable[[Graph], Node]:
    def build(graph: Graph) -> Node:
        inputs = [
            graph.input("xyz"[number], shape, dtype) for number, (shape, dtype) in enumerate(types)
        ]
        return graph.apply(OPS[name], inputs, attributes)

    return build


def _dtype_error_cases() -> Iterator[ErrorCase]:
    refused = [(FLOAT_ONLY, "f32 or f64 expected, not i64", "i64")]
    for dtype in ("bool", "u8"):
        message = f"f32, f64, i32 or i64 expected, not {dtype}; cast first"
        refused += [(NUMBERS_ONLY, message, dtype)]
    refused += [(BOOLS_ONLY, "bool expected, not f32", "f32")]
    for names, message, dtype in refused:
        for name in names:
            arity = OPS[name].arity or 1
            types = (((3,), dtype),) * arity
            shown = rf"^{name}\({', '.join([dtype + chr(92) + '[3' + chr(92) + ']'] * arity)}\)"
            yield ErrorCase(name, dtype, applied(name, types), DTypeError, f"{shown}: {message}")
            too_many = (((3,), dtype),) * (arity + 1)
            yield ErrorCase(
                name, f"arity_{dtype}", applied(name, too_many), GraphError,
                f"{arity} operands expected",
            )  # fmt: skip


def _operand_error_cases() -> Iterator[ErrorCase]:
    for name in (*BINARY, *COMPARISONS):
        yield ErrorCase(
            name, "shapes", applied(name, (((2, 3), "f32"), ((2, 4), "f32"))),
            ShapeError, rf"^{name}\(f32\[2,3\], f32\[2,4\]\): extents 3 and 4 do not broadcast",
        )  # fmt: skip
        yield ErrorCase(
            name, "mixed", applied(name, (((3,), "f32"), ((3,), "f64"))),
            DTypeError, rf"^{name}\(f32\[3\], f64\[3\]\): operands of one dtype",
        )  # fmt: skip
        yield ErrorCase(
            name, "open", applied(name, ((("batch",), "f32"), (("time",), "f32"))),
            ShapeError, rf"^{name}\(f32\[batch\], f32\[time\]\): extents batch and time",
        )  # fmt: skip
    for name in ("logical_and", "logical_or", "logical_xor"):
        yield ErrorCase(
            name, "shapes", applied(name, (((3,), "bool"), ((4,), "bool"))),
            ShapeError, rf"^{name}\(bool\[3\], bool\[4\]\): extents 3 and 4",
        )  # fmt: skip


def _attribute_error_cases() -> Iterator[ErrorCase]:
    for name, attribute in (("leaky_relu", "slope"), ("elu", "alpha")):
        real, whole = (((3,), "f32"),), (((3,), "i32"),)
        yield ErrorCase(
            name, "integers", applied(name, whole, **{attribute: 0.1}),
            DTypeError, rf"^{name}\(i32\[3\]\): f32 or f64 expected",
        )  # fmt: skip
        yield ErrorCase(
            name, "absent", applied(name, real), GraphError, f"'{attribute}'.* expected"
        )
        yield ErrorCase(
            name, "no_number", applied(name, real, **{attribute: "steep"}),
            GraphError, rf"^{name}\(f32\[3\]\): attribute {attribute}: .*steep",
        )  # fmt: skip
    many, one = (((3,), "f32"),) * 2, (((3,), "f32"),)
    for name in ("copy", "stop_gradient"):
        yield ErrorCase(name, "arity", applied(name, many), GraphError, "1 operands expected")
        yield ErrorCase(
            name, "attribute", applied(name, one, axis=0), GraphError, rf"^{name}.*not \['axis'\]"
        )
    yield ErrorCase(
        "cast", "unknown", applied("cast", (((3,), "f32"),), dtype="f16"),
        DTypeError, r"^cast\(f32\[3\]\): .*'f16' is no dtype",
    )  # fmt: skip
    yield ErrorCase(
        "cast", "absent", applied("cast", (((3,), "f32"),)), GraphError, r"'dtype'.* expected"
    )
    yield ErrorCase(
        "where", "condition", applied("where", (((3,), "f32"),) * 3),
        DTypeError, r"^where\(f32\[3\], f32\[3\], f32\[3\]\): a bool condition expected",
    )  # fmt: skip
    yield ErrorCase(
        "where", "branches", applied("where", (((3,), "bool"), ((3,), "f32"), ((3,), "i64"))),
        DTypeError, r"^where\(bool\[3\], f32\[3\], i64\[3\]\): branches of one dtype",
    )  # fmt: skip
    yield ErrorCase(
        "where", "shapes", applied("where", (((3,), "bool"), ((3,), "f32"), ((2,), "f32"))),
        ShapeError, r"^where\(bool\[3\], f32\[3\], f32\[2\]\): extents 3 and 2",
    )  # fmt: skip


ELEMENTWISE_ERRORS: tuple[ErrorCase, ...] = (
    *_dtype_error_cases(), *_operand_error_cases(), *_attribute_error_cases(),
)  # fmt: skip
