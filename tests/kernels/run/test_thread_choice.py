"""One thread or all: what is chosen for given times, and that portions make one run."""

import ctypes

import numpy as np
import pytest

from graphc.kernels.native.llvm import compile_ir
from graphc.kernels.run import thread_choice
from graphc.kernels.run.executor import Executor, MachineCode, compile_executor
from graphc.kernels.run.instruction_table import Instruction, InstructionTable, KernelStopped
from graphc.kernels.run.pool import ThreadPool
from graphc.kernels.run.thread_choice import (
    CALLS_A_MEASUREMENT,
    FIRST_TRIAL_NANOSECONDS,
    HELD_UP_NANOSECONDS,
    HELD_UP_SHARE,
    HELD_UP_SHARE_OF_LONG,
    PORTION_NANOSECONDS,
    SURELY_SHARED_NANOSECONDS,
    TRIAL_SHARE,
    TableRunner,
    ThreadChoice,
)
from tests.kernels.run.executor_kernels import KERNELS_IR
from tests.kernels.run.pool_kernels import KERNELS_IR as POOL_KERNELS_IR

SECOND = 1_000_000_000
PATIENCE_SECONDS = 60
COLD = 40


@pytest.fixture(scope="module")
def executor() -> Executor:
    return compile_executor()


@pytest.fixture(scope="module")
def kernels() -> MachineCode:
    return compile_ir(KERNELS_IR)


class Machine:
    """Makes walks of given times and counts what each kind took."""

    def __init__(self, together: float, alone: float) -> None:
        self.nanoseconds = {False: together, True: alone}
        self.spent = {False: 0.0, True: 0.0}
        self.choice = ThreadChoice()

    def walk(self, nanoseconds: float, at_once: int = 10**9) -> None:
        """Walks for a time."""
        end = sum(self.spent.values()) + nanoseconds
        while sum(self.spent.values()) < end:
            alone, walks = self.choice.next_walks(at_once)
            assert 1 <= walks <= at_once
            took = walks * self.nanoseconds[alone]
            self.spent[alone] += took
            self.choice.report(walks, took)

    def share_alone(self) -> float:
        share = self.spent[True] / sum(self.spent.values())
        self.spent = {False: 0.0, True: 0.0}
        return share


