"""The arrays that a model is trained on and judged by, checked before the first step."""

from __future__ import annotations

from typing import Any

from graphc.errors import DataError
from graphc.functions.arrays import check_labels, matched, row_count
from graphc.ir.arguments.given import as_number
from graphc.ir.nodes.op import Array
from graphc.train.data.row_weights import ClassWeight, weights_of_rows
from graphc.train.network.network import Network


def batch_arrays(
    network: Network,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: ClassWeight | None = None,
) -> list[Array]:
    """An array for each argument of the network, of its dtype; weights where it weighs rows.

    Labels are left to whoever runs them. Raises DataError for arrays that do not fit.
    """
    given, targets = matched(network.inputs, x, "x"), matched(network.targets, y, "y")
    if not len(given[0]):
        raise DataError(f"no data: {network.inputs[0].name} has no rows")
    arrays = [*given, *targets]
    if network.row_weights is not None:
        rows = targets or given
        arrays.append(weights_of_rows(network, rows, sample_weight, class_weight))
    return arrays


def checked_arrays(
    network: Network,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: ClassWeight | None = None,
) -> list[Array]:
    """The same with labels in range and equally many rows. Raises IndexError for labels."""
    arrays = batch_arrays(network, x, y, sample_weight, class_weight)
    row_count(network.arguments, arrays)
    check_labels(network.roots, network.arguments, arrays)
    return arrays


def is_share(validation_split: Any) -> bool:
    """Whether a share of the rows is asked for."""
    try:
        return as_number(validation_split) != 0
    except TypeError:
        return True  # which is refused where rows are split
