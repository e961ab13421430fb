"""What a loop nest's kernel accumulates and keeps while it is written, and the memory for it."""

from __future__ import annotations

from dataclasses import replace

from graphc.ir.graph import Node, is_among
from graphc.kernels.loops.kernel_function import BLOCK, new_function
from graphc.kernels.loops.language.expressions import Element, Expression, Name, applied
from graphc.kernels.loops.language.indices import ADVANCE, THREAD
from graphc.kernels.loops.language.scalar import (
    combined,
    combined_in_order,
    dtype_name,
    neutral_element,
    rounds,
    with_product,
)
from graphc.kernels.loops.language.source import ScratchParts, Storage, StorageOf
from graphc.kernels.loops.language.statements import Block, Stack, Target
from graphc.kernels.loops.rewrites.block_sums import (
    ONE_AFTER_THE_OTHER,
    SHORT_ROWS,
    BlockSums,
    Elements,
    cut_of,
    shared_by_lanes,
)
from graphc.kernels.loops.rewrites.loops import loops_of, wrap_in_loops
from graphc.kernels.loops.rewrites.parts import Part
from graphc.kernels.loops.rewrites.passes import pass_sinks
from graphc.kernels.loops.rewrites.register_blocks import register_block
from graphc.kernels.loops.rewrites.row_strips import RowStrips, row_strips
from graphc.kernels.loops.rewrites.rows_together import SumOfRows, rows_together
from graphc.kernels.loops.rewrites.stages import STRIP
from graphc.kernels.loops.rewrites.transposed_tiles import transposed_tiles
from graphc.kernels.loops.thread_blocks import block_count
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.access import Loop
from graphc.kernels.nests.loopnest import SHORT_ROW, LoopNest, Phase, Reduces
from graphc.kernels.nests.names import label

# Elements of rows that LLVM unrolls whole, so that the loop over rows is vectorised.
FEW_ELEMENTS = 8


def _has_finishing_phase(nest: LoopNest) -> bool:
    finished = any(nest.roles[node].phase is Phase.FINISH for node in nest.outputs)
    return finished or Reduces.ROWS in nest.reduces.values()


