"""What kernels read and write of memory at the least."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from graphc.compiler.fusion.grouping import inside_order
from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Gather
from graphc.kernels.nests.node_kinds import external_operands, viewed


def traffic(nodes: Collection[Node], outputs: Iterable[Node]) -> int:
    """Bytes that a kernel reads and writes at the least: each stored value once, and of a table the
    slices alone that are gathered."""
    gathers = inside_order(node for node in nodes if isinstance(node.op.lowering, Gather))
    if not gathers:
        return sum(value.type.nbytes for value in {*external_operands(nodes), *outputs})
    others = [node for node in nodes if not isinstance(node.op.lowering, Gather)]
    chosen = [viewed(operand) for node in gathers for operand in node.operands[1:]]
    read = {*external_operands(others), *chosen} - set(gathers)
    tables = {viewed(node.operands[0]): node for node in gathers}
    slices = sum(node.type.nbytes for table, node in tables.items() if table not in read)
    return slices + sum(value.type.nbytes for value in {*read, *outputs})
