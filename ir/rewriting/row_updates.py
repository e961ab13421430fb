"""Updates of a few rows of a state: added to where they stand, not by a gradient of its shape."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from graphc.ir.graph import Node, Program, are_same, rebuild
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import indexed
from graphc.ir.rewriting.match import either_order
from graphc.ir.rewriting.rewrite import Firing, OnFire, rule


@dataclass(frozen=True, eq=False)
class _Addition:
    """x + a * scatter_add(v, indices), or with a minus.

    scaling: the nodes between the sum and the scatter, the last applied first.
    """

    x: Node
    scaling: tuple[Node, ...]
    scatter: Node


def update_rows(program: Program, on_fire: OnFire | None = None) -> Program:
    """The static program, in the same graph, with `add_rows` applied to updates where that saves.

    It does where x is the updated state itself, so that rows without an index need no pass; where
    nothing else needs the scattered rows; and where there are fewer indices than rows of x, of
    which otherwise each took many small sums instead of a large one.
    """
    uses = Counter(operand for node in program.nodes for operand in node.operands)
    uses.update(program.roots)
    chosen = {value for state, value in program.updates if _saves(state, value, uses)}
    if not chosen:
        return program

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        with node.graph.at(node.location):
            made = node
            if not are_same(operands, node.operands):
                made = node.graph.apply(node.op, operands, node.attributes)
            return _fired(made, on_fire) if node in chosen else made

    changed = rebuild(program.roots, make)
    return program.map_roots(changed.__getitem__)


def _saves(state: Node, value: Node, uses: Counter[Node]) -> bool:
    found = _addition(value)
    if found is None or found.x is not state:
        return False
    if any(uses[node] > 1 for node in (*found.scaling, found.scatter)):
        return False
    _, indices = found.scatter.operands
    return indices.type.size < state.type.dims[found.scatter.attributes["axis"]]


def _fired(node: Node, on_fire: OnFire | None) -> Node:
    after = add_rows.apply(node)
    assert after is not None
    if on_fire is not None:
        on_fire(Firing(add_rows.name, add_rows.equation, node, after, node.location))
    return after


@rule(ops.add, ops.subtract)
def add_rows(node: Node) -> Node | None:
    """x + a * scatter_add(v, indices) = index_add(x, a * v, indices) for a scalar a

    The rounding differs where an index occurs more than once. Elements without an index stay as
    they are, also where a is not finite.
    """
    found = _addition(node)
    if found is None:
        return None
    slices, indices = found.scatter.operands
    inner = found.scatter
    for scaling in reversed(found.scaling):
        operands = tuple(slices if x is inner else x for x in scaling.operands)
        slices, inner = scaling.graph.apply(scaling.op, operands, scaling.attributes), scaling
    if node.op is ops.subtract:
        slices = ops.negate(slices)
    return indexed.index_add(found.x, slices, indices, axis=found.scatter.attributes["axis"])


def _addition(node: Node) -> _Addition | None:
    """What `node` adds or subtracts; None for any other node."""
    if node.op is ops.add:
        sides = list(either_order(node))
    elif node.op is ops.subtract:
        sides = [(node.operands[0], node.operands[1])]
    else:
        return None
    for x, added in sides:
        scaling = []
        inner: Node | None = added
        while inner is not None and inner.op is not indexed.scatter_add:
            scaling.append(inner)
            inner = _unscaled(inner)
        if inner is not None and x.type == node.type == inner.type:
            return _Addition(x, tuple(scaling), inner)
    return None


def _unscaled(node: Node) -> Node | None:
    """x of -x, of a * x and of x / a for a scalar a; None for any other node."""
    if node.op is ops.negate:
        return node.operands[0]
    if node.op is ops.multiply:
        return next((x for a, x in either_order(node) if a.rank == 0), None)
    if node.op is ops.divide and node.operands[1].rank == 0:
        return node.operands[0]
    return None
