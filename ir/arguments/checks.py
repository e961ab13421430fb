"""Axes, shapes and numbers beside a tensor, checked; errors begin with the function and the tensor.

`name` is the function that a user called, `x` the tensor that it was given.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphc.ir.arguments.given import as_integer, check_tensors
from graphc.ir.errors import ShapeError
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.types import Shape, as_shape, normalize_axes, normalize_axis


def integer_of(x: Any, value: Any, name: str) -> int:
    """`value` as an integer. Raises ShapeError."""
    try:
        return as_integer(value)
    except TypeError as error:
        raise ShapeError(problem_with(name, x, str(error))) from None


def axis_of(x: Any, axis: int, name: str) -> int:
    """`axis` counted from the front. Raises ShapeError, TypeError for no tensor."""
    check_tensors(name, x)
    try:
        return normalize_axis(axis, x.rank)
    except ShapeError as error:
        raise ShapeError(problem_with(name, x, str(error))) from None


def new_axis_of(x: Any, axis: int, name: str) -> int:
    """The same for the place of a new axis."""
    check_tensors(name, x)
    try:
        return normalize_axis(axis, x.rank + 1)
    except ShapeError as error:
        raise ShapeError(problem_with(name, x, str(error))) from None


def shape_of(x: Any, extents: Any, name: str) -> Shape:
    """`extents` as a shape. Raises as `axis_of`."""
    check_tensors(name, x)
    try:
        return as_shape(extents)
    except ShapeError as error:
        raise ShapeError(problem_with(name, x, str(error))) from None


def axes_of(x: Any, axis: int | Iterable[int] | None, name: str) -> tuple[int, ...]:
    """`axis`, an axis, several, or None for all, as sorted axes. Raises as `axis_of`."""
    check_tensors(name, x)
    try:
        return normalize_axes(axis, x.rank)
    except ShapeError as error:
        raise ShapeError(problem_with(name, x, str(error))) from None


def problem_with(name: str, x: Any, problem: str) -> str:
    """What is said of `x` in function `name`, with the user's line."""
    return located(f"{name}({x.type}): {problem}", callers_location())
