"""Contractions and their tilings as data: static shapes, strides, and how they are cut and read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from graphc.ir.nodes.lowering import Digit
from graphc.kernels.loops.language.expressions import Expression, texts
from graphc.kernels.loops.language.statements import Statement
from graphc.kernels.machine import MACHINE
from graphc.kernels.products.microkernels.microkernel import ITEM_BYTES, padded_columns
from graphc.kernels.products.variables import RESERVED_NAMES, batch_indices

Form = Literal["outer", "inner"]
Packing = Literal["none", "transpose", "copy"]
Along = Literal["rows", "columns"]


# Windows are not cut along their depth, so that an accumulator adds up all of it.
LONGEST_WINDOWED_DEPTH = 1024


@dataclass(frozen=True)
class RowIndices:
    """What stands in a buffer from element `offset` on, of a dtype: which rows of memory the rows,
    or the columns, of an operand are. They say nothing of how it is computed."""

    buffer: str
    dtype: str
    along: Along
    offset: int = 0


@dataclass(frozen=True)
class Prologue:
    """Statements that compute an element of an operand, and the expression that is then it.

    They use the batch indices b0, b1, ...; `k` along the depth; and `i` along the result's rows
    for the first operand, `j` along its columns for the second.
    """

    statements: tuple[Statement, ...]
    value: Expression


@dataclass(frozen=True)
class MatrixAccess:
    """Where a batch of matrices stands in a buffer, in elements; strides of any sign or zero.

    computed_cycles: of an operand that a prologue computes while it is packed, the arithmetic of an
    element; None of one that stands in memory. The strides of a computed operand say in which
    order it is computed best, and `buffer` is only a name for it. prologue: what computes it, in a
    kernel.
    indices: of an operand that is gathered while it is read; a stride then leads from one row of
    memory to the next, and an index says how many times.
    row_digits, column_digits: of an operand that is read as windows, how its rows and columns are
    counted, the slowest digit first; the strides are then those of the last digits.
    """

    buffer: str
    offset: int
    batch_strides: tuple[int, ...]
    row_stride: int
    column_stride: int
    computed_cycles: float | None = None
    indices: RowIndices | None = None
    row_digits: tuple[Digit, ...] = ()
    column_digits: tuple[Digit, ...] = ()
    prologue: Prologue | None = None

    @property
    def is_windowed(self) -> bool:
        """Whether rows or columns are counted by several digits."""
        return bool(self.row_digits or self.column_digits)

    @property
    def is_computed(self) -> bool:
        return self.computed_cycles is not None

    @property
    def is_strided(self) -> bool:
        """Whether the matrix stands in memory at its two strides."""
        return not (self.is_computed or self.is_windowed or self.indices is not None)


@dataclass(frozen=True)
class Contraction:
    """acc[b, i, j] = sum over k of left[b, i, k] * right[b, k, j].

    `batch` are the extents of the batch dimensions; left is `rows` x `depth`, right `depth` x
    `columns`. `block`: rows that the epilogue reduces together, so that one task has them all, and
    in order. `whole_rows`: a tile has all columns, since the epilogue takes whole rows. Neither of
    the two is computed transposed, nor a product of windows, which are left. Raises ValueError for
    an unknown dtype, a negative extent, or batch strides that do not go with `batch`.
    """

    dtype: str
    batch: tuple[int, ...]
    rows: int
    columns: int
    depth: int
    left: MatrixAccess
    right: MatrixAccess
    block: int | None = None
    whole_rows: bool = False

    @property
    def is_computed(self) -> bool:
        """Whether an operand is computed while it is packed."""
        return self.left.is_computed or self.right.is_computed

    @property
    def may_be_cut_by_columns(self) -> bool:
        """Whether some columns may be computed in another way than the rest: an operand would be
        computed for each part, and whole rows are in one."""
        return not (self.is_computed or self.whole_rows)

    @property
    def may_take_whole_rows(self) -> bool:
        """Whether an epilogue may begin to reduce whole rows."""
        return not (self.is_computed or self.whole_rows or self.block is not None)

    @property
    def least_tile_columns(self) -> int:
        """The columns that a tile has at least."""
        return self.columns if self.whole_rows else 1

    @property
    def is_gathered(self) -> bool:
        """Whether rows of an operand are chosen by indices."""
        return self.left.indices is not None or self.right.indices is not None

    def __post_init__(self) -> None:
        if self.dtype not in ITEM_BYTES:
            known = " or ".join(ITEM_BYTES)
            raise ValueError(f"contraction of dtype {self.dtype!r}: expected {known}")
        if min(self.rows, self.columns, self.depth, *self.batch) < 0:
            raise ValueError(f"contraction with a negative extent: {self}")
        for access in (self.left, self.right):
            if len(access.batch_strides) != len(self.batch):
                raise ValueError(
                    f"operand {access.buffer!r} has {len(access.batch_strides)} batch strides, "
                    f"the contraction {len(self.batch)} batch dimensions"
                )
            if access.buffer in RESERVED_NAMES | texts(*batch_indices(len(self.batch))):
                raise ValueError(f"operand named {access.buffer!r}, which generated source uses")


@dataclass(frozen=True)
class Tiling:
    """How a contraction is cut and read, and why.

    `form` outer: vectors along the columns, a broadcast element of left times a row of right;
    inner: vectors along the depth. `swapped`: the transpose is computed, `rows` and `columns`
    of the tile then count columns and rows of the result. `packing` is what happens to a panel
    of the right operand. A task is `rows_per_task` rows of one panel, whole tiles or blocks or all;
    `by_rows`: it is any number of rows of all panels, and a thread takes tasks that follow each
    other, as it does of every product of as many rows. `cycles`: estimated, of one core.
    `rest`: how the columns behind the last whole vector are computed, where it is otherwise; all
    else then says how those before are (`column_parts`).
    `left_rows`: where left is computed or copied, how many of its rows are at once; a multiple of
    `rows`. `left_first`: a task is all panels, and such a block is computed once for them.
    `left_copied`: a task is all panels, and copies its rows of left before the first, tile by tile.
    """

    form: Form
    swapped: bool
    rows: int
    columns: int
    lanes: int
    packing: Packing
    rows_per_task: int
    reason: str = ""
    by_rows: bool = False
    cycles: float = 0.0
    rest: Tiling | None = None
    left_rows: int = 0
    left_first: bool = False
    left_copied: bool = False


def has_narrow_vectors(dtype: str, lanes: int) -> bool:
    """Whether vectors of so many elements are shorter than a cache line: of at most 256 bits."""
    return lanes * ITEM_BYTES[dtype] < MACHINE.line_bytes


def column_parts(contraction: Contraction, tiling: Tiling) -> tuple[Contraction, ...]:
    """The columns that are computed in one way, and those in the other if there are any."""
    if tiling.rest is None:
        return (contraction,)
    return cut_columns(contraction, tiling.lanes)


def cut_columns(contraction: Contraction, lanes: int) -> tuple[Contraction, Contraction]:
    """The columns that fill vectors, and the rest."""
    right, rest = contraction.right, contraction.columns % lanes
    whole = contraction.columns - rest
    if right.indices is not None and right.indices.along == "columns":
        indices = replace(right.indices, offset=right.indices.offset + whole)
        moved = replace(right, indices=indices)
    else:
        moved = replace(right, offset=right.offset + whole * right.column_stride)
    return replace(contraction, columns=whole), replace(contraction, columns=rest, right=moved)


def oriented(contraction: Contraction, tiling: Tiling) -> Contraction:
    """The contraction as the tiling computes it: itself, or its transpose."""
    return _transposed(contraction) if tiling.swapped else _normalized(contraction)


def _normalized(contraction: Contraction) -> Contraction:
    """The same with stride 1 along dimensions of extent 1, whose stride says nothing."""
    return replace(
        contraction,
        left=_with_unit_strides(contraction.left, contraction.rows, contraction.depth),
        right=_with_unit_strides(contraction.right, contraction.depth, contraction.columns),
    )


def _with_unit_strides(access: MatrixAccess, rows: int, columns: int) -> MatrixAccess:
    """Rows that indices choose have a stride even where there is one: it may be any of memory."""
    chosen = None if access.indices is None else access.indices.along
    if rows <= 1 and chosen != "rows":
        access = replace(access, row_stride=1)
    if columns <= 1 and chosen != "columns":
        access = replace(access, column_stride=1)
    return access


def _transposed(contraction: Contraction) -> Contraction:
    """acc[b, j, i]: the operands change places and each is transposed."""

    def transpose(access: MatrixAccess) -> MatrixAccess:
        indices = access.indices
        if indices is not None:
            along: Along = "columns" if indices.along == "rows" else "rows"
            indices = replace(indices, along=along)
        return replace(
            access,
            row_stride=access.column_stride,
            column_stride=access.row_stride,
            indices=indices,
        )

    normal = _normalized(contraction)
    return replace(
        normal,
        rows=normal.columns,
        columns=normal.rows,
        left=transpose(normal.right),
        right=transpose(normal.left),
    )


def orientations(contraction: Contraction) -> list[tuple[bool, Contraction]]:
    """As it is, and transposed where it may be computed so."""
    as_it_is = (False, _normalized(contraction))
    if contraction.block is not None or contraction.whole_rows or contraction.left.is_windowed:
        return [as_it_is]
    return [as_it_is, (True, _transposed(contraction))]


def is_computed_by_columns(contraction: Contraction) -> bool:
    """Whether left, which is computed, is so along its rows' dimension: as it stands transposed."""
    return contraction.left.row_stride == 1 and contraction.left.column_stride != 1


