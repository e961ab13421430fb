"""Threads that hold each other up: what is noticed in a run, and how it goes on."""

from __future__ import annotations

import ctypes
import itertools
import threading
import time

import numpy as np
import pytest

from graphc.kernels.host.thread_count import available_processors
from graphc.kernels.native.llvm import compile_ir
from graphc.kernels.run.congestion import LONGEST_PAUSE_NANOSECONDS, Congestion, switches
from graphc.kernels.run.executor import Executor, MachineCode
from graphc.kernels.run.instruction_table import Instruction, InstructionTable, KernelStopped
from graphc.kernels.run.pool import ThreadPool
from graphc.kernels.run.thread_choice import CALLS_A_MEASUREMENT, TableRunner
from tests.kernels.run.pool_kernels import KERNELS_IR

# Far beyond what is borne; the rounds take some milliseconds on any processor.
LATE_MICROSECONDS = 5_000
LATE_ROUNDS = 10_000_000
NOBODY = 99
_USLEEP = ctypes.cast(ctypes.CDLL(None).usleep, ctypes.c_void_p).value
LOST = 4_000_000
BEARABLE = 1_000_000
# To be let be by the system for some milliseconds.
ATTEMPTS = 20
# For as long as other tests may keep all processors.
PATIENCE_SECONDS = 30.0


@pytest.fixture(scope="module")
def kernels() -> MachineCode:
    return compile_ir(KERNELS_IR)


class Delayed:
    """Rows that tell which threads made a walk, behind one in which a thread is late.

    In walk k all threads write how many they are to `seen[k]`, and behind the next barrier, at
    which the late thread may be late again, and two more those that are left do so to `parted[k]`
    and `rest[k]`.
    """

    def __init__(
        self, executor: Executor, kernels: MachineCode, pool: ThreadPool, walks: int
    ) -> None:
        self.walks = walks
        self.seen = np.zeros((walks, pool.threads), np.int64)
        self.parted, self.rest = (np.zeros((walks, pool.threads), np.int64) for _ in range(2))
        # As two kernels have it, a row a walk: thread, function and argument, and thread, status
        # and rounds.
        self.sleeps = np.full((walks, 3), [NOBODY, 0, 0], np.int64)
        self.computes = np.full((walks, 3), [NOBODY, 0, 0], np.int64)
        rows = [
            Instruction("sleep", kernels.address("call_in_thread"), (1,)),
            Instruction("compute", kernels.address("fail_in_thread"), (2,)),
            Instruction("seen", kernels.address("write_threads"), (0,), barrier=True),
            Instruction("sleep", kernels.address("call_in_thread"), (1,)),
            Instruction("parted", kernels.address("write_threads"), (4,), barrier=True),
            Instruction("sleep", kernels.address("call_in_thread"), (1,), barrier=True),
            Instruction("rest", kernels.address("write_threads"), (3,), barrier=True),
        ]
        self.table = InstructionTable(executor, rows, [0] * 5, external=range(5), pool=pool)
        arrays = (self.seen, self.sleeps, self.computes, self.rest, self.parted)
        self.externals = tuple(array.ctypes.data for array in arrays)
        self.steps = tuple(array.strides[0] for array in arrays)

    def sleep(self, walk: int, thread: int, microseconds: int = LATE_MICROSECONDS) -> None:
        """The thread has no processor for a while."""
        self.sleeps[walk] = thread, _USLEEP, microseconds

    def compute(self, walk: int, thread: int, status: int = 0, rounds: int = LATE_ROUNDS) -> None:
        """The thread needs its processor for a while."""
        self.computes[walk] = thread, status, rounds

    def run(self, bearable: int = BEARABLE) -> bool:
        """All walks, without a choice of threads."""
        self.seen[:] = 0
        self.table.held = 0
        return self.table.run(self.externals, self.walks, self.steps, bearable=bearable)

    def run_with_choice(self) -> None:
        """All walks, until the threads are held up: a machine with other work may keep the calling
        thread from its processor for as long as the other is late."""
        for _ in range(ATTEMPTS):
            self.seen[:] = 0
            TableRunner(self.table).run(self.externals, self.walks, self.steps)
            if self.table.congestion.lasts():
                return
        raise AssertionError("never held up")

    def is_undisturbed_once(self) -> bool:
        """Whether some run ends with nobody held up. Others may take the threads' processors, but
        not each time."""
        if self.table.threads > available_processors():
            pytest.skip("threads without a processor each hold each other up")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if not self.run():
                return True
            time.sleep(LATE_MICROSECONDS * 1e-6)
        return False

    def threads(self) -> list[int]:
        """How many threads made each walk."""
        return [int(n) for n in self.seen[:, 0]]