@pytest.mark.parametrize("at_once", [1, 7, 10**9])
def test_the_faster_kind_is_found_and_followed_when_it_changes(at_once: int) -> None:
    machine = Machine(together=8_000, alone=11_000)
    machine.walk(SECOND // 4, at_once)
    assert machine.share_alone() < 2 * TRIAL_SHARE
    machine.nanoseconds[False] = 23_000
    machine.walk(SECOND // 4, at_once)
    assert machine.share_alone() > 0.8
    machine.walk(SECOND // 4, at_once)
    assert machine.share_alone() > 1 - 2 * TRIAL_SHARE
    machine.nanoseconds[False] = 8_000
    machine.walk(SECOND // 4, at_once)
    machine.share_alone()
    machine.walk(SECOND // 4, at_once)
    assert machine.share_alone() < 2 * TRIAL_SHARE


def test_a_short_disturbance_is_soon_forgotten() -> None:
    machine = Machine(together=80_000, alone=150_000)
    machine.walk(SECOND // 4)
    machine.nanoseconds[False] = 400_000
    machine.walk(SECOND // 16)
    assert machine.choice.alone
    machine.nanoseconds[False] = 80_000
    machine.share_alone()
    machine.walk(SECOND // 10)
    # The next trial waits no longer than the disturbance lasted.
    assert machine.share_alone() < 0.4


def test_long_walks_are_shared_without_trials() -> None:
    machine = Machine(together=2 * SURELY_SHARED_NANOSECONDS, alone=SURELY_SHARED_NANOSECONDS)
    machine.walk(SECOND)
    assert machine.spent[True] == 0


def test_a_cold_first_walk_and_a_single_slow_one_change_nothing() -> None:
    choice = ThreadChoice()
    kinds = []
    for number in range(10_000):
        alone, walks = choice.next_walks(1)
        kinds.append(alone)
        is_slow = number == 0 or number % COLD == COLD - 1
        choice.report(walks, 900_000 if is_slow else 15_000 if alone else 10_000)
    assert 0 < sum(kinds) < len(kinds) / 10
    assert not choice.alone


def test_long_walks_bear_that_threads_lose_some_time() -> None:
    short = Machine(together=10_000, alone=20_000)
    long = Machine(together=SURELY_SHARED_NANOSECONDS, alone=2 * SURELY_SHARED_NANOSECONDS)
    for machine in (short, long):
        machine.walk(20 * SURELY_SHARED_NANOSECONDS)
    assert short.choice.forgivable(SECOND) == HELD_UP_SHARE * SECOND
    assert long.choice.forgivable(SECOND) == HELD_UP_SHARE_OF_LONG * SECOND
    usual = SURELY_SHARED_NANOSECONDS
    assert long.choice.bearable(4) == HELD_UP_NANOSECONDS + 4 * HELD_UP_SHARE_OF_LONG * usual


def test_no_trial_comes_before_its_time() -> None:
    machine = Machine(together=10_000, alone=1)
    machine.walk(FIRST_TRIAL_NANOSECONDS - 20_000, at_once=1)
    assert machine.spent[True] == 0


class Portions:
    """Threads and portions as written down."""

    is_settled = False

    def __init__(self, *portions: tuple[bool, int]) -> None:
        self.portions = list(portions)

    def next_walks(self, left: int) -> tuple[bool, int]:
        return self.portions.pop(0)

    def bearable(self, walks: int) -> int:
        return SECOND

    def forgivable(self, nanoseconds: float) -> int:
        return SECOND

    def held_up(self, nanoseconds: int) -> None:
        raise AssertionError

    def report(self, walks: int, nanoseconds: float, stands_for: int = 1) -> None:
        assert nanoseconds > 0


def test_portions_step_through_memory_as_one_run_does(
    executor: Executor, kernels: MachineCode
) -> None:
    sums, x = np.zeros(9, np.int64), np.arange(9)
    add = [Instruction("sum += x", kernels.address("add"), (0, 0, 1), solo=True)]
    pool = ThreadPool(executor, 2)
    table = InstructionTable(executor, add, [0, 0], external=(0, 1), pool=pool)
    choice = Portions((False, 2), (True, 3), (True, 1), (False, 3))
    TableRunner(table, choice).run((sums.ctypes.data, x.ctypes.data), 9, (8, 8))
    assert sums.tolist() == x.tolist()
    assert choice.portions == []


def test_threads_are_those_that_were_chosen(executor: Executor, kernels: MachineCode) -> None:
    seen = np.zeros((2, 2), np.int64)
    rows = [Instruction("write", kernels.address("write_thread"), (0,))]
    table = InstructionTable(executor, rows, [0], external=(0,), pool=ThreadPool(executor, 2))
    # Each walk writes (thread, threads); of two threads either may be the last.
    TableRunner(table, Portions((False, 1), (True, 1))).run((seen.ctypes.data,), 2, (16,))
    assert seen[:, 1].tolist() == [2, 1]


def test_a_kernel_that_stops_names_the_walk_of_the_whole_run(
    executor: Executor, kernels: MachineCode
) -> None:
    status = np.array([0, 0, 0, 6, 0], np.int64)
    stop = [Instruction("stop", kernels.address("return_status"), (0,), solo=True)]
    pool = ThreadPool(executor, 2)
    table = InstructionTable(executor, stop, [0], external=(0,), pool=pool)
    with pytest.raises(KernelStopped) as info:
        TableRunner(table, Portions((False, 2), (True, 3))).run((status.ctypes.data,), 5, (8,))
    assert (info.value.walk, info.value.status) == (3, 6)


def test_a_stop_word_ends_all_portions(executor: Executor, kernels: MachineCode) -> None:
    table = InstructionTable(executor, [], [], pool=ThreadPool(executor, 2))
    table.stop.set()
    choice = Portions((False, 2), (True, 1))
    TableRunner(table, choice).run(repeats=3)
    assert choice.portions == [(True, 1)]


class Settled(Portions):
    """As written down, with nothing to find out."""

    is_settled = True
    stood_for = 0

    def report(self, walks: int, nanoseconds: float, stands_for: int = 1) -> None:
        self.stood_for += stands_for


def test_of_single_calls_one_in_many_is_measured(
    executor: Executor, kernels: MachineCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine a call may take long.
    monkeypatch.setattr(thread_choice, "PORTION_NANOSECONDS", PATIENCE_SECONDS * SECOND)
    seen = np.zeros(2, np.int64)
    rows = [Instruction("write", kernels.address("write_thread"), (0,))]
    table = InstructionTable(executor, rows, [0], external=(0,), pool=ThreadPool(executor, 2))
    choice = Settled((True, 1), (False, 1))
    runner = TableRunner(table, choice)
    for _ in range(CALLS_A_MEASUREMENT):
        runner.run((seen.ctypes.data,))
        assert seen[1] == 1
    runner.run((seen.ctypes.data,))
    assert seen[1] == 2
    assert choice.stood_for == 2 * CALLS_A_MEASUREMENT


def test_long_calls_are_all_measured(executor: Executor) -> None:
    usleep = ctypes.cast(ctypes.CDLL(None).usleep, ctypes.c_void_p).value
    sleep = np.array([0, usleep, PORTION_NANOSECONDS // 1000], np.int64)
    kernels = compile_ir(POOL_KERNELS_IR)
    rows = [Instruction("sleep", kernels.address("call_in_thread"), (0,), solo=True)]
    table = InstructionTable(executor, rows, [0], external=(0,), pool=ThreadPool(executor, 2))
    choice = Settled((False, 1), (True, 1), (False, 1))
    runner = TableRunner(table, choice)
    for _ in range(3):
        runner.run((sleep.ctypes.data,))
    assert choice.portions == []
    assert choice.stood_for == 3
