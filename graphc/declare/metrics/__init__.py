"""Metrics: scalar nodes, each the mean over a batch; metrics of a whole set; the confusion matrix.

What is a mean over batches is a node. What is none, AUC for one, is an object whose class has its
name here as well (`graphc.declare.metrics.set_metrics`): a model merges what its batches give.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.declare import losses
from graphc.declare.metrics.class_metrics import F1, ClassMetric, ConfusionMatrix, Precision, Recall
from graphc.declare.metrics.scores import (
    HALF,
    check_floats,
    check_scores,
    check_shape,
    has_numbers,
    is_number,
)
from graphc.declare.metrics.set_metrics import AUC, R2, OfPredictions, SetMetric
from graphc.errors import DataError
from graphc.ir.arguments.given import as_array, as_integer
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops import composite
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import DType, i32

__all__ = [
    "AUC",
    "F1",
    "R2",
    "ClassMetric",
    "ConfusionMatrix",
    "OfPredictions",
    "Precision",
    "Recall",
    "SetMetric",
    "accuracy",
    "binary_accuracy",
    "confusion_matrix",
    "mean_absolute_error",
    "top_k_accuracy",
]

Array = np.ndarray[Any, np.dtype[Any]]

# A matrix of more classes than this takes more than 100 GB.
MOST_CLASSES = 100_000


def accuracy(scores: Node, labels: Node) -> Node:
    """The share of positions whose greatest score [..., classes], as `argmax` finds it, is the
    label's. Where a score is NaN, nothing is right.

    `labels` are integers [...], or one-hot or soft floats [..., classes]. In the scores' dtype.
    Raises ShapeError when the shapes do not fit and for a single class, DTypeError unless scores
    are floats. An open number of classes is taken to be several: bound to 1, all is right.

        share = gc.metrics.accuracy(scores, labels)
    """
    check_scores("accuracy", scores, labels)
    shape = scores.shape[:-1] if labels.dtype.is_integer else scores.shape
    check_shape("accuracy", scores, labels, shape)
    is_known = has_numbers(scores)
    if labels.dtype.is_integer:
        wanted = build.cast(labels, "i64")
    else:
        wanted = build.argmax(labels, -1)
        is_known = ops.logical_and(is_known, has_numbers(labels))
    return _share(ops.equal(build.argmax(scores, -1), wanted), is_known, scores.dtype)


def binary_accuracy(logits: Node, targets: Node) -> Node:
    """The share of logits that say what the target says: yes above 0, and above 1/2. NaN says
    nothing.

    `targets` are numbers of the logits' shape. Raises ShapeError when the shapes differ,
    DTypeError unless logits are floats.

        share = gc.metrics.binary_accuracy(logits, targets)
    """
    check_floats("binary_accuracy", logits, targets)
    check_shape("binary_accuracy", logits, targets, logits.shape)
    numbers = targets if targets.dtype.is_float else build.cast(targets, logits.dtype)
    is_right = ops.equal(ops.greater(logits, 0), ops.greater(numbers, HALF))
    is_known = ops.logical_and(is_number(logits), is_number(numbers))
    return _share(is_right, is_known, logits.dtype)


def top_k_accuracy(scores: Node, labels: Node, k: int = 5) -> Node:
    """The share of positions where the label, an integer [...], is among the first `k` classes.

    The order is that which `argmax` begins: NaN first, then from the greatest score down, equal
    ones as they stand. A label whose score is NaN is not right, whatever `k`. Raises ShapeError or
    DTypeError for labels of another type, ShapeError for a single class, ValueError for `k` below 1
    and TypeError when it is no integer.

        share = gc.metrics.top_k_accuracy(scores, labels, k=5)
    """
    check_scores("top_k_accuracy", scores, labels)
    if isinstance(k, bool) or not isinstance(k, int | np.integer):
        raise TypeError(f"top_k_accuracy: an integer k expected, not {k!r}")
    if k < 1:
        raise ValueError(f"top_k_accuracy: a k of at least 1 expected, not {k}")
    score = build.expand_dims(build.pick(scores, labels), -1)
    place = build.expand_dims(build.cast(labels, "i32"), -1)
    stands_before = ops.less(composite.positions(scores, scores.rank - 1, i32), place)
    is_tie = ops.logical_and(ops.equal(scores, score), stands_before)
    is_better = ops.logical_not(ops.less_equal(scores, score))  # greater, or NaN
    better = build.sum(build.cast(ops.logical_or(is_better, is_tie), i32), -1, keepdims=True)
    return _share(ops.less(better, int(k)), is_number(score), scores.dtype)


def mean_absolute_error(predictions: Node, targets: Node) -> Node:
    """The mean of |y - t|. Raises ShapeError or DTypeError when the types differ.

    error = gc.metrics.mean_absolute_error(predictions, targets)
    """
    return losses.mean_absolute_error(predictions, targets)


def confusion_matrix(labels: Array, predictions: Array, classes: int) -> Array:
    """Counts i64 [classes, classes] of label (row) and predicted class (column).

    Both are integer arrays of one shape. Raises DataError when not, or outside the classes.

        counts = gc.metrics.confusion_matrix(labels, model.predict_classes(x), 10)
    """
    try:
        labels, predictions, classes = as_array(labels), as_array(predictions), as_integer(classes)
    except (TypeError, ValueError) as error:
        raise DataError(f"confusion_matrix: {error}") from None
    if not 0 < classes < MOST_CLASSES:
        raise DataError(f"confusion_matrix: 1 to {MOST_CLASSES:,} classes expected, not {classes}")
    if labels.shape != predictions.shape:
        raise DataError(f"labels {labels.shape} and predictions {predictions.shape} differ")
    for array in (labels, predictions):
        if array.dtype.kind not in "iu":
            raise DataError(f"integer classes expected, not {array.dtype}")
        if array.size and (array.min() < 0 or array.max() >= classes):
            raise DataError(f"classes from 0 to {classes - 1} expected")
    cells = labels.astype(np.int64).ravel() * classes + predictions.astype(np.int64).ravel()
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def _share(is_right: Node, is_known: Node, dtype: DType) -> Node:
    return build.mean(build.cast(ops.logical_and(is_right, is_known), dtype))