class Time:
    """Stands still unless it is moved."""

    now = 1_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def delayed(executor: Executor, kernels: MachineCode, pool: ThreadPool) -> Delayed:
    """Once noticed its congestion does not end."""
    pool.congestion = Congestion(Time(), lambda: (1, 0))
    return Delayed(executor, kernels, pool, 6)


# --- what a run notices --------------------------------------------------------------------------


def test_a_run_ends_early_when_a_thread_is_late(delayed: Delayed) -> None:
    delayed.sleep(2, thread=1)
    assert any(delayed.run() for _ in range(ATTEMPTS))
    # Earlier where the machine has other work.
    completed = delayed.table.completed
    assert 1 <= completed <= 3
    assert delayed.table.held > BEARABLE
    assert delayed.threads() == [delayed.table.threads] * completed + [0] * (6 - completed)


def test_a_thread_that_is_late_in_the_last_walk_is_noticed(delayed: Delayed) -> None:
    delayed.sleep(0, thread=1)
    run = delayed.table.run
    assert any(run(delayed.externals, bearable=BEARABLE) for _ in range(ATTEMPTS))
    assert delayed.table.completed == 1


@pytest.mark.skipif(
    not hasattr(time, "pthread_getcpuclockid"), reason="needs the clocks of other threads"
)
def test_threads_that_compute_for_long_hold_nobody_up(delayed: Delayed) -> None:
    delayed.compute(2, thread=1)
    assert delayed.is_undisturbed_once()


def test_only_the_calling_thread_is_held_up(delayed: Delayed) -> None:
    delayed.sleep(2, thread=0)
    assert delayed.is_undisturbed_once()


def test_small_delays_add_up(delayed: Delayed) -> None:
    for walk in range(6):
        delayed.sleep(walk, thread=1, microseconds=300)
    assert not all(delayed.run(100 * BEARABLE) for _ in range(ATTEMPTS))
    delayed.table.held = 0
    run = delayed.table.run
    assert any(run(delayed.externals, bearable=BEARABLE) for _ in range(ATTEMPTS))
    assert delayed.table.held > BEARABLE


@pytest.mark.parametrize("bearable", [0, 1 << 60])
def test_what_is_borne_does_not_end_a_run(delayed: Delayed, bearable: int) -> None:
    delayed.sleep(2, thread=1)
    assert not delayed.run(bearable)
    assert delayed.threads() == [delayed.table.threads] * 6


def test_one_thread_alone_is_never_held_up(delayed: Delayed) -> None:
    run = delayed.table.run
    assert not run(delayed.externals, 6, delayed.steps, alone=True, bearable=1)
    assert delayed.threads() == [1] * 6


def test_a_timed_run_bears_everything(delayed: Delayed) -> None:
    delayed.sleep(2, thread=1)
    delayed.run(bearable=1)
    delayed.table.run_timed(delayed.externals, 6, delayed.steps)
    assert delayed.table.completed == 6


def test_a_kernel_that_stops_is_reported_all_the_same(delayed: Delayed) -> None:
    delayed.compute(0, thread=1, status=7)
    with pytest.raises(KernelStopped, match="status 7"):
        delayed.run(bearable=1)


def test_one_thread_makes_the_rest_of_the_walk(delayed: Delayed) -> None:
    """Also where the late thread is late at the barrier where it leaves."""
    delayed.sleep(0, thread=1)
    parted = 0
    for _ in range(ATTEMPTS):
        delayed.seen[0] = delayed.parted[0] = delayed.rest[0] = 0
        delayed.table.held = 0
        delayed.table.run(delayed.externals, bearable=BEARABLE)
        threads = delayed.table.threads
        alone = [1] + [0] * (threads - 1)
        assert delayed.seen[0].tolist() in ([threads] * threads, alone)
        # Whoever is left at the barrier where others leave has the whole of the row behind it.
        assert delayed.parted[0].tolist() in ([threads] * threads, alone)
        assert delayed.rest[0].tolist() in ([threads] * threads, alone)
        parted += delayed.rest[0].tolist() == alone
    assert parted


# --- how walks go on -----------------------------------------------------------------------------


def test_one_thread_goes_on_at_once(delayed: Delayed) -> None:
    delayed.sleep(1, thread=1)
    delayed.run_with_choice()
    together = sum(threads == delayed.table.threads for threads in delayed.threads())
    # In the first walk they are held up where the machine has other work.
    assert 1 <= together <= 2
    assert delayed.threads()[together:] == [1] * (6 - together)


