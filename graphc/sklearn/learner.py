"""A network with its values, that learns from rows and predicts; it can be pickled and copied."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from graphc.declare.functional.derivatives import grad, inference
from graphc.declare.graphs.graph import Graph, parameters_of, states_of
from graphc.declare.optim import Optimizer
from graphc.errors import ShapeError
from graphc.functions.function import Function, function
from graphc.functions.mode import Mode
from graphc.ir.arguments.given import is_tensor, shown
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.nodes.location import located
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import DType
from graphc.sklearn.heads import Head
from graphc.sklearn.rows import PREDICTED_AT_ONCE, dense_rows, filled, rows_compiled_for

Array = np.ndarray[Any, np.dtype[Any]]
Network = Callable[[Node, int], Node]

LOSS = "loss"


@dataclass(frozen=True)
class Recipe:
    """All that fixes a learner's programs: equal recipes share them, and need no compilation.

    network: declares scores [batch, outputs] of rows [batch, features].
    optimizer: of stochastic training; None where all rows are taken at once.
    penalized: whether `Learner.alpha` weighs the squares of all matrices among the parameters.
    """

    features: int
    outputs: int
    dtype: DType
    head: Head
    network: Network
    optimizer: Optimizer | None
    penalized: bool
    mode: Mode
    threads: int | None


class Learner:
    """The loss of a batch is sum(w l) / sum(w) + alpha / 2 sum(K^2) / sum(w) for the losses l of
    its rows, their weights w and all matrices K among the parameters."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        """Raises what the network's declaration raises, and ShapeError for other scores."""
        self.recipe = recipe
        self.graph = graph = Graph(seed)
        dtype, outputs = recipe.dtype, recipe.outputs
        self.x = graph.input("x", ("batch", recipe.features), dtype)
        scores = _checked_scores(recipe.network(self.x, outputs), self.x, outputs)
        self.targets = recipe.head.targets(graph, outputs, dtype)
        self.weights = graph.input("weights", ("batch",), dtype)
        self.parameters = parameters_of(scores)
        self._alpha = graph.variable(graph.unique_name("alpha"), 0.0, dtype=dtype)
        self._rate = graph.variable(graph.unique_name("learning_rate"), 0.0, dtype=dtype)
        self.loss = self._declared_loss(scores)
        arguments = [self.x, self.targets, self.weights]
        optimizer = recipe.optimizer
        if optimizer is not None:
            updates = optimizer.updates(self.loss, self.parameters, self._rate)
            self.step = self._function(arguments, {LOSS: self.loss}, updates, "fit")
        predicted = inference(recipe.head.predicted(scores))
        self._predict = self._function([self.x], predicted, None, "predict")
        # Besides parameters those of running averages.
        self._kept = list(dict.fromkeys([*self.parameters, *states_of([predicted])]))
        self._arguments = arguments

    def _declared_loss(self, scores: Node) -> Node:
        losses = self.recipe.head.losses(scores, self.targets)
        total = build.sum(self.weights)
        # Rows that all count nothing have the loss 0, and no derivative.
        total = build.where(ops.equal(total, 0), 1.0, total)
        loss = build.sum(self.weights * losses)
        if self.recipe.penalized:
            squares = [build.sum(ops.square(p)) for p in self.parameters if p.rank == 2]
            for each in squares:
                loss = loss + 0.5 * self._alpha * each
        return loss / total

    def _function(
        self, inputs: list[Node], outputs: Any, updates: Mapping[Node, Node] | None, name: str
    ) -> Function:
        recipe = self.recipe
        threads = _threads_here(recipe.threads)
        return function(inputs, outputs, updates, mode=recipe.mode, threads=threads, name=name)

    @cached_property
    def gradients(self) -> Function:
        """(x, targets, weights) -> loss, then its derivatives by all parameters."""
        derivatives = grad(self.loss, self.parameters)
        return self._function(self._arguments, [self.loss, *derivatives], None, "gradients")

    # --- values --------------------------------------------------------------------------------

    @property
    def alpha(self) -> float:
        """The weight of the penalty; setting it compiles nothing."""
        return float(self.graph.variables[self._alpha])

    @alpha.setter
    def alpha(self, value: float) -> None:
        self.graph.variables[self._alpha] = value

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.graph.variables[self._rate])

    @rate.setter
    def rate(self, value: float) -> None:
        self.graph.variables[self._rate] = value

    def storage(self) -> list[Array]:
        """The parameters' own memory, in the order of their declaration."""
        return [self.graph.variables.storage(each) for each in self.parameters]

    def values(self) -> dict[str, Array]:
        """Copies of the parameters by name, and of all else that predictions are made with."""
        return self.graph.variables.read([each.name for each in self._kept])

    def restore(self, values: Mapping[str, Array]) -> None:
        """Puts values back that `values` gave."""
        self.graph.variables.update(values)

    def initialize(self, seed: int) -> None:
        """Every value as in a new learner of that seed."""
        self.graph.variables.initialize(seed)

    def forget_steps(self) -> None:
        """What the optimizer keeps is as at the beginning; what `values` gives stays as it is."""
        kept = {each.name for each in self._kept}
        variables = self.graph.variables
        variables.initialize(names=[name for name in variables if name not in kept])

    # --- running -------------------------------------------------------------------------------

    def predict(self, x: Any) -> Array:
        """What is predicted for rows x [rows, features], a numpy array or a sparse matrix."""
        rows = x.shape[0]
        size = rows_compiled_for(min(rows, PREDICTED_AT_ONCE), PREDICTED_AT_ONCE)
        result = np.empty((rows, self.recipe.outputs), self.recipe.dtype.numpy)
        with self._predict.steady():
            for start in range(0, rows, size):
                part = dense_rows(x[start : start + size])
                count = len(part)
                result[start : start + count] = self._predict(filled(part, size))[:count]
        return result

    # --- pickling ------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        """The recipe and the values; a network is declared again, and compiled when it runs."""
        variables = self.graph.variables
        return {"recipe": self.recipe, "seed": variables.seed, "values": variables.read(variables)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["recipe"], state["seed"])  # type: ignore[misc]
        self.restore(state["values"])


def _threads_here(threads: int | None) -> int | None:
    """One in the worker of a pool of processes, each of which has a processor to itself."""
    if threads is None and multiprocessing.current_process().name != "MainProcess":
        return 1
    return threads


def _checked_scores(scores: object, x: Node, outputs: int) -> Node:
    if not is_tensor(scores):
        raise TypeError(f"network: scores [batch, {outputs}] expected, not {shown(scores)}")
    assert isinstance(scores, Node)
    if scores.shape != (x.shape[0], outputs) or scores.dtype is not x.dtype:
        problem = f"network: scores {x.dtype}[batch,{outputs}] expected, not {scores.type}"
        raise ShapeError(located(problem, scores.location))
    return scores
