"""Batches of rows, the order that an epoch takes rows in, and rows that are kept for validation."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from graphc.declare.hyperparameters import as_count
from graphc.errors import DataError
from graphc.ir.arguments.given import as_number, shown

Array = np.ndarray[Any, np.dtype[Any]]


def fresh_seed() -> int:
    """A seed that the operating system draws."""
    return int.from_bytes(os.urandom(16), "little")


def shuffled_rows(rows: int, seed: int, epoch: int) -> Array:
    """The order (i64) of the rows in an epoch: the same for the same seed and epoch."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


def split_rows(arrays: Sequence[Array], share: float) -> tuple[list[Array], list[Array]]:
    """The first rows, and the last `share` of them, at least one.

    Raises DataError unless the share is between 0 and 1 and leaves rows to train on.
    """
    try:
        is_share = 0 < as_number(share) < 1
    except TypeError:
        is_share = False
    if not is_share:
        raise DataError(f"a validation_split from 0 to less than 1 expected, not {shown(share)}")
    rows = len(arrays[0])
    # A share is a rounded number: 0.9 of 10 rows are 9 of them, though 1 - 0.9 is less than 0.1.
    rounding = 4 * float(np.finfo(np.asarray(share).dtype).eps)
    first = rows - math.ceil(rows * float(share) * (1 - rounding))
    if first == 0:
        raise DataError(f"a validation_split of {share} leaves none of {rows} rows to train on")
    return [array[:first] for array in arrays], [array[first:] for array in arrays]


def as_parts(validation_data: object) -> tuple[Any, Any, Any]:
    """What is validated on: x, y, and weights of the rows or None. Raises DataError for another
    number of parts."""
    if not isinstance(validation_data, tuple | list):
        given = f"of type {type(validation_data).__name__}"
    elif len(validation_data) not in (2, 3):
        given = f"{len(validation_data)} parts"
    else:
        x, y, weights = (*validation_data, None)[:3]
        return x, y, weights
    raise DataError(f"a pair (x, y) or (x, y, sample_weight) expected, not {given}")


def as_batch_size(value: Any) -> int:
    """Raises DataError for what is no integer of at least 1."""
    return as_count("batch_size", value, 1)


class Batches:
    """Arrays of equally many rows, handed out in batches; the last may be smaller.

    Without an order a batch is a view of the arrays. With one its rows are copied to buffers that
    the next batch overwrites.
    """

    def __init__(self, arrays: Sequence[Array], batch_size: int) -> None:
        """Raises DataError for a batch size below 1 and for no rows."""
        size = as_batch_size(batch_size)
        self.rows = len(arrays[0])
        if self.rows == 0:
            raise DataError("no data: there are no rows")
        self.batch_size = min(size, self.rows)
        self.arrays = list(arrays)
        self._buffers: list[Array] | None = None

    def __len__(self) -> int:
        """The number of batches."""
        return -(-self.rows // self.batch_size)

    @property
    def sizes(self) -> set[int]:
        """The one or two sizes that batches have."""
        return {self.batch_size, self.rows % self.batch_size or self.batch_size}

    def __call__(self, order: Array | None = None) -> Iterator[list[Array]]:
        """The batches once through, the rows in `order` when it is given."""
        starts = range(0, self.rows, self.batch_size)
        if order is None:
            for start in starts:
                yield [array[start : start + self.batch_size] for array in self.arrays]
            return
        whole = self._make_buffers()
        rest = [buffer[: self.rows % self.batch_size] for buffer in whole]
        for start in starts:
            rows = order[start : start + self.batch_size]
            buffers = whole if len(rows) == self.batch_size else rest
            for array, buffer in zip(self.arrays, buffers, strict=True):
                # Any mode but "raise" writes to `out` without a copy in between.
                np.take(array, rows, axis=0, out=buffer, mode="clip")
            yield buffers

    def _make_buffers(self) -> list[Array]:
        if self._buffers is None:
            self._buffers = [
                np.empty((self.batch_size, *array.shape[1:]), array.dtype) for array in self.arrays
            ]
        return self._buffers
