"""The executor: the native function, the same for every graph, that walks a table of instructions.

The entry points as Python calls them; what they walk is `graphc.kernels.run.instruction_table`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from graphc.kernels.run.executor_code.executor_ir import EXECUTOR_IR


class MachineCode(Protocol):
    """Machine code in memory, mapped for as long as this object lives."""

    def address(self, symbol: str, /) -> int: ...


@dataclass(frozen=True)
class Executor:
    """The compiled entry points; all release the GIL. `module` keeps their code in memory.

    run           table -> where: walk on the calling thread
    run_timed     table -> where: the same, filling the table's records, if it has any
    run_together  table, pool -> where: walk with the workers of the pool; timed if the table has
                  records
    work          pool, thread: a worker's life, which ends when the pool closes
    close         pool: no run may be under way
    pause         word, rounds: waits for so many rounds
    keep_apart    pool, thread: the calling thread leaves a processor that one before it uses
    clock         -> cycles: the counter that records hold
    begin_loop, end_loop: addresses of the kernels of the rows around a loop's steps
    where is 0, or (row << 32 | status) of the lowest row whose kernel stopped, or -1 when
    the calling thread has waited for threads without processors for longer than the table bears.
    """

    module: MachineCode
    run: Callable[[int], int]
    run_timed: Callable[[int], int]
    run_together: Callable[[int, int], int]
    work: Callable[[int, int], None]
    close: Callable[[int], None]
    pause: Callable[[int, int], None]
    keep_apart: Callable[[int, int], None]
    clock: Callable[[], int]
    begin_loop: int
    end_loop: int


def load_executor(module: MachineCode) -> Executor:
    """The entry points of `module`, which holds the machine code of `EXECUTOR_IR`."""
    word, address = ctypes.c_int64, ctypes.c_void_p

    def entry(name: str, result: Any, *parameters: Any) -> Any:
        return ctypes.CFUNCTYPE(result, *parameters)(module.address(name))

    return Executor(
        module,
        run=entry("graphc_run", word, address),
        run_timed=entry("graphc_run_timed", word, address),
        run_together=entry("graphc_run_together", word, address, address),
        work=entry("graphc_work", None, address, word),
        close=entry("graphc_close", None, address),
        pause=entry("graphc_pause", None, address, word),
        keep_apart=entry("graphc_keep_apart", None, address, word),
        clock=entry("graphc_clock", word),
        begin_loop=module.address("graphc_begin_loop"),
        end_loop=module.address("graphc_end_loop"),
    )


def compile_executor() -> Executor:
    """Compile `EXECUTOR_IR` for this machine."""
    # Imported here: a process that loads its machine code from disk must not import the compiler.
    from graphc.kernels.native.llvm import compile_ir

    return load_executor(compile_ir(EXECUTOR_IR))
