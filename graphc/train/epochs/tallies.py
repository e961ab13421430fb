"""What metrics of a whole set gather from steps, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from graphc.declare.metrics.set_metrics import SetMetric
from graphc.ir.nodes.op import Array
from graphc.train.callbacks.logged import part_name
from graphc.train.epochs.native_epochs import Steps


class Tally:
    """Of one metric: its parts merged so far, or those of all rows."""

    def __init__(self, name: str, metric: SetMetric) -> None:
        self._metric = metric
        self._outputs = {part: part_name(name, part) for part in metric.parts}
        self._merged: dict[str, Array] = {}
        self._kept: dict[str, list[Array]] = {part: [] for part in metric.parts}

    def add(self, values: Mapping[str, Array], steps: int, rows: int) -> None:
        """Counts `steps` steps of `rows` rows each, whose outputs are `values`, (steps, ...)."""
        if self._metric.keeps_rows:
            for part, name in self._outputs.items():
                rest = _last(values[name].shape, self._metric.parts[part].rank - 1)
                self._kept[part].append(values[name].reshape(steps * rows, *rest))
            return
        stacked = {}
        for part, name in self._outputs.items():
            node = self._metric.parts[part]
            found = values[name].reshape(
                steps, *values[name].shape[values[name].ndim - node.rank :]
            )
            before = [self._merged[part][None]] if self._merged else []
            stacked[part] = np.concatenate([*before, found])
        self._merged = self._metric.merged(stacked)

    def result(self) -> Any:
        """The metric of all that was counted."""
        if self._metric.keeps_rows:
            return self._metric.result({k: np.concatenate(v) for k, v in self._kept.items()})
        return self._metric.result(self._merged)


class Tallies:
    """Of all metrics of a whole set that a model has."""

    def __init__(self, metrics: Mapping[str, SetMetric]) -> None:
        self._tallies = {name: Tally(name, metric) for name, metric in metrics.items()}
        self._outputs = {
            part_name(n, part) for n, metric in metrics.items() for part in metric.parts
        }
        self._is_empty = True

    def taken(self, steps: Steps) -> Steps:
        """Counts the steps; returns them without what these metrics gather."""
        if not self._tallies:
            return steps
        self._is_empty = False
        for tally in self._tallies.values():
            tally.add(steps.values, len(steps), steps.rows)
        return replace(steps, values=self.without(steps.values))

    def without(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """`values` of steps but for what these metrics gather."""
        return {name: value for name, value in values.items() if name not in self._outputs}

    def result(self) -> dict[str, Any]:
        """The metrics by name, floats and arrays; nothing where no step was counted."""
        return {} if self._is_empty else {name: t.result() for name, t in self._tallies.items()}


def _last(shape: tuple[int, ...], axes: int) -> tuple[int, ...]:
    """The extents of so many axes at the end."""
    return shape[len(shape) - axes :]


def values_of_batch(
    metrics: Mapping[str, SetMetric], values: Mapping[str, Array], rows: int
) -> dict[str, Any]:
    """What one step gave, as floats, and the metrics of its batch alone."""
    if not metrics:
        return {name: float(value) for name, value in values.items()}
    tallies = Tallies(metrics)
    rest = tallies.taken(Steps(0, rows, values))
    return {name: float(value) for name, value in rest.values.items()} | tallies.result()


def numbers_of(logs: Mapping[str, Any]) -> dict[str, float]:
    """Those that are numbers, which progress, callbacks and loggers are told of."""
    return {name: value for name, value in logs.items() if isinstance(value, float)}
