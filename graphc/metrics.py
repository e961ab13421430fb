"""Metrics as scalar nodes, each the mean over a batch, and the confusion matrix of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.errors import DataError, ShapeError
from graphc.ir import build
from graphc.ir.graph import Node
from graphc.ir.location import callers_location, located
from graphc.ir.ops import elementwise as ops

Array = np.ndarray[Any, np.dtype[Any]]

# Where a probability counts as "yes".
HALF = 0.5


def accuracy(scores: Node, labels: Node) -> Node:
    """The share of positions whose greatest score [..., classes] is the label's.

    `labels` are integers [...], or one-hot or soft floats [..., classes]. In the scores' dtype.
    Raises ShapeError when the shapes do not fit.
    """
    predicted = build.argmax(scores, -1)
    wanted = build.cast(labels, "i64") if labels.dtype.is_integer else build.argmax(labels, -1)
    return _share("accuracy", scores, labels, predicted, wanted)


def binary_accuracy(logits: Node, targets: Node) -> Node:
    """The share of logits whose sign agrees with the target: positive where it is above 1/2.

    `targets` are floats of the logits' shape. Raises ShapeError when the shapes differ.
    """
    return _share("binary_accuracy", logits, targets, logits > 0, targets > HALF)


def top_k_accuracy(scores: Node, labels: Node, k: int = 5) -> Node:
    """The share of positions where fewer than `k` scores exceed the label's, an integer [...].

    Raises ShapeError or DTypeError for labels of another type.
    """
    correct = build.expand_dims(build.pick(scores, labels), -1)
    better = build.sum(build.cast(scores > correct, "i32"), -1)
    return build.mean(build.cast(better < k, scores.dtype))


def mean_absolute_error(predictions: Node, targets: Node) -> Node:
    """The mean of |y - t|. Raises ShapeError or DTypeError when they do not fit."""
    return build.mean(ops.absolute(predictions - targets))


def confusion_matrix(labels: Array, predictions: Array, classes: int) -> Array:
    """Counts i64 [classes, classes] of label (row) and predicted class (column).

    Both are integer arrays of one shape. Raises DataError when not, or outside the classes.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape:
        raise DataError(f"labels {labels.shape} and predictions {predictions.shape} differ")
    for array in (labels, predictions):
        if array.dtype.kind not in "iu":
            raise DataError(f"integer classes expected, not {array.dtype}")
        if array.size and (array.min() < 0 or array.max() >= classes):
            raise DataError(f"classes from 0 to {classes - 1} expected")
    cells = labels.astype(np.int64).ravel() * classes + predictions.astype(np.int64).ravel()
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def _share(metric: str, scores: Node, labels: Node, predicted: Node, wanted: Node) -> Node:
    if predicted.shape != wanted.shape:
        problem = f"{predicted.type} predicted, {wanted.type} wanted"
        message = f"{metric}({scores.type}, {labels.type}): {problem}"
        raise ShapeError(located(message, callers_location()))
    return build.mean(build.cast(ops.equal(predicted, wanted), scores.dtype))
