"""From a planned loop nest to numba source text."""

from __future__ import annotations

from collections.abc import Callable

from graphc.ir.graph import Node
from graphc.ir.op import LoopIndex, Reduction, Scalar, Strided
from graphc.ir.types import row_major_strides
from graphc.kernels.access import (
    Access,
    Loop,
    access_along,
    index_expression,
    merge_axes,
    place_in_memory,
)
from graphc.kernels.group import is_inline, is_view, view_axes, viewed
from graphc.kernels.loopnest import LoopNest, Phase, Reduces, reduced_axes
from graphc.kernels.names import Names, label
from graphc.kernels.scalar import constant, dtype_name, number, scalar_expression
from graphc.kernels.source import (
    RESERVED,
    Arguments,
    Block,
    KernelSource,
    Storage,
    function_text,
)

StorageOf = Callable[[Node], Storage]

# A value that costs less than this is computed again in a later pass rather than kept for it.
RECOMPUTE_COST = 8

OUTER_VARIABLES = ("i", "i1", "i2", "i3", "i4", "i5", "i6", "i7")
INNER_VARIABLES = ("j", "j1", "j2", "j3", "j4", "j5", "j6", "j7")


def emit_loops(name: str, nest: LoopNest, storage_of: StorageOf) -> KernelSource:
    """The kernel that computes `nest` and stores its outputs where `storage_of` says."""
    return _LoopEmitter(name, nest, storage_of).emit()


def iota_axis(operand: Node, axes: tuple[int | None, ...]) -> int | None:
    """The loop axis along which the index counts that `operand`, a view of iota, shows."""
    chain = []
    value = operand
    while is_view(value):
        chain.append(value)
        value = value.operands[0]
    axis = 0
    for view in reversed(chain):
        if view.operands[0].type.dims[axis] == 1:
            return None
        becomes = view_axes(view)
        assert becomes is not None
        axis = becomes[axis]
    return axes[axis]


