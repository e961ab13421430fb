"""Groups in their order, changed for others, and who reads and stores each value."""

import graphc as gc
from graphc.compiler.fusion.grouping import group_storing
from graphc.compiler.fusion.partition import Partition
from graphc.ir.types import f32
from graphc.kernels.groups.group import LoopGroup


def _group(*nodes: gc.Node) -> LoopGroup:
    made = group_storing(nodes, nodes[-1:])
    assert isinstance(made, LoopGroup)
    return made


def test_what_takes_a_groups_place_inherits_it() -> None:
    x = gc.Graph().input("x", (8,), f32)
    one = gc.exp(x)
    two = gc.exp(one)
    three = two + one
    first, second, third = map(_group, (one, two, three))
    partition = Partition([first, second, third])
    assert partition.groups == (first, second, third)
    assert partition.readers(one) == (second, third)
    assert partition.users(one) == (first, second, third)
    assert partition.readers_of(first) == (second, third)
    assert partition.maker(x) is None and partition.maker(two) is second

    both = _group(one, two)
    partition.change({third: (third,), second: (), first: (_group(one), both)})
    again, whole, last = partition.groups
    assert (again.nodes, whole, last) == ((one,), both, third)
    assert second not in partition and both in partition
    assert partition.maker(two) is both and partition.readers(one) == (third,)
    assert partition.stored() == {one, two, three}

    four = gc.exp(three)
    added = _group(four)
    partition.add(added)
    assert partition.groups[-1] is added and partition.readers_of(third) == (added,)
