"""Fusion: which nodes share a kernel, and why.

Pairs of groups of which one reads what the other makes, or that read the same tensor, are merged
greedily, those first that save most bytes. A merge must keep the groups free of cycles, and there
must be loops that compute it. What is cheap to compute again is then recomputed where it is read
rather than stored.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass

from graphc.compiler.fusion.decision import Decision, Gain, NotFused
from graphc.compiler.fusion.grouping import (
    Uses,
    computed_nodes,
    group_storing,
    inside_order,
    make_group,
    smallest_parts,
    too_large,
    uses_of,
)
from graphc.compiler.fusion.recompute import Recomputation, recompute_cheap_values
from graphc.compiler.fusion.traffic import traffic
from graphc.ir.graph import Node, Program, is_among
from graphc.kernels.groups.group import Candidate
from graphc.kernels.loops.rewrites.stages import is_vector_math
from graphc.kernels.nests.node_kinds import external_operands, viewed
from graphc.kernels.nests.refusal import Refusal


def group_each(program: Program) -> tuple[Candidate, ...]:
    """One kernel an op: the baseline that fusion is measured and tested against."""
    uses = uses_of(program)
    return tuple(_known_group(nodes, uses) for nodes in smallest_parts(program))


@dataclass(frozen=True, eq=False)
class Fused:
    """The groups of a program, and every decision on the way: fusions in the order in which they
    were made, then the refusals between the groups that were left, those that cost most first."""

    groups: tuple[Candidate, ...]
    decisions: tuple[Decision, ...]
    recomputed: tuple[Recomputation, ...]


def fuse(program: Program) -> Fused:
    """The program's fusion groups, with the decisions."""
    fusion = _Fusion(program)
    fusion.merge_all()
    groups, recomputed = recompute_cheap_values(fusion.groups(), fusion.uses)
    return Fused(groups, fusion.final_decisions(), recomputed)


def _known_group(nodes: Iterable[Node], uses: Uses) -> Candidate:
    group = make_group(nodes, uses)
    if isinstance(group, Refusal):
        raise AssertionError(f"no kernel for {list(nodes)}: {group.why}")
    return group


