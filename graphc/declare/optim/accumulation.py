"""Gradients added up over several batches, of which one update is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphc.declare.optim.slots import Slots
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops


@dataclass(frozen=True, eq=False)
class Accumulation:
    """The batches of one update.

    gradients: of each parameter, the mean over the batches where the batch is the last of them.
    is_due: whether it is (bool). updates: of the sums, and of the number of batches in them.
    """

    gradients: dict[Node, Node]
    is_due: Node
    updates: dict[Node, Node]

    def withheld(self, updates: Mapping[Node, Node]) -> dict[Node, Node]:
        """Updates that are made with the last batch alone."""
        return withheld(updates, self.is_due)


def accumulation(gradients: Mapping[Node, Node], batches: int, slots: Slots) -> Accumulation:
    """`gradients` added up over so many batches; the sums are slots named `accumulated`."""
    number = slots.variable(f"{slots.scope}.batches", 0)
    is_due = ops.equal(number, batches - 1)
    updates = {number: ops.where(is_due, 0, number + 1)}
    means: dict[Node, Node] = {}
    for parameter, gradient in gradients.items():
        accumulated = slots.slot("accumulated", parameter)
        total = accumulated + gradient
        means[parameter] = total / batches
        updates[accumulated] = ops.where(is_due, 0, total)
    return Accumulation(means, is_due, updates)


def withheld(updates: Mapping[Node, Node], is_due: Node) -> dict[Node, Node]:
    """Updates that are made where `is_due`, and else leave the states as they are."""
    return {state: ops.where(is_due, value, state) for state, value in updates.items()}


def accumulated_states(slots: Slots) -> list[Node]:
    """The sums, and the number of batches in them; none where each batch makes an update."""
    number, sums = f"{slots.scope}.batches", f"{slots.scope}.accumulated."
    return [
        state for name, state in slots.declared.items() if name == number or name.startswith(sums)
    ]
