"""Tables walked by several threads, on small kernels written as LLVM IR: meeting and stopping."""

import platform
import threading

import numpy as np
import pytest

from graphc.kernels.native.llvm import compile_ir
from graphc.kernels.run.executor import Executor, MachineCode, load_executor
from graphc.kernels.run.executor_code.executor_ir import executor_ir
from graphc.kernels.run.instruction_table import (
    Instruction,
    InstructionTable,
    KernelStopped,
    StopWord,
)
from graphc.kernels.run.pool import ThreadPool, ThreadPools
from tests.kernels.run.pool_kernels import KERNELS_IR, SLOW_ROUNDS
from tests.kernels.run.tables import (
    CLOCK_SLACK,
    ENDLESS,
    WALKS,
    Marks,
    counting_table,
    int64,
    wait_until,
)


@pytest.fixture(scope="module")
def kernels() -> MachineCode:
    return compile_ir(KERNELS_IR)


# --- barriers and solo rows --------------------------------------------------------------------


@pytest.mark.parametrize("timed", [False, True])
def test_rows_behind_a_barrier_see_what_all_threads_wrote(
    executor: Executor, kernels: MachineCode, pool: ThreadPool, timed: bool
) -> None:
    marks = Marks(pool.threads)
    table = counting_table(executor, kernels, pool, marks)
    assert table.threads == pool.threads
    for runs in range(1, 4):
        (table.run_timed if timed else table.run)(repeats=WALKS)
        assert marks.values() == [runs * WALKS] * pool.threads
        assert marks.differences[0] == 0
        assert table.completed == WALKS


def test_walks_meet_without_a_flag(
    executor: Executor, kernels: MachineCode, pool: ThreadPool
) -> None:
    marks = Marks(pool.threads)
    count = Instruction("count", kernels.address("count"), (0,))
    compare = Instruction("compare", kernels.address("compare"), (0, 1), barrier=True)
    table = InstructionTable(executor, [count, compare], marks.addresses, pool=pool)
    table.run(repeats=WALKS)
    assert (marks.values(), marks.differences[0]) == ([WALKS] * pool.threads, 0)


def test_many_short_runs(executor: Executor, kernels: MachineCode, pool: ThreadPool) -> None:
    marks = Marks(pool.threads)
    table = counting_table(executor, kernels, pool, marks)
    for _ in range(WALKS):
        table.run()
    assert (marks.values(), marks.differences[0]) == ([WALKS] * pool.threads, 0)


def test_each_thread_gets_its_number(
    executor: Executor, kernels: MachineCode, pool: ThreadPool
) -> None:
    seen = np.zeros(pool.threads, np.int64)
    write = Instruction("write", kernels.address("write_threads"), (0,))
    InstructionTable(executor, [write], [seen.ctypes.data], pool=pool).run()
    assert seen.tolist() == [pool.threads] * pool.threads


def test_solo_rows_run_on_thread_0_alone(
    executor: Executor, kernels: MachineCode, pool: ThreadPool
) -> None:
    marks, calls = Marks(pool.threads), int64(0, 0)
    seen = np.zeros(pool.threads, np.int64)
    addresses = [*marks.addresses, *(calls[k:].ctypes.data for k in (0, 1)), seen.ctypes.data]
    instructions = [
        Instruction("count", kernels.address("count"), (0,)),
        Instruction("solo", kernels.address("count_call"), (2,), barrier=True, solo=True),
        Instruction("shared", kernels.address("count_call"), (3,)),
        Instruction("where", kernels.address("write_threads"), (4,), solo=True),
        Instruction("compare", kernels.address("compare"), (0, 1)),
    ]
    InstructionTable(executor, instructions, addresses, pool=pool).run(repeats=WALKS)
    assert calls.tolist() == [WALKS, WALKS * pool.threads]
    assert marks.differences[0] == 0
    assert seen.tolist() == [1] + [0] * (pool.threads - 1)


def test_empty_table_runs(executor: Executor, pool: ThreadPool) -> None:
    table = InstructionTable(executor, [], [], pool=pool)
    table.run(repeats=100)
    assert table.completed == 100


def test_timed_run_measures_thread_0(
    executor: Executor, kernels: MachineCode, pool: ThreadPool
) -> None:
    marks = Marks(pool.threads)
    timing = counting_table(executor, kernels, pool, marks).run_timed(repeats=50)
    assert (timing.cycles > 0).all()
    assert timing.nanoseconds > 0


