"""The executor: a table of instructions and the native function that walks it.

A compiled graph is data, not a program: one row an instruction, with the address of its kernel
and of its own table of argument pointers. One native function, the same for every graph, walks
the rows. A call writes a few words and enters native code once; nothing is allocated, chosen or
decided in a run.

Every kernel has the signature `int32 kernel(void** arguments, int64 thread, int64 threads)`, and
a nonzero result stops the walk.
"""

import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# %Table in words of 8 bytes: how many, and which one holds the repeats.
_TABLE_WORDS = 6
_REPEATS = 5

_POINTER_BYTES = 8

# Bit 0 of a row's flags.
_BARRIER = 1

# The low bits of a walk's result hold the status, the rest the row.
_STATUS_BITS = 32

EXECUTOR_IR = """\
; kernel, its table of argument pointers, flags (bit 0: all threads meet before this row)
%Row = type { ptr, ptr, i64 }
; an argument slot, and the number of the external pointer that belongs there
%Patch = type { ptr, i64 }
; rows, row count, patches, patch count, external pointers, repeats
%Table = type { ptr, i64, ptr, i64, ptr, i64 }

declare i64 @llvm.readcyclecounter()

; Write each external pointer into all argument slots that use it.
define internal void @write_externals(ptr %table) {
entry:
  %patches.field = getelementptr %Table, ptr %table, i64 0, i32 2
  %patches = load ptr, ptr %patches.field
  %count.field = getelementptr %Table, ptr %table, i64 0, i32 3
  %count = load i64, ptr %count.field
  %externals.field = getelementptr %Table, ptr %table, i64 0, i32 4
  %externals = load ptr, ptr %externals.field
  br label %next_patch
next_patch:
  %index = phi i64 [ 0, %entry ], [ %index.next, %write ]
  %more = icmp slt i64 %index, %count
  br i1 %more, label %write, label %done
write:
  %slot.field = getelementptr %Patch, ptr %patches, i64 %index, i32 0
  %slot = load ptr, ptr %slot.field
  %number.field = getelementptr %Patch, ptr %patches, i64 %index, i32 1
  %number = load i64, ptr %number.field
  %external = getelementptr ptr, ptr %externals, i64 %number
  %pointer = load ptr, ptr %external
  store ptr %pointer, ptr %slot
  %index.next = add i64 %index, 1
  br label %next_patch
done:
  ret void
}

; Walk all rows, `repeats` times. Returns 0, or (row << 32 | status) of the kernel that stopped.
; With %cycles not null, each row's elapsed cycles are added to cycles[row]: the clock is read once
; between two rows, so the rows' sum is the whole walk.
; No row is a jump: a loop over a body fits in as one more kernel of the same signature, which
; steps the pointers of a table of its own and walks that.
define internal i64 @walk(ptr %table, ptr %cycles, i64 %thread, i64 %threads) {
entry:
  %rows.field = getelementptr %Table, ptr %table, i64 0, i32 0
  %rows = load ptr, ptr %rows.field
  %count.field = getelementptr %Table, ptr %table, i64 0, i32 1
  %count = load i64, ptr %count.field
  %repeats.field = getelementptr %Table, ptr %table, i64 0, i32 5
  %repeats = load i64, ptr %repeats.field
  %timed = icmp ne ptr %cycles, null
  br i1 %timed, label %start_clock, label %next_repeat
start_clock:
  %start = call i64 @llvm.readcyclecounter()
  br label %next_repeat

next_repeat:
  %repeat = phi i64 [ 0, %entry ], [ 0, %start_clock ], [ %repeat.next, %rows_done ]
  %repeat.clock = phi i64 [ 0, %entry ], [ %start, %start_clock ], [ %clock, %rows_done ]
  %more.repeats = icmp slt i64 %repeat, %repeats
  br i1 %more.repeats, label %next_row, label %finished

next_row:
  %index = phi i64 [ 0, %next_repeat ], [ %index.next, %row_done ]
  %clock = phi i64 [ %repeat.clock, %next_repeat ], [ %clock.next, %row_done ]
  %more.rows = icmp slt i64 %index, %count
  br i1 %more.rows, label %call_kernel, label %rows_done
call_kernel:
  %kernel.field = getelementptr %Row, ptr %rows, i64 %index, i32 0
  %kernel = load ptr, ptr %kernel.field
  %arguments.field = getelementptr %Row, ptr %rows, i64 %index, i32 1
  %arguments = load ptr, ptr %arguments.field
  %status = call i32 %kernel(ptr %arguments, i64 %thread, i64 %threads)
  %succeeded = icmp eq i32 %status, 0
  br i1 %succeeded, label %kernel_done, label %stopped
kernel_done:
  br i1 %timed, label %read_clock, label %row_done
read_clock:
  %now = call i64 @llvm.readcyclecounter()
  %elapsed = sub i64 %now, %clock
  %row.cycles = getelementptr i64, ptr %cycles, i64 %index
  %before = load i64, ptr %row.cycles
  %after = add i64 %before, %elapsed
  store i64 %after, ptr %row.cycles
  br label %row_done
row_done:
  %clock.next = phi i64 [ %clock, %kernel_done ], [ %now, %read_clock ]
  %index.next = add i64 %index, 1
  br label %next_row

rows_done:
  %repeat.next = add i64 %repeat, 1
  br label %next_repeat
finished:
  ret i64 0
stopped:
  %index.high = shl i64 %index, 32
  %status.low = zext i32 %status to i64
  %where = or i64 %index.high, %status.low
  ret i64 %where
}

define i64 @graphc_run(ptr %table) {
  call void @write_externals(ptr %table)
  %where = call i64 @walk(ptr %table, ptr null, i64 0, i64 1)
  ret i64 %where
}

define i64 @graphc_run_timed(ptr %table, ptr %cycles) {
  call void @write_externals(ptr %table)
  %where = call i64 @walk(ptr %table, ptr %cycles, i64 0, i64 1)
  ret i64 %where
}
"""


