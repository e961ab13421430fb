"""What planners and statements of a contraction ask of what comes behind its product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from graphc.kernels.loops.language.expressions import Expression, Name
from graphc.kernels.loops.language.source import Arguments, Microkernel, StorageOf
from graphc.kernels.loops.language.statements import Block, Stack
from graphc.kernels.nests.domain import Domain
from graphc.kernels.nests.names import Names
from graphc.kernels.products.contraction import Contraction, Tiling


@dataclass(frozen=True)
class Tiles:
    """The tiles of a contraction, or of a part of its columns, in the order of the tiling.

    row, column: the variables along the rows and columns of a tile. first_column: of the part.
    stride: from a row of a tile in `tile` to the next. task_rows: the most rows of a task.
    """

    contraction: Contraction
    tiling: Tiling
    batch_indices: tuple[Name, ...]
    row: Name
    column: Name
    first_column: int
    stride: int
    task_rows: int


class TilesEnd(Protocol):
    """What ends the tiles of a contraction, or of a part of its columns.

    rows_at_once: how many rows of all columns `tile` collects before they are ended together; 0
    where each tile is ended by itself. before: what stands before all tiles. microkernels: what the
    statements call, by name.
    """

    @property
    def rows_at_once(self) -> int: ...

    @property
    def before(self) -> Block: ...

    @property
    def microkernels(self) -> dict[str, Microkernel]: ...

    def ask_ahead(self, into: Block, rows: Expression, columns: int) -> None:
        """Before a tile's product: asks for the cache lines that its end will read."""
        ...

    def finish(self, into: Block, rows: Expression, columns: int) -> None:
        """Behind a tile's product, which stands in `tile`."""
        ...

    def finish_rows(self, into: Block) -> None:
        """Behind the rows from `block_start` to `block_end`, which stand in `tile`."""
        ...


class Epilogue(Protocol):
    """What a kernel does with the results of its product.

    Nothing that it stores may be read by the contraction: other tiles still need it.
    """

    def declared(self, tile_stride: int) -> Sequence[Stack]:
        """Arrays of a kernel whose tiles have rows of at most so many elements."""
        ...

    def end_of(self, tiles: Tiles) -> TilesEnd:
        """Raises ValueError where the contraction is made for another epilogue."""
        ...


class EpiloguePlan(Protocol):
    """What comes behind a product, before anything is known of its kernel.

    domain: the loops that product and epilogue share.
    """

    @property
    def domain(self) -> Domain: ...

    def shaped(self, contraction: Contraction) -> Contraction:
        """The contraction, cut as the epilogue needs it."""
        ...

    def in_kernel(
        self, lanes: int, storage_of: StorageOf, arguments: Arguments, names: Names
    ) -> Epilogue: ...
