"""Marks every operand that is read as indices, so that its range is checked before it is used."""

from __future__ import annotations

from collections.abc import Collection

from graphc.ir.graph import Node, Program, are_same, rebuild
from graphc.ir.ops import leaf
from graphc.ir.ops.movement import indexed


def guard_indices(program: Program, checked: Collection[Node] = ()) -> Program:
    """The program with `in_range` around every index operand but those that are checked already and
    those that are known, in the same graph."""

    known = set(checked)

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        guarded = list(operands)
        if node.op.indices is not None and node.op is not indexed.in_range:
            position, limit_of = node.op.indices
            limit = limit_of(*(operand.type for operand in node.operands), **node.attributes)
            index = node.operands[position]
            if index not in known and not _surely_below(limit, index):
                with node.graph.at(node.location):
                    guarded[position] = indexed.in_range(guarded[position], limit=limit)
        if are_same(guarded, node.operands):
            return node
        with node.graph.at(node.location):
            return node.graph.apply(node.op, guarded, node.attributes)

    made = rebuild(program.roots, make)
    return program.map_roots(made.__getitem__)


def _surely_below(limit: int, index: Node) -> bool:
    """Whether all elements are known: those of a constant, or of a count from 0, and in range."""
    value = index.viewed
    if value.op is leaf.constant:
        array = value.attributes["value"].array
        return array.size == 0 or bool(array.min() >= 0 and array.max() < limit)
    return value.op is leaf.iota and value.type.size <= limit
