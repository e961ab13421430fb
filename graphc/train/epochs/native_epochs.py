"""Epochs in the executor's loop: no Python between batches, and a pause a few times a second."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graphc.compiler.load.row_loop import RowLoop, RowOrder
from graphc.functions.function import Function
from graphc.ir.nodes.op import Array
from graphc.train.data.batches import Batches

# How long the native loop runs before progress is shown and an interrupt is noticed.
SECONDS_BETWEEN_PAUSES = 0.2

# The number of steps between two pauses starts with one and grows at most by this factor.
GROWTH = 8


@dataclass(frozen=True)
class Steps:
    """Consecutive steps of an epoch.

    first: the number of the first, from 0. rows: of each of their batches.
    values: each output of all steps by name, the loss first, (steps, *its shape); without the first
        axis where it is one step alone.
    """

    first: int
    rows: int
    values: Mapping[str, Array]

    def __len__(self) -> int:
        return next(iter(self.values.values())).size


def loops_by_size(
    step: Function, batches: Batches, shuffled: bool, stop_unless: str | None
) -> dict[int, RowLoop]:
    """A native loop of `step` for each size that the batches have."""
    return {
        size: step.row_loop(batches.arrays, size, gathers=shuffled, stop_unless=stop_unless)
        for size in batches.sizes
    }


class Pace:
    """Runs as many steps of loops at a time as `SECONDS_BETWEEN_PAUSES` allow."""

    def __init__(self) -> None:
        self._steps = 1

    def run(self, loop: RowLoop, row: int, most: int, order: RowOrder | None) -> dict[str, Array]:
        """The outputs of the next steps, `most` at the most, the first on the rows from `row` on;
        raises as `RowLoop.run` does."""
        count = min(self._steps, most)
        start = time.perf_counter()
        values = loop.run(row, count, order)
        seconds = max(time.perf_counter() - start, 1e-9)
        fitting = int(count * SECONDS_BETWEEN_PAUSES / seconds)
        self._steps = max(1, min(fitting, GROWTH * self._steps))
        return values


class CompiledEpochs:
    """Steps over all batches of whole arrays, some hundreds of milliseconds at a time.

    Results have the bits that calls batch by batch give. The last, smaller batch is a loop of its
    own. Rows that are shuffled are gathered by the steps themselves, others read in place.

    step: a compiled function whose inputs are those of the batches; its first output is a scalar.
    stop_unless: a bool output; nothing more is run after a step in which it is false.
    """

    def __init__(
        self,
        step: Function,
        batches: Batches,
        *,
        shuffled: bool = False,
        stop_unless: str | None = None,
    ) -> None:
        self._batches = batches
        self._loops = loops_by_size(step, batches, shuffled, stop_unless)
        self._pace = Pace()

    def __call__(self, order: Array | None = None) -> Iterator[Steps]:
        """The steps of an epoch, as many at a time as `SECONDS_BETWEEN_PAUSES` allow.

        order: the numbers (i64) of all rows, when they are shuffled. Raises IndexError when an
        index that a step computes is out of range; states are those after a whole number of steps.
        """
        size = self._batches.batch_size
        whole, rest = divmod(self._batches.rows, size)
        chosen = None if order is None else RowOrder(order, self._batches.rows)
        made = 0
        while made < whole:
            values = self._pace.run(self._loops[size], made * size, whole - made, chosen)
            steps = Steps(made, size, values)
            yield steps
            made += len(steps)
        if rest:
            yield Steps(whole, rest, self._loops[rest].run(whole * size, 1, chosen))
