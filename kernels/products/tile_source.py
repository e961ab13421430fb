"""Source text of contractions: tasks, packed panels and tiles around a microkernel.

The result is computed tile by tile: a microkernel leaves a finished block in a small array on the
stack, and the caller's epilogue runs over it while it is in cache. Operands come as strides, so
transposes and broadcasts cost no copy by themselves. No element of the result is summed by two of
the tasks that threads share, and each along the depth in order: the bits of a result do not
depend on the number of threads, though how small products are cut by rows does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, prod

from graphc.kernels.loops.language.source import THREAD_SHARE, Microkernel, flat_index, share_limits
from graphc.kernels.machine import MACHINE
from graphc.kernels.products.contraction import (
    Contraction,
    Tiling,
    column_parts,
    oriented,
    parts_of,
)
from graphc.kernels.products.inner_microkernel import inner_microkernel
from graphc.kernels.products.microkernel import ITEM_BYTES, microkernel, padded_columns
from graphc.kernels.products.operand_blocks import (
    OperandBlocks,
    Prologue,
    rows_of_tile,
    tile_calls,
)
from graphc.kernels.products.tile_epilogue import (
    CHAINS,
    Epilogue,
    FarOperands,
    RowReductions,
    WholeRows,
)
from graphc.kernels.products.tile_sums import DEPTH_START, DEPTH_STEPS, TILE_BLOCKS, tile_sums
from graphc.kernels.products.window_microkernel import window_microkernel


@dataclass(frozen=True)
class ContractionSource:
    """Lines of a kernel's body, what they call, the `scratch` elements that a thread needs, whether
    there are tasks to share, and first element and length of each array in a thread's scratch."""

    lines: tuple[str, ...]
    microkernels: tuple[Microkernel, ...]
    scratch: int
    splits: bool
    arrays: tuple[tuple[int, int], ...] = ()


def contraction_lines(
    contraction: Contraction,
    tiling: Tiling,
    epilogue: Epilogue | WholeRows,
    prologues: tuple[Prologue | None, Prologue | None] = (None, None),
    reductions: RowReductions | None = None,
    far_operands: FarOperands | None = None,
) -> ContractionSource:
    """Source of a kernel's body, indented by four: every task of this thread, tile by tile.

    The lines use `thread`, `threads`, the operands' buffers and, where a panel is packed, a buffer
    `scratch` with `scratch` elements for every thread. They return nothing. A result without
    elements has no lines. `prologues`: of the first and the second operand, where it is computed.
    `reductions`: where the contraction has blocks of rows; the epilogue adds to their element
    `chain + q`. `epilogue`: of whole rows where the contraction says so. `far_operands`: of an
    epilogue of tiles; their cache lines are asked for before a tile's product is computed.
    """
    if contraction.rows == 0 or contraction.columns == 0 or 0 in contraction.batch:
        return ContractionSource((), (), 0, splits=False)
    for access, prologue in zip((contraction.left, contraction.right), prologues, strict=True):
        if access.is_computed != (prologue is not None):
            raise ValueError(f"operand {access.buffer!r}: computed, but no prologue, or none to be")
    if (contraction.block is None) != (reductions is None):
        raise ValueError("blocks of rows, but nothing that is reduced over them, or none to be")
    if contraction.whole_rows != isinstance(epilogue, WholeRows):
        raise ValueError("an epilogue of whole rows, but no tiles of all columns, or none")
    if tiling.rest is not None and contraction.is_computed:
        raise ValueError("columns apart of a product that computes an operand")
    parts = column_parts(contraction, tiling)
    tilings = (tiling,) if tiling.rest is None else (tiling, tiling.rest)
    first_columns = (0, parts[0].columns)
    writers = [
        _Writer(oriented(part, each), each, epilogue, prologues, reductions, far_operands, first)
        for part, each, first in zip(parts, tilings, first_columns, strict=False)
    ]
    return _joined(writers, reductions)


