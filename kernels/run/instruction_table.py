"""The table of instructions that the executor walks, and what a walk tells.

A compiled graph is data, not a program: one row an instruction, with the address of its kernel
and of its own table of argument pointers. A call writes a few words and enters native code once;
nothing is allocated, chosen or decided in a run.

Every kernel has the signature `int32 kernel(void** arguments, int64 thread, int64 threads)`, and
a nonzero result stops the walk. With a pool all its threads walk the same rows, each with its own
number; they meet where a row says so and between two walks.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc.kernels.run.congestion import Congestion
from graphc.kernels.run.executor import Executor
from graphc.kernels.run.instructions import POINTER_BYTES, BeginLoop, Layout
from graphc.kernels.run.instructions import Instruction as Instruction
from graphc.kernels.run.memory import aligned_empty
from graphc.kernels.run.pool import ThreadPool

# Words of a %Record, and of the memory that threads must not share when they write.
_RECORD_WORDS = 5
_LINE_WORDS = 16

# The low bits of a walk's result hold the status, the rest the row.
_STATUS_BITS = 32

# What the native code returns where no kernel stopped, but threads did not have their processors.
_HELD_UP = -1


class KernelStopped(Exception):  # noqa: N818 - the kernel's report, turned into an error by the caller
    """A kernel returned a nonzero status; nothing behind the next barrier ran.

    `instruction` is the index in the table, `name` its name, `status` the kernel's result, `walk`
    the number of the walk, from 0, in the run. Of several that stop in the same walk before the
    same barrier, on whatever thread, the lowest instruction is reported.
    """

    def __init__(self, instruction: int, name: str, status: int, walk: int = 0) -> None:
        super().__init__(f"instruction {instruction} ({name}) stopped with status {status}")
        self.instruction = instruction
        self.name = name
        self.status = status
        self.walk = walk


class StopWord:
    """Ends runs early: while it is set no further walk begins, and runs return.

    For a Python thread that cannot interrupt another one's run. May serve several tables.
    """

    def __init__(self) -> None:
        self._word = ctypes.c_int64(0)

    @property
    def address(self) -> int:
        return ctypes.addressof(self._word)

    def set(self) -> None:
        self._word.value = 1

    def clear(self) -> None:
        self._word.value = 0

    def is_set(self) -> bool:
        return self._word.value != 0


@dataclass(frozen=True)
class Timing:
    """What `run_timed` measured, in ticks of the machine's cycle counter.

    busy         int64 (threads, instructions): spent in the instruction's kernel, over all walks
    waits        int64 (threads, instructions): spent waiting for other threads behind the
                 instruction, over all walks; 0 without a pool
    spans        int64 (threads, instructions, 2): when the thread started the kernel in the last
                 walk and when that was done; 0, 0 for a kernel that it does not call
    calls        int64 (instructions,): of the instruction's kernel by one thread, over all walks
    end          when the last walk was over on all threads
    nanoseconds  wall time of the whole call; some 300 of them are the call from Python
    repeats      walks
    """

    busy: NDArray[np.int64]
    waits: NDArray[np.int64]
    spans: NDArray[np.int64]
    calls: NDArray[np.int64]
    end: int
    nanoseconds: int
    repeats: int

    @property
    def cycles(self) -> NDArray[np.int64]:
        """int64 (instructions,): elapsed on thread 0 from the start of an instruction until it goes
        on to the next, over all walks. Their sum is the run."""
        elapsed: NDArray[np.int64] = self.busy[0] + self.waits[0]
        return elapsed

    @property
    def total_cycles(self) -> int:
        return int(self.cycles.sum())

    @property
    def nanoseconds_per_cycle(self) -> float:
        """Raises RuntimeError if the counter stood still: no instruction ran, or no counter."""
        if self.total_cycles <= 0:
            raise RuntimeError("the cycle counter did not advance during the timed run")
        return self.nanoseconds / self.total_cycles


class _TableWords(ctypes.Structure):
    """%Table of the executor's LLVM IR."""

    _fields_ = (
        ("rows", ctypes.c_int64),
        ("row_count", ctypes.c_int64),
        ("patches", ctypes.c_int64),
        ("patch_count", ctypes.c_int64),
        ("externals", ctypes.c_int64),
        ("external_count", ctypes.c_int64),
        ("steps", ctypes.c_int64),
        ("repeats", ctypes.c_int64),
        ("stop_word", ctypes.c_int64),
        ("completed", ctypes.c_int64),
        ("records", ctypes.c_int64),
        ("record_stride", ctypes.c_int64),
        ("bearable", ctypes.c_int64),
        ("held", ctypes.c_int64),
        ("argument_stride", ctypes.c_int64),
    )


