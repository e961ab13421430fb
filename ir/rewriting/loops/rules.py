"""Loops made cheaper: fewer of them, and less in each step. Each function's docstring begins with
its equation."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace

from graphc.ir.functions import build
from graphc.ir.graph import Node, Program, are_same, rebuild, topological
from graphc.ir.nodes.lowering import Region, Result
from graphc.ir.ops import region
from graphc.ir.programs.loops import copy_values
from graphc.ir.programs.lower import applied
from graphc.ir.rewriting.loops.parts import Loop
from graphc.ir.rewriting.loops.products import (
    product_after,
    product_before,
    sum_after,
    transposed_before,
)
from graphc.ir.rewriting.rewrite import Firing, OnFire
from graphc.ir.rewriting.simplify import simplify


def simplify_loops(program: Program, on_fire: OnFire | None = None) -> Program:
    """The program with its loops simplified, inner ones first.

    Loops that differ in what they stack become one, values that nothing reads are gone, and
    products leave the loops. The rest of the program is as it was.
    """
    if not any(isinstance(node.op.lowering, Region) for node in program.nodes):
        return program

    def within(body: Program) -> Program:
        return simplify_loops(simplify(body, on_fire), on_fire)

    made = rebuild(program.roots, lambda node, operands: applied(node, operands, within))
    program = program.map_roots(made.__getitem__)
    program = _merged(program, on_fire)
    for change in CHANGES:
        program = _changed(program, change, on_fire)
    return _changed(program, without_unread, on_fire)


# A loop and the results of it that are read -> what stands for each of these, None for no change.
Change = Callable[[Loop, Sequence[int]], dict[int, Node] | None]


def _changed(program: Program, change: Change, on_fire: OnFire | None) -> Program:
    read: dict[Node, list[int]] = {}
    for node in program.nodes:
        if isinstance(node.op.lowering, Result):
            read.setdefault(node.operands[0], []).append(node.attributes["number"])
    made: dict[Node, dict[int, Node]] = {}

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        if isinstance(node.op.lowering, Result):
            found = made.get(node.operands[0])
            if found is not None:
                return found[node.attributes["number"]]
        after = applied(node, operands)
        if isinstance(node.op.lowering, Region):
            with node.graph.at(node.location):
                found = change(Loop.of(after), sorted(read[node]))
            if found is not None:
                made[node] = found
                _fire(change, after, found, on_fire)
        return after

    changed = rebuild(program.roots, make)
    return program.map_roots(changed.__getitem__)


def _fire(change: Change, before: Node, after: dict[int, Node], on_fire: OnFire | None) -> None:
    if on_fire is not None:
        equation = (inspect.getdoc(change) or "").splitlines()[0]
        first = next(iter(after.values()))
        on_fire(Firing(change.__name__, equation, before, first, before.location))


# --- fewer loops -----------------------------------------------------------------------------


def _merged(program: Program, on_fire: OnFire | None) -> Program:
    """The program in which loops of the same steps, which stack other values, are one."""
    loops = [node for node in program.nodes if node.op is region.scan]
    chosen: dict[Node, Node] = {}
    places: dict[Node, dict[int, int]] = {}
    for node in loops:
        for other in dict.fromkeys(chosen.values()):
            found = _stacking_both(other, node)
            if found is not None:
                merged, places[node] = found
                chosen = {each: merged if x is other else x for each, x in chosen.items()}
                chosen[node] = merged
                break
        else:
            chosen[node] = node
    if len(set(chosen.values())) == len(loops):
        return program

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        with node.graph.at(node.location):
            if node in chosen:
                return node.graph.apply(node.op, operands, chosen[node].attributes)
            if isinstance(node.op.lowering, Result) and node.operands[0] in places:
                number = places[node.operands[0]][node.attributes["number"]]
                return region.result(operands[0], number=number)
        return applied(node, operands)

    made = rebuild(program.roots, make)
    return program.map_roots(made.__getitem__)


def _stacking_both(one: Node, other: Node) -> tuple[Node, dict[int, int]] | None:
    """A loop that stacks what both do, the first one's first, and where the other's results are in
    it; None where their steps differ."""
    fixed = ("carries", "slices", "length", "reverse", "recompute")
    if not are_same(one.operands, other.operands):
        return None
    if any(one.attributes[name] != other.attributes[name] for name in fixed):
        return None
    first, second = Loop.of(one), Loop.of(other)
    inputs = one.attributes["body"].inputs
    given = dict(zip(other.attributes["body"].inputs, inputs, strict=True))
    if any(x.type != y.type for x, y in given.items()):
        return None
    copied = copy_values(second.roots, given, first.graph)
    count = len(first.carries)
    if not are_same(copied[:count], first.nexts):
        return None
    stacked = list(dict.fromkeys([*first.stacked, *copied[count:]]))
    place = {value: number for number, value in enumerate(stacked, count)}
    numbers = {k: k for k in range(count)}
    numbers |= {k: place[value] for k, value in enumerate(copied[count:], count)}
    # A value that the first loop stacks twice keeps both places.
    if len(set(first.stacked)) < len(first.stacked):
        return None
    return replace(first, stacked=tuple(stacked)).applied(), numbers


def without_steps(loop: Loop, read: Sequence[int]) -> dict[int, Node] | None:
    """scan of no step = the carry, scan of one step = its body"""
    if loop.length not in (0, 1):
        return None
    outer = loop.node.graph
    count = len(loop.carries)
    if loop.length == 0:
        made: dict[int, Node] = {k: operand for k, (operand, _) in enumerate(loop.carries)}
        for k, value in enumerate(loop.stacked, count):
            zero = outer.constant(0, value.dtype)
            made[k] = build.broadcast_to(zero, (0, *value.shape))
        return {k: made[k] for k in read}
    given = {x: operand for operand, x in (*loop.carries, *loop.values)}
    given |= {x: build.reshape(operand, x.shape) for operand, x in loop.slices}
    values = copy_values(loop.roots, given, outer)
    return {
        k: values[k] if k < count else build.reshape(values[k], (1, *values[k].shape)) for k in read
    }


def without_unread(loop: Loop, read: Sequence[int]) -> dict[int, Node] | None:
    """scan of (f, g) = scan of f where nothing reads what g makes"""
    count = len(loop.carries)
    inputs = [x for _, x in loop.carries]
    # The condition of a loop whose steps are not counted is needed in any case.
    kept = {k for k in read if k < count} | set(() if loop.length is not None else (0,))
    stacked = [k for k in read if k >= count]
    while True:
        roots = [*(loop.nexts[k] for k in kept), *(loop.stacked[k - count] for k in stacked)]
        below = set(topological(roots))
        more = {k for k, x in enumerate(inputs) if x in below} | kept
        if more == kept:
            break
        kept = more
    if not kept and not stacked:
        return None
    order = sorted(kept)
    needed = {x for _, x in (*loop.slices, *loop.values) if x in below}
    made = replace(
        loop,
        carries=tuple(loop.carries[k] for k in order),
        slices=tuple(pair for pair in loop.slices if pair[1] in needed),
        values=tuple(pair for pair in loop.values if pair[1] in needed),
        nexts=tuple(loop.nexts[k] for k in order),
        stacked=tuple(loop.stacked[k - count] for k in stacked),
    )
    size = (len(made.carries), len(made.slices), len(made.values), len(made.stacked))
    if size == (count, len(loop.slices), len(loop.values), len(loop.stacked)):
        return None
    node = made.applied()
    places = {k: place for place, k in enumerate(order)}
    places |= {k: place for place, k in enumerate(stacked, len(order))}
    return {k: region.result(node, number=places[k]) for k in read}


# In this order: what is not read needs no product, and products that left are not turned.
CHANGES: tuple[Change, ...] = (
    without_unread,
    without_steps,
    product_before,
    product_after,
    sum_after,
    transposed_before,
)
