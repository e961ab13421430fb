"""The life of a pool's workers: start, sleep and end, forks, and the end of the interpreter."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from graphc.kernels.native.llvm import compile_ir
from graphc.kernels.run.executor import Executor, MachineCode
from graphc.kernels.run.pool import ThreadPool, _Place, _PoolWords
from tests.kernels.run.pool_kernels import KERNELS_IR
from tests.kernels.run.tables import ENDLESS, PATIENCE_SECONDS, Marks, counting_table, wait_until

# To be let be by the system for a few microseconds.
ATTEMPTS = 50


@pytest.fixture(scope="module")
def kernels() -> MachineCode:
    return compile_ir(KERNELS_IR)


@pytest.fixture
def pair(executor: Executor) -> Iterator[ThreadPool]:
    """A pool of two threads for one test alone."""
    yield ThreadPool(executor, 2)
    gc.collect()


def words(pool: ThreadPool) -> _PoolWords:
    assert pool._workers is not None
    return _PoolWords.from_address(pool._workers.address)


def workers_alive() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("graphc worker")]


# --- start, sleep and end -----------------------------------------------------------------------


def test_workers_start_with_the_first_run(
    executor: Executor, kernels: MachineCode, pair: ThreadPool
) -> None:
    marks = Marks(2)
    table = counting_table(executor, kernels, pair, marks)
    assert pair._workers is None
    table.run()
    assert pair._workers is not None
    assert marks.values() == [1, 1]


def test_sleeping_workers_wake(executor: Executor, kernels: MachineCode, pool: ThreadPool) -> None:
    marks = Marks(pool.threads)
    table = counting_table(executor, kernels, pool, marks)
    for runs in range(1, 20):
        table.run()
        assert marks.values() == [runs] * pool.threads
        wait_until(lambda: words(pool).sleepers == pool.threads - 1)


def test_workers_leave_with_their_pool(executor: Executor, kernels: MachineCode) -> None:
    for asleep in (False, True):
        pool = ThreadPool(executor, 3)
        counting_table(executor, kernels, pool, Marks(3)).run()
        assert pool._workers is not None
        threads = pool._workers._threads
        assert [thread.is_alive() for thread in threads] == [True, True]
        if asleep:
            wait_until(lambda pool=pool: words(pool).sleepers == 2)
        del pool
        gc.collect()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        assert [thread.is_alive() for thread in threads] == [False, False]


def test_after_its_end_a_pool_walks_on_the_caller(
    executor: Executor, kernels: MachineCode, pair: ThreadPool
) -> None:
    marks = Marks(2)
    table = counting_table(executor, kernels, pair, marks)
    table.run()
    pair._finalizer()
    table.run(repeats=4)
    assert marks.values() == [5, 1]


def test_workers_that_cannot_start_leave_none_behind(
    executor: Executor, kernels: MachineCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, marks, before = ThreadPool(executor, 3), Marks(3), workers_alive()
    table = counting_table(executor, kernels, pool, marks)
    start = threading.Thread.start

    def start_but_the_second(thread: threading.Thread) -> None:
        if thread.name == "graphc worker 2":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_but_the_second)
    with pytest.raises(RuntimeError, match="can't start"):
        table.run()
    assert workers_alive() == before
    monkeypatch.undo()
    table.run()
    assert marks.values() == [1, 1, 1]


def test_several_python_threads_share_a_pool(
    executor: Executor, kernels: MachineCode, pool: ThreadPool
) -> None:
    callers, runs = 3, 200
    marks = [Marks(pool.threads) for _ in range(callers)]

    def call(number: int) -> None:
        table = counting_table(executor, kernels, pool, marks[number])
        for _ in range(runs):
            table.run(repeats=3)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in marks:
        assert (each.values(), each.differences[0]) == ([3 * runs] * pool.threads, 0)


def test_gil_is_free_during_a_run(
    executor: Executor, kernels: MachineCode, pool: ThreadPool
) -> None:
    # The other Python thread needs the GIL to set the word; without it the run never ends.
    table = counting_table(executor, kernels, pool, Marks(pool.threads))
    helper = threading.Timer(0.01, table.stop.set)
    helper.start()
    table.run(repeats=ENDLESS)
    helper.join()
    assert table.completed < ENDLESS


# --- fork --------------------------------------------------------------------------------------


def exit_code_of_child(work: Callable[[], bool]) -> int:
    """0 when `work` is true in a forked child. The child is killed when it takes too long."""
    child = os.fork()
    if child == 0:
        code = 2
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError("the child hung")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("asleep", [False, True])
def test_tables_work_in_a_forked_child_and_in_its_parent(
    executor: Executor, kernels: MachineCode, pool: ThreadPool, asleep: bool
) -> None:
    marks = Marks(pool.threads)
    table = counting_table(executor, kernels, pool, marks)
    table.run(repeats=10)
    if asleep:
        wait_until(lambda: words(pool).sleepers == pool.threads - 1)

    def run_on() -> bool:
        had_workers = pool._workers is not None
        table.run(repeats=10)
        return not had_workers and marks.values() == [20] * pool.threads

    for _ in range(3):
        assert exit_code_of_child(run_on) == 0
    table.run(repeats=5)
    assert marks.values() == [15] * pool.threads


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_fork_while_another_python_thread_runs(
    executor: Executor, kernels: MachineCode, pair: ThreadPool
) -> None:
    busy, marks = Marks(2), Marks(2)
    long, short = (counting_table(executor, kernels, pair, each) for each in (busy, marks))
    runner = threading.Thread(target=long.run, kwargs={"repeats": ENDLESS})
    runner.start()
    wait_until(lambda: busy.values()[0] > 0)

    def run_short() -> bool:
        short.run(repeats=10)
        return marks.values() == [10, 10]

    try:
        # In the child nobody will ever release the lock that the runner holds.
        assert exit_code_of_child(run_short) == 0
    finally:
        long.stop.set()
        runner.join()


# --- the end of the interpreter ----------------------------------------------------------------

PREAMBLE = """
import atexit

