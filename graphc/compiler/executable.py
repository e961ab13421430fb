"""What a run needs of a compiled program, in plain data: it can be kept on disk."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphc.ir.attributes import Literal
from graphc.ir.types import DType

# The passes are imported where they are run, which may be never.
if TYPE_CHECKING:
    from graphc.compiler.pipeline import Compilation


class Role(enum.Enum):
    """What a buffer is for. States that are trained are parameters."""

    INPUT = "input"
    PARAMETER = "parameter"
    STATE = "state"
    CONSTANT = "constant"
    ARENA = "arena"


@dataclass(frozen=True)
class Buffer:
    """`size` contiguous elements that kernels read or write.

    name: of the input or the state. offset: in the arena, bytes. value: of a constant.
    """

    role: Role
    dtype: DType
    size: int
    name: str = ""
    offset: int = 0
    value: Literal | None = None

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize


@dataclass(frozen=True)
class Row:
    """One row of the table.

    kernel: the digest of its source, by which its machine code is found.
    arguments: numbers of buffers.
    shared, barrier: as in `graphc.compiler.plan.PlannedInstruction`.
    checks_indices: whether it stops the run where an index is out of range.
    gathers: whether it copies slices that indices choose, and does nothing else.
    """

    name: str
    kernel: str
    arguments: tuple[int, ...]
    shared: bool
    barrier: bool
    checks_indices: bool
    gathers: bool


@dataclass(frozen=True)
class Output:
    """Where a result stands: in which buffer, from which element on, with which strides (elements).

    The dtype is the buffer's.
    """

    name: str
    buffer: int
    shape: tuple[int, ...]
    offset: int
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Executable:
    """A program but for its machine code, addresses and the arrays of its states.

    buffers: those of the inputs come first, in the order of the inputs.
    arena_bytes: of the memory that buffers with an offset are in.
    threads: at most so many run it.
    """

    buffers: tuple[Buffer, ...]
    rows: tuple[Row, ...]
    outputs: tuple[Output, ...]
    arena_bytes: int
    threads: int

    @property
    def inputs(self) -> int:
        return sum(buffer.role is Role.INPUT for buffer in self.buffers)


class CompiledProgram:
    """What runs a program, and what the passes know of it, for those who ask.

    run_passes: gives the compilation that the executable is of.
    compilation: that, where the passes have just run.
    """

    def __init__(
        self,
        executable: Executable,
        run_passes: Callable[[], Compilation],
        compilation: Compilation | None = None,
    ) -> None:
        self.executable = executable
        self._run_passes = run_passes
        self._compilation = compilation

    @property
    def compilation(self) -> Compilation:
        """Made when it is asked for and not at hand, and kept from then on."""
        # Once: another thread may let go of it meanwhile.
        found = self._compilation
        if found is None:
            found = self._compilation = self._run_passes()
        return found

    def let_go_of_compilation(self) -> None:
        """Frees what a run does not need: several times the memory of the executable."""
        self._compilation = None
