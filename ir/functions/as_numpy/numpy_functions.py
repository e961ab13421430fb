"""numpy's functions of tensors: those that graphc has too, and what to write for the others."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from graphc.ir.arguments.given import is_tensor
from graphc.ir.functions import bits, build, einsum, ordering, truth
from graphc.ir.functions.arrays import elements, filling, joining, shaping
from graphc.ir.functions.spatial.padding import pad
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.op import Node
from graphc.ir.nodes.operators.instead import INSTEAD_OF_FUNCTIONS
from graphc.ir.ops.elementwise import bitwise, log_sums, mathematics, rounding
from graphc.ir.ops.elementwise import elementwise as ops


def _matmul(x: Any, y: Any) -> Node:
    return build.matmul(x, y) if is_tensor(x) else build.matmul(build.lift(x, y), y)


# By the ufunc: what makes the node. All take the same operands in the same order.
_UFUNCS: Mapping[np.ufunc, Callable[..., Any]] = {
    np.add: ops.add, np.subtract: ops.subtract, np.multiply: ops.multiply, np.divide: ops.divide,
    np.negative: ops.negate, np.positive: lambda x: x, np.reciprocal: ops.reciprocal,
    np.square: ops.square, np.sqrt: ops.sqrt, np.absolute: ops.absolute, np.sign: ops.sign,
    np.minimum: ops.minimum, np.maximum: ops.maximum, np.power: build.power, np.matmul: _matmul,
    np.exp: ops.exp, np.expm1: ops.expm1, np.log: ops.log, np.log1p: ops.log1p,
    np.sin: ops.sin, np.cos: ops.cos, np.tanh: ops.tanh,
    np.equal: ops.equal, np.not_equal: ops.not_equal, np.less: ops.less,
    np.less_equal: ops.less_equal, np.greater: ops.greater, np.greater_equal: ops.greater_equal,
    np.logical_and: truth.logical_and, np.logical_or: truth.logical_or,
    np.logical_not: truth.logical_not, np.logical_xor: truth.logical_xor,
    np.bitwise_and: bits.bitwise_and, np.bitwise_or: bits.bitwise_or,
    np.bitwise_xor: bits.bitwise_xor, np.invert: bits.invert, np.left_shift: bitwise.left_shift,
    np.right_shift: bitwise.right_shift,
    np.floor: rounding.floor, np.ceil: rounding.ceil, np.trunc: rounding.trunc,
    np.rint: rounding.round_, np.floor_divide: rounding.floor_divide, np.remainder: rounding.mod,
    np.divmod: lambda x, y: (rounding.floor_divide(x, y), rounding.mod(x, y)),
    np.exp2: mathematics.exp2, np.log2: mathematics.log2, np.log10: mathematics.log10,
    np.tan: mathematics.tan, np.sinh: mathematics.sinh, np.cosh: mathematics.cosh,
    np.arcsin: mathematics.asin, np.arccos: mathematics.acos, np.arctan: mathematics.atan,
    np.arcsinh: mathematics.asinh, np.arccosh: mathematics.acosh, np.arctanh: mathematics.atanh,
    np.hypot: mathematics.hypot, np.arctan2: mathematics.atan2,
    np.logaddexp: log_sums.logaddexp, np.logaddexp2: log_sums.logaddexp2,
    np.isnan: elements.isnan, np.isinf: elements.isinf, np.isfinite: elements.isfinite,
}  # fmt: skip

# Ufuncs have names that are not theirs: np.mod is np.remainder, np.asin is np.arcsin.
_ALIASES = {"mod", "asin", "acos", "atan", "asinh", "acosh", "atanh", "atan2"}
NAMES_OF_UFUNCS = frozenset(ufunc.__name__ for ufunc in _UFUNCS) | _ALIASES

# By the name of a ufunc's method.
_METHODS = {
    "reduce": "gc.sum, gc.max and gc.min reduce",
    "at": "gc.scatter_add(x, indices, values)",
}

# Functions under the names that numpy's arguments have, as far as graphc's mean the same.


def _sum(a: Any, axis: Any = None, dtype: object = None, *, keepdims: bool = False) -> Node:
    return build.sum(a, axis, keepdims, dtype=dtype)


def _mean(a: Any, axis: Any = None, dtype: object = None, *, keepdims: bool = False) -> Node:
    return build.mean(a, axis, keepdims, dtype=dtype)


def _max(a: Any, axis: Any = None, *, keepdims: bool = False) -> Node:
    return build.max(a, axis, keepdims)


def _min(a: Any, axis: Any = None, *, keepdims: bool = False) -> Node:
    return build.min(a, axis, keepdims)


def _argmax(a: Any, axis: Any = None, *, keepdims: bool = False) -> Node:
    return build.argmax(a, axis, keepdims)


def _argmin(a: Any, axis: Any = None, *, keepdims: bool = False) -> Node:
    return build.argmin(a, axis, keepdims)


def _prod(a: Any, axis: Any = None, dtype: object = None, *, keepdims: bool = False) -> Node:
    return build.prod(a, axis, keepdims, dtype=dtype)


def _any(a: Any, axis: Any = None, *, keepdims: bool = False) -> Node:
    return build.any(a, axis, keepdims)


def _all(a: Any, axis: Any = None, *, keepdims: bool = False) -> Node:
    return build.all(a, axis, keepdims)


def _var(
    a: Any,
    axis: Any = None,
    *,
    ddof: int = 0,
    keepdims: bool = False,
    correction: int | None = None,
) -> Node:
    return build.var(a, axis, ddof, keepdims, correction=correction)


def _std(
    a: Any,
    axis: Any = None,
    *,
    ddof: int = 0,
    keepdims: bool = False,
    correction: int | None = None,
) -> Node:
    return build.std(a, axis, ddof, keepdims, correction=correction)


def _reshape(a: Any, shape: Any) -> Node:
    return build.reshape(a, shape)


def _transpose(a: Any, axes: Any = None) -> Node:
    return build.transpose(a, axes)


def _squeeze(a: Any, axis: Any = None) -> Node:
    return build.squeeze(a, axis)


def _expand_dims(a: Any, axis: Any) -> Node:
    return build.expand_dims(a, axis)


def _broadcast_to(array: Any, shape: Any) -> Node:
    return build.broadcast_to(array, shape)


def _concatenate(arrays: Sequence[Any], axis: int | None = 0) -> Node:
    return build.concatenate(arrays, axis)


def _where(condition: Any, x: Any, y: Any) -> Node:
    return build.where(condition, x, y)


def _take(a: Any, indices: Any, axis: int | None = None) -> Node:
    return build.take(a, indices, axis)


def _round(a: Any, decimals: int = 0) -> Node:
    return elements.round(a, decimals)


def _nan_to_num(
    x: Any, *, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Node:
    return elements.nan_to_num(x, nan, posinf, neginf)


def _take_along_axis(arr: Any, indices: Any, axis: int = -1) -> Node:
    return ordering.take_along_axis(arr, indices, axis)


def _cumsum(a: Any, axis: int | None = None, dtype: Any = None) -> Node:
    return ordering.cumsum(a, axis, dtype)


def _cumprod(a: Any, axis: int | None = None, dtype: Any = None) -> Node:
    return ordering.cumprod(a, axis, dtype)


def _sort(a: Any, axis: int | None = -1) -> Node:
    return ordering.sort(a, axis)


def _argsort(a: Any, axis: int | None = -1) -> Node:
    return ordering.argsort(a, axis)


def _stack(arrays: Sequence[Any], axis: int = 0) -> Node:
    return joining.stack(arrays, axis)


def _split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Node]:
    return joining.split(ary, indices_or_sections, axis)


def _array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Node]:
    return joining.array_split(ary, indices_or_sections, axis)


def _repeat(a: Any, repeats: Any, axis: int | None = None) -> Node:
    return joining.repeat(a, repeats, axis)


def _tile(A: Any, reps: Any) -> Node:  # noqa: N803
    return joining.tile(A, reps)


def _pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Node:
    return pad(array, pad_width, mode, constant_values)


def _flip(m: Any, axis: Any = None) -> Node:
    return joining.flip(m, axis)


def _roll(a: Any, shift: Any, axis: Any = None) -> Node:
    return joining.roll(a, shift, axis)


def _swapaxes(a: Any, axis1: int, axis2: int) -> Node:
    return shaping.swapaxes(a, axis1, axis2)


def _moveaxis(a: Any, source: Any, destination: Any) -> Node:
    return shaping.moveaxis(a, source, destination)


def _tril(m: Any, k: int = 0) -> Node:
    return filling.tril(m, k)


def _triu(m: Any, k: int = 0) -> Node:
    return filling.triu(m, k)


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Node:
    return filling.diagonal(a, offset, axis1, axis2)


def _outer(a: Any, b: Any) -> Node:
    return einsum.outer(a, b)


def _zeros_like(a: Any, dtype: object = None) -> Node:
    return filling.zeros_like(a, dtype)


def _ones_like(a: Any, dtype: object = None) -> Node:
    return filling.ones_like(a, dtype)


def _full_like(a: Any, fill_value: Any, dtype: object = None) -> Node:
    return filling.full_like(a, fill_value, dtype)


def _shape(a: Any) -> Any:
    return a.shape


def _ndim(a: Any) -> Any:
    return a.ndim


_FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.sum: _sum, np.mean: _mean, np.max: _max, np.amax: _max, np.min: _min, np.amin: _min,
    np.argmax: _argmax, np.reshape: _reshape, np.transpose: _transpose, np.squeeze: _squeeze,
    np.expand_dims: _expand_dims, np.broadcast_to: _broadcast_to, np.concatenate: _concatenate,
    np.where: _where, np.take: _take, np.shape: _shape, np.ndim: _ndim, np.argmin: _argmin,
    np.prod: _prod, np.any: _any, np.all: _all, np.var: _var, np.std: _std, np.stack: _stack,
    np.split: _split, np.array_split: _array_split, np.repeat: _repeat, np.tile: _tile,
    np.pad: _pad, np.flip: _flip, np.roll: _roll, np.swapaxes: _swapaxes, np.moveaxis: _moveaxis,
    np.tril: _tril, np.triu: _triu, np.diagonal: _diagonal, np.outer: _outer,
    np.einsum: einsum.einsum, np.zeros_like: _zeros_like, np.ones_like: _ones_like,
    np.full_like: _full_like,
    np.clip: elements.clip, np.round: _round, np.around: _round,
    np.nan_to_num: _nan_to_num,
    np.take_along_axis: _take_along_axis, np.cumsum: _cumsum, np.cumprod: _cumprod,
    np.sort: _sort, np.argsort: _argsort,
}  # fmt: skip

# Those that make a tensor of no other one, but for the one of their argument `like`.
_CREATIONS: Mapping[Any, Callable[..., Any]] = {
    np.zeros: filling.zeros, np.ones: filling.ones, np.full: filling.full,
    np.arange: filling.arange, np.eye: filling.eye,
}  # fmt: skip


def apply_ufunc(ufunc: Any, method: str, inputs: Sequence[Any], options: Mapping[str, Any]) -> Node:
    """The node for `ufunc(*inputs, **options)`, one of numpy's. Raises TypeError, which says what
    to write instead, for a ufunc that graphc has not, for its methods and for options."""
    name = f"np.{ufunc.__name__}"
    if method != "__call__":
        instead = _METHODS.get(method, "only a call of the ufunc itself makes a tensor")
        _refuse(f"{name}.{method} of a tensor: {instead}")
    found = _UFUNCS.get(ufunc)
    if found is None:
        _refuse(_without_counterpart(name))
    if "out" in options:
        _refuse(f"{name}: a tensor is not written into an array; x = x + y makes another one")
    if options:
        _refuse(f"{name} of a tensor: graphc has no {', '.join(options)}")
    node: Node = found(*inputs)
    return node


def apply_function(
    tensor: Any, function: Any, given: Sequence[Any], options: Mapping[str, Any]
) -> Any:
    """`function(*given, **options)`, one of numpy's, of which `tensor` is an operand, or what the
    result is to be like. Raises TypeError, which says what
    to write instead, for a function that graphc has not, and for arguments that it has not."""
    name = f"{function.__module__.replace('numpy', 'np')}.{function.__name__}"
    found = _FUNCTIONS.get(function)
    if function in _CREATIONS:
        found = functools.partial(_CREATIONS[function], like=tensor)
        # What numpy fills in where nothing is said.
        filled_in = (("order", "C"), ("dtype", float), ("device", None))
        options = {key: value for key, value in options.items() if (key, value) not in filled_in}
    if found is None:
        _refuse(_without_counterpart(name))
    signature = inspect.signature(found)
    try:
        bound = signature.bind(*given, **options)
    except TypeError as error:
        parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
        _refuse(f"{name} of a tensor: {error}; graphc has {name}{inspect.Signature(parameters)}")
    return found(*bound.args, **bound.kwargs)


def _without_counterpart(name: str) -> str:
    instead = INSTEAD_OF_FUNCTIONS.get(name.rpartition(".")[2])
    if instead is None:
        return f"{name}: graphc has no such function of tensors; dir(gc) lists those that it has"
    return f"{name}: graphc has no such function of tensors; instead: {instead}"


def _refuse(problem: str) -> NoReturn:
    raise TypeError(located(problem, callers_location()))
