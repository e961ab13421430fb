"""What was logged of each epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from graphc.display.table import counted
from graphc.train.callbacks.plots import plot_curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(repr=False)
class History:
    """What was logged: `history[name][i]` belongs to epoch number `epoch[i]`, counted from 0.

    A number, or the array that a metric such as `gc.metrics.ConfusionMatrix` is.
    """

    epoch: list[int] = field(default_factory=list)
    history: dict[str, list[Any]] = field(default_factory=dict)

    def append(self, epoch: int, logs: Mapping[str, Any]) -> None:
        """Adds an epoch."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self) -> str:
        last = "".join(f", {name} {values[-1]:.4g}" for name, values in self.history.items())
        return f"<history of {counted(len(self.epoch), 'epoch')}{last}>"

    def plot(self) -> Figure:
        """The curves of the numbers over the epochs, as `gc.loggers.plot_curves` draws them and
        raises."""
        numbers = {
            name: values
            for name, values in self.history.items()
            if not any(isinstance(value, np.ndarray) for value in values)
        }
        return plot_curves(self.epoch, numbers)
