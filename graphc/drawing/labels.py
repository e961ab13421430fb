"""The short texts of a drawing: symbols of ops and numbers as textbooks print them."""

from __future__ import annotations

import re

import numpy as np

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Scalar
from graphc.ir.nodes.op import Array
from graphc.ir.ops import leaf
from graphc.kernels.nests.names import label

SIGNIFICANT_DIGITS = 4

# Values of at most so many rows and columns are written out; of others shape, mean and norm.
MOST_ROWS, MOST_COLUMNS = 3, 4

# How operators of generated Python are printed.
TIMES = "\N{MULTIPLICATION SIGN}"
MINUS = "\N{MINUS SIGN}"
PRINTED = {"*": TIMES, "/": "÷", "-": MINUS, "==": "=", "!=": "≠", "<=": "≤", ">=": "≥"}

_BINARY = re.compile(r"\{x\} (\S+) \{y\}")
_UNARY = re.compile(r"([-])\{x\}")
_PLACEHOLDER = "·"


def symbol(node: Node) -> str:
    """What is written in a node: a name, an operator, and the constants among the operands.

    An elementwise op whose scalar template is an operator shows as that operator.
    """
    if is_scalar_constant(node):
        return constant_text(node)
    constants = [constant_text(x) if is_scalar_constant(x) else "" for x in node.operands]
    lowering = node.op.lowering
    template = lowering.template if isinstance(lowering, Scalar) else ""
    if binary := _BINARY.fullmatch(template):
        operator = PRINTED.get(binary[1], binary[1])
        first, second = constants
        if node.op.commutative and first and not second:
            first, second = second, first
        return " ".join(part for part in (first, operator, second) if part)
    if unary := _UNARY.fullmatch(template):
        return PRINTED.get(unary[1], unary[1])
    if any(constants):
        return f"{node.op.name}({', '.join(text or _PLACEHOLDER for text in constants)})"
    return label(node)


def is_scalar_constant(node: Node) -> bool:
    return node.op is leaf.constant and node.rank == 0


def constant_text(node: Node) -> str:
    value = node.attributes["value"].array.item()
    return number_text(value, None)


def number_text(value: float | bool, decimals: int | None) -> str:
    """`value` with four significant digits, or with so many decimals."""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(value)
    if decimals is not None:
        rounded = f"{value:.{decimals}f}"
        return rounded.lstrip("-") if float(rounded) == 0 else rounded
    mantissa, e, exponent = f"{value:.{SIGNIFICANT_DIGITS}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def value_lines(array: Array, decimals: int | None = None) -> tuple[str, ...]:
    """A small array as its numbers, a line a row; a large one as its shape, mean and norm."""
    if array.ndim <= 2 and array.size <= MOST_ROWS * MOST_COLUMNS:
        rows = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
        if 0 < len(rows) <= MOST_ROWS and 0 < rows.shape[1] <= MOST_COLUMNS:
            return tuple(_row_text(row, decimals, bare=array.ndim == 0) for row in rows)
    shape = TIMES.join(map(str, array.shape))
    return (shape, statistics_text(array, decimals)) if array.size else (f"{shape}, empty",)


def statistics_text(array: Array, decimals: int | None = None) -> str:
    """Mean and 2-norm of floats, the range of integers, the share of true among bools."""
    if array.dtype.kind == "b":
        return f"{number_text(float(array.mean()), decimals)} true"
    if array.dtype.kind in "iu":
        low, high = (number_text(int(limit), None) for limit in (array.min(), array.max()))
        return f"{low} to {high}"
    wide = array.astype(np.float64)
    mean, norm = float(wide.mean()), float(np.linalg.norm(wide))
    return f"mean {number_text(mean, decimals)}, norm {number_text(norm, decimals)}"


def _row_text(row: Array, decimals: int | None, bare: bool) -> str:
    numbers = " ".join(number_text(value, decimals) for value in row.tolist())
    return numbers if bare else f"[{numbers}]"
