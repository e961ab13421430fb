"""The order of groups that store more than caches hold: little of it is alive at a time."""

from __future__ import annotations

import pytest

from graphc.compiler.plan.memory_order import ReadyByMemory
from graphc.kernels.groups.group import Group
from graphc.kernels.nests.node_kinds import external_operands
from tests.compiler.execution import compilation
from tests.random_graphs import random_program


def _growth(group: Group, left: set[Group], groups: tuple[Group, ...]) -> int:
    """The bytes of what `group` makes for others, less those that no other of `left` reads."""
    made = {node for each in groups for node in each.outputs}
    reads = {each: set(external_operands(each.nodes)) & made for each in groups}
    wanted = [node for node in group.outputs if any(node in reads[each] for each in left)]
    others = left - {group}
    freed = [node for node in reads[group] if not any(node in reads[each] for each in others)]
    return sum(node.type.nbytes for node in wanted) - sum(node.type.nbytes for node in freed)


@pytest.mark.parametrize("seed", range(12))
def test_the_group_that_adds_least_comes_first(seed: int) -> None:
    """Of those that may run, whatever has run before; by rank among equals, and behind all others
    where the rank says so."""
    groups = compilation(random_program(seed, steps=30), fuse=False).groups
    made_by = {node: group for group in groups for node in group.outputs}
    before = {
        group: {made_by[node] for node in external_operands(group.nodes) if node in made_by}
        for group in groups
    }
    rank = {group: (number % 5 == 0, number) for number, group in enumerate(groups)}
    ready, left, may_run = ReadyByMemory(rank, groups), set(groups), set[Group]()
    while left:
        for group in left - may_run:
            if before[group].isdisjoint(left):
                ready.add(group)
                may_run.add(group)
        waits = {group: (rank[group][0], _growth(group, left, groups)) for group in may_run}
        chosen = ready.pop()
        assert (*waits[chosen], rank[chosen]) == min((*waits[g], rank[g]) for g in may_run)
        left.discard(chosen)
        may_run.discard(chosen)
