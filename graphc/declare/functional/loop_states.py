"""What steps of a loop draw and change: keys of random streams by step, and states as carries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from graphc.declare.graphs.graph import Graph, TrainingStep
from graphc.declare.graphs.training_forms import training_form
from graphc.declare.random.draws import KEY_DISTANCE
from graphc.ir.dims import Extent
from graphc.ir.graph import Node, topological
from graphc.ir.nodes.op import GraphOfNodes
from graphc.ir.ops import leaf, random
from graphc.ir.ops.custom import substituted
from graphc.ir.programs.custom_vjp import formal_of
from graphc.ir.programs.loops import Complete, Late, replaced
from graphc.ir.types import i64


def by_slices(graph: GraphOfNodes, length: Extent) -> Complete:
    """What completes a body that is declared from now on, of so many steps: each has a key of its
    own of every stream that the body declares, and states that it changes are carries."""
    before = _Before.of(graph)

    def complete(roots: Sequence[Node], first: int) -> Late:
        numbers = graph.iota((length,), i64)
        streams = before.streams_of(roots)
        formals = {key: formal_of(graph, key.type) for key in streams}
        slices = [(formals[key], _key_of(key, numbers)) for key in streams]
        return before.late(roots, first, formals, slices=slices)

    return complete


def by_count(graph: GraphOfNodes) -> Complete:
    """As `by_slices`, of a loop whose steps are not counted: a carry counts them."""
    before = _Before.of(graph)

    def complete(roots: Sequence[Node], first: int) -> Late:
        streams = before.streams_of(roots)
        count = formal_of(graph, graph.constant(0, i64).type)
        keys = {key: _key_of(key, count) for key in streams}
        counts = [(count, graph.constant(0, i64), count + 1)] if streams else []
        return before.late(roots, first, keys, carries=counts)

    return complete


def _key_of(key: Node, number: Node) -> Node:
    """The key of a step: random bits of a block of `key` that no draw takes."""
    return random.random_bits(key - KEY_DISTANCE, number, dtype=i64)


@dataclass(frozen=True)
class _Before:
    """What a graph had declared before a body: streams, and how many next values of states."""

    graph: GraphOfNodes
    streams: frozenset[str]
    changes: int

    @classmethod
    def of(cls, graph: GraphOfNodes) -> _Before:
        if not isinstance(graph, Graph):
            return cls(graph, frozenset(), 0)
        return cls(graph, frozenset(graph.streams), len(graph.training_steps))

    def streams_of(self, roots: Sequence[Node]) -> list[Node]:
        """The keys of the streams that the body has declared and reads, in their order."""
        if not isinstance(self.graph, Graph):
            return []
        new = self.graph.streams - self.streams
        values = [change.value for change in self.graph.training_steps[self.changes :]]
        return [x for x in topological([*roots, *values]) if x.op is leaf.state and x.name in new]

    def late(
        self,
        roots: Sequence[Node],
        first: int,
        keys: Mapping[Node, Node],
        carries: Sequence[tuple[Node, Node, Node]] = (),
        slices: Sequence[tuple[Node, Node]] = (),
    ) -> Late:
        """The body with other keys, and with a carry for each state that it changes."""
        graph = self.graph
        if not isinstance(graph, Graph):
            return Late(roots)
        below = set(topological(roots))
        changes = [x for x in graph.take_training_steps(self.changes) if x.when in below]
        states = list(dict.fromkeys(change.state for change in changes))
        if not keys and not states:
            return Late(roots)
        formals = {state: formal_of(graph, state.type) for state in states}
        given = {**keys, **formals}
        after = _after(changes, given, formals, first)
        made = replaced(roots, given, first)
        # In inference a state stays as it is.
        changed = [(x, state, training_form(after[state], x)) for state, x in formals.items()]
        return Late(made, [*carries, *changed], slices, _updating(graph, states))


def _after(
    changes: Sequence[TrainingStep],
    given: Mapping[Node, Node],
    formals: Mapping[Node, Node],
    first: int,
) -> dict[Node, Node]:
    """The values of states behind a step, one change of a state after the other."""
    after = dict(formals)
    for change in changes:
        now = {} if change.before is None else {change.before: after[change.state]}
        (after[change.state],) = replaced([change.value], {**given, **now}, first)
    return after


def _updating(graph: Graph, states: Sequence[Node]) -> Callable[[Node, Sequence[Node]], None]:
    """What says that a training step that reads the loop leaves its last carries in the states."""

    def finish(loop: Node, last: Sequence[Node]) -> None:
        behind = last[len(last) - len(states) :]
        for state, value in zip(states, behind, strict=True):
            graph.update_in_training(state, _made_of(value, state), loop)

    return finish


def _made_of(value: Node, state: Node) -> Callable[[Node], Node]:
    def made(before: Node) -> Node:
        result: Node = substituted(value, {state: before})
        return result

    return made
