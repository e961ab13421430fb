"""What a model is declared as: inputs, outputs, targets, loss, metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.declare.derivatives import inference
from graphc.declare.forms import Nodes, listed
from graphc.declare.graph import Graph, graph_of, parameters_of, states_of
from graphc.errors import GraphError
from graphc.functions.arrays import batch_dimension
from graphc.functions.function import Function
from graphc.ir.given import check_tensors, shown
from graphc.ir.graph import Node, is_among, topological
from graphc.ir.location import callers_location, located
from graphc.ir.ops import leaf
from graphc.train.logged import LOSS, check_metric_name


@dataclass(frozen=True, eq=False)
class Network:
    """Nodes of one graph. loss and metrics are float scalars, means over the batch.

    batch_dimension: the name of the dimension that is the first of all inputs and targets.
    """

    graph: Graph
    inputs: list[Node]
    outputs: Nodes
    targets: list[Node]
    loss: Node | None
    metrics: dict[str, Node]
    batch_dimension: str

    @property
    def arguments(self) -> list[Node]:
        """Inputs, then targets."""
        return [*self.inputs, *self.targets]

    @property
    def roots(self) -> list[Node]:
        """Outputs, then loss and metrics."""
        loss = [self.loss] if self.loss is not None else []
        return [*listed(self.outputs), *loss, *self.metrics.values()]

    @property
    def judged(self) -> dict[str, Node]:
        """Loss and metrics by name. Raises GraphError without a loss."""
        return {LOSS: self.checked_loss, **self.metrics}

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
    metrics: Mapping[str, Node] | None,
) -> Network:
    """The parts of a model, checked. Raises TypeError for metrics that have no names, GraphError
    for a node of the wrong kind, shape or graph, and for what reads an input that is not named."""
    if metrics is not None and not isinstance(metrics, Mapping):
        raise TypeError(f"Model: metrics: scalars by name expected, not {shown(metrics)}")
    given, goals, named = listed(inputs), listed(targets), dict(metrics or {})
    check_parts(given, listed(outputs), goals, loss, named)
    return Network(
        graph_of(given[0]), given, outputs, goals, loss, named, batch_dimension([*given, *goals])
    )


def check_parts(
    inputs: Sequence[Node],
    outputs: Sequence[Node],
    targets: Sequence[Node],
    loss: Node | None,
    metrics: Mapping[str, Node],
) -> None:
    """Raises GraphError for a node of the wrong kind or shape, for a name that is taken, and for
    what reads an input that is not named."""
    given = [*inputs, *targets]
    check_tensors("Model: inputs, targets and outputs", *given, *outputs)
    if loss is not None:
        check_tensors("Model: loss", loss)
    check_tensors("Model: metrics", *metrics.values())
    others = [node for node in given if node.op is not leaf.input_]
    if not inputs or others:
        which = f", not {others[0]!r}" if others else ""
        order = "the order is gc.Model(inputs, outputs, targets, loss)"
        problem = f"inputs and targets must be inputs of a graph{which}; {order}"
        raise GraphError(located(problem, callers_location()))
    for name in metrics:
        check_metric_name(name)
    judged = dict(metrics) if loss is None else {LOSS: loss, **metrics}
    for name, node in judged.items():
        if node.shape != () or not node.dtype.is_float:
            problem = f"{name}: a float scalar expected, not {node.type}"
            raise GraphError(located(problem, node.location))
    for root in listed(inference(outputs)):
        _check_reads(root, inputs, "an output")
    for root in (*outputs, *judged.values()):
        _check_reads(root, given, "the model")


def _check_reads(root: Node, allowed: Sequence[Node], what: str) -> None:
    for node in topological([root]):
        if node.op is leaf.input_ and not is_among(node, allowed):
            problem = f"{what} reads the input {node.name!r}, not given here"
            raise GraphError(located(problem, root.location))
