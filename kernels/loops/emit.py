"""From a planned loop nest to the statements of its kernels."""

from __future__ import annotations

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Reduction
from graphc.kernels.loops.accumulators import Accumulators
from graphc.kernels.loops.kernel_function import BLOCK, KernelFunction
from graphc.kernels.loops.language.expressions import Element, Expression, Name, of
from graphc.kernels.loops.language.indices import THREAD_SHARE, Share, share_limits
from graphc.kernels.loops.language.source import KernelSource, StorageOf, function_statements
from graphc.kernels.loops.language.statements import Block, LoopKind, Target, loops_in
from graphc.kernels.loops.language.values import ValueWriter
from graphc.kernels.loops.rewrites.loops import wrap_in_loops
from graphc.kernels.loops.rewrites.passes import (
    is_reloaded,
    pass_sinks,
    row_sinks,
    values_kept_between_passes,
)
from graphc.kernels.loops.rewrites.register_blocks import NO_BLOCK, product_of_sum
from graphc.kernels.loops.rewrites.row_nest import RowPass, nest_rows, nest_strips
from graphc.kernels.loops.rewrites.row_vectors import runs_in_vectors
from graphc.kernels.loops.rewrites.rows_together import nest_rows_together
from graphc.kernels.loops.rewrites.stages import (
    STRIP_START,
    FarOperand,
    StagedPass,
    prefetched_operands,
    stages_of_pass,
    strip_declaration,
)
from graphc.kernels.loops.thread_blocks import cycles
from graphc.kernels.nests.loopnest import LoopNest, Phase, Reduces, reduced_axes
from graphc.kernels.nests.names import label
from graphc.kernels.nests.node_kinds import viewed


def emit_loops(
    name: str, nest: LoopNest, storage_of: StorageOf, vector_bits: int, threads: int = 1
) -> tuple[KernelSource, ...]:
    """The kernels that compute `nest` and store its outputs where `storage_of` says.

    It is one kernel, or two where rows are shared in blocks: the second adds up the blocks' sums
    over rows and finishes. `threads` is the greatest number of threads that will run them.
    """
    return _LoopEmitter(name, nest, storage_of, threads, vector_bits).emit()


# A block, and the pass in or after which it is.
_Place = tuple[Block, int]


