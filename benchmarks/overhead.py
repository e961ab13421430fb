"""What a run costs beyond its kernels: the call from Python, a kernel in the native loop, threads.

    python -m benchmarks.overhead [--json FILE]

Every figure is the median of several rounds. The native loop walks a table of kernels that return
at once. The compiled step is workload S: its time in a Python loop less that in the native loop,
which runs the same kernels. The rows of threads need as many free processors: when others use them,
they tell the cost of changing from one thread to another on a processor.
"""

import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.measure import (
    Repeated,
    calls,
    interleaved_rounds,
    print_table,
    seconds_each,
    write_json,
)
from benchmarks.workloads.workloads import workload
from graphc.kernels.native.llvm import compile_ir
from graphc.kernels.run.executor import Executor, MachineCode, compile_executor
from graphc.kernels.run.instruction_table import Instruction, InstructionTable
from graphc.kernels.run.memory import data_address
from graphc.kernels.run.pool import ThreadPool

ROUNDS = 15
CALLS_A_ROUND = 5_000
EXTERNAL_COUNTS = (0, 2, 4)

# Different functions, or the branch predictor would see a single target.
EMPTY_KERNELS = 16
TABLE_ROWS = 64
REPEATS_A_ROUND = 2_000
NATIVE_LIMIT_MICROSECONDS = 0.2
CALL_LIMIT_MICROSECONDS = 10

THREADS = 2
RUNS_TOGETHER_A_ROUND = 500
BARRIER_REPEATS_A_ROUND = 50
# Longer than workers look for the next run before they sleep.
SECONDS_TO_SLEEP = 0.002
WAKE_UPS = 50


@dataclass(frozen=True)
class Row:
    """One line of the table; `limit_microseconds` is what the project asks for, if it does."""

    what: str
    microseconds: float
    limit_microseconds: float | None = None


def median_microseconds(action: Repeated, count: int) -> float:
    """Microseconds of one of the `count` times that the action does its work, after a warm-up."""
    action(count)
    return statistics.median(seconds_each(action, count) for _ in range(ROUNDS)) * 1e6


def python_call(executor: Executor, externals: int) -> Row:
    """`InstructionTable.run` on a table without instructions, addresses at hand."""
    table = InstructionTable(executor, [], [0] * externals, tuple(range(externals)))
    addresses = tuple(np.empty(1).ctypes.data for _ in range(externals))
    what = f"Python call, empty table, {externals} externals"
    return Row(what, median_microseconds(calls(table.run, addresses), CALLS_A_ROUND))


def python_call_with_arrays(executor: Executor, externals: int) -> Row:
    """The same, the addresses of the arrays read at each call."""
    table = InstructionTable(executor, [], [0] * externals, tuple(range(externals)))
    arrays = tuple(np.empty(1) for _ in range(externals))

    def call_often(count: int) -> None:
        run = table.run
        for _ in range(count):
            run([data_address(array) for array in arrays])

    what = f"Python call, empty table, addresses of {externals} arrays read"
    return Row(what, median_microseconds(call_often, CALLS_A_ROUND))


def native_loop(executor: Executor, timed: bool) -> Row:
    """An empty kernel in a table that the executor repeats."""
    kernels = empty_kernels()
    table = table_of_empty(executor, kernels, None)
    run = table.run_timed if timed else table.run
    microseconds = median_microseconds(lambda count: run(repeats=count), REPEATS_A_ROUND)
    what = "empty kernel in the native loop, timed" if timed else "empty kernel in the native loop"
    return Row(what, microseconds / TABLE_ROWS, NATIVE_LIMIT_MICROSECONDS)


def empty_kernels() -> MachineCode:
    return compile_ir(
        "\n".join(
            f"define i32 @empty{k}(ptr %arguments, i64 %thread, i64 %threads) {{ ret i32 0 }}"
            for k in range(EMPTY_KERNELS)
        )
    )


def table_of_empty(
    executor: Executor, kernels: MachineCode, pool: ThreadPool | None
) -> InstructionTable:
    """Kernels that return at once, a barrier before each; `kernels` must outlive the table."""
    names = [f"empty{k % EMPTY_KERNELS}" for k in range(TABLE_ROWS)]
    instructions = [Instruction(name, kernels.address(name), (), barrier=True) for name in names]
    return InstructionTable(executor, instructions, [], pool=pool)


def threads_together(executor: Executor, pool: ThreadPool) -> list[Row]:
    """What a pool adds: a barrier, a call while workers look for it, a call while they sleep."""
    kernels = empty_kernels()
    table = table_of_empty(executor, kernels, pool)
    barrier = median_microseconds(lambda count: table.run(repeats=count), BARRIER_REPEATS_A_ROUND)
    single = InstructionTable(executor, [], [], pool=pool)
    call = median_microseconds(calls(single.run), RUNS_TOGETHER_A_ROUND)
    woken = []
    for _ in range(WAKE_UPS):
        time.sleep(SECONDS_TO_SLEEP)
        start = time.perf_counter()
        single.run()
        woken.append((time.perf_counter() - start) * 1e6)
    return [
        Row(f"barrier of {THREADS} threads", barrier / TABLE_ROWS),
        Row(f"Python call, empty table, {THREADS} threads", call),
        Row(f"the same with sleeping workers, {THREADS} threads", statistics.median(woken)),
    ]


def compiled_step() -> Row:
    """A call of a `gc.function`: checks, lock, two addresses, the loss copied out."""
    work = workload("S")
    step = work.step()
    rounds = interleaved_rounds(
        {
            "call": calls(step, *work.arrays),
            "native": lambda count: step.repeat(count, *work.arrays),
        },
        ROUNDS,
    )
    beyond = [
        called - native for called, native in zip(rounds["call"], rounds["native"], strict=True)
    ]
    what = "Python call of a compiled step (8-64-64-4, batch 32)"
    return Row(what, statistics.median(beyond) * 1e6, CALL_LIMIT_MICROSECONDS)


def measure() -> list[Row]:
    executor = compile_executor()
    return [
        *(python_call(executor, count) for count in EXTERNAL_COUNTS),
        *(python_call_with_arrays(executor, count) for count in EXTERNAL_COUNTS if count),
        native_loop(executor, timed=False),
        native_loop(executor, timed=True),
        *threads_together(executor, ThreadPool(executor, THREADS)),
        compiled_step(),
    ]


def print_rows(rows: list[Row]) -> None:
    print_table(
        "Beyond the kernels",
        ("overhead", "microseconds", "limit"),
        [
            (
                row.what,
                f"{row.microseconds:.4f}",
                "" if row.limit_microseconds is None else f"{row.limit_microseconds:g}",
            )
            for row in rows
        ],
    )


@click.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the rows here.")
def main(json_file: Path | None) -> None:
    """Measure what a run costs beyond its kernels."""
    rows = measure()
    print_rows(rows)
    write_json(json_file, {"rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
