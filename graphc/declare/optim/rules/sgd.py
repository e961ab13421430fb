"""Stochastic gradient descent."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.declare.optim.base import Optimizer, unless_faded, with_weight_decay
from graphc.declare.optim.slots import Slots
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent as torch.optim.SGD has it.

    v' = momentum v + (1 - dampening) g (v' = g at the first step); w' = w - rate v', or with
    nesterov w - rate (g + momentum v'). Raises ValueError for nesterov without momentum or with
    dampening.
    """

    momentum: float = 0.0
    dampening: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("SGD: nesterov needs a momentum and no dampening")

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = with_weight_decay(gradient, parameter, self.weight_decay, slots)
        if self.momentum == 0:
            return parameter - rate * gradient
        momentum = slots.scalar("momentum", self.momentum, parameter)
        velocity = slots.slot("velocity", parameter)
        inflow = gradient
        if self.dampening != 0:
            is_first = ops.equal(slots.steps(parameter), 1)
            inflow = ops.where(is_first, gradient, (1 - self.dampening) * gradient)
        velocity = slots.set(velocity, momentum * unless_faded(velocity) + inflow)
        direction = gradient + momentum * velocity if self.nesterov else velocity
        return parameter - rate * direction
