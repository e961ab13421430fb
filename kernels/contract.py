"""Source text of contractions: tasks, packed panels and tiles around a microkernel.

The result is computed tile by tile: a microkernel leaves a finished block in a small array on the
stack, and the caller's epilogue runs over it while it is in cache. Operands come as strides, so
transposes and broadcasts cost no copy by themselves. No element of the result is summed by two of
the tasks that threads share, and each along the depth in order: the bits of a result do not
depend on the number of threads, though how small products are cut by rows does.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod
from typing import Protocol

from graphc.kernels.microkernel import (
    Microkernel,
    inner_microkernel,
    microkernel,
    padded_columns,
    transpose_microkernel,
)
from graphc.kernels.source import THREAD_SHARE, share_limits
from graphc.kernels.tiling import Contraction, MatrixAccess, Tiling, oriented

# Steps of an accumulation that are under way at once: one waits for what the last has stored.
CHAINS = 4


class Epilogue(Protocol):
    """Source lines that use the finished scalar `value`; they stand in the innermost loop.

    Nothing that they store may be read by the contraction: other tiles still need it.
    """

    def __call__(
        self, *, batch_indices: tuple[str, ...], row: str, column: str, value: str
    ) -> list[str]: ...


class RowReductions(Protocol):
    """Source lines of what an epilogue reduces over each block of rows, a column apart.

    It keeps `elements` of its own for each reduction: CHAINS results, each of every CHAINS-th row,
    so that a row need not wait for the one before it, an element a column of the tile.
    """

    def declared(self, elements: int) -> list[str]: ...

    def begun(self, *, element: str) -> list[str]:
        """Sets an element to the neutral one."""
        ...

    def ended(
        self,
        *,
        batch_indices: tuple[str, ...],
        block: str,
        column: str,
        elements: tuple[str, ...],
    ) -> list[str]:
        """Stores the result of a block and column, of which `elements` are the parts."""
        ...


@dataclass(frozen=True)
class ContractionSource:
    """Lines of a kernel's body, what they call, the `scratch` elements that a thread needs, and
    whether there are tasks to share."""

    lines: tuple[str, ...]
    microkernels: tuple[Microkernel, ...]
    scratch: int
    splits: bool


def contraction_lines(
    contraction: Contraction,
    tiling: Tiling,
    epilogue: Epilogue,
    reductions: RowReductions | None = None,
) -> ContractionSource:
    """Source of a kernel's body, indented by four: every task of this thread, tile by tile.

    Where the contraction has blocks of rows, the epilogue adds to element `chain + q` of the
    reductions.
    The lines use `thread`, `threads`, the operands' buffers and, where a panel is packed, a buffer
    `scratch` with `scratch` elements for every thread. They return nothing. A result without
    elements has no lines.
    """
    if contraction.rows == 0 or contraction.columns == 0 or 0 in contraction.batch:
        return ContractionSource((), (), 0, splits=False)
    return _Writer(oriented(contraction, tiling), tiling, epilogue, reductions).source()


def _index(*terms: tuple[str, int], offset: int = 0) -> str:
    """Source of offset + sum of name * stride, without what is zero."""
    parts = [name if stride == 1 else f"{name} * {stride}" for name, stride in terms if stride != 0]
    if offset or not parts:
        parts.append(str(offset))
    return " + ".join(parts)


def _advanced(buffer: str, index: str) -> str:
    return buffer if index == "0" else f"advance({buffer}, {index})"


class _Writer:
    """Writes the body of one contraction whose operands are in the order of its tiling."""

    def __init__(
        self,
        contraction: Contraction,
        tiling: Tiling,
        epilogue: Epilogue,
        reductions: RowReductions | None,
    ) -> None:
        self.contraction = contraction
        self.tiling = tiling
        self.epilogue = epilogue
        self.reductions = reductions
        self.batch_indices = tuple(f"b{axis}" for axis in range(len(contraction.batch)))
        self.lines: list[str] = []
        self.microkernels: dict[str, Microkernel] = {}
        self.tile_stride = (
            padded_columns(contraction.dtype, tiling.columns, tiling.lanes)
            if tiling.form == "outer"
            else tiling.columns
        )
        self.packed_stride = ceil(tiling.columns / tiling.lanes) * tiling.lanes

    def add(self, depth: int, *lines: str) -> None:
        self.lines.extend("    " * depth + line for line in lines)

    def use(self, kernel: Microkernel) -> str:
        self.microkernels[kernel.name] = kernel
        return kernel.name

    def source(self) -> ContractionSource:
        contraction, tiling = self.contraction, self.tiling
        chunks = ceil(contraction.rows / tiling.rows_per_task)
        panels = ceil(contraction.columns / tiling.columns)
        tasks = chunks * panels * prod(contraction.batch)
        packs = tiling.packing != "none"
        scratch = contraction.depth * self.packed_stride if packs else 0
        self.add(1, f"tile = stack({contraction.dtype}, {tiling.rows * self.tile_stride})")
        if self.reductions is not None and contraction.block is not None:
            self.add(1, *self.reductions.declared(CHAINS * self.tile_stride))
        if packs:
            self.add(1, f"packed = advance(scratch, thread * {scratch})")
        if tiling.by_rows:
            self.add(1, f"for row_chunk in range({share_limits(THREAD_SHARE, chunks)}):")
            self.add(2, f"for column_panel in range({panels}):")
            self._column_panel(3)
        else:
            own_tasks = share_limits(THREAD_SHARE, tasks) if tasks > 1 else "1"
            self.add(1, f"for task in range({own_tasks}):")
            self._task_indices(chunks, panels)
            self._column_panel(2)
        microkernels = tuple(self.microkernels.values())
        return ContractionSource(tuple(self.lines), microkernels, scratch, tasks > 1)

    def _column_panel(self, indent: int) -> None:
        """A panel of columns, for the rows of a chunk; the last one may be narrower."""
        contraction, tiling, right = self.contraction, self.tiling, self.contraction.right
        self.add(indent, f"column_start = {_index(('column_panel', tiling.columns))}")
        terms = [*self._batch_terms(right), ("column_start", right.column_stride)]
        start = _index(*terms, offset=right.offset)
        self.add(indent, f"right_panel = {_advanced(right.buffer, start)}")
        full, rest = divmod(contraction.columns, tiling.columns)
        if full and rest:
            self.add(indent, f"if column_panel < {full}:")
            self._panel(indent + 1, tiling.columns)
            self.add(indent, "else:")
            self._panel(indent + 1, rest)
        else:
            self._panel(indent, tiling.columns if full else rest)

    def _task_indices(self, chunks: int, panels: int) -> None:
        """Which chunk of rows, panel of columns and matrix of the batch a task is."""
        named = [("row_chunk", chunks), ("column_panel", panels)]
        axes = [*zip(self.batch_indices, self.contraction.batch, strict=True)]
        after = 1
        for name, extent in [*named, *reversed(axes)]:
            quotient = "task" if after == 1 else f"task // {after}"
            self.add(2, f"{name} = {quotient} % {extent}" if extent > 1 else f"{name} = 0")
            after *= extent

    def _batch_terms(self, access: MatrixAccess) -> list[tuple[str, int]]:
        return [*zip(self.batch_indices, access.batch_strides, strict=True)]

    def _panel(self, indent: int, columns: int) -> None:
        """All blocks of rows of a task against one panel of `columns` columns."""
        contraction, tiling = self.contraction, self.tiling
        if tiling.packing != "none":
            self._pack(indent, columns)
        rows, task_rows, block = contraction.rows, tiling.rows_per_task, tiling.rows
        if task_rows >= rows:
            self.add(indent, f"for row_start in range(0, {rows}, {block}):")
        else:
            last = f"row_end = row_chunk * {task_rows} + {task_rows}"
            if rows % task_rows:
                last += f" if row_chunk < {rows // task_rows} else {rows}"
            self.add(indent, last)
            self.add(indent, f"for row_start in range(row_chunk * {task_rows}, row_end, {block}):")
        left = contraction.left
        start = _index(*self._batch_terms(left), ("row_start", left.row_stride), offset=left.offset)
        self.add(indent + 1, f"left_block = {_advanced(left.buffer, start)}")
        sizes = self._block_sizes()
        if len(sizes) == 1:
            self.add(indent + 1, self._call(sizes[0], columns))
            self._finish(indent + 1, str(sizes[0]), columns)
            return
        end = "row_end" if task_rows < rows else str(rows)
        self.add(
            indent + 1,
            f"block_rows = {block} if row_start <= {end} - {block} else {end} - row_start",
        )
        for position, size in enumerate(sizes[:-1]):
            self.add(indent + 1, f"{'elif' if position else 'if'} block_rows == {size}:")
            self.add(indent + 2, self._call(size, columns))
        self.add(indent + 1, "else:")
        self.add(indent + 2, self._call(sizes[-1], columns))
        self._finish(indent + 1, "block_rows", columns)

    def _block_sizes(self) -> list[int]:
        """The numbers of rows that a tile may have: whole ones first, then what ends a chunk."""
        rows, task_rows, block = self.contraction.rows, self.tiling.rows_per_task, self.tiling.rows
        chunks = [min(task_rows, rows), rows % task_rows]
        whole = [block] if chunks[0] >= block else []
        return list(dict.fromkeys([*whole, *(chunk % block for chunk in chunks if chunk % block)]))

    def _pack(self, indent: int, columns: int) -> None:
        """Fill `packed` with the panel's rows, contiguous and `packed_stride` apart."""
        contraction, right, stride = self.contraction, self.contraction.right, self.packed_stride
        if self.tiling.packing == "transpose":
            lanes = self.tiling.lanes
            while lanes > contraction.depth:
                lanes //= 2
            name = self.use(transpose_microkernel(contraction.dtype, columns, lanes))
            panel = f"right_panel, {right.column_stride}, {right.row_stride}"
            unread = "right_panel, 0"
            self.add(indent, f"{name}({contraction.depth}, {panel}, {unread}, packed, {stride})")
            return
        element = _index(("k", right.row_stride), ("q", right.column_stride))
        self.add(indent, f"for k in range({contraction.depth}):")
        self.add(indent + 1, f"for q in range({columns}):")
        self.add(indent + 2, f"packed[k * {stride} + q] = right_panel[{element}]")

    def _call(self, rows: int, columns: int) -> str:
        """The call that computes `rows` x `columns` results into `tile`."""
        contraction, tiling = self.contraction, self.tiling
        left, right = contraction.left, contraction.right
        make = microkernel if tiling.form == "outer" else inner_microkernel
        name = self.use(make(contraction.dtype, rows, columns, tiling.lanes))
        right_stride = right.row_stride if tiling.form == "outer" else right.column_stride
        panel = f"right_panel, {right_stride}"
        if tiling.packing != "none":
            panel = f"packed, {self.packed_stride}"
        block = f"left_block, {left.row_stride}, {left.column_stride}"
        return f"{name}({contraction.depth}, {block}, {panel}, tile, {self.tile_stride})"

    def _finish(self, indent: int, rows: str, columns: int) -> None:
        """Run the epilogue over the finished tile."""
        row, column = ("j", "i") if self.tiling.swapped else ("i", "j")
        self.add(indent, f"for r in range({rows}):")
        self.add(indent + 1, f"{row} = row_start + r")
        self._begin_block(indent + 1)
        self.add(indent + 1, f"for q in range({columns}):")
        self.add(indent + 2, f"{column} = column_start + q")
        self.add(indent + 2, f"acc = tile[{_index(('r', self.tile_stride), ('q', 1))}]")
        lines = self.epilogue(batch_indices=self.batch_indices, row="i", column="j", value="acc")
        self.add(indent + 2, *lines)
        self._end_block(indent + 1, columns)

    def _begin_block(self, indent: int) -> None:
        """Before a row of the tile: where it is added to, neutral elements for a block's first."""
        if self.contraction.block is None or self.reductions is None:
            return
        self.add(indent, f"chain = i % {CHAINS} * {self.tile_stride}")
        self.add(indent, f"if i % {self.contraction.block} == 0:")
        self.add(indent + 1, f"for q in range({CHAINS * self.tile_stride}):")
        self.add(indent + 2, *self.reductions.begun(element="q"))

    def _end_block(self, indent: int, columns: int) -> None:
        """After a row of the tile: the results of its block, if it is the last."""
        block = self.contraction.block
        if block is None or self.reductions is None:
            return
        elements = [_index(("q", 1), offset=part * self.tile_stride) for part in range(CHAINS)]
        lines = self.reductions.ended(
            batch_indices=self.batch_indices,
            block="block",
            column="j",
            elements=tuple(elements),
        )
        self.add(indent, f"if i % {block} == {block - 1}:")
        self.add(indent + 1, f"block = i // {block}")
        self.add(indent + 1, f"for q in range({columns}):")
        self.add(indent + 2, "j = column_start + q", *lines)
