"""Operands of a product that it reads from where they stand in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from graphc.ir.graph import Node
from graphc.kernels.loops.language.source import Arguments, Storage, StorageOf
from graphc.kernels.nests.access import digits_in_memory, place_in_memory
from graphc.kernels.nests.names import Names
from graphc.kernels.nests.node_kinds import contracted_axes, matrix_axes, viewed
from graphc.kernels.products.contraction import MatrixAccess


@dataclass(frozen=True, eq=False)
class StoredOperand:
    """Operand number `position` of a product, as an `OperandRead`."""

    product: Node
    position: int

    @property
    def operand(self) -> Node:
        return self.product.operands[self.position]

    def access(self, buffer: str) -> MatrixAccess:
        place = place_in_memory(self.operand)
        rows, columns = matrix_axes(self.product, self.position)
        if place is None or len(rows) != 1 or len(columns) != 1:
            return self._counted_access(buffer)
        dims = self.operand.type.dims
        strides = tuple(0 if dims[axis] == 1 else place.strides[axis] for axis in self._batch)
        return MatrixAccess(
            buffer,
            place.offset,
            self._of_all_batch_axes(strides),
            place.strides[rows[0]],
            place.strides[columns[0]],
        )

    def in_kernel(
        self, access: MatrixAccess, storage_of: StorageOf, arguments: Arguments, names: Names
    ) -> MatrixAccess:
        return replace(access, buffer=arguments.name(storage_of(viewed(self.operand))).text)

    def storages(self, storage_of: StorageOf) -> Iterator[tuple[Storage, bool]]:
        storage, access = storage_of(viewed(self.operand)), self.access("")
        roles = contracted_axes(self.product, self.position)
        rows, depth = (extent_of(self.operand, axes) for axes in (roles.free, roles.depth))
        by_rows = (access.offset, access.row_stride, access.column_stride) == (0, depth, 1)
        yield storage, by_rows and not access.is_windowed and rows * depth == storage.size

    @property
    def _batch(self) -> tuple[int, ...]:
        return contracted_axes(self.product, self.position).batch

    def _of_all_batch_axes(self, strides: tuple[int, ...]) -> tuple[int, ...]:
        """Strides along the batch axes of the product, of which the operand has the last."""
        return (0,) * (len(batch_extents(self.product)) - len(strides)) + strides

    def _counted_access(self, buffer: str) -> MatrixAccess:
        """Where rows or columns are counted by several digits."""
        at = digits_in_memory(self.operand)
        if at is None or any(len(at.axes[axis]) > 1 for axis in self._batch):
            raise AssertionError(f"{self.operand!r} stands at no digits and was not copied")
        strides = tuple(at.axes[axis][0].stride if at.axes[axis] else 0 for axis in self._batch)
        rows, columns = (
            tuple(digit for axis in axes for digit in at.axes[axis])
            for axes in matrix_axes(self.product, self.position)
        )
        return MatrixAccess(
            buffer,
            at.offset,
            self._of_all_batch_axes(strides),
            rows[-1].stride if rows else 1,
            columns[-1].stride if columns else 1,
            row_digits=rows if len(rows) > 1 else (),
            column_digits=columns if len(columns) > 1 else (),
        )


def batch_extents(product: Node) -> tuple[int, ...]:
    """The extents of the axes of a product that are rows or columns of neither operand."""
    of_x, of_y = (contracted_axes(product, position) for position in (0, 1))
    return product.type.dims[: product.rank - len(of_x.free) - len(of_y.free)]


def extent_of(operand: Node, axes: tuple[int, ...]) -> int:
    """Of some axes together."""
    return math.prod(operand.type.dims[axis] for axis in axes)