class _LoopEmitter:
    def __init__(self, name: str, nest: LoopNest, storage_of: StorageOf) -> None:
        self.name = name
        self.nest = nest
        self.domain = nest.domain
        self.storage_of = storage_of
        self.names = Names({*RESERVED, *OUTER_VARIABLES, *INNER_VARIABLES, name})
        self.arguments = Arguments(self.names)
        self.prologue = Block()
        self.rows = {level: Block() for level in range(-1, nest.passes)}
        self.passes = [Block() for _ in range(nest.passes)]
        self.finish = Block()
        self.finish_inner = Block()
        self.known: dict[tuple[int, object], str] = {}
        self.accumulators: dict[Node, str] = {}
        self.scratch: dict[Node, Storage] = {}
        self.outer_loops, self.inner_loops = self._loops()

    def emit(self) -> KernelSource:
        kept = self._values_kept_between_passes()
        for node in kept:
            self.scratch[node] = self._scratch(node, self._row_size())
        for node, kind in self.nest.reduces.items():
            self._begin_accumulator(node, kind)
        self._emit_row_level(-1)
        for level in range(self.nest.passes):
            self._emit_pass(level, kept)
            self._emit_row_level(level)
        self._emit_finish()
        text = function_text(self.name, self.arguments, self._assembled().lines)
        return KernelSource(self.name, text, self.arguments.storages, tuple(self.scratch.values()))

    # --- loops -----------------------------------------------------------------------------

    def _loops(self) -> tuple[tuple[Loop, ...], tuple[Loop, ...]]:
        accesses = [
            self._read_access(node, position)
            for node in self.nest.nodes
            for position, operand in enumerate(node.operands)
            if self._is_external(operand)
        ]
        accesses += [self._write_access(node) for node in self.nest.outputs]
        indexed = {
            iota_axis(operand, self.domain.operand_axes[node, position])
            for node in self.nest.nodes
            for position, operand in enumerate(node.operands)
            if isinstance(viewed(operand).op.lowering, LoopIndex)
        }
        indexed |= {
            self.domain.axes[node][0]
            for node in self.nest.nodes
            if isinstance(node.op.lowering, LoopIndex)
        }
        outer = merge_axes(
            self.nest.outer, self.domain.extents, accesses, indexed.__contains__, OUTER_VARIABLES
        )
        inner = merge_axes(
            self.nest.inner, self.domain.extents, accesses, indexed.__contains__, INNER_VARIABLES
        )
        return outer, inner

    def _is_external(self, operand: Node) -> bool:
        base = viewed(operand)
        return base not in self.nest.roles and not is_inline(base)

    def _read_access(self, node: Node, position: int) -> Access:
        operand = node.operands[position]
        place = place_in_memory(operand)
        if place is None:
            raise AssertionError(f"{operand!r} has no strides and was not copied")
        axes = self.domain.operand_axes[node, position]
        return access_along("", place, axes, len(self.domain.extents))

    def _write_access(self, node: Node) -> Access:
        place = Strided(0, row_major_strides(node.type.dims))
        return access_along("", place, self.domain.axes[node], len(self.domain.extents))

    def _index(self, access: Access) -> str:
        return index_expression(access, (*self.outer_loops, *self.inner_loops))

    def _row_size(self) -> int:
        size = 1
        for loop in self.inner_loops:
            size *= loop.extent
        return size

    def _row_index(self) -> str:
        """The index of the current element within its row."""
        strides = row_major_strides([loop.extent for loop in self.inner_loops])
        terms = [
            loop.variable if stride == 1 else f"{loop.variable} * {stride}"
            for loop, stride in zip(self.inner_loops, strides, strict=True)
            if loop.extent != 1
        ]
        return " + ".join(terms) or "0"

    def _scratch(self, node: Node, size: int) -> Storage:
        return Storage(f"{label(node)}_row", node.dtype, size)

    # --- what is kept between passes -------------------------------------------------------

    def _values_kept_between_passes(self) -> dict[Node, int]:
        """Inner values that a later pass needs and that cost too much to compute again.

        Maps each to its pass. Later passes are looked at first: what they keep is one more thing
        that an earlier pass has to compute.
        """
        kept: dict[Node, int] = {}
        for level in range(self.nest.passes - 1, 0, -1):
            wanted = [*self._sinks(level), *(n for n, made in kept.items() if made == level)]
            seen: set[Node] = set()
            while wanted:
                node = wanted.pop()
                for operand in map(viewed, node.operands):
                    if operand in seen or not self._is_inner_value(operand):
                        continue
                    seen.add(operand)
                    made = self.nest.roles[operand].level
                    if self._is_reloaded(operand, level) or operand in kept:
                        continue
                    if made < level and self._cost_in_pass(operand, level, kept) > RECOMPUTE_COST:
                        kept[operand] = made
                    else:
                        wanted.append(operand)
        return kept

    def _is_inner_value(self, node: Node) -> bool:
        return (
            node in self.nest.roles
            and self.nest.roles[node].inner
            and node not in self.nest.reduces
        )

    def _is_reloaded(self, node: Node, level: int) -> bool:
        """Whether an earlier pass of the same row has stored the value as an output."""
        role = self.nest.roles[node]
        return node in self.nest.outputs and role.phase is Phase.MAIN and role.level < level

    def _cost_in_pass(self, node: Node, level: int, kept: dict[Node, int]) -> int:
        cost, wanted, seen = 0, [node], {node}
        while wanted:
            current = wanted.pop()
            if isinstance(current.op.lowering, Scalar):
                cost += current.op.lowering.cost
            for operand in map(viewed, current.operands):
                if (
                    operand not in seen
                    and self._is_inner_value(operand)
                    and operand not in kept
                    and not self._is_reloaded(operand, level)
                ):
                    seen.add(operand)
                    wanted.append(operand)
        return cost

    # --- sinks: what each part of the kernel has to bring about ----------------------------

    def _sinks(self, level: int) -> list[Node]:
        """Stores and accumulations that pass `level` brings about."""
        inner = frozenset(self.nest.inner)
        result = []
        for node in self.nest.nodes:
            role = self.nest.roles[node]
            if role.phase is not Phase.MAIN or role.level != level:
                continue
            if node in self.nest.reduces:
                if self.domain.operand_span(node, 0) & inner:
                    result.append(node)
            elif role.inner and node in self.nest.outputs:
                result.append(node)
        return result

    def _row_sinks(self, level: int) -> list[Node]:
        """Stores and accumulations of row values that exist after pass `level`."""
        inner = frozenset(self.nest.inner)
        result = []
        for node in self.nest.nodes:
            role = self.nest.roles[node]
            if role.phase is not Phase.MAIN or role.level != level or role.inner:
                continue
            if self.nest.reduces.get(node) is Reduces.ROWS:
                if not self.domain.operand_span(node, 0) & inner:
                    result.append(node)
            elif node in self.nest.outputs:
                result.append(node)
        return result

    # --- accumulators ----------------------------------------------------------------------

    def _begin_accumulator(self, node: Node, kind: Reduces) -> None:
        """Declares what a reduction accumulates into and sets it to the neutral element."""
        lowering = node.op.lowering
        assert isinstance(lowering, Reduction)
        neutral = number(lowering.identity(node.dtype), node.dtype)
        level = self.nest.roles[node].level
        if kind is Reduces.ROWS and self.nest.roles[node].inner:
            storage = self._accumulator_storage(node)
            zero = Block()
            zero.add(f"{self.arguments.name(storage)}[{self._accumulator_index(node)}] = {neutral}")
            self._nest_loops(self.prologue, self.inner_loops, zero)
            return
        variable = self.names.unique(label(node))
        self.accumulators[node] = variable
        if kind is Reduces.ROW:
            self.rows[level - 1].add(f"{variable} = {neutral}", node)
            return
        self.prologue.add(f"{variable} = {neutral}", node)
        if self.domain.operand_span(node, 0) & frozenset(self.nest.inner):
            self.rows[level - 1].add(f"{variable}_of_row = {neutral}")

    def _accumulator_storage(self, node: Node) -> Storage:
        if node in self.nest.outputs:
            return self.storage_of(node)
        if node not in self.scratch:
            self.scratch[node] = Storage(f"{label(node)}_over_rows", node.dtype, self._row_size())
        return self.scratch[node]

    def _accumulator_index(self, node: Node) -> str:
        if node in self.nest.outputs:
            return self._index(self._write_access(node))
        return self._row_index()

    def _accumulate(self, node: Node, value: str, block: Block) -> None:
        lowering = node.op.lowering
        assert isinstance(lowering, Reduction)
        combine = f"{lowering.combine}_reassoc"
        if node not in self.accumulators:
            target = f"{self.arguments.name(self._accumulator_storage(node))}"
            target += f"[{self._accumulator_index(node)}]"
        else:
            target = self.accumulators[node]
            in_row = self.domain.operand_span(node, 0) & frozenset(self.nest.inner)
            if self.nest.reduces[node] is Reduces.ROWS and in_row:
                level = self.nest.roles[node].level
                self.rows[level].add(f"{target} = {combine}({target}, {target}_of_row)")
                target = f"{target}_of_row"
        block.add(f"{target} = {combine}({target}, {value})", node)

    # --- the parts of the kernel -----------------------------------------------------------

    def _emit_pass(self, level: int, kept: dict[Node, int]) -> None:
        block = self.passes[level]
        wanted = set(self._sinks(level)) | {n for n, made in kept.items() if made == level}
        for node in self.nest.nodes:
            if node not in wanted:
                continue
            if node in self.nest.reduces:
                self._accumulate(node, self._operand(node, 0, block, level), block)
                continue
            value = self._value(node, block, level)
            if node in kept:
                buffer = self.arguments.name(self.scratch[node])
                block.add(f"{buffer}[{self._row_index()}] = {value}")
            if node in self._sinks(level):
                self._store(node, value, block)

    def _emit_row_level(self, level: int) -> None:
        block = self.rows[level]
        for node in self._row_sinks(level):
            if self.nest.reduces.get(node) is Reduces.ROWS:
                self._accumulate(node, self._operand(node, 0, block, level), block)
            else:
                outside = level == -1 and not self.domain.span(node)
                self._store(
                    node, self._value(node, block, level), self.prologue if outside else block
                )

    def _emit_finish(self) -> None:
        level = self.nest.passes
        for node in self.nest.outputs:
            role, kind = self.nest.roles[node], self.nest.reduces.get(node)
            if kind is Reduces.ROWS:
                if not role.inner:
                    self._store(node, self.accumulators[node], self.finish)
            elif role.phase is Phase.FINISH and role.inner:
                value = self._value(node, self.finish_inner, level)
                self._store(node, value, self.finish_inner)
            elif role.phase is Phase.FINISH:
                self._store(node, self._value(node, self.finish, level), self.finish)

    def _store(self, node: Node, value: str, block: Block) -> None:
        buffer = self.arguments.name(self.storage_of(node))
        block.add(f"{buffer}[{self._index(self._write_access(node))}] = {value}", node)

    def _assembled(self) -> Block:
        row = Block()
        row.extend(self.rows[-1])
        for level, block in enumerate(self.passes):
            self._nest_loops(row, self.inner_loops, block)
            row.extend(self.rows[level])
        whole = Block()
        whole.extend(self.prologue)
        self._nest_loops(whole, self.outer_loops, row)
        whole.extend(self.finish)
        self._nest_loops(whole, self.inner_loops, self.finish_inner)
        return whole

    def _nest_loops(self, into: Block, loops: tuple[Loop, ...], body: Block) -> None:
        for loop in reversed(loops):
            if loop.extent != 1:
                around = Block()
                around.nest(f"for {loop.variable} in range({loop.extent}):", body)
                body = around
        into.extend(body)

    # --- values ----------------------------------------------------------------------------

    def _operand(self, node: Node, position: int, block: Block, level: int) -> str:
        """Operand number `position` as it is read in `block`, in or after pass `level`."""
        operand = node.operands[position]
        base = viewed(operand)
        if isinstance(base.op.lowering, LoopIndex) and base not in self.nest.roles:
            return self._loop_index(
                base, iota_axis(operand, self.domain.operand_axes[node, position])
            )
        if is_inline(base):
            return constant(base)
        if base in self.nest.roles:
            return self._value(base, block, level)
        return self._load(node, position, block)

    def _loop_index(self, iota: Node, axis: int | None) -> str:
        if axis is None:
            return number(0, iota.dtype)
        loops = (*self.outer_loops, *self.inner_loops)
        variable = next(loop.variable for loop in loops if axis in loop.axes)
        return f"{dtype_name(iota.dtype)}({variable})"

    def _load(self, node: Node, position: int, block: Block) -> str:
        operand = node.operands[position]
        span = self.domain.operand_span(node, position)
        if not span & frozenset(self.nest.inner):
            block = self._block_of(-1, bool(span))
        buffer = self.arguments.name(self.storage_of(viewed(operand)))
        element = f"{buffer}[{self._index(self._read_access(node, position))}]"
        key = (id(block), element)
        if key not in self.known:
            self.known[key] = self.names.unique(f"{label(viewed(operand))}_value")
            block.add(f"{self.known[key]} = {element}", node)
        return self.known[key]

    def _block_of(self, level: int, varies_by_row: bool) -> Block:
        """Where a value that does not vary within a row is computed."""
        return self.prologue if level == -1 and not varies_by_row else self.rows[level]

    def _value(self, node: Node, block: Block, level: int) -> str:
        """A value of the group as `block` reads it: kept from an earlier pass, or computed."""
        place = self._computed_at(node, block, level)
        if place is not None:
            return self._computed(node, *place)
        if node in self.accumulators:
            return self.accumulators[node]
        if node in self.nest.reduces:
            storage, index = self._accumulator_storage(node), self._accumulator_index(node)
        elif node in self.scratch:
            storage, index = self.scratch[node], self._row_index()
        else:
            storage, index = self.storage_of(node), self._index(self._write_access(node))
        element = f"{self.arguments.name(storage)}[{index}]"
        return self._named(node, element, block, (id(block), node))

    def _computed_at(self, node: Node, block: Block, level: int) -> tuple[Block, int] | None:
        """The block that computes the value for `block`, and its pass; None when it is kept."""
        role = self.nest.roles[node]
        if node in self.nest.reduces:
            return None
        if role.inner:
            in_later_pass = role.phase is Phase.MAIN and role.level < level < self.nest.passes
            is_kept = node in self.scratch or self._is_reloaded(node, level)
            return None if in_later_pass and is_kept else (block, level)
        if role.phase is Phase.FINISH:
            return self.finish, level
        return self._block_of(role.level, bool(self.domain.span(node))), role.level

    def _computed(self, node: Node, block: Block, level: int) -> str:
        """The value computed in `block`, after its operands; iterative, so that the length of a
        chain of ops is bounded by memory and not by Python's stack."""
        stack = [(node, block, level)]
        while stack:
            current, home, at = stack[-1]
            waiting = [
                (base, *place)
                for base in map(viewed, current.operands)
                if base in self.nest.roles
                and (place := self._computed_at(base, home, at)) is not None
                and (id(place[0]), base) not in self.known
            ]
            if waiting and (id(home), current) not in self.known:
                stack.extend(reversed(waiting))
            else:
                stack.pop()
                self._compute(current, home, at)
        return self.known[id(block), node]

    def _compute(self, node: Node, block: Block, level: int) -> None:
        """Emits the value's line, unless it is there; its operands have been computed."""
        key = (id(block), node)
        if key in self.known:
            return
        if isinstance(node.op.lowering, LoopIndex):
            self.known[key] = self._loop_index(node, self.domain.axes[node][0])
            return
        operands = [
            self._operand(node, position, block, level) for position in range(len(node.operands))
        ]
        if isinstance(node.op.lowering, Reduction):
            if reduced_axes(node, self.domain):
                raise AssertionError(f"{node!r} has no accumulator")
            self.known[key] = operands[0]
        else:
            self._named(node, scalar_expression(node, operands), block, key)

    def _named(self, node: Node, expression: str, block: Block, key: tuple[int, object]) -> str:
        if key not in self.known:
            self.known[key] = self.names.unique(label(node))
            block.add(f"{self.known[key]} = {expression}", node)
        return self.known[key]
