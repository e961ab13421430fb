"""Source text of contractions: tasks, packed panels and tiles around a microkernel.

The result is computed tile by tile: a microkernel leaves a finished block in a small array on the
stack, and the caller's epilogue runs over it while it is in cache. Operands come as strides, so
transposes and broadcasts cost no copy by themselves. No element of the result is summed by two of
the tasks that threads share, and each along the depth in order: the bits of a result do not
depend on the number of threads, though how small products are cut by rows does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
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
from graphc.kernels.tiling import Contraction, MatrixAccess, Tiling, left_as_read, oriented


class Epilogue(Protocol):
    """Source lines that use the finished scalar `value`; they stand in the innermost loop.

    Nothing that they store may be read by the contraction: other tiles still need it.
    """

    def __call__(
        self, *, batch_indices: tuple[str, ...], row: str, column: str, value: str
    ) -> list[str]: ...


@dataclass(frozen=True)
class Prologue:
    """Source lines that compute an element of an operand, and the expression that is then it.

    They use the batch indices b0, b1, ...; `k` along the depth; and `i` along the result's rows
    for the first operand, `j` along its columns for the second.
    """

    lines: tuple[str, ...]
    value: str


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
    prologues: tuple[Prologue | None, Prologue | None] = (None, None),
) -> ContractionSource:
    """Source of a kernel's body, indented by four: every task of this thread, tile by tile.

    The lines use `thread`, `threads`, the operands' buffers and, where a panel is packed, a buffer
    `scratch` with `scratch` elements for every thread. They return nothing. A result without
    elements has no lines. `prologues`: of the first and the second operand, where it is computed.
    """
    if contraction.rows == 0 or contraction.columns == 0 or 0 in contraction.batch:
        return ContractionSource((), (), 0, splits=False)
    for access, prologue in zip((contraction.left, contraction.right), prologues, strict=True):
        if access.is_computed != (prologue is not None):
            raise ValueError(f"operand {access.buffer!r}: computed, but no prologue, or none to be")
    left, right = prologues[::-1] if tiling.swapped else prologues
    return _Writer(oriented(contraction, tiling), tiling, epilogue, left, right).source()


@dataclass
class _Scratch:
    """A thread's part of `scratch`: where each array starts, and the elements of all."""

    starts: dict[str, int] = field(default_factory=dict)
    size: int = 0

    def reserve(self, name: str, size: int) -> None:
        self.starts[name] = self.size
        self.size += size


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
        left: Prologue | None,
        right: Prologue | None,
    ) -> None:
        self.contraction = contraction
        self.tiling = tiling
        self.epilogue = epilogue
        self.left = left
        self.right = right
        self.row, self.column = ("j", "i") if tiling.swapped else ("i", "j")
        self.batch_indices = tuple(f"b{axis}" for axis in range(len(contraction.batch)))
        self.lines: list[str] = []
        self.microkernels: dict[str, Microkernel] = {}
        self.tile_stride = (
            padded_columns(contraction.dtype, tiling.columns, tiling.lanes)
            if tiling.form == "outer"
            else tiling.columns
        )
        self.packed_stride = ceil(tiling.columns / tiling.lanes) * tiling.lanes
        self.panel_size = contraction.depth * self.packed_stride
        self.panels = ceil(contraction.columns / tiling.columns)

    def add(self, depth: int, *lines: str) -> None:
        self.lines.extend("    " * depth + line for line in lines)

    def use(self, kernel: Microkernel) -> str:
        self.microkernels[kernel.name] = kernel
        return kernel.name

    def source(self) -> ContractionSource:
        contraction, tiling = self.contraction, self.tiling
        chunks = ceil(contraction.rows / tiling.rows_per_task)
        panels = self.panels if not tiling.left_first else 1
        tasks = chunks * panels * prod(contraction.batch)
        self.add(1, f"tile = stack({contraction.dtype}, {tiling.rows * self.tile_stride})")
        scratch = self._scratch()
        for name, start in scratch.starts.items():
            index = _index(("thread", scratch.size), offset=start)
            self.add(1, f"{name} = advance(scratch, {index})")
        if tiling.by_rows:
            self.add(1, f"for row_chunk in range({share_limits(THREAD_SHARE, chunks)}):")
        else:
            own_tasks = f"thread, {tasks}, threads" if tasks > 1 else "1"
            self.add(1, f"for task in range({own_tasks}):")
            self._task_indices(chunks, panels)
        if tiling.left_first:
            self._task_of_all_panels(2)
        elif tiling.by_rows:
            self.add(2, f"for column_panel in range({panels}):")
            self._each_width(3, self._panel)
        else:
            self._each_width(2, self._panel)
        microkernels = tuple(self.microkernels.values())
        return ContractionSource(tuple(self.lines), microkernels, scratch.size, tasks > 1)

    def _scratch(self) -> _Scratch:
        """What a thread packs and computes operands into."""
        depth, tiling = self.contraction.depth, self.tiling
        scratch = _Scratch()
        if tiling.packing != "none":
            scratch.reserve("packed", self.panel_size * (self.panels if tiling.left_first else 1))
        if self.right is not None and tiling.packing == "transpose":
            scratch.reserve("right_values", depth * tiling.columns)
        if self.left is not None:
            scratch.reserve("left_values", depth * tiling.left_rows)
        return scratch

    def _task_of_all_panels(self, indent: int) -> None:
        """The rows of a chunk, block by block, each against all panels of columns."""
        packs = self.tiling.packing != "none"
        if packs:
            self.add(indent, f"for column_panel in range({self.panels}):")
            self._each_width(indent + 1, self._pack)
        inside, start, end = self._row_loop(indent)
        self.add(inside, f"for column_panel in range({self.panels}):")

        def tiles(indent: int, columns: int) -> None:
            self._tiles(indent, columns, start, end)

        self._each_width(inside + 1, tiles, is_packed=packs)

    def _panel(self, indent: int, columns: int) -> None:
        """All blocks of rows of a task against one panel of `columns` columns."""
        if self.tiling.packing != "none":
            self._pack(indent, columns)
        inside, start, end = self._row_loop(indent)
        self._tiles(inside, columns, start, end)

    def _each_width(
        self, indent: int, write: Callable[[int, int], None], is_packed: bool = False
    ) -> None:
        """What is done with a panel of so many columns; the last one may be narrower."""
        contraction, tiling, right = self.contraction, self.tiling, self.contraction.right
        self.add(indent, f"column_start = {_index(('column_panel', tiling.columns))}")
        if is_packed:
            start = _index(("column_panel", self.panel_size))
            self.add(indent, f"packed_panel = {_advanced('packed', start)}")
        elif self.right is None:
            terms = [*self._batch_terms(right), ("column_start", right.column_stride)]
            start = _index(*terms, offset=right.offset)
            self.add(indent, f"right_panel = {_advanced(right.buffer, start)}")
        full, rest = divmod(contraction.columns, tiling.columns)
        if full and rest:
            self.add(indent, f"if column_panel < {full}:")
            write(indent + 1, tiling.columns)
            self.add(indent, "else:")
            write(indent + 1, rest)
        else:
            write(indent, tiling.columns if full else rest)

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

    def _row_loop(self, indent: int) -> tuple[int, str, str]:
        """The rows of a task, in blocks where left is computed: (indentation, first row, end)."""
        rows, task_rows = self.contraction.rows, self.tiling.rows_per_task
        start, end = "0", str(rows)
        if task_rows < rows:
            start, end = f"row_chunk * {task_rows}", "row_end"
            last = f"row_end = row_chunk * {task_rows} + {task_rows}"
            if rows % task_rows:
                last += f" if row_chunk < {rows // task_rows} else {rows}"
            self.add(indent, last)
        if self.left is None:
            return indent, start, end
        self._compute_left(indent, self.left, start, end)
        return indent + 1, "block_start", "block_end"

    def _tiles(self, indent: int, columns: int, start: str, end: str) -> None:
        """Every tile of these rows against one panel of `columns` columns."""
        block = self.tiling.rows
        self.add(indent, f"for row_start in range({start}, {end}, {block}):")
        self.add(indent + 1, self._left_block())
        sizes = self._block_sizes()
        if len(sizes) == 1:
            self.add(indent + 1, self._call(sizes[0], columns))
            self._finish(indent + 1, str(sizes[0]), columns)
            return
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

    def _left_block(self) -> str:
        """The line that finds the rows of left from `row_start` on."""
        left = self.contraction.left
        if self.left is None:
            terms = [*self._batch_terms(left), ("row_start", left.row_stride)]
            return f"left_block = {_advanced(left.buffer, _index(*terms, offset=left.offset))}"
        row_stride = left_as_read(self.contraction, self.tiling).row_stride
        index = _index(("(row_start - block_start)", row_stride))
        return f"left_block = {_advanced('left_values', index)}"

    def _compute_left(self, indent: int, prologue: Prologue, start: str, end: str) -> None:
        """The loop over blocks of rows of a task, with a block of left computed in each."""
        contraction, rows = self.contraction, self.tiling.left_rows
        values = left_as_read(contraction, self.tiling)
        self.add(indent, f"for block_start in range({start}, {end}, {rows}):")
        clipped = f"block_start + {rows} if block_start <= {end} - {rows} else {end}"
        self.add(indent + 1, f"block_end = {clipped}")
        loops = [("r", "block_end - block_start"), ("k", str(contraction.depth))]
        if values.row_stride == 1:
            loops.reverse()
        for depth, (variable, extent) in enumerate(loops, 1):
            self.add(indent + depth, f"for {variable} in range({extent}):")
        self.add(indent + 3, f"{self.row} = block_start + r", *prologue.lines)
        target = _index(("r", values.row_stride), ("k", values.column_stride))
        self.add(indent + 3, f"left_values[{target}] = {prologue.value}")

    def _block_sizes(self) -> list[int]:
        """The numbers of rows that a tile may have: whole ones first, then what ends a chunk."""
        # A block of a computed left operand is whole tiles, so that only a chunk's last is less.
        rows, task_rows, block = self.contraction.rows, self.tiling.rows_per_task, self.tiling.rows
        chunks = [min(task_rows, rows), rows % task_rows]
        whole = [block] if chunks[0] >= block else []
        return list(dict.fromkeys([*whole, *(chunk % block for chunk in chunks if chunk % block)]))

    def _pack(self, indent: int, columns: int) -> None:
        """Fill `packed` with the panel's rows, contiguous and `packed_stride` apart."""
        contraction, right, stride = self.contraction, self.contraction.right, self.packed_stride
        packed = "packed"
        if self.tiling.left_first:
            packed = "packed_panel"
            start = _index(("column_panel", self.panel_size))
            self.add(indent, f"packed_panel = {_advanced('packed', start)}")
        if self.tiling.packing == "transpose":
            panel, column_stride = "right_panel", right.column_stride
            if self.right is not None:
                panel, column_stride = "right_values", contraction.depth
                target = f"right_values[q * {column_stride} + k]"
                self._compute_right(indent, self.right, columns, target)
            lanes = self.tiling.lanes
            while lanes > contraction.depth:
                lanes //= 2
            name = self.use(transpose_microkernel(contraction.dtype, columns, lanes))
            panels = f"{panel}, {column_stride}, {right.row_stride}, {panel}, 0"
            self.add(indent, f"{name}({contraction.depth}, {panels}, {packed}, {stride})")
            return
        target = f"{packed}[k * {stride} + q]"
        if self.right is not None:
            self._compute_right(indent, self.right, columns, target)
            return
        element = _index(("k", right.row_stride), ("q", right.column_stride))
        self.add(indent, f"for k in range({contraction.depth}):")
        self.add(indent + 1, f"for q in range({columns}):")
        self.add(indent + 2, f"{target} = right_panel[{element}]")

    def _compute_right(self, indent: int, prologue: Prologue, columns: int, target: str) -> None:
        """Compute a panel of the right operand into `target`, whose columns `k` or `q` counts."""
        loops = [("k", self.contraction.depth), ("q", columns)]
        if self.tiling.packing == "transpose":
            loops.reverse()
        for depth, (variable, extent) in enumerate(loops):
            self.add(indent + depth, f"for {variable} in range({extent}):")
        self.add(indent + 2, f"{self.column} = column_start + q", *prologue.lines)
        self.add(indent + 2, f"{target} = {prologue.value}")

    def _call(self, rows: int, columns: int) -> str:
        """The call that computes `rows` x `columns` results into `tile`."""
        contraction, tiling = self.contraction, self.tiling
        left, right = left_as_read(contraction, tiling), contraction.right
        make = microkernel if tiling.form == "outer" else inner_microkernel
        name = self.use(make(contraction.dtype, rows, columns, tiling.lanes))
        right_stride = right.row_stride if tiling.form == "outer" else right.column_stride
        panel = f"right_panel, {right_stride}"
        if tiling.packing != "none":
            panel = "packed_panel" if tiling.left_first else "packed"
            panel = f"{panel}, {self.packed_stride}"
        block = f"left_block, {left.row_stride}, {left.column_stride}"
        return f"{name}({contraction.depth}, {block}, {panel}, tile, {self.tile_stride})"

    def _finish(self, indent: int, rows: str, columns: int) -> None:
        """Run the epilogue over the finished tile."""
        self.add(indent, f"for r in range({rows}):")
        self.add(indent + 1, f"{self.row} = row_start + r")
        self.add(indent + 1, f"for q in range({columns}):")
        self.add(indent + 2, f"{self.column} = column_start + q")
        self.add(indent + 2, f"acc = tile[{_index(('r', self.tile_stride), ('q', 1))}]")
        lines = self.epilogue(batch_indices=self.batch_indices, row="i", column="j", value="acc")
        self.add(indent + 2, *lines)
