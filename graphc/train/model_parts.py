"""What a model may consist of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphc.errors import GraphError
from graphc.ir.given import check_tensors
from graphc.ir.graph import Node, is_among, topological
from graphc.ir.location import located
from graphc.ir.ops import leaf
from graphc.train.logged import LOSS, check_metric_name


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
    if not inputs or any(node.op is not leaf.input_ for node in given):
        raise GraphError("inputs and targets must be inputs of a graph")
    for name in metrics:
        check_metric_name(name)
    judged = dict(metrics) if loss is None else {LOSS: loss, **metrics}
    for name, node in judged.items():
        if node.shape != () or not node.dtype.is_float:
            problem = f"{name}: a float scalar expected, not {node.type}"
            raise GraphError(located(problem, node.location))
    for root in outputs:
        _check_reads(root, inputs, "an output")
    for root in (*outputs, *judged.values()):
        _check_reads(root, given, "the model")


def _check_reads(root: Node, allowed: Sequence[Node], what: str) -> None:
    for node in topological([root]):
        if node.op is leaf.input_ and not is_among(node, allowed):
            problem = f"{what} reads the input {node.name!r}, not given here"
            raise GraphError(located(problem, root.location))
