"""Rows of data in batches of few sizes, since every size of a batch is compiled once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.compiler.load.row_loop import RowLoop, RowOrder
from graphc.functions.function import Function
from graphc.train.epochs.native_epochs import Pace

Array = np.ndarray[Any, np.dtype[Any]]

# Fewer rows are filled up to this many, more to a power of two as far as that.
FEWEST_ROWS = 64
MOST_BY_POWERS = 256
# Above, there are this many sizes between a power of two and the next.
SIZES_AN_OCTAVE = 8

PREDICTED_AT_ONCE = 256


def rows_compiled_for(rows: int, most: int) -> int:
    """The rows of a program that takes `rows` of them, filled up; no more than `most`."""
    if rows <= MOST_BY_POWERS:
        size = max(FEWEST_ROWS, 1 << (rows - 1).bit_length())
    else:
        unit = (1 << (rows.bit_length() - 1)) // SIZES_AN_OCTAVE
        size = -(-rows // unit) * unit
    return max(rows, min(size, most))


def dense_rows(x: Any) -> Array:
    """Rows of a numpy array or of a sparse matrix as an array."""
    array: Array = x if isinstance(x, np.ndarray) else x.toarray()
    return array


def filled(rows: Array, count: int) -> Array:
    """`count` rows: those given, and again from the first as often as need be.

    So what is filled up is data as all other, for networks that look at a whole batch.
    """
    if len(rows) == count:
        return rows
    return rows.take(np.arange(count) % len(rows), axis=0)


@dataclass(frozen=True, eq=False)
class Rows:
    """What is learnt from: x [rows, features], an array or a sparse matrix in CSR; targets [rows]
    or [rows, outputs]; weights [rows]."""

    x: Any
    targets: Array
    weights: Array

    def __len__(self) -> int:
        return len(self.weights)

    def chosen(self, numbers: Array) -> Rows:
        """The rows of these numbers."""
        return Rows(self.x[numbers], self.targets[numbers], self.weights[numbers])

    def filled(self, count: int) -> Rows:
        """`count` rows, those after these of weight 0. Of an array alone."""
        if count == len(self):
            return self
        weights = np.zeros(count, self.weights.dtype)
        weights[: len(self)] = self.weights
        return Rows(filled(self.x, count), filled(self.targets, count), weights)

    def batch(self, numbers: Array | slice, size: int) -> tuple[Array, Array, Array]:
        """The rows of these numbers, filled up to `size` by rows of weight 0."""
        part = Rows(dense_rows(self.x[numbers]), self.targets[numbers], self.weights[numbers])
        whole = part.filled(size)
        return whole.x, whole.targets, whole.weights


class Epochs:
    """Runs epochs of a step over rows: in native code where it can, a call a batch elsewhere.

    step: (x, targets, weights) -> {"loss": the mean over the batch}, with updates.
    """

    def __init__(self, step: Function, rows: Rows, batch_size: int, shuffle: bool) -> None:
        count = len(rows)
        self._step, self._rows, self._batch_size = step, rows, min(batch_size, count)
        self._size = rows_compiled_for(self._batch_size, batch_size)
        steps = -(-count // self._batch_size)
        # Of each batch; the last one may have fewer.
        self._counts = np.full(steps, self._batch_size, np.float64)
        self._counts[-1] = count - (steps - 1) * self._batch_size
        self._whole_order = np.arange(steps * self._size)
        self._pace = Pace()
        self._loop: RowLoop | None = None
        if step.mode == "compiled" and isinstance(rows.x, np.ndarray) and steps > 1:
            whole = rows.filled(steps * self._size)
            arrays = [whole.x, whole.targets, whole.weights]
            self._loop = step.row_loop(arrays, self._size, gathers=shuffle)

    @property
    def is_one_batch(self) -> bool:
        """Whether a batch holds all rows, whose order then does not matter."""
        return len(self._counts) == 1

    def losses(self, order: Array | None) -> Iterator[float]:
        """The losses of some steps at a time, each times the rows of its batch, added up.

        order: the numbers (i64) of all rows, None to take them as they are.
        """
        return self._called(order) if self._loop is None else self._native(self._loop, order)

    def _native(self, loop: RowLoop, order: Array | None) -> Iterator[float]:
        steps, made = len(self._counts), 0
        chosen = None
        if order is not None:
            # What the last batch is filled up with stays in its place.
            self._whole_order[: len(order)] = order
            chosen = RowOrder(self._whole_order, len(self._whole_order))
        while made < steps:
            found = self._pace.run(loop, made * self._size, steps - made, chosen)
            (values,) = found.values()
            yield float(values @ self._counts[made : made + len(values)])
            made += len(values)

    def _called(self, order: Array | None) -> Iterator[float]:
        size = self._batch_size
        for number, count in enumerate(self._counts):
            start, end = number * size, number * size + int(count)
            numbers = slice(start, end) if order is None else order[start:end]
            (loss,) = self._step(*self._rows.batch(numbers, self._size)).values()
            yield float(loss) * count
