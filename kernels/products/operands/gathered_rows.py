"""Operands of a product whose rows it gathers by index while it reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Strided
from graphc.kernels.loops.language.source import Arguments, Storage, StorageOf
from graphc.kernels.nests.access import place_in_memory
from graphc.kernels.nests.names import Names
from graphc.kernels.nests.node_kinds import matrix_axes, viewed
from graphc.kernels.nests.refusal import NoProduct, Refusal
from graphc.kernels.products.contraction import Along, MatrixAccess, RowIndices


@dataclass(frozen=True, eq=False)
class GatheredRows:
    """Rows of a table as an operand of a product, an `OperandRead`: row i is row `indices[i]` of
    `table`.

    Both as the gathering op reads them. offset, row_stride: where row 0 of the table stands in
    memory, and how far it is from row to row, in elements. along: what of the matrix, as the
    product takes it after its transposition, the rows are.
    """

    table: Node
    indices: Node
    offset: int
    row_stride: int
    along: Along

    def access(self, buffer: str) -> MatrixAccess:
        chosen = RowIndices("indices", self.indices.dtype.name, self.along)
        strides = (self.row_stride, 1) if self.along == "rows" else (1, self.row_stride)
        return MatrixAccess(buffer, self.offset, (), *strides, indices=chosen)

    def in_kernel(
        self, access: MatrixAccess, storage_of: StorageOf, arguments: Arguments, names: Names
    ) -> MatrixAccess:
        assert access.indices is not None
        table, chosen = (
            arguments.name(storage_of(viewed(node))).text for node in (self.table, self.indices)
        )
        return replace(access, buffer=table, indices=replace(access.indices, buffer=chosen))

    def storages(self, storage_of: StorageOf) -> Iterator[tuple[Storage, bool]]:
        yield storage_of(viewed(self.table)), False
        yield storage_of(viewed(self.indices)), False


def gathered_rows(product: Node, position: int) -> GatheredRows | Refusal:
    """How operand number `position`, which is or views the result of a gather, reads the table; or
    why it cannot be read there."""
    operand = product.operands[position]
    gather = viewed(operand)
    table, indices = gather.operands
    if product.rank != 2 or operand.rank != 2:
        return Refusal(NoProduct.BATCH, (product,))
    count = indices.type.size
    row = gather.type.size // max(count, 1)
    if gather.attributes["axis"] != 0 or min(count, row) < 2:
        return Refusal(NoProduct.GATHERS_NO_ROWS, (gather,))
    rows = place_in_memory(table)
    if rows is None or not _is_packed(table.type.dims[1:], rows.strides[1:]):
        return Refusal(NoProduct.ROWS_ELSEWHERE, (table,))
    chosen = place_in_memory(indices)
    if chosen is None or chosen.offset or not _is_packed(indices.type.dims, chosen.strides):
        return Refusal(NoProduct.INDICES_ELSEWHERE, (indices,))
    axis = _axis_of_rows(operand, count, row)
    if axis is not None:
        rows_of_operand, _ = matrix_axes(product, position)
        along: Along = "rows" if axis in rows_of_operand else "columns"
        return GatheredRows(table, indices, rows.offset, rows.strides[0], along)
    return Refusal(NoProduct.ROWS_VIEWED, (product, gather, operand.type))


def _axis_of_rows(operand: Node, count: int, row: int) -> int | None:
    """The axis of a matrix along which `count` rows of `row` elements follow each other; None where
    it is a view of other elements."""
    read = place_in_memory(operand)
    for axis, dims, strides in ((0, (count, row), (row, 1)), (1, (row, count), (1, row))):
        if (operand.type.dims, read) == (dims, Strided(0, strides)):
            return axis
    return None


def _is_packed(dims: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether elements follow each other in row-major order."""
    expected = 1
    for extent, stride in zip(reversed(dims), reversed(strides), strict=True):
        if extent != 1 and stride != expected:
            return False
        expected *= extent
    return True
