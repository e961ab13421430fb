"""Sequences as arrays: padded to one length, in batches of few lengths, and windows of a series."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from graphc.declare.hyperparameters import as_count
from graphc.errors import DataError
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.arguments.given import as_array, shown
from graphc.ir.types import is_several

Array = np.ndarray[Any, np.dtype[Any]]
Side = Literal["pre", "post"]


def pad_sequences(
    sequences: Sequence[Any],
    maxlen: int | None = None,
    dtype: object = "int32",
    padding: Side = "pre",
    truncating: Side = "pre",
    value: float = 0.0,
) -> Array:
    """Sequences of different lengths as one array [sequences, maxlen, ...].

    maxlen: the longest one's length unless given. padding: whether `value` stands before ("pre") or
    behind ("post") a shorter one. truncating: where a longer one is cut. Words and defaults are
    those of keras.utils.pad_sequences.

        rows = gc.data.pad_sequences([[1, 2], [3]], padding="post")  # [[1, 2], [3, 0]]

    Raises ValueError for another side, DataError for what is no sequence of numbers and for
    sequences whose elements differ in shape.
    """
    for name, side in (("padding", padding), ("truncating", truncating)):
        if side not in ("pre", "post"):
            raise ValueError(f"pad_sequences: {name}: 'pre' or 'post' expected, not {side!r}")
    if not is_several(sequences) or isinstance(sequences, str):
        raise DataError(f"pad_sequences: sequences of numbers expected, not {shown(sequences)}")
    arrays = [_as_sequence("pad_sequences", sequence, dtype) for sequence in sequences]
    lengths = [len(array) for array in arrays]
    length = max(lengths, default=0) if maxlen is None else as_count("maxlen", maxlen, 1)
    inner = {array.shape[1:] for array in arrays if len(array)} or {()}
    if len(inner) > 1:
        shapes = " and ".join(sorted(map(str, inner)))
        raise DataError(f"pad_sequences: elements of one shape expected, not {shapes}")
    shape = (len(arrays), length, *inner.pop())
    try:
        result = np.full(shape, value, dtype)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError, MemoryError) as error:
        problem = f"no array {shape} of {shown(value)} can be made: {error}"
        raise DataError(f"pad_sequences: {problem}") from None
    for row, array in zip(result, arrays, strict=True):
        kept = array[-length:] if truncating == "pre" else array[:length]
        if not len(kept):
            continue
        if padding == "post":
            row[: len(kept)] = kept
        else:
            row[-len(kept) :] = kept
    return np.asarray(result)


def _as_sequence(function: str, given: Any, dtype: object = None) -> Array:
    """The array of one sequence. Raises DataError for a lone number and for what are no numbers."""
    problem = f"{function}: sequences of numbers expected, not {shown(given)}"
    try:
        array = np.asarray(as_array(given), dtype)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{problem}: {error}") from None
    if array.ndim == 0:
        raise DataError(problem)
    return np.asarray(array)


def timeseries_windows(
    data: Any, sequence_length: int, sequence_stride: int = 1, sampling_rate: int = 1
) -> Array:
    """The windows of a series [time, ...]: [windows, sequence_length, ...], a view without copies.

    Window i has the elements i * sequence_stride + k * sampling_rate for each k below
    `sequence_length`. What follows each window of a series x is x[sequence_length:] in the same
    steps. Words are those of keras.utils.timeseries_dataset_from_array. The view cannot be written.

        x = gc.data.timeseries_windows(series[:-1], 24)
        y = series[24:]

    Raises DataError for a series that is shorter than a window.
    """
    try:
        series = as_array(data)
    except (TypeError, ValueError) as error:
        raise DataError(f"timeseries_windows: {error}") from None
    length = as_count("sequence_length", sequence_length, 1)
    stride = as_count("sequence_stride", sequence_stride, 1)
    rate = as_count("sampling_rate", sampling_rate, 1)
    span = (length - 1) * rate + 1
    if series.ndim == 0 or len(series) < span:
        raise DataError(
            f"timeseries_windows: a series of at least {span} elements expected, not of the shape "
            f"{series.shape}"
        )
    windows = np.lib.stride_tricks.sliding_window_view(series, span, axis=0)
    return np.moveaxis(windows[::stride, ..., ::rate], -1, 1)


class BucketedBatches:
    """Batches (x, y) of sequences of similar length, which `fit` takes as they are.

    x: sequences of different lengths. y: a target for each, or for each a sequence of targets,
    which is filled up likewise. Sequences are put together by the least of `boundaries` that holds
    them and filled up behind to that length with `value`; so there are as many shapes, and kernels,
    as boundaries. Every pass goes through all of them in another order, which `seed` fixes. What is
    left of a bucket is a smaller batch, or dropped with `drop_remainder`.

        batches = gc.data.BucketedBatches(texts, labels, 32, boundaries=(16, 32, 64))
        model.fit(batches, epochs=3)

    Raises DataError for other numbers of x and y, for what is no sequence of numbers, for a
    sequence longer than all boundaries, and for a negative seed.
    """

    @checks_flags
    def __init__(
        self,
        x: Sequence[Any],
        y: Sequence[Any],
        batch_size: int,
        boundaries: Sequence[int],
        value: float = 0.0,
        seed: int = 0,
        drop_remainder: bool = False,
    ) -> None:
        if len(x) != len(y):
            raise DataError(f"BucketedBatches: {len(x)} sequences for {len(y)} targets")
        self.batch_size = as_count("batch_size", batch_size, 1)
        self.boundaries = sorted(as_count("boundary", each, 1) for each in boundaries)
        self.value, self.drop_remainder = value, drop_remainder
        self._x = [_as_sequence("BucketedBatches", each) for each in x]
        self._y = [np.asarray(each) for each in y]
        self._random = np.random.default_rng(as_count("seed", seed, 0))
        lengths = [len(each) for each in self._x]
        if lengths and max(lengths) > max(self.boundaries, default=0):
            problem = f"a sequence of {max(lengths)} elements is beyond all boundaries"
            raise DataError(f"BucketedBatches: {problem}")
        places = np.searchsorted(self.boundaries, lengths)
        self._buckets = [np.flatnonzero(places == n) for n in range(len(self.boundaries))]

    def __len__(self) -> int:
        """The batches of one pass."""
        whole = math.floor if self.drop_remainder else math.ceil
        return sum(whole(len(rows) / self.batch_size) for rows in self._buckets)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        batches: list[tuple[int, Array]] = []
        for length, bucket in zip(self.boundaries, self._buckets, strict=True):
            rows = self._random.permutation(bucket)
            for start in range(0, len(rows), self.batch_size):
                batch = rows[start : start + self.batch_size]
                if len(batch) == self.batch_size or not self.drop_remainder:
                    batches.append((length, batch))
        for number in self._random.permutation(len(batches)):
            length, batch = batches[number]
            yield self._filled(self._x, batch, length), self._targets(batch, length)

    def _filled(self, sequences: list[Array], rows: Array, length: int) -> Array:
        chosen = [sequences[row] for row in rows]
        dtype = np.result_type(*chosen)
        return pad_sequences(chosen, length, dtype, padding="post", value=self.value)

    def _targets(self, rows: Array, length: int) -> Array:
        if self._y[rows[0]].ndim == 0:
            return np.array([self._y[row] for row in rows])
        return self._filled(self._y, rows, length)