class Accumulators:
    """The loops of a nest, what its reductions accumulate into, and the memory for it.

    blocks: in how many blocks of rows threads share the nest. has_partials: whether each of them
        accumulates sums over its own rows, which a second kernel, `finishing`, adds up.
    block_start, block_end: lines before and behind the rows of such a block.
    rows: by pass, lines that a row has once behind it; those of -1 come before the first pass.
    accumulators: the variables of reductions; row_parts: of those over all rows what a row adds.
    scratch: memory for values that are kept for a later pass or summed over rows; parts: how
        threads have it.
    together: parts of the loops over rows that run inside of that over a row's elements;
        sums_of_rows: what these rows add to.
    row_sums: the sums over rows where they are long; pass_sums: of each pass the sums over a row.
    row_blocks: memory for what `row_sums` accumulates of each element of a row.
    """

    def __init__(
        self, name: str, nest: LoopNest, storage_of: StorageOf, threads: int, vector_bits: int
    ) -> None:
        self.nest = nest
        self.domain = nest.domain
        self.storage_of = storage_of
        self.threads = threads
        self.vector_bits = vector_bits
        self.loops = loops_of(nest)
        self.strips = row_strips(nest, self.loops)
        self.tiles = transposed_tiles(nest, self.loops)
        self.blocks = block_count(nest, self.strips or self.tiles)
        # Sums over rows are kept block by block; what the finishing phase makes needs them all.
        self.has_partials = self.blocks > 1 and _has_finishing_phase(nest)
        self.function = self.main = new_function(name)
        self.finishing = new_function(f"{name}_finish") if self.has_partials else self.main
        self.block_start, self.block_end = Block(), Block()
        self.rows = {level: Block() for level in range(-1, nest.passes)}
        self.accumulators: dict[Node, Target] = {}
        self.row_parts: dict[Node, Name] = {}
        self.scratch: dict[Node, Storage] = {}
        self.parts: list[ScratchParts] = []
        self.row_blocks: list[Storage] = []
        self.row_sums = self._row_sums()
        self.together = self._rows_together()
        self.sums_of_rows: dict[Node, SumOfRows] = {}
        self.pass_sums = [self._pass_sums(level) for level in range(nest.passes)]
        if self.strips is not None:
            self.strips = self._in_registers(self.strips)

    # --- memory ----------------------------------------------------------------------------

    def _keep_row(self, node: Node) -> None:
        """Memory for a row of a value, or a strip of them, for each thread that has its own."""
        size = self.loops.row_size * (self.strips.size if self.strips else 1)
        self.scratch[node] = self._of_each_thread(node, f"{label(node)}_row", size, keeps_row=True)

    def _of_each_thread(self, node: Node, name: str, size: int, keeps_row: bool = False) -> Storage:
        """Scratch memory of so many elements for each thread that has rows."""
        # Elements have a byte at the least, so that no two threads have a line together.
        padded = -(-size // MACHINE.line_bytes) * MACHINE.line_bytes
        sharing = self.threads if self.blocks > 1 else 1
        storage = Storage(name, node.dtype, padded * sharing, node, keeps_row)
        parts = ScratchParts(storage, THREAD, sharing, padded, ((0, size),))
        self.parts.append(parts)
        buffer = self._written(storage)
        if sharing > 1:
            self.main.prologue.assign(buffer, applied(ADVANCE, buffer, parts.start()))
        return storage

    @property
    def _kept_index(self) -> Expression:
        """The index of the current element in what is kept of a row, or of a strip of rows."""
        if self.strips is None:
            return self.loops.row_index
        return self.strips.index_within(self.loops.row_index)

    def _row_variable(self, node: Node, name: str) -> Target:
        """What holds a value that each row has once: a variable, or an element for each row of a
        strip."""
        variable = Name(self.main.names.unique(name))
        if self.strips is None:
            return variable
        self.main.prologue.add(self.strips.declaration(variable, node))
        return Element(variable, self.strips.index)

    def _written(self, storage: Storage) -> Name:
        self.function.writes.append(storage)
        return self.function.arguments.name(storage)

    # --- accumulators ----------------------------------------------------------------------

    def _row_sums(self) -> BlockSums | None:
        """Where the loops over rows stop, if they add up many."""
        sums = [n for n, kind in self.nest.reduces.items() if kind is Reduces.ROWS and rounds(n)]
        if not sums:
            return None
        terms = SHORT_ROWS if self.loops.row_size <= FEW_ELEMENTS else ONE_AFTER_THE_OTHER
        cut = cut_of(self.loops.outer, terms, 1, self.blocks)
        return None if cut is None else BlockSums(cut, self.main.names)

    def _rows_together(self) -> tuple[Part, ...]:
        if self.strips is not None or self.tiles is not None:
            return ()
        cut = None if self.row_sums is None else self.row_sums.cut
        return rows_together(self.loops, cut, self.blocks)

    def _pass_sums(self, level: int) -> BlockSums | None:
        """Where the loops of a pass stop, if they add up many elements."""
        if not any(rounds(n) for n in pass_sinks(self.nest, level) if n in self.nest.reduces):
            return None
        is_vectorised = self.strips is None and self._has_vectors(self.loops.inner)
        terms = shared_by_lanes(self.vector_bits) if is_vectorised else ONE_AFTER_THE_OTHER
        shares = 1 if self.loops.outer else self.blocks
        cut = cut_of(self.loops.inner, terms, STRIP, shares)
        return None if cut is None else BlockSums(cut, self.main.names)

    def _in_registers(self, strips: RowStrips) -> RowStrips:
        """The strips with short loops inside of that over their rows."""
        sums = self.pass_sums[0]
        cut = None if sums is None else sums.cut
        return replace(strips, registers=register_block(self.loops, strips.outer, cut))

    def _has_vectors(self, loops: tuple[Loop, ...]) -> bool:
        """Whether the innermost of a row's loops runs over elements side by side, and many."""
        innermost = next((loop for loop in reversed(loops) if loop.extent != 1), None)
        if innermost is None or innermost.extent < SHORT_ROW:
            return False
        return self.loops.steps_by_one(innermost)

    def _entries(self, node: Node, count: int) -> Name:
        """An array on the stack for a sum's blocks."""
        entries = Name(self.main.names.unique(f"{label(node)}_blocks"))
        self.main.prologue.add(Stack(entries, dtype_name(node.dtype), count))
        return entries

    def _begin_accumulator(self, node: Node, kind: Reduces) -> None:
        """Declares what a reduction accumulates into and sets it to the neutral element."""
        level = self.nest.roles[node].level
        if kind is Reduces.ROWS and self.nest.roles[node].inner:
            self._begin_columns(node)
            return
        pass_sums = self.pass_sums[level] if rounds(node) and level >= 0 else None
        if kind is Reduces.ROW and self.strips is not None:
            self._begin_in_strips(node, pass_sums)
            return
        variable = self.accumulators[node] = Name(self.main.names.unique(label(node)))
        if kind is Reduces.ROW:
            self._begin_variable(node, variable, pass_sums, self.rows[level - 1])
            return
        row_sums = self.row_sums if rounds(node) else None
        self._begin_variable(node, variable, row_sums, self.block_start)
        if self.domain.operand_span(node, 0) & frozenset(self.nest.inner):
            part = Name(self.main.names.unique(f"{variable.text}_of_row"))
            self.row_parts[node] = part
            self._begin_variable(node, part, pass_sums, self.rows[level - 1])
        if self.has_partials:
            partial = self._written(self._accumulator_storage(node))
            self.block_end.assign(Element(partial, BLOCK), variable)

    def _begin_variable(
        self, node: Node, variable: Target, sums: BlockSums | None, before: Block
    ) -> None:
        """Sets what a loop accumulates into a variable to the neutral element `before` the loop, or
        before each of its blocks."""
        if sums is None:
            shown = node if variable == self.accumulators[node] else None
            before.assign(variable, neutral_element(node), shown)
        else:
            sums.accumulate(node, variable, self._entries(node, sums.entries))

    def _begin_in_strips(self, node: Node, sums: BlockSums | None) -> None:
        """The same of a sum that each row of a strip has."""
        assert self.strips is not None
        target = self.accumulators[node] = self._row_variable(node, label(node))
        if sums is None:
            before = self.rows[self.nest.roles[node].level - 1]
            before.assign(target, neutral_element(node), node)
            return
        elements = Elements(self.strips.size, self.strips.index, self.strips.wrap_in_rows)
        entries = self._entries(node, sums.entries * elements.size)
        sums.accumulate(node, target, entries, elements)

    def _begin_columns(self, node: Node) -> None:
        """The same of a sum over rows that each element of a row has, in memory."""
        buffer = self._written(self._accumulator_storage(node))
        target = Element(buffer, self._accumulator_index(node))
        if self.together:
            register = Name(self.main.names.unique(f"{label(node)}_of_rows"))
            self.sums_of_rows[node] = SumOfRows(target, register)

        def wrap(into: Block, body: Block) -> None:
            wrap_in_loops(into, self.loops.inner, body)

        if self.row_sums is None or not rounds(node):
            zero = Block()
            zero.assign(target, neutral_element(node))
            wrap(self.block_start, zero)
            return
        elements = Elements(self.loops.row_size, self.loops.row_index, wrap)
        size = self.row_sums.entries * elements.size
        storage = self._of_each_thread(node, f"{label(node)}_blocks", size)
        self.row_blocks.append(storage)
        self.row_sums.accumulate(node, target, self.main.arguments.name(storage), elements)

    def _accumulator_storage(self, node: Node) -> Storage:
        """What sums over rows are added up in: the output itself, or a row for each block."""
        if is_among(node, self.nest.outputs) and not self.has_partials:
            return self.storage_of(node)
        if node not in self.scratch:
            size = self.loops.row_size if self.nest.roles[node].inner else 1
            name = f"{label(node)}_over_rows"
            storage = Storage(name, node.dtype, size * self.blocks, node)
            self.parts.append(ScratchParts(storage, BLOCK, self.blocks, size, ((0, size),)))
            self.scratch[node] = storage
        return self.scratch[node]

    def _accumulator_index(self, node: Node) -> Expression:
        if self.has_partials:
            in_block = self.function is self.main
            return self._index_in_block if in_block else self.loops.row_index
        if is_among(node, self.nest.outputs):
            return self.loops.result_index(node)
        return self.loops.row_index

    @property
    def _index_in_block(self) -> Expression:
        """The index of the current element of a row in what each block has of such a row."""
        return BLOCK * self.loops.row_size + self.loops.row_index

    def _accumulate(self, node: Node, value: Expression, block: Block) -> None:
        if node in self.sums_of_rows:
            target: Target = self.sums_of_rows[node].register
        elif node not in self.accumulators:
            buffer = self.main.arguments.name(self._accumulator_storage(node))
            target = Element(buffer, self._accumulator_index(node))
        elif node in self.row_parts:
            total, target = self.accumulators[node], self.row_parts[node]
            level = self.nest.roles[node].level
            added = combined(node, total, target)
            self.rows[level].accumulate(total, added)
        else:
            target = self.accumulators[node]
        step = combined if self.strips is None else combined_in_order
        block.accumulate(target, step(node, target, value), node)

    def _accumulate_product(
        self, node: Node, factors: tuple[Expression, Expression], block: Block
    ) -> None:
        """The same of a product, for a sum whose terms stay in their order."""
        target = self.accumulators[node]
        block.accumulate(target, with_product(target, *factors), node)

    def _emit_partials(self) -> None:
        """Adds up what the blocks have accumulated: rows into the first block's row."""
        for node, kind in self.nest.reduces.items():
            if kind is not Reduces.ROWS:
                continue
            buffer = self._written(self._accumulator_storage(node))
            body = Block()
            if self.nest.roles[node].inner:
                other = Element(buffer, self._index_in_block)
                element = Block()
                target = Element(buffer, self.loops.row_index)
                element.accumulate(target, combined(node, target, other))
                wrap_in_loops(body, self.loops.inner, element)
                self.function.prologue.loop(BLOCK, (1, self.blocks), body)
            else:
                total = Name(self.function.names.unique(label(node)))
                self.accumulators[node] = total
                body.accumulate(total, combined(node, total, Element(buffer, BLOCK)))
                self.function.prologue.assign(total, neutral_element(node), node)
                self.function.prologue.loop(BLOCK, self.blocks, body)
