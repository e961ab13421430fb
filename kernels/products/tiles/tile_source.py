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

from graphc.kernels.loops.language.expressions import Expression, Name, applied, of
from graphc.kernels.loops.language.indices import (
    ADVANCE,
    THREAD,
    THREAD_SHARE,
    ZERO,
    flat_index,
    share_limits,
)
from graphc.kernels.loops.language.source import Microkernel
from graphc.kernels.loops.language.statements import (
    Block,
    Call,
    Comment,
    Stack,
    Statement,
)
from graphc.kernels.products.contraction import (
    Contraction,
    Tiling,
    column_parts,
    oriented,
    parts_of,
)
from graphc.kernels.products.epilogues.epilogue import Epilogue, Tiles
from graphc.kernels.products.microkernels.microkernel import padded_columns
from graphc.kernels.products.operands.operand_blocks import OperandBlocks
from graphc.kernels.products.tile_calls import called, end_of_block, rows_of_tile, tile_calls
from graphc.kernels.products.tiles.tile_sums import tile_sums
from graphc.kernels.products.variables import (
    BLOCK_END,
    BLOCK_ROWS,
    BLOCK_START,
    COLUMN_PANEL,
    COLUMN_START,
    DEPTH_START,
    DEPTH_STEPS,
    PANEL_COLUMNS,
    REST_PREFIX,
    ROW_CHUNK,
    ROW_END,
    ROW_START,
    SCRATCH,
    TASK,
    TILE,
    TILE_BLOCKS,
    TILE_ELEMENT,
)


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
    contraction: Contraction, tiling: Tiling, epilogue: Epilogue
) -> ContractionSource:
    """Statements of a kernel's body: every task of this thread, tile by tile.

    They use `thread`, `threads`, the operands' buffers and, where a panel is packed, a buffer
    `scratch` with `scratch` elements for every thread. They return nothing. A result without
    elements has none.
    """
    if contraction.rows == 0 or contraction.columns == 0 or 0 in contraction.batch:
        return ContractionSource((), (), 0, splits=False)
    if tiling.rest is not None and not contraction.may_be_cut_by_columns:
        raise ValueError("columns apart of a product that computes an operand or takes whole rows")
    parts = column_parts(contraction, tiling)
    tilings = (tiling,) if tiling.rest is None else (tiling, tiling.rest)
    first_columns = (0, parts[0].columns)
    writers = [
        _Writer(oriented(part, each), each, epilogue, first)
        for part, each, first in zip(parts, tilings, first_columns, strict=False)
    ]
    return _joined(writers, epilogue)


