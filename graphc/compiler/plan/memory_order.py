"""Which of the groups that could run next leaves least memory in use."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import Any

from graphc.ir.graph import Node
from graphc.kernels.groups.group import Group
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.node_kinds import external_operands

# Where groups store so much for others, caches hold little of it until it is read, and the order of
# groups says how much memory a step takes.
FAR_BYTES = 32 * MACHINE.second_cache_bytes


def bytes_for_others(groups: Iterable[Group]) -> int:
    """Of the values that one group makes and another reads."""
    made = {node for group in groups for node in group.outputs}
    read = {base for group in groups for base in external_operands(group.nodes)}
    return sum(node.type.nbytes for node in made & read)


class Ready:
    """The groups that could run, handed out by their rank."""

    def __init__(self, rank: Mapping[Group, tuple[Any, ...]]) -> None:
        self._rank = rank
        self._heap: list[tuple[tuple[Any, ...], Group]] = []
        self._waiting: set[Group] = set()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, group: Group) -> None:
        self._waiting.add(group)
        heapq.heappush(self._heap, (self._key(group), group))

    def pop(self) -> Group:
        while True:
            _, group = heapq.heappop(self._heap)
            if group in self._waiting:
                self._waiting.discard(group)
                return group

    def _key(self, group: Group) -> tuple[Any, ...]:
        return self._rank[group]


class ReadyByMemory(Ready):
    """The same, first those after which least memory is in use, by rank among equals.

    What a group adds are the values that it makes for others, less those that it is the last to
    read. Groups of which the rank begins with True wait for all others.
    """

    def __init__(self, rank: Mapping[Group, tuple[Any, ...]], groups: Iterable[Group]) -> None:
        super().__init__(rank)
        made = {node for group in groups for node in group.outputs}
        self._reads = {
            group: [base for base in external_operands(group.nodes) if base in made]
            for group in groups
        }
        self._readers: dict[Node, set[Group]] = {}
        for group, bases in self._reads.items():
            for base in bases:
                self._readers.setdefault(base, set()).add(group)

    def pop(self) -> Group:
        group = super().pop()
        for base in self._reads[group]:
            readers = self._readers[base]
            readers.discard(group)
            if len(readers) == 1:
                (last,) = readers
                if last in self._waiting:
                    self.add(last)
        return group

    def _key(self, group: Group) -> tuple[Any, ...]:
        made = sum(node.type.nbytes for node in group.outputs if self._readers.get(node))
        freed = sum(
            base.type.nbytes for base in self._reads[group] if len(self._readers[base]) == 1
        )
        waits, *rest = self._rank[group]
        return (waits, made - freed, *rest)
