"""One elementwise op as one line of source."""

from __future__ import annotations

import re
from collections.abc import Sequence

from graphc.ir.graph import Node
from graphc.ir.lowering import Reduction, Scalar
from graphc.ir.types import DType

# A template that is one call gives its operands' dtype; operators on integers give i64.
_ONE_CALL = re.compile(r"[\w{}]+\([^()]*\)")

OPERAND_NAMES = ("x", "y", "z")

# One step of a reduction that LLVM may not regroup, by the combining primitive. Extremes it may:
# their order does not matter.
_IN_ORDER = {
    "add": "{x} + {y}",
    "multiply": "{x} * {y}",
    "or": "{x} | {y}",
    "and": "{x} & {y}",
    "maximum": "maximum_reassoc({x}, {y})",
    "minimum": "minimum_reassoc({x}, {y})",
}


def dtype_name(dtype: DType) -> str:
    """The dtype's name in kernel source, which is also its cast."""
    return "bool_" if dtype.is_bool else dtype.name


def number(value: float | int | bool, dtype: DType) -> str:
    """A constant of `dtype`. A bare Python float would turn an f32 kernel into f64."""
    if dtype.is_bool:
        return str(bool(value))
    if dtype.is_float:
        return f"{dtype.name}({float(value)!r})"
    return f"{dtype.name}({int(value)})"


def constant(node: Node) -> str:
    """A scalar constant node as source."""
    return number(node.attributes["value"].array.item(), node.dtype)


def index_value(node: Node, index: str) -> str:
    """The element of an index at place `index`, which is its value."""
    return f"{dtype_name(node.dtype)}({index})"


def scalar_expression(node: Node, operands: Sequence[str]) -> str:
    """The op's template filled in. Integers are cut back to their width: numba widens them."""
    lowering = node.op.lowering
    assert isinstance(lowering, Scalar)
    attributes = {
        name: value if isinstance(value, float | int) else str(value)
        for name, value in node.attributes.items()
    }
    expression = lowering.template.format(
        T=dtype_name(node.dtype),
        **dict(zip(OPERAND_NAMES, operands, strict=False)),
        **attributes,
    )
    if node.dtype.is_integer and not _ONE_CALL.fullmatch(lowering.template):
        return f"{dtype_name(node.dtype)}({expression})"
    return expression


def neutral_element(node: Node) -> str:
    """What the reduction's accumulator starts at."""
    lowering = node.op.lowering
    assert isinstance(lowering, Reduction)
    return number(lowering.identity(node.dtype), node.dtype)


def rounds(node: Node) -> bool:
    """Whether the steps of a reduction round, so that their number and order matter."""
    lowering = node.op.lowering
    assert isinstance(lowering, Reduction)
    return node.dtype.is_float and lowering.combine not in ("maximum", "minimum")


def reduction_of_one(node: Node, value: str) -> str:
    """The reduction of one element: itself, but for -0.0, since a sum begins at 0."""
    return combined_in_order(node, neutral_element(node), value) if rounds(node) else value


def combined(node: Node, accumulator: str, value: str) -> str:
    """The reduction's accumulator with one more value in it; LLVM may regroup the steps."""
    lowering = node.op.lowering
    assert isinstance(lowering, Reduction)
    if node.dtype.is_bool:
        # LLVM regroups the steps of bools as they are.
        return combined_in_order(node, accumulator, value)
    return f"{lowering.combine}_reassoc({accumulator}, {value})"


def combined_in_order(node: Node, accumulator: str, value: str) -> str:
    """The same where the steps must stay in their order."""
    lowering = node.op.lowering
    assert isinstance(lowering, Reduction)
    expression = _IN_ORDER[lowering.combine].format(x=accumulator, y=value)
    return f"{dtype_name(node.dtype)}({expression})" if node.dtype.is_integer else expression
