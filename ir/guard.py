"""Marks every operand that is read as indices, so that its range is checked before it is used."""

from __future__ import annotations

from collections.abc import Collection

from graphc.ir.graph import Node, Program, are_same, rebuild
from graphc.ir.ops import indexed


def guard_indices(program: Program, checked: Collection[Node] = ()) -> Program:
    """The program with `in_range` around every index operand but those that are checked already, in
    the same graph."""

    known = set(checked)

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        guarded = list(operands)
        if node.op.indices is not None and node.op is not indexed.in_range:
            position, limit_of = node.op.indices
            limit = limit_of(*(operand.type for operand in node.operands), **node.attributes)
            if node.operands[position] not in known:
                with node.graph.at(node.location):
                    guarded[position] = indexed.in_range(guarded[position], limit=limit)
        if are_same(guarded, node.operands):
            return node
        with node.graph.at(node.location):
            return node.graph.apply(node.op, guarded, node.attributes)

    made = rebuild(program.roots, make)
    return program.map_roots(made.__getitem__)
