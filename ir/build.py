"""Constructors with numpy's habits, made of the op records: the functions a user calls."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.ir.dims import Dim, Extent, quotient_of
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.given import as_array, as_integer, check_tensors, is_tensor, shown
from graphc.ir.location import callers_location, located
from graphc.ir.ops import composite, contract, movement, reduce
from graphc.ir.ops import elementwise as ops
from graphc.ir.types import (
    Shape,
    as_dtype,
    as_shape,
    each_of,
    f32,
    i64,
    is_several,
    normalize_axes,
    normalize_axis,
    shape_text,
)

if TYPE_CHECKING:
    from graphc.ir.graph import Node

Axis = int | Iterable[int] | None


def lift(value: Any, beside: Any) -> Node:
    """`value` itself when it is a node, else a constant of the dtype of the node `beside`."""
    if is_tensor(value):
        return value
    node: Node = beside.graph.constant(value, beside.dtype)
    return node


def power(x: Any, y: Any) -> Node:
    """x ** y elementwise; an exponent of 2, 3 or 4 becomes squares and a product, -1 a reciprocal.

    Products are rounded one by one, within 3 ULP for x ** 4, and thirty times as fast as a power.
    """
    if not is_tensor(y):
        check_tensors("power", x)
    if isinstance(y, int | float) and y == 2:
        return ops.square(x)
    if isinstance(y, int | float) and y == 3:
        return x * ops.square(x)
    if isinstance(y, int | float) and y == 4:
        return ops.square(ops.square(x))
    if isinstance(y, int | float) and y == -1:
        return ops.reciprocal(x)
    return ops.power(x, y)


def cast(x: Any, dtype: object) -> Node:
    """The elements converted to `dtype`: floats become integers by dropping the fraction, integers
    keep the bits that fit. A float beyond the integer's range becomes the nearest limit, NaN 0.
    """
    check_tensors("cast", x)
    try:
        wanted = as_dtype(dtype)
    except DTypeError as error:
        raise DTypeError(problem_with("cast", x, str(error))) from None
    return x if x.dtype == wanted else ops.cast(x, dtype=wanted)


def where(condition: Any, x: Any, y: Any) -> Node:
    """`x` where `condition`, a tensor or an array of bools, holds, `y` elsewhere.

    A number takes the dtype of the tensor beside it; two numbers become a constant's dtype: f32
    for floats. Raises DTypeError where the condition is one bool of Python, which a mistaken
    comparison gives.
    """
    if is_tensor(condition) and not (is_tensor(x) or is_tensor(y)):
        x = condition.graph.constant(_of_common_dtype(x, y))
    return ops.where(condition, x, y)


def _of_common_dtype(x: Any, y: Any) -> Any:
    """`x` in the dtype that numpy finds for both."""
    try:
        first, second = as_array(x), as_array(y)
    except (TypeError, ValueError) as error:
        raise DTypeError(located(f"where: {error}", callers_location())) from None
    return np.asarray(first, np.result_type(first, second))


def stop_gradient(x: Any) -> Node:
    """x itself, of x's shape and dtype, as a constant for derivatives: what it is made of has the
    derivative 0 through it. Raises TypeError for what is no tensor."""
    check_tensors("stop_gradient", x)
    return ops.stop_gradient(x)


def leaky_relu(x: Any, slope: float = 0.01) -> Node:
    """x where positive, slope * x elsewhere."""
    return ops.leaky_relu(x, slope=slope)


def elu(x: Any, alpha: float = 1.0) -> Node:
    """x where positive, alpha * (exp(x) - 1) elsewhere."""
    return ops.elu(x, alpha=alpha)


def maxout(x: Any, pieces: int, axis: int = -1) -> Node:
    """The greatest of each `pieces` neighbours along `axis`, whose extent shrinks by that factor.

    Source: Goodfellow et al., Maxout Networks, 2013. Raises ShapeError when it does not divide.
    """
    axis = _axis(x, axis, "maxout")
    extent = x.shape[axis]
    pieces = _integer(x, pieces, "maxout")
    if isinstance(extent, Dim) or pieces < 1 or extent % pieces:
        raise ShapeError(problem_with("maxout", x, f"{pieces} pieces do not divide {extent}"))
    split = (*x.shape[:axis], extent // pieces, pieces, *x.shape[axis + 1 :])
    return max(movement.reshape(x, shape=split), axis + 1)


# --- reductions ------------------------------------------------------------------------------


def sum(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """The sum over `axis`: an axis, several, or None for all; of bools their count, an i64."""
    if is_tensor(x) and x.dtype.is_bool:
        x = ops.cast(x, dtype=i64)
    return _reduce(reduce.sum_, x, axis, keepdims)


def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """The greatest element over `axis`; its derivative goes to that element."""
    return _reduce(reduce.max_, x, axis, keepdims)


def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """The least element over `axis`; its derivative goes to that element."""
    return _reduce(reduce.min_, x, axis, keepdims)


def mean(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """The arithmetic mean over `axis`: an axis, several, or None for all; of bools the share of
    True, an f32. Raises DTypeError for integers."""
    axes = _axes(x, axis, "mean")
    if x.dtype.is_bool:
        x = ops.cast(x, dtype=f32)
    if not x.dtype.is_float:
        raise DTypeError(problem_with("mean", x, "floats or bools expected; cast first"))
    total = sum(x, axes, keepdims)
    return total / x.graph.extent(tuple(x.shape[a] for a in axes), x.dtype)


def _reduce(op: Any, x: Any, axis: Axis, keepdims: bool) -> Node:
    axes = _axes(x, axis, op.name)
    reduced: Node = op(x, axes=axes) if axes else x
    return reduced if keepdims else squeeze(reduced, axes)


def argmax(x: Any, axis: int = -1, keepdims: bool = False) -> Node:
    """The index (i64) of the greatest element along `axis`, the first where several are equal."""
    axis = _axis(x, axis, "argmax")
    index = composite.argmax(x, axis=axis)
    return index if keepdims else squeeze(index, (axis,))


def logsumexp(x: Any, axis: int = -1, keepdims: bool = False) -> Node:
    """log(sum(exp(x))) along `axis` without overflow; of infinities as the formula says."""
    axis = _axis(x, axis, "logsumexp")
    value = composite.logsumexp(x, axes=(axis,))
    return value if keepdims else squeeze(value, (axis,))


def softmax(x: Any, axis: int = -1) -> Node:
    """exp(x) / sum(exp(x)) along `axis`."""
    return composite.softmax(x, axis=_axis(x, axis, "softmax"))


def log_softmax(x: Any, axis: int = -1) -> Node:
    """log(softmax(x)) along `axis`, in its stable form."""
    return composite.log_softmax(x, axis=_axis(x, axis, "log_softmax"))


# --- shapes ----------------------------------------------------------------------------------


def reshape(x: Any, shape: Any) -> Node:
    """The same elements in row-major order; one extent may be -1.

    Raises ShapeError when the number of elements differs.
    """
    check_tensors("reshape", x)
    wanted: list[Any] = list(shape) if is_several(shape) else [shape]
    missing = [position for position, extent in enumerate(wanted) if _is_missing(extent)]
    if len(missing) > 1:
        raise ShapeError(problem_with("reshape", x, "only one extent may be -1"))
    if missing:
        rest = _shape(x, [extent for extent in wanted if not _is_missing(extent)], "reshape")
        extent = quotient_of(math.prod(x.shape), math.prod(rest))
        if extent is None:
            raise ShapeError(problem_with("reshape", x, f"no extent completes {shape_text(rest)}"))
        wanted[missing[0]] = extent
    return reshaped(x, _shape(x, wanted, "reshape"))


def _is_missing(extent: Any) -> bool:
    return isinstance(extent, int | np.integer) and extent == -1


def reshaped(x: Any, shape: Shape) -> Node:
    """`x` in a shape that is known to fit."""
    return x if shape == x.shape else movement.reshape(x, shape=shape)


def squeeze(x: Any, axes: Axis = None) -> Node:
    """`x` without `axes`, an axis or several: all whose extent is 1 unless given.

    Raises ShapeError for an axis whose extent is not 1.
    """
    if axes is None:
        check_tensors("squeeze", x)
        return reshaped(x, tuple(extent for extent in x.shape if extent != 1))
    dropped = _axes(x, axes, "squeeze")
    for axis in dropped:
        if x.shape[axis] != 1:
            raise ShapeError(
                problem_with("squeeze", x, f"axis {axis} has the extent {x.shape[axis]}")
            )
    return reshaped(x, tuple(e for axis, e in enumerate(x.shape) if axis not in dropped))


def expand_dims(x: Any, axis: int) -> Node:
    """`x` with a new axis of extent 1 at position `axis` of the result."""
    axis = _new_axis(x, axis, "expand_dims")
    return reshaped(x, (*x.shape[:axis], 1, *x.shape[axis:]))


def transpose(x: Any, axes: Sequence[int] | None = None) -> Node:
    """The axes permuted; reversed when none are named."""
    check_tensors("transpose", x)
    if axes is None:
        order = tuple(range(x.rank))[::-1]
    else:
        order = tuple(_axis(x, axis, "transpose") for axis in each_of(axes))
    return x if order == tuple(range(x.rank)) else movement.transpose(x, axes=order)


def broadcast_to(x: Any, shape: Any) -> Node:
    """`x` stretched to `shape`: aligned at the right, extents of 1 repeated."""
    wanted = _shape(x, shape, "broadcast_to")
    return x if wanted == x.shape else movement.broadcast_to(x, shape=wanted)


def expand(x: Any, axis: int, extent: Any) -> Node:
    """`x` repeated `extent` times along a new axis at position `axis`."""
    axis = _new_axis(x, axis, "expand")
    column = expand_dims(x, axis)
    (wanted,) = _shape(x, (extent,), "expand")
    return broadcast_to(column, (*column.shape[:axis], wanted, *column.shape[axis + 1 :]))


def concatenate(tensors: Sequence[Any], axis: int = 0) -> Node:
    """The tensors one after the other along `axis`; their other extents are equal."""
    if not is_several(tensors):
        problem = f"concatenate: several tensors in a list expected, not {shown(tensors)}"
        raise TypeError(located(problem, callers_location()))
    given = list(tensors)
    if not given:
        raise ShapeError("concatenate: at least one tensor expected")
    first = next((x for x in given if is_tensor(x)), None)
    if first is None:
        raise TypeError("concatenate: no operand is a tensor of a graph")
    return movement.concatenate(*given, axis=_axis(first, axis, "concatenate"))


def take(x: Any, indices: Any, axis: int = 0) -> Node:
    """Slices of `x` along `axis` chosen by integer `indices`, whose axes replace it.

    Raises IndexError for numbers that are out of range; a tensor's are checked at each run.
    """
    axis = _axis(x, axis, "take")
    return movement.take(x, lift_index(indices, x, axis, "take"), axis=axis)


def pick(x: Any, labels: Any) -> Node:
    """The element of each last-axis vector of `x` that `labels` names: [..., n], [...] -> [...].

    Raises IndexError for numbers that are out of range; a tensor's are checked at each run.
    """
    check_tensors("pick", x)
    return composite.pick(x, lift_index(labels, x, x.rank - 1, "pick"))


def gather(x: Any, indices: Any, axis: int = -1) -> Node:
    """One element along `axis` for each position: `indices` has x's shape without `axis`."""
    axis = _axis(x, axis, "gather")
    order = (*(a for a in range(x.rank) if a != axis), axis)
    return pick(transpose(x, order), indices)


