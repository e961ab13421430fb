"""Where the batches of training and validation come from: arrays, or an iterable of batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphc.errors import DataError
from graphc.train.data.batches import Batches, as_batch_size, as_parts, split_rows
from graphc.train.data.row_weights import ClassWeight
from graphc.train.data.stream import BatchStream, is_stream
from graphc.train.data.training_data import checked_arrays, is_share
from graphc.train.network.network import Network


@dataclass(frozen=True)
class GivenData:
    """What is trained on or judged by, as the caller gives it.

    batch_size: of arrays, None for the default. steps: of an iterable, None for all of its batches.
    """

    x: Any
    y: Any = None
    sample_weight: Any = None
    class_weight: ClassWeight | None = None
    batch_size: Any = None
    steps: Any = None


@dataclass(frozen=True)
class GivenValidation:
    """What is validated on: `data`, (x, y) or (x, y, sample_weight) or an iterable of batches, or a
    `split` of the rows that are trained on."""

    data: Any = None
    split: Any = 0.0
    batch_size: Any = None
    steps: Any = None


@dataclass(frozen=True)
class Source:
    """Batches, and whether they have weights of rows."""

    batches: Batches | BatchStream
    is_weighted: bool


def source_of(network: Network, given: GivenData, default_rows: int, role: str = "x") -> Source:
    """Raises DataError for data that does not fit, IndexError for labels out of range."""
    if is_stream(network, given.x, given.y):
        _check_only_stream(given, role)
        stream = BatchStream(network, given.x, given.steps, given.class_weight, role)
        return Source(stream, stream.is_weighted)
    if given.steps is not None:
        raise DataError(f"{role}: steps are counted of an iterable of batches, not of arrays")
    is_weighted = given.sample_weight is not None or given.class_weight is not None
    chosen = network.weighted if is_weighted else network
    arrays = checked_arrays(chosen, given.x, given.y, given.sample_weight, given.class_weight)
    return Source(Batches(arrays, _rows(given.batch_size, default_rows)), is_weighted)


def divided(
    network: Network, given: GivenData, validation: GivenValidation, default_rows: int
) -> tuple[Source, Source | None]:
    """What is trained on, and what is validated on. Raises as `source_of` does."""
    rows = _rows(given.batch_size, default_rows)
    held_out_rows = _rows(validation.batch_size, rows)
    if validation.data is not None:
        if is_share(validation.split):
            raise DataError("validation_data and validation_split exclude each other")
        trained = source_of(network, given, rows)
        return trained, _validation(network, validation, held_out_rows)
    source = source_of(network, given, rows)
    if not is_share(validation.split):
        return source, None
    if isinstance(source.batches, BatchStream):
        raise DataError("validation_split: rows of arrays are split, not batches of an iterable")
    first, last = split_rows(source.batches.arrays, validation.split)
    is_weighted = given.sample_weight is not None
    if source.is_weighted:
        # Weights of classes are for training alone.
        last = last[:-1]
        if is_weighted:
            first_row = len(first[0])
            weights = _own_weights(network, given, len(last[0]) + first_row)[first_row:]
            last = [*last, weights]
    return Source(Batches(first, rows), source.is_weighted), Source(
        Batches(last, held_out_rows), is_weighted
    )


def _own_weights(network: Network, given: GivenData, rows: int) -> Any:
    """The weights of the rows without those of their classes."""
    arrays = checked_arrays(network.weighted, given.x, given.y, given.sample_weight)
    assert len(arrays[-1]) == rows
    return arrays[-1]


def _validation(network: Network, validation: GivenValidation, rows: int) -> Source:
    if is_stream(network, validation.data, None) and not _is_parts(validation.data):
        given = GivenData(validation.data, steps=validation.steps)
        return source_of(network, given, rows, "validation_data")
    try:
        x, y, weights = as_parts(validation.data)
        given = GivenData(x, y, weights, steps=validation.steps)
        return source_of(network, given, rows, "validation_data")
    except (DataError, IndexError) as error:
        raise type(error)(f"validation_data: {error}") from None


def _is_parts(data: Any) -> bool:
    """A tuple is x, y and weights, never batches."""
    return isinstance(data, tuple)


def _check_only_stream(given: GivenData, role: str) -> None:
    if given.sample_weight is not None:
        raise DataError(f"{role}: an iterable has the weights of rows in its batches, (x, y, w)")
    if given.batch_size is not None:
        raise DataError(f"{role}: an iterable has batches of its own size, and no batch_size")


def _rows(batch_size: Any, default: int) -> int:
    return default if batch_size is None else as_batch_size(batch_size)
