"""The variables that an optimizer keeps on a graph."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from graphc.declare.graphs.graph import Graph
from graphc.declare.init import zeros
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.types import DType, Shape, f32, f64


class Slots:
    """The variables of one optimizer on one graph, named below `scope`, and their next values.

    dtype: of those that the parameters share. counter: the name of the number of steps.
    """

    def __init__(self, graph: Graph, scope: str, dtype: DType, counter: str | None = None) -> None:
        self.graph = graph
        self.scope = scope
        self.dtype = dtype
        self.updates: dict[Node, Node] = {}
        self.declared: dict[str, Node] = {}
        self.counter = f"{scope}.steps" if counter is None else counter
        self.counts_each = False
        self._steps: dict[str, Node] = {}
        self._groups: Mapping[str, str] = {}

    def variable(
        self, name: str, init: object, shape: object = None, dtype: object | None = None
    ) -> Node:
        """The variable of that full name, declared when it is first asked for."""
        if name not in self.declared:
            self.declared[name] = self.graph.variable(name, init, shape, dtype)
        return self.declared[name]

    def scalar(self, name: str, value: float, beside: Node) -> Node:
        """A hyperparameter that may be set between steps, in the dtype of `beside`.

        Where a parameter group has one of its own the variable is named `<name>[<pattern>]`.
        """
        group = f"[{self._groups[name]}]" if name in self._groups else ""
        variable = self.variable(f"{self.scope}.{name}{group}", value, dtype=self.dtype)
        return build.cast(variable, beside.dtype)

    def slot(
        self, name: str, parameter: Node, init: object = zeros, shape: Shape | None = None
    ) -> Node:
        """A variable of the parameter's type, or of its dtype and another shape."""
        full_name = f"{self.scope}.{name}.{parameter.name}"
        own_shape = parameter.shape if shape is None else shape
        return self.variable(full_name, init, own_shape, parameter.dtype)

    def steps(self, parameter: Node, dtype: DType | None = None) -> Node:
        """The number of the step being taken, from 1, in `dtype` or else that of `parameter`."""
        name = self._counter_of(parameter) if self.counts_each else self.counter
        if name not in self._steps:
            count = self.variable(name, 0)
            self._steps[name] = self.updates[count] = count + 1
        return build.cast(self._steps[name], parameter.dtype if dtype is None else dtype)

    def set(self, slot: Node, value: Node) -> Node:
        """Makes `value` the next value of `slot` and returns it."""
        self.updates[slot] = value
        return value

    def of_group(self, patterns: Mapping[str, str]) -> Slots:
        """The same for a parameter whose hyperparameters are partly those of groups: `patterns`
        says by hyperparameter of which."""
        other = copy.copy(self)
        other._groups = patterns
        return other

    def again(self) -> Slots:
        """The same variables for a step that is declared anew."""
        other = copy.copy(self)
        other.updates, other._steps, other.declared = {}, {}, self.declared.copy()
        return other

    def count_each(self, counted: Sequence[Node]) -> dict[str, str]:
        """From now on each parameter counts its own steps: some train in steps in which others do
        not. Returns the names of counters, each with that of the common one in whose place it is.

        counted: the parameters that have trained so far.
        """
        if self.counts_each:
            return {}
        self.counts_each = True
        if self.counter not in self.declared:
            return {}
        del self.declared[self.counter]
        own = [self.variable(self._counter_of(parameter), 0) for parameter in counted]
        return {count.name: self.counter for count in own}

    def count_of(self, parameter: Node) -> Node:
        """The number of steps that have been taken, a state. Raises KeyError where none is kept."""
        name = self._counter_of(parameter) if self.counts_each else self.counter
        return self.declared[name]

    def _counter_of(self, parameter: Node) -> str:
        return f"{self.counter}.{parameter.name}"


def widest(nodes: Sequence[Node]) -> DType:
    """The dtype that holds the numbers of all: f64 where one of them is f64."""
    return f64 if any(node.dtype is f64 for node in nodes) else f32
