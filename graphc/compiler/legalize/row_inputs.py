"""Inputs of a step that are whole arrays, whose rows it takes in a given order."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from graphc.ir.graph import Node, Program, are_same, is_among, rebuild
from graphc.ir.nodes.op import Array
from graphc.ir.ops import leaf
from graphc.ir.ops.movement import indexed
from graphc.kernels.nests.node_kinds import is_contraction, is_view, viewed

# The last input of such a step: the numbers of the rows, one for each row of a batch.
ROW_ORDER = "row_order"

# Batches of fewer bytes, or from smaller arrays, are copied sooner than a program is compiled that
# need not copy them.
SMALLEST_BATCH_BYTES = 1 << 16
SMALLEST_ARRAY_BYTES = 1 << 24


def readable_in_place(
    program: Program, arrays: Sequence[Array], batch_size: int
) -> tuple[str, ...]:
    """The inputs whose rows products might take themselves, and for which that pays.

    arrays: those given for the inputs, whole.
    """
    large = [
        node.name
        for node, array in zip(program.inputs, arrays, strict=True)
        if array.nbytes >= SMALLEST_ARRAY_BYTES
        and array[:batch_size].nbytes >= SMALLEST_BATCH_BYTES
    ]
    if not large:
        return ()
    names = _read_by_products(program)
    return tuple(name for name in large if name in names)


def _read_by_products(program: Program) -> set[str]:
    """The inputs that nothing but products of matrices reads."""
    others = {viewed(root) for root in program.roots}
    found: set[Node] = set()
    for node in program.nodes:
        if not is_view(node):
            by_product = is_contraction(node) and node.rank == 2
            (found if by_product else others).update(map(viewed, node.operands))
    return {each.name for each in program.inputs if each in found - others}


def take_rows(program: Program, names: Collection[str]) -> Program:
    """The program on rows that it takes itself, in the same graph, with one more input: an order
    (i64) as long as a batch.

    What the inputs so named are given begins with row 0 of a whole array. How many rows that has
    is no part of the program, so that one serves all arrays; its type is still that of a batch.
    """
    tables = [each for each in program.inputs if each.name in names]
    if not tables:
        return program
    graph = tables[0].graph
    name = ROW_ORDER
    while name in graph.inputs or name in graph.states:
        name += "_"
    # Not by graph.input: the name is the program's and stays free in the user's graph.
    attributes = {"name": name, "shape": tables[0].shape[:1], "dtype": "i64"}
    order = graph.apply(leaf.input_, (), attributes)

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        with graph.at(node.location):
            if is_among(node, tables):
                return indexed.take(node, order, axis=0)
            if are_same(operands, node.operands):
                return node
            return graph.apply(node.op, operands, node.attributes)

    made = rebuild(program.roots, make)
    return replace(program.map_roots(made.__getitem__), inputs=(*program.inputs, order))