def one_hot(labels: Any, depth: Extent, dtype: object = "f32") -> Node:
    """1 at the label's position of a new last axis of extent `depth`, 0 elsewhere."""
    return composite.one_hot(labels, depth=depth, dtype=dtype)


def lift_index(indices: Any, x: Any, axis: int, name: str) -> Node:
    """Indices of `axis` given as numbers or an array become an integer constant."""
    if is_tensor(indices):
        return indices
    try:
        array = as_array(indices)
    except (TypeError, ValueError) as error:
        raise DTypeError(problem_with(name, x, str(error))) from None
    if array.size == 0:
        # An empty list is float to numpy.
        return x.graph.constant(array, "i64")
    if array.dtype.kind not in "iu":
        # A fraction stays one, for the op to refuse.
        return x.graph.constant(array)
    extent = x.shape[axis] if x.rank else None
    if isinstance(extent, int) and not (array.min() >= 0 and array.max() < extent):
        wrong = next(i for i in array.flat if not 0 <= i < extent)
        raise IndexError(problem_with(name, x, f"index {wrong} is outside 0 to {extent - 1}"))
    return x.graph.constant(array, "i64")


# --- products --------------------------------------------------------------------------------


def matmul(x: Any, y: Any, transpose_x: bool = False, transpose_y: bool = False) -> Node:
    """The matrix product over the last two axes; axes before them are a batch and broadcast.

    A vector counts as a row on the left and a column on the right, as in numpy. Raises ShapeError
    when inner extents differ and DTypeError unless both are f32 or both f64.
    """
    if not is_tensor(y):
        check_tensors("matmul", x)
    x, y = lift(x, y), lift(y, x)
    left = expand_dims(x, 0) if x.rank == 1 else x
    right = expand_dims(y, 1) if y.rank == 1 else y
    product = contract.matmul(
        left,
        right,
        transpose_x=transpose_x and x.rank > 1,
        transpose_y=transpose_y and y.rank > 1,
    )
    drop = [product.rank - 2] if x.rank == 1 else []
    drop += [product.rank - 1] if y.rank == 1 else []
    return squeeze(product, drop)


