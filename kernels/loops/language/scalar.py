"""One elementwise op, or one step of a reduction, as an expression."""

from __future__ import annotations

import re
from collections.abc import Sequence

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import OPERAND_NAMES, Reduction, Scalar
from graphc.ir.types import DType
from graphc.kernels.loops.language.expressions import (
    Applied,
    Constant,
    Expression,
    Formula,
    Infix,
    applied,
)

# A template that is one call gives its operands' dtype; operators on integers give i64.
_ONE_CALL = re.compile(r"[\w{}]+\([^()]*\)")

# What a formula has for the operands that a template names.
_OPERAND_PLACES = {name: f"{{{place}}}" for place, name in enumerate(OPERAND_NAMES)}

# The operators of reductions' steps that LLVM may not regroup, by the combining primitive.
_OPERATORS = {"add": "+", "multiply": "*", "or": "|", "and": "&"}


def dtype_name(dtype: DType) -> str:
    """The dtype's name in kernel source, which is also its cast."""
    return "bool_" if dtype.is_bool else dtype.name


def number(value: float | int | bool, dtype: DType) -> Expression:
    """A constant of `dtype`. A bare Python float would turn an f32 kernel into f64."""
    if dtype.is_bool:
        return Constant(str(bool(value)))
    bare = repr(float(value)) if dtype.is_float else str(int(value))
    return Applied(dtype.name, (Constant(bare),))


def constant(node: Node) -> Expression:
    """A scalar constant node."""
    return number(node.attributes["value"].array.item(), node.dtype)


def cast(dtype: DType, value: Expression) -> Expression:
    """The value as one of `dtype`."""
    return Applied(dtype_name(dtype), (value,))


def index_value(node: Node, index: Expression) -> Expression:
    """The element of an index at place `index`, which is its value."""
    return cast(node.dtype, index)


def scalar_expression(node: Node, operands: Sequence[Expression]) -> Expression:
    """The op's template filled in. Integers are cut back to their width: numba widens them."""
    lowering = node.op.lowering
    assert isinstance(lowering, Scalar)
    attributes = {
        name: value if isinstance(value, float | int) else str(value)
        for name, value in node.attributes.items()
    }
    template = lowering.template.format(T=dtype_name(node.dtype), **_OPERAND_PLACES, **attributes)
    expression = Formula(template, tuple(operands))
    if node.dtype.is_integer and not _ONE_CALL.fullmatch(lowering.template):
        return cast(node.dtype, expression)
    return expression


def neutral_element(node: Node) -> Expression:
    """What the reduction's accumulator starts at."""
    lowering = node.op.lowering
    assert isinstance(lowering, Reduction)
    return number(lowering.identity(node.dtype), node.dtype)


def rounds(node: Node) -> bool:
    """Whether the steps of a reduction round, so that their number and order matter."""
    lowering = node.op.lowering
    assert isinstance(lowering, Reduction)
    return node.dtype.is_float and lowering.combine not in ("maximum", "minimum")


def sums_floats(node: Node) -> bool:
    """Whether a reduction adds up floats, of which a product may be added in one operation."""
    lowering = node.op.lowering
    assert isinstance(lowering, Reduction)
    return node.dtype.is_float and lowering.combine == "add"


def reduction_of_one(node: Node, value: Expression) -> Expression:
    """The reduction of one element: itself, but for -0.0, since a sum begins at 0."""
    return combined_in_order(node, neutral_element(node), value) if rounds(node) else value


def combined(node: Node, accumulator: Expression, value: Expression) -> Expression:
    """The reduction's accumulator with one more value in it; LLVM may regroup the steps."""
    lowering = node.op.lowering
    assert isinstance(lowering, Reduction)
    if node.dtype.is_bool:
        # LLVM regroups the steps of bools as they are.
        return combined_in_order(node, accumulator, value)
    return applied(f"{lowering.combine}_reassoc", accumulator, value)


def combined_in_order(node: Node, accumulator: Expression, value: Expression) -> Expression:
    """The same where the steps must stay in their order."""
    lowering = node.op.lowering
    assert isinstance(lowering, Reduction)
    operator = _OPERATORS.get(lowering.combine)
    if operator is None:
        # The order of extremes does not matter.
        expression: Expression = applied(f"{lowering.combine}_reassoc", accumulator, value)
    else:
        expression = Infix(operator, accumulator, value)
    return cast(node.dtype, expression) if node.dtype.is_integer else expression


def with_product(accumulator: Expression, first: Expression, second: Expression) -> Expression:
    """A sum of floats with one more product in it, rounded once."""
    return applied("fma", first, second, accumulator)
