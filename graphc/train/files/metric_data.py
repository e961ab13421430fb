"""Metrics as plain data: a node by its label, a metric of the whole set by its class and fields."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from graphc.declare import metrics
from graphc.declare.as_data import as_data, from_data
from graphc.declare.metrics.set_metrics import OfPredictions, SetMetric
from graphc.files.plain_data import Part
from graphc.ir.graph import Node
from graphc.ir.nodes.op import Array
from graphc.train.network.network import Metric

METRICS: Mapping[str, Any] = {
    name: each
    for name, each in vars(metrics).items()
    if isinstance(each, type)
    and issubclass(each, SetMetric)
    and not inspect.isabstract(each)
    and each is not OfPredictions
}


def metric_data(metric: Metric, where: str, labels: Mapping[Node, str], arrays: list[Array]) -> Any:
    """The metric as data. Raises TypeError, which begins with `where`, for one with a function."""
    if isinstance(metric, Node):
        return labels[metric]
    name = type(metric).__name__
    if METRICS.get(name) is not type(metric):
        problem = f"{where}: a file holds no function, as {name} has one"
        raise TypeError(f"{problem}; weights_only=True saves the weights")
    given = {each.name: getattr(metric, each.name) for each in fields(metric)}
    return {
        "class": name,
        "nodes": {n: labels[value] for n, value in given.items() if isinstance(value, Node)},
        "settings": {
            n: as_data(value, f"{where}.{n}", arrays)
            for n, value in given.items()
            if not isinstance(value, Node)
        },
    }


def metric_of(part: Part, node_of: Callable[[Part], Node], arrays: list[Array]) -> Metric:
    """The metric. Raises ModelFileError for a class that is none and for unfit fields."""
    if isinstance(part.value, str):
        return node_of(part)
    found = part.has(("class", "nodes", "settings"))
    name = found["class"].text()
    if name not in METRICS:
        raise found["class"].error(f"one of {', '.join(METRICS)} expected, not {name!r}")
    nodes = {n: node_of(each) for n, each in found["nodes"].entries().items()}
    settings = {n: from_data(each, {}, arrays) for n, each in found["settings"].entries().items()}
    try:
        return METRICS[name](**nodes, **settings)
    except (TypeError, ValueError) as error:
        raise part.error(str(error)) from None
