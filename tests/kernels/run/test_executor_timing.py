"""What a timed run of the executor measures, on small kernels written as LLVM IR."""

import ctypes

import numpy as np
import pytest

from graphc.kernels.native.llvm import compile_ir
from graphc.kernels.run.executor import Executor, MachineCode
from graphc.kernels.run.instruction_table import Instruction, InstructionTable, Timing
from tests.kernels.run.executor_kernels import KERNELS_IR, SPIN_CYCLES
from tests.kernels.run.tables import CLOCK_SLACK, addresses, int64, journal_table


@pytest.fixture(scope="module")
def kernels() -> MachineCode:
    return compile_ir(KERNELS_IR)


def test_timed_run_measures_each_instruction(executor: Executor, kernels: MachineCode) -> None:
    tags = int64(1, 2, 3)
    table, journal = journal_table(executor, kernels, 300, tags)
    timing = table.run_timed(repeats=100)
    assert journal[0] == 300
    assert timing.cycles.dtype == np.int64
    assert timing.cycles.shape == (3,)
    assert (timing.cycles >= 0).all()
    assert timing.total_cycles == timing.cycles.sum() > 0
    assert timing.repeats == 100
    measured = timing.total_cycles * timing.nanoseconds_per_cycle
    np.testing.assert_allclose(measured, timing.nanoseconds, rtol=1e-12)


@pytest.mark.parametrize("repeats", [1, 5])
def test_cycles_of_a_row_are_those_its_kernel_took(
    executor: Executor, kernels: MachineCode, repeats: int
) -> None:
    stamps = int64(0, 0)
    stamp = Instruction("stamp", kernels.address("stamp"), (0,))
    spin = Instruction("spin", kernels.address("spin_cycles"), ())
    table = InstructionTable(executor, [stamp, spin, stamp], addresses(stamps))
    read_counter = ctypes.CFUNCTYPE(ctypes.c_int64)(kernels.address("read_counter"))
    before = read_counter()
    timing = table.run_timed(repeats=repeats)
    after = read_counter()
    first, last = stamps
    assert timing.cycles[1] >= repeats * SPIN_CYCLES
    assert timing.cycles[1] <= last - first + CLOCK_SLACK
    assert timing.total_cycles >= last - first - CLOCK_SLACK
    assert timing.total_cycles <= after - before


def test_spans_are_those_of_the_last_walk(executor: Executor, kernels: MachineCode) -> None:
    stamps = int64(0, 0)
    stamp = Instruction("stamp", kernels.address("stamp"), (0,))
    spin = Instruction("spin", kernels.address("spin_cycles"), ())
    table = InstructionTable(executor, [spin, stamp, spin], addresses(stamps))
    before = executor.clock()
    timing = table.run_timed(repeats=3)
    after = executor.clock()
    assert timing.spans.shape == (1, 3, 2)
    (spans,) = timing.spans
    # One thread never waits: a kernel starts when the one before it is done.
    assert (spans[1:, 0] == spans[:-1, 1]).all()
    assert timing.end == spans[-1, 1]
    assert before < spans[0, 0] and spans[-1, 1] < after
    assert spans[1, 0] - CLOCK_SLACK <= stamps[1] <= spans[1, 1] + CLOCK_SLACK
    for row in (0, 2):
        assert SPIN_CYCLES <= spans[row, 1] - spans[row, 0] <= timing.busy[0, row]
    assert (timing.waits == 0).all()
    assert timing.total_cycles <= after - before


def test_a_run_after_a_timed_one_is_not_timed(executor: Executor, kernels: MachineCode) -> None:
    spin = Instruction("spin", kernels.address("spin_cycles"), ())
    table = InstructionTable(executor, [spin], [])
    timing = table.run_timed()
    busy = timing.busy.copy()
    table.run()
    np.testing.assert_array_equal(timing.busy, busy)
    assert table.run_timed(repeats=2).busy[0, 0] >= 2 * SPIN_CYCLES


def test_timed_run_re_points_externals(executor: Executor, kernels: MachineCode) -> None:
    result, x = int64(0), int64(21)
    add = Instruction("add", kernels.address("add"), (0, 1, 1))
    table = InstructionTable(executor, [add], [*addresses(result), 0], external=(1,))
    table.run_timed((x.ctypes.data,))
    assert result[0] == 42


def test_timing_without_progress_is_an_error(executor: Executor) -> None:
    timing = InstructionTable(executor, [], []).run_timed()
    assert timing.total_cycles == 0
    with pytest.raises(RuntimeError, match="did not advance"):
        _ = timing.nanoseconds_per_cycle


def test_cycles_are_those_of_the_first_thread_and_its_waits() -> None:
    busy, waits = int64(200, 100).reshape(1, 2), int64(100, 0).reshape(1, 2)
    timing = Timing(
        busy,
        waits,
        np.zeros((1, 2, 2), np.int64),
        np.ones(2, np.int64),
        0,
        nanoseconds=2000,
        repeats=4,
    )
    assert timing.cycles.tolist() == [300, 100]
    assert timing.nanoseconds_per_cycle == 5.0