def reads_by_index(contraction: Contraction, tiling: Tiling) -> bool:
    """Whether a product so computed can gather the rows of its operands while it reads them: from
    where they stand, or while it copies a panel of the right one."""
    tilings = (tiling,) if tiling.rest is None else (tiling, tiling.rest)
    return all(
        _part_reads_by_index(oriented(part, each), each)
        for part, each in zip(column_parts(contraction, tiling), tilings, strict=True)
    )


def _part_reads_by_index(part: Contraction, tiling: Tiling) -> bool:
    left, right = part.left.indices, part.right.indices
    if left is not None and left.along == "columns" and tiling.form == "inner":
        return False
    if right is None or tiling.packing == "copy":
        return True
    return right.along == "rows" and tiling.form == "outer" and tiling.packing == "none"


def left_as_read(contraction: Contraction, tiling: Tiling) -> MatrixAccess:
    """The left operand as microkernels read it: where it stands, or a block of it in scratch."""
    left = contraction.left
    if tiling.left_copied:
        step = padded_columns(contraction.dtype, tiling.rows, tiling.lanes)
        return MatrixAccess("left_values", 0, (), 1, step)
    if not left.is_computed:
        return left
    strides = (contraction.depth, 1)
    if is_computed_by_columns(contraction):
        strides = (1, tiling.left_rows)
    return MatrixAccess("left_values", 0, (), *strides)


def parts_of(extent: int, part: int) -> list[tuple[int, int]]:
    """(size, how often) of the pieces when `extent` is cut into parts."""
    full, rest = divmod(extent, part)
    return [(part, full)] * bool(full) + [(rest, 1)] * bool(rest)