def _joined(writers: Sequence[_Writer], reductions: RowReductions | None) -> ContractionSource:
    """Parts of the columns one behind the other, with the same memory for tiles and panels."""
    splits = any(writer.tasks > 1 for writer in writers)
    tile = max(writer.tile_elements for writer in writers)
    lines = [f"    tile = stack({writers[0].contraction.dtype}, {tile})"]
    blocks = [writer.sums.stack_elements for writer in writers if writer.sums is not None]
    if blocks:
        lines.append(f"    {TILE_BLOCKS} = stack({writers[0].contraction.dtype}, {max(blocks)})")
    if reductions is not None:
        width = max(writer.tile_stride for writer in writers)
        lines += [f"    {line}" for line in reductions.declared(CHAINS * width)]
    arrays: dict[str, int] = {}
    for writer in writers:
        for name, size in writer.operands.scratch().items():
            arrays[name] = max(size, arrays.get(name, 0))
    scratch, ends = sum(arrays.values()), accumulate(arrays.values())
    placed = tuple((end - size, size) for end, size in zip(ends, arrays.values(), strict=True))
    for name, (start, _) in zip(arrays, placed, strict=True):
        index = flat_index((THREAD_SHARE[0], scratch), offset=start)
        lines.append(f"    {name} = advance(scratch, {index})")
    microkernels: dict[str, Microkernel] = {}
    for writer in writers:
        if writer.first_column:
            lines.append(f"    # columns from {writer.first_column} on")
        lines += writer.write(splits)
        microkernels |= writer.operands.microkernels | writer.microkernels
    return ContractionSource(tuple(lines), tuple(microkernels.values()), scratch, splits, placed)


