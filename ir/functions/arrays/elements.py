"""Functions of elements that several ops make, with numpy's names and arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.ir.arguments.checks import integer_of, problem_with
from graphc.ir.arguments.given import check_tensors, is_tensor
from graphc.ir.dims import Dim
from graphc.ir.errors import DTypeError
from graphc.ir.nodes.op import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.elementwise import limits, rounding
from graphc.ir.ops.movement import movement
from graphc.ir.types import bool_


def isnan(x: Any) -> Node:
    """Whether each element is NaN: bools of x's shape. Raises TypeError unless `x` is a tensor.

    missing = gc.isnan(x)
    """
    check_tensors("isnan", x)
    return ops.not_equal(x, x) if x.dtype.is_float else _everywhere(x, False)


def isinf(x: Any) -> Node:
    """Whether each element is infinite, of either sign: bools of x's shape. Raises TypeError unless
    `x` is a tensor.

        overflown = gc.isinf(x)
    """
    check_tensors("isinf", x)
    return ops.equal(ops.absolute(x), math.inf) if x.dtype.is_float else _everywhere(x, False)


def isfinite(x: Any) -> Node:
    """Whether each element is neither infinite nor NaN: bools of x's shape. Raises TypeError unless
    `x` is a tensor.

        usable = gc.isfinite(x)
    """
    check_tensors("isfinite", x)
    return ops.less(ops.absolute(x), math.inf) if x.dtype.is_float else _everywhere(x, True)


def _everywhere(x: Node, value: bool) -> Node:
    return movement.broadcast_to(x.graph.constant(value, bool_), shape=x.shape)


def nan_to_num(
    x: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Node:
    """x with numbers in the places of NaN, inf and -inf, of derivative 0: x's shape and dtype.

    posinf, neginf: the greatest and the least number of x's dtype unless given.

        known = gc.nan_to_num(x)

    Raises TypeError unless `x` is a tensor. Integers are as they were.
    """
    check_tensors("nan_to_num", x)
    if not x.dtype.is_float:
        return x
    limits = np.finfo(x.dtype.numpy)
    greatest = float(limits.max) if posinf is None else posinf
    least = float(limits.min) if neginf is None else neginf
    node = ops.where(isnan(ops.stop_gradient(x)), nan, x)
    node = ops.where(ops.equal(ops.stop_gradient(x), math.inf), greatest, node)
    return ops.where(ops.equal(ops.stop_gradient(x), -math.inf), least, node)


def clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Node:
    """min(max(x, a_min), a_max): elements below `a_min` become that, elements above `a_max` that.

    a_min, a_max: a number, a tensor of x's dtype whose shape broadcasts, or None for no limit;
    `min` and `max` are other names of them, as in numpy. The derivative by x is 0 beyond a limit
    and 1 at one, as torch.clamp has it; what is beyond a limit hands its derivative to that. NaN
    stays NaN.

        small = gc.clip(x, -1, 1)

    Raises DTypeError for bools, u8 and two dtypes, ShapeError for shapes that differ, TypeError
    unless `x` is a tensor, and for a limit under both of its names.
    """
    check_tensors("clip", x)
    least = _limit(x, "min", a_min, min)
    greatest = _limit(x, "max", a_max, max)
    node: Node = x if least is None else limits.clamp_min(x, least)
    return node if greatest is None else limits.clamp_max(node, greatest)


def _limit(x: Any, name: str, value: Any, other: Any) -> Any:
    """A limit of `clip` under the one name or the other: a tensor, or None."""
    if value is not None and other is not None:
        raise TypeError(problem_with("clip", x, f"a_{name} and {name} are one limit; give one"))
    value = other if value is None else value
    if value is None or is_tensor(value) or isinstance(value, Dim):
        return value
    return x.graph.lifted(f"clip({x.type})", value, x.dtype)


def round(x: Any, decimals: int = 0) -> Node:
    """x rounded to so many decimals, the even digit where two are as near: x's shape and dtype.

    x is multiplied by 10 ** decimals, rounded to a whole number, and divided again. Negative
    decimals round to tens and hundreds. The derivative is 0. Integers are as they were.

        cents = gc.round(prices, 2)

    Raises DTypeError for bools, and for integers with negative decimals; ShapeError unless
    `decimals` is an integer.
    """
    check_tensors("round", x)
    digits = integer_of(x, decimals, "round")
    if x.dtype.is_integer and digits >= 0:
        return x
    if not x.dtype.is_float:
        raise DTypeError(problem_with("round", x, "floats expected; cast first"))
    if digits == 0:
        return rounding.round_(x)
    scale = 10.0 ** abs(digits)
    if digits > 0:
        return ops.divide(rounding.round_(x * scale), scale)
    return rounding.round_(ops.divide(x, scale)) * scale
