"""Precision, recall, F1 and the confusion matrix of a whole set, from counts of its batches.

Definitions, averages and names are those of sklearn.metrics. Scores and targets are as `accuracy`
and `binary_accuracy` take them; a row whose score is NaN is counted for its own class, and never as
one that was predicted.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from graphc.declare.hyperparameters import check_number
from graphc.declare.losses.checks import message_of
from graphc.declare.metrics.scores import (
    HALF,
    check_floats,
    check_scores,
    check_shape,
    has_numbers,
    is_number,
)
from graphc.declare.metrics.set_metrics import Array, Parts, SetMetric
from graphc.errors import ShapeError
from graphc.ir.arguments.given import is_one_of, shown
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import f64, i32, i64

Average = Literal["binary", "micro", "macro", "weighted"]
AVERAGES = ("binary", "micro", "macro", "weighted")
NORMALIZED = ("true", "pred", "all")


@dataclass(frozen=True, eq=False)
class ClassMetric(SetMetric):
    """A share of what was counted for each class.

    scores: floats [..., classes], the greatest of which is predicted, with targets that are
        integers [...] or one-hot floats [..., classes]; or one number a row, [batch] or [batch, 1],
        which says class 1 above `threshold` (0 for logits, 0.5 for probabilities) and else 0,
        with targets of its shape.
    average: "binary", of class 1 of two; "micro", of all classes' counts; "macro", the mean over
        the classes that occur in targets or predictions; "weighted", by how often targets have
        them.
    zero_division: what 0/0 is; NaN leaves the class out of an average.

    Raises ValueError for another average, ShapeError for an open number of classes, for a single
    one, for "binary" of more than two and for shapes that do not fit, DTypeError unless scores are
    floats.
    """

    scores: Node
    targets: Node
    average: Average = "binary"
    zero_division: float = 0.0
    threshold: float = 0.0

    def declared(self) -> dict[str, Node]:
        name = type(self).__name__
        if not is_one_of(self.average, AVERAGES):
            expected = "average: 'binary', 'micro', 'macro' or 'weighted' expected"
            raise ValueError(f"{name}: {expected}, not {shown(self.average)}")
        if not (isinstance(self.zero_division, int | float) and 0 <= self.zero_division <= 1):
            _check_is_nan(f"{name}: zero_division", self.zero_division)
        actual, predicted = classes_by_row(name, self.scores, self.targets, self.threshold)
        if self.average == "binary" and actual.shape[-1] != 2:
            problem = (
                "average 'binary' is one of two classes; 'micro', 'macro' and 'weighted' of more"
            )
            raise ShapeError(message_of(name, self.scores, self.targets, problem))
        return {
            "right": _count(ops.logical_and(actual, predicted)),
            "predicted": _count(predicted),
            "actual": _count(actual),
        }

    @abstractmethod
    def share(self, right: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        """Numerator and denominator."""

    def result(self, parts: Parts) -> float:
        counts = parts["right"], parts["predicted"], parts["actual"]
        if self.average == "binary":
            return float(self._shares(*(count[1:] for count in counts))[0])
        if self.average == "micro":
            return float(self._shares(*(count.sum(keepdims=True) for count in counts))[0])
        shares = self._shares(*counts)
        _, predicted, actual = counts
        weights = actual if self.average == "weighted" else (predicted + actual > 0).astype("f8")
        weights = np.where(np.isnan(shares), 0, weights)
        is_empty = not weights.any()
        return (
            float("nan") if is_empty else float(np.average(np.nan_to_num(shares), weights=weights))
        )

    def _shares(self, right: Array, predicted: Array, actual: Array) -> Array:
        over, under = self.share(right, predicted, actual)
        shares = over / np.where(under == 0, 1, under)
        return np.asarray(np.where(under == 0, self.zero_division, shares))


@dataclass(frozen=True, eq=False)
class Precision(ClassMetric):
    """Of the rows that were predicted to be of a class the share that is, as `ClassMetric` says.

    As sklearn.metrics.precision_score: `gc.metrics.Precision(scores, t, average="macro")`.
    """

    def share(self, right: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return right, predicted


@dataclass(frozen=True, eq=False)
class Recall(ClassMetric):
    """Of the rows of a class the share that was predicted, as `ClassMetric` says.

    As sklearn.metrics.recall_score: `gc.metrics.Recall(logits, t)`.
    """

    def share(self, right: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return right, actual


@dataclass(frozen=True, eq=False)
class F1(ClassMetric):
    """2 right / (predicted + actual), the harmonic mean of precision and recall.

    As sklearn.metrics.f1_score: `gc.metrics.F1(scores, t, average="weighted")`.
    """

    def share(self, right: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return 2 * right, predicted + actual


@dataclass(frozen=True, eq=False)
class ConfusionMatrix(SetMetric):
    """Counts i64 [classes, classes] of class (row) and predicted class (column).

    scores, targets and threshold are those of `ClassMetric`. normalize: "true" divides rows by
    their sums, "pred" columns, "all" everything; then f64, and 0 where nothing was counted. As
    sklearn.metrics.confusion_matrix. A row whose score is NaN is in no cell. `evaluate` and the
    history have the array; what logs numbers, such as progress and callbacks, leaves it out.
    Raises as `ClassMetric` does, ValueError for another `normalize`.
    """

    scores: Node
    targets: Node
    normalize: Literal["true", "pred", "all"] | None = None
    threshold: float = 0.0

    is_number: ClassVar[bool] = False

    def declared(self) -> dict[str, Node]:
        if not (self.normalize is None or is_one_of(self.normalize, NORMALIZED)):
            expected = "normalize: 'true', 'pred', 'all' or None expected"
            raise ValueError(f"ConfusionMatrix: {expected}, not {shown(self.normalize)}")
        found = classes_by_row("ConfusionMatrix", self.scores, self.targets, self.threshold)
        # f64 counts exactly to 2^53.
        actual, predicted = (
            build.reshape(build.cast(each, f64), (-1, each.shape[-1])) for each in found
        )
        return {"counts": build.matmul(actual, predicted, transpose_x=True)}

    def result(self, parts: Parts) -> Array:
        counts = parts["counts"]
        if self.normalize is None:
            return np.asarray(counts.astype("i8"))
        axis = {"true": 1, "pred": 0, "all": None}[self.normalize]
        total = counts.sum(axis=axis, keepdims=True)
        return np.asarray(counts / np.where(total == 0, 1, total))


def classes_by_row(name: str, scores: Node, targets: Node, threshold: float) -> tuple[Node, Node]:
    """Of each row its class and the predicted one, as bools [..., classes] one of which is true;
    none in the second where a score is NaN, none in either where the target is."""
    check_floats(name, scores, targets)
    check_number(f"{name}: threshold", threshold, dtype=scores.dtype)
    if _is_one_number(scores, targets):
        numbers = targets if targets.dtype.is_float else build.cast(targets, scores.dtype)
        check_shape(name, scores, targets, scores.shape)
        actual = build.cast(ops.greater(numbers, HALF), i64)
        predicted = build.cast(ops.greater(scores, threshold), i64)
        is_known, classes = is_number(scores), 2
        has_class = is_number(numbers)
    else:
        check_scores(name, scores, targets)
        classes = _fixed_classes(name, scores, targets)
        predicted, is_known = build.argmax(scores, -1), has_numbers(scores)
        if targets.dtype.is_integer:
            check_shape(name, scores, targets, scores.shape[:-1])
            found = build.one_hot(targets, classes, "bool")
            return found, _one_hot(predicted, classes, is_known)
        check_shape(name, scores, targets, scores.shape)
        actual, has_class = build.argmax(targets, -1), has_numbers(targets)
    is_known = ops.logical_and(is_known, has_class)
    return _one_hot(actual, classes, has_class), _one_hot(predicted, classes, is_known)


def _is_one_number(scores: Node, targets: Node) -> bool:
    is_column = scores.rank == 2 and scores.shape[-1] == 1 and targets.rank == 2
    return scores.rank == 1 or is_column


def _fixed_classes(name: str, scores: Node, targets: Node) -> int:
    classes = scores.shape[-1]
    if not isinstance(classes, int):
        raise ShapeError(message_of(name, scores, targets, "fixed classes expected"))
    return classes


def _one_hot(classes: Node, count: int, is_known: Node) -> Node:
    """Without the check of labels, since they are computed; nothing true where not known."""
    is_class = ops.equal(build.expand_dims(classes, -1), classes.graph.iota((count,), i64))
    return ops.logical_and(is_class, build.expand_dims(is_known, -1))


def _count(flags: Node) -> Node:
    """How many rows have each flag [..., classes], i32."""
    return build.sum(build.cast(flags, i32), tuple(range(flags.rank - 1)))


def _check_is_nan(name: str, value: Any) -> None:
    if not (isinstance(value, float | np.floating) and np.isnan(value)):
        raise ValueError(f"{name}: a number from 0 to 1 or NaN expected, not {shown(value)}")
