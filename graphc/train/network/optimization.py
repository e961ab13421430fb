"""What an optimizer makes of a network: the learning rate and the updates of a step."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from graphc.declare.functional.derivatives import grad
from graphc.declare.graphs.training_forms import training_updates
from graphc.declare.graphs.variables import Variables
from graphc.declare.optim import LBFGS, Optimizer
from graphc.declare.optim.accumulation import accumulated_states
from graphc.declare.optim.slots import Slots, widest
from graphc.errors import GraphError
from graphc.ir.graph import Node
from graphc.train.network.network import Network
from graphc.train.network.weight_averages import WeightAverages, slots_of_averages, weight_averages


@dataclass(frozen=True, eq=False)
class Optimization:
    """updates: the next values of states. names: those that are taken in the graph for it.

    rate: the state that holds the learning rate. trained: the parameters that a step changes.
    averages: of the weights, where they are kept.
    """

    optimizer: Optimizer
    rate: Node
    slots: Slots
    trained: list[Node]
    updates: dict[Node, Node]
    averages: WeightAverages | None
    names: frozenset[str]

    @property
    def states(self) -> list[Node]:
        """The rate, the slots and the averages, those of parameters that do not train too."""
        averages = self.averages.slots.declared.values() if self.averages is not None else ()
        return [self.rate, *self.slots.declared.values(), *averages]

    @property
    def decay(self) -> float | None:
        """That of the averages of weights."""
        return None if self.averages is None else self.averages.decay


def optimization_of(
    optimizer: Optimizer | None,
    network: Network,
    variables: Variables,
    before: Optimization | None,
    frozen: Collection[Node],
    decay: float | None,
) -> Optimization | None:
    """The optimizer's states and updates, declared in the place of those of the one before.

    frozen: parameters that do not train now. decay: that of averages of the weights. Raises
    TypeError for what is no optimizer, GraphError for one without a loss or parameters, and what
    its `updates` raise; graph and variables then are as they were.
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
        made = None if optimizer is None else _declared(optimizer, network, frozen, decay)
    _forget_values(network, variables, forgotten)
    return made


def revised(
    before: Optimization,
    network: Network,
    variables: Variables,
    frozen: Collection[Node],
    decay: float | None,
) -> Optimization:
    """The same for other frozen parameters, or another decay: slots keep their values.

    Where other parameters train than before, each counts its own steps from now on, and gradients
    that were added up for an update to come are dropped.
    """
    trained = [parameter for parameter in network.trainables if parameter not in frozen]
    changes = set(trained) != set(before.trained)
    graph, forgotten = network.graph, frozenset[str]()
    with graph.as_before_on_error():
        taken = graph.names
        slots, averages = before.slots.again(), before.averages
        if averages is not None and decay is None:
            own = averages.slots
            forgotten |= {*own.declared, own.scope, own.counter}
            averages = None
        elif averages is not None:
            averages = replace(averages, slots=averages.slots.again())
        moved = slots.count_each(before.trained) if changes else {}
        if changes and averages is not None:
            moved |= averages.slots.count_each(list(averages.averages))
        counts = variables.read(moved.values())
        forgotten |= frozenset(moved.values())
        graph.forget(forgotten)
        made = _with_updates(
            replace(before, slots=slots, averages=averages), network, trained, decay
        )
        names = (before.names - forgotten) | (graph.names - taken)
    _forget_values(network, variables, forgotten)
    variables.update({name: counts[counter] for name, counter in moved.items()})
    if changes:
        sums = accumulated_states(slots)
        variables.update({sum_.name: np.zeros(sum_.type.dims, sum_.dtype.numpy) for sum_ in sums})
    return replace(made, names=names)


def _forget_values(network: Network, variables: Variables, names: Collection[str]) -> None:
    for each in (network.graph.variables, variables):
        each.forget(names)


def _declared(
    optimizer: Optimizer, network: Network, frozen: Collection[Node], decay: float | None
) -> Optimization:
    graph, trainables = network.graph, network.trainables
    if not trainables:
        raise GraphError(f"{network.checked_loss!r} depends on no parameter")
    taken, dtype = graph.names, widest(trainables)
    name = graph.unique_name("learning_rate")
    rate = graph.variable(name, optimizer.learning_rate, dtype=dtype)
    slots = Slots(graph, graph.unique_name(type(optimizer).__name__.lower()), dtype)
    trained = [parameter for parameter in trainables if parameter not in frozen]
    empty = Optimization(optimizer, rate, slots, [], {}, None, frozenset())
    made = _with_updates(empty, network, trained, decay)
    return replace(made, names=graph.names - taken)


def _with_updates(
    before: Optimization, network: Network, trained: list[Node], decay: float | None
) -> Optimization:
    """The updates of `trained` by the optimizer, of averages, and of what else training changes."""
    loss, further = network.checked_loss, network.further
    updates: dict[Node, Node] = {}
    is_due: Node | None = None
    if trained:
        gradients = dict(zip(trained, grad(loss, trained), strict=True))
        optimizer, known = before.optimizer, network.trainables
        updates, batches = optimizer.next_values(gradients, before.rate, before.slots, known)
        is_due = None if batches is None else batches.is_due
    averages = None
    if decay is not None:
        old = before.averages
        slots = slots_of_averages(network.graph, network.trainables) if old is None else old.slots
        averaged = dict.fromkeys([*(old.averages if old is not None else ()), *trained])
        averages = weight_averages(decay, slots, list(averaged), updates, is_due)
        updates = updates | averages.updates
    updates = updates | further | training_updates([loss, *further.values()])
    return replace(before, trained=trained, updates=updates, averages=averages)


def weighted_optimization(optimization: Optimization, weighted: Network) -> Optimization:
    """The updates of a step down the loss of `weighted`, of the states that `optimization` has.

    Raises as `optimization_of`.
    """
    graph, averages = weighted.graph, optimization.averages
    if averages is not None:
        averages = replace(averages, slots=averages.slots.again())
    before = replace(optimization, slots=optimization.slots.again(), averages=averages)
    with graph.declaring.lock:
        return _with_updates(before, weighted, optimization.trained, optimization.decay)
