"""From scheduled groups to kernel sources and an instruction table over one arena."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.compiler.fusion.traffic import traffic
from graphc.compiler.plan.arena import Arena, live_ranges, plan_arena
from graphc.compiler.plan.loop_bodies import LoopPlan
from graphc.compiler.plan.planned import Plan as Plan
from graphc.compiler.plan.planned import PlannedInstruction as PlannedInstruction
from graphc.compiler.plan.planned import PlannedLoop, PlannedSlice
from graphc.compiler.plan.planned import Storages as Storages
from graphc.compiler.plan.schedule import Schedule
from graphc.compiler.plan.sharing import share_rows
from graphc.ir.graph import Node, Program, is_among
from graphc.ir.nodes.lowering import Gather
from graphc.ir.ops import leaf
from graphc.ir.ops.movement.indexed import in_range
from graphc.ir.ops.region import Steps
from graphc.kernels.groups.emit_contraction import emit_contraction
from graphc.kernels.groups.group import (
    Candidate,
    ContractionCandidate,
    ContractionGroup,
    Group,
    LoopGroup,
    MovementGroup,
    OrderedGroup,
    RegionGroup,
)
from graphc.kernels.loops.emit import emit_loops
from graphc.kernels.loops.language.source import RESERVED, KernelSource, OwnRows, Storage
from graphc.kernels.loops.movement.emit_movement import emit_movement, emit_range_check
from graphc.kernels.loops.rewrites.argument_starts import from_first_elements
from graphc.kernels.nests.names import Names, label
from graphc.kernels.nests.node_kinds import changes_base, external_operands, is_result, viewed
from graphc.kernels.ordered.emit_ordered import emit_ordered

# A kernel's name lists at most so many of the ops whose values it stores.
LABELS_IN_NAME = 3
# What the row is called that begins a loop.
LOOP_NAME = "loop"


def plan(
    program: Program,
    order: Schedule,
    vector_bits: int,
    threads: int = 1,
    loops: Mapping[Node, LoopPlan] | None = None,
) -> Plan:
    """Names, storages, kernel sources and arena offsets for the scheduled groups.

    loops: the steps of each loop among them.
    """
    emission = _Emission(vector_bits, threads, Names(RESERVED), Names())
    storages = _assign_storages(program, order, emission.storage_names)
    instructions = emission.rows(program, order, storages, loops or {})
    arena = _plan_memory(program, storages, instructions, threads)
    sharing = share_rows(instructions, arena, threads)
    for row, (is_shared, _) in zip(instructions, sharing, strict=True):
        if is_shared:
            check_scratch(row.source, threads)
    return Plan(
        tuple(
            replace(row, shared=shared, barrier=barrier)
            for row, (shared, barrier) in zip(instructions, sharing, strict=True)
        ),
        storages,
        arena,
    )


@dataclass(frozen=True, eq=False)
class _Emission:
    """What the rows of a program and those of the steps of its loops have in common."""

    vector_bits: int
    threads: int
    names: Names
    storage_names: Names

    def rows(
        self,
        program: Program,
        order: Schedule,
        storages: Storages,
        loops: Mapping[Node, LoopPlan],
    ) -> list[PlannedInstruction]:
        """The rows of the groups, behind the checks of given indices."""
        instructions: list[PlannedInstruction] = []
        checks = _checks(program)
        for group in order.groups:
            if isinstance(group, RegionGroup):
                instructions += self._loop_rows(group, storages, loops[group.node])
            else:
                name = self.names.unique(kernel_name(group))
                emitted = _emit(name, group, storages, self.vector_bits, self.threads)
                first, *finishing = map(from_first_elements, emitted)
                instructions.append(PlannedInstruction(first, group))
                instructions += [PlannedInstruction(x, finishes=group) for x in finishing]
            for checked in checks:
                if is_among(viewed(checked), group.outputs):
                    instructions.append(_check(checked, storages, self.names))
        return [*_given_checks(program, storages, self.names, instructions), *instructions]

    def _loop_rows(
        self, group: RegionGroup, storages: Storages, loop: LoopPlan
    ) -> list[PlannedInstruction]:
        """A row that begins the loop, those of a step, and one that ends it."""
        storage_of, slices, scratch = self._storages_of_step(group, storages, loop)
        step = loop.step.program
        inner = _assign_storages(step, loop.schedule, self.storage_names, storage_of)
        length = Steps.of(group.node).length
        repeats = length if isinstance(length, int) else 1
        rows = [
            replace(row, repeats=repeats * row.repeats)
            for row in self.rows(step, loop.schedule, inner, loop.loops)
        ]
        storages.add_steps(inner)
        sliced = {each.storage for each in slices}
        outside = [x for x in storage_of.values() if x not in sliced]
        arguments = tuple(dict.fromkeys([*(each.whole for each in slices), *outside]))
        planned = _planned_loop(group.node, tuple(slices), storages)
        name = self.names.unique(LOOP_NAME)
        begin = KernelSource(name, (), arguments, scratch)
        end = KernelSource(self.names.unique(f"end_{name}"), (), arguments)
        return [
            PlannedInstruction(begin, group, begins=planned),
            *rows,
            PlannedInstruction(end, ends=planned),
        ]

    def _storages_of_step(
        self, group: RegionGroup, storages: Storages, loop: LoopPlan
    ) -> tuple[dict[Node, Storage], list[PlannedSlice], tuple[Storage, ...]]:
        """The memory of a step's states and inputs, the slices among it, and what nobody reads."""
        step, node = loop.step, group.node
        steps = Steps.of(node)
        carries = len(step.carries)
        behind = carries + len(step.slices)
        operands = [storages.of(viewed(operand)) for operand in node.operands]
        storage_of = dict(zip(step.carries, operands[:carries], strict=True))
        storage_of |= dict(zip(step.values, operands[behind:], strict=True))
        slices = []
        scratch = []
        results = {result.attributes["number"]: result for result in group.outputs}
        wholes = dict(zip(step.slices, operands[carries:behind], strict=True))
        for number, state in enumerate(step.stacked, carries):
            if number in results:
                wholes[state] = storages.of(results[number])
            else:
                storage_of[state] = self._new_storage(state)
                scratch.append(storage_of[state])
        for value, whole in wholes.items():
            storage_of[value] = self._new_storage(value)
            stride = storage_of[value].nbytes
            assert isinstance(steps.length, int)
            last = stride * (steps.length - 1)
            first, stride = (last, -stride) if steps.reverse else (0, stride)
            slices.append(PlannedSlice(storage_of[value], whole, first, stride))
        return storage_of, slices, tuple(scratch)

    def _new_storage(self, node: Node) -> Storage:
        return Storage(self.storage_names.unique(label(node)), node.dtype, node.type.size)


