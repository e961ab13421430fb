"""Training steps that the benchmarks measure: networks, data and initial weights.

Float32 throughout. S, A, B, C and L are sigmoid layers with softmax cross-entropy and SGD; E is
elementwise work alone, mean((tanh(a x + b) sigmoid(c x + d) - t)^2) with its four vectors trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import graphc as gc
from benchmarks.peers.problem import Problem
from graphc.functions.function import Mode

Array = np.ndarray[Any, np.dtype[Any]]

LEARNING_RATE = 0.1
DATA_SEED = 0

# Units of each layer, first those of the input, and the batch size.
LAYERED = {
    "S": ((8, 64, 64, 4), 32),
    "A": ((784, 50, 10), 100),
    "B": ((784, 512, 512, 10), 128),
    "C": ((1024, 1024, 1024, 1024, 10), 512),
    "L": ((32, 64, 64, 4), 4096),
}
NAMES = (*LAYERED, "E")

ELEMENTWISE_ROWS = 4096
ELEMENTWISE_COLUMNS = 1024


@dataclass(frozen=True)
class Workload:
    """A training step and the arrays that it runs on.

    flops: multiplications and additions of the matrix products of a step; 0 where there is none.
    """

    name: str
    inputs: tuple[gc.Node, ...]
    loss: gc.Node
    updates: dict[gc.Node, gc.Node]
    arrays: tuple[Array, ...]
    flops: int

    def step(self, mode: Mode = "compiled", fuse: bool = True, threads: int = 1) -> gc.Function:
        """The step as a function that returns the loss, with initial weights of its own."""
        graph = self.loss.graph
        assert isinstance(graph, gc.Graph)
        return gc.function(
            self.inputs,
            self.loss,
            self.updates,
            variables=graph.variables.copy(),
            mode=mode,
            fuse=fuse,
            threads=threads,
            name=f"step_{self.name}",
        )

    def problem(self) -> Problem:
        """The same arrays, initial weights and update rule for a peer."""
        graph = self.loss.graph
        assert isinstance(graph, gc.Graph)
        x, t = self.arrays
        return Problem(
            x,
            t,
            tuple(graph.variables[parameter].copy() for parameter in self.updates),
            LEARNING_RATE,
            elementwise=self.name not in LAYERED,
        )


def workload(name: str) -> Workload:
    """The workload of that name. Raises KeyError for a name that is none of `NAMES`."""
    if name == "E":
        return elementwise()
    units, batch = LAYERED[name]
    return layered(name, units, batch)


def layered(name: str, units: Sequence[int], batch: int) -> Workload:
    """Sigmoid layers of `units`, the last without activation, and softmax cross-entropy."""
    graph = gc.Graph(seed=1)
    x = graph.input("x", (batch, units[0]))
    t = graph.input("t", (batch,), "i32")
    hidden = x
    for width in units[1:-1]:
        hidden = gc.nn.dense(hidden, width, gc.sigmoid)
    loss = gc.losses.softmax_cross_entropy(gc.nn.dense(hidden, units[-1]), t)
    random = np.random.default_rng(DATA_SEED)
    arrays = (
        random.standard_normal((batch, units[0])).astype(np.float32),
        random.integers(0, units[-1], batch).astype(np.int32),
    )
    updates = gc.optim.SGD(learning_rate=LEARNING_RATE).updates(loss)
    return Workload(name, (x, t), loss, updates, arrays, product_flops(units, batch))


def product_flops(units: Sequence[int], batch: int) -> int:
    """Two for each multiply-add: forward, by the weights, and by the input but of the first."""
    layers = [2 * batch * fan_in * fan_out for fan_in, fan_out in pairwise(units)]
    return 3 * sum(layers) - layers[0]


def elementwise() -> Workload:
    """Workload E: x and t [rows, columns], a, b, c and d [columns]."""
    graph = gc.Graph()
    shape = (ELEMENTWISE_ROWS, ELEMENTWISE_COLUMNS)
    random = np.random.default_rng(DATA_SEED)
    x, t = graph.input("x", shape), graph.input("t", shape)
    a, b, c, d = (
        graph.parameter(name, (ELEMENTWISE_COLUMNS,), random.standard_normal(ELEMENTWISE_COLUMNS))
        for name in "abcd"
    )
    loss = gc.losses.mean_squared_error(gc.tanh(a * x + b) * gc.sigmoid(c * x + d), t)
    arrays = tuple(random.standard_normal(shape).astype(np.float32) for _ in range(2))
    updates = gc.optim.SGD(learning_rate=LEARNING_RATE).updates(loss)
    return Workload("E", (x, t), loss, updates, arrays, 0)
