"""The executor, on small kernels written as LLVM IR."""

import ast
import gc
import inspect
import re
import threading
import tracemalloc
from types import ModuleType

import numpy as np
import pytest

from graphc.kernels.native.llvm import compile_ir
from graphc.kernels.run import executor as executor_module
from graphc.kernels.run import instruction_table
from graphc.kernels.run.executor import Executor, MachineCode
from graphc.kernels.run.executor_code.executor_ir import EXECUTOR_IR
from graphc.kernels.run.instruction_table import (
    Instruction,
    InstructionTable,
    KernelStopped,
    StopWord,
)
from graphc.kernels.run.memory import aligned_empty, data_address
from tests.kernels.run.executor_kernels import KERNELS_IR
from tests.kernels.run.tables import addresses, int64, journal_table

IMPORTS = (ast.Import, ast.ImportFrom)


@pytest.fixture(scope="module")
def kernels() -> MachineCode:
    return compile_ir(KERNELS_IR)


def test_instructions_run_in_order(executor: Executor, kernels: MachineCode) -> None:
    tags = int64(30, 10, 20)
    table, journal = journal_table(executor, kernels, 3, tags)
    table.run()
    assert journal.tolist() == [3, 30, 10, 20]
    assert len(table) == 3


def test_repeats_walk_the_whole_table_again(executor: Executor, kernels: MachineCode) -> None:
    tags = int64(1, 2)
    table, journal = journal_table(executor, kernels, 8, tags)
    table.run(repeats=3)
    assert journal.tolist() == [6, 1, 2, 1, 2, 1, 2, 0, 0]
    table.run()
    assert journal.tolist() == [8, 1, 2, 1, 2, 1, 2, 1, 2]


def test_empty_table_runs(executor: Executor) -> None:
    InstructionTable(executor, [], []).run(repeats=5)


def test_one_thread_walks_as_thread_0_of_1(executor: Executor, kernels: MachineCode) -> None:
    seen = int64(-1, -1)
    write = Instruction("write_thread", kernels.address("write_thread"), (0,))
    InstructionTable(executor, [write], addresses(seen)).run()
    assert seen.tolist() == [0, 1]


def test_flags_change_nothing_on_one_thread(executor: Executor, kernels: MachineCode) -> None:
    journal, tag = np.zeros(4, np.int64), int64(5)
    write = kernels.address("write_journal")
    instructions = [
        Instruction("a", write, (0, 1)),
        Instruction("b", write, (0, 1), barrier=True),
        Instruction("c", write, (0, 1), solo=True),
    ]
    InstructionTable(executor, instructions, addresses(journal, tag)).run()
    assert journal.tolist() == [3, 5, 5, 5]


def test_externals_are_written_into_every_slot_that_uses_them(
    executor: Executor, kernels: MachineCode
) -> None:
    # buffers: 0 inner, 1 result, 2 and 4 external, 3 constant; external 2 stands in three slots
    inner, result, constant = int64(0), int64(0), int64(1000)
    add = kernels.address("add")
    instructions = [
        Instruction("inner = p + p", add, (0, 2, 2)),
        Instruction("result = inner + q", add, (1, 0, 4)),
        Instruction("result = result + constant", add, (1, 1, 3)),
        Instruction("result = p + result", add, (1, 2, 1)),
    ]
    buffers = [*addresses(inner, result), 0, *addresses(constant), 0]
    table = InstructionTable(executor, instructions, buffers, external=(4, 2))
    for p, q in [(int64(1), int64(10)), (int64(7), int64(50))]:
        table.run((q.ctypes.data, p.ctypes.data))
        assert inner[0] == 2 * p[0]
        assert result[0] == 3 * p[0] + q[0] + 1000


def test_arguments_begin_inside_of_their_buffers(executor: Executor, kernels: MachineCode) -> None:
    # buffers: 0 results, 1 external, 2 constants
    results, constants = int64(0, 0), int64(1000, 2000, 3000)
    add = kernels.address("add")
    instructions = [
        Instruction("results[0] = p[1] + p[2]", add, (0, 1, 1), starts=(0, 8, 16)),
        Instruction("results[1] = results[0] + constants[2]", add, (0, 0, 2), starts=(8, 0, 16)),
    ]
    table = InstructionTable(
        executor, instructions, [*addresses(results), 0, *addresses(constants)], external=(1,)
    )
    for p in (int64(1, 10, 100), int64(2, 20, 200, 7)):
        table.run((p.ctypes.data,))
        assert results.tolist() == [p[1] + p[2], p[1] + p[2] + 3000]


def test_external_may_be_unused(executor: Executor, kernels: MachineCode) -> None:
    result, x = int64(0), int64(4)
    add = Instruction("add", kernels.address("add"), (0, 1, 1))
    table = InstructionTable(executor, [add], [*addresses(result), 0, 0], external=(1, 2))
    table.run((x.ctypes.data, 0))
    assert result[0] == 8


