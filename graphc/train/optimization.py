"""What an optimizer makes of a network: the learning rate and the updates of a step."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from graphc.declare.graph import Graph
from graphc.declare.optim import LBFGS, Optimizer
from graphc.declare.optim.slots import widest
from graphc.declare.variables import Variables
from graphc.errors import GraphError
from graphc.ir.graph import Node, are_same, rebuild
from graphc.train.network import Network


@dataclass(frozen=True, eq=False)
class Optimization:
    """updates: the next values of states. names: those that the optimizer has taken in the graph.

    rate: the state that holds the learning rate.
    """

    optimizer: Optimizer
    rate: Node
    updates: dict[Node, Node]
    names: frozenset[str]


def optimization_of(
    optimizer: Optimizer | None,
    network: Network,
    variables: Variables,
    before: Optimization | None,
) -> Optimization | None:
    """The optimizer's states and updates, declared in the place of those of the one before.

    Raises TypeError for what is no optimizer, GraphError for one without a loss or parameters, and
    what its `updates` raise; graph and variables then are as they were.
    """
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        problem = f"an optimizer such as gc.optim.Adam() expected, not {optimizer!r}"
        if isinstance(optimizer, LBFGS):
            problem += "; gc.minimize(model.loss, {input: array}) takes all data at once"
        raise TypeError(problem)
    if optimizer is not None and network.loss is None:
        raise GraphError("a model without a loss cannot be trained")
    graph, forgotten = network.graph, before.names if before is not None else frozenset()
    with graph.as_before_on_error():
        graph.forget(forgotten)
        made = None if optimizer is None else _declared(optimizer, network)
    for each in (graph.variables, variables):
        each.forget(forgotten)
    return made


def _declared(optimizer: Optimizer, network: Network) -> Optimization:
    graph, parameters = network.graph, network.parameters
    taken = graph.names
    name = graph.unique_name("learning_rate")
    rate = graph.variable(name, optimizer.learning_rate, dtype=widest(parameters))
    updates = optimizer.updates(network.checked_loss, parameters, rate)
    return Optimization(optimizer, rate, updates, graph.names - taken)


def weighted_optimization(optimization: Optimization, weighted: Network) -> Optimization:
    """The updates of a step down the loss of `weighted`, of the states that `optimization` has.

    The optimizer declares for this loss what it declared for the other, in the same order, so each
    state that it declares now stands for the one of the same place. Raises as `optimization_of`.
    """
    graph = weighted.graph
    with graph.declaring.lock, graph.as_before_on_error():
        made = _declared(optimization.optimizer, weighted)
        ours, theirs = (_states(graph, names) for names in (optimization.names, made.names))
        graph.forget(made.names)
    same = dict(zip(theirs, ours, strict=True))

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        if are_same(operands, node.operands):
            return same.get(node, node)
        with graph.at(node.location):
            return graph.apply(node.op, operands, node.attributes)

    values = rebuild(made.updates.values(), make)
    updates = {same.get(state, state): values[new] for state, new in made.updates.items()}
    return replace(optimization, updates=updates)


def _states(graph: Graph, names: Collection[str]) -> list[Node]:
    """The states of these names in the order of their declaration."""
    return [state for name, state in graph.states.items() if name in names]
