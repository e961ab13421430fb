"""Means over all rows of what steps give for each batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.functions.function import Function
from graphc.train.data import Batches
from graphc.train.epochs import CompiledEpochs, Steps


class Averages:
    """Means over rows of quantities that are means over batches of different sizes."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._rows = 0

    def add(self, values: Mapping[str, Any], rows: int) -> None:
        """Counts a batch of `rows` rows."""
        self._rows += rows
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value) * rows

    def add_steps(self, steps: Steps) -> int:
        """Counts batches of equally many rows, with the bits that one after the other gives.

        Returns the number of rows.
        """
        count = len(steps)
        rows = count * steps.rows
        if count == 1:
            self.add({name: values.item() for name, values in steps.values.items()}, rows)
            return rows
        self._rows += rows
        for name, values in steps.values.items():
            terms = np.multiply(values, steps.rows, dtype=np.float64)
            # Unlike a sum, running sums are made from left to right.
            running = np.add.accumulate(np.concatenate(([self._sums.get(name, 0.0)], terms)))
            self._sums[name] = float(running[-1])
        return rows

    def result(self) -> dict[str, float]:
        """The means so far; nothing where there was no batch."""
        return {name: total / self._rows for name, total in self._sums.items()}


def averages_over(step: Function, batches: Batches) -> dict[str, float]:
    """The means over all rows of the scalars that `step` returns for each batch."""
    averages = Averages()
    epochs = CompiledEpochs(step, batches) if step.mode == "compiled" else None
    with step.steady():
        if epochs is not None:
            for steps in epochs():
                averages.add_steps(steps)
        else:
            for batch in batches():
                averages.add(step(*batch), len(batch[0]))
    return averages.result()
