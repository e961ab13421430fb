"""Logical functions of what is true: bools as they are, numbers where they are not 0."""

from __future__ import annotations

from typing import Any

from graphc.ir.arguments.given import as_array, is_tensor
from graphc.ir.nodes.op import Node
from graphc.ir.ops.elementwise import elementwise as ops


def truth_of(x: Any) -> Any:
    """Bools of x, a tensor, a number or an array; NaN is true."""
    if is_tensor(x):
        return x if x.dtype.is_bool else ops.not_equal(x, 0)
    array = as_array(x)
    return array if array.dtype.kind == "b" else array != 0


def logical_and(x: Any, y: Any, /) -> Node:
    """Whether both are true, elementwise: bools of the shape that `x` and `y` broadcast to.

    Numbers are true where they are not 0; so is NaN.

        usable = gc.logical_and(x > 0, weights)

    Raises ShapeError for shapes that do not broadcast, TypeError unless one is a tensor.
    """
    return ops.logical_and(truth_of(x), truth_of(y))


def logical_or(x: Any, y: Any, /) -> Node:
    """Whether one of both is true, elementwise; the rest, and what it Raises, as `logical_and`.

    outside = gc.logical_or(x < 0, x > 1)
    """
    return ops.logical_or(truth_of(x), truth_of(y))


def logical_xor(x: Any, y: Any, /) -> Node:
    """Whether one alone is true, elementwise; the rest, and what it Raises, as `logical_and`.

    differ = gc.logical_xor(first, second)
    """
    return ops.logical_xor(truth_of(x), truth_of(y))


def logical_not(x: Any, /) -> Node:
    """Whether `x` is false, elementwise: bools of its shape. Numbers are true where they are not 0.
    Raises TypeError unless it is a tensor.

        missing = gc.logical_not(mask)
    """
    return ops.logical_not(truth_of(x))