def _joined(writers: Sequence[_Writer], epilogue: Epilogue) -> ContractionSource:
    """Parts of the columns one behind the other, with the same memory for tiles and panels."""
    splits = any(writer.tasks > 1 for writer in writers)
    dtype = writers[0].contraction.dtype
    whole = Block.of(Stack(TILE, dtype, max(writer.tile_elements for writer in writers)))
    blocks = [writer.sums.stack_elements for writer in writers if writer.sums is not None]
    if blocks:
        whole.add(Stack(TILE_BLOCKS, dtype, max(blocks)))
    whole.add(*epilogue.declared(max(writer.tile_stride for writer in writers)))
    arrays: dict[Name, int] = {}
    for writer in writers:
        for name, size in writer.operands.scratch().items():
            arrays[name] = max(size, arrays.get(name, 0))
    scratch, ends = sum(arrays.values()), accumulate(arrays.values())
    placed = tuple((end - size, size) for end, size in zip(ends, arrays.values(), strict=True))
    for name, (start, _) in zip(arrays, placed, strict=True):
        index = flat_index((THREAD, scratch), offset=start)
        whole.assign(name, applied(ADVANCE, SCRATCH, index))
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

    Operands are in the order of the tiling. tasks: what threads may share.
    """

    def __init__(
        self,
        contraction: Contraction,
        tiling: Tiling,
        epilogue: Epilogue,
        first_column: int,
    ) -> None:
        self.contraction = contraction
        self.tiling = tiling
        self.first_column = first_column
        prefix = REST_PREFIX if first_column else ""
        self.operands = OperandBlocks(contraction, tiling, prefix)
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
        self.end = epilogue.end_of(
            Tiles(
                contraction,
                tiling,
                self.operands.batch_indices,
                self.operands.row,
                self.operands.column,
                first_column,
                self.tile_stride,
                min(self.task_rows, contraction.rows),
            )
        )
        if self.end.rows_at_once:
            lanes = tiling.lanes
            self.tile_elements = ceil(self.end.rows_at_once / lanes) * lanes * self.tile_stride

    def write(self, into: Block, splits: bool) -> None:
        """Appends the body; `splits` says whether several threads may come here."""
        into.extend(self.end.before)
        self.microkernels |= self.end.microkernels
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
            into.loop(ROW_CHUNK, share_limits(THREAD_SHARE, self.chunks), task)
        else:
            into.loop(TASK, share_limits(THREAD_SHARE, self.tasks) if splits else 1, task)

    def _task_of_all_panels(self, into: Block) -> None:
        """The rows of a chunk, block by block, each against all panels of columns."""
        if self.operands.packs:
            self._each_panel(into, self.operands.pack)

        def tiles(block: Block, start: Expression, end: Expression) -> None:
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
        into.loop(COLUMN_PANEL, self.panels, panel)

    def _each_width(
        self, into: Block, write: Callable[[Block, int], None], is_packed: bool = False
    ) -> None:
        """What is done with a panel of so many columns; the last one may be narrower."""
        terms: list[tuple[Expression, int]] = [(COLUMN_PANEL, self.tiling.columns)]
        if self.cuts_panels:
            terms.insert(0, (ROW_CHUNK, self.tiling.rows_per_task))
        into.assign(COLUMN_START, flat_index(*terms))
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
            into.branch(COLUMN_PANEL.below(full), whole, last)
        else:
            into.extend(whole)
            into.extend(last)

    def _each_width_of_chunk(self, into: Block, write: Callable[[Block, int], None]) -> None:
        """A panel that ends where its chunk does; the last chunk may have fewer of them."""
        columns, chunk = self.contraction.columns, self.tiling.rows_per_task
        last = columns % chunk
        widths = [min(chunk, columns), *([last] if last else [])]
        sizes = [size for width in widths for size, _ in parts_of(width, self.tiling.columns)]
        into.assign(ROW_END, _end_of_chunk(chunk, columns))
        width = self.tiling.columns
        fits = COLUMN_START.at_most(ROW_END - width)
        into.assign(PANEL_COLUMNS, of(width).when(fits, ROW_END - COLUMN_START))
        cases = []
        for size in dict.fromkeys(sizes):
            cases.append((PANEL_COLUMNS.equals(size), Block()))
            write(cases[-1][1], size)
        into.choose(cases)

    def _task_indices(self, into: Block) -> None:
        """Which chunk of rows, panel of columns and matrix of the batch a task is."""
        named = [(ROW_CHUNK, self.chunks), (COLUMN_PANEL, self.panel_tasks)]
        axes = [*zip(self.operands.batch_indices, self.contraction.batch, strict=True)]
        after = 1
        for name, extent in [*named, *reversed(axes)]:
            quotient = TASK if after == 1 else TASK // after
            into.assign(name, quotient % extent if extent > 1 else ZERO)
            after *= extent

    def _panel(self, into: Block, columns: int) -> None:
        """All blocks of rows of a task against one panel of `columns` columns."""
        if self.operands.packs:
            self.operands.pack(into, columns)
        self._each_row_block(
            into, lambda block, start, end: self._tiles(block, columns, start, end)
        )

    def _task_limits(self, into: Block) -> tuple[Expression, Expression]:
        """The first row of a task, and the end of its rows."""
        rows, task_rows = self.contraction.rows, self.task_rows
        if task_rows >= rows:
            return ZERO, of(rows)
        into.assign(ROW_END, _end_of_chunk(task_rows, rows))
        return ROW_CHUNK * task_rows, ROW_END

    def _each_row_block(
        self, into: Block, write: Callable[[Block, Expression, Expression], None]
    ) -> None:
        """What is done with the rows of a task from a first to an end, block by block where left is
        computed."""
        start, end = self._task_limits(into)
        if self.operands.left is None:
            write(into, start, end)
            return
        block = self.operands.compute_left(end)
        write(block, BLOCK_START, BLOCK_END)
        into.loop(BLOCK_START, (start, end, self.tiling.left_rows), block)

    def _tiles(self, into: Block, columns: int, start: Expression, end: Expression) -> None:
        """Every tile of these rows against one panel of `columns` columns."""
        if self.end.rows_at_once and start != BLOCK_START:
            self._rows_together(into, columns, start, end)
            return
        block, tile = self.tiling.rows, Block()
        self.operands.find_left_block(tile)
        sizes = self._block_sizes()
        rows = of(sizes[0])
        if len(sizes) > 1:
            rows = BLOCK_ROWS
            tile.add(rows_of_tile(block, end))
        calls = tile_calls(sizes, lambda size: self._call(size, columns))
        if self.sums is not None:
            index: Expression = TILE_ELEMENT
            if self.end.rows_at_once:
                index = self._place_in_block + TILE_ELEMENT
            calls = self.sums.around(calls, rows * self.tile_stride, TILE, index)
        self.end.ask_ahead(tile, rows, columns)
        tile.extend(calls)
        self.end.finish(tile, rows, columns)
        into.loop(ROW_START, (start, end, block), tile)

    @property
    def _place_in_block(self) -> Expression:
        """Where the rows of a tile begin among those that are ended together."""
        return (ROW_START - BLOCK_START) * self.tile_stride

    def _rows_together(self, into: Block, columns: int, start: Expression, end: Expression) -> None:
        """Blocks of rows of all columns: all tiles of one, then its end."""
        rows = self.end.rows_at_once
        block = Block.of(end_of_block(rows, end))
        self._tiles(block, columns, BLOCK_START, BLOCK_END)
        self.end.finish_rows(block)
        into.loop(BLOCK_START, (start, end, rows), block)

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
        kernel = operands.microkernel(rows, columns)
        self.microkernels[kernel.name] = kernel
        depth, start = of(operands.inner_steps), None
        tile: Expression = TILE
        if self.sums is not None:
            depth, start, tile = DEPTH_STEPS, DEPTH_START, self.sums.target
        elif self.end.rows_at_once > tiling.rows:
            tile = applied(ADVANCE, TILE, self._place_in_block)
        read = (*operands.left_read(start), *operands.panel_read(start))
        return called(kernel, depth, *read, tile, self.tile_stride, *operands.tables_read(start))


def _end_of_chunk(chunk: int, extent: int) -> Expression:
    """Where the chunk of a task ends; the last one of an extent may be shorter."""
    end = ROW_CHUNK * chunk + chunk
    return end.when(ROW_CHUNK.below(extent // chunk), extent) if extent % chunk else end