def test_timed_run_measures_every_thread(
    executor: Executor, kernels: MachineCode, pool: ThreadPool
) -> None:
    marks, calls = Marks(pool.threads), int64(0)
    instructions = [
        Instruction("count", kernels.address("count"), (0,)),
        Instruction("solo", kernels.address("count_call"), (2,), barrier=True, solo=True),
        Instruction("compare", kernels.address("compare"), (0, 1), barrier=True),
    ]
    addresses = [*marks.addresses, calls.ctypes.data]
    table = InstructionTable(executor, instructions, addresses, pool=pool)
    before = executor.clock()
    timing = table.run_timed(repeats=WALKS)
    after = executor.clock()
    assert timing.busy.shape == timing.waits.shape == (pool.threads, 3)
    assert (timing.busy[:, (0, 2)] > 0).all() and (timing.waits >= 0).all()
    # The others pass by the solo row: no time in its kernel, no span.
    assert (timing.busy[1:, 1] == 0).all() and (timing.spans[1:, 1] == 0).all()
    called = timing.spans[:, (0, 2)]
    assert (called[..., 0] < called[..., 1]).all()
    for thread in range(pool.threads):
        # Nobody enters a row behind a barrier before all have left the rows before it. Counters of
        # two processors may differ a little.
        assert timing.spans[thread, 2, 0] >= timing.spans[0, 1, 1] - CLOCK_SLACK
        assert timing.spans[0, 1, 0] >= timing.spans[thread, 0, 1] - CLOCK_SLACK
        assert timing.end >= timing.spans[thread, 2, 1]
    elapsed = (timing.busy + timing.waits).sum(1)
    assert timing.total_cycles == elapsed[0]
    assert (elapsed <= after - before + CLOCK_SLACK).all()


def test_threads_wait_for_a_slow_solo_row(
    executor: Executor, kernels: MachineCode, pool: ThreadPool
) -> None:
    """Kernels and waits fill each thread's time, and the wait is behind that row."""
    # Of thread 0, which returns status 0 after so many rounds.
    marks, request = Marks(pool.threads), int64(0, 0, SLOW_ROUNDS)
    instructions = [
        Instruction("count", kernels.address("count"), (0,)),
        Instruction("slow", kernels.address("fail_in_thread"), (2,), solo=True),
        Instruction("compare", kernels.address("compare"), (0, 1), barrier=True),
    ]
    addresses = [*marks.addresses, request.ctypes.data]
    table = InstructionTable(executor, instructions, addresses, pool=pool)
    timing = table.run_timed()
    elapsed = (timing.busy + timing.waits).sum(1)
    assert (elapsed >= timing.spans[:, 2, 1] - timing.spans[:, 0, 0]).all()
    slow = timing.busy[0, 1]
    assert slow > CLOCK_SLACK
    # They wait from when they are done with the first row until the slow one is done.
    overlap = timing.spans[0, 1, 1] - np.maximum(timing.spans[1:, 0, 1], timing.spans[0, 1, 0])
    assert (timing.waits[1:, 1] >= overlap - CLOCK_SLACK).all()


def test_a_pool_of_one_thread_starts_none(executor: Executor, kernels: MachineCode) -> None:
    single, marks = ThreadPool(executor, 1), Marks(1)
    counting_table(executor, kernels, single, marks).run(repeats=5)
    assert marks.values() == [5]
    assert single._workers is None


def test_fewer_than_one_thread_is_an_error(executor: Executor) -> None:
    with pytest.raises(ValueError, match="at least 1 thread, got 0"):
        ThreadPool(executor, 0)


def test_pools_are_made_once(executor: Executor) -> None:
    pools = ThreadPools(executor)
    assert pools.pool(3) is pools.pool(3)
    assert pools.pool(3) is not pools.pool(2)
    assert (pools.pool(2).threads, pools.pool(3).threads) == (2, 3)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64", "riscv64"])
def test_every_processor_has_a_text(machine: str) -> None:
    text = executor_ir(machine)
    assert ("pause()" in text) and ("x86" in text) == (machine == "x86_64")
    assert "alloca" not in text