def test_calls_go_on_with_one_thread(delayed: Delayed) -> None:
    runner = TableRunner(delayed.table)
    delayed.sleep(0, thread=1)
    # Late in calls whose time is measured, and in others.
    for _ in range(ATTEMPTS):
        runner.run(delayed.externals)
        assert delayed.threads()[0] == delayed.table.threads
        if delayed.table.congestion.lasts():
            break
    delayed.sleep(0, thread=NOBODY)
    for _ in range(2 * CALLS_A_MEASUREMENT):
        runner.run(delayed.externals)
        assert delayed.threads()[0] == 1


def test_a_late_thread_in_a_call_that_is_not_measured_is_noticed(delayed: Delayed) -> None:
    class Settled:
        is_settled = True
        times = 0

        def next_walks(self, left: int) -> tuple[bool, int]:
            return False, 1

        def bearable(self, walks: int) -> int:
            return BEARABLE

        def forgivable(self, nanoseconds: float) -> int:
            return 0

        def held_up(self, nanoseconds: int) -> None:
            assert nanoseconds > BEARABLE
            self.times += 1

        def report(self, walks: int, nanoseconds: float, stands_for: int = 1) -> None:
            pass

    choice = Settled()
    runner = TableRunner(delayed.table, choice)
    for _ in range(ATTEMPTS):
        runner.run(delayed.externals)
    before = choice.times
    delayed.sleep(0, thread=1)
    for _ in range(ATTEMPTS):
        runner.run(delayed.externals)
    assert choice.times > before + ATTEMPTS / 2


def test_walks_behind_a_delay_are_counted_on(delayed: Delayed) -> None:
    delayed.sleep(1, thread=1)
    delayed.compute(4, thread=0, status=5, rounds=0)
    with pytest.raises(KernelStopped) as info:
        delayed.run_with_choice()
    assert (info.value.walk, info.value.status) == (4, 5)


def test_tables_of_a_pool_have_one_congestion(
    executor: Executor, kernels: MachineCode, pool: ThreadPool
) -> None:
    pool.congestion = Congestion(Time(), lambda: (1, 0))
    first, second = (Delayed(executor, kernels, pool, 6) for _ in range(2))
    first.sleep(0, thread=1)
    first.run_with_choice()
    TableRunner(second.table).run(second.externals)
    assert second.threads()[0] == 1


# --- for how long --------------------------------------------------------------------------------


def _pause(congestion: Congestion, now: Time) -> int:
    """Lets it pass."""
    begin = now.now
    while congestion.lasts():
        now.now += 1_000_000
    return now.now - begin


def test_pauses_grow_while_it_stays_busy() -> None:
    now = Time()
    congestion = Congestion(now, lambda: (1, 0))
    assert not congestion.lasts()
    pauses = []
    for _ in range(8):
        congestion.note_loss(LOST)
        pauses.append(_pause(congestion, now))
    # What trials cost is little from the first on.
    assert pauses[0] >= 5 * LOST
    assert all(after >= before for before, after in itertools.pairwise(pauses))
    assert pauses[-1] == LONGEST_PAUSE_NANOSECONDS
    assert sum(pauses) > 50 * 8 * LOST


def test_a_disturbance_after_a_calm_time_is_short() -> None:
    now = Time()
    congestion = Congestion(now, lambda: (1, 0))
    for _ in range(8):
        congestion.note_loss(LOST)
        _pause(congestion, now)
    # That nothing ran for a while says nothing.
    now.now += 10 * LONGEST_PAUSE_NANOSECONDS
    congestion.note_loss(LOST)
    assert _pause(congestion, now) == LONGEST_PAUSE_NANOSECONDS
    congestion.note_shared(LONGEST_PAUSE_NANOSECONDS)
    congestion.note_loss(LOST)
    assert _pause(congestion, now) <= 40 * LOST


def test_a_thread_that_loses_its_own_processor_does_not_try() -> None:
    now, found = Time(), [1, 0]
    congestion = Congestion(now, lambda: (found[0], found[1]))
    congestion.note_loss(LOST)
    before = now.now
    while now.now < before + 5 * LONGEST_PAUSE_NANOSECONDS:
        now.now += 4_000_000
        found[1] += 1
        assert congestion.lasts()
    # The others have ended: after one more pause it is tried.
    assert _pause(congestion, now) <= LONGEST_PAUSE_NANOSECONDS
    # A few of the system's own doing are not counted.
    congestion.note_loss(LONGEST_PAUSE_NANOSECONDS)
    found[1] += 10
    assert _pause(congestion, now) <= LONGEST_PAUSE_NANOSECONDS
    # Those of another thread say nothing.
    congestion.note_loss(LOST)
    found[:] = [2, 10_000]
    assert _pause(congestion, now) <= LONGEST_PAUSE_NANOSECONDS


def test_switches_are_counted() -> None:
    thread, before = switches()
    assert thread == threading.get_ident()
    assert switches()[1] >= before >= 0
