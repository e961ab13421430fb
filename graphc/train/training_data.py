"""The arrays that a model is trained on and judged by, checked before the first step."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

from graphc.errors import DataError
from graphc.functions.arrays import check_labels, matched, row_count
from graphc.ir.op import Array
from graphc.train.data import Batches, as_pair, split_rows
from graphc.train.network import Network


@dataclass(frozen=True)
class TrainingData:
    """batches: what is trained on. held_out: what is kept for validation, None for nothing."""

    batches: Batches
    held_out: Batches | None


def training_data(
    network: Network,
    x: Any,
    y: Any,
    validation_data: tuple[Any, Any] | None,
    validation_split: float,
    batch_size: int,
) -> TrainingData:
    """As `Model.fit` is given them; raises as it does."""
    arrays = checked_arrays(network, x, y)
    arrays, kept = _divided(network, arrays, validation_data, validation_split)
    held_out = None if kept is None else Batches(kept, batch_size)
    return TrainingData(Batches(arrays, batch_size), held_out)


def checked_arrays(network: Network, x: Any, y: Any) -> list[Array]:
    """An array for each input and target, with labels in range and equally many rows."""
    arrays = [*matched(network.inputs, x, "x"), *matched(network.targets, y, "y")]
    row_count(network.arguments, arrays)
    check_labels(network.roots, network.arguments, arrays)
    return arrays


def _divided(
    network: Network,
    arrays: list[Array],
    validation_data: tuple[Any, Any] | None,
    validation_split: float,
) -> tuple[list[Array], list[Array] | None]:
    is_split = not (isinstance(validation_split, numbers.Real) and validation_split == 0)
    if validation_data is None:
        return split_rows(arrays, validation_split) if is_split else (arrays, None)
    if is_split:
        raise DataError("validation_data and validation_split exclude each other")
    try:
        return arrays, checked_arrays(network, *as_pair(validation_data))
    except (DataError, IndexError) as error:
        raise type(error)(f"validation_data: {error}") from None
