"""Means over all rows of what steps give for each batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np

from graphc.declare.metrics.set_metrics import SetMetric
from graphc.errors import DataError
from graphc.functions.function import Function
from graphc.train.data.batches import Batches
from graphc.train.data.stream import BatchStream
from graphc.train.epochs.native_epochs import CompiledEpochs, Steps
from graphc.train.epochs.tallies import Tallies


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


def judged_over(
    step: Function, batches: Batches | BatchStream, metrics: Mapping[str, SetMetric]
) -> dict[str, Any]:
    """The means over all rows of the scalars that `step` returns for each batch, and the `metrics`
    of the whole set. Raises DataError where there is no batch.

    Of arrays all are judged by the same values of the variables. Not of an iterable, whose code may
    wait for a thread that needs the variables.
    """
    averages, tallies = Averages(), Tallies(metrics)
    with step.steady() if isinstance(batches, Batches) else nullcontext():
        for steps in _steps_of(step, batches):
            averages.add_steps(tallies.taken(steps))
    found = averages.result() | tallies.result()
    if not found:
        raise DataError("no data: the iterable has no batches left")
    return found


def _steps_of(step: Function, batches: Batches | BatchStream) -> Iterator[Steps]:
    if step.mode == "compiled" and isinstance(batches, Batches):
        yield from CompiledEpochs(step, batches)()
        return
    for number, batch in enumerate(batches()):
        yield Steps(number, len(batch[0]), step(*batch))
