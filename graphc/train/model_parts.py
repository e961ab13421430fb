"""What a model consists of: its nodes, its states and their values, the learning rate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from graphc.declare.graphs.forms import Nodes, listed
from graphc.declare.graphs.graph import Graph, states_of
from graphc.declare.graphs.variables import Variables
from graphc.declare.hyperparameters import check_number
from graphc.declare.optim import Optimizer
from graphc.display.table import counted, html_table
from graphc.ir.graph import Node
from graphc.train.model_functions import HowToRun, ModelFunctions
from graphc.train.network.network import Metric, Network
from graphc.train.network.optimization import Optimization, revised
from graphc.train.network.trained import frozen_by

Array = np.ndarray[Any, np.dtype[Any]]


class ModelParts:
    """The part of `Model` that says what the model is; the rest compiles and runs it."""

    def __init__(self, network: Network, variables: Variables | None) -> None:
        self._network = network
        self.variables = network.graph.variables if variables is None else variables
        self._frozen: frozenset[Node] = frozenset()
        self._optimization: Optimization | None = None
        self._functions = ModelFunctions(network, self.variables)

    def __copy__(self) -> Self:
        """A model of the same graph and variables, to be compiled by itself; `copy.deepcopy` makes
        one with a graph, variables and an optimizer's states of its own."""
        other = type(self).__new__(type(self))
        vars(other).update(vars(self))
        ModelParts.__init__(other, self._network, self.variables)
        return other

    @property
    def _frozen_parameters(self) -> list[Node]:
        return [parameter for parameter in self.parameters if parameter in self._frozen]

    def _restore(
        self, optimization: Optimization | None, how: HowToRun, frozen: list[Node]
    ) -> None:
        """Compiled as a model was before."""
        self._frozen = frozenset(frozen)
        self._optimization = optimization
        self._functions = ModelFunctions(self._network, self.variables, optimization, how)

    def __repr__(self) -> str:
        elements = sum(state.type.size for state in self.parameters)
        inputs = ", ".join(f"{node.name}: {node.type}" for node in self.inputs)
        outputs = ", ".join(str(node.type) for node in listed(self.outputs))
        parameters = f"{counted(len(self.parameters), 'parameter')} of {elements:,} elements"
        how = "not compiled" if self.optimizer is None else type(self.optimizer).__name__
        return f"<model ({inputs}) -> {outputs}: {parameters}, {how}>"

    def _repr_html_(self) -> str:
        """The weights as a table, for notebooks."""
        rows = [(state.name, str(state.type), f"{state.type.size:,}") for state in self.weights]
        return html_table(repr(self)[1:-1], ("variable", "type", "elements"), rows)

    @property
    def graph(self) -> Graph:
        """The graph that declares it."""
        return self._network.graph

    @property
    def inputs(self) -> list[Node]:
        return self._network.inputs

    @property
    def outputs(self) -> Nodes:
        """In the structure in which they were given."""
        return self._network.outputs

    @property
    def targets(self) -> list[Node]:
        return self._network.targets

    @property
    def loss(self) -> Node | None:
        return self._network.loss

    @property
    def metrics(self) -> dict[str, Metric]:
        return self._network.metrics

    @property
    def batch_dimension(self) -> str:
        """The name of the first dimension of inputs and targets."""
        return self._network.batch_dimension

    @property
    def parameters(self) -> list[Node]:
        """The trainable states that outputs, loss and metrics read."""
        return self._network.parameters

    @property
    def trained_parameters(self) -> list[Node]:
        """Those that a training step changes: all that the loss reads, or those of the model's
        `parameters=`, without the frozen ones."""
        all_of_them = self._network.trainables if self.loss is not None else self.parameters
        return [parameter for parameter in all_of_them if parameter not in self._frozen]

    @property
    def weights(self) -> list[Node]:
        """The states that outputs, loss and metrics read in inference, trainable or not."""
        return self._network.weights

    @property
    def states(self) -> list[Node]:
        """The weights, then what training keeps besides: the optimizer's, random streams."""
        kept = states_of([*self.updates.keys(), *self.updates.values()])
        kept += self._optimization.states if self._optimization is not None else []
        return list(dict.fromkeys([*self.weights, *kept]))

    @property
    def optimizer(self) -> Optimizer | None:
        """That of the last `compile`."""
        return None if self._optimization is None else self._optimization.optimizer

    @property
    def updates(self) -> dict[Node, Node]:
        """The states that a training step changes, with their next values."""
        return {} if self._optimization is None else self._optimization.updates

    @property
    def batches_per_update(self) -> int:
        """Of how many batches the optimizer makes an update."""
        batches = None if self.optimizer is None else self.optimizer.gradient_accumulation_steps
        return batches or 1

    @property
    def learning_rate(self) -> float:
        """The rate of the next step; setting it compiles nothing.

        Raises NotCompiledError before `compile`; setting it ValueError for what is negative, NaN
        or infinite, TypeError for what is no number.
        """
        return float(self.variables[self._functions.optimization.rate])

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        state = self._functions.optimization.rate
        check_number("learning_rate", rate, least=0, dtype=state.dtype)
        self.variables[state] = rate

    def values(self) -> dict[str, Array]:
        """Copies of the values of all states, by name; `variables.update` puts them back."""
        with self.graph.declaring.lock:
            arrays = self.variables.storages(state.name for state in self.states)
        return self.variables.copied(arrays)

    # --- what trains -------------------------------------------------------------------------

    def freeze(self, *parameters: Node | str) -> None:
        """These keep their values while the others are trained: `model.freeze("backbone.*")`.

        parameters: nodes, patterns of names as `fnmatch` has them ("*" for all), lists of both.
        It takes effect at the next `fit`, which compiles the step that is left, and lasts until
        `unfreeze`. What the optimizer keeps of all parameters, of the frozen ones too, stays as it
        is. Raises TypeError for what is neither and for nothing, GraphError for what is none of the
        model's.
        """
        self._set_frozen(self._frozen.union(frozen_by("freeze", parameters, self.parameters)))

    def unfreeze(self, *parameters: Node | str) -> None:
        """Trains these again: `model.unfreeze("*")`. As `freeze`."""
        self._set_frozen(
            self._frozen.difference(frozen_by("unfreeze", parameters, self.parameters))
        )

    def apply_ema(self) -> None:
        """Copies the averages of the weights into the weights.

        Raises GraphError unless the model was compiled with `ema`.
        """
        with self.variables.steady():
            averages = self._functions.averages.begun(self.variables)
            values = self.variables.read([average.name for average in averages.values()])
            self.variables.update({p.name: values[a.name] for p, a in averages.items()})

    def _set_frozen(self, frozen: frozenset[Node]) -> None:
        with self._changing():
            before = self._optimization
            if before is not None and frozen != self._frozen:
                made = revised(before, self._network, self.variables, frozen, before.decay)
                self._optimization = made
                self._functions = self._functions.retrained(made)
            self._frozen = frozen

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """While it lasts, no other thread changes which states there are, or their values."""
        with self.variables.steady(), self.graph.declaring.lock:
            yield
