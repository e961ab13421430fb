"""Rows of data in batches of few sizes, since every size of a batch is compiled once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.compiler.row_loop import RowOrder
from graphc.functions.function import Function
from graphc.train.epochs import Pace

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
    return rows[np.arange(count) % len(rows)]


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

    def batch(self, numbers: Array | slice, size: int) -> tuple[Array, Array, Array]:
        """The rows of these numbers, filled up to `size` by rows of weight 0."""
        weights = self.weights[numbers]
        padded = np.zeros(size, weights.dtype)
        padded[: len(weights)] = weights
        return (
            filled(dense_rows(self.x[numbers]), size),
            filled(self.targets[numbers], size),
            padded,
        )


class Epochs:
    """Runs epochs of a step over rows: in native code where it can, a call a batch elsewhere.

    step: (x, targets, weights) -> {"loss": the mean over the batch}, with updates.
    """

    def __init__(self, step: Function, rows: Rows, batch_size: int, shuffle: bool) -> None:
        count = len(rows)
        self._step, self._rows, self._batch_size = step, rows, min(batch_size, count)
        self._size = rows_compiled_for(self._batch_size, batch_size)
        whole = count // self._batch_size
        is_native = step.mode == "compiled" and isinstance(rows.x, np.ndarray) and whole > 1
        self._loop = (
            step.row_loop([rows.x, rows.targets, rows.weights], self._size, gathers=shuffle)
            if is_native and self._size == self._batch_size
            else None
        )
        self._in_loop = whole if self._loop is not None else 0
        self._shuffle = shuffle
        self._pace = Pace()

    @property
    def is_one_batch(self) -> bool:
        """Whether a batch holds all rows, whose order then does not matter."""
        return self._batch_size == len(self._rows)

    def losses(self, order: Array | None) -> Iterator[tuple[Array, int]]:
        """The losses of some steps at a time, and the rows of each of their batches.

        order: the numbers (i64) of all rows, None to take them as they are.
        """
        size, made = self._batch_size, 0
        chosen = None if order is None or self._loop is None else RowOrder(order, len(order))
        while made < self._in_loop:
            assert self._loop is not None
            found = self._pace.run(self._loop, made * size, self._in_loop - made, chosen)
            (values,) = found.values()
            yield values, size
            made += len(values)
        for start in range(made * size, len(self._rows), size):
            end = min(start + size, len(self._rows))
            numbers = slice(start, end) if order is None else order[start:end]
            loss = self._step(*self._rows.batch(numbers, self._size))
            (value,) = loss.values()
            yield np.reshape(value, 1), end - start
