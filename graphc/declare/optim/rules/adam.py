"""Adam, with weight decay in the gradient or apart from it."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.declare.optim.base import (
    Optimizer,
    bias_correction,
    check_betas,
    decayed,
    moving_average,
    with_weight_decay,
)
from graphc.declare.optim.slots import Slots
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam as torch.optim.Adam has it; `weight_decay` is added to the gradient.

    m' = beta_1 m + (1 - beta_1) g; v' = beta_2 v + (1 - beta_2) g^2; w' = w - rate / c_1 * m' /
    (sqrt(v') / sqrt(c_2) + epsilon) with c_i = 1 - beta_i^t. With `amsgrad` the greatest v' so far
    stands for v'. Source: Kingma and Ba, Adam, 2015; Reddi, Kale and Kumar, 2018.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_betas(self, self.betas)

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = with_weight_decay(gradient, parameter, self.weight_decay, slots)
        return parameter - self.descent(parameter, gradient, rate, slots)

    def descent(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        """What a step takes away from the parameter."""
        beta_1, beta_2 = self.betas
        steps = slots.steps(parameter)
        mean = slots.slot("mean", parameter)
        mean = slots.set(mean, moving_average(mean, gradient, beta_1))
        squares = slots.slot("squares", parameter)
        squares = slots.set(squares, moving_average(squares, ops.square(gradient), beta_2))
        if self.amsgrad:
            greatest = slots.slot("greatest_squares", parameter)
            squares = slots.set(greatest, ops.maximum(greatest, squares))
        step_size = rate / bias_correction(steps, beta_1)
        inverse_root = 1 / ops.sqrt(bias_correction(steps, beta_2))
        return step_size * (mean / (ops.sqrt(squares) * inverse_root + self.epsilon))


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay, as torch.optim.AdamW has it: w shrinks by rate * decay.

    Source: Loshchilov and Hutter, Decoupled weight decay regularization, 2019.
    """

    weight_decay: float = 1e-2

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        descent = self.descent(parameter, gradient, rate, slots)
        return decayed(parameter, rate, self.weight_decay, slots) - descent
