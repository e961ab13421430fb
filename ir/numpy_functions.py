"""numpy's functions of tensors: those that graphc has too, and what to write for the others."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from graphc.ir import build
from graphc.ir.given import is_tensor
from graphc.ir.instead import INSTEAD_OF_FUNCTIONS
from graphc.ir.location import callers_location, located
from graphc.ir.op import Node
from graphc.ir.ops import elementwise as ops


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
    np.logical_and: ops.logical_and, np.logical_or: ops.logical_or,
    np.logical_not: ops.logical_not,
    # Of bools alone, which these ops ask for.
    np.bitwise_and: ops.logical_and, np.bitwise_or: ops.logical_or, np.invert: ops.logical_not,
}  # fmt: skip

NAMES_OF_UFUNCS = frozenset(ufunc.__name__ for ufunc in _UFUNCS)

# By the name of a ufunc's method.
_METHODS = {"reduce": "gc.sum, gc.max and gc.min reduce", "at": "gc.take has a scattered sum"}

# Functions under the names that numpy's arguments have, as far as graphc's mean the same.


def _sum(a: Any, axis: Any = None, *, keepdims: bool = False) -> Node:
    return build.sum(a, axis, keepdims)


def _mean(a: Any, axis: Any = None, *, keepdims: bool = False) -> Node:
    return build.mean(a, axis, keepdims)


def _max(a: Any, axis: Any = None, *, keepdims: bool = False) -> Node:
    return build.max(a, axis, keepdims)


def _min(a: Any, axis: Any = None, *, keepdims: bool = False) -> Node:
    return build.min(a, axis, keepdims)


def _argmax(a: Any, axis: int | None = None, *, keepdims: bool = False) -> Node:
    index: Node = a.argmax(axis, keepdims)
    return index


def _reshape(a: Any, shape: Any) -> Node:
    return build.reshape(a, shape)


def _transpose(a: Any, axes: Any = None) -> Node:
    return build.transpose(a, axes)


def _squeeze(a: Any, axis: Any = None) -> Node:
    return build.squeeze(a, axis)


def _expand_dims(a: Any, axis: int) -> Node:
    return build.expand_dims(a, axis)


def _broadcast_to(array: Any, shape: Any) -> Node:
    return build.broadcast_to(array, shape)


def _concatenate(arrays: Sequence[Any], axis: int = 0) -> Node:
    return build.concatenate(arrays, axis)


def _where(condition: Any, x: Any, y: Any) -> Node:
    return build.where(condition, x, y)


def _take(a: Any, indices: Any, axis: int) -> Node:
    return build.take(a, indices, axis)


def _shape(a: Any) -> Any:
    return a.shape


def _ndim(a: Any) -> Any:
    return a.ndim


_FUNCTIONS: Mapping[Any, Callable[..., Any]] = {
    np.sum: _sum, np.mean: _mean, np.max: _max, np.amax: _max, np.min: _min, np.amin: _min,
    np.argmax: _argmax, np.reshape: _reshape, np.transpose: _transpose, np.squeeze: _squeeze,
    np.expand_dims: _expand_dims, np.broadcast_to: _broadcast_to, np.concatenate: _concatenate,
    np.where: _where, np.take: _take, np.shape: _shape, np.ndim: _ndim,
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


def apply_function(function: Any, given: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """`function(*given, **options)`, one of numpy's, on tensors. Raises TypeError, which says what
    to write instead, for a function that graphc has not, and for arguments that it has not."""
    name = f"{function.__module__.replace('numpy', 'np')}.{function.__name__}"
    found = _FUNCTIONS.get(function)
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
