"""Python's operators on nodes, by way of the constructors in `build`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.ir import build
from graphc.ir.ops import elementwise as ops

if TYPE_CHECKING:
    from graphc.ir.graph import Node


class Operators:
    """The operators that Node inherits. Comparisons are elementwise, `==` and `!=` among them;
    `is` asks for identity, and so does the hash."""

    # Leaves `array + tensor` to the tensor: numpy would apply it to each number of the array.
    __array_ufunc__ = None

    def __add__(self, other: Any) -> Node:
        return ops.add(self, other)

    def __radd__(self, other: Any) -> Node:
        return ops.add(other, self)

    def __sub__(self, other: Any) -> Node:
        return ops.subtract(self, other)

    def __rsub__(self, other: Any) -> Node:
        return ops.subtract(other, self)

    def __mul__(self, other: Any) -> Node:
        return ops.multiply(self, other)

    def __rmul__(self, other: Any) -> Node:
        return ops.multiply(other, self)

    def __truediv__(self, other: Any) -> Node:
        return ops.divide(self, other)

    def __rtruediv__(self, other: Any) -> Node:
        return ops.divide(other, self)

    def __pow__(self, other: Any) -> Node:
        return build.power(self, other)

    def __rpow__(self, other: Any) -> Node:
        return ops.power(other, self)

    def __neg__(self) -> Node:
        return ops.negate(self)

    def __abs__(self) -> Node:
        return ops.absolute(self)

    def __matmul__(self, other: Any) -> Node:
        return build.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Node:
        return build.matmul(build.lift(other, self), self)

    # What defines == has no hash unless it says so.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Node:  # type: ignore[override]
        return NotImplemented if _compares_itself(other) else ops.equal(self, other)

    def __ne__(self, other: object) -> Node:  # type: ignore[override]
        return NotImplemented if _compares_itself(other) else ops.not_equal(self, other)

    def __lt__(self, other: Any) -> Node:
        return ops.less(self, other)

    def __le__(self, other: Any) -> Node:
        return ops.less_equal(self, other)

    def __gt__(self, other: Any) -> Node:
        return ops.greater(self, other)

    def __ge__(self, other: Any) -> Node:
        return ops.greater_equal(self, other)

    def __and__(self, other: Any) -> Node:
        return ops.logical_and(self, other)

    def __rand__(self, other: Any) -> Node:
        return ops.logical_and(other, self)

    def __or__(self, other: Any) -> Node:
        return ops.logical_or(self, other)

    def __ror__(self, other: Any) -> Node:
        return ops.logical_or(other, self)

    def __invert__(self) -> Node:
        return ops.logical_not(self)

    def __getitem__(self, key: Any) -> Node:
        return build.index(self, key)

    def __bool__(self) -> bool:
        raise TypeError(
            "a tensor has no truth value while the graph is declared; use where(condition, x, y), "
            "and `is` to ask whether two names are the same tensor"
        )

    def __iter__(self) -> Any:
        raise TypeError("a tensor cannot be iterated over while the graph is declared; index it")

    @property
    def T(self) -> Node:  # noqa: N802
        """The tensor with its axes reversed."""
        return build.transpose(self)

    def reshape(self, *shape: Any) -> Node:
        """The same elements in row-major order; one extent may be -1."""
        return build.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: int) -> Node:
        """The axes permuted; reversed when none are named."""
        return build.transpose(self, axes or None)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Node:
        """The sum over `axis`: an axis, several, or None for all."""
        return build.sum(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Node:
        """The mean over `axis`: an axis, several, or None for all."""
        return build.mean(self, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Node:
        """The greatest element over `axis`: an axis, several, or None for all."""
        return build.max(self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Node:
        """The least element over `axis`: an axis, several, or None for all."""
        return build.min(self, axis, keepdims)

    def astype(self, dtype: object) -> Node:
        """The elements converted to `dtype`."""
        return build.cast(self, dtype)


def _compares_itself(other: object) -> bool:
    """Whether `other` is of a foreign class that may know how to compare itself with a tensor. What
    Python brings along does not: None and text are refused like any operand that is no number."""
    if isinstance(other, Operators | np.ndarray | np.generic):
        return False
    kind = type(other)
    return kind.__module__ != "builtins" and kind.__eq__ is not object.__eq__
