"""Values as statements: each is written once where it is computed, after its operands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Reduction
from graphc.kernels.loops.language.expressions import Expression
from graphc.kernels.loops.language.scalar import (
    constant,
    index_value,
    reduction_of_one,
    scalar_expression,
)
from graphc.kernels.nests.node_kinds import is_index, is_inline, viewed

# Where a value is wanted: a block of statements, and whatever else says what is at hand there.
Place = TypeVar("Place")


class ValueWriter(ABC, Generic[Place]):
    """What emitters of elementwise values have in common. They differ in where values are made,
    kept and loaded from, which the abstract methods say."""

    @abstractmethod
    def is_made(self, node: Node) -> bool:
        """Whether the kernel makes the value, so that no operand is loaded for it."""

    @abstractmethod
    def home(self, node: Node, place: Place) -> Place | None:
        """Where a value is to be computed that `place` reads; None where it is at hand or kept."""

    @abstractmethod
    def found(self, node: Node, place: Place) -> Expression:
        """The value at `place`, where it is at hand, or is kept and read from there."""

    @abstractmethod
    def loaded(self, node: Node, position: int, place: Place) -> Expression:
        """An operand that stands in memory."""

    @abstractmethod
    def index(self, node: Node, position: int | None) -> Expression:
        """The index of the current element of an operand, or of the node itself."""

    @abstractmethod
    def remember(self, node: Node, expression: Expression, place: Place) -> None:
        """The value is this expression wherever `place` reads it."""

    @abstractmethod
    def assign(self, node: Node, expression: Expression, place: Place) -> None:
        """Appends the assignment of the value to a name of its own, and remembers it."""

    def value(self, node: Node, place: Place) -> Expression:
        """A value as `place` reads it; iterative, so that the length of a chain of ops is bounded
        by memory and not by Python's stack."""
        stack = [(node, place)]
        while stack:
            current, reader = stack[-1]
            home = self.home(current, reader)
            waiting = [] if home is None else self._waiting(current, home)
            if waiting:
                stack += [(base, home) for base in reversed(waiting) if home is not None]
                continue
            stack.pop()
            if home is not None:
                self.compute(current, home)
        return self.found(node, place)

    def compute(self, node: Node, home: Place) -> None:
        """Computes the value, whose operands are at hand or in memory."""
        if is_index(node):
            self.remember(node, index_value(node, self.index(node, None)), home)
            return
        operands = [self.operand(node, position, home) for position in range(len(node.operands))]
        if isinstance(node.op.lowering, Reduction):
            # Over extents of 1: others have an accumulator.
            self.assign(node, reduction_of_one(node, operands[0]), home)
        else:
            self.assign(node, scalar_expression(node, operands), home)

    def operand(self, node: Node, position: int, place: Place) -> Expression:
        """Operand number `position` as `place` reads it."""
        base = viewed(node.operands[position])
        if self.is_made(base):
            return self.value(base, place)
        if is_index(base):
            return index_value(base, self.index(node, position))
        if is_inline(base):
            return constant(base)
        return self.loaded(node, position, place)

    def _waiting(self, node: Node, home: Place) -> list[Node]:
        """The operands that are to be computed before."""
        bases = map(viewed, node.operands)
        return [base for base in bases if self.is_made(base) and self.home(base, home) is not None]
