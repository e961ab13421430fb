"""A program's groups in their order, and who reads and stores each value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from graphc.ir.graph import Node
from graphc.kernels.groups.group import Candidate
from graphc.kernels.nests.node_kinds import external_operands

G = TypeVar("G", bound=Candidate)


class Partition(Generic[G]):
    """Groups in their order, of which others can take the place, and which can be added; and for
    each value the groups that read it from memory and the one that stores it.

    A group's place is a key that sorts; what takes the place of a group inherits it.
    """

    def __init__(self, groups: Iterable[G] = ()) -> None:
        self._places: dict[G, tuple[int, ...]] = {}
        self._readers: dict[Node, dict[G, None]] = {}
        self._makers: dict[Node, G] = {}
        self._added = 0
        for group in groups:
            self.add(group)

    def __contains__(self, group: object) -> bool:
        return group in self._places

    @property
    def groups(self) -> tuple[G, ...]:
        return self._in_order(self._places)

    def stored(self) -> set[Node]:
        """The values that some group stores."""
        return set(self._makers)

    def maker(self, value: Node) -> G | None:
        """The group that stores `value`, if there is one."""
        return self._makers.get(value)

    def readers(self, value: Node) -> tuple[G, ...]:
        """The groups that read `value` from memory, in their order."""
        return self._in_order(self._readers.get(value, ()))

    def users(self, value: Node) -> tuple[G, ...]:
        """The groups that read or store `value`, in their order."""
        maker = self.maker(value)
        return self._in_order((*self._readers.get(value, ()), *(() if maker is None else (maker,))))

    def readers_of(self, group: G) -> tuple[G, ...]:
        """The groups that read what `group` stores, in their order."""
        return self._in_order(
            {each for node in group.outputs for each in self._readers.get(node, ())}
        )

    def add(self, group: G) -> None:
        """Puts a group behind all others."""
        self._put(group, (self._added,))
        self._added += 1

    def change(self, changed: Mapping[G, tuple[G, ...]]) -> None:
        """Puts other groups in the place of some, or none."""
        places = {group: self._places.pop(group) for group in changed}
        for group in changed:
            for value in external_operands(group.nodes):
                del self._readers[value][group]
            for value in group.outputs:
                del self._makers[value]
        for group, made in changed.items():
            place = places[group]
            for number, each in enumerate(made):
                self._put(each, place if len(made) == 1 else (*place, number))

    def _put(self, group: G, place: tuple[int, ...]) -> None:
        self._places[group] = place
        for value in external_operands(group.nodes):
            self._readers.setdefault(value, {})[group] = None
        self._makers |= dict.fromkeys(group.outputs, group)

    def _in_order(self, groups: Iterable[G]) -> tuple[G, ...]:
        return tuple(sorted(groups, key=self._places.__getitem__))
