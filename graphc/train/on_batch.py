"""One batch at a time, as a user's own loop trains and judges."""

from __future__ import annotations

from typing import Any

from graphc.functions.function import Function
from graphc.train.data.row_weights import ClassWeight
from graphc.train.data.training_data import batch_arrays
from graphc.train.epochs.tallies import values_of_batch
from graphc.train.model_functions import ModelFunctions


def functions_for(
    functions: ModelFunctions, sample_weight: Any, class_weight: ClassWeight | None
) -> ModelFunctions:
    """Those that weigh rows where there are weights."""
    is_weighted = sample_weight is not None or class_weight is not None
    return functions.weighted if is_weighted else functions


def run_on_batch(
    functions: ModelFunctions,
    run: Function,
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: ClassWeight | None,
) -> dict[str, Any]:
    """Loss and metrics of one batch. Raises DataError for arrays that do not fit, IndexError for
    labels out of range; no state has changed then."""
    network = functions.network
    arrays = batch_arrays(network, x, y, sample_weight, class_weight)
    return values_of_batch(network.set_metrics, run(*arrays), len(arrays[0]))
