"""What a numpy array can do and a tensor can too; and why it cannot do the rest."""

from __future__ import annotations

import math
from typing import Any, NoReturn, Self

from graphc.ir.dims import Dim, Extent
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.operators.instead import INSTEAD_OF_FUNCTIONS, NO_VALUE

_DERIVATIVES = "gc.grad(loss, parameters) makes derivatives, and an optimizer's updates a step"
_CASTS = "x.astype(dtype) converts"
# By the name of an attribute of arrays in numpy or torch: what stands for it here.
_INSTEAD = {
    "item": NO_VALUE, "tolist": NO_VALUE, "numpy": NO_VALUE, "data": NO_VALUE,
    "backward": _DERIVATIVES, "grad": _DERIVATIVES,
    "requires_grad": "a parameter is declared as graph.parameter(name, shape)",
    "detach": "gc.stop_gradient(x) is a constant for derivatives",
    "view": "x.reshape(shape) is the same elements in another shape",
    "permute": "x.transpose(axes) permutes axes",
    "unsqueeze": "gc.expand_dims(x, axis) adds an axis",
    "dim": "x.ndim is the number of axes",
    "to": _CASTS, "type": _CASTS, "float": _CASTS, "double": _CASTS, "int": _CASTS, "long": _CASTS,
    "mm": "gc.matmul(x, y), or x @ y, is the product",
    "sort": "gc.sort(x, axis) is another tensor, whose elements are in order",
    "topk": "gc.top_k(x, k) has the greatest elements and their indices",
    "copy": "a tensor never changes, so it needs no copy",
    "clone": "a tensor never changes, so it needs no copy",
}  # fmt: skip
_FUNCTIONS = {"relu", "sigmoid", "softplus", "softmax", "log_softmax", "logsumexp", "expand_dims"}