class InstructionTable:
    """Instructions bound to the addresses of their buffers, ready to run.

    buffers   the address of each buffer of the plan; that of an external buffer is ignored
    external  indices of the buffers whose address is given anew at each run (the user's arrays)
    pool      the threads that walk the table, the calling one alone when there is none
    stop      while it is set no further walk begins; the table has one of its own unless given

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
        *,
        pool: ThreadPool | None = None,
        stop: StopWord | None = None,
    ) -> None:
        _check(instructions, buffers, external)
        self.instructions = tuple(instructions)
        self.external = tuple(external)
        self.threads = 1 if pool is None else pool.threads
        self.congestion = Congestion() if pool is None else pool.congestion
        self.stop = StopWord() if stop is None else stop
        layout = Layout.of(self.instructions, self.threads)
        self._arguments = layout.arguments(buffers)
        self._loops = layout.loops(self._arguments)
        self._rows = layout.rows(self._arguments)
        self._patches = layout.patches(self.external, self._arguments)
        # ctypes arrays: writing a few addresses takes half as long as with numpy or struct.
        # Any: they take every sequence, their declared types take lists alone.
        self._externals: Any = (ctypes.c_int64 * len(self.external))()
        self._steps: Any = (ctypes.c_int64 * len(self.external))()
        self._words = _TableWords(
            rows=self._rows.ctypes.data,
            row_count=len(self._rows),
            patches=self._patches.ctypes.data,
            patch_count=len(self._patches),
            externals=ctypes.addressof(self._externals),
            external_count=len(self.external),
            stop_word=self.stop.address,
            argument_stride=layout.stride,
        )
        self._address = ctypes.addressof(self._words)
        self._run: Callable[[int], int] = executor.run
        self._run_alone = executor.run
        self._run_timed: Callable[[int], int] = executor.run_timed
        if pool is not None and pool.threads > 1:
            self._run = self._run_timed = pool.run

    def __len__(self) -> int:
        return len(self.instructions)

    @property
    def completed(self) -> int:
        """Walks that the last run completed: its repeats, unless the stop word was set or a kernel
        stopped it."""
        return int(self._words.completed)

    @property
    def held(self) -> int:
        """Nanoseconds for which the calling thread has waited for threads without processors, in
        all runs since this was set."""
        return int(self._words.held)

    @held.setter
    def held(self, nanoseconds: int) -> None:
        self._words.held = nanoseconds

    def run(
        self,
        externals: Sequence[int] = (),
        repeats: int = 1,
        steps: Sequence[int] | None = None,
        alone: bool = False,
        bearable: int = 0,
    ) -> bool:
        """Walk the table `repeats` times; `externals` are addresses in the order of `external`.

        steps: bytes by which each external address advances after each walk, none unless given.
        alone: the calling thread walks without those of the pool.
        bearable: the most that `held` may be before no further walk begins. 0: no end of that.
        Returns whether `held` is more.
        The memory behind `externals` must stay alive and unmoved until the run returns.
        Raises KernelStopped, or ValueError for the wrong number of externals or steps or repeats
        below 1.
        """
        if steps is not None:
            with self._stepping(steps):
                return self.run(externals, repeats, alone=alone, bearable=bearable)
        if repeats < 1 or len(externals) != len(self._externals):
            raise self._wrong_call(externals, repeats)
        self._externals[:] = externals
        self._words.repeats = repeats
        self._words.bearable = bearable
        where = self._run_alone(self._address) if alone else self._run(self._address)
        if where > 0:
            raise self._stopped(where)
        return where == _HELD_UP

    def run_timed(
        self,
        externals: Sequence[int] = (),
        repeats: int = 1,
        steps: Sequence[int] | None = None,
    ) -> Timing:
        """As `run`, with the cycles of each instruction on each thread."""
        if steps is not None:
            with self._stepping(steps):
                return self.run_timed(externals, repeats)
        if repeats < 1 or len(externals) != len(self._externals):
            raise self._wrong_call(externals, repeats)
        records = self._new_records()
        self._externals[:] = externals
        self._words.repeats = repeats
        self._words.records, self._words.record_stride = records.ctypes.data, records.strides[0]
        self._words.bearable = 0
        start = time.perf_counter_ns()
        try:
            where = self._run_timed(self._address)
        finally:
            self._words.records = 0
        nanoseconds = time.perf_counter_ns() - start
        if where:
            raise self._stopped(where)
        return _timing(records[:, : len(self) + 1], nanoseconds, repeats)

    def _new_records(self) -> NDArray[np.int64]:
        """int64 (threads, rows, words): those of a thread in cache lines of their own."""
        words = _RECORD_WORDS * (len(self) + 1)
        padded = -(-words // _LINE_WORDS) * _LINE_WORDS
        memory = aligned_empty(POINTER_BYTES * self.threads * padded, POINTER_BYTES * _LINE_WORDS)
        memory[:] = 0
        own = memory.view(np.int64).reshape(self.threads, padded)[:, :words]
        return own.reshape(self.threads, len(self) + 1, _RECORD_WORDS)

    @contextmanager
    def _stepping(self, steps: Sequence[int]) -> Iterator[None]:
        """The native code finds steps only where there are some, and then while this lasts."""
        if len(steps) != len(self.external):
            raise ValueError(f"expected {len(self.external)} steps, got {len(steps)}")
        if any(steps):
            self._steps[:] = steps
            self._words.steps = ctypes.addressof(self._steps)
        try:
            yield
        finally:
            self._words.steps = 0

    def _wrong_call(self, externals: Sequence[int], repeats: int) -> ValueError:
        return ValueError(
            f"expected {len(self.external)} external addresses and at least 1 repeat, "
            f"got {len(externals)} and {repeats}"
        )

    def _stopped(self, where: int) -> KernelStopped:
        index = where >> _STATUS_BITS
        status = ctypes.c_int32(where).value
        # Thread 0 may have completed the last walk when another thread stopped in it.
        walk = min(self.completed, self._words.repeats - 1)
        return KernelStopped(index, self.instructions[index].name, status, walk)


def _timing(records: NDArray[np.int64], nanoseconds: int, repeats: int) -> Timing:
    """records: int64 (threads, rows + 1, words), as %Record says."""
    busy, waits_before, starts, ends, calls = np.moveaxis(records, -1, 0)
    # What stands before a row, or behind the last one, was waited for behind the row before it.
    waits = waits_before[:, 1:].copy()
    if waits.size:
        waits[:, 0] += waits_before[:, 0]
    spans = np.stack([starts[:, :-1], np.where(starts[:, :-1], ends[:, :-1], 0)], -1)
    by_row = calls[:, :-1].max(0)
    return Timing(busy[:, :-1].copy(), waits, spans, by_row, int(ends.max()), nanoseconds, repeats)


def _check(
    instructions: Sequence[Instruction], buffers: Sequence[int], external: Sequence[int]
) -> None:
    if len(set(external)) != len(external):
        raise ValueError(f"an external buffer is named twice: {tuple(external)}")
    for index in external:
        if not 0 <= index < len(buffers):
            raise IndexError(f"external buffer {index} is not one of {len(buffers)} buffers")
    slices = {
        each.buffer for row in instructions if isinstance(row, BeginLoop) for each in row.slices
    }
    for number, instruction in enumerate(instructions):
        what = f"instruction {number} ({instruction.name})"
        if instruction.address == 0:
            raise ValueError(f"{what}: the kernel's address is null")
        for index in instruction.arguments:
            if not 0 <= index < len(buffers):
                raise IndexError(f"{what}: argument {index} is not one of {len(buffers)} buffers")
            if buffers[index] == 0 and index not in external and index not in slices:
                raise ValueError(f"{what}: the address of buffer {index} is null")