class MachineCode(Protocol):
    """Machine code in memory, mapped for as long as this object lives."""

    def address(self, symbol: str, /) -> int: ...


@dataclass(frozen=True)
class Executor:
    """The compiled entry points; both release the GIL. `module` keeps their code in memory."""

    module: MachineCode
    run: Callable[[int], int]
    run_timed: Callable[[int, int], int]


def load_executor(module: MachineCode) -> Executor:
    """The entry points of `module`, which holds the machine code of `EXECUTOR_IR`."""
    run_type = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
    run_timed_type = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
    return Executor(
        module,
        run_type(module.address("graphc_run")),
        run_timed_type(module.address("graphc_run_timed")),
    )


def compile_executor() -> Executor:
    """Compile `EXECUTOR_IR` for this machine."""
    # Imported here: a process that loads its machine code from disk must not import the compiler.
    from graphc.kernels.jit import compile_ir

    return load_executor(compile_ir(EXECUTOR_IR))


class KernelStopped(Exception):  # noqa: N818 - the kernel's report, turned into an error by the caller
    """A kernel returned a nonzero status; no later instruction ran.

    `instruction` is the index in the table, `name` its name, `status` the kernel's result.
    """

    def __init__(self, instruction: int, name: str, status: int) -> None:
        super().__init__(f"instruction {instruction} ({name}) stopped with status {status}")
        self.instruction = instruction
        self.name = name
        self.status = status


@dataclass(frozen=True)
class Instruction:
    """One kernel call. `arguments` are indices into the plan's list of buffers; `barrier` says that
    all threads must have finished the instructions before this one."""

    name: str
    address: int
    arguments: tuple[int, ...]
    barrier: bool = False


@dataclass(frozen=True)
class Timing:
    """What `run_timed` measured, summed over `repeats` walks.

    cycles       int64 (instructions,): elapsed ticks of the machine's cycle counter
    nanoseconds  wall time of the whole call; some 300 of them are the call from Python
    """

    cycles: NDArray[np.int64]
    nanoseconds: int
    repeats: int

    @property
    def total_cycles(self) -> int:
        return int(self.cycles.sum())

    @property
    def nanoseconds_per_cycle(self) -> float:
        """Raises RuntimeError if the counter stood still: no instruction ran, or no counter."""
        if self.total_cycles <= 0:
            raise RuntimeError("the cycle counter did not advance during the timed run")
        return self.nanoseconds / self.total_cycles

    def instruction_nanoseconds(self) -> NDArray[np.float64]:
        """float64 (instructions,): nanoseconds an instruction took in one walk, on average."""
        return self.cycles.astype(np.float64) * (self.nanoseconds_per_cycle / self.repeats)


