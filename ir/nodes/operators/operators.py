"""Python's operators on nodes, by way of the functions that their graph knows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from graphc.ir.errors import DTypeError
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.operators.array_methods import ArrayMethods


class Operators(ArrayMethods):
    """The operators that Node inherits, and the methods of arrays. Comparisons are elementwise,
    `==` and `!=` among them; `is` asks for identity, and so does the hash."""

    number: int

    def __add__(self, other: Any) -> Self:
        return self.graph.node_functions.add(self, other)

    def __radd__(self, other: Any) -> Self:
        return self.graph.node_functions.add(other, self)

    def __sub__(self, other: Any) -> Self:
        return self.graph.node_functions.subtract(self, other)

    def __rsub__(self, other: Any) -> Self:
        return self.graph.node_functions.subtract(other, self)

    def __mul__(self, other: Any) -> Self:
        return self.graph.node_functions.multiply(self, other)

    def __rmul__(self, other: Any) -> Self:
        return self.graph.node_functions.multiply(other, self)

    def __truediv__(self, other: Any) -> Self:
        return self.graph.node_functions.divide(self, other)

    def __rtruediv__(self, other: Any) -> Self:
        return self.graph.node_functions.divide(other, self)

    def __pow__(self, other: Any) -> Self:
        return self.graph.node_functions.power(self, other)

    def __rpow__(self, other: Any) -> Self:
        return self.graph.node_functions.power(other, self)

    def __neg__(self) -> Self:
        return self.graph.node_functions.negate(self)

    def __pos__(self) -> Self:
        return self

    def __abs__(self) -> Self:
        return self.graph.node_functions.absolute(self)

    def __matmul__(self, other: Any) -> Self:
        return self.graph.node_functions.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Self:
        return self.graph.node_functions.matmul(self.graph.node_functions.lift(other, self), self)

    # A node is what its graph has under its number, in copies of the graph too.

    def __copy__(self) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _node_of, (self.graph, self.number)

    # What defines == has no hash unless it says so.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> Self:  # type: ignore[override]
        return _compared(self.graph.node_functions.equal, self, other)

    def __ne__(self, other: object) -> Self:  # type: ignore[override]
        return _compared(self.graph.node_functions.not_equal, self, other)

    def __lt__(self, other: Any) -> Self:
        return self.graph.node_functions.less(self, other)

    def __le__(self, other: Any) -> Self:
        return self.graph.node_functions.less_equal(self, other)

    def __gt__(self, other: Any) -> Self:
        return self.graph.node_functions.greater(self, other)

    def __ge__(self, other: Any) -> Self:
        return self.graph.node_functions.greater_equal(self, other)

    def __and__(self, other: Any) -> Self:
        return self.graph.node_functions.bitwise_and(self, other)

    def __rand__(self, other: Any) -> Self:
        return self.graph.node_functions.bitwise_and(other, self)

    def __or__(self, other: Any) -> Self:
        return self.graph.node_functions.bitwise_or(self, other)

    def __ror__(self, other: Any) -> Self:
        return self.graph.node_functions.bitwise_or(other, self)

    def __xor__(self, other: Any) -> Self:
        return self.graph.node_functions.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Self:
        return self.graph.node_functions.bitwise_xor(other, self)

    def __invert__(self) -> Self:
        return self.graph.node_functions.invert(self)

    def __lshift__(self, other: Any) -> Self:
        return self.graph.node_functions.left_shift(self, other)

    def __rlshift__(self, other: Any) -> Self:
        return self.graph.node_functions.left_shift(other, self)

    def __rshift__(self, other: Any) -> Self:
        return self.graph.node_functions.right_shift(self, other)

    def __rrshift__(self, other: Any) -> Self:
        return self.graph.node_functions.right_shift(other, self)

    def __floordiv__(self, other: Any) -> Self:
        return self.graph.node_functions.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Self:
        return self.graph.node_functions.floor_divide(other, self)

    def __mod__(self, other: Any) -> Self:
        return self.graph.node_functions.mod(self, other)

    def __rmod__(self, other: Any) -> Self:
        return self.graph.node_functions.mod(other, self)

    def __divmod__(self, other: Any) -> tuple[Self, Self]:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[Self, Self]:
        return other // self, other % self

    def __getitem__(self, key: Any) -> Self:
        return self.graph.node_functions.index(self, key)


def _compared(op: Any, x: Operators, other: object) -> Any:
    if other is None:
        problem = f"{op.name}: None is neither a tensor nor a number; `is None` asks for it"
        raise DTypeError(located(problem, callers_location()))
    return NotImplemented if _compares_itself(other) else op(x, other)


def _node_of(graph: Any, number: int) -> Any:
    return graph.nodes[number]


def _compares_itself(other: object) -> bool:
    """Whether `other` is of a foreign class that may know how to compare itself with a tensor. What
    Python brings along does not: None and text are refused like any operand that is no number."""
    if isinstance(other, Operators | np.ndarray | np.generic):
        return False
    kind = type(other)
    return kind.__module__ != "builtins" and kind.__eq__ is not object.__eq__
