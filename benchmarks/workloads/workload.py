"""What a training step that the benchmarks measure consists of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

import graphc as gc
from benchmarks.peers.problem import Problem
from graphc.declare.nn import Activation
from graphc.functions.function import Mode

Array = np.ndarray[Any, np.dtype[Any]]
Optimizer = gc.optim.SGD | gc.optim.Adam

ADAM_RATE = 1e-3
DATA_SEED = 0


@dataclass(frozen=True)
class Workload:
    """A training step and the arrays that it runs on.

    loss_name: of `benchmarks.peers.problem`; None where peers do not know the loss.
    flops: multiplications and additions of the matrix products of a step; 0 where there is none.
    """

    name: str
    inputs: tuple[gc.Node, ...]
    loss: gc.Node
    optimizer: Optimizer
    arrays: tuple[Array, ...]
    loss_name: str | None = None
    flops: int = 0

    @property
    def graph(self) -> gc.Graph:
        graph = self.loss.graph
        assert isinstance(graph, gc.Graph)
        return graph

    @cached_property
    def updates(self) -> dict[gc.Node, gc.Node]:
        """Of the optimizer, its learning rate being a variable."""
        return self.optimizer.updates(self.loss)

    def step(self, mode: Mode = "compiled", fuse: bool = True, threads: int = 1) -> gc.Function:
        """The step as a function that returns the loss, with initial weights of its own."""
        return gc.function(
            self.inputs,
            self.loss,
            self.updates,
            variables=self.graph.variables.copy(),
            mode=mode,
            fuse=fuse,
            threads=threads,
            name=f"step_{self.name}",
        )

    def problem(self) -> Problem:
        """The same arrays, initial weights and update rule for a peer."""
        assert self.loss_name is not None
        return Problem(
            self.loss_name,
            self.arrays,
            tuple(self.graph.variables[parameter].copy() for parameter in self.graph.parameters),
            "adam" if isinstance(self.optimizer, gc.optim.Adam) else "sgd",
            self.optimizer.learning_rate,
            getattr(self.optimizer, "momentum", 0.0),
        )


def layers(x: gc.Node, units: Sequence[int], activation: Activation) -> gc.Node:
    """Dense layers of `units`, the last without activation."""
    for width in units[:-1]:
        x = gc.nn.dense(x, width, activation)
    return gc.nn.dense(x, units[-1])


def product_flops(units: Sequence[int], batch: int) -> int:
    """Two for each multiply-add: forward, by the weights, and by the input but of the first."""
    layers = [2 * batch * fan_in * fan_out for fan_in, fan_out in pairwise(units)]
    return 3 * sum(layers) - layers[0]
