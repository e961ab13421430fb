"""Metrics of a whole set of rows, which are no means of what its batches have.

A step gives parts of its batch: counts and sums that add up, or values of each row where the metric
needs all of them at once. What all steps gave is merged, and the metric made of it in numpy.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import numpy as np

from graphc.declare.losses.checks import check_like
from graphc.declare.metrics.scores import HALF, check_floats, check_shape
from graphc.errors import ShapeError
from graphc.ir.arguments.given import check_tensors, is_one_of, shown
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.lazy import Lazy
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import f64

Array = np.ndarray[Any, np.dtype[Any]]
Parts = Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class SetMetric(ABC):
    """A metric of all rows of a set: a value of `gc.Model(metrics={"auc": gc.metrics.AUC(z, t)})`.

    Its fields are the nodes that it is made of and settings; they say all that it is. `is_number`:
    whether its value is a float, not an array. `keeps_rows`: whether its parts are values of each
    row, [batch, ...], which are kept; else they are merged step by step.
    """

    is_number: ClassVar[bool] = True
    keeps_rows: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Declares the parts, so that what does not fit is an error at the user's line."""
        assert self.parts

    @property
    def operands(self) -> tuple[Node, ...]:
        """The nodes among its fields."""
        values = (getattr(self, each.name) for each in fields(self))
        return tuple(value for value in values if isinstance(value, Node))

    @Lazy
    def parts(self) -> dict[str, Node]:
        """What a step gives of its batch, by name."""
        return self.declared()

    @abstractmethod
    def declared(self) -> dict[str, Node]:
        """Makes the parts. Raises ShapeError, DTypeError or ValueError for what does not fit."""

    def merged(self, steps: Parts) -> dict[str, Array]:
        """The parts of all steps, each (steps, ...), as those of one: here their sums."""
        return {
            name: values.sum(axis=0, dtype="i8" if values.dtype.kind == "i" else "f8")
            for name, values in steps.items()
        }

    @abstractmethod
    def result(self, parts: Parts) -> Any:
        """The metric of a whole set: a float, or an array where it is no number.

        parts: merged, or where rows are kept each (rows, ...).
        """


@dataclass(frozen=True, eq=False)
class AUC(SetMetric):
    """The area under the ROC curve, or with curve="PR" the average precision, exact with ties.

    scores: floats [batch] or [batch, 1], probabilities as well as logits, or [batch, labels], of
        which the mean over the labels is taken. targets: of the same shape, positive above 1/2.

    ROC: the share of pairs of a positive and a negative row whose scores stand in the right order,
    ties counting half; NaN unless there are both. PR: sum_n (R_n - R_(n-1)) P_n over thresholds
    n with precision P and recall R; 0 without a positive row. They are those of
    sklearn.metrics.roc_auc_score and average_precision_score. A NaN ranks a positive row below all
    others and a negative one above. Raises ValueError for another curve, ShapeError where shapes
    differ, DTypeError unless scores are floats.
    """

    scores: Node
    targets: Node
    curve: Literal["ROC", "PR"] = "ROC"

    keeps_rows: ClassVar[bool] = True

    def declared(self) -> dict[str, Node]:
        if not is_one_of(self.curve, ("ROC", "PR")):
            raise ValueError(f"AUC: a curve of 'ROC' or 'PR' expected, not {shown(self.curve)}")
        check_floats("AUC", self.scores, self.targets)
        check_shape("AUC", self.scores, self.targets, self.scores.shape)
        if self.scores.rank not in (1, 2):
            raise _misfit("AUC: scores [batch] or [batch, labels] expected", self.scores)
        targets = self.targets
        numbers = targets if targets.dtype.is_float else build.cast(targets, self.scores.dtype)
        return {"scores": self.scores, "positive": ops.greater(numbers, HALF)}

    def result(self, parts: Parts) -> float:
        scores, positive = (np.atleast_2d(parts[name].T) for name in ("scores", "positive"))
        area = roc_area if self.curve == "ROC" else average_precision
        areas = [area(*label) for label in zip(scores, positive, strict=True)]
        return float(np.mean(areas))


