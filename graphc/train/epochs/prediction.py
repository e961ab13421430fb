"""Outputs of a model for all rows of arrays, batch after batch, and the classes that they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.declare.functional.derivatives import inference
from graphc.declare.graphs.forms import Nodes, form_of, in_form, listed
from graphc.errors import GraphError
from graphc.functions.arrays import check_labels, matched, row_count
from graphc.functions.function import Function
from graphc.ir.functions import build
from graphc.ir.graph import Node, is_among, topological
from graphc.ir.nodes.location import located
from graphc.ir.nodes.op import Array
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.rewriting.rewrite import rewrite_values
from graphc.ir.rewriting.simplify import RULES
from graphc.train.data.batches import Batches


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
    # All rows by the same values of the variables.
    with run.steady():
        for batch in Batches(arrays, batch_size)():
            stop = start + len(batch[0])
            parts = listed(run(*batch))
            if not collected:
                collected = [np.empty((rows, *part.shape[1:]), part.dtype) for part in parts]
            for whole, part in zip(collected, parts, strict=True):
                whole[start:stop] = part
            start = stop
    return in_form(form_of(outputs), collected)


def classes_of(output: Node, loss: Node | None) -> Node:
    """The class (i64) of each row in inference, from what a model puts out for it.

    Of scores [batch, ..., classes] it is the greatest. One logit a row, [batch] or [batch, ..., 1],
    or its sigmoid, is of class 1 where the logit is positive and else of class 0, where the loss is
    made of one of yes or no of that logit. Raises GraphError for one number a row under another
    loss.
    """
    output = inference(output)
    has_axis = output.rank > 1
    if has_axis and output.shape[-1] != 1:
        return build.argmax(output, -1)
    logit = None if loss is None else _binary_logit(output, inference(loss))
    if logit is None:
        problem = f"{output.type} is one number a row, which tells two classes apart only where "
        problem += "the loss is one of yes or no of it, such as gc.losses.sigmoid_cross_entropy"
        raise GraphError(located(f"predict_classes: {problem}", output.location))
    classes = build.cast(ops.greater(logit, 0), "i64")
    return build.reshape(classes, output.shape[:-1] if has_axis else output.shape)


def _binary_logit(output: Node, loss: Node) -> Node | None:
    """What `output` is the logit of, if `loss` judges that very logit."""
    simplified = rewrite_values([output, loss], RULES)
    logit = _reshaped(simplified[output])
    if logit.op is ops.sigmoid:
        logit = _reshaped(logit.operands[0])
    judged = [
        _reshaped(node.operands[node.op.logit])
        for node in topological([simplified[loss]])
        if node.op.logit is not None
    ]
    return logit if is_among(logit, judged) else None


def _reshaped(node: Node) -> Node:
    """What `node` has the elements of, in the same order."""
    while node.op is movement.reshape:
        (node,) = node.operands
    return node
