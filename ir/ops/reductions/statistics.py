"""The variance and the standard deviation, as two passes over the elements."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.ir.errors import DTypeError
from graphc.ir.nodes.attributes import AXES, COUNT
from graphc.ir.nodes.lowering import Composite
from graphc.ir.nodes.op import Array, Op
from graphc.ir.ops.elementwise.elementwise import equal, maximum, sqrt, square, stop_gradient, where
from graphc.ir.ops.reductions.reduce import sum_
from graphc.ir.types import TensorType


def _infer(x: TensorType, axes: tuple[int, ...], ddof: int) -> TensorType:
    if not x.dtype.is_float:
        raise DTypeError(f"f32 or f64 expected, not {x.dtype}; cast first")
    return sum_.infer(x, axes=axes)


def _reference_var(result: TensorType, x: Array, axes: tuple[int, ...], ddof: int) -> Array:
    count = math.prod(x.shape[axis] for axis in axes)
    deviation = x - np.sum(x, axis=axes, keepdims=True) / x.dtype.type(count)
    total = np.sum(np.square(deviation), axis=axes, keepdims=True)
    return np.asarray(total / x.dtype.type(max(count - ddof, 0)))


def _reference_std(result: TensorType, x: Array, axes: tuple[int, ...], ddof: int) -> Array:
    return np.asarray(np.sqrt(_reference_var(result, x, axes, ddof)))


def _deviation(x: Any, axes: tuple[int, ...]) -> Any:
    """x - mean(x)"""
    return x - sum_(x, axes=axes) / x.graph.extent(tuple(x.shape[a] for a in axes), x.dtype)


def _degrees(x: Any, axes: tuple[int, ...], ddof: int) -> Any:
    """The number of elements less `ddof`, or 0."""
    return maximum(x.graph.extent(tuple(x.shape[a] for a in axes), x.dtype) - ddof, 0)


def _expand_var(x: Any, axes: tuple[int, ...], ddof: int) -> Any:
    return sum_(square(_deviation(x, axes)), axes=axes) / _degrees(x, axes, ddof)


def _slope_of_var(ct: Any, x: Any, axes: tuple[int, ...], ddof: int) -> Any:
    """ct times 2 (x - mean(x)) / (n - ddof). That the mean moves too adds nothing: deviations
    from it have the sum 0."""
    return 2 * (ct / _degrees(x, axes, ddof)) * _deviation(x, axes)


def _vjp_std(ct: Any, r: Any, x: Any, axes: tuple[int, ...], ddof: int) -> Any:
    """That of the root, but 0 where all elements are equal, as torch has it."""
    is_zero = equal(stop_gradient(r), 0)
    slope = where(is_zero, 0, ct / (2 * where(is_zero, 1, r)))
    return _slope_of_var(slope, x, axes, ddof)


var: Op = Op(
    "var",
    arity=1,
    attributes={"axes": AXES, "ddof": COUNT},
    infer=_infer,
    reference=_reference_var,
    vjp=[lambda ct, r, x, axes, ddof: _slope_of_var(ct, x, axes, ddof)],
    lowering=Composite(_expand_var),
)

std: Op = Op(
    "std",
    arity=1,
    attributes={"axes": AXES, "ddof": COUNT},
    infer=_infer,
    reference=_reference_std,
    vjp=[_vjp_std],
    lowering=Composite(lambda x, axes, ddof: sqrt(var(x, axes=axes, ddof=ddof))),
)

OPS = (var, std)
