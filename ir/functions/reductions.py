"""Reductions with numpy's habits, and what is computed along one or several axes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphc.ir.arguments.checks import axes_of, integer_of, problem_with
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.errors import DTypeError
from graphc.ir.functions.arrays.shaping import reshaped, squeeze
from graphc.ir.functions.truth import truth_of
from graphc.ir.nodes.op import Node
from graphc.ir.ops import composite
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement.merging import merge
from graphc.ir.ops.reductions import products, reduce, statistics
from graphc.ir.types import as_dtype, f32, i32, i64

Axis = int | Iterable[int] | None


@checks_flags
def sum(x: Any, axis: Axis = None, keepdims: bool = False, *, dtype: object = None) -> Node:
    """sum x_i over `axis`: an axis, several, or None for all. It is of x's dtype, of bools, whose
    sum is their count, and of bytes an i64, and with `dtype` the sum of x cast to that. Raises
    ShapeError for an axis that x has not, DTypeError for a dtype without sums.

        row_sums = gc.sum(x, axis=1)
    """
    axes = axes_of(x, axis, "sum")
    return _reduced(reduce.sum_, _counted(x, dtype), axes, keepdims)


@checks_flags
def prod(x: Any, axis: Axis = None, keepdims: bool = False, *, dtype: object = None) -> Node:
    """The product of the elements over `axis`, as `sum`; of no elements it is 1. Its derivative is
    that of the formula where elements are 0, too, and so is the second one, which takes time and
    memory that grow with the square of the number of elements. Raises as `sum` does.

        volume = gc.prod(edges, axis=-1)
    """
    axes = axes_of(x, axis, "prod")
    return _reduced(products.prod, _counted(x, dtype), axes, keepdims)


def _counted(x: Any, dtype: object) -> Any:
    """x cast to `dtype`; unless that is given, bools and bytes as i64: their sums and products are
    beyond them."""
    if dtype is not None:
        return ops.cast(x, dtype=as_dtype(dtype))
    return x if x.dtype.has_arithmetic else ops.cast(x, dtype=i64)


@checks_flags
def max(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """The greatest element over `axis`: an axis, several, or None for all; its derivative goes to
    that element, and equal ones share it. Of bools it is `any`. Raises ShapeError for an axis that
    x has not, and for no elements.

        largest = gc.max(x, axis=-1, keepdims=True)
    """
    axes = axes_of(x, axis, "max")
    return _reduced(reduce.any_ if x.dtype.is_bool else reduce.max_, x, axes, keepdims)


@checks_flags
def min(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """The least element over `axis`; of bools it is `all`. The rest is as `max` has it, and Raises
    as that does.

        least = gc.min(x, axis=0)
    """
    axes = axes_of(x, axis, "min")
    return _reduced(reduce.all_ if x.dtype.is_bool else reduce.min_, x, axes, keepdims)


@checks_flags
def any(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """Whether an element over `axis` is True, or for numbers other than 0 (NaN is): bools. False of
    no elements. Raises ShapeError for an axis that x has not.

        has_nan = gc.any(x != x, axis=1)
    """
    axes = axes_of(x, axis, "any")
    return _reduced(reduce.any_, truth_of(x), axes, keepdims)


@checks_flags
def all(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """Whether all elements over `axis` are True, or for numbers other than 0: bools. True of no
    elements. Raises ShapeError for an axis that x has not.

        is_positive = gc.all(x > 0, axis=1)
    """
    axes = axes_of(x, axis, "all")
    return _reduced(reduce.all_, truth_of(x), axes, keepdims)


def _shared(x: Any) -> Any:
    """Bools and bytes as f32: their mean is a share."""
    return x if x.dtype.has_arithmetic else ops.cast(x, dtype=f32)


@checks_flags
def mean(x: Any, axis: Axis = None, keepdims: bool = False, *, dtype: object = None) -> Node:
    """sum x_i / n over `axis`: an axis, several, or None for all; of bools (the share of True) and
    of bytes an f32, with `dtype` the mean of x cast to that. Raises DTypeError for i32 and i64,
    ShapeError for an axis that x has not.

        loss = gc.mean(gc.square(x - y))
    """
    axes = axes_of(x, axis, "mean")
    x = _shared(x) if dtype is None else ops.cast(x, dtype=as_dtype(dtype))
    if not x.dtype.is_float:
        raise DTypeError(problem_with("mean", x, "floats, bytes or bools expected; cast first"))
    total = _reduced(reduce.sum_, x, axes, keepdims)
    return total / x.graph.extent(tuple(x.shape[a] for a in axes), x.dtype)


@checks_flags
def var(
    x: Any,
    axis: Axis = None,
    ddof: int = 0,
    keepdims: bool = False,
    *,
    correction: int | None = None,
) -> Node:
    """sum (x_i - mean)^2 / (n - ddof) over `axis`, in two passes; NaN where n is ddof or less. Of
    bools and of bytes an f32.

    `correction` is another name of `ddof`, that of numpy's array standard and torch. Raises
    DTypeError for i32 and i64, ShapeError for an axis that x has not, TypeError for both names.

        spread = gc.var(x, axis=0, ddof=1)
    """
    axes, ddof = axes_of(x, axis, "var"), _ddof(x, ddof, correction, "var")
    return _without(statistics.var(_shared(x), axes=axes, ddof=ddof), axes, keepdims)


@checks_flags
def std(
    x: Any,
    axis: Axis = None,
    ddof: int = 0,
    keepdims: bool = False,
    *,
    correction: int | None = None,
) -> Node:
    """The square root of `var`; where all elements are equal its derivative is 0. Raises as `var`
    does.

        scaled = (x - gc.mean(x, axis=0)) / gc.std(x, axis=0)
    """
    axes, ddof = axes_of(x, axis, "std"), _ddof(x, ddof, correction, "std")
    return _without(statistics.std(_shared(x), axes=axes, ddof=ddof), axes, keepdims)


def _ddof(x: Any, ddof: int, correction: int | None, name: str) -> int:
    if correction is None:
        return integer_of(x, ddof, name)
    if ddof != 0:
        raise TypeError(problem_with(name, x, "ddof or correction expected, not both"))
    return integer_of(x, correction, name)


def _reduced(op: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Node:
    return _without(op(x, axes=axes) if axes else x, axes, keepdims)


def _without(reduced: Any, axes: tuple[int, ...], keepdims: bool) -> Node:
    return reduced if keepdims else squeeze(reduced, axes)


# --- along axes ------------------------------------------------------------------------------


@checks_flags
def argmax(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """The index (i64) of the greatest element along `axis`, the first where several are equal: x's
    shape without that axis. Along several axes, or all for None, it is that of their elements in
    row-major order, as in numpy. Raises ShapeError for an axis that x has not, and for no elements.

        labels = gc.argmax(scores, axis=-1)
    """
    return _place(composite.argmax, x, axis, keepdims)


@checks_flags
def argmin(x: Any, axis: Axis = None, keepdims: bool = False) -> Node:
    """The index (i64) of the least element along `axis`; the rest is as `argmax` has it, and Raises
    as that does.

        nearest = gc.argmin(distances, axis=-1)
    """
    return _place(composite.argmin, x, axis, keepdims)


def _place(op: Any, x: Any, axis: Axis, keepdims: bool) -> Node:
    axes = axes_of(x, axis, op.name)
    merged = merge(x if x.dtype.has_arithmetic else ops.cast(x, dtype=i32), axes)
    index = op(merged.value, axis=merged.axis)
    kept = tuple(1 if axis in axes else extent for axis, extent in enumerate(x.shape))
    return _without(reshaped(index, kept), axes, keepdims)


@checks_flags
def logsumexp(x: Any, axis: Axis = -1, keepdims: bool = False) -> Node:
    """log(sum(exp(x))) along `axis`, an axis, several, or None for all, without overflow; of
    infinities as the formula says. Raises DTypeError unless x is of floats, ShapeError for an axis
    that x has not.

        normalizer = gc.logsumexp(scores)
    """
    axes = axes_of(x, axis, "logsumexp")
    return _without(composite.logsumexp(x, axes=axes), axes, keepdims)


def softmax(x: Any, axis: Axis = -1) -> Node:
    """exp(x) / sum(exp(x)) along `axis`, an axis, several, or None for all; of x's shape. Raises
    DTypeError unless x is of floats, ShapeError for an axis that x has not.

        probabilities = gc.softmax(scores)
    """
    merged = merge(x, axes_of(x, axis, "softmax"))
    result: Node = merged.split(composite.softmax(merged.value, axis=merged.axis))
    return result


def log_softmax(x: Any, axis: Axis = -1) -> Node:
    """log(softmax(x)) along `axis`, in its stable form, of x's shape. Raises as `softmax` does.

    log_probabilities = gc.log_softmax(scores)
    """
    merged = merge(x, axes_of(x, axis, "log_softmax"))
    result: Node = merged.split(composite.log_softmax(merged.value, axis=merged.axis))
    return result
