"""Optimizers that divide by the root of a sum of squares: Adagrad, Adadelta and RMSprop."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.declare.optim.base import (
    Optimizer,
    moving_average,
    unless_faded,
    with_weight_decay,
)
from graphc.declare.optim.slots import Slots
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad as torch.optim.Adagrad has it.

    s' = s + g^2; w' = w - rate / (1 + (t - 1) rate_decay) g / (sqrt(s') + epsilon). Source:
    Duchi, Hazan and Singer, Adaptive subgradient methods, 2011.
    """

    learning_rate: float = 1e-2
    rate_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator: float = 0.0
    epsilon: float = 1e-10

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = with_weight_decay(gradient, parameter, self.weight_decay, slots)
        if self.rate_decay != 0:
            rate = rate / (1 + (slots.steps(parameter) - 1) * self.rate_decay)
        squares = slots.slot("squares", parameter, self.initial_accumulator)
        squares = slots.set(squares, squares + ops.square(gradient))
        return parameter - rate * (gradient / (ops.sqrt(squares) + self.epsilon))


@dataclass(frozen=True)
class Adadelta(Optimizer):
    """Adadelta as torch.optim.Adadelta has it: a step is as large as those before it were.

    s' = rho s + (1 - rho) g^2; d = sqrt(u + epsilon) / sqrt(s' + epsilon) g; u' = rho u +
    (1 - rho) d^2; w' = w - rate d. Source: Zeiler, Adadelta, 2012.
    """

    learning_rate: float = 1.0
    rho: float = 0.9
    epsilon: float = 1e-6
    weight_decay: float = 0.0

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = with_weight_decay(gradient, parameter, self.weight_decay, slots)
        squares = slots.slot("squares", parameter)
        squares = slots.set(squares, moving_average(squares, ops.square(gradient), self.rho))
        steps = slots.slot("squared_steps", parameter)
        ratio = ops.sqrt(steps + self.epsilon) / ops.sqrt(squares + self.epsilon)
        step = ratio * gradient
        slots.set(steps, moving_average(steps, ops.square(step), self.rho))
        return parameter - rate * step


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop as torch.optim.RMSprop has it.

    s' = alpha s + (1 - alpha) g^2; w' = w - rate g / (sqrt(s') + epsilon). Centered, the square
    of a moving average of g is taken from s'; with momentum, v' = momentum v + g / (...) and
    w' = w - rate v'. Source: Tieleman and Hinton, lecture 6.5, 2012; centered: Graves, 2013.
    """

    learning_rate: float = 1e-2
    alpha: float = 0.99
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = with_weight_decay(gradient, parameter, self.weight_decay, slots)
        variance = slots.slot("squares", parameter)
        variance = slots.set(variance, moving_average(variance, ops.square(gradient), self.alpha))
        if self.centered:
            mean = slots.slot("mean", parameter)
            mean = slots.set(mean, moving_average(mean, gradient, self.alpha))
            # Never negative but for rounding.
            variance = ops.maximum(variance - ops.square(mean), 0)
        direction = gradient / (ops.sqrt(variance) + self.epsilon)
        if self.momentum != 0:
            velocity = slots.slot("velocity", parameter)
            momentum = slots.scalar("momentum", self.momentum, parameter)
            direction = slots.set(velocity, momentum * unless_faded(velocity) + direction)
        return parameter - rate * direction