# --- messages --------------------------------------------------------------------------------


def _integer(x: Any, value: Any, name: str) -> int:
    try:
        return as_integer(value)
    except TypeError as error:
        raise ShapeError(problem_with(name, x, str(error))) from None


def _axis(x: Any, axis: int, name: str) -> int:
    check_tensors(name, x)
    try:
        return normalize_axis(axis, x.rank)
    except ShapeError as error:
        raise ShapeError(problem_with(name, x, str(error))) from None


def _new_axis(x: Any, axis: int, name: str) -> int:
    check_tensors(name, x)
    try:
        return normalize_axis(axis, x.rank + 1)
    except ShapeError as error:
        raise ShapeError(problem_with(name, x, str(error))) from None


def _shape(x: Any, extents: Any, name: str) -> Shape:
    check_tensors(name, x)
    try:
        return as_shape(extents)
    except ShapeError as error:
        raise ShapeError(problem_with(name, x, str(error))) from None


def _axes(x: Any, axis: Axis, name: str) -> tuple[int, ...]:
    check_tensors(name, x)
    try:
        return normalize_axes(axis, x.rank)
    except ShapeError as error:
        raise ShapeError(problem_with(name, x, str(error))) from None


def problem_with(name: str, x: Any, problem: str) -> str:
    """What is said of `x` in function `name`, with the user's line."""
    return located(f"{name}({x.type}): {problem}", callers_location())
