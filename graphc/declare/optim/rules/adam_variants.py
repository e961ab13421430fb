"""Relatives of Adam: Adamax, NAdam, RAdam."""

from __future__ import annotations

import math
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
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import f64

# Of Dozat's schedule of momenta: beta_1 (1 - MOMENTUM_SHARE MOMENTUM_BASE^(t momentum_decay)).
MOMENTUM_SHARE, MOMENTUM_BASE = 0.5, 0.96
# The variance of the adaptive rate is known from so many degrees of freedom on.
LEAST_FREEDOM = 5.0


@dataclass(frozen=True)
class Adamax(Optimizer):
    """Adamax as torch.optim.Adamax has it: Adam by the greatest gradient in place of the root.

    m' = beta_1 m + (1 - beta_1) g; u' = max(beta_2 u, |g| + epsilon);
    w' = w - rate / (1 - beta_1^t) m' / u'. Source: Kingma and Ba, Adam, 2015.
    """

    learning_rate: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_betas(self, self.betas)

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        gradient = with_weight_decay(gradient, parameter, self.weight_decay, slots)
        beta_1, beta_2 = self.betas
        mean = slots.slot("mean", parameter)
        mean = slots.set(mean, moving_average(mean, gradient, beta_1))
        greatest = slots.slot("greatest", parameter)
        magnitude = ops.absolute(gradient) + self.epsilon
        greatest = slots.set(greatest, ops.maximum(beta_2 * greatest, magnitude))
        step_size = rate / bias_correction(slots.steps(parameter), beta_1)
        return parameter - step_size * (mean / greatest)


@dataclass(frozen=True)
class NAdam(Optimizer):
    """Adam with Nesterov's momentum, as torch.optim.NAdam has it.

    mu_t = beta_1 (1 - 0.96^(t momentum_decay) / 2) and p_t = mu_1 ... mu_t; m' and v' as in Adam;
    w' = w - rate ((1 - mu_t) / (1 - p_t) g + mu_(t+1) / (1 - p_(t+1)) m') /
    (sqrt(v' / (1 - beta_2^t)) + epsilon). `weight_decay` is added to the gradient, or with
    `decoupled_weight_decay` shrinks w by rate * decay. Source: Dozat, Incorporating Nesterov
    momentum into Adam, 2016.
    """

    learning_rate: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    momentum_decay: float = 4e-3
    decoupled_weight_decay: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_betas(self, self.betas)

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        if self.decoupled_weight_decay:
            start = decayed(parameter, rate, self.weight_decay, slots)
        else:
            start = parameter
            gradient = with_weight_decay(gradient, parameter, self.weight_decay, slots)
        beta_1, beta_2 = self.betas
        steps = slots.steps(parameter)
        momentum, next_momentum = self._momentum(steps), self._momentum(steps + 1)
        product = slots.slot("momentum_product", parameter, 1.0, ())
        product = slots.set(product, product * momentum)
        mean = slots.slot("mean", parameter)
        mean = slots.set(mean, moving_average(mean, gradient, beta_1))
        squares = slots.slot("squares", parameter)
        squares = slots.set(squares, moving_average(squares, ops.square(gradient), beta_2))
        of_gradient = rate * (1 - momentum) / (1 - product)
        of_mean = rate * next_momentum / (1 - product * next_momentum)
        inverse_root = 1 / ops.sqrt(bias_correction(steps, beta_2))
        root = ops.sqrt(squares) * inverse_root + self.epsilon
        return start - (of_gradient * gradient + of_mean * mean) / root

    def _momentum(self, steps: Node) -> Node:
        factor = ops.exp(steps * (self.momentum_decay * math.log(MOMENTUM_BASE)))
        return self.betas[0] * (1 - MOMENTUM_SHARE * factor)


@dataclass(frozen=True)
class RAdam(Optimizer):
    """Rectified Adam, as torch.optim.RAdam has it.

    With rho = 2 / (1 - beta_2) - 1 and rho_t = rho - 2 t beta_2^t / (1 - beta_2^t), m' and v' as in
    Adam: w' = w - rate m' / (1 - beta_1^t) s, where s = 1 while rho_t is at most 5, then
    s = sqrt((rho_t - 4) (rho_t - 2) rho / ((rho - 4) (rho - 2) rho_t) (1 - beta_2^t)) /
    (sqrt(v') + epsilon). Weight decay as in `NAdam`. Source: Liu and others, On the variance of the
    adaptive learning rate and beyond, 2020.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    decoupled_weight_decay: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_betas(self, self.betas)

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        if self.decoupled_weight_decay:
            start = decayed(parameter, rate, self.weight_decay, slots)
        else:
            start = parameter
            gradient = with_weight_decay(gradient, parameter, self.weight_decay, slots)
        beta_1, beta_2 = self.betas
        mean = slots.slot("mean", parameter)
        mean = slots.set(mean, moving_average(mean, gradient, beta_1))
        squares = slots.slot("squares", parameter)
        squares = slots.set(squares, moving_average(squares, ops.square(gradient), beta_2))
        is_known, rectified = self._rectification(slots.steps(parameter, f64))
        step_size = rate / bias_correction(slots.steps(parameter), beta_1)
        adaptive = build.cast(rectified, mean.dtype) / (ops.sqrt(squares) + self.epsilon)
        return start - step_size * mean * ops.where(is_known, adaptive, 1.0)

    def _rectification(self, steps: Node) -> tuple[Node, Node]:
        """Whether rho_t is above 5, and s without its last divisor. In f64, since rho_t is a small
        difference."""
        beta = self.betas[1]
        most = 2 / (1 - beta) - 1
        correction = bias_correction(steps, beta)
        freedom = most - 2 * steps * (1 - correction) / correction
        is_known = ops.greater(freedom, LEAST_FREEDOM)
        share = (freedom - 4) * (freedom - 2) / freedom * (most / ((most - 4) * (most - 2)))
        return is_known, ops.sqrt(ops.where(is_known, share, 1.0) * correction)
