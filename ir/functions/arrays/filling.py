"""Tensors of given numbers, of counted ones, and parts of matrices beside zeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.arguments.checks import axis_of, integer_of, problem_with
from graphc.ir.arguments.given import as_number, check_tensors, is_tensor, shown
from graphc.ir.dims import Dim, Extent
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.functions.arrays.shaping import broadcast_to, reshaped
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.op import Node
from graphc.ir.ops.composite import positions
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.types import DType, as_dtype, as_shape, f32, i64


def zeros(shape: Any, dtype: object = None, *, like: Any) -> Node:
    """0 in `shape`, which may be open. like: the graph that it is for, or a tensor of it, whose
    dtype it has unless `dtype` says another; f32 for a graph.

    Raises ShapeError for what is no shape, DTypeError for what is no dtype, TypeError for another
    `like`.

        state = gc.zeros(("batch", 64), like=graph)
    """
    return _filled("zeros", shape, 0, dtype, like)


def ones(shape: Any, dtype: object = None, *, like: Any) -> Node:
    """1 in `shape`; the rest is as `zeros` has it, and Raises as that does.

    bias = gc.ones((64,), like=x)
    """
    return _filled("ones", shape, 1, dtype, like)


def full(shape: Any, fill_value: Any, dtype: object = None, *, like: Any) -> Node:
    """`fill_value`, a number or what stretches to `shape`; the rest is as `zeros` has it, and
    Raises as that does.

        limit = gc.full((64,), 0.5, like=x)
    """
    return _filled("full", shape, fill_value, dtype, like)


def _filled(name: str, shape: Any, fill_value: Any, dtype: object, like: Any) -> Node:
    """What `full` makes, refused in the name of the function that a user called."""
    wanted = _dtype_of(dtype, like, name)
    try:
        extents = as_shape(shape)
    except ShapeError as error:
        raise ShapeError(located(f"{name}: {error}", callers_location())) from None
    value = fill_value
    if not is_tensor(fill_value):
        value = _graph_of(like).constant_for(name, _as_values(fill_value, wanted), wanted)
    return broadcast_to(value, extents)


def _as_values(value: Any, dtype: DType) -> Any:
    """A float of a whole number may fill integers: 0 and 1 are written so."""
    return value if dtype.is_float or not isinstance(value, float) else _whole(value)


def _whole(value: float) -> Any:
    return int(value) if value.is_integer() else value


def zeros_like(x: Any, dtype: object = None) -> Node:
    """0 in x's shape, of x's dtype unless `dtype` says another. Raises TypeError for what is no
    tensor, DTypeError for what is no dtype.

        nothing = gc.zeros_like(x)
    """
    return _like("zeros_like", x, 0, dtype)


def ones_like(x: Any, dtype: object = None) -> Node:
    """1 in x's shape. Raises as `zeros_like` does.

    weights = gc.ones_like(x)
    """
    return _like("ones_like", x, 1, dtype)


def full_like(x: Any, fill_value: Any, dtype: object = None) -> Node:
    """`fill_value` in x's shape, of x's dtype unless `dtype` says another. Raises as `zeros_like`
    does.

        halves = gc.full_like(x, 0.5)
    """
    return _like("full_like", x, fill_value, dtype)


def _like(name: str, x: Any, fill_value: Any, dtype: object) -> Node:
    check_tensors(name, x)
    return _filled(name, x.shape, fill_value, dtype, x)


def arange(
    start: Any, stop: Any = None, step: Any = None, dtype: object = None, *, like: Any
) -> Node:
    """start, start + step, ... below `stop`; from 0 where one number alone is given, which may be
    an open extent. Of integers an i64, of others of the dtype of `like`, unless `dtype` says.

    Raises TypeError for what is no number, ShapeError for a step of 0, and for a start or step
    beside an open extent.

        places = gc.arange(x.shape[0], like=x)
    """
    first, last = (0, start) if stop is None else (start, stop)
    step = 1 if step is None else step
    graph = _graph_of(like)
    if isinstance(first, Dim) or isinstance(last, Dim) or isinstance(step, Dim):
        if (first, step) != (0, 1):
            problem = "arange: an open extent counts from 0 in steps of 1"
            raise ShapeError(located(problem, callers_location()))
        return graph.iota(last, i64 if dtype is None else _dtype_of(dtype, like, "arange"))
    try:
        numbers = [as_number(number) for number in (first, last, step)]
    except TypeError as error:
        raise TypeError(located(f"arange: {error}", callers_location())) from None
    if numbers[2] == 0:
        raise ShapeError(located("arange: a step other than 0 expected", callers_location()))
    whole = all(isinstance(number, int | np.integer) for number in (first, last, step))
    wanted = i64 if whole and dtype is None else _dtype_of(dtype, like, "arange")
    return graph.constant_for("arange", np.arange(first, last, step), wanted)


def eye(
    N: int,  # noqa: N803
    M: int | None = None,  # noqa: N803
    k: int = 0,
    dtype: object = None,
    *,
    like: Any,
) -> Node:
    """A matrix of N rows and M columns, or as many, with 1 on its diagonal number `k`, those above
    the main one being positive, and 0 elsewhere; the rest is as `zeros` has it, and Raises as that
    does.

        identity = gc.eye(3, like=x)
    """
    ones_ = ones((N, N if M is None else M), dtype, like=like)
    return ops.where(ops.equal(_diagonals(ones_), _number(ones_, k, "eye")), ones_, 0)


def tril(x: Any, k: int = 0) -> Node:
    """The matrices of `x` with 0 above diagonal number `k`: x's shape. Raises ShapeError for fewer
    than two axes.

        past = gc.tril(scores)
    """
    return _triangle(x, k, "tril", ops.less_equal)


def triu(x: Any, k: int = 0) -> Node:
    """The matrices of `x` with 0 below diagonal number `k`: x's shape. Raises as `tril` does.

    upper = gc.triu(x, 1)
    """
    return _triangle(x, k, "triu", ops.greater_equal)


def _triangle(x: Any, k: int, name: str, keeps: Any) -> Node:
    check_tensors(name, x)
    if x.rank < 2:
        raise ShapeError(problem_with(name, x, "matrices expected"))
    return ops.where(keeps(_diagonals(x), _number(x, k, name)), x, False if x.dtype.is_bool else 0)


def _diagonals(x: Any) -> Node:
    """The number of the diagonal on which each element of matrices stands: [rows, columns]."""
    row = reshaped(positions(x, x.rank - 2, i64), (x.shape[-2], 1))
    column = reshaped(positions(x, x.rank - 1, i64), (1, x.shape[-1]))
    return column - row


def _number(x: Any, k: Any, name: str) -> int:
    return integer_of(x, k, name)


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
    """The elements of diagonal number `offset` of the matrices along two axes, as a last axis in
    their place. Raises ShapeError for axes that are one, or open.

        trace = gc.sum(gc.diagonal(x))
    """
    one, other = axis_of(x, axis1, "diagonal"), axis_of(x, axis2, "diagonal")
    offset = integer_of(x, offset, "diagonal")
    rows, columns = x.shape[one], x.shape[other]
    if one == other:
        raise ShapeError(problem_with("diagonal", x, "two axes expected"))
    if isinstance(rows, Dim) or isinstance(columns, Dim):
        problem = f"{rows} rows and {columns} columns have no diagonal whatever they are"
        raise ShapeError(problem_with("diagonal", x, problem))
    rest = tuple(axis for axis in range(x.rank) if axis not in (one, other))
    batch: tuple[Extent, ...] = tuple(x.shape[axis] for axis in rest)
    order = (*rest, one, other)
    moved = x if order == tuple(range(x.rank)) else movement.transpose(x, axes=order)
    # One further in a row, one row further: columns + 1 elements.
    start = offset if offset >= 0 else -offset * columns
    count = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    flat = reshaped(moved, (*batch, rows * columns))
    return movement.slice_(
        flat,
        starts=(*(0,) * len(batch), start if count else 0),
        counts=(*batch, count),
        steps=(*(1,) * len(batch), columns + 1),
    )


# --- like what -------------------------------------------------------------------------------


def _graph_of(like: Any) -> Any:
    """The graph `like`, or that of the tensor. Raises TypeError."""
    if is_tensor(like):
        return like.graph
    if hasattr(like, "node_functions"):
        return like
    problem = f"like: a graph or a tensor expected, not {shown(like)}"
    raise TypeError(located(problem, callers_location()))


def _dtype_of(dtype: object, like: Any, name: str) -> DType:
    _graph_of(like)
    if dtype is None:
        return like.dtype if is_tensor(like) else f32
    try:
        return as_dtype(dtype)
    except DTypeError as error:
        raise DTypeError(located(f"{name}: {error}", callers_location())) from None