class ArrayMethods:
    """The attributes and methods of numpy's arrays that are a line of graphc's functions; numpy's
    own functions of a tensor; and refusals, each with what to write instead."""

    graph: Any

    @property
    def T(self) -> Self:  # noqa: N802
        """The tensor with its axes reversed."""
        return self.graph.node_functions.transpose(self)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(_shape(self))

    @property
    def size(self) -> Extent:
        """The number of elements, which is open where an extent is."""
        return math.prod(_shape(self))

    def reshape(self, *shape: Any) -> Self:
        """The same elements in row-major order; one extent may be -1."""
        return self.graph.node_functions.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Self:
        """The axes permuted; reversed when none are named."""
        order = axes[0] if len(axes) == 1 else axes
        return self.graph.node_functions.transpose(self, order or None)

    def squeeze(self, axis: Any = None) -> Self:
        """The tensor without the axes `axis`, of extent 1: all such unless given."""
        return self.graph.node_functions.squeeze(self, axis)

    def ravel(self) -> Self:
        """All elements in one axis, in row-major order."""
        return self.graph.node_functions.reshape(self, -1)

    def flatten(self) -> Self:
        """All elements in one axis, in row-major order."""
        return self.graph.node_functions.reshape(self, -1)

    def sum(self, axis: Any = None, keepdims: bool = False, *, dtype: object = None) -> Self:
        """The sum over `axis`: an axis, several, or None for all; of bools their count."""
        return self.graph.node_functions.sum(self, axis, keepdims, dtype=dtype)

    def mean(self, axis: Any = None, keepdims: bool = False, *, dtype: object = None) -> Self:
        """The mean over `axis`: an axis, several, or None for all; of bools the share of True."""
        return self.graph.node_functions.mean(self, axis, keepdims, dtype=dtype)

    def max(self, axis: Any = None, keepdims: bool = False) -> Self:
        """The greatest element over `axis`: an axis, several, or None for all."""
        return self.graph.node_functions.max(self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Self:
        """The least element over `axis`: an axis, several, or None for all."""
        return self.graph.node_functions.min(self, axis, keepdims)

    def prod(self, axis: Any = None, keepdims: bool = False, *, dtype: object = None) -> Self:
        """The product over `axis`: an axis, several, or None for all."""
        return self.graph.node_functions.prod(self, axis, keepdims, dtype=dtype)

    def any(self, axis: Any = None, keepdims: bool = False) -> Self:
        """Whether an element over `axis`, an axis, several, or None for all, is True or not 0."""
        return self.graph.node_functions.any(self, axis, keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Self:
        """Whether all elements over `axis`, an axis, several, or None for all, are."""
        return self.graph.node_functions.all(self, axis, keepdims)

    def var(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Self:
        """The variance over `axis`, an axis, several, or None for all: a sum over n - ddof."""
        return self.graph.node_functions.var(self, axis, ddof, keepdims)

    def std(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Self:
        """The root of the variance."""
        return self.graph.node_functions.std(self, axis, ddof, keepdims)

    def argmax(self, axis: Any = None, keepdims: bool = False) -> Self:
        """The index (i64) of the greatest element along `axis`, of all elements for None."""
        return self.graph.node_functions.argmax(self, axis, keepdims)

    def argmin(self, axis: Any = None, keepdims: bool = False) -> Self:
        """The index (i64) of the least element along `axis`, of all elements for None."""
        return self.graph.node_functions.argmin(self, axis, keepdims)

    def repeat(self, repeats: Any, axis: int | None = None) -> Self:
        """Each slice along `axis`, or each element, so many times in a row."""
        return self.graph.node_functions.repeat(self, repeats, axis)

    def swapaxes(self, axis1: int, axis2: int) -> Self:
        """The tensor with two axes in each other's place."""
        return self.graph.node_functions.swapaxes(self, axis1, axis2)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Self:
        """A diagonal of the matrices along two axes, as a last axis in their place."""
        return self.graph.node_functions.diagonal(self, offset, axis1, axis2)

    def argsort(self, axis: int | None = -1, *, descending: bool = False) -> Self:
        """The indices (i64) of the elements in order along `axis`, of all elements for None."""
        return self.graph.node_functions.argsort(self, axis, descending=descending)

    def cumsum(self, axis: int | None = None, dtype: object = None) -> Self:
        """The sum of each element and those before it along `axis`, of all elements for None."""
        return self.graph.node_functions.cumsum(self, axis, dtype)

    def cumprod(self, axis: int | None = None, dtype: object = None) -> Self:
        """The product of each element and those before it along `axis`, of all for None."""
        return self.graph.node_functions.cumprod(self, axis, dtype)

    def take(self, indices: Any, axis: int | None = None) -> Self:
        """Slices along `axis` chosen by integer `indices`, whose axes replace it; elements in
        row-major order for None."""
        return self.graph.node_functions.take(self, indices, axis)

    def clip(self, min: Any = None, max: Any = None) -> Self:
        """Elements below `min` become that, those above `max` become that; None is no limit."""
        return self.graph.node_functions.clip(self, min, max)

    def round(self, decimals: int = 0) -> Self:
        """The elements rounded to so many decimals."""
        return self.graph.node_functions.round(self, decimals)

    def astype(self, dtype: object) -> Self:
        """The elements converted to `dtype`."""
        return self.graph.node_functions.cast(self, dtype)

    def __round__(self, digits: Any = None) -> Self:
        return self.graph.node_functions.round(self, digits or 0)

    def __floor__(self) -> Self:
        return self.graph.node_functions.floor(self)

    def __ceil__(self) -> Self:
        return self.graph.node_functions.ceil(self)

    def __trunc__(self) -> Self:
        return self.graph.node_functions.trunc(self)

    # --- numpy's functions -------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Self:
        return self.graph.node_functions.apply_ufunc(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, _: Any, given: Any, options: Any) -> Any:
        return self.graph.node_functions.apply_function(self, function, given, options)

    # --- what a tensor cannot do -------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        _refuse(NO_VALUE)

    def __float__(self) -> NoReturn:
        _refuse(f"{NO_VALUE}; and gc.exp takes tensors, which math.exp does not")

    __int__ = __complex__ = __float__

    def __index__(self) -> NoReturn:
        _refuse(f"{NO_VALUE}; gc.take and gc.pick index by a tensor, extents are in x.shape")

    def __format__(self, specification: str) -> str:
        if specification:
            _refuse(NO_VALUE)
        return str(self)

    def __bool__(self) -> bool:
        _refuse(
            "a tensor has no truth value while the graph is declared; choose with "
            "gc.where(condition, x, y), combine conditions by &, | and ~, take the greater of two "
            "by gc.maximum, and ask with `is` whether two names are the same tensor"
        )

    def __len__(self) -> int:
        shape = _shape(self)
        if not shape:
            _refuse("a scalar has no length")
        if isinstance(shape[0], Dim):
            _refuse(f"the first extent, {shape[0]}, is open; x.shape[0] is calculated with")
        return int(shape[0])

    def __iter__(self) -> Any:
        _refuse(
            "a tensor cannot be iterated over while the graph is declared; x[i] is a part of it, "
            "and gc.sum(x), gc.max(x) and the like go over its elements"
        )

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        _refuse(
            "a tensor never changes; gc.where(condition, value, x) and gc.scatter_set(x, indices, "
            "values) make another one, and the updates of a function give states new values"
        )

    def __getattr__(self, name: str) -> Any:
        instead = _INSTEAD.get(name, INSTEAD_OF_FUNCTIONS.get(name))
        if name in self.graph.node_functions.NAMES_OF_UFUNCS or name in _FUNCTIONS:
            instead = f"gc.{name}(x) is a function"
        problem = f"a tensor has no attribute {name!r}"
        raise AttributeError(problem if instead is None else f"{problem}; {instead}")


def _shape(x: Any) -> tuple[Extent, ...]:
    shape: tuple[Extent, ...] = x.shape
    return shape


def _refuse(problem: str) -> NoReturn:
    raise TypeError(located(problem, callers_location()))
