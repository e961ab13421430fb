"""What a product's kernel does to reduce whole rows of the result: softmax, norms of rows.

A block of rows is finished first, then turned so that a vector holds one column of many rows. What
is reduced over a row is then added up element by element, in the order of the columns: the bits do
not depend on how many rows a block has, and no vector is partly empty because rows are short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Strided
from graphc.ir.types import row_major_strides
from graphc.kernels.loops.language.expressions import Element, Expression, Name
from graphc.kernels.loops.language.indices import index_expression
from graphc.kernels.loops.language.scalar import (
    combined_in_order,
    dtype_name,
    neutral_element,
    number,
)
from graphc.kernels.loops.language.source import Arguments, Microkernel, StorageOf
from graphc.kernels.loops.language.statements import Block, Call, Limits, Stack
from graphc.kernels.loops.language.values import ValueWriter
from graphc.kernels.loops.rewrites.passes import pass_sinks, values_kept_between_passes
from graphc.kernels.nests.access import Loop, access_along, place_in_memory
from graphc.kernels.nests.domain import Domain
from graphc.kernels.nests.loopnest import LoopNest, Phase, Reduces, plan_loops
from graphc.kernels.nests.names import Names, label
from graphc.kernels.nests.node_kinds import is_contraction, viewed
from graphc.kernels.nests.refusal import NoProduct, Refusal
from graphc.kernels.products.contraction import Contraction
from graphc.kernels.products.epilogues.epilogue import Epilogue, Tiles, TilesEnd
from graphc.kernels.products.microkernels.microkernel import ITEM_BYTES, transpose_microkernel
from graphc.kernels.products.product_nodes import ProductNodes
from graphc.kernels.products.tile_calls import called
from graphc.kernels.products.variables import (
    BLOCK_END,
    BLOCK_START,
    COLUMN,
    ROW,
    TILE,
    TILE_ROW,
)

# Of a value of a block of rows: a few of them stay in the first cache.
BLOCK_BYTES = 6 * 1024


@dataclass(frozen=True, eq=False)
class RowPlan:
    """An `EpiloguePlan` of whole rows: the passes over a row in which the product and what depends
    on its rows are computed."""

    nest: LoopNest

    @property
    def domain(self) -> Domain:
        return self.nest.domain

    def shaped(self, contraction: Contraction) -> Contraction:
        return replace(contraction, whole_rows=True)

    def in_kernel(
        self, lanes: int, storage_of: StorageOf, arguments: Arguments, names: Names
    ) -> Epilogue:
        return RowEpilogue(self.nest, storage_of, arguments, names)


def plan_rows(parts: ProductNodes) -> RowPlan | Refusal:
    """The passes over rows of an epilogue that reduces them, or why its kernel cannot."""
    product = parts.product
    if product.rank != 2 or min(product.type.dims) < 2:
        return Refusal(NoProduct.NO_MATRIX, (product,))
    nest = plan_loops((product, *parts.epilogue), parts.outputs)
    if isinstance(nest, Refusal):
        return nest
    if nest.domain.extents != product.type.dims or nest.domain.axes[product] != (0, 1):
        return Refusal(NoProduct.OTHER_ROWS, (product,))
    for node in nest.nodes:
        if nest.roles[node].phase is not Phase.MAIN or nest.reduces.get(node) is Reduces.ROWS:
            return Refusal(NoProduct.ALL_ROWS, (node, product))
    if nest.inner != (1,):
        return Refusal(NoProduct.NOTHING_REDUCED, (product,))
    return RowPlan(nest)


class RowEpilogue:
    """An `Epilogue` that reduces whole rows.

    Arrays on the stack hold a value of each row of a block, at `r`, or of each element, a column
    after the other, at `j * padded + r`. microkernels: what the statements call.
    """

    def __init__(
        self, nest: LoopNest, storage_of: StorageOf, arguments: Arguments, names: Names
    ) -> None:
        self.nest = nest
        self.storage_of = storage_of
        self.arguments = arguments
        self.names = names
        self.product = next(node for node in nest.nodes if is_contraction(node))
        self.columns = self.product.type.dims[1]
        self.microkernels: dict[str, Microkernel] = {}
        rows = nest.domain.extents[0]
        self._loops = (Loop(ROW.text, rows, (0,)), Loop(COLUMN.text, self.columns, (1,)))

    def declared(self, tile_stride: int) -> Sequence[Stack]:
        return ()

    def end_of(self, tiles: Tiles) -> TilesEnd:
        if not tiles.contraction.whole_rows:
            raise ValueError("an epilogue of whole rows, but no tiles of all columns")
        lanes = tiles.tiling.lanes
        rows = self._rows_at_once(tiles.tiling.rows, tiles.task_rows, lanes)
        writer = _BlockWriter(self, rows, lanes, tiles.stride)
        finishing = writer.block()
        return _RowsEnd(rows, writer.declared, self.microkernels, finishing)

    def _rows_at_once(self, tile_rows: int, task_rows: int, lanes: int) -> int:
        """The rows of a block, of tasks of so many rows: whole tiles, with few lanes empty."""
        row_bytes = self.columns * ITEM_BYTES[self.product.dtype.name]
        most = max(BLOCK_BYTES // (row_bytes * tile_rows), 1)
        if task_rows <= most * tile_rows:
            return task_rows

        def lanes_a_task(tiles: int) -> int:
            whole, rest = divmod(task_rows, tiles * tile_rows)
            return whole * _padded(tiles * tile_rows, lanes) + _padded(rest, lanes)

        return min(range(most, 0, -1), key=lanes_a_task) * tile_rows

    def index(self, place: Strided, axes: tuple[int | None, ...]) -> Expression:
        return index_expression(access_along("", place, axes, 2), self._loops)


@dataclass(frozen=True)
class _RowsEnd:
    """Ends blocks of at most `rows_at_once` rows; `tile` has room for whole vectors of rows."""

    rows_at_once: int
    before: Block
    microkernels: dict[str, Microkernel]
    finishing: Block

    def ask_ahead(self, into: Block, rows: Expression, columns: int) -> None:
        """What is read of a block is read row after row."""

    def finish(self, into: Block, rows: Expression, columns: int) -> None:
        """Tiles are ended when all of a block are there."""

    def finish_rows(self, into: Block) -> None:
        into.extend(self.finishing)


def _padded(count: int, lanes: int) -> int:
    return -(-count // lanes) * lanes


class _BlockWriter(ValueWriter[Block]):
    """Writes the statements for one block of rows.

    arrays: of values that stand in one. made: the names that values have in the loop being
        written; asks_for_row: whether that uses the number of the row.
    """

    def __init__(self, owner: RowEpilogue, rows: int, lanes: int, tile_stride: int) -> None:
        self.owner = owner
        self.nest = owner.nest
        self.rows, self.lanes = rows, lanes
        self.padded = _padded(rows, lanes)
        self.tile_stride = tile_stride
        self.declared = Block()
        self.loads = Block()
        self.arrays: dict[Node, Name] = {}
        self.operands: dict[tuple[Node, Expression], Name] = {}
        self.made: dict[Node, Expression] = {}
        self.asks_for_row = False

    def block(self) -> Block:
        nest, product = self.nest, self.owner.product
        if self.padded > self.rows:
            start, end = self.rows * self.tile_stride, self.padded * self.tile_stride
            zero = number(0, product.dtype)
            self._set(TILE, (start, end), zero)
        self.arrays[product] = self._array(product, f"{label(product)}_columns", by_element=True)
        body = Block()
        self._turn_tile(body)
        kept = values_kept_between_passes(nest)
        self._row_level(-1, body)
        for level in range(nest.passes):
            self._pass(level, kept, body)
            self._row_level(level, body)
        self._store(body)
        whole = Block()
        whole.extend(self.loads)
        whole.extend(body)
        return whole

    def _array(self, node: Node, name: str, *, by_element: bool) -> Name:
        array = Name(self.owner.names.unique(name))
        size = self.padded * self.owner.columns if by_element else self.padded
        self.declared.add(Stack(array, dtype_name(node.dtype), size))
        return array

    @property
    def _element(self) -> Expression:
        """Where the element of a row and column stands in an array."""
        return COLUMN * self.padded + TILE_ROW

    def _set(self, array: Name, limits: Limits, value: Expression) -> None:
        """Elements of an array that no row is behind, before all tiles."""
        element = Block()
        element.assign(Element(array, TILE_ROW), value)
        self.declared.loop(TILE_ROW, limits, element)

    # --- between rows and columns --------------------------------------------------------------

    def _turn_tile(self, body: Block) -> None:
        """A column of the tile after the other."""
        body.add(self._turned(TILE, self.tile_stride, self.arrays[self.owner.product]))

    def _turned(self, rowwise: Name, stride: int, columnwise: Name) -> Call:
        lanes, columns = self.lanes, self.owner.columns
        while lanes > columns:
            lanes //= 2
        kernel = self._microkernel(self.padded, lanes)
        return called(kernel, columns, rowwise, stride, 1, rowwise, 0, columnwise, self.padded)

    def _microkernel(self, columns: int, lanes: int) -> Microkernel:
        kernel = transpose_microkernel(self.owner.product.dtype.name, columns, lanes)
        self.owner.microkernels[kernel.name] = kernel
        return kernel

    def _store(self, body: Block) -> None:
        """The outputs. They come last: a state may be overwritten in place."""
        for node in self.nest.outputs:
            place = Strided(0, row_major_strides(node.type.dims))
            index = self.owner.index(place, self.nest.domain.axes[node])
            target = Element(self.owner.arguments.name(self.owner.storage_of(node)), index)
            array, row = self.arrays[node], Block()
            if not self.nest.roles[node].inner:
                row.assign(target, Element(array, TILE_ROW))
                self._each_row(body, row)
                continue
            value = Element(array, self._element)
            if node.dtype == self.owner.product.dtype:
                stride = _padded(self.owner.columns, self.lanes)
                rowwise = Name(self.owner.names.unique(f"{label(node)}_rows"))
                size = stride * self.padded
                self.declared.add(Stack(rowwise, dtype_name(node.dtype), size))
                kernel = self._microkernel(self.owner.columns, self.lanes)
                read = (array, self.padded, 1, array, 0)
                body.add(called(kernel, self.padded, *read, rowwise, stride))
                value = Element(rowwise, TILE_ROW * stride + COLUMN)
            element = Block()
            element.assign(target, value)
            row.loop(COLUMN, self.owner.columns, element)
            self._each_row(body, row)

    def _each_row(self, body: Block, row: Block) -> None:
        """Statements for every row that there is, and no other."""
        numbered = Block()
        numbered.assign(ROW, BLOCK_START + TILE_ROW)
        numbered.extend(row)
        body.loop(TILE_ROW, BLOCK_END - BLOCK_START, numbered)

    # --- passes --------------------------------------------------------------------------------

    def _pass(self, level: int, kept: dict[Node, int], body: Block) -> None:
        sinks = set(pass_sinks(self.nest, level))
        wanted = [n for n in self.nest.nodes if n in sinks or kept.get(n) == level]
        self.made, self.asks_for_row = {}, False
        start, lines = Block(), Block()
        for node in wanted:
            if node in self.nest.reduces:
                self.arrays[node] = self._array(node, label(node), by_element=False)
                target = Element(self.arrays[node], TILE_ROW)
                start.assign(target, neutral_element(node), node)
                value = self.operand(node, 0, lines)
                lines.accumulate(target, combined_in_order(node, target, value), node)
            elif node is not self.owner.product:
                value = self.value(node, lines)
                name = f"{label(node)}_columns"
                self.arrays[node] = self._array(node, name, by_element=True)
                lines.assign(Element(self.arrays[node], self._element), value, node)
        body.loop(TILE_ROW, self.padded, start)
        if lines.whole:
            inner = Block()
            inner.loop(TILE_ROW, self.padded, self._with_row(lines))
            body.loop(COLUMN, self.owner.columns, inner)

    def _with_row(self, lines: Block) -> Block:
        """With the number of the row, where a line asks for it."""
        asked = Block()
        if self.asks_for_row:
            asked.assign(ROW, BLOCK_START + TILE_ROW)
        asked.extend(lines)
        return asked

    def _row_level(self, level: int, body: Block) -> None:
        """Values of a row that exist after a pass, each in an array."""
        self.made, self.asks_for_row = {}, False
        lines = Block()
        for node in self.nest.nodes:
            role = self.nest.roles[node]
            if role.inner or role.level != level or node in self.nest.reduces:
                continue
            value = self.value(node, lines)
            self.arrays[node] = self._array(node, label(node), by_element=False)
            lines.assign(Element(self.arrays[node], TILE_ROW), value, node)
        body.loop(TILE_ROW, self.padded, self._with_row(lines))

    # --- values --------------------------------------------------------------------------------

    def is_made(self, node: Node) -> bool:
        return node in self.nest.roles

    def home(self, node: Node, place: Block) -> Block | None:
        return None if node in self.made or node in self.arrays else place

    def found(self, node: Node, place: Block) -> Expression:
        if node not in self.made:
            inner = self.nest.roles[node].inner
            index = self._element if inner else TILE_ROW
            self.assign(node, Element(self.arrays[node], index), place)
        return self.made[node]

    def index(self, node: Node, position: int | None) -> Expression:
        domain = self.nest.domain
        if position is None:
            place: Strided | None = Strided(0, row_major_strides(node.type.dims))
            axes = domain.axes[node]
        else:
            place = place_in_memory(node.operands[position])
            axes = domain.operand_axes[node, position]
        assert place is not None
        self.asks_for_row |= 0 in axes
        return self.owner.index(place, axes)

    def remember(self, node: Node, expression: Expression, place: Block) -> None:
        self.made[node] = expression

    def assign(self, node: Node, expression: Expression, place: Block) -> None:
        name = Name(self.owner.names.unique(label(node)))
        place.assign(name, expression, node)
        self.made[node] = name

    def loaded(self, node: Node, position: int, place: Block) -> Expression:
        operand = node.operands[position]
        base, at = viewed(operand), place_in_memory(operand)
        assert at is not None
        axes = self.nest.domain.operand_axes[node, position]
        index = self.owner.index(at, axes)
        if 0 not in axes:
            return Element(self.owner.arguments.name(self.owner.storage_of(base)), index)
        array = self._array_of(base, index, by_element=1 in axes)
        return Element(array, self._element if 1 in axes else TILE_ROW)

    def _array_of(self, base: Node, index: Expression, *, by_element: bool) -> Name:
        """The array that holds an operand for the rows of a block. There are no rows behind them
        to be read, though what the lanes behind hold is computed, too."""
        if (base, index) in self.operands:
            return self.operands[base, index]
        name = f"{label(base)}_columns" if by_element else f"{label(base)}_of_rows"
        array = self._array(base, name, by_element=by_element)
        self.operands[base, index] = array
        source = Element(self.owner.arguments.name(self.owner.storage_of(base)), index)
        zero = number(0, base.dtype)
        if not by_element:
            if self.padded > self.rows:
                self._set(array, (self.rows, self.padded), zero)
            row = Block()
            row.assign(Element(array, TILE_ROW), source)
            self._each_row(self.loads, row)
            return array
        size = self.padded * self.owner.columns
        self._set(array, size, zero)
        element, row = Block(), Block()
        element.assign(Element(array, self._element), source)
        row.loop(COLUMN, self.owner.columns, element)
        self._each_row(self.loads, row)
        return array
