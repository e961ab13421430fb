"""Loops in a table: slices move from step to step, and every walk begins with the first."""

import numpy as np
import pytest

from graphc.kernels.native.llvm import compile_ir
from graphc.kernels.run.executor import Executor, MachineCode
from graphc.kernels.run.instruction_table import Instruction, InstructionTable, KernelStopped
from graphc.kernels.run.instructions import BeginLoop, EndLoop, Slice
from graphc.kernels.run.pool import ThreadPool
from tests.kernels.run.executor_kernels import KERNELS_IR
from tests.kernels.run.pool_kernels import KERNELS_IR as POOL_KERNELS_IR
from tests.kernels.run.tables import Marks, addresses, int64

WORD = 8
# Buffers of the tables: a journal, what steps read slices of, and the slice.
JOURNAL, WHOLE, PART = range(3)


@pytest.fixture(scope="module")
def kernels() -> MachineCode:
    return compile_ir(KERNELS_IR)


@pytest.fixture(scope="module")
def pool_kernels() -> MachineCode:
    return compile_ir(POOL_KERNELS_IR)


def looped(
    executor: Executor,
    rows: list[Instruction],
    length: int,
    *slices: Slice,
    wholes: tuple[int, ...],
) -> list[Instruction]:
    begin = BeginLoop("loop", executor.begin_loop, wholes, length=length, slices=slices)
    return [begin, *rows, EndLoop("end", executor.end_loop, ())]


def journal_of(executor: Executor, kernels: MachineCode, length: int, each: Slice) -> list[int]:
    """What a loop writes down of the slices of 10, 20, 30, 40 in two walks."""
    journal, tags = np.zeros(20, np.int64), int64(10, 20, 30, 40)
    write = Instruction("write", kernels.address("write_journal"), (JOURNAL, PART))
    rows = looped(executor, [write], length, each, wholes=(WHOLE,))
    table = InstructionTable(executor, rows, [*addresses(journal, tags), 0])
    table.run(repeats=2)
    return journal[1 : 1 + journal[0]].tolist()


def test_slices_move_on(executor: Executor, kernels: MachineCode) -> None:
    found = journal_of(executor, kernels, 3, Slice(PART, WHOLE, 0, WORD))
    assert found == [10, 20, 30] * 2


def test_slices_move_back(executor: Executor, kernels: MachineCode) -> None:
    found = journal_of(executor, kernels, 4, Slice(PART, WHOLE, 3 * WORD, -WORD))
    assert found == [40, 30, 20, 10] * 2


def test_arguments_begin_inside_of_slices(executor: Executor, kernels: MachineCode) -> None:
    journal, tags = np.zeros(20, np.int64), int64(10, 20, 30, 40)
    write = Instruction(
        "write", kernels.address("write_journal"), (JOURNAL, PART), starts=(0, WORD)
    )
    rows = looped(executor, [write], 2, Slice(PART, WHOLE, 0, 2 * WORD), wholes=(WHOLE,))
    InstructionTable(executor, rows, [*addresses(journal, tags), 0]).run()
    assert journal[1 : 1 + journal[0]].tolist() == [20, 40]


def test_one_step(executor: Executor, kernels: MachineCode) -> None:
    assert journal_of(executor, kernels, 1, Slice(PART, WHOLE, WORD, WORD)) == [20, 20]


def test_slices_of_what_is_given_anew(executor: Executor, kernels: MachineCode) -> None:
    """The buffer of an external pointer, which moves on between walks too."""
    journal, tags = np.zeros(20, np.int64), int64(1, 2, 3, 4, 5, 6)
    write = Instruction("write", kernels.address("write_journal"), (JOURNAL, PART))
    rows = looped(executor, [write], 2, Slice(PART, WHOLE, 0, WORD), wholes=(WHOLE,))
    table = InstructionTable(executor, rows, [journal.ctypes.data, 0, 0], external=[WHOLE])
    table.run([tags.ctypes.data], repeats=3, steps=[2 * WORD])
    assert journal[1:7].tolist() == [1, 2, 3, 4, 5, 6]
    table.run([tags[3:].ctypes.data])
    assert journal[7:9].tolist() == [4, 5]


def test_a_loop_in_a_loop(executor: Executor, kernels: MachineCode) -> None:
    """Rows of a matrix, and in each its elements from the last to the first."""
    journal, tags = np.zeros(20, np.int64), np.arange(6, dtype=np.int64).reshape(2, 3)
    write = Instruction("write", kernels.address("write_journal"), (JOURNAL, PART + 1))
    inner = looped(executor, [write], 3, Slice(PART + 1, PART, 2 * WORD, -WORD), wholes=(PART,))
    rows = looped(executor, inner, 2, Slice(PART, WHOLE, 0, 3 * WORD), wholes=(WHOLE,))
    table = InstructionTable(executor, rows, [*addresses(journal, tags), 0, 0])
    table.run()
    assert journal[1:7].tolist() == [2, 1, 0, 5, 4, 3]


def test_a_kernel_that_stops_in_a_step_leaves_no_trace(
    executor: Executor, kernels: MachineCode
) -> None:
    journal, states = np.zeros(20, np.int64), int64(0, 7, 0)
    write = Instruction("write", kernels.address("write_journal"), (JOURNAL, PART))
    stop = Instruction("stop", kernels.address("return_status"), (PART,))
    rows = looped(executor, [write, stop], 3, Slice(PART, WHOLE, 0, WORD), wholes=(WHOLE,))
    table = InstructionTable(executor, rows, [*addresses(journal, states), 0])
    with pytest.raises(KernelStopped, match=r"instruction 2 \(stop\) stopped with status 7"):
        table.run()
    assert journal[:3].tolist() == [2, 0, 7]
    states[1] = 0
    table.run()
    assert journal[0] == 5


def test_threads_walk_a_loop_together(
    executor: Executor, pool_kernels: MachineCode, pool: ThreadPool
) -> None:
    """All threads count in each step, and none is ahead where they compare."""
    marks = Marks(pool.threads)
    count = Instruction("count", pool_kernels.address("count"), (0,), barrier=True)
    compare = Instruction("compare", pool_kernels.address("compare"), (0, 1), barrier=True)
    begin = BeginLoop("loop", executor.begin_loop, (), barrier=True, length=50)
    end = EndLoop("end", executor.end_loop, (), barrier=True)
    table = InstructionTable(executor, [begin, count, compare, end], marks.addresses, pool=pool)
    table.run(repeats=20)
    assert marks.values() == [1000] * pool.threads
    assert marks.differences[0] == 0


def test_the_time_of_all_steps_is_measured(executor: Executor, kernels: MachineCode) -> None:
    spin = Instruction("spin", kernels.address("spin_cycles"), ())
    once = InstructionTable(executor, [spin], []).run_timed()
    table = InstructionTable(executor, looped(executor, [spin], 10, wholes=()), [])
    assert table.run_timed().busy[0, 1] > 5 * once.busy[0, 0]


@pytest.mark.parametrize(
    ("begins", "message"), [(True, "does not end"), (False, "ends a loop that has not begun")]
)
def test_half_a_loop_is_refused(executor: Executor, begins: bool, message: str) -> None:
    begin = BeginLoop("loop", executor.begin_loop, ())
    half = begin if begins else EndLoop("end", executor.end_loop, ())
    with pytest.raises(ValueError, match=message):
        InstructionTable(executor, [half], [])
