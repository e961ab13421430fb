"""The weight of each row of a batch: what the caller gives for rows and for classes, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphc.errors import DataError
from graphc.ir.arguments.given import as_array, as_integer, as_number, shown
from graphc.ir.nodes.op import Array
from graphc.train.network.network import Network

ClassWeight = Mapping[int, float]


def weights_of_rows(
    network: Network,
    targets: list[Array],
    sample_weight: Any,
    class_weight: ClassWeight | None,
) -> Array:
    """The weights (rows,), in the dtype of the loss: those of the rows times those of the classes.

    network: one that weighs rows. targets: its arrays; class weights need a single one. Raises
    DataError for weights that are not one number a row, are negative, NaN or infinite in that
    dtype, and for class weights where the targets are no classes.
    """
    assert network.row_weights is not None
    rows = len(targets[0])
    weights = np.ones(rows)
    if sample_weight is not None:
        weights = _given(sample_weight, rows)
    if class_weight is not None:
        weights = weights * _of_classes(network, targets, class_weight)
    with np.errstate(over="ignore"):
        made = weights.astype(network.row_weights.dtype.numpy)
    if not np.isfinite(made).all() or (made < 0).any():
        bad = int(np.argmin(np.isfinite(made) & (made >= 0)))
        problem = f"weights are finite and not negative; that of row {bad} is {weights[bad]}"
        raise DataError(f"sample_weight: {problem}")
    return np.ascontiguousarray(made)


def _given(sample_weight: Any, rows: int) -> Array:
    try:
        weights = as_array(sample_weight)
    except (TypeError, ValueError) as error:
        raise DataError(f"sample_weight: {error}") from None
    if weights.shape != (rows,):
        problem = f"a weight for each of {rows} rows, ({rows},), expected, not {weights.shape}"
        raise DataError(f"sample_weight: {problem}")
    return weights.astype(np.float64)


def _of_classes(network: Network, targets: list[Array], class_weight: ClassWeight) -> Array:
    """The weight of each row's class; 1 for a class that has none."""
    classes = _classes_of(network, targets)
    weights = np.ones(len(classes))
    for label, weight in _checked(class_weight).items():
        weights[classes == label] = weight
    return weights


def _checked(class_weight: Any) -> dict[int, float]:
    if not isinstance(class_weight, Mapping):
        raise DataError(f"class_weight: weights by class expected, not {shown(class_weight)}")
    try:
        weights = {as_integer(label): as_number(w) for label, w in class_weight.items()}
    except TypeError as error:
        raise DataError(f"class_weight: {error}") from None
    for label, weight in weights.items():
        if not (np.isfinite(weight) and weight >= 0):
            problem = f"weights are finite and not negative; that of class {label} is {weight}"
            raise DataError(f"class_weight: {problem}")
    return weights


def _classes_of(network: Network, targets: list[Array]) -> Array:
    """The class of each row: an integer, the place of the greatest of one-hot floats, or 0.0 and
    1.0 of a binary target."""
    if len(network.targets) != 1:
        raise DataError(f"class_weight: one target expected, not {len(network.targets)}")
    (target,) = targets
    if target.ndim == 2 and target.shape[1] > 1 and target.dtype.kind == "f":
        return np.asarray(target.argmax(1))
    if target.size != len(target):
        problem = f"a class for each row expected, not targets of shape {target.shape}"
        raise DataError(f"class_weight: {problem}")
    classes = target.reshape(-1)
    if (classes != np.floor(classes)).any():
        raise DataError("class_weight: classes expected, but the targets are no whole numbers")
    return classes
