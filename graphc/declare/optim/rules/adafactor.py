"""Adafactor: second moments of a matrix from those of its rows and columns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from graphc.declare.hyperparameters import check_number
from graphc.declare.optim.base import NO_NUMBER, SIGNED, Optimizer, decayed, unless_faded
from graphc.declare.optim.slots import Slots
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops


@dataclass(frozen=True)
class Adafactor(Optimizer):
    """Adafactor as torch.optim.Adafactor has it: a matrix takes memory for a row and a column.

    b = t^beta2_decay; v' = (1 - b) v + b g^2, kept as means r of rows and c of columns where the
    parameter has more than one axis, v = r c / mean(r); u = g / sqrt(v'); u is divided by its root
    mean square where that is above `clip_threshold`; w' = w (1 - rate decay) -
    max(epsilon_2, root mean square of w) min(rate, 1 / sqrt(t)) u.

    beta2_decay: at most 0. epsilon: the least root of v, None for the rounding error of the dtype,
    and the least scale of w. Source: Shazeer and Stern, Adafactor, 2018.

    Raises ValueError for a `beta2_decay` above 0 and unless there are two epsilons.
    """

    learning_rate: float = 1e-2
    beta2_decay: float = field(default=-0.8, metadata=SIGNED)
    epsilon: tuple[float | None, float] = field(default=(None, 1e-3), metadata=NO_NUMBER)
    clip_threshold: float = 1.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("Adafactor: beta2_decay", self.beta2_decay)
        if self.beta2_decay > 0:
            given = self.beta2_decay
            raise ValueError(f"Adafactor: beta2_decay: at most 0 expected, not {given}")
        if not (isinstance(self.epsilon, tuple | list) and len(self.epsilon) == 2):
            raise ValueError(f"Adafactor: epsilon: two numbers expected, not {self.epsilon}")
        least_root, least_scale = self.epsilon
        if least_root is not None:
            check_number("Adafactor: epsilon", least_root, least=0)
        check_number("Adafactor: epsilon", least_scale, least=0)
        if self.clip_threshold == 0:
            raise ValueError("Adafactor: clip_threshold: a number above 0 expected, not 0")

    def step(self, parameter: Node, gradient: Node, rate: Node, slots: Slots) -> Node:
        steps = slots.steps(parameter)
        least_root, least_scale = self.epsilon
        if least_root is None:
            least_root = float(np.finfo(parameter.dtype.numpy).eps)
        share = ops.power(steps, self.beta2_decay)
        squares = self._squares(parameter, ops.square(gradient), share, least_root, slots)
        direction = gradient / ops.sqrt(ops.maximum(squares, least_root**2))
        excess = ops.maximum(_root_mean_square(direction) / self.clip_threshold, 1.0)
        scale = ops.maximum(_root_mean_square(parameter), least_scale)
        step_size = scale * ops.minimum(rate, 1 / ops.sqrt(steps)) / excess
        return decayed(parameter, rate, self.weight_decay, slots) - step_size * direction

    def _squares(
        self, parameter: Node, squares: Node, share: Node, least_root: float, slots: Slots
    ) -> Node:
        """The moving average of the squared gradient, where it takes memory for an axis or two."""

        def averaged(name: str, value: Node) -> Node:
            average = slots.slot(name, parameter, shape=value.shape)
            before = unless_faded(average)
            return slots.set(average, before + share * (value - before))

        if parameter.rank < 2:
            return averaged("squares", squares)
        rows = averaged("row_squares", build.mean(squares, -1, keepdims=True))
        columns = averaged("column_squares", build.mean(squares, -2, keepdims=True))
        whole = ops.maximum(build.mean(rows, -2, keepdims=True), least_root)
        return rows * (columns / whole)


def _root_mean_square(x: Node) -> Node:
    return ops.sqrt(build.mean(ops.square(x)))