class InstructionTable:
    """Instructions bound to the addresses of their buffers, ready to run.

    buffers   the address of each buffer of the plan; that of an external buffer is ignored
    external  indices of the buffers whose address is given anew at each run (the user's arrays)

    Memory and kernels are the caller's: they must live as long as the table. The table and its
    buffers serve one run at a time; whoever shares a table among Python threads holds a lock.
    Raises IndexError for an index outside `buffers`, ValueError for a null address or an external
    buffer that is named twice.
    """

    def __init__(
        self,
        executor: Executor,
        instructions: Sequence[Instruction],
        buffers: Sequence[int],
        external: Sequence[int] = (),
    ) -> None:
        _check(instructions, buffers, external)
        self.instructions = tuple(instructions)
        self.external = tuple(external)
        self._executor = executor
        self._arguments, self._rows = _rows(self.instructions, buffers)
        self._patches = _patches(self.instructions, self.external, self._arguments.ctypes.data)
        # ctypes arrays: writing a few addresses takes half as long as with numpy or struct.
        # Any: they take every sequence, their declared types take lists alone.
        self._externals: Any = (ctypes.c_int64 * len(self.external))()
        self._words = (ctypes.c_int64 * _TABLE_WORDS)(
            self._rows.ctypes.data,
            len(self._rows),
            self._patches.ctypes.data,
            len(self._patches),
            ctypes.addressof(self._externals),
            1,
        )
        self._address = ctypes.addressof(self._words)
        self._run = executor.run

    def __len__(self) -> int:
        return len(self.instructions)

    def run(self, externals: Sequence[int] = (), repeats: int = 1) -> None:
        """Walk the table `repeats` times; `externals` are addresses in the order of `external`.

        The memory behind `externals` must stay alive and unmoved until the run returns.
        Raises KernelStopped, or ValueError for the wrong number of externals or repeats below 1.
        """
        if repeats < 1 or len(externals) != len(self._externals):
            raise self._wrong_call(externals, repeats)
        self._externals[:] = externals
        self._words[_REPEATS] = repeats
        where = self._run(self._address)
        if where:
            raise self._stopped(where)

    def run_timed(self, externals: Sequence[int] = (), repeats: int = 1) -> Timing:
        """As `run`, with the elapsed cycles of each instruction."""
        if repeats < 1 or len(externals) != len(self._externals):
            raise self._wrong_call(externals, repeats)
        cycles = np.zeros(len(self), np.int64)
        self._externals[:] = externals
        self._words[_REPEATS] = repeats
        start = time.perf_counter_ns()
        where = self._executor.run_timed(self._address, cycles.ctypes.data)
        nanoseconds = time.perf_counter_ns() - start
        if where:
            raise self._stopped(where)
        return Timing(cycles, nanoseconds, repeats)

    def _wrong_call(self, externals: Sequence[int], repeats: int) -> ValueError:
        return ValueError(
            f"expected {len(self.external)} external addresses and at least 1 repeat, "
            f"got {len(externals)} and {repeats}"
        )

    def _stopped(self, where: int) -> KernelStopped:
        index = where >> _STATUS_BITS
        status = ctypes.c_int32(where).value
        return KernelStopped(index, self.instructions[index].name, status)


def _check(
    instructions: Sequence[Instruction], buffers: Sequence[int], external: Sequence[int]
) -> None:
    if len(set(external)) != len(external):
        raise ValueError(f"an external buffer is named twice: {tuple(external)}")
    for index in external:
        if not 0 <= index < len(buffers):
            raise IndexError(f"external buffer {index} is not one of {len(buffers)} buffers")
    for number, instruction in enumerate(instructions):
        what = f"instruction {number} ({instruction.name})"
        if instruction.address == 0:
            raise ValueError(f"{what}: the kernel's address is null")
        for index in instruction.arguments:
            if not 0 <= index < len(buffers):
                raise IndexError(f"{what}: argument {index} is not one of {len(buffers)} buffers")
            if buffers[index] == 0 and index not in external:
                raise ValueError(f"{what}: the address of buffer {index} is null")


def _rows(
    instructions: tuple[Instruction, ...], buffers: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The argument pointers of all instructions in a row, and the rows (%Row) that use them."""
    pointers = [buffers[index] for each in instructions for index in each.arguments]
    arguments = np.array(pointers, np.int64)
    rows = np.zeros((len(instructions), 3), np.int64)
    first = arguments.ctypes.data
    for row, instruction in zip(rows, instructions, strict=True):
        row[:] = instruction.address, first, _BARRIER if instruction.barrier else 0
        first += _POINTER_BYTES * len(instruction.arguments)
    return arguments, rows


def _patches(
    instructions: tuple[Instruction, ...], external: tuple[int, ...], first_slot: int
) -> NDArray[np.int64]:
    """A %Patch for each argument slot that holds an external buffer."""
    numbers = {index: number for number, index in enumerate(external)}
    slots = [index for each in instructions for index in each.arguments]
    patches = [
        (first_slot + _POINTER_BYTES * slot, numbers[index])
        for slot, index in enumerate(slots)
        if index in numbers
    ]
    return np.array(patches, np.int64).reshape(len(patches), 2)
