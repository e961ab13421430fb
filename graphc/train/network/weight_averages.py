"""Exponential moving averages of weights, which training steps keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.declare.graphs.forms import Form, Nodes, form_of, in_form, listed
from graphc.declare.graphs.graph import Graph
from graphc.declare.graphs.variables import Variables
from graphc.declare.hyperparameters import check_number
from graphc.declare.init import zeros
from graphc.declare.optim.accumulation import withheld
from graphc.declare.optim.slots import Slots, widest
from graphc.errors import GraphError
from graphc.ir.graph import Node, are_same, rebuild
from graphc.ir.ops.elementwise import elementwise as ops


@dataclass(frozen=True, eq=False)
class WeightAverages:
    """averages: the state `ema.<name>` of each parameter. updates: of these, and of their counts.

    decay: the share of the old average in the new one.
    """

    decay: float
    slots: Slots
    averages: dict[Node, Node]
    updates: dict[Node, Node]

    def begun(self, variables: Variables) -> dict[Node, Node]:
        """The averages, those that no step has begun being the weights: their value is set."""
        counts = {parameter: self.slots.count_of(parameter) for parameter in self.averages}
        with variables.steady():
            taken = variables.read(dict.fromkeys(count.name for count in counts.values()))
            new = [parameter for parameter, count in counts.items() if not taken[count.name]]
            weights = variables.read(parameter.name for parameter in new)
            variables.update({self.averages[p].name: weights[p.name] for p in new})
        return self.averages


def check_decay(decay: object, optimizer: object) -> None:
    """Raises TypeError for no number, ValueError for one that is not in [0, 1), GraphError where no
    optimizer changes weights."""
    if optimizer is None:
        raise GraphError("ema: averages of weights that train expected, which takes an optimizer")
    check_number("ema", decay, least=0)
    if decay >= 1:  # type: ignore[operator]
        raise ValueError(f"ema: a number below 1 expected, not {decay}")


def slots_of_averages(graph: Graph, parameters: Sequence[Node]) -> Slots:
    """Names for averages, `ema` and `ema_steps` where they are free."""
    scope = graph.unique_name("ema")
    return Slots(graph, scope, widest(parameters), graph.unique_name(f"{scope}_steps"))


def weight_averages(
    decay: float,
    slots: Slots,
    parameters: Sequence[Node],
    updates: Mapping[Node, Node],
    is_due: Node | None,
) -> WeightAverages:
    """e' = e + (1 - decay) (w' - e) for each parameter, e being w before the first step.

    updates: the parameters' next values; one that has none stays as it is, and an average that
    equals it too. is_due: whether the step updates parameters at all, where not each does.
    """
    averages = {}
    for parameter in parameters:
        name = f"{slots.scope}.{parameter.name}"
        average = slots.variable(name, zeros, parameter.shape, parameter.dtype)
        is_first = ops.equal(slots.steps(parameter), 1)
        before = ops.where(is_first, parameter, average)
        change = (1 - decay) * (updates.get(parameter, parameter) - before)
        slots.set(average, before + change)
        averages[parameter] = average
    made = slots.updates if is_due is None else withheld(slots.updates, is_due)
    return WeightAverages(decay, slots, averages, made)


def by_averages(values: Nodes, averages: Mapping[Node, Node]) -> Form:
    """The values, in their form, as they are with averages in the place of the weights."""

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        if node in averages or are_same(operands, node.operands):
            return averages.get(node, node)
        with node.graph.at(node.location):
            return node.graph.apply(node.op, operands, node.attributes)

    made = rebuild(listed(values), make)
    form: Form = in_form(form_of(values), [made[node] for node in listed(values)])
    return form