class _LoopEmitter(Accumulators, ValueWriter[_Place]):
    """The lines of a nest, block by block of source, and at last the loops around them.

    passes: of each pass the lines of an element; stages: what precedes them in loops of their own.
    finish, finish_inner: lines behind the last row, and those for each element of a row there.
    """

    def __init__(
        self, name: str, nest: LoopNest, storage_of: StorageOf, threads: int, vector_bits: int
    ) -> None:
        super().__init__(name, nest, storage_of, threads, vector_bits)
        self.passes = [Block() for _ in range(nest.passes)]
        self.stages = [StagedPass() for _ in range(nest.passes)]
        self.finish, self.finish_inner = Block(), Block()

    def emit(self) -> tuple[KernelSource, ...]:
        kept = values_kept_between_passes(self.nest)
        for node in kept:
            self._keep_row(node)
        for node, kind in self.nest.reduces.items():
            self._begin_accumulator(node, kind)
        self._emit_row_level(-1)
        for level in range(self.nest.passes):
            self._emit_pass(level, kept)
            self._emit_row_level(level)
        self.function = self.finishing
        if self.has_partials:
            self._emit_partials()
        self._emit_finish()
        body = self._main_lines()
        kinds = {loop.kind for loop in loops_in(body.whole)}
        has_tiles, long_rows = LoopKind.TILE in kinds, LoopKind.STRIPS in kinds
        main = self._source(self.main, body, self.blocks > 1, not has_tiles, long_rows)
        if not self.has_partials:
            return (main,)
        return main, self._source(self.finishing, self._finishing_lines(), False, False, long_rows)

    def _source(
        self, function: KernelFunction, body: Block, splits: bool, unroll: bool, long_rows: bool
    ) -> KernelSource:
        storages = function.arguments.storages
        return KernelSource(
            function.name,
            function_statements(function.arguments, body),
            storages,
            tuple(s for s in (*self.scratch.values(), *self.row_blocks) if s in storages),
            writes=tuple(dict.fromkeys(function.writes)),
            unroll=unroll,
            long_rows=long_rows,
            splits=splits,
            cycles=cycles(self.nest) if function is self.main else 0.0,
            parts=tuple(parts for parts in self.parts if parts.storage in storages),
        )

    # --- the parts of the kernel -----------------------------------------------------------

    def _emit_pass(self, level: int, kept: dict[Node, int]) -> None:
        block = self.passes[level]
        sinks = set(pass_sinks(self.nest, level))
        wanted = [node for node in self.nest.nodes if node in sinks or kept.get(node) == level]
        self._emit_stages(level, wanted, kept)
        for node in wanted:
            if node in self.nest.reduces:
                self._emit_term(node, (block, level))
                continue
            value = self.value(node, (block, level))
            if node in kept:
                buffer = self.main.arguments.name(self.scratch[node])
                block.assign(Element(buffer, self._kept_index), value)
            if node in sinks:
                self._store(node, value, block)

    def _emit_term(self, node: Node, place: _Place) -> None:
        """Adds the current element to a sum; a product that nothing else reads in one operation."""
        has_registers = self.strips is not None and self.strips.registers != NO_BLOCK
        product = product_of_sum(self.nest, node) if has_registers else None
        if product is None:
            self._accumulate(node, self.operand(node, 0, place), place[0])
        else:
            factors = (self.operand(product, 0, place), self.operand(product, 1, place))
            self._accumulate_product(node, factors, place[0])

    def _emit_stages(self, level: int, wanted: list[Node], kept: dict[Node, int]) -> None:
        """The stages before the last, which is the pass's own block."""
        if self.strips or self.tiles:
            return
        staged = self.stages[level]
        at_hand = frozenset(
            node
            for node in self.nest.nodes
            if kept.get(node, level) < level or is_reloaded(self.nest, node, level)
        )
        for made in stages_of_pass(self.nest, self.loops, wanted, at_hand):
            block = Block()
            for node in made:
                value = self.value(node, (block, level))
                buffer = Name(self.main.names.unique(f"{label(node)}_{STRIP_START.text}"))
                self.main.prologue.add(strip_declaration(buffer, node))
                block.store_last(Element(buffer, self._strip_index), value)
                staged.kept[node] = buffer
            staged.blocks.append(block)

    @property
    def _strip_index(self) -> Expression:
        return self.loops.row_index - STRIP_START

    def _strip_of(self, node: Node, level: int) -> Name | None:
        """The buffer of a value that a stage of the pass keeps for later ones."""
        return self.stages[level].kept.get(node) if level in range(self.nest.passes) else None

    def _emit_row_level(self, level: int) -> None:
        block = self.rows[level]
        for node in row_sinks(self.nest, level):
            if self.nest.reduces.get(node) is Reduces.ROWS:
                self._accumulate(node, self.operand(node, 0, (block, level)), block)
            else:
                outside = level == -1 and not self.domain.span(node)
                home = self.main.prologue if outside else block
                self._store(node, self.value(node, (block, level)), home)

    def _emit_finish(self) -> None:
        level = self.nest.passes
        for node in self.nest.outputs:
            role, kind = self.nest.roles[node], self.nest.reduces.get(node)
            if kind is Reduces.ROWS:
                if not role.inner:
                    self._store(node, self.accumulators[node], self.finish)
                elif self.has_partials:
                    self._store(
                        node, self.value(node, (self.finish_inner, level)), self.finish_inner
                    )
            elif role.phase is Phase.FINISH and role.inner:
                value = self.value(node, (self.finish_inner, level))
                self._store(node, value, self.finish_inner)
            elif role.phase is Phase.FINISH:
                self._store(node, self.value(node, (self.finish, level)), self.finish)

    def _store(self, node: Node, value: Expression, block: Block) -> None:
        buffer = self._written(self.storage_of(node))
        block.store_last(Element(buffer, self.loops.result_index(node)), value)

    def _main_lines(self) -> Block:
        whole = Block()
        whole.extend(self.main.prologue)
        if self.has_partials or (self.blocks > 1 and self.nest.reduces):
            # Loops of fixed length: how LLVM regroups a sum must not depend on a thread's share.
            blocks = Block()
            blocks.extend(self.block_start)
            self._nest_rows(blocks, (BLOCK, of(self.blocks)))
            blocks.extend(self.block_end)
            whole.loop(BLOCK, share_limits(THREAD_SHARE, self.blocks), blocks)
            return whole
        whole.extend(self.block_start)
        self._nest_rows(whole, THREAD_SHARE if self.blocks > 1 else None)
        whole.extend(self.block_end)
        if self.blocks == 1:
            whole.extend(self._finishing_lines(with_prologue=False))
        return whole

    def _finishing_lines(self, with_prologue: bool = True) -> Block:
        whole = Block()
        if with_prologue:
            whole.extend(self.finishing.prologue)
        whole.extend(self.finish)
        wrap_in_loops(whole, self.loops.inner, self.finish_inner)
        return whole

    def _nest_rows(self, into: Block, share: Share | None) -> None:
        """The loops over rows, the outermost over a share of its extent."""
        passes = [
            RowPass(
                [*staged.blocks, self.passes[level]],
                self.rows[level],
                self.pass_sums[level],
                runs_in_vectors(self.nest, self.loops, level, pass_sinks(self.nest, level)),
            )
            for level, staged in enumerate(self.stages)
        ]
        if self.strips is not None:
            nest_strips(into, self.loops, self.strips, self.rows[-1], passes, share)
        elif self.tiles is not None:
            self.tiles.wrap(into, self.rows[-1], self.passes[0], share)
        elif self.together:
            nest_rows_together(
                into,
                self.loops,
                self.together,
                self.passes[0],
                self.sums_of_rows,
                share,
                self.row_sums,
            )
        else:
            prefetches = self._prefetches()
            nest_rows(into, self.loops, self.rows[-1], passes, prefetches, share, self.row_sums)

    def _prefetches(self) -> list[FarOperand]:
        """What the passes in stages read in order from far away."""
        if not any(staged.blocks for staged in self.stages):
            return []
        return [
            FarOperand(
                Element(
                    self.main.arguments.name(self.storage_of(value)),
                    self.loops.operand_index(*reader),
                ),
                value.dtype.itemsize,
            )
            for value, reader in prefetched_operands(self.nest, self.loops).items()
        ]

    # --- values ----------------------------------------------------------------------------

    def loaded(self, node: Node, position: int, place: _Place) -> Expression:
        block, _ = place
        operand = node.operands[position]
        span = self.domain.operand_span(node, position)
        if not span & frozenset(self.nest.inner):
            block = self._block_of(-1, bool(span))
        buffer = self.function.arguments.name(self.storage_of(viewed(operand)))
        element = Element(buffer, self.loops.operand_index(node, position))
        key = (id(block), element)
        if key not in self.function.known:
            name = f"{label(viewed(operand))}_value"
            target = self._variable_in(block, viewed(operand), name)
            block.assign(target, element, node)
            self.function.known[key] = target
        return self.function.known[key]

    def _block_of(self, level: int, varies_by_row: bool) -> Block:
        """Where a value that does not vary within a row is computed."""
        return self.function.prologue if level == -1 and not varies_by_row else self.rows[level]

    def is_made(self, node: Node) -> bool:
        return node in self.nest.roles

    def home(self, node: Node, place: _Place) -> _Place | None:
        home = self._computed_at(node, *place)
        return None if home is None or (id(home[0]), node) in self.function.known else home

    def found(self, node: Node, place: _Place) -> Expression:
        """A value of the group: computed before, or kept from an earlier pass."""
        block, level = place
        home = self._computed_at(node, block, level)
        if home is not None:
            return self.function.known[id(home[0]), node]
        if node in self.accumulators:
            return self.accumulators[node]
        if node in self.nest.reduces:
            storage, index = self._accumulator_storage(node), self._accumulator_index(node)
        elif strip := self._strip_of(node, level):
            return self._named(node, Element(strip, self._strip_index), block, (id(block), node))
        elif node in self.scratch:
            storage, index = self.scratch[node], self._kept_index
        else:
            storage, index = self.storage_of(node), self.loops.result_index(node)
        element = Element(self.function.arguments.name(storage), index)
        return self._named(node, element, block, (id(block), node))

    def _computed_at(self, node: Node, block: Block, level: int) -> tuple[Block, int] | None:
        """The block that computes the value for `block`, and its pass; None when it is kept."""
        role = self.nest.roles[node]
        if node in self.nest.reduces:
            return None
        if self._strip_of(node, level) and (id(block), node) not in self.function.known:
            return None
        if role.inner:
            in_later_pass = role.phase is Phase.MAIN and role.level < level < self.nest.passes
            is_kept = node in self.scratch or is_reloaded(self.nest, node, level)
            return None if in_later_pass and is_kept else (block, level)
        if role.phase is Phase.FINISH:
            return self.finish, level
        return self._block_of(role.level, bool(self.domain.span(node))), role.level

    def index(self, node: Node, position: int | None) -> Expression:
        if position is None:
            return self.loops.result_index(node)
        return self.loops.operand_index(node, position)

    def remember(self, node: Node, expression: Expression, place: _Place) -> None:
        self.function.known[id(place[0]), node] = expression

    def assign(self, node: Node, expression: Expression, place: _Place) -> None:
        if isinstance(node.op.lowering, Reduction) and reduced_axes(node, self.domain):
            raise AssertionError(f"{node!r} has no accumulator")
        self._named(node, expression, place[0], (id(place[0]), node))

    def _named(
        self, node: Node, expression: Expression, block: Block, key: tuple[int, object]
    ) -> Expression:
        if key not in self.function.known:
            target = self._variable_in(block, node, label(node))
            block.assign(target, expression, node)
            self.function.known[key] = target
        return self.function.known[key]

    def _variable_in(self, block: Block, node: Node, name: str) -> Target:
        """What holds a value that `block` computes."""
        if any(block is row for row in self.rows.values()):
            return self._row_variable(node, name)
        return Name(self.function.names.unique(name))