@pytest.mark.parametrize("timed", [False, True])
def test_externals_step_after_each_walk(
    executor: Executor, kernels: MachineCode, timed: bool
) -> None:
    # buffers: 0 sums and 1 x step, 2 constant and 3 y stay; y stands in a slot, too
    sums, x, y, constant = np.zeros(4, np.int64), np.arange(10, 50, 10), int64(7), int64(100)
    add = kernels.address("add")
    instructions = [
        Instruction("sum = x + y", add, (0, 1, 3)),
        Instruction("sum = sum + constant", add, (0, 0, 2)),
    ]
    buffers = [0, 0, constant.ctypes.data, 0]
    table = InstructionTable(executor, instructions, buffers, external=(0, 1, 3))
    run = table.run_timed if timed else table.run
    forward = (sums.ctypes.data, x.ctypes.data, y.ctypes.data)
    run(forward, repeats=4, steps=(8, 8, 0))
    assert sums.tolist() == [117, 127, 137, 147]
    assert table.completed == 4
    backward = (sums.ctypes.data, x[3:].ctypes.data, y.ctypes.data)
    run(backward, repeats=4, steps=(8, -8, 0))
    assert sums.tolist() == [147, 137, 127, 117]
    for steps in (None, (0, 0, 0)):
        sums[:] = 0
        run(forward, repeats=4, steps=steps)
        assert sums.tolist() == [117, 0, 0, 0], "the steps of an earlier run are still there"


def test_steps_end_with_a_run_that_stopped(executor: Executor, kernels: MachineCode) -> None:
    status, x, total = int64(0, 0, 6), int64(1, 2, 3), int64(0)
    instructions = [
        Instruction("total += x", kernels.address("add"), (2, 2, 1)),
        Instruction("stop", kernels.address("return_status"), (0,)),
    ]
    table = InstructionTable(executor, instructions, [0, 0, *addresses(total)], external=(0, 1))
    externals = (status.ctypes.data, x.ctypes.data)
    with pytest.raises(KernelStopped) as info:
        table.run(externals, repeats=5, steps=(8, 8))
    assert (info.value.walk, info.value.status, table.completed) == (2, 6, 2)
    assert total[0] == 6
    table.run(externals, repeats=5)
    assert (total[0], table.completed) == (11, 5)


@pytest.mark.parametrize("steps", [(), (8, 8)])
def test_wrong_steps_are_errors(executor: Executor, steps: tuple[int, ...]) -> None:
    table = InstructionTable(executor, [], [0], external=(0,))
    for run in (table.run, table.run_timed):
        with pytest.raises(ValueError, match=f"expected 1 steps, got {len(steps)}"):
            run((8,), 1, steps)


def test_stop_word_ends_a_run(executor: Executor, kernels: MachineCode) -> None:
    flag, stop = int64(0, 0), StopWord()
    wait = Instruction("wait_for_flag", kernels.address("wait_for_flag"), (0,))
    table = InstructionTable(executor, [wait], addresses(flag), stop=stop)

    def stop_in_the_first_walk() -> None:
        while flag[1] == 0:
            pass
        table.stop.set()
        flag[0] = 1

    helper = threading.Thread(target=stop_in_the_first_walk)
    helper.start()
    table.run(repeats=2**60)
    helper.join()
    assert table.completed == 1
    table.run(repeats=3)
    assert table.completed == 0, "a walk began while the word was set"
    stop.clear()
    table.run(repeats=3)
    assert table.completed == 3


@pytest.mark.parametrize("status", [1, 42, -1, -(2**31)])
@pytest.mark.parametrize("timed", [False, True])
def test_status_stops_the_walk(
    executor: Executor, kernels: MachineCode, status: int, timed: bool
) -> None:
    journal, tag, result = np.zeros(8, np.int64), int64(9), int64(status)
    write, stop = kernels.address("write_journal"), kernels.address("return_status")
    instructions = [
        Instruction("before", write, (0, 1)),
        Instruction("gather", stop, (2,)),
        Instruction("after", write, (0, 1)),
    ]
    table = InstructionTable(executor, instructions, addresses(journal, tag, result))
    run = table.run_timed if timed else table.run
    with pytest.raises(
        KernelStopped, match=rf"instruction 1 \(gather\) .*status {status}$"
    ) as info:
        run(repeats=3)
    assert (info.value.instruction, info.value.status) == (1, status)
    assert journal[0] == 1, "a later instruction or repeat ran"
    result[0] = 0
    run()
    assert journal[0] == 3, "the table did not run after a stop"


def test_first_instruction_may_stop(executor: Executor, kernels: MachineCode) -> None:
    status = int64(3)
    stop = Instruction("stop", kernels.address("return_status"), (0,))
    with pytest.raises(KernelStopped) as info:
        InstructionTable(executor, [stop], addresses(status)).run()
    assert (info.value.instruction, info.value.name, info.value.status) == (0, "stop", 3)


def test_runs_hold_no_memory(executor: Executor, kernels: MachineCode) -> None:
    result, x = int64(0), int64(1)
    add = Instruction("add", kernels.address("add"), (0, 1, 0))
    table = InstructionTable(executor, [add], [*addresses(result), 0], external=(1,))
    externals = (x.ctypes.data,)
    runs = 10_000

    def call_often() -> None:
        for _ in range(runs):
            table.run(externals)

    call_often()
    tracemalloc.start()
    try:
        call_often()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        call_often()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert result[0] == 3 * runs
    assert after - before < runs // 10, "less than a byte each ten runs"


