"""The statements of contractions: tasks, packed panels and tiles around a microkernel.

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
from graphc.kernels.loops.language.statements import (
    Block,
    Call,
    Comment,
    Element,
    Prefetch,
    Stack,
    Statement,
    assigned,
)
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
    """Statements of a kernel's body, what they call, the `scratch` elements that a thread needs,
    whether there are tasks to share, and first element and length of each array in a thread's
    scratch."""

    statements: tuple[Statement, ...]
    microkernels: tuple[Microkernel, ...]
    scratch: int
    splits: bool
    arrays: tuple[tuple[int, int], ...] = ()


def contraction_source(
    contraction: Contraction,
    tiling: Tiling,
    epilogue: Epilogue | WholeRows,
    prologues: tuple[Prologue | None, Prologue | None] = (None, None),
    reductions: RowReductions | None = None,
    far_operands: FarOperands | None = None,
) -> ContractionSource:
    """Statements of a kernel's body: every task of this thread, tile by tile.

    They use `thread`, `threads`, the operands' buffers and, where a panel is packed, a buffer
    `scratch` with `scratch` elements for every thread. They return nothing. A result without
    elements has none. `prologues`: of the first and the second operand, where it is computed.
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
    dtype = writers[0].contraction.dtype
    whole = Block.of(Stack("tile", dtype, max(writer.tile_elements for writer in writers)))
    blocks = [writer.sums.stack_elements for writer in writers if writer.sums is not None]
    if blocks:
        whole.add(Stack(TILE_BLOCKS, dtype, max(blocks)))
    if reductions is not None:
        width = max(writer.tile_stride for writer in writers)
        whole.add(*reductions.declared(CHAINS * width))
    arrays: dict[str, int] = {}
    for writer in writers:
        for name, size in writer.operands.scratch().items():
            arrays[name] = max(size, arrays.get(name, 0))
    scratch, ends = sum(arrays.values()), accumulate(arrays.values())
    placed = tuple((end - size, size) for end, size in zip(ends, arrays.values(), strict=True))
    for name, (start, _) in zip(arrays, placed, strict=True):
        index = flat_index((THREAD_SHARE[0], scratch), offset=start)
        whole.assign(name, f"advance(scratch, {index})")
    microkernels: dict[str, Microkernel] = {}
    for writer in writers:
        if writer.first_column:
            whole.add(Comment(f"columns from {writer.first_column} on"))
        writer.write(whole, splits)
        microkernels |= writer.operands.microkernels | writer.microkernels
    calls = tuple(microkernels.values())
    return ContractionSource(whole.whole, calls, scratch, splits, placed)


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
        # Of an epilogue of whole rows: how many there are at once, and what finishes them.
        self.whole_rows = 0
        self.whole_rows_end = Block()
        if isinstance(epilogue, WholeRows):
            task_rows, lanes = min(self.task_rows, contraction.rows), tiling.lanes
            self.whole_rows = epilogue.rows_at_once(tiling.rows, task_rows, lanes)
            self.tile_elements = ceil(self.whole_rows / lanes) * lanes * self.tile_stride

    def write(self, into: Block, splits: bool) -> None:
        """Appends the body; `splits` says whether several threads may come here."""
        if isinstance(self.epilogue, WholeRows):
            lanes, stride = self.tiling.lanes, self.tile_stride
            before, self.whole_rows_end = self.epilogue.statements(self.whole_rows, lanes, stride)
            into.extend(before)
            self.microkernels |= self.epilogue.microkernels
        self.operands.declare_places(into)
        task = Block()
        if not self.tiling.by_rows:
            self._task_indices(task)
        if self.tiling.left_first:
            self._task_of_all_panels(task)
        elif self.tiling.by_rows or self.tiling.left_copied:
            if self.tiling.left_copied:
                start, end = self._task_limits(task)
                self.operands.copy_left(task, start, end, self._block_sizes())
            self._each_panel(task, self._panel)
        else:
            self._each_width(task, self._panel)
        if self.tiling.by_rows:
            into.loop("row_chunk", share_limits(THREAD_SHARE, self.chunks), task)
        else:
            into.loop("task", share_limits(THREAD_SHARE, self.tasks) if splits else 1, task)

    def _task_of_all_panels(self, into: Block) -> None:
        """The rows of a chunk, block by block, each against all panels of columns."""
        if self.operands.packs:
            self._each_panel(into, self.operands.pack)

        def tiles(block: Block, start: str, end: str) -> None:
            self._each_panel(
                block,
                lambda panel, columns: self._tiles(panel, columns, start, end),
                is_packed=self.operands.packs,
            )

        self._each_row_block(into, tiles)

    def _each_panel(
        self, into: Block, write: Callable[[Block, int], None], is_packed: bool = False
    ) -> None:
        """The loop over panels of columns."""
        panel = Block()
        self._each_width(panel, write, is_packed)
        into.loop("column_panel", self.panels, panel)

    def _each_width(
        self, into: Block, write: Callable[[Block, int], None], is_packed: bool = False
    ) -> None:
        """What is done with a panel of so many columns; the last one may be narrower."""
        terms = [("column_panel", self.tiling.columns)]
        if self.cuts_panels:
            terms.insert(0, ("row_chunk", self.tiling.rows_per_task))
        into.assign("column_start", flat_index(*terms))
        if is_packed:
            self.operands.find_packed_panel(into)
        else:
            self.operands.find_panel(into)
        if self.cuts_panels:
            self._each_width_of_chunk(into, write)
            return
        full, rest = divmod(self.contraction.columns, self.tiling.columns)
        whole, last = Block(), Block()
        if full:
            write(whole, self.tiling.columns)
        if rest:
            write(last, rest)
        if full and rest:
            into.branch(f"column_panel < {full}", whole, last)
        else:
            into.extend(whole)
            into.extend(last)

    def _each_width_of_chunk(self, into: Block, write: Callable[[Block, int], None]) -> None:
        """A panel that ends where its chunk does; the last chunk may have fewer of them."""
        columns, chunk = self.contraction.columns, self.tiling.rows_per_task
        last = columns % chunk
        widths = [min(chunk, columns), *([last] if last else [])]
        sizes = [size for width in widths for size, _ in parts_of(width, self.tiling.columns)]
        end = f"row_chunk * {chunk} + {chunk}"
        if last:
            end += f" if row_chunk < {columns // chunk} else {columns}"
        into.assign("row_end", end)
        width = self.tiling.columns
        fits = f"column_start <= row_end - {width}"
        into.assign("panel_columns", f"{width} if {fits} else row_end - column_start")
        cases = []
        for size in dict.fromkeys(sizes):
            cases.append((f"panel_columns == {size}", Block()))
            write(cases[-1][1], size)
        into.choose(cases)

    def _task_indices(self, into: Block) -> None:
        """Which chunk of rows, panel of columns and matrix of the batch a task is."""
        named = [("row_chunk", self.chunks), ("column_panel", self.panel_tasks)]
        axes = [*zip(self.operands.batch_indices, self.contraction.batch, strict=True)]
        after = 1
        for name, extent in [*named, *reversed(axes)]:
            quotient = "task" if after == 1 else f"task // {after}"
            into.assign(name, f"{quotient} % {extent}" if extent > 1 else "0")
            after *= extent

    def _panel(self, into: Block, columns: int) -> None:
        """All blocks of rows of a task against one panel of `columns` columns."""
        if self.operands.packs:
            self.operands.pack(into, columns)
        self._each_row_block(
            into, lambda block, start, end: self._tiles(block, columns, start, end)
        )

    def _task_limits(self, into: Block) -> tuple[str, str]:
        """The first row of a task, and the end of its rows."""
        rows, task_rows = self.contraction.rows, self.task_rows
        if task_rows >= rows:
            return "0", str(rows)
        last = f"row_chunk * {task_rows} + {task_rows}"
        if rows % task_rows:
            last += f" if row_chunk < {rows // task_rows} else {rows}"
        into.assign("row_end", last)
        return f"row_chunk * {task_rows}", "row_end"

    def _each_row_block(self, into: Block, write: Callable[[Block, str, str], None]) -> None:
        """What is done with the rows of a task from a first to an end, block by block where left is
        computed."""
        start, end = self._task_limits(into)
        if self.operands.left is None:
            write(into, start, end)
            return
        block = self.operands.compute_left(end)
        write(block, "block_start", "block_end")
        into.loop("block_start", f"{start}, {end}, {self.tiling.left_rows}", block)

    def _tiles(self, into: Block, columns: int, start: str, end: str) -> None:
        """Every tile of these rows against one panel of `columns` columns."""
        if self.whole_rows and start != "block_start":
            self._blocks_of_whole_rows(into, columns, start, end)
            return
        block, tile = self.tiling.rows, Block()
        self.operands.find_left_block(tile)
        sizes = self._block_sizes()
        rows = str(sizes[0])
        if len(sizes) > 1:
            rows = "block_rows"
            tile.add(rows_of_tile(block, end))
        calls = tile_calls(sizes, lambda size: self._call(size, columns))
        if self.sums is not None:
            offset = "(row_start - block_start) * " if self.whole_rows else ""
            index = f"{offset}{self.tile_stride} + e" if self.whole_rows else "e"
            calls = self.sums.around(calls, f"{rows} * {self.tile_stride}", "tile", index)
        if self.far_operands is not None:
            self._ask_ahead(tile, rows, columns, self.far_operands)
        tile.extend(calls)
        if not self.whole_rows:
            self._finish(tile, rows, columns)
        into.loop("row_start", f"{start}, {end}, {block}", tile)

    def _blocks_of_whole_rows(self, into: Block, columns: int, start: str, end: str) -> None:
        """Blocks of rows of all columns: all tiles of one, then its epilogue."""
        rows, block = self.whole_rows, Block()
        last = f"block_start + {rows} if block_start <= {end} - {rows} else {end}"
        block.assign("block_end", last)
        self._tiles(block, columns, "block_start", "block_end")
        block.extend(self.whole_rows_end)
        into.loop("block_start", f"{start}, {end}, {rows}", block)

    def _block_sizes(self) -> list[int]:
        """The numbers of rows that a tile may have: whole ones first, then what ends a chunk."""
        # A block of a computed left operand is whole tiles, so that only a chunk's last is less.
        rows, task_rows, block = self.contraction.rows, self.task_rows, self.tiling.rows
        chunks = [min(task_rows, rows), rows % task_rows]
        whole = [block] if chunks[0] >= block else []
        return list(dict.fromkeys([*whole, *(chunk % block for chunk in chunks if chunk % block)]))

    def _call(self, rows: int, columns: int) -> Call:
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
        read = (*operands.left_read(start), *operands.panel_read(start))
        result = (tile, str(self.tile_stride))
        return Call(kernel.name, (depth, *read, *result, *operands.indices_read(start)))

    def _microkernel(self, rows: int, columns: int) -> Microkernel:
        dtype, tiling = self.contraction.dtype, self.tiling
        if self.contraction.left.is_windowed:
            outer_axes = len(self.operands.outer_depth)
            digits = self.operands.row_digits
            return window_microkernel(dtype, rows, columns, tiling.lanes, outer_axes, digits)
        make = microkernel if tiling.form == "outer" else inner_microkernel
        return make(dtype, rows, columns, tiling.lanes, self.operands.indices())

    def _ask_ahead(self, into: Block, rows: str, columns: int, far_operands: FarOperands) -> None:
        """Asks for the cache lines that the epilogue will read: rows of a panel stand far apart,
        so that no processor foresees them."""
        row = Block()
        self._index_of(row, self.operands.row, "row_start", "r")
        line = MACHINE.line_bytes // ITEM_BYTES[self.contraction.dtype]
        for first in range(0, columns, line):
            start = flat_index(("column_start", 1), offset=self.first_column + first)
            row.assign(self.operands.column, start)
            indices = self.operands.batch_indices
            row.add(*map(Prefetch, far_operands(batch_indices=indices, row="i", column="j")))
        into.loop("r", rows, row)

    def _finish(self, into: Block, rows: str, columns: int) -> None:
        """Runs the epilogue over the finished tile."""
        assert not isinstance(self.epilogue, WholeRows)
        row, element = Block(), Block()
        self._index_of(row, self.operands.row, "row_start", "r")
        self._begin_block(row)
        self._index_of(element, self.operands.column, "column_start", "q")
        element.assign("acc", Element("tile", flat_index(("r", self.tile_stride), ("q", 1))))
        indices = self.operands.batch_indices
        element.extend(self.epilogue(batch_indices=indices, row="i", column="j", value="acc"))
        row.loop("q", columns, element)
        self._end_block(row, columns)
        into.loop("r", rows, row)

    def _index_of(self, into: Block, variable: str, start: str, step: str) -> None:
        """The row `i` or column `j` of the result."""
        offset = self.first_column if variable == "j" else 0
        into.assign(variable, flat_index((start, 1), (step, 1), offset=offset))

    def _begin_block(self, into: Block) -> None:
        """Before a row of the tile: where it is added to, neutral elements for a block's first."""
        if self.reductions is None:
            return
        into.assign("chain", f"i % {CHAINS} * {self.tile_stride}")
        first = Block()
        first.loop("q", CHAINS * self.tile_stride, self.reductions.begun(element="q"))
        into.branch(f"i % {self.contraction.block} == 0", first)

    def _end_block(self, into: Block, columns: int) -> None:
        """After a row of the tile: the results of its block, if it is the last."""
        block = self.contraction.block
        if self.reductions is None or block is None:
            return
        parts = [flat_index(("q", 1), offset=part * self.tile_stride) for part in range(CHAINS)]
        indices = self.operands.batch_indices
        last, element = Block.of(assigned("block", f"i // {block}")), Block()
        self._index_of(element, "j", "column_start", "q")
        ended = self.reductions.ended(
            batch_indices=indices, block="block", column="j", elements=tuple(parts)
        )
        element.extend(ended)
        last.loop("q", columns, element)
        into.branch(f"i % {block} == {block - 1}", last)