# The first handler that is registered is the last to run.
at_last = []
atexit.register(lambda: [handler() for handler in at_last])

import os, signal, sys, threading, time
import numpy as np
from graphc.kernels.run import pool as pool_module
from graphc.kernels.run.executor import compile_executor
from graphc.kernels.run.instruction_table import Instruction, InstructionTable
from graphc.kernels.native.llvm import compile_ir
from graphc.kernels.run.pool import ThreadPool
from tests.kernels.run.pool_kernels import KERNELS_IR

executor, kernels = compile_executor(), compile_ir(KERNELS_IR)
calls = np.zeros(1, np.int64)
count = Instruction("count", kernels.address("count_call"), (0,))
pool = ThreadPool(executor, 3)
table = InstructionTable(executor, [count], [calls.ctypes.data], pool=pool)
table.run(repeats=10)
"""

ENDINGS = {
    "while workers spin": ("table.run()", 0),
    "while workers sleep": ("time.sleep(0.1)", 0),
    "by exception": ("table.run(); raise LookupError", 1),
    "by exit": ("table.run(); sys.exit(3)", 3),
    "by interrupt": (
        """
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        while True:
            table.run(repeats=100)
        """,
        -signal.SIGINT,
    ),
    "with a run in an exit handler": (
        """
        def run_alone():
            before = calls[0]
            table.run()
            assert calls[0] == before + 1

        at_last.append(run_alone)
        """,
        0,
    ),
    "in a forked child": (
        """
        child = os.fork()
        table.run()
        if child:
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        sys.exit(4)
        """,
        4,
    ),
    "while a daemon thread runs": (
        """
        pool_module.CLOSE_SECONDS = 0.1
        endless = threading.Thread(target=table.run, kwargs={"repeats": 2**60}, daemon=True)
        endless.start()
        while calls[0] < 1000:
            pass
        """,
        0,
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_interpreter_exits(ending: str) -> None:
    code, expected = ENDINGS[ending]
    result = subprocess.run(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert result.returncode == expected, result.stderr
    if expected in (0, 3, 4):
        assert result.stderr == ""


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="needs a choice of processors",
)
def test_a_thread_leaves_the_processor_of_one_before_it(
    executor: Executor, pair: ThreadPool
) -> None:
    found: list[tuple[int, int, set[int]]] = []
    allowed = os.sched_getaffinity(0)
    pair._workers = pair._start()
    address = pair._workers.address
    first, second = (_Place * 2).from_address(words(pair).processors)

    def meet() -> None:
        for cpu in sorted(allowed)[:2]:
            # On that processor, and free to leave it; the system may move it meanwhile.
            for _ in range(ATTEMPTS):
                os.sched_setaffinity(0, {cpu})
                os.sched_setaffinity(0, allowed)
                first[0], second[2] = cpu, 0
                executor.keep_apart(address, 1)
                if second[0] == cpu:
                    break
            assert second[0] == cpu, "left at once"
            executor.keep_apart(address, 1)
            found.append((cpu, second[0], os.sched_getaffinity(0)))

    thread = threading.Thread(target=meet)
    thread.start()
    thread.join()
    assert [cpu for cpu, now, kept in found if now == cpu or kept != allowed] == []
    assert len(found) == 2