class _Fusion:
    """Groups as sets of nodes under numbers; numbers of merged groups are never used again.

    A set has no order that is the same from run to run: no decision, and no reason for one, may
    follow from it.

    levels: a group's is greater than those of all that it reads, directly or not.
    """

    def __init__(self, program: Program) -> None:
        self.uses = uses_of(program)
        self.fusions: list[Decision] = []
        # By the pair: both as they were asked for, the bytes that one kernel would save, and why
        # there is none. Decisions are made of those alone whose groups are left.
        self.refusals: dict[tuple[int, int], tuple[int, int, int, Refusal]] = {}
        self.members: dict[int, frozenset[Node]] = {}
        self.number_of: dict[Node, int] = {}
        for number, nodes in enumerate(smallest_parts(program)):
            self.members[number] = frozenset(nodes)
            self.number_of |= dict.fromkeys(nodes, number)
        self.next_number = len(self.members)
        self.traffic_of: dict[int, int] = {}
        self.consumers = {number: self._readers(number) for number in self.members}
        self.readers_of = _readers_of_stored(computed_nodes(program))
        # At first operands are in groups of lower numbers than who reads them.
        self.levels = {number: number for number in self.members}

    def groups(self) -> list[Candidate]:
        return [_known_group(nodes, self.uses) for nodes in self.members.values()]

    def final_decisions(self) -> tuple[Decision, ...]:
        """All fusions, and the last refusal between any two groups that are left."""
        left = [
            self._decision(*refused)
            for (one, other), refused in self.refusals.items()
            if one in self.members and other in self.members
        ]
        return (*self.fusions, *sorted(left, key=lambda decision: -decision.bytes_saved))

    def merge_all(self) -> None:
        self._merge_vector_math()
        queue = [
            self._scored(*pair)
            for number in self.members
            for pair in (*self._producing(number), *self._sharing(number))
        ]
        heapq.heapify(queue)
        while queue:
            score, one, other = heapq.heappop(queue)
            if one not in self.members or other not in self.members:
                continue
            merged = self._try_merge(one, other, -score)
            if merged is not None:
                neighbours = (
                    *self._producing(merged),
                    *((merged, consumer) for consumer in self.consumers[merged]),
                    *self._sharing(merged),
                )
                for pair in neighbours:
                    heapq.heappush(queue, self._scored(*pair))

    def _merge_vector_math(self) -> None:
        """Merges vector math of the same operands, such as tanh(x) and its slope.

        They have most of their work in common, which a loop that holds both does once. Fewer bytes
        would move were the slope computed beside its readers, but the exponential twice.
        """
        first_of: dict[tuple[Node, ...], Node] = {}
        for node in sorted(self.number_of, key=lambda node: node.number):
            if is_vector_math(node):
                first = first_of.setdefault(node.operands, node)
                one, other = self.number_of[first], self.number_of[node]
                if one != other:
                    score, *_ = self._scored(one, other)
                    self._try_merge(one, other, -score)

    def _producing(self, consumer: int) -> list[tuple[int, int]]:
        """Pairs of a group that makes what `consumer` reads, and `consumer`."""
        found = {
            self.number_of[base]: None
            for node in self.members[consumer]
            for base in map(viewed, node.operands)
            if base in self.number_of
        }
        return [(number, consumer) for number in found if number != consumer]

    def _readers(self, producer: int) -> dict[int, None]:
        """The groups that read what `producer` makes, in order of their numbers."""
        found = {
            self.number_of[reader]
            for node in self.members[producer]
            for reader in self.uses.readers[node]
        }
        return dict.fromkeys(sorted(found - {producer}))

    def _sharing(self, number: int) -> list[tuple[int, int]]:
        """Pairs of `number` and the next group that reads the same tensor."""
        found: dict[int, None] = {}
        for value in external_operands(self.members[number]):
            if value.rank > 0:
                readers = [self.number_of[node] for node in self.readers_of.get(value, ())]
                found |= dict.fromkeys([other for other in readers if other > number][:1])
        return [(number, other) for other in found]

    def _scored(self, one: int, other: int) -> tuple[int, int, int]:
        """Pairs that save most bytes come first: what both move alone less what they do as one."""
        nodes = self.members[one] | self.members[other]
        whole = traffic(nodes, self.uses.outputs_of(nodes))
        return whole - self._traffic(one) - self._traffic(other), one, other

    def _traffic(self, number: int) -> int:
        if number not in self.traffic_of:
            nodes = self.members[number]
            self.traffic_of[number] = traffic(nodes, self.uses.outputs_of(nodes))
        return self.traffic_of[number]

    def _try_merge(self, one: int, other: int, saved: int) -> int | None:
        refusal = self._refusal(one, other)
        if refusal is not None:
            pair = (min(one, other), max(one, other))
            self.refusals.setdefault(pair, (one, other, saved, refusal))
            return None
        self.fusions.append(self._decision(one, other, saved, None))
        merged = self.next_number
        self.next_number += 1
        self.members[merged] = self.members.pop(one) | self.members.pop(other)
        for node in self.members[merged]:
            self.number_of[node] = merged
        consumers = {*self.consumers.pop(one), *self.consumers.pop(other)} - {one, other}
        self.consumers[merged] = dict.fromkeys(sorted(consumers))
        producers = [producer for producer, _ in self._producing(merged)]
        for number in producers:
            of_producer = self.consumers[number]
            of_producer.pop(one, None)
            of_producer.pop(other, None)
            # Behind all others, whose numbers are lower.
            of_producer[merged] = None
        self.levels[merged] = max((self.levels[number] + 1 for number in producers), default=0)
        self._lift_consumers(merged)
        return merged

    def _lift_consumers(self, number: int) -> None:
        """Puts what reads the group, directly or not, on greater levels where it is on none."""
        pending = [number]
        while pending:
            producer = pending.pop()
            for consumer in self.consumers[producer]:
                if self.levels[consumer] <= self.levels[producer]:
                    self.levels[consumer] = self.levels[producer] + 1
                    pending.append(consumer)

    def _decision(self, one: int, other: int, saved: int, refusal: Refusal | None) -> Decision:
        if not self._passed(one, other) and self._passed(other, one):
            one, other = other, one
        parts = (self.members[one], self.members[other])
        passed = self._passed(one, other)
        shared = sorted(
            (set(external_operands(parts[0])) & set(external_operands(parts[1]))),
            key=lambda node: node.number,
        )
        between = passed or shared
        producer = passed[0] if passed else _first_reader(between[0], parts[0])
        consumer = _first_reader(between[0], parts[1])
        why = refusal or self._gain(parts[0] | parts[1], passed, shared)
        return Decision(producer, consumer, saved, why, parts)

    def _passed(self, one: int, other: int) -> list[Node]:
        """The values of `one` that `other` reads, operands first."""
        reading = self.members[other]
        return inside_order(
            node
            for node in self.members[one]
            if any(reader in reading for reader in self.uses.readers[node])
        )

    def _gain(self, nodes: frozenset[Node], passed: list[Node], shared: list[Node]) -> Gain:
        """What one kernel of `nodes` spares: stores and loads of what passes, loads of what both
        parts read."""
        stored = set(self.uses.outputs_of(nodes))
        return Gain(
            unstored=tuple(node for node in passed if node not in stored),
            unloaded=tuple(node for node in passed if node in stored),
            shared=tuple(shared),
        )

    def _refusal(self, one: int, other: int) -> Refusal | None:
        nodes = self.members[one] | self.members[other]
        between = self._reached_around(one, other)
        if between is None:
            between = self._reached_around(other, one)
        if between is not None:
            first = min(self.members[between], key=lambda node: node.number)
            return Refusal(NotFused.MUST_RUN_BETWEEN, (first,))
        outputs = self.uses.outputs_of(nodes)
        refusal = too_large(nodes, outputs)
        if refusal is not None:
            return refusal
        group = group_storing(nodes, outputs)
        return group if isinstance(group, Refusal) else None

    def _reached_around(self, start: int, goal: int) -> int | None:
        """The last group before `goal` on a path from `start` that leads through a third group."""
        # Only groups on lower levels lead to the goal.
        highest = self.levels[goal]
        if highest <= self.levels[start] + 1:
            return None
        stack, seen = [start], {start}
        while stack:
            number = stack.pop()
            consumers = self.consumers[number]
            if goal in consumers and number != start:
                return number
            stack += [
                each for each in consumers if each not in seen and self.levels[each] < highest
            ]
            seen.update(consumers)
        return None


def _first_reader(value: Node, nodes: frozenset[Node]) -> Node:
    """The first of `nodes` that reads `value`, directly or through views."""
    return next(node for node in inside_order(nodes) if is_among(value, map(viewed, node.operands)))


def _readers_of_stored(nodes: Iterable[Node]) -> dict[Node, list[Node]]:
    """The nodes that read each value, in program order."""
    readers: dict[Node, list[Node]] = {}
    for node in nodes:
        for base in dict.fromkeys(map(viewed, node.operands)):
            readers.setdefault(base, []).append(node)
    return readers
