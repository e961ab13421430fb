"""Lion, which knows of gradients the sign alone."""

from __future__ import annotations

from dataclasses import dataclass

from graphc.declare.optim.base import Optimizer, check_betas, decayed, moving_average
from graphc.declare.optim.slots import Slots
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops


@dataclass(frozen=True)
class Lion(Optimizer):
    """Evolved sign momentum: each element moves by the rate, up or down.

    w' = w (1 - rate decay) - rate sign(beta_1 m + (1 - beta_1) g); m' = beta_2 m + (1 - beta_2) g.
    Steps are larger than those of Adam: rates of a third to a tenth are usual, and decays larger by
    as much. Source: Chen and others, Symbolic discovery of optimization algorithms, 2023.
    """

    learning_rate: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_betas(self, self.betas)

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        beta_1, beta_2 = self.betas
        mean = slots.slot("mean", parameter)
        direction = ops.sign(moving_average(mean, gradient, beta_1))
        slots.set(mean, moving_average(mean, gradient, beta_2))
        return decayed(parameter, rate, self.weight_decay, slots) - rate * direction
