"""What a peer is given, and what it has to offer for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Problem:
    """Arrays and initial weights of a training step; the loss is a mean, the update plain SGD.

    elementwise: the loss is mean((tanh(a x + b) sigmoid(c x + d) - t)^2), with x and t [rows,
    columns] and the parameters a, b, c, d [columns]. Otherwise it is the softmax cross-entropy of
    sigmoid layers, the last without activation: x [batch, features], t [batch] class numbers, the
    parameters a kernel [fan_in, fan_out] and a bias [fan_out] for each layer in turn.
    """

    x: Array
    t: Array
    parameters: tuple[Array, ...]
    learning_rate: float
    elementwise: bool

    def layers(self) -> list[tuple[Array, Array]]:
        """Kernel and bias of each layer."""
        return list(zip(self.parameters[::2], self.parameters[1::2], strict=True))

    def save(self, path: Path) -> None:
        """Writes everything to an .npz file."""
        parameters: dict[str, Any] = {
            f"parameter{number}": array for number, array in enumerate(self.parameters)
        }
        np.savez(
            path,
            x=self.x,
            t=self.t,
            learning_rate=self.learning_rate,
            elementwise=self.elementwise,
            **parameters,
        )

    @classmethod
    def load(cls, path: Path) -> Problem:
        """Reads what `save` wrote."""
        with np.load(path) as stored:
            count = sum(name.startswith("parameter") for name in stored)
            return cls(
                stored["x"],
                stored["t"],
                tuple(stored[f"parameter{number}"] for number in range(count)),
                float(stored["learning_rate"]),
                bool(stored["elementwise"]),
            )


class Step(Protocol):
    """A training step of one system on one problem."""

    def reset(self) -> None:
        """Back to the initial weights."""
        ...

    def run(self, count: int) -> float:
        """Does `count` steps, waits for the last and returns its loss, taken before its update."""
        ...


Prepare = Callable[[Problem], Step]
