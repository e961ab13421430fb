"""What a run needs of a compiled program, in plain data: it can be kept on disk."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass

from graphc.ir.nodes.attributes import Literal
from graphc.ir.types import DType


class BufferRole(enum.Enum):
    """What a buffer is for. States that are trained are parameters. A slice is in another buffer,
    where the loop says that reads or writes it."""

    INPUT = "input"
    PARAMETER = "parameter"
    STATE = "state"
    CONSTANT = "constant"
    ARENA = "arena"
    SLICE = "slice"


@dataclass(frozen=True)
class Buffer:
    """`size` contiguous elements that kernels read or write.

    name: of the input or the state. offset: in the arena, bytes. value: of a constant.
    """

    role: BufferRole
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

    kernel: the digest of its source, by which its machine code is found; empty for rows that begin
        and end loops, whose kernels are the executor's.
    arguments: numbers of buffers.
    shared, barrier: as in `graphc.compiler.plan.planning.PlannedInstruction`.
    checks_indices: whether it stops the run where an index is out of range.
    gathers: whether it copies slices that indices choose, and does nothing else.
    starts: the byte of each argument at which the kernel takes it to begin; () where each begins
        with its first.
    """

    name: str
    kernel: str
    arguments: tuple[int, ...]
    shared: bool
    barrier: bool
    checks_indices: bool
    gathers: bool
    starts: tuple[int, ...] = ()


@dataclass(frozen=True)
class SlicedBuffer:
    """Of which buffer another one is a slice in each step of a loop: `first` bytes from its
    beginning, and `stride` further in each step."""

    buffer: int
    whole: int
    first: int
    stride: int


@dataclass(frozen=True)
class Loop:
    """A loop over rows: those between the rows number `begin` and `end`, `length` times, or as long
    as the bool in the buffer number `condition` is true."""

    begin: int
    end: int
    length: int
    slices: tuple[SlicedBuffer, ...]
    condition: int | None = None


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
    loops: in the order of their ends, so that inner ones come first.
    """

    buffers: tuple[Buffer, ...]
    rows: tuple[Row, ...]
    outputs: tuple[Output, ...]
    arena_bytes: int
    threads: int
    loops: tuple[Loop, ...] = ()

    @property
    def inputs(self) -> int:
        return sum(buffer.role is BufferRole.INPUT for buffer in self.buffers)


def copied_rows(executable: Executable, names: Collection[str]) -> tuple[str, ...]:
    """Those of the row inputs `names` that the program copies, for no product reads them in place.

    `RowLoop` copies them better.
    """
    buffers = executable.buffers
    order = executable.inputs - 1
    copying = [row for row in executable.rows if row.gathers and order in row.arguments]
    read = {buffers[number].name for row in copying for number in row.arguments}
    return tuple(name for name in names if name in read)
