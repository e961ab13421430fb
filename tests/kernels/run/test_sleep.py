"""Workers that are about to sleep when there is work: none sleeps on, whatever comes between.

Each of the C library's functions with which threads sleep and wake is late once, by so much that
the other side is through with all that it does meanwhile.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable

import pytest

from graphc.kernels.native.llvm import compile_ir
from graphc.kernels.run.executor import Executor, MachineCode
from graphc.kernels.run.pool import ThreadPool, _PoolWords
from tests.kernels.run.pool_kernels import KERNELS_IR
from tests.kernels.run.tables import PATIENCE_SECONDS, Marks, counting_table, wait_until

DELAY_SECONDS = 0.02
FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


@pytest.fixture(scope="module")
def kernels() -> MachineCode:
    return compile_ir(KERNELS_IR)


class Late:
    """Stands before a function of the pool that takes a mutex or condition, until it is removed.

    before, after: what a thread does in addition, as long as it stands there.
    """

    def __init__(
        self,
        words: _PoolWords,
        name: str,
        before: Callable[[], None] = lambda: None,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        self._words, self._name = words, name
        self._address = getattr(words, name)
        original = FUNCTION(self._address)

        def late(one: int | None, other: int | None) -> int:
            before()
            result: int = original(one, other)
            after()
            return result

        self._code = FUNCTION(late)
        setattr(words, name, ctypes.cast(self._code, ctypes.c_void_p).value)

    def remove(self) -> None:
        setattr(self._words, self._name, self._address)


def finishes(work: Callable[[], object]) -> bool:
    """Whether it comes to an end; one that does not is left behind."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS / 4)
    return not thread.is_alive()


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mutex_lock", "before"),  # decided to sleep, not yet counted
        ("mutex_lock", "after"),
        ("condition_wait", "before"),  # counted, has looked for work
        ("condition_wait", "after"),  # awake, still counted
        ("mutex_unlock", "before"),  # awake, no longer counted
    ],
)
def test_work_that_comes_while_a_worker_goes_to_sleep_is_done(
    executor: Executor, kernels: MachineCode, threads: int, name: str, place: str
) -> None:
    pool, marks = ThreadPool(executor, threads), Marks(threads)
    table = counting_table(executor, kernels, pool, marks)
    table.run()
    assert pool._workers is not None
    words = _PoolWords.from_address(pool._workers.address)
    caller = threading.get_ident()
    is_there = threading.Event()

    def wait() -> None:
        if threading.get_ident() != caller:
            is_there.set()
            time.sleep(DELAY_SECONDS)

    wait_until(lambda: words.sleepers == threads - 1)
    late = Late(words, name, **{place: wait})
    try:
        runs = 1
        for _ in range(3):
            # Wakes them; then each goes to sleep again, and is late somewhere.
            is_there.clear()
            assert finishes(table.run), "a worker sleeps on"
            is_there.wait(DELAY_SECONDS)
            assert finishes(table.run), "a worker sleeps on"
            runs += 2
            assert marks.values() == [runs] * threads
    finally:
        late.remove()
    wait_until(lambda: words.sleepers == threads - 1)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("name", ["mutex_lock", "mutex_unlock", "condition_broadcast"])
def test_a_caller_that_is_late_wakes_all(
    executor: Executor, kernels: MachineCode, threads: int, name: str
) -> None:
    pool, marks = ThreadPool(executor, threads), Marks(threads)
    table = counting_table(executor, kernels, pool, marks)
    table.run()
    assert pool._workers is not None
    words = _PoolWords.from_address(pool._workers.address)
    callers: set[int] = set()

    def run() -> None:
        callers.add(threading.get_ident())
        table.run()

    def wait() -> None:
        if threading.get_ident() in callers:
            time.sleep(DELAY_SECONDS)

    for place in ("before", "after"):
        wait_until(lambda: words.sleepers == threads - 1)
        late = Late(words, name, **{place: wait})
        try:
            assert finishes(run), "a worker sleeps on"
        finally:
            late.remove()
    assert marks.values() == [3] * threads


def test_a_pool_that_closes_wakes_a_worker_that_goes_to_sleep(
    executor: Executor, kernels: MachineCode
) -> None:
    pool, marks = ThreadPool(executor, 2), Marks(2)
    counting_table(executor, kernels, pool, marks).run()
    workers = pool._workers
    assert workers is not None
    words = _PoolWords.from_address(workers.address)
    is_there = threading.Event()

    def wait() -> None:
        is_there.set()
        time.sleep(DELAY_SECONDS)

    late = Late(words, "condition_wait", before=wait)
    counting_table(executor, kernels, pool, marks).run()
    assert is_there.wait(PATIENCE_SECONDS)
    assert finishes(workers.close)
    assert not any(thread.is_alive() for thread in workers._threads)
    late.remove()
