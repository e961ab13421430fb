"""What a model is declared as: inputs, outputs, targets, loss, metrics."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphc.declare.functional.derivatives import inference
from graphc.declare.graphs.forms import Nodes, listed
from graphc.declare.graphs.graph import Graph, graph_of, parameters_of, states_of
from graphc.declare.losses.weighting import weighted_loss
from graphc.declare.metrics.set_metrics import SetMetric
from graphc.errors import GraphError
from graphc.functions.arrays import batch_dimension
from graphc.functions.function import Function
from graphc.ir.arguments.given import check_tensors, shown
from graphc.ir.dims import Dim
from graphc.ir.graph import Node, is_among, topological
from graphc.ir.lazy import Lazy
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.ops import leaf
from graphc.train.callbacks.logged import LOSS, check_metric_name, part_name
from graphc.train.network.trained import chosen_parameters, further_updates

# A mean over the batch, or a metric of the whole set.
Metric = Node | SetMetric


@dataclass(frozen=True, eq=False)
class Network:
    """Nodes of one graph. The loss is a float scalar, as are metrics that are means over the batch.

    batch_dimension: the name of the dimension that is the first of all inputs and targets.
    trainables: the parameters that an optimizer may change. further: other states that a training
    step changes, with their next values.
    row_weights: the input that holds the weight of each row, where the loss has any.
    """

    graph: Graph
    inputs: list[Node]
    outputs: Nodes
    targets: list[Node]
    loss: Node | None
    metrics: dict[str, Metric]
    batch_dimension: str
    trainables: list[Node]
    further: dict[Node, Node]
    row_weights: Node | None = None

    @property
    def arguments(self) -> list[Node]:
        """Inputs, then targets, then the weights of the rows where there are any."""
        weights = [] if self.row_weights is None else [self.row_weights]
        return [*self.inputs, *self.targets, *weights]

    @Lazy
    def weighted(self) -> Network:
        """The same with a loss that weighs the rows; weights are one more input, of the loss's
        dtype. Raises GraphError as `weighted_loss` does, and without a loss."""
        loss, graph = self.checked_loss, self.graph
        with graph.declaring.lock, graph.as_before_on_error():
            name, dtype = graph.unique_name("sample_weight"), loss.dtype
            weights = graph.input(name, (self.batch_dimension,), dtype)
            return replace(self, loss=weighted_loss(loss, weights), row_weights=weights)

    @property
    def roots(self) -> list[Node]:
        """Outputs, then loss, metrics and what those of the whole set gather."""
        loss = {LOSS: self.loss} if self.loss is not None else {}
        return [*listed(self.outputs), *judged_nodes(loss, self.metrics).values()]

    @property
    def judged(self) -> dict[str, Node]:
        """What a step gives: loss, metrics by name, and the parts of those of the whole set. Raises
        GraphError without a loss."""
        return judged_nodes({LOSS: self.checked_loss}, self.metrics)

    @property
    def set_metrics(self) -> dict[str, SetMetric]:
        """The metrics of the whole set, by name."""
        return {n: metric for n, metric in self.metrics.items() if isinstance(metric, SetMetric)}

    @property
    def logged_names(self) -> list[str]:
        """The names of what is logged of an epoch as numbers."""
        numbers = [name for name, metric in self.set_metrics.items() if metric.is_number]
        return [LOSS, *(n for n in self.metrics if n not in self.set_metrics), *numbers]

    @property
    def checked_loss(self) -> Node:
        """The loss. Raises GraphError without one."""
        if self.loss is None:
            raise GraphError("the model has no loss")
        return self.loss

    @property
    def parameters(self) -> list[Node]:
        """The trainable states that outputs, loss and metrics read."""
        return parameters_of(*self.roots)

    @property
    def weights(self) -> list[Node]:
        """The states that outputs, loss and metrics read in inference, trainable or not."""
        return states_of(inference(self.roots))

    def opens_only_batch(self, function: Function) -> bool:
        """Whether the inputs of `function` have no other named dimension."""
        return function.dimensions == (self.batch_dimension,)


def network_of(
    inputs: Node | Sequence[Node],
    outputs: Nodes,
    targets: Node | Sequence[Node] | None,
    loss: Node | None,
    metrics: Mapping[str, Metric] | None,
    parameters: Any = None,
    updates: Any = None,
) -> Network:
    """The parts of a model, checked. Raises TypeError for metrics that have no names, GraphError
    for a node of the wrong kind, shape or graph, and for what reads an input that is not named;
    for parameters and updates as `chosen_parameters` and `further_updates` do."""
    if metrics is not None and not isinstance(metrics, Mapping):
        raise TypeError(f"Model: metrics: scalars by name expected, not {shown(metrics)}")
    given, goals, named = listed(inputs), listed(targets), dict(metrics or {})
    check_parts(given, listed(outputs), goals, loss, named)
    trainables = chosen_parameters(parameters, loss)
    return Network(
        graph=graph_of(given[0]),
        inputs=given,
        outputs=outputs,
        targets=goals,
        loss=loss,
        metrics=named,
        batch_dimension=batch_dimension([*given, *goals]),
        trainables=trainables,
        further=further_updates(updates, loss, [*given, *goals], trainables),
    )


def check_parts(
    inputs: Sequence[Node],
    outputs: Sequence[Node],
    targets: Sequence[Node],
    loss: Node | None,
    metrics: Mapping[str, Metric],
) -> None:
    """Raises GraphError for a node of the wrong kind or shape, for a name that is taken, and for
    what reads an input that is not named."""
    given = [*inputs, *targets]
    check_tensors("Model: inputs, targets and outputs", *given, *outputs)
    if loss is not None:
        check_tensors("Model: loss", loss)
    sets = {name: each for name, each in metrics.items() if isinstance(each, SetMetric)}
    means = {name: each for name, each in metrics.items() if not isinstance(each, SetMetric)}
    check_tensors("Model: metrics", *means.values())
    others = [node for node in given if node.op is not leaf.input_]
    if not inputs or others:
        which = f", not {others[0]!r}" if others else ""
        order = "the order is gc.Model(inputs, outputs, targets, loss)"
        problem = f"inputs and targets must be inputs of a graph{which}; {order}"
        raise GraphError(located(problem, callers_location()))
    twice = next((node for node in targets if is_among(node, inputs)), None)
    if twice is not None:
        problem = f"{twice!r} is an input and a target; leave it out of the targets: the loss may "
        problem += "read inputs"
        raise GraphError(located(problem, callers_location()))
    for name in metrics:
        check_metric_name(name)
    scalars: dict[str, Node] = dict(means) if loss is None else {LOSS: loss, **means}
    for name, node in scalars.items():
        if node.shape != () or not node.dtype.is_float:
            problem = f"{name}: a float scalar expected, not {node.type}"
            raise GraphError(located(problem, node.location))
    for root in listed(inference(outputs)):
        _check_reads(root, inputs, "an output")
    _check_sets(sets, metrics, batch_dimension(given))
    for root in (*outputs, *judged_nodes(scalars, sets).values()):
        _check_reads(root, given, "the model")


def judged_nodes(loss: Mapping[str, Node], metrics: Mapping[str, Metric]) -> dict[str, Node]:
    """The loss, the metrics that are nodes, then the parts of those of the whole set, by name."""
    judged = dict(loss)
    judged |= {name: each for name, each in metrics.items() if isinstance(each, Node)}
    for name, each in metrics.items():
        if isinstance(each, SetMetric):
            judged |= {part_name(name, part): node for part, node in each.parts.items()}
    return judged


def _check_sets(sets: Mapping[str, SetMetric], names: Collection[str], batch: str) -> None:
    """Raises GraphError for parts that no step has of its batch."""
    for name, metric in sets.items():
        for part, node in metric.parts.items():
            if part_name(name, part) in names:
                raise GraphError(
                    f"a metric is named {part_name(name, part)!r}, as a part of {name!r}"
                )
            first = node.shape[:1] if metric.keeps_rows else ()
            rest = [e for e in node.shape[len(first) :] if isinstance(e, Dim) and batch in e.names]
            if rest or (metric.keeps_rows and first != (Dim(batch),)):
                wanted = "[batch, ...]" if metric.keeps_rows else "one of all rows of the batch"
                problem = f"{name}: {wanted} expected, not {node.type}"
                raise GraphError(located(problem, node.location))


def _check_reads(root: Node, allowed: Sequence[Node], what: str) -> None:
    for node in topological([root]):
        if node.op is leaf.input_ and not is_among(node, allowed):
            problem = f"{what} reads the input {node.name!r}, not given here"
            raise GraphError(located(problem, root.location))
