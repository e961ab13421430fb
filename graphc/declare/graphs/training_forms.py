"""Values that differ between training and inference, and states that training steps change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from graphc.declare.graphs.graph import graph_of
from graphc.ir.arguments.given import check_tensors, is_tensor
from graphc.ir.functions.build import lift
from graphc.ir.graph import Node, topological
from graphc.ir.ops import leaf, training
from graphc.ir.ops.custom import substituted
from graphc.ir.types import each_of


def training_form(training_value: Any, inference_value: Any) -> Node:
    """`training_value` while the network is trained, `inference_value` where it is used.

    Both have one shape and dtype, which are the result's; a number takes the dtype of the tensor
    beside it. A model's predictions and evaluations, and `gc.inference`, have the second;
    derivatives and all else have the first.

        scale = gc.training_form(batch_deviation, running_deviation)

    Raises TypeError where neither is a tensor, ShapeError and DTypeError where they differ.
    """
    if not is_tensor(inference_value):
        check_tensors("training_form", training_value)
    first = lift(training_value, inference_value)
    return training.training_form(first, lift(inference_value, first))


def training_updates(roots: Node | Iterable[Node]) -> dict[Node, Node]:
    """The next values of the states that `roots` change in a training step.

    These are the random streams that they read, and what layers have said with
    `Graph.update_in_training`, such as the running mean of a batch normalisation. An optimizer's
    updates have those of its loss. Next values of one state follow each other in the order of their
    declaration. Raises GraphError for tensors of a graph that holds no variables.

        updates = {**my_updates, **gc.training_updates(loss)}
    """
    given = each_of(roots)
    check_tensors("training_updates", *given)
    updates: dict[Node, Node] = {}
    while True:
        # Again, since next values may read what no root reads.
        reached = topological([*given, *updates.values()])
        found = _updates_where(reached)
        if len(found) == len(updates) and all(found[state] is updates[state] for state in found):
            return dict(sorted(found.items(), key=lambda update: update[0].number))
        updates = found


def _updates_where(read: Sequence[Node]) -> dict[Node, Node]:
    """The next values of states where the nodes `read` are read."""
    graphs = dict.fromkeys(graph_of(node) for node in read)
    among = set(read)
    updates = {n: n + 1 for n in read if n.op is leaf.state and n.name in graph_of(n).streams}
    for step in (step for graph in graphs for step in graph.training_steps if step.when in among):
        value = step.value
        if step.before is not None:
            value = substituted(value, {step.before: updates.get(step.state, step.state)})
        updates[step.state] = value
    return updates