# --- stopping ----------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", [0, 1])
@pytest.mark.parametrize("status", [1, 42, -1, -(2**31)])
@pytest.mark.parametrize("timed", [False, True])
def test_status_of_any_thread_stops_all(
    executor: Executor,
    kernels: MachineCode,
    pool: ThreadPool,
    failing: int,
    status: int,
    timed: bool,
) -> None:
    marks, request, calls = Marks(pool.threads), int64(failing, status, 0), int64(0)
    addresses = [*marks.addresses, request.ctypes.data, calls.ctypes.data]
    instructions = [
        Instruction("before", kernels.address("count"), (0,)),
        Instruction("gather", kernels.address("fail_in_thread"), (2,)),
        Instruction("after", kernels.address("count_call"), (3,), barrier=True),
    ]
    table = InstructionTable(executor, instructions, addresses, pool=pool)
    run = table.run_timed if timed else table.run
    for _ in range(20):
        with pytest.raises(KernelStopped, match=rf"1 \(gather\) .*status {status}$") as info:
            run(repeats=3)
        assert (info.value.instruction, info.value.status, info.value.walk) == (1, status, 0)
        assert table.completed == 0
    assert marks.values() == [20] * pool.threads
    assert calls[0] == 0, "an instruction behind the barrier ran"
    request[1] = 0
    run()
    assert calls[0] == pool.threads, "the table did not run after a stop"


@pytest.mark.parametrize("slow", [1, 2])
def test_the_lowest_instruction_is_reported(
    executor: Executor, kernels: MachineCode, pool: ThreadPool, slow: int
) -> None:
    # Thread 1 fails in row 1 and thread 0 in row 2, sometimes first: no barrier is between them.
    rounds = {row: SLOW_ROUNDS if row == slow else 0 for row in (1, 2)}
    low, high = int64(1, 7, rounds[1]), int64(0, 8, rounds[2])
    marks = Marks(pool.threads)
    addresses = [*marks.addresses, low.ctypes.data, high.ctypes.data]
    fail = kernels.address("fail_in_thread")
    instructions = [
        Instruction("count", kernels.address("count"), (0,)),
        Instruction("low", fail, (2,), barrier=True),
        Instruction("high", fail, (3,)),
        Instruction("compare", kernels.address("compare"), (0, 1), barrier=True),
    ]
    table = InstructionTable(executor, instructions, addresses, pool=pool)
    for _ in range(50):
        with pytest.raises(KernelStopped) as info:
            table.run(repeats=2)
        assert (info.value.name, info.value.status) == ("low", 7)


LATE = """
define internal void @be_late() {
entry:
  br label %spin
spin:
  %round = phi i64 [ 0, %entry ], [ %round.next, %spin ]
  call void @pause()
  %round.next = add i64 %round, 1
  %more = icmp slt i64 %round.next, ROUNDS
  br i1 %more, label %spin, label %done
done:
  ret void
}
"""
BETWEEN_LOOKS = "incomplete:\n"


def test_a_thread_that_met_the_others_does_not_leave_with_one_that_failed_behind() -> None:
    """Between its looks at the arrivals and at failures the others may meet it, and one may fail
    in a row behind the barrier: all the same it runs that row."""
    text = executor_ir(platform.machine())
    assert text.count(BETWEEN_LOOKS) == 1
    late = LATE.replace("ROUNDS", str(10 * SLOW_ROUNDS))
    text = text.replace(BETWEEN_LOOKS, f"{BETWEEN_LOOKS}  call void @be_late()\n") + late
    executor, kernels = load_executor(compile_ir(text)), compile_ir(KERNELS_IR)
    pool = ThreadPool(executor, 2)
    marks, arrives_last, fails = Marks(2), int64(1, 0, SLOW_ROUNDS), int64(1, 7, 0)
    addresses = [*marks.addresses, arrives_last.ctypes.data, fails.ctypes.data]
    instructions = [
        Instruction("before", kernels.address("fail_in_thread"), (2,)),
        Instruction("count", kernels.address("count"), (0,), barrier=True),
        Instruction("fail", kernels.address("fail_in_thread"), (3,)),
    ]
    table = InstructionTable(executor, instructions, addresses, pool=pool)
    runs = 5
    for _ in range(runs):
        with pytest.raises(KernelStopped) as info:
            table.run()
        assert (info.value.name, info.value.status) == ("fail", 7)
    assert marks.values() == [runs, runs]