def _planned_loop(node: Node, slices: tuple[PlannedSlice, ...], storages: Storages) -> PlannedLoop:
    length = Steps.of(node).length
    if length is None:
        return PlannedLoop(node, None, slices, storages.of(viewed(node.operands[0])))
    assert isinstance(length, int)
    return PlannedLoop(node, length, slices)


def check_scratch(source: KernelSource, threads: int) -> None:
    """Raises AssertionError unless each scratch memory of the kernel has parts that are proven to
    be of one thread each, of so many."""
    parts = {part.storage: part for part in source.parts}
    for storage in source.scratch:
        found = parts.get(storage)
        flaw = "no parts" if found is None else found.flaw(threads)
        if flaw is not None:
            raise AssertionError(f"{source.name}: threads share {storage.name}: {flaw}")


def kernel_name(group: Group) -> str:
    """What the kernel is called after: the product, then the ops whose values it stores."""
    stored = [label(node) for node in group.outputs]
    if isinstance(group, ContractionGroup):
        stored = ["matmul", *(name for name in stored if name != "matmul")]
    return "_".join(list(dict.fromkeys(stored))[:LABELS_IN_NAME])


def _emit(
    name: str, group: Group, storages: Storages, vector_bits: int, threads: int
) -> tuple[KernelSource, ...]:
    if isinstance(group, ContractionGroup):
        return (emit_contraction(name, group, storages.of, threads),)
    if isinstance(group, LoopGroup):
        return emit_loops(name, group.nest, storages.of, vector_bits, threads)
    if isinstance(group, OrderedGroup):
        return (emit_ordered(name, group.node, storages.of, vector_bits, threads),)
    return emit_movement(name, group.node, storages.of)


# --- checks of indices -----------------------------------------------------------------------


def _checks(program: Program) -> list[Node]:
    """The marks of index operands; of several that ask the same of the same indices one."""
    marks = {
        (viewed(node), node.attributes["limit"]): node
        for node in reversed(program.nodes)
        if node.op is in_range
    }
    return list(reversed(marks.values()))


