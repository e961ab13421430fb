"""What is known of a row of the instruction table without running it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from graphc.compiler.plan.planning import PlannedInstruction, bytes_moved, operations
from graphc.ir.graph import Node
from graphc.ir.nodes.location import Location
from graphc.ir.nodes.lowering import Assemble
from graphc.ir.types import f32, f64
from graphc.kernels.groups.group import (
    ContractionGroup,
    Group,
    LoopGroup,
    MovementGroup,
    OrderedGroup,
)
from graphc.kernels.loops.movement.emit_movement import assembled_parts


@dataclass(frozen=True)
class Work:
    """What a kernel does in one walk of the table: in one call, or in those of all steps of a loop.

    bytes: read and written at the least. working_set: of the storages that it works on, scratch
    included; a value that is updated in place counts once. flops: operations. dtype: "f32" or
    "f64", whose peak they are held against: the widest float of its values, or for a kernel of
    integers the float of their size.
    """

    bytes: int
    working_set: int
    flops: int
    dtype: str


def work_of(instruction: PlannedInstruction, calls: float | None = None) -> Work:
    """That of a call as often as it is made; what a call works on stays as large.

    calls: how often, as counted in a run; the plan's number unless given, in which a loop whose
    steps are open has one.
    """
    once = _work_of_a_call(instruction)
    made = instruction.repeats if calls is None else calls
    return replace(once, bytes=round(made * once.bytes), flops=round(made * once.flops))


def _work_of_a_call(instruction: PlannedInstruction) -> Work:
    """A check of indices compares each; finishing adds up what all blocks left, or copies what the
    first kernel of a group has left to copy."""
    group, dtype = instruction.group, _dtype(nodes_of(instruction))
    if instruction.begins is not None or instruction.ends is not None:
        return Work(0, 0, 0, dtype)
    source = instruction.source
    storages = source.arguments
    working_set = sum(storage.nbytes for storage in storages)
    if group is not None:
        rest = _copied_later(group)
        bytes_of_rest = 2 * sum(node.type.nbytes for node in rest)
        elements = operations(group) - sum(node.type.size for node in rest)
        return Work(bytes_moved(group) - bytes_of_rest, working_set, elements, dtype)
    if isinstance(instruction.finishes, MovementGroup):
        read = [storage for storage in storages if storage not in source.writes]
        bytes_copied = 2 * sum(storage.nbytes for storage in read)
        return Work(bytes_copied, working_set, sum(storage.size for storage in read), dtype)
    return Work(working_set, working_set, sum(storage.size for storage in storages), dtype)


def _copied_later(group: Group) -> list[Node]:
    """The operands that other kernels of the group copy than its first."""
    if not isinstance(group, MovementGroup) or not isinstance(group.node.op.lowering, Assemble):
        return []
    _, *later = assembled_parts(group.node)
    return [group.node.operands[copy.operand] for part in later for copy in part]


def nodes_of(instruction: PlannedInstruction) -> tuple[Node, ...]:
    """The nodes that the row computes, completes or checks; the loop that it begins or ends."""
    group = instruction.group or instruction.finishes
    if group is not None:
        return group.nodes
    if instruction.ends is not None:
        return (instruction.ends.node,)
    assert instruction.checked is not None
    return (instruction.checked,)


def _dtype(nodes: Sequence[Node]) -> str:
    dtypes = [value.dtype for node in nodes for value in (node, *node.operands)]
    floats = [dtype for dtype in dtypes if dtype.is_float]
    widest = max(dtype.itemsize for dtype in floats or dtypes)
    return (f64 if widest == f64.itemsize else f32).name


def kind_of(instruction: PlannedInstruction) -> str:
    """What sort of kernel it is, in one word."""
    if instruction.begins is not None or instruction.ends is not None:
        return "loop"
    if instruction.checked is not None:
        return "check"
    if instruction.finishes is not None:
        return "finish"
    if isinstance(instruction.group, ContractionGroup):
        return "contraction"
    if isinstance(instruction.group, OrderedGroup):
        return "ordered"
    return "loops" if isinstance(instruction.group, LoopGroup) else "movement"


def locations_of(nodes: Sequence[Node]) -> tuple[Location, ...]:
    """The user's lines that `nodes` come from, each once, in the order of the files."""
    found = {node.location for node in nodes if node.location is not None}
    return tuple(sorted(found, key=lambda location: (location.filename, location.line)))