def test_random_failures_are_reported_as_one_thread_would(
    executor: Executor, kernels: MachineCode, pool: ThreadPool
) -> None:
    # Who fails, how late, and where barriers are does not matter: the first failing row counts.
    random, nobody, rows = np.random.default_rng(0), 99, 8
    fail = kernels.address("fail_in_thread")
    for _ in range(1_000):
        failing = random.choice([*range(pool.threads), nobody, nobody, nobody], rows)
        late = random.choice([0, 0, 50, 500, 5_000], rows)
        requests = np.stack([failing, np.arange(rows) + 1, late], axis=1).astype(np.int64)
        barriers = random.random(rows) < 0.4
        instructions = [
            Instruction(f"row {row}", fail, (row,), barrier=bool(barriers[row]))
            for row in range(rows)
        ]
        addresses = [request.ctypes.data for request in requests]
        table = InstructionTable(executor, instructions, addresses, pool=pool)
        fails = np.flatnonzero(failing != nobody)
        for _ in range(10):
            if not fails.size:
                table.run(repeats=3)
                continue
            with pytest.raises(KernelStopped) as info:
                table.run(repeats=3)
            stopped = info.value
            assert (stopped.instruction, stopped.status) == (fails[0], fails[0] + 1)
            assert stopped.walk == 0


def test_the_walk_that_stopped_is_reported(
    executor: Executor, kernels: MachineCode, pool: ThreadPool
) -> None:
    marks, limit = Marks(pool.threads), int64(0)
    addresses = [*marks.addresses, limit.ctypes.data]
    count = Instruction("count", kernels.address("count"), (0,))
    fail = Instruction("fail", kernels.address("fail_at_limit"), (0, 2))
    table = InstructionTable(executor, [count, fail], addresses, pool=pool)
    for walks in (1, 2, 50, 100):
        marks.words[:] = 0
        limit[0] = walks
        with pytest.raises(KernelStopped) as info:
            table.run(repeats=100)
        assert (info.value.walk, info.value.status) == (walks - 1, 5)
        assert marks.values() == [walks] * pool.threads


def test_stop_word_ends_a_run(executor: Executor, kernels: MachineCode, pool: ThreadPool) -> None:
    marks = Marks(pool.threads)
    table = counting_table(executor, kernels, pool, marks)

    def stop_after_some_walks() -> None:
        wait_until(lambda: marks.values()[0] > 10)
        table.stop.set()

    helper = threading.Thread(target=stop_after_some_walks)
    helper.start()
    table.run(repeats=ENDLESS)
    helper.join()
    assert 10 < table.completed < ENDLESS
    assert marks.values() == [table.completed] * pool.threads
    table.run(repeats=5)
    assert table.completed == 0, "a walk began while the word was set"
    table.stop.clear()
    table.run(repeats=5)
    assert table.completed == 5


def test_a_stop_word_may_serve_several_tables(
    executor: Executor, kernels: MachineCode, pool: ThreadPool
) -> None:
    stop, calls = StopWord(), int64(0)
    count = Instruction("count", kernels.address("count_call"), (0,))
    tables = [
        InstructionTable(executor, [count], [calls.ctypes.data], pool=each, stop=stop)
        for each in (pool, None)
    ]
    stop.set()
    assert stop.is_set()
    for table in tables:
        table.run(repeats=3)
    assert calls[0] == 0


# --- externals that step -----------------------------------------------------------------------


def test_externals_step_for_all_threads(
    executor: Executor, kernels: MachineCode, pool: ThreadPool
) -> None:
    walks, threads = 500, pool.threads
    out, x = np.full((walks, threads), -1, np.int64), np.arange(2 * walks, dtype=np.int64)
    tag = Instruction("tag", kernels.address("tag"), (0, 1))
    table = InstructionTable(executor, [tag], [0, 0], external=(0, 1), pool=pool)
    expected = 10 * x[: 2 * walks : 2, None] + np.arange(threads)
    for run in (table.run, table.run_timed):
        out[:] = -1
        run((out.ctypes.data, x.ctypes.data), repeats=walks, steps=(8 * threads, 16))
        np.testing.assert_array_equal(out, expected)
