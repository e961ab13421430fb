"""Reductions: one combine over some axes, which stay in the result with extent 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.nodes.attributes import AXES
from graphc.ir.nodes.lowering import Composite, Reduction
from graphc.ir.nodes.op import Array, NonDifferentiable, Op, Vjp
from graphc.ir.ops.elementwise.elementwise import cast, equal, stop_gradient, where
from graphc.ir.ops.movement.movement import broadcast_to
from graphc.ir.types import DType, TensorType, check_arithmetic, normalize_axes, u8


def _infer(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    check_arithmetic(x.dtype)
    return _reduced(x, axes)


def _reduced(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    if axes != normalize_axes(axes, x.rank):
        raise ShapeError(f"sorted axes counted from the front expected, not {axes}")
    return x.with_shape(tuple(1 if a in axes else extent for a, extent in enumerate(x.shape)))


def _infer_not_empty(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    """Of an extreme, which bytes have too: none of its steps leaves their range."""
    result = _reduced(x, axes) if x.dtype == u8 else _infer(x, axes)
    if any(x.shape[axis] == 0 for axis in axes):
        raise ShapeError("an extreme of no elements does not exist")
    return result


def reduction(
    name: str,
    reference: Callable[..., Any],
    combine: str,
    identity: Callable[[DType], float | int],
    vjp: Sequence[Vjp],
    infer: Callable[..., TensorType] = _infer,
) -> Op:
    """A reduction: numpy function, combining primitive, neutral element, VJP rule."""

    def apply(result: TensorType, x: Array, axes: tuple[int, ...]) -> Array:
        return np.asarray(reference(x, axis=axes, keepdims=True), dtype=result.dtype.numpy)

    return Op(
        name,
        arity=1,
        attributes={"axes": AXES},
        infer=infer,
        reference=apply,
        vjp=vjp,
        lowering=Reduction(combine, identity),
    )


def lowest(dtype: DType) -> float | int:
    return float("-inf") if dtype.is_float else int(np.iinfo(dtype.numpy).min)


def _highest(dtype: DType) -> float | int:
    return float("inf") if dtype.is_float else int(np.iinfo(dtype.numpy).max)


def route(ct: Any, result: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """The cotangent goes to the extreme element; equal ones share it. NaN where there is none."""
    is_extreme = equal(stop_gradient(x), stop_gradient(result))
    count = sum_(cast(is_extreme, dtype=x.dtype), axes=axes)
    return where(is_extreme, ct / count, 0 / count)


sum_: Op = reduction(
    "sum",
    np.sum,
    "add",
    lambda dtype: 0,
    vjp=[lambda ct, r, x, axes: broadcast_to(ct, shape=x.shape)],
)
# The greatest and the least element, as the kernels' loops find them: of equal zeros of both signs
# either, since to choose in each step takes longer than the step. Expansions use them where that
# makes no difference; what users call is below.
greatest: Op = reduction("greatest", np.max, "maximum", lowest, vjp=[route], infer=_infer_not_empty)
least: Op = reduction("least", np.min, "minimum", _highest, vjp=[route], infer=_infer_not_empty)


def without_negative_zero(x: Any) -> Any:
    """x with 0.0 in the place of -0.0. To add 0.0 changes nothing else, NaN included."""
    return x + 0.0 if x.dtype.is_float else x


def _extreme(name: str, raw: Op) -> Op:
    """`raw` whose zeros are all 0.0, as a sum's are."""

    def apply(result: TensorType, x: Array, axes: tuple[int, ...]) -> Array:
        value = raw.reference(result, x, axes=axes)
        return value + np.zeros((), value.dtype)

    return Op(
        name,
        arity=1,
        attributes={"axes": AXES},
        infer=_infer_not_empty,
        reference=apply,
        vjp=[route],
        lowering=Composite(lambda x, axes: without_negative_zero(raw(x, axes=axes))),
    )


max_: Op = _extreme("max", greatest)
min_: Op = _extreme("min", least)


def _infer_bools(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    if not x.dtype.is_bool:
        raise DTypeError(f"bool expected, not {x.dtype}")
    return _reduced(x, axes)


_NO_SLOPE = NonDifferentiable("its result is not a continuous number")
any_: Op = reduction("any", np.any, "or", lambda dtype: False, vjp=[_NO_SLOPE], infer=_infer_bools)
all_: Op = reduction("all", np.all, "and", lambda dtype: True, vjp=[_NO_SLOPE], infer=_infer_bools)

OPS = (sum_, greatest, least, max_, min_, any_, all_)
