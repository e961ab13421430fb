"""Constructors with numpy's habits, made of the op records: the functions a user calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.arguments.checks import (
    axis_of,
    integer_of,
    problem_with,
)
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.arguments.given import as_array, check_tensors, is_tensor
from graphc.ir.dims import Dim, Extent
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.functions.arrays.shaping import broadcast_to as broadcast_to
from graphc.ir.functions.arrays.shaping import concatenate as concatenate
from graphc.ir.functions.arrays.shaping import expand as expand
from graphc.ir.functions.arrays.shaping import expand_dims as expand_dims
from graphc.ir.functions.arrays.shaping import reshape as reshape
from graphc.ir.functions.arrays.shaping import reshaped as reshaped
from graphc.ir.functions.arrays.shaping import squeeze as squeeze
from graphc.ir.functions.arrays.shaping import transpose as transpose
from graphc.ir.functions.arrays.taking import constant_indices
from graphc.ir.functions.arrays.taking import scatter_add as scatter_add
from graphc.ir.functions.arrays.taking import scatter_set as scatter_set
from graphc.ir.functions.arrays.taking import take as take
from graphc.ir.functions.powers import power as power
from graphc.ir.functions.reductions import all as all
from graphc.ir.functions.reductions import any as any
from graphc.ir.functions.reductions import argmax as argmax
from graphc.ir.functions.reductions import argmin as argmin
from graphc.ir.functions.reductions import log_softmax as log_softmax
from graphc.ir.functions.reductions import logsumexp as logsumexp
from graphc.ir.functions.reductions import max as max
from graphc.ir.functions.reductions import mean as mean
from graphc.ir.functions.reductions import min as min
from graphc.ir.functions.reductions import prod as prod
from graphc.ir.functions.reductions import softmax as softmax
from graphc.ir.functions.reductions import std as std
from graphc.ir.functions.reductions import sum as sum
from graphc.ir.functions.reductions import var as var
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.op import Node
from graphc.ir.ops import composite, contract
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.types import as_dtype


def lift(value: Any, beside: Any) -> Node:
    """`value` itself when it is a node, else a constant of the dtype of the node `beside`."""
    if is_tensor(value):
        return value
    node: Node = beside.graph.constant(value, beside.dtype)
    return node


def cast(x: Any, dtype: object) -> Node:
    """The elements of `x` in `dtype`: x's shape. Floats become integers by dropping the fraction,
    integers keep the bits that fit. A float beyond the integer's range becomes the nearest limit,
    NaN 0.

        whole = gc.cast(x, "i32")

    Raises DTypeError for what is no dtype, TypeError unless `x` is a tensor.
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

        positive = gc.where(x > 0, x, 0.0)
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
    derivative 0 through it. Raises TypeError for what is no tensor.

        target = gc.stop_gradient(value)
    """
    check_tensors("stop_gradient", x)
    return ops.stop_gradient(x)


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Node:
    """x where positive, negative_slope * x elsewhere: floats of any shape. Raises DTypeError for
    others.

        hidden = gc.leaky_relu(x, negative_slope=0.1)
    """
    return ops.leaky_relu(x, slope=negative_slope)


def elu(x: Any, alpha: float = 1.0) -> Node:
    """x where positive, alpha * (exp(x) - 1) elsewhere: floats of any shape.

    Source: Clevert et al., Exponential linear units, 2015. Raises DTypeError for other dtypes.

        hidden = gc.elu(x)
    """
    return ops.elu(x, alpha=alpha)


def maxout(x: Any, pieces: int, axis: int = -1) -> Node:
    """The greatest of each `pieces` neighbours along `axis`, whose extent shrinks by that factor.

    Source: Goodfellow et al., Maxout Networks, 2013. Raises ShapeError when it does not divide.

        hidden = gc.maxout(x, 2)  # [batch, 64] -> [batch, 32]
    """
    axis = axis_of(x, axis, "maxout")
    extent = x.shape[axis]
    pieces = integer_of(x, pieces, "maxout")
    if isinstance(extent, Dim) or pieces < 1 or extent % pieces:
        raise ShapeError(problem_with("maxout", x, f"{pieces} pieces do not divide {extent}"))
    split = (*x.shape[:axis], extent // pieces, pieces, *x.shape[axis + 1 :])
    return max(movement.reshape(x, shape=split), axis + 1)


# --- indices -----------------------------------------------------------------------------------


def pick(x: Any, labels: Any) -> Node:
    """The element of each last-axis vector of `x` that `labels` names: [..., n], [...] -> [...].

        right = gc.pick(scores, labels)

    Raises IndexError for numbers that are out of range; a tensor's are checked at each run.
    """
    check_tensors("pick", x)
    return composite.pick(x, _labels(labels, x))


def gather(x: Any, indices: Any, axis: int = -1) -> Node:
    """One element along `axis` for each position: `indices` has x's shape without `axis`. Raises as
    `pick` does.

        right = gc.gather(scores, labels, axis=1)
    """
    axis = axis_of(x, axis, "gather")
    order = (*(a for a in range(x.rank) if a != axis), axis)
    return pick(transpose(x, order), indices)


def one_hot(labels: Any, num_classes: Extent, dtype: object = "f32") -> Node:
    """1 at the label's position of a new last axis of extent `num_classes`, 0 elsewhere. Raises
    DTypeError for labels that are no integers, IndexError at a run for those out of range.

        targets = gc.one_hot(labels, 10)
    """
    return composite.one_hot(labels, depth=num_classes, dtype=dtype)


def _labels(labels: Any, x: Any) -> Node:
    """Labels of x's last axis given as numbers or an array become an integer constant."""
    if is_tensor(labels):
        return labels
    return constant_indices(x, labels, x.shape[-1] if x.rank else Dim("none"), "pick")


# --- products --------------------------------------------------------------------------------


@checks_flags
def matmul(x: Any, y: Any, transpose_x: bool = False, transpose_y: bool = False) -> Node:
    """The matrix product, sum_k x_ik y_kj, over the last two axes; axes before them are a batch and
    broadcast.

    A vector counts as a row on the left and a column on the right, as in numpy. Raises ShapeError
    when inner extents differ and DTypeError unless both are f32 or both f64.

        hidden = gc.matmul(x, kernel)  # x @ kernel
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
