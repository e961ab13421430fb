"""Constructors of ops in scan order: cumulative sums and products, sorting, the greatest k."""

from __future__ import annotations

from typing import Any

from graphc.ir.arguments.checks import axis_of, integer_of, problem_with
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.arguments.given import check_tensors
from graphc.ir.errors import DTypeError
from graphc.ir.functions.arrays.shaping import reshape
from graphc.ir.functions.arrays.taking import indices_along
from graphc.ir.functions.build import cast
from graphc.ir.nodes.op import Node
from graphc.ir.ops import ordered
from graphc.ir.types import as_dtype, i64


def cumsum(x: Any, axis: int | None = None, dtype: object = None) -> Node:
    """x_0 + ... + x_i along `axis`, of x's shape; of all elements in a row for None.

    As in numpy i32, u8 and bools are added up in i64, unless a `dtype` says otherwise. Sums of
    floats are made in blocks where a line is long, so that their error grows with the logarithm of
    its length. Raises ShapeError for an axis that x has not, DTypeError for a dtype without sums.

        totals = gc.cumsum(x, axis=1)
    """
    x, axis = _line(x, axis, "cumsum")
    return ordered.cumsum(_summable(x, dtype, "cumsum"), axis=axis, reverse=False)


def cumprod(x: Any, axis: int | None = None, dtype: object = None) -> Node:
    """x_0 x_1 ... x_i along `axis`, one product after the other; the rest is as `cumsum` has it.

    Its derivative is right where elements are 0 too. Raises as `cumsum` does.

        survival = gc.cumprod(1 - hazard, axis=1)
    """
    x, axis = _line(x, axis, "cumprod")
    return ordered.cumprod(_summable(x, dtype, "cumprod"), axis=axis)


def _line(x: Any, axis: int | None, name: str) -> tuple[Node, int]:
    """The tensor and an axis of it; for None all its elements in a row."""
    check_tensors(name, x)
    if axis is None:
        return reshape(x, -1) if x.rank != 1 else x, 0
    return x, axis_of(x, axis, name)


def _summable(x: Node, dtype: object, name: str) -> Node:
    if dtype is None:
        return x if x.dtype.is_float else cast(x, i64)
    try:
        return cast(x, as_dtype(dtype))
    except DTypeError as error:
        raise DTypeError(problem_with(name, x, str(error))) from None


@checks_flags
def sort(x: Any, axis: int | None = -1, *, descending: bool = False) -> Node:
    """The elements in order along `axis`, of x's shape and dtype; all in a row for None.

    NaN counts as greater than infinity, so it stands at the end, or at the front where the order
    is descending. -0.0 counts as less than 0.0. The derivative goes where an element came from:
    of equal ones to the one that `argsort` names. Raises ShapeError for an axis that x has not.

        ranked = gc.sort(scores, axis=-1)
    """
    x, axis = _line(x, axis, "sort")
    return ordered.sort(x, axis=axis, descending=descending)


@checks_flags
def argsort(x: Any, axis: int | None = -1, *, descending: bool = False) -> Node:
    """The indices (i64) of the elements in order along `axis`, of x's shape; of all elements in a
    row for None.

    Equal elements keep their order, in descending order too, as numpy's stable sort does; zeros of
    both signs are equal, and NaN counts as greater than infinity. Raises ShapeError for an axis
    that x has not. An index has no derivative.

        order = gc.argsort(scores, axis=-1, descending=True)
    """
    x, axis = _line(x, axis, "argsort")
    return ordered.argsort(x, axis=axis, descending=descending)


@checks_flags
def top_k(x: Any, k: int, axis: int = -1, largest: bool = True) -> tuple[Node, Node]:
    """The k greatest elements along `axis`, the greatest first, and their indices (i64): both have
    x's shape with k in the place of the axis. The least k, the least first, unless `largest`.

    They are the first k that `argsort` names, so NaN counts as the greatest, and of equal elements
    the first come first. Raises ShapeError for an axis that x has not, and unless k is from 0 to
    its extent.

        best, labels = gc.top_k(scores, 5)
    """
    axis = axis_of(x, axis, "top_k")
    count = integer_of(x, k, "top_k")
    indices = ordered.top_k(x, axis=axis, descending=largest, k=count)
    return ordered.take_along_axis(x, indices, axis=axis), indices


def take_along_axis(x: Any, indices: Any, axis: int = -1) -> Node:
    """Elements along `axis` chosen by integer `indices`, of their shape, which is x's but for that
    axis: element i of a line is x's element indices[i] of the same line, below 0 from its end.

        ranked = gc.take_along_axis(x, gc.argsort(x), axis=-1)

    Raises ShapeError for other shapes, DTypeError for indices that are no integers, IndexError for
    numbers that are out of range; a tensor's are checked at each run.
    """
    axis = axis_of(x, axis, "take_along_axis")
    given = indices_along(x, indices, axis, "take_along_axis")
    return ordered.take_along_axis(x, given, axis=axis)
