"""Source text of contractions: tasks, packed panels and tiles around a microkernel.

The result is computed tile by tile: a microkernel leaves a finished block in a small array on the
stack, and the caller's epilogue runs over it while it is in cache. Operands come as strides, so
transposes and broadcasts cost no copy by themselves. No element of the result is summed by two of
the tasks that threads share, and each along the depth in order: the bits of a result do not
depend on the number of threads, though how small products are cut by rows does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Protocol

from graphc.kernels.contraction import (
    Contraction,
    MatrixAccess,
    Tiling,
    column_parts,
    oriented,
    parts_of,
)
from graphc.kernels.microkernel import (
    Microkernel,
    inner_microkernel,
    microkernel,
    padded_columns,
    transpose_microkernel,
)
from graphc.kernels.source import THREAD_SHARE, share_limits


class Epilogue(Protocol):
    """Source lines that use the finished scalar `value`; they stand in the innermost loop.

    Nothing that they store may be read by the contraction: other tiles still need it.
    """

    def __call__(
        self, *, batch_indices: tuple[str, ...], row: str, column: str, value: str
    ) -> list[str]: ...


@dataclass(frozen=True)
class ContractionSource:
    """Lines of a kernel's body, what they call, the `scratch` elements that a thread needs, and
    whether there are tasks to share."""

    lines: tuple[str, ...]
    microkernels: tuple[Microkernel, ...]
    scratch: int
    splits: bool


def contraction_lines(
    contraction: Contraction, tiling: Tiling, epilogue: Epilogue
) -> ContractionSource:
    """Source of a kernel's body, indented by four: every task of this thread, tile by tile.

    The lines use `thread`, `threads`, the operands' buffers and, where a panel is packed, a buffer
    `scratch` with `scratch` elements for every thread. They return nothing. A result without
    elements has no lines.
    """
    if contraction.rows == 0 or contraction.columns == 0 or 0 in contraction.batch:
        return ContractionSource((), (), 0, splits=False)
    parts = column_parts(contraction, tiling)
    tilings = (tiling,) if tiling.rest is None else (tiling, tiling.rest)
    first_columns = (0, parts[0].columns)
    writers = [
        _Writer(oriented(part, each), each, epilogue, first)
        for part, each, first in zip(parts, tilings, first_columns, strict=False)
    ]
    return _joined(writers)


def _joined(writers: Sequence[_Writer]) -> ContractionSource:
    """Parts of the columns one behind the other, with the same memory for tiles and panels."""
    splits = any(writer.tasks > 1 for writer in writers)
    scratch = max(writer.scratch for writer in writers)
    tile = max(writer.tile_elements for writer in writers)
    lines = [f"    tile = stack({writers[0].contraction.dtype}, {tile})"]
    if scratch:
        lines.append(f"    packed = advance(scratch, thread * {scratch})")
    microkernels: dict[str, Microkernel] = {}
    for writer in writers:
        if writer.first_column:
            lines.append(f"    # columns from {writer.first_column} on")
        lines += writer.write(splits)
        microkernels |= writer.microkernels
    return ContractionSource(tuple(lines), tuple(microkernels.values()), scratch, splits)


def _index(*terms: tuple[str, int], offset: int = 0) -> str:
    """Source of offset + sum of name * stride, without what is zero."""
    parts = [name if stride == 1 else f"{name} * {stride}" for name, stride in terms if stride != 0]
    if offset or not parts:
        parts.append(str(offset))
    return " + ".join(parts)


def _advanced(buffer: str, index: str) -> str:
    return buffer if index == "0" else f"advance({buffer}, {index})"


class _Writer:
    """Writes the body of a contraction, or of a part of its columns from `first_column` on.

    Operands are in the order of the tiling. tasks: what threads may share. scratch: elements of
    packed panels that a thread needs.
    """

    def __init__(
        self, contraction: Contraction, tiling: Tiling, epilogue: Epilogue, first_column: int
    ) -> None:
        self.contraction = contraction
        self.tiling = tiling
        self.epilogue = epilogue
        self.first_column = first_column
        # A variable has one type, which says what buffer it points into.
        prefix = "rest_" if first_column else ""
        self.left_block, self.right_panel = f"{prefix}left_block", f"{prefix}right_panel"
        self.batch_indices = tuple(f"b{axis}" for axis in range(len(contraction.batch)))
        self.lines: list[str] = []
        self.microkernels: dict[str, Microkernel] = {}
        # Of a product that is computed transposed and cut by its rows, each chunk has panels.
        self.cuts_panels = tiling.by_rows and tiling.swapped
        cut = contraction.columns if self.cuts_panels else contraction.rows
        self.chunks = ceil(cut / tiling.rows_per_task)
        panelled = min(cut, tiling.rows_per_task) if self.cuts_panels else contraction.columns
        self.task_rows = contraction.rows if self.cuts_panels else tiling.rows_per_task
        self.panels = ceil(panelled / tiling.columns)
        self.tasks = self.chunks * self.panels * prod(contraction.batch)
        if tiling.form == "outer":
            self.tile_stride = padded_columns(contraction.dtype, tiling.columns, tiling.lanes)
            self.packed_stride = ceil(tiling.columns / tiling.lanes) * tiling.lanes
            panel = contraction.depth * self.packed_stride
        else:
            self.tile_stride = tiling.columns
            self.packed_stride = ceil(contraction.depth / tiling.lanes) * tiling.lanes
            panel = tiling.columns * self.packed_stride
        self.tile_elements = tiling.rows * self.tile_stride
        self.scratch = panel if tiling.packing != "none" else 0

    def add(self, depth: int, *lines: str) -> None:
        self.lines.extend("    " * depth + line for line in lines)

    def use(self, kernel: Microkernel) -> str:
        self.microkernels[kernel.name] = kernel
        return kernel.name

    def write(self, splits: bool) -> list[str]:
        """The lines; `splits` says whether several threads may come here."""
        if self.tiling.by_rows:
            self.add(1, f"for row_chunk in range({share_limits(THREAD_SHARE, self.chunks)}):")
            self.add(2, f"for column_panel in range({self.panels}):")
            self._column_panel(3)
        else:
            own_tasks = f"thread, {self.tasks}, threads" if splits else "1"
            self.add(1, f"for task in range({own_tasks}):")
            self._task_indices()
            self._column_panel(2)
        return self.lines

    def _column_panel(self, indent: int) -> None:
        """A panel of columns, for the rows of a chunk; the last one may be narrower."""
        contraction, tiling, right = self.contraction, self.tiling, self.contraction.right
        terms = [("column_panel", tiling.columns)]
        if self.cuts_panels:
            terms.insert(0, ("row_chunk", tiling.rows_per_task))
        self.add(indent, f"column_start = {_index(*terms)}")
        starts = [*self._batch_terms(right), ("column_start", right.column_stride)]
        start = _index(*starts, offset=right.offset)
        self.add(indent, f"{self.right_panel} = {_advanced(right.buffer, start)}")
        if self.cuts_panels:
            self._panel_of_chunk(indent)
            return
        full, rest = divmod(contraction.columns, tiling.columns)
        if full and rest:
            self.add(indent, f"if column_panel < {full}:")
            self._panel(indent + 1, tiling.columns)
            self.add(indent, "else:")
            self._panel(indent + 1, rest)
        else:
            self._panel(indent, tiling.columns if full else rest)

    def _panel_of_chunk(self, indent: int) -> None:
        """A panel that ends where its chunk does; the last chunk may have fewer of them."""
        columns, chunk = self.contraction.columns, self.tiling.rows_per_task
        last = columns % chunk
        widths = [min(chunk, columns), *([last] if last else [])]
        sizes = [size for width in widths for size, _ in parts_of(width, self.tiling.columns)]
        end = f"row_chunk * {chunk} + {chunk}"
        if last:
            end += f" if row_chunk < {columns // chunk} else {columns}"
        self.add(indent, f"row_end = {end}")
        width = self.tiling.columns
        fits = f"column_start <= row_end - {width}"
        self.add(indent, f"panel_columns = {width} if {fits} else row_end - column_start")
        for number, size in enumerate(dict.fromkeys(sizes)):
            self.add(indent, f"{'elif' if number else 'if'} panel_columns == {size}:")
            self._panel(indent + 1, size)

    def _task_indices(self) -> None:
        """Which chunk of rows, panel of columns and matrix of the batch a task is."""
        named = [("row_chunk", self.chunks), ("column_panel", self.panels)]
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
        rows, task_rows, block = contraction.rows, self.task_rows, tiling.rows
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
        self.add(indent + 1, f"{self.left_block} = {_advanced(left.buffer, start)}")
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
        rows, task_rows, block = self.contraction.rows, self.task_rows, self.tiling.rows
        chunks = [min(task_rows, rows), rows % task_rows]
        whole = [block] if chunks[0] >= block else []
        return list(dict.fromkeys([*whole, *(chunk % block for chunk in chunks if chunk % block)]))

    def _pack(self, indent: int, columns: int) -> None:
        """Fill `packed` with the panel's rows, or columns for the inner form, contiguous and
        `packed_stride` apart."""
        contraction, right, stride = self.contraction, self.contraction.right, self.packed_stride
        if self.tiling.packing == "transpose":
            lanes = self.tiling.lanes
            while lanes > contraction.depth:
                lanes //= 2
            name = self.use(transpose_microkernel(contraction.dtype, columns, lanes))
            panel = f"{self.right_panel}, {right.column_stride}, {right.row_stride}"
            unread = f"{self.right_panel}, 0"
            self.add(indent, f"{name}({contraction.depth}, {panel}, {unread}, packed, {stride})")
            return
        element = _index(("k", right.row_stride), ("q", right.column_stride))
        if self.tiling.form == "inner":
            self.add(indent, f"for q in range({columns}):")
            self.add(indent + 1, f"for k in range({contraction.depth}):")
            self.add(indent + 2, f"packed[q * {stride} + k] = {self.right_panel}[{element}]")
            return
        self.add(indent, f"for k in range({contraction.depth}):")
        self.add(indent + 1, f"for q in range({columns}):")
        self.add(indent + 2, f"packed[k * {stride} + q] = {self.right_panel}[{element}]")

    def _call(self, rows: int, columns: int) -> str:
        """The call that computes `rows` x `columns` results into `tile`."""
        contraction, tiling = self.contraction, self.tiling
        left, right = contraction.left, contraction.right
        make = microkernel if tiling.form == "outer" else inner_microkernel
        name = self.use(make(contraction.dtype, rows, columns, tiling.lanes))
        right_stride = right.row_stride if tiling.form == "outer" else right.column_stride
        panel = f"{self.right_panel}, {right_stride}"
        if tiling.packing != "none":
            panel = f"packed, {self.packed_stride}"
        block = f"{self.left_block}, {left.row_stride}, {left.column_stride}"
        return f"{name}({contraction.depth}, {block}, {panel}, tile, {self.tile_stride})"

    def _finish(self, indent: int, rows: str, columns: int) -> None:
        """Run the epilogue over the finished tile."""
        row, column = ("j", "i") if self.tiling.swapped else ("i", "j")
        first = {"i": 0, "j": self.first_column}
        self.add(indent, f"for r in range({rows}):")
        element = _index(("row_start", 1), ("r", 1), offset=first[row])
        self.add(indent + 1, f"{row} = {element}")
        self.add(indent + 1, f"for q in range({columns}):")
        element = _index(("column_start", 1), ("q", 1), offset=first[column])
        self.add(indent + 2, f"{column} = {element}")
        self.add(indent + 2, f"acc = tile[{_index(('r', self.tile_stride), ('q', 1))}]")
        lines = self.epilogue(batch_indices=self.batch_indices, row="i", column="j", value="acc")
        self.add(indent + 2, *lines)
