"""From a compilation to what a run needs of it."""

from __future__ import annotations

from graphc.compiler.load.compiled import CompiledProgram
from graphc.compiler.load.executable import (
    Buffer,
    BufferRole,
    Executable,
    Loop,
    Output,
    Row,
    SlicedBuffer,
)
from graphc.compiler.pipeline import Compilation
from graphc.compiler.plan.planning import Plan
from graphc.ir.graph import Node, Program
from graphc.kernels.loops.language.source import KernelSource, Storage, kernel_digest
from graphc.kernels.nests.access import place_in_memory
from graphc.kernels.nests.node_kinds import viewed


def compiled(compilation: Compilation) -> CompiledProgram:
    """The program after all passes, ready to be loaded."""
    return CompiledProgram(executable_of(compilation), lambda: compilation)


def executable_of(compilation: Compilation) -> Executable:
    """The plan with buffers for storages and digests for kernels."""
    plan = compilation.plan
    buffers = _buffers(plan)
    numbers = {storage: number for number, storage in enumerate(buffers)}
    rows = tuple(
        Row(
            row.name,
            kernel_digest(row.source) if row.source.statements else "",
            tuple(numbers[storage] for storage in row.source.arguments),
            row.shared,
            row.barrier,
            row.checked is not None,
            row.gathers,
            _byte_starts(row.source),
        )
        for row in plan.instructions
    )
    return Executable(
        tuple(buffers.values()),
        rows,
        _outputs(compilation.program, plan, numbers),
        plan.arena.nbytes,
        compilation.options.threads,
        _loops(plan, numbers),
    )


def _byte_starts(source: KernelSource) -> tuple[int, ...]:
    return tuple(
        start * storage.dtype.itemsize
        for start, storage in zip(source.starts, source.arguments, strict=bool(source.starts))
    )


def _buffers(plan: Plan) -> dict[Storage, Buffer]:
    """Those that are given, inputs first, and those of the arena."""
    given = plan.storages

    def buffer(storage: Storage, node: Node, role: BufferRole) -> Buffer:
        return Buffer(role, storage.dtype, storage.size, node.name)

    buffers = {s: buffer(s, node, BufferRole.INPUT) for node, s in given.inputs.items()}
    for node, storage in given.states.items():
        role = BufferRole.PARAMETER if node.attributes["trainable"] else BufferRole.STATE
        buffers[storage] = buffer(storage, node, role)
    for node, storage in given.constants.items():
        value = node.attributes["value"]
        buffers[storage] = Buffer(BufferRole.CONSTANT, storage.dtype, storage.size, value=value)
    for storage, offset in plan.arena.offsets.items():
        buffers[storage] = Buffer(BufferRole.ARENA, storage.dtype, storage.size, offset=offset)
    for row in plan.instructions:
        for each in row.begins.slices if row.begins else ():
            storage = each.storage
            buffers[storage] = Buffer(BufferRole.SLICE, storage.dtype, storage.size)
    return buffers


def _loops(plan: Plan, numbers: dict[Storage, int]) -> tuple[Loop, ...]:
    begins = {row.begins: number for number, row in enumerate(plan.instructions) if row.begins}
    return tuple(
        Loop(
            begins[row.ends],
            number,
            0 if row.ends.length is None else row.ends.length,
            tuple(
                SlicedBuffer(numbers[each.storage], numbers[each.whole], each.first, each.stride)
                for each in row.ends.slices
            ),
            None if row.ends.condition is None else numbers[row.ends.condition],
        )
        for number, row in enumerate(plan.instructions)
        if row.ends is not None
    )


def _outputs(program: Program, plan: Plan, numbers: dict[Storage, int]) -> tuple[Output, ...]:
    outputs = []
    for name, node in program.outputs:
        place = place_in_memory(node)
        assert place is not None
        number = numbers[plan.storages.of(viewed(node))]
        outputs.append(Output(name, number, node.type.dims, place.offset, place.strides))
    return tuple(outputs)