class _Writer:
    """Writes the body of a contraction, or of a part of its columns from `first_column` on.

    Operands are in the order of the tiling, prologues in that of the product. tasks: what threads
    may share.
    """

    def __init__(
        self,
        contraction: Contraction,
        tiling: Tiling,
        epilogue: Epilogue | WholeRows,
        prologues: tuple[Prologue | None, Prologue | None],
        reductions: RowReductions | None,
        far_operands: FarOperands | None,
        first_column: int,
    ) -> None:
        self.contraction = contraction
        self.tiling = tiling
        self.epilogue = epilogue
        self.reductions = reductions
        # Of a tile that is computed transposed, elements that follow each other stand apart.
        self.far_operands = None if tiling.swapped else far_operands
        self.first_column = first_column
        left, right = prologues[::-1] if tiling.swapped else prologues
        # A variable has one type, which says what buffer it points into.
        prefix = "rest_" if first_column else ""
        self.operands = OperandBlocks(contraction, tiling, left, right, prefix)
        self.lines: list[str] = []
        self.microkernels: dict[str, Microkernel] = {}
        # Of a product that is computed transposed and cut by its rows, each chunk has panels.
        self.cuts_panels = tiling.by_rows and tiling.swapped
        cut = contraction.columns if self.cuts_panels else contraction.rows
        self.chunks = ceil(cut / tiling.rows_per_task)
        panelled = min(cut, tiling.rows_per_task) if self.cuts_panels else contraction.columns
        self.task_rows = contraction.rows if self.cuts_panels else tiling.rows_per_task
        self.panels = ceil(panelled / tiling.columns)
        self.panel_tasks = 1 if tiling.left_first or tiling.left_copied else self.panels
        self.tasks = self.chunks * self.panel_tasks * prod(contraction.batch)
        self.tile_stride = tiling.columns
        if tiling.form == "outer":
            self.tile_stride = padded_columns(contraction.dtype, tiling.columns, tiling.lanes)
        self.tile_elements = tiling.rows * self.tile_stride
        self.sums = tile_sums(contraction, tiling, self.tile_elements)
        # Of an epilogue of whole rows: how many there are at once, and their lines.
        self.whole_rows = 0
        self.whole_row_lines: list[str] = []
        if isinstance(epilogue, WholeRows):
            task_rows, lanes = min(self.task_rows, contraction.rows), tiling.lanes
            self.whole_rows = epilogue.rows_at_once(tiling.rows, task_rows, lanes)
            self.tile_elements = ceil(self.whole_rows / lanes) * lanes * self.tile_stride

    def add(self, depth: int, *lines: str) -> None:
        self.lines.extend("    " * depth + line for line in lines)

    def write(self, splits: bool) -> list[str]:
        """The lines; `splits` says whether several threads may come here."""
        if isinstance(self.epilogue, WholeRows):
            lanes, stride = self.tiling.lanes, self.tile_stride
            before, self.whole_row_lines = self.epilogue.lines(self.whole_rows, lanes, stride)
            self.add(1, *before)
            self.microkernels |= self.epilogue.microkernels
        self.add(1, *self.operands.declare_places())
        if self.tiling.by_rows:
            self.add(1, f"for row_chunk in range({share_limits(THREAD_SHARE, self.chunks)}):")
        else:
            own_tasks = share_limits(THREAD_SHARE, self.tasks) if splits else "1"
            self.add(1, f"for task in range({own_tasks}):")
            self._task_indices()
        if self.tiling.left_first:
            self._task_of_all_panels(2)
        elif self.tiling.by_rows or self.tiling.left_copied:
            if self.tiling.left_copied:
                start, end = self._task_limits(2)
                self.add(2, *self.operands.copy_left(start, end, self._block_sizes()))
            self.add(2, f"for column_panel in range({self.panels}):")
            self._each_width(3, self._panel)
        else:
            self._each_width(2, self._panel)
        return self.lines

    def _task_of_all_panels(self, indent: int) -> None:
        """The rows of a chunk, block by block, each against all panels of columns."""
        if self.operands.packs:
            self.add(indent, f"for column_panel in range({self.panels}):")
            self._each_width(indent + 1, self._pack)
        inside, start, end = self._row_loop(indent)
        self.add(inside, f"for column_panel in range({self.panels}):")

        def tiles(indent: int, columns: int) -> None:
            self._tiles(indent, columns, start, end)

        self._each_width(inside + 1, tiles, is_packed=self.operands.packs)

    def _each_width(
        self, indent: int, write: Callable[[int, int], None], is_packed: bool = False
    ) -> None:
        """What is done with a panel of so many columns; the last one may be narrower."""
        columns, width = self.contraction.columns, self.tiling.columns
        terms = [("column_panel", width)]
        if self.cuts_panels:
            terms.insert(0, ("row_chunk", self.tiling.rows_per_task))
        self.add(indent, f"column_start = {flat_index(*terms)}")
        operands = self.operands
        self.add(indent, *(operands.find_packed_panel() if is_packed else operands.find_panel()))
        if self.cuts_panels:
            self._each_width_of_chunk(indent, write)
            return
        full, rest = divmod(columns, width)
        if full and rest:
            self.add(indent, f"if column_panel < {full}:")
            write(indent + 1, width)
            self.add(indent, "else:")
            write(indent + 1, rest)
        else:
            write(indent, width if full else rest)

    def _each_width_of_chunk(self, indent: int, write: Callable[[int, int], None]) -> None:
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
            write(indent + 1, size)

    def _task_indices(self) -> None:
        """Which chunk of rows, panel of columns and matrix of the batch a task is."""
        named = [("row_chunk", self.chunks), ("column_panel", self.panel_tasks)]
        axes = [*zip(self.operands.batch_indices, self.contraction.batch, strict=True)]
        after = 1
        for name, extent in [*named, *reversed(axes)]:
            quotient = "task" if after == 1 else f"task // {after}"
            self.add(2, f"{name} = {quotient} % {extent}" if extent > 1 else f"{name} = 0")
            after *= extent

    def _panel(self, indent: int, columns: int) -> None:
        """All blocks of rows of a task against one panel of `columns` columns."""
        if self.operands.packs:
            self._pack(indent, columns)
        inside, start, end = self._row_loop(indent)
        self._tiles(inside, columns, start, end)

    def _pack(self, indent: int, columns: int) -> None:
        self.add(indent, *self.operands.pack(columns))

    def _task_limits(self, indent: int) -> tuple[str, str]:
        """The first row of a task, and the end of its rows."""
        rows, task_rows = self.contraction.rows, self.task_rows
        if task_rows >= rows:
            return "0", str(rows)
        last = f"row_end = row_chunk * {task_rows} + {task_rows}"
        if rows % task_rows:
            last += f" if row_chunk < {rows // task_rows} else {rows}"
        self.add(indent, last)
        return f"row_chunk * {task_rows}", "row_end"

    def _row_loop(self, indent: int) -> tuple[int, str, str]:
        """The rows of a task, in blocks where left is computed: (indentation, first row, end)."""
        start, end = self._task_limits(indent)
        if self.operands.left is None:
            return indent, start, end
        self.add(indent, *self.operands.compute_left(start, end))
        return indent + 1, "block_start", "block_end"

    def _tiles(self, indent: int, columns: int, start: str, end: str) -> None:
        """Every tile of these rows against one panel of `columns` columns."""
        if self.whole_rows and start != "block_start":
            self._blocks_of_whole_rows(indent, columns, start, end)
            return
        block = self.tiling.rows
        self.add(indent, f"for row_start in range({start}, {end}, {block}):")
        self.add(indent + 1, *self.operands.find_left_block())
        sizes = self._block_sizes()
        rows = str(sizes[0])
        if len(sizes) > 1:
            rows = "block_rows"
            self.add(indent + 1, rows_of_tile(block, end))
        calls = tile_calls(sizes, lambda size: self._call(size, columns))
        if self.sums is not None:
            start = "(row_start - block_start) * " if self.whole_rows else ""
            index = f"{start}{self.tile_stride} + e" if self.whole_rows else "e"
            calls = self.sums.lines(calls, f"{rows} * {self.tile_stride}", "tile", index)
        if self.far_operands is not None:
            self._ask_ahead(indent + 1, rows, columns, self.far_operands)
        self.add(indent + 1, *calls)
        if not self.whole_rows:
            self._finish(indent + 1, rows, columns)

    def _blocks_of_whole_rows(self, indent: int, columns: int, start: str, end: str) -> None:
        """Blocks of rows of all columns: all tiles of one, then its epilogue."""
        rows = self.whole_rows
        self.add(indent, f"for block_start in range({start}, {end}, {rows}):")
        last = f"block_start + {rows} if block_start <= {end} - {rows} else {end}"
        self.add(indent + 1, f"block_end = {last}")
        self._tiles(indent + 1, columns, "block_start", "block_end")
        self.add(indent + 1, *self.whole_row_lines)

    def _block_sizes(self) -> list[int]:
        """The numbers of rows that a tile may have: whole ones first, then what ends a chunk."""
        # A block of a computed left operand is whole tiles, so that only a chunk's last is less.
        rows, task_rows, block = self.contraction.rows, self.task_rows, self.tiling.rows
        chunks = [min(task_rows, rows), rows % task_rows]
        whole = [block] if chunks[0] >= block else []
        return list(dict.fromkeys([*whole, *(chunk % block for chunk in chunks if chunk % block)]))

    def _call(self, rows: int, columns: int) -> str:
        """The call that computes `rows` x `columns` results into `tile`, or of a block of depth."""
        tiling, operands = self.tiling, self.operands
        kernel = self._microkernel(rows, columns)
        self.microkernels[kernel.name] = kernel
        depth, start = str(operands.inner_steps), ""
        tile = "tile"
        if self.sums is not None:
            depth, start, tile = DEPTH_STEPS, DEPTH_START, self.sums.target
        elif self.whole_rows > tiling.rows:
            tile = f"advance(tile, (row_start - block_start) * {self.tile_stride})"
        read = f"{operands.left_read(start)}, {operands.panel_read(start)}"
        last = "".join(f", {each}" for each in operands.indices_read(start))
        return f"{kernel.name}({depth}, {read}, {tile}, {self.tile_stride}{last})"

    def _microkernel(self, rows: int, columns: int) -> Microkernel:
        dtype, tiling = self.contraction.dtype, self.tiling
        if self.contraction.left.is_windowed:
            outer_axes = len(self.operands.outer_depth)
            return window_microkernel(dtype, rows, columns, tiling.lanes, outer_axes)
        make = microkernel if tiling.form == "outer" else inner_microkernel
        return make(dtype, rows, columns, tiling.lanes, self.operands.indices())

    def _ask_ahead(self, indent: int, rows: str, columns: int, far_operands: FarOperands) -> None:
        """Asks for the cache lines that the epilogue will read: rows of a panel stand far apart,
        so that no processor foresees them."""
        self.add(indent, f"for r in range({rows}):")
        self._index_of(indent + 1, self.operands.row, "row_start", "r")
        line = MACHINE.line_bytes // ITEM_BYTES[self.contraction.dtype]
        for first in range(0, columns, line):
            start = flat_index(("column_start", 1), offset=self.first_column + first)
            self.add(indent + 1, f"{self.operands.column} = {start}")
            indices = self.operands.batch_indices
            for buffer, index in far_operands(batch_indices=indices, row="i", column="j"):
                self.add(indent + 1, f"prefetch({buffer}, {index})")

    def _finish(self, indent: int, rows: str, columns: int) -> None:
        """Run the epilogue over the finished tile."""
        assert not isinstance(self.epilogue, WholeRows)
        self.add(indent, f"for r in range({rows}):")
        self._index_of(indent + 1, self.operands.row, "row_start", "r")
        self._begin_block(indent + 1)
        self.add(indent + 1, f"for q in range({columns}):")
        self._index_of(indent + 2, self.operands.column, "column_start", "q")
        self.add(indent + 2, f"acc = tile[{flat_index(('r', self.tile_stride), ('q', 1))}]")
        indices = self.operands.batch_indices
        lines = self.epilogue(batch_indices=indices, row="i", column="j", value="acc")
        self.add(indent + 2, *lines)
        self._end_block(indent + 1, columns)

    def _index_of(self, indent: int, variable: str, start: str, step: str) -> None:
        """The row `i` or column `j` of the result."""
        offset = self.first_column if variable == "j" else 0
        self.add(indent, f"{variable} = {flat_index((start, 1), (step, 1), offset=offset)}")

    def _begin_block(self, indent: int) -> None:
        """Before a row of the tile: where it is added to, neutral elements for a block's first."""
        if self.reductions is None:
            return
        self.add(indent, f"chain = i % {CHAINS} * {self.tile_stride}")
        self.add(indent, f"if i % {self.contraction.block} == 0:")
        self.add(indent + 1, f"for q in range({CHAINS * self.tile_stride}):")
        self.add(indent + 2, *self.reductions.begun(element="q"))

    def _end_block(self, indent: int, columns: int) -> None:
        """After a row of the tile: the results of its block, if it is the last."""
        block = self.contraction.block
        if self.reductions is None or block is None:
            return
        parts = [flat_index(("q", 1), offset=part * self.tile_stride) for part in range(CHAINS)]
        indices = self.operands.batch_indices
        self.add(indent, f"if i % {block} == {block - 1}:")
        self.add(indent + 1, f"block = i // {block}")
        self.add(indent + 1, f"for q in range({columns}):")
        self._index_of(indent + 2, "j", "column_start", "q")
        lines = self.reductions.ended(
            batch_indices=indices, block="block", column="j", elements=tuple(parts)
        )
        self.add(indent + 2, *lines)
