"""Outputs of a model for all rows of arrays, batch after batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.arrays import check_labels, matched, row_count
from graphc.data import Batches
from graphc.errors import GraphError
from graphc.forms import Nodes, form_of, in_form, listed
from graphc.function import Function
from graphc.ir.graph import Node
from graphc.ir.location import located
from graphc.ir.op import Array


def predict_rows(
    run: Function, inputs: Sequence[Node], outputs: Nodes, x: Any, batch_size: int
) -> Any:
    """The outputs that `run` has for every row of x, in the structure of `outputs`.

    x: an array for each input, in order or by name. Raises GraphError for an output whose first
    dimension is not that of the inputs, DataError for arrays that do not fit and IndexError for
    labels out of range.
    """
    arrays = matched(inputs, x, "x")
    rows = row_count(inputs, arrays)
    check_labels(listed(outputs), inputs, arrays)
    for node in listed(outputs):
        if not node.rank or node.shape[0] != inputs[0].shape[0]:
            problem = f"{node.type} has no batch to be predicted by rows"
            raise GraphError(located(problem, node.location))
    collected: list[Array] = []
    start = 0
    for batch in Batches(arrays, batch_size)():
        stop = start + len(batch[0])
        parts = listed(run(*batch))
        if not collected:
            collected = [np.empty((rows, *part.shape[1:]), part.dtype) for part in parts]
        for whole, part in zip(collected, parts, strict=True):
            whole[start:stop] = part
        start = stop
    return in_form(form_of(outputs), collected)
