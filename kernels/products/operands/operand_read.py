"""How a product reads one of its operands: where it stands, row by row of a table, or computed.

Planners, estimates and kernels ask the few questions of `OperandRead`; what there is to a way of
reading stands in its file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from graphc.ir.graph import Node, is_among
from graphc.ir.nodes.lowering import Gather
from graphc.kernels.loops.language.source import Arguments, Storage, StorageOf
from graphc.kernels.nests.names import Names
from graphc.kernels.nests.node_kinds import viewed
from graphc.kernels.nests.refusal import Refusal
from graphc.kernels.products.contraction import MatrixAccess
from graphc.kernels.products.operands.gathered_rows import gathered_rows
from graphc.kernels.products.operands.prologue import operand_chain
from graphc.kernels.products.operands.stored_operand import StoredOperand


class OperandRead(Protocol):
    """One operand of a product, as the product reads it."""

    def access(self, buffer: str) -> MatrixAccess:
        """The matrix as tilings see it, in a buffer of that name."""
        ...

    def in_kernel(
        self, access: MatrixAccess, storage_of: StorageOf, arguments: Arguments, names: Names
    ) -> MatrixAccess:
        """`access` on the arguments of a kernel, with what computes an element, if anything
        does."""
        ...

    def storages(self, storage_of: StorageOf) -> Iterator[tuple[Storage, bool]]:
        """The memory that is read, and whether it holds row i, and no other, for row i of the
        result, where the operand is the left one."""
        ...


def operand_read(product: Node, position: int, made: Sequence[Node]) -> OperandRead | Refusal:
    """How operand number `position` is read by a product that makes the nodes `made` while it reads
    its operands; or why it cannot be."""
    value = viewed(product.operands[position])
    if not is_among(value, made):
        return StoredOperand(product, position)
    if isinstance(value.op.lowering, Gather):
        return gathered_rows(product, position)
    return operand_chain(product, position, made)