@dataclass(frozen=True, eq=False)
class R2(SetMetric):
    """The coefficient of determination 1 - sum (t - y)^2 / sum (t - mean t)^2, of all rows.

    predictions, targets: floats [batch, ...] of one type; of several outputs the mean, with
    multioutput="variance_weighted" weighted by their spread. As sklearn.metrics.r2_score: for
    targets that are all equal 1 where the predictions are right and else 0; NaN for a single row.
    NaN where a prediction is. Sums are made in f64 and spreads merged by the update of Chan, Golub
    and LeVeque (1979), so that a large mean costs no digits. Raises ShapeError or DTypeError when
    the types differ, ValueError for another multioutput.
    """

    predictions: Node
    targets: Node
    multioutput: Literal["uniform_average", "variance_weighted"] = "uniform_average"

    def declared(self) -> dict[str, Node]:
        if not is_one_of(self.multioutput, ("uniform_average", "variance_weighted")):
            choices = "'uniform_average' or 'variance_weighted'"
            raise ValueError(f"R2: multioutput: {choices} expected, not {shown(self.multioutput)}")
        check_floats("R2", self.predictions, self.targets)
        check_like("R2", self.predictions, self.targets)
        if not self.targets.rank:
            raise _misfit("R2: targets [batch, ...] expected", self.targets)
        targets, predictions = (build.cast(x, f64) for x in (self.targets, self.predictions))
        mean = build.mean(targets, 0)
        return {
            "rows": targets.graph.extent(targets.shape[:1], f64),
            "mean": mean,
            "spread": build.sum(ops.square(targets - mean), 0),
            "error": build.sum(ops.square(targets - predictions), 0),
        }

    def merged(self, steps: Parts) -> dict[str, Array]:
        """Chan's update: between the means of parts there is spread as well."""
        totals = super().merged(steps)
        rows = steps["rows"].reshape(-1, *[1] * (steps["mean"].ndim - 1))
        mean = (rows * steps["mean"]).sum(0) / totals["rows"]
        between = (rows * np.square(steps["mean"] - mean)).sum(0)
        return {**totals, "mean": mean, "spread": totals["spread"] + between}

    def result(self, parts: Parts) -> float:
        if parts["rows"] < 2:
            return float("nan")
        error, spread = np.atleast_1d(parts["error"]), np.atleast_1d(parts["spread"])
        flat = np.where(error == 0, 1.0, np.where(np.isnan(error), np.nan, 0.0))
        values = np.where(spread == 0, flat, 1 - error / np.where(spread == 0, 1, spread))
        is_weighted = self.multioutput == "variance_weighted" and spread.any()
        return float(np.average(values, weights=spread if is_weighted else None))


@dataclass(frozen=True, eq=False, init=False)
class OfPredictions(SetMetric):
    """A metric of your own: `function` of what the nodes have in all rows, in numpy.

        gc.metrics.OfPredictions(lambda z, t: np.median(abs(z - t)), scores, t)

    nodes: each [batch, ...]; of all rows of the set, (rows, ...), the function makes a number. Rows
    stand in the order in which they were taken. Raises TypeError for what cannot be called or is no
    tensor, ShapeError for a node without a batch. When it is evaluated, raises TypeError unless the
    function gives a number, and what it raises.
    """

    function: Callable[..., Any]
    nodes: tuple[Node, ...]

    keeps_rows: ClassVar[bool] = True

    def __init__(self, function: Callable[..., Any], *nodes: Node) -> None:
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "nodes", nodes)
        self.__post_init__()

    @property
    def operands(self) -> tuple[Node, ...]:
        return self.nodes

    def declared(self) -> dict[str, Node]:
        if not callable(self.function):
            problem = f"OfPredictions: a function expected, not {shown(self.function)}"
            raise TypeError(located(problem, callers_location()))
        check_tensors("OfPredictions", *self.nodes)
        if not self.nodes:
            raise TypeError(located("OfPredictions: no nodes given", callers_location()))
        for node in self.nodes:
            if not node.rank:
                raise _misfit("OfPredictions: a node [batch, ...] expected", node)
        return {str(number): node for number, node in enumerate(self.nodes)}

    def result(self, parts: Parts) -> float:
        value = self.function(*(parts[name] for name in self.parts))
        if np.ndim(value) or np.asarray(value).dtype.kind not in "biuf":
            name = getattr(self.function, "__name__", shown(self.function))
            raise TypeError(f"OfPredictions: a number expected of {name}, not {shown(value)}")
        return float(value)


def roc_area(scores: Array, positive: Array) -> float:
    """The share of pairs (positive, negative) in the right order, ties counting half.

    scores: floats (rows,). positive: bool (rows,). From the ranks of the positive rows (Mann and
    Whitney, 1947); NaN unless there are rows of both kinds.
    """
    order, place = _places(scores, positive)
    counts = np.bincount(place, minlength=order)
    ends = np.cumsum(counts)
    ranks = ends - (counts - 1) / 2  # the mean rank, from 1, of rows with equal scores
    yes = int(positive.sum())
    no = len(positive) - yes
    if not yes or not no:
        return float("nan")
    above = ranks[place[positive]].sum() - yes * (yes + 1) / 2
    return float(above / (yes * no))


def average_precision(scores: Array, positive: Array) -> float:
    """sum_n (R_n - R_(n-1)) P_n, thresholds falling; 0 without a positive row."""
    order, place = _places(scores, positive)
    yes = np.cumsum(np.bincount(place[positive], minlength=order)[::-1])
    chosen = np.cumsum(np.bincount(place, minlength=order)[::-1])
    if not len(yes) or not yes[-1]:
        return 0.0
    # Where nothing is chosen yet, recall stays 0 and its step has no weight.
    precision = yes / np.maximum(chosen, 1)
    return float(np.sum(np.diff(yes, prepend=0) * precision) / yes[-1])


def _places(scores: Array, positive: Array) -> tuple[int, Array]:
    """How many different scores there are, and the place of each row's among them, from the least.

    A NaN stands in the worst place: first for a positive row, last for a negative one.
    """
    known = ~np.isnan(scores)
    different, inverse = np.unique(scores[known], return_inverse=True)
    last = len(different) + 1
    place = np.where(positive, 0, last)
    place[known] = inverse.ravel() + 1
    return last + 1, place


def _misfit(problem: str, node: Node) -> ShapeError:
    return ShapeError(located(f"{problem}, not {node.type}", callers_location()))
