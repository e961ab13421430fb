"""Values that differ between training and inference, and states that training steps change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from graphc.declare.graph import TrainingStep, graph_of
from graphc.errors import GraphError
from graphc.ir.build import lift
from graphc.ir.given import check_tensors, is_tensor
from graphc.ir.graph import Node, topological
from graphc.ir.location import callers_location, located
from graphc.ir.ops import training
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
    updates have those of its loss. Raises GraphError for a next value of another type than its
    state's.
    """
    given = each_of(roots)
    check_tensors("training_updates", *given)
    updates: dict[Node, Node] = {}
    taken: list[TrainingStep] = []
    while True:
        # Again, since next values may read what no root reads.
        reached = set(topological([*given, *updates.values()]))
        graphs = {node.graph: graph_of(node) for node in given}.values()
        steps = [s for graph in graphs for s in graph.training_steps if s.when in reached]
        if len(steps) == len(taken):
            return dict(sorted(updates.items(), key=lambda update: update[0].number))
        taken, updates = steps, {}
        for step in steps:
            updates[step.state] = _following(step, updates.get(step.state, step.state))


def _following(step: TrainingStep, value: Node) -> Node:
    """What the step makes of `value`."""
    made = step.following(value)
    if not is_tensor(made) or made.type != step.state.type:
        problem = f"update_in_training: {step.state!r} cannot become {made!r}"
        raise GraphError(located(problem, callers_location()))
    return made