def _given_checks(
    program: Program,
    storages: Storages,
    names: Names,
    instructions: Sequence[PlannedInstruction],
) -> list[PlannedInstruction]:
    """Checks of indices that are given: they come first, before anything is computed.

    The first check of an input copies it; others that ask more of it check the copy.
    """
    given = {*storages.inputs, *storages.states, *storages.constants}
    found, copied = [], set[Node]()
    for node in _checks(program):
        base = viewed(node)
        if base in storages.inputs and base not in copied:
            copied.add(base)
            reader = _own_rows_of(storages.of(base), instructions)
            found.append(_check(node, storages, names, storages.inputs[base], reader))
        elif base in given:
            found.append(_check(node, storages, names))
    return found


def _own_rows_of(storage: Storage, instructions: Sequence[PlannedInstruction]) -> OwnRows | None:
    """How the first kernel that reads `storage` by its own rows is cut; None where none does."""
    found = (row.source.own_rows for row in instructions if storage.size)
    return next((rows for rows in found if rows is not None and storage in rows.arguments), None)


def _check(
    node: Node,
    storages: Storages,
    names: Names,
    given: Storage | None = None,
    reader: OwnRows | None = None,
) -> PlannedInstruction:
    base = viewed(node)
    name = names.unique(f"check_{label(base)}")
    limit = node.attributes["limit"]
    source = emit_range_check(name, storages.of(base), limit, given, reader)
    return PlannedInstruction(source, checked=node)


# --- memory ----------------------------------------------------------------------------------


def _assign_storages(
    program: Program, order: Schedule, names: Names, given: Mapping[Node, Storage] | None = None
) -> Storages:
    """given: the memory of inputs and states that have some."""
    known = given or {}
    external: dict[Node, None] = {}
    for group in order.groups:
        external |= dict.fromkeys(external_operands(group.nodes))
    indices = dict.fromkeys(viewed(check) for check in _checks(program))
    external |= indices

    def new(node: Node) -> Storage:
        if node in known:
            return known[node]
        return Storage(names.unique(label(node)), node.dtype, node.type.size)

    inputs = {node: new(node) for node in program.inputs}
    checked = {
        node: Storage(names.unique(f"checked_{label(node)}"), node.dtype, node.type.size)
        for node in indices
        if node in inputs
    }
    read_states = [node for node in external if node.op is leaf.state]
    written_states = [state for state, _ in order.stores]
    states = {node: new(node) for node in dict.fromkeys([*read_states, *written_states])}
    constants = {node: new(node) for node in external if node.op is leaf.constant}
    overwritten = {value: states[state] for state, value in order.stores}
    temporaries: dict[Node, Storage] = {}
    for group in order.groups:
        for node in group.outputs:
            if node not in overwritten:
                start = _start_of_carry(node)
                temporaries[node] = new(node) if start is None else temporaries[start]
    return Storages(inputs, states, constants, temporaries, overwritten, checked, {})


def _start_of_carry(node: Node) -> Node | None:
    """What a loop's carry began with, in whose memory its last value is; None for other values."""
    if not is_result(node):
        return None
    (loop,) = node.operands
    number = node.attributes["number"]
    return loop.operands[number] if number < loop.attributes["carries"] else None


def _plan_memory(
    program: Program,
    storages: Storages,
    instructions: Sequence[PlannedInstruction],
    threads: int,
) -> Arena:
    placed = [*storages.temporaries.values(), *storages.checked.values()]
    for instruction in instructions:
        placed += instruction.source.scratch
    kept = [
        storages.of(viewed(node))
        for _, node in program.outputs
        if viewed(node) in storages.temporaries
    ]
    uses = [instruction.source.arguments for instruction in instructions]
    return plan_arena(live_ranges(uses, placed, kept), threads)


# --- what a kernel moves and computes --------------------------------------------------------


def bytes_moved(group: Candidate) -> int:
    """Bytes that the kernel reads and writes at the least; of a base that is added to, the slices
    alone."""
    if isinstance(group, MovementGroup) and changes_base(group.node):
        _, *added = group.node.operands
        touched = min(added[0].type.nbytes, group.node.type.nbytes)
        return 2 * touched + sum(viewed(operand).type.nbytes for operand in added)
    return traffic(group.nodes, group.outputs)


def operations(group: Candidate) -> int:
    """Multiplications and additions of products, and one operation for each other element that is
    neither gathered nor left as it is."""
    count = 0
    for node in group.nodes:
        if isinstance(group, ContractionCandidate) and node is group.contraction:
            count += 2 * math.prod(node.type.dims) * group.shape.depth
        elif changes_base(node):
            count += node.operands[1].type.size
        elif not isinstance(node.op.lowering, Gather):
            count += max((node.type.size, *(x.type.size for x in node.operands)))
    return count