def test_separate_tables_run_on_separate_python_threads(
    executor: Executor, kernels: MachineCode
) -> None:
    threads, runs = 4, 500
    results = np.zeros((threads, 8), np.int64)
    steps = np.arange(1, threads + 1, dtype=np.int64)
    add = Instruction("add", kernels.address("add"), (0, 1, 0))

    def work(number: int) -> None:
        buffers = [results[number:].ctypes.data, 0]
        table = InstructionTable(executor, [add, add], buffers, external=(1,))
        for _ in range(runs):
            table.run((steps[number:].ctypes.data,), repeats=3)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results[:, 0].tolist() == (steps * runs * 2 * 3).tolist()


@pytest.mark.parametrize("timed", [False, True])
def test_gil_is_released(executor: Executor, kernels: MachineCode, timed: bool) -> None:
    flag = int64(0, 0)
    wait = Instruction("wait_for_flag", kernels.address("wait_for_flag"), (0,))
    table = InstructionTable(executor, [wait], addresses(flag))
    seen: list[bool] = []

    def raise_flag_once_the_kernel_runs() -> None:
        while flag[1] == 0:
            pass
        seen.append(bool(flag[0] == 0))
        flag[0] = 1

    helper = threading.Thread(target=raise_flag_once_the_kernel_runs)
    helper.start()
    # With the GIL held nobody could raise the flag, and the kernel would stop with a status.
    if timed:
        table.run_timed()
    else:
        table.run()
    helper.join()
    assert seen == [True]


@pytest.mark.parametrize(
    ("externals", "repeats", "message"),
    [
        ((), 1, "expected 1 external .* got 0 and 1"),
        ((1, 2), 1, "expected 1 external .* got 2 and 1"),
        ((1,), 0, "at least 1 repeat, got 1 and 0"),
        ((1,), -3, "at least 1 repeat, got 1 and -3"),
    ],
)
def test_wrong_calls_are_errors(
    executor: Executor, externals: tuple[int, ...], repeats: int, message: str
) -> None:
    table = InstructionTable(executor, [], [0], external=(0,))
    for run in (table.run, table.run_timed):
        with pytest.raises(ValueError, match=message):
            run(externals, repeats)


@pytest.mark.parametrize(
    ("address", "arguments", "buffers", "external", "error", "message"),
    [
        (1, (0, 2), [8, 8], (), IndexError, r"instruction 0 \(k\): argument 2 is not one of 2"),
        (1, (-1,), [8], (), IndexError, "argument -1 is not one of 1"),
        (1, (0,), [0], (), ValueError, "address of buffer 0 is null"),
        (0, (0,), [8], (), ValueError, "kernel's address is null"),
        (1, (0,), [8], (1,), IndexError, "external buffer 1 is not one of 1"),
        (1, (0,), [8], (0, 0), ValueError, "named twice"),
    ],
)
def test_wrong_tables_are_errors(
    executor: Executor,
    address: int,
    arguments: tuple[int, ...],
    buffers: list[int],
    external: tuple[int, ...],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        InstructionTable(executor, [Instruction("k", address, arguments)], buffers, external)


@pytest.mark.parametrize("module", [executor_module, instruction_table])
def test_executor_imports_no_compiler(module: ModuleType) -> None:
    tree = ast.parse(inspect.getsource(module))
    imports = [ast.unparse(node) for node in tree.body if isinstance(node, IMPORTS)]
    assert imports
    assert not [line for line in imports if re.search("numba|llvm|jit", line)]


def test_executor_ir_allocates_nothing() -> None:
    assert "alloca" not in EXECUTOR_IR
    assert "malloc" not in EXECUTOR_IR


@pytest.mark.parametrize("nbytes", [0, 1, 63, 64, 65, 4096])
@pytest.mark.parametrize("alignment", [1, 2, 64, 4096])
def test_aligned_empty(nbytes: int, alignment: int) -> None:
    memory = aligned_empty(nbytes, alignment)
    assert (memory.dtype, memory.shape) == (np.uint8, (nbytes,))
    assert memory.ctypes.data % alignment == 0
    memory[:] = 255


@pytest.mark.parametrize(("nbytes", "alignment"), [(-1, 64), (8, 0), (8, 48), (8, -64)])
def test_aligned_empty_refuses(nbytes: int, alignment: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        aligned_empty(nbytes, alignment)


def test_data_address_is_what_numpy_says() -> None:
    class Subclass(np.ndarray):
        pass

    base = np.arange(24.0).reshape(4, 6)
    read_only = base.copy()
    read_only.flags.writeable = False
    arrays = [base, base[1:, 2:], base.T, base[::-1], base.view(Subclass), read_only, np.array(3)]
    arrays += [np.empty((0, 4)), np.zeros(5, np.bool_), np.frombuffer(b"abcdefgh", np.uint8)]
    for array in arrays:
        assert data_address(array) == array.ctypes.data
