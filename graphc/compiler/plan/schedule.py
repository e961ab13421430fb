"""The order of kernels, and which updates are written straight into their state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from graphc.compiler.fusion.partition import Partition
from graphc.compiler.plan.memory_order import FAR_BYTES, Ready, ReadyByMemory, bytes_for_others
from graphc.ir.graph import Node, Program
from graphc.ir.ops.elementwise import elementwise
from graphc.ir.ops.movement.indexed import in_range
from graphc.kernels.groups.group import ContractionGroup, Group, LoopGroup, RegionGroup
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.access import place_in_memory
from graphc.kernels.nests.loopnest import LoopNest, Phase, plan_loops
from graphc.kernels.nests.node_kinds import (
    changes_base,
    external_operands,
    is_region,
    is_result,
    viewed,
)


@dataclass(frozen=True, eq=False)
class Schedule:
    """Groups in the order in which they run, and where updates go.

    stores: the value that is written into each updated state's memory. It is the update itself, or
        a copy of it made by a group of its own where the state is still read when the update is
        computed.
    """

    groups: tuple[Group, ...]
    stores: tuple[tuple[Node, Node], ...]


def schedule(
    program: Program, groups: tuple[Group, ...], threads: int = 1, outlast_stops: bool = True
) -> Schedule:
    """Orders groups so that values exist before they are read and states are read before they
    are overwritten, as if all updates happened at once.

    outlast_stops: states are still read when an index has stopped the run, so none is overwritten
        before all indices are checked.
    """
    order = _Order(groups)
    if outlast_stops:
        checked = [viewed(node) for node in program.nodes if node.op is in_range or _may_stop(node)]
        order.keep_before_overwrites(checked)
    stores: list[tuple[Node, Node]] = []
    for state, value in program.updates:
        group = order.maker(value)
        assert group is not None, f"no group makes the update of {state!r}"
        if not _writes_in_place(group, state, value) or not order.add_overwrite(group, state):
            value = _new_copy(value, order)
            copying = _copying(value)
            order.add_group(copying)
            order.add_overwrite(copying, state)
        stores.append((state, value))
    return Schedule(order.sorted(threads > 1), tuple(stores))


def _new_copy(value: Node, order: _Order) -> Node:
    """A copy that no group makes: another state may have the first."""
    with value.graph.at(value.location):
        made = elementwise.copy(value)
        while order.maker(made) is not None:
            made = elementwise.copy(made)
    return made


def _copying(value: Node) -> LoopGroup:
    """The kernel of one elementwise op, which loops always compute."""
    nest = plan_loops((value,), (value,))
    assert isinstance(nest, LoopNest)
    return LoopGroup(nest)


def _may_stop(node: Node) -> bool:
    """Whether the node is a result of a loop in which an index may be out of range."""
    if not is_result(node):
        return False
    waiting = [node.operands[0]]
    while waiting:
        for inner in waiting.pop().attributes["body"].nodes:
            if inner.op is in_range:
                return True
            if is_region(inner):
                waiting.append(inner)
    return False


class _Order:
    """The graph of groups: an edge from a group to each that must run after it."""

    def __init__(self, groups: Iterable[Group]) -> None:
        self._partition = Partition(groups)
        self._after: dict[Group, set[Group]] = {
            group: set(self._partition.readers_of(group)) for group in self._partition.groups
        }
        self._checked: list[Group] = []

    def maker(self, value: Node) -> Group | None:
        """The group that stores `value`, if there is one."""
        return self._partition.maker(value)

    def add_group(self, group: Group) -> None:
        """Adds a group whose results no other reads."""
        self._partition.add(group)
        self._after[group] = set()
        for base in external_operands(group.nodes):
            maker = self.maker(base)
            if maker is not None:
                self._after[maker].add(group)

    def keep_before_overwrites(self, values: Iterable[Node]) -> None:
        """Whatever overwrites a state must run after the groups that make `values`."""
        makers = map(self.maker, values)
        self._checked = [group for group in makers if group is not None]

    def add_overwrite(self, writer: Group, state: Node) -> bool:
        """Makes every other reader of `state` run before `writer`; False where that is a cycle."""
        readers = [group for group in self._partition.readers(state) if group is not writer]
        earlier = [*readers, *self._checked]
        if writer in self._checked or self._reaches_any(writer, set(earlier)):
            return False
        for group in earlier:
            self._after[group].add(writer)
        return True

    def sorted(self, for_threads: bool) -> tuple[Group, ...]:
        """A topological order, close to that of the program; where more is stored than caches
        hold, one that keeps little of it alive."""
        groups = self._partition.groups
        waiting = dict.fromkeys(groups, 0)
        for group in groups:
            for later in self._after[group]:
                waiting[later] += 1
        last = self._last_groups() if for_threads else set()
        rank = {group: (group in last, _first(group), i) for i, group in enumerate(groups)}
        is_far = bytes_for_others(groups) > FAR_BYTES
        ready = ReadyByMemory(rank, groups) if is_far else Ready(rank)
        for group, count in waiting.items():
            if count == 0:
                ready.add(group)
        result: list[Group] = []
        while ready:
            group = ready.pop()
            result.append(group)
            for later in self._after[group]:
                waiting[later] -= 1
                if waiting[later] == 0:
                    ready.add(later)
        if len(result) != len(groups):
            raise AssertionError("groups depend on each other in a circle")
        return tuple(result)

    def _last_groups(self) -> set[Group]:
        """The groups that wait until nothing else can run: those whose results no other reads.

        In a small step; what others read then follows each other on each thread, and the updates
        at the end wait for one meeting of the threads. In a large one a gradient is used while it
        is in cache, and scalars alone wait, such as the next key of a random stream: the threads
        need not meet for it.
        """
        groups = self._partition.groups
        stored = self._partition.stored()
        # Results of a small step stay in the second cache of a core through all of it.
        is_large = sum(node.type.nbytes for node in stored) > MACHINE.second_cache_share_bytes
        read = {base for group in groups for base in external_operands(group.nodes)}
        return {
            group
            for group in groups
            if read.isdisjoint(group.outputs)
            and not (is_large and any(node.rank for node in group.outputs))
        }

    def _reaches_any(self, start: Group, goals: set[Group]) -> bool:
        """Whether a path leads from `start` to one of `goals`."""
        stack, seen = [start], {start}
        while stack and goals:
            for later in self._after[stack.pop()]:
                if later in goals:
                    return True
                if later not in seen:
                    seen.add(later)
                    stack.append(later)
        return False


def _first(group: Group) -> int:
    return max(node.number for node in group.nodes)


def _writes_in_place(group: Group, state: Node, value: Node) -> bool:
    """Whether the group may store `value` over `state`, which it may itself read.

    It may where each element of the state is read no later than in the step that overwrites it.
    """
    reads = [
        (node, position)
        for node in group.nodes
        for position, operand in enumerate(node.operands)
        if viewed(operand) is state
    ]
    if not reads:
        return True
    if isinstance(group, ContractionGroup):
        inside = set(group.parts.epilogue)
        return all(
            node in inside and _reads_same_element(node, position, state)
            for node, position in reads
        )
    if isinstance(group, LoopGroup):
        nest = group.nest
        return all(_read_precedes(nest, node, position, state, value) for node, position in reads)
    if isinstance(group, RegionGroup):
        return False
    is_base = group.node.operands[0] is state and len(reads) == 1
    return is_base and changes_base(group.node)


def _reads_same_element(node: Node, position: int, state: Node) -> bool:
    """Whether a node of the state's shape reads the state's element at its own place."""
    operand = node.operands[position]
    return operand is state and node.shape == state.shape


def _read_precedes(nest: LoopNest, node: Node, position: int, state: Node, value: Node) -> bool:
    read, store = nest.roles[node], nest.roles[value]
    operand = node.operands[position]
    same_element = (
        operand is state
        and place_in_memory(operand) == place_in_memory(state)
        and nest.domain.operand_axes[node, position] == nest.domain.axes[value]
    )
    if store.phase is Phase.FINISH:
        return same_element or (read.phase is Phase.MAIN and _is_read_in_main_only(nest, node))
    in_time = read.phase is Phase.MAIN and (not read.inner or _last_pass(nest, node) <= store.level)
    return same_element and in_time


def _is_read_in_main_only(nest: LoopNest, node: Node) -> bool:
    """Whether the finishing phase does not compute `node` again."""
    finishing = [n for n in nest.nodes if nest.roles[n].phase is Phase.FINISH]
    seen = set(finishing)
    while finishing:
        for base in map(viewed, finishing.pop().operands):
            if base in nest.roles and base not in nest.reduces and base not in seen:
                if base is node:
                    return False
                seen.add(base)
                finishing.append(base)
    return True


def _last_pass(nest: LoopNest, node: Node) -> int:
    """The last pass that may compute `node` again: a bound, since some values are kept."""
    last = nest.roles[node].level
    reached = {node}
    for other in nest.nodes:
        role = nest.roles[other]
        if any(viewed(operand) in reached for operand in other.operands):
            last = max(last, role.level)
            if role.inner and other not in nest.reduces:
                reached.add(other)
    return last
