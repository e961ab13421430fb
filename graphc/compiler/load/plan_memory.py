"""How much memory a plan takes, before any of it is allocated."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphc.compiler.load.compiled import CompiledProgram
from graphc.compiler.load.executable import BufferRole, Executable
from graphc.errors import PlanTooLargeError
from graphc.ir.graph import Node
from graphc.kernels.host.memory_limit import LIMIT_VARIABLE, MemoryLimit

if TYPE_CHECKING:
    from graphc.compiler.plan.planning import Plan

# Values that the refusal of a plan names, the largest first.
LARGEST_SHOWN = 5

_BINARY_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_UNIT = 1024


@dataclass(frozen=True)
class PlanMemory:
    """Bytes of a plan, by what they are for.

    arena       values between kernels, and their scratch memory
    parameters  states that are trained
    states      other states: what optimizers keep, rates, counters
    constants   arrays that are part of the graph
    inputs      of one call; they are the caller's
    """

    arena: int
    parameters: int
    states: int
    constants: int
    inputs: int

    @property
    def total(self) -> int:
        """All but the inputs."""
        return self.arena + self.parameters + self.states + self.constants

    def __str__(self) -> str:
        parts = [
            f"arena {bytes_text(self.arena)}",
            f"parameters {bytes_text(self.parameters)}",
            f"other states {bytes_text(self.states)}",
            f"constants {bytes_text(self.constants)}",
        ]
        return ", ".join(parts)


def plan_memory(executable: Executable) -> PlanMemory:
    """What the program takes."""

    def nbytes(role: BufferRole) -> int:
        return sum(buffer.nbytes for buffer in executable.buffers if buffer.role is role)

    return PlanMemory(
        arena=executable.arena_bytes,
        parameters=nbytes(BufferRole.PARAMETER),
        states=nbytes(BufferRole.STATE),
        constants=nbytes(BufferRole.CONSTANT),
        inputs=nbytes(BufferRole.INPUT),
    )


def check_memory(
    compiled: CompiledProgram, limit: MemoryLimit | None, held: Collection[str] = ()
) -> None:
    """Raises PlanTooLargeError, with the figures, when the program takes more than the limit.

    limit: None where nothing is known. held: the names of the states that have their memory
    already.
    """
    if limit is None:
        return
    needed = plan_memory(compiled.executable)
    present = 0 if limit.is_total else _held_bytes(compiled.executable, held) + needed.constants
    if needed.total - present <= limit.nbytes:
        return
    plan = compiled.compilation.plan
    besides = f" besides {bytes_text(present)} that it has" if present else ""
    lines = [
        f"the plan takes {bytes_text(needed.total)}, but {limit.reason} "
        f"{bytes_text(limit.nbytes)}{besides}: {needed}. The largest values:",
        *(f"  {line}" for line in _largest(plan)),
        f"Smaller batches take less; {LIMIT_VARIABLE} sets another limit.",
    ]
    raise PlanTooLargeError("\n".join(lines))


def bytes_text(count: int) -> str:
    """A number of bytes in binary units."""
    if count < _UNIT:
        return f"{count} bytes"
    size, unit = count / _UNIT, 0
    while size >= _UNIT and unit + 1 < len(_BINARY_UNITS):
        size, unit = size / _UNIT, unit + 1
    return f"{size:.1f} {_BINARY_UNITS[unit]}"


def _held_bytes(executable: Executable, held: Collection[str]) -> int:
    states = (b for b in executable.buffers if b.role in (BufferRole.PARAMETER, BufferRole.STATE))
    return sum(buffer.nbytes for buffer in states if buffer.name in held)


def _largest(plan: Plan) -> list[str]:
    """The largest states, constants and values of the arena, each with the user's line."""
    storages = plan.storages
    described = {
        storage: f"scratch memory of kernel {row.name}"
        for row in plan.instructions
        for storage in row.source.scratch
    }
    for values in (storages.temporaries, storages.states, storages.constants):
        described |= {storage: _value_text(node) for node, storage in values.items()}
    found = sorted(described, key=lambda storage: -storage.nbytes)[:LARGEST_SHOWN]
    return [f"{bytes_text(storage.nbytes)}: {described[storage]}" for storage in found]


def _value_text(node: Node) -> str:
    from graphc.kernels.nests.names import label

    where = f" at {node.location}: {node.location.text}" if node.location is not None else ""
    return f"{label(node)} {node.type}{where}"
