"""The solvers of scikit-learn's multi-layer perceptrons as update graphs, and their rates.

They differ from `gc.optim` in where Adam's epsilon stands and in what the velocity of SGD holds,
so that a fit takes the steps that scikit-learn's takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphc.declare.optim import Optimizer, Slots
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops

# An adaptive rate is divided by this where training stands still, and below that least one ends it.
ADAPTIVE_DIVISOR = 5.0
LEAST_ADAPTIVE_RATE = 1e-6


@dataclass(frozen=True)
class MlpAdam(Optimizer):
    """m' = b1 m + (1 - b1) g; v' = b2 v + (1 - b2) g^2;
    w' = w - rate sqrt(1 - b2^t) / (1 - b1^t) m' / (sqrt(v') + epsilon).

    Source: Kingma and Ba, Adam, 2015, the more efficient order at the end of section 2.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        steps = slots.steps(parameter)
        mean = slots.slot("mean", parameter)
        mean = slots.set(mean, self.beta_1 * mean + (1 - self.beta_1) * gradient)
        squares = slots.slot("squares", parameter)
        squares = slots.set(
            squares, self.beta_2 * squares + (1 - self.beta_2) * ops.square(gradient)
        )
        root = ops.sqrt(_one_minus_power(self.beta_2, steps))
        size = rate * root / _one_minus_power(self.beta_1, steps)
        return parameter - size * (mean / (ops.sqrt(squares) + self.epsilon))


@dataclass(frozen=True)
class MlpSGD(Optimizer):
    """v' = momentum v - rate g; w' = w + v', or with nesterov w + momentum v' - rate g."""

    momentum: float = 0.9
    nesterov: bool = True

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        momentum = slots.scalar("momentum", self.momentum, parameter)
        velocity = slots.slot("velocity", parameter)
        velocity = slots.set(velocity, momentum * velocity - rate * gradient)
        if not self.nesterov:
            return parameter + velocity
        return parameter + (momentum * velocity - rate * gradient)


def _one_minus_power(beta: float, steps: Node) -> Node:
    """1 - beta^steps, accurate where beta^steps is near 1."""
    if beta == 0:
        return steps.graph.constant(1.0, steps.dtype)
    return -ops.expm1(steps * math.log(beta))


@dataclass(frozen=True)
class Rate:
    """How the learning rate goes on from its first value: "constant", "invscaling", "adaptive"."""

    kind: str
    first: float
    power: float = 0.5

    def after_epoch(self, rate: float, rows: int) -> float:
        """The rate after an epoch; rows: of all epochs so far."""
        return self.first / (rows + 1) ** self.power if self.kind == "invscaling" else rate

    def at_standstill(self, rate: float) -> float | None:
        """The rate to go on with where training no longer improves, None to end it."""
        if self.kind != "adaptive" or rate <= LEAST_ADAPTIVE_RATE:
            return None
        return rate / ADAPTIVE_DIVISOR
