"""The worker threads that walk instruction tables together with the calling thread.

Workers spend their life in native code and need the GIL only to begin and to end. Between runs they
spin for a bounded time, then sleep on a condition of the C library until the next run wakes them.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import time
import weakref

import numpy as np

from graphc.kernels.run.congestion import Congestion
from graphc.kernels.run.executor import Executor
from graphc.kernels.run.memory import aligned_empty

# How long a thread that waits only pauses.
SPIN_NANOSECONDS = 2_000

# How long it keeps its processor then at a barrier, if no other thread of the pool is there: each
# works with a processor of its own, or the processor's other users have it while this one waits.
HOLD_NANOSECONDS = 1_000_000

# After how long the calling thread looks whether those that it waits for have processors: to wake
# takes a worker less.
LOOK_NANOSECONDS = 100_000

# How long a worker without work gives its processor away again and again before it sleeps: calls in
# a Python loop find the workers awake. One that got its processor back only after this long sleeps.
AWAKE_NANOSECONDS = 100_000

# How long a waiting thread stays on the processor of another; twice as long each time that it left.
PATIENCE_NANOSECONDS = 2_000_000
MOST_PATIENCE_NANOSECONDS = 1_000_000_000

# Seconds to wait for a run under way, and for workers to end, when the interpreter exits.
CLOSE_SECONDS = 5.0

_CALIBRATION_ROUNDS = 500
_CALIBRATION_TRIALS = 5

_LINE_WORDS = 16
# Room for the C library's mutex and condition: the largest known take 64 bytes.
_LOCK_WORDS = 32

_Line = ctypes.c_int64 * _LINE_WORDS
_Lock = ctypes.c_int64 * _LOCK_WORDS
# Where a thread is, and two sets of processors.
_Place = ctypes.c_int64 * (3 * _LINE_WORDS)
_CLOCK_WORD = 5


class _PoolWords(ctypes.Structure):
    """%Pool of the executor's LLVM IR, and the mutex and the condition that it points at."""

    _fields_ = (
        ("job", ctypes.c_int64),
        ("table", ctypes.c_int64),
        ("halted", ctypes.c_int64),
        ("held", ctypes.c_int64),
        ("_job_line", ctypes.c_int64 * (_LINE_WORDS - 4)),
        ("arrived", ctypes.c_int64),
        ("failed", ctypes.c_int64),
        ("_arrived_line", ctypes.c_int64 * (_LINE_WORDS - 2)),
        ("finished", ctypes.c_int64),
        ("_finished_line", ctypes.c_int64 * (_LINE_WORDS - 1)),
        ("sleepers", ctypes.c_int64),
        ("_sleepers_line", ctypes.c_int64 * (_LINE_WORDS - 1)),
        ("threads", ctypes.c_int64),
        ("spin_rounds", ctypes.c_int64),
        ("awake", ctypes.c_int64),
        ("sched_yield", ctypes.c_void_p),
        ("mutex_lock", ctypes.c_void_p),
        ("mutex_unlock", ctypes.c_void_p),
        ("condition_wait", ctypes.c_void_p),
        ("condition_broadcast", ctypes.c_void_p),
        ("mutex", ctypes.c_void_p),
        ("condition", ctypes.c_void_p),
        ("getcpu", ctypes.c_void_p),
        ("getaffinity", ctypes.c_void_p),
        ("setaffinity", ctypes.c_void_p),
        ("processors", ctypes.c_void_p),
        ("clock_gettime", ctypes.c_void_p),
        ("clock", ctypes.c_int64),
        ("most_patience", ctypes.c_int64),
        ("hold", ctypes.c_int64),
        ("look", ctypes.c_int64),
        ("_read_only_lines", ctypes.c_int64 * (2 * _LINE_WORDS - 19)),
        ("mutex_memory", _Lock),
        ("condition_memory", _Lock),
    )


class ThreadPool:
    """Threads that walk tables together: the one that calls, and `threads - 1` workers.

    Workers start with the first run. One run at a time uses the pool: a second Python thread waits
    until the first one's run is over. A forked child starts workers of its own at its first run.
    When the interpreter exits, workers leave; a run after that walks on the calling thread alone.
    Raises ValueError for fewer than one thread.
    """

    def __init__(self, executor: Executor, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"expected at least 1 thread, got {threads}")
        self.threads = threads
        self.congestion = Congestion()
        self._executor = executor
        self._workers: _Workers | None = None
        # Reentrant: a signal's handler may come between a run and the lock's release.
        self._lock = threading.RLock()
        os.register_at_fork(after_in_child=functools.partial(_reset, weakref.ref(self)))

    def run(self, table: int) -> int:
        """Walk the table at an address, timed if it has records; the result is that of
        `Executor.run`."""
        with self._lock:
            workers = self._workers or self._start()
            if workers.closed:
                return self._executor.run_timed(table)
            return self._executor.run_together(table, workers.address)

    def _start(self) -> _Workers:
        workers = _Workers(self._executor, self.threads)
        # Also called when the interpreter exits.
        self._finalizer = weakref.finalize(self, _close, workers, self._lock)
        self._workers = workers
        return workers

    def _reset(self) -> None:
        """Forget the workers: a forked child has none, and its locks may be held by nobody."""
        if self._workers is not None:
            self._finalizer.detach()
        self._workers = None
        self._lock = threading.RLock()


class ThreadPools:
    """The pools of a process, one a number of threads, made when first asked for."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._pools: dict[int, ThreadPool] = {}

    def pool(self, threads: int) -> ThreadPool:
        """The pool of `threads` threads. Raises ValueError for fewer than one."""
        found = self._pools.get(threads)
        if found is None:
            # One step, so that Python threads agree; a pool that loses has no workers yet.
            found = self._pools.setdefault(threads, ThreadPool(self._executor, threads))
        return found


class _Workers:
    """Running worker threads and the memory that they share.

    Raises what starting a thread raises, once those that did start have ended.
    """

    def __init__(self, executor: Executor, threads: int) -> None:
        self.closed = False
        self._executor = executor
        size = ctypes.sizeof(_PoolWords) + threads * ctypes.sizeof(_Place)
        self._memory = aligned_empty(size, alignment=ctypes.sizeof(_Line))
        self._memory[:] = 0
        self.address = self._memory.ctypes.data
        _fill(_PoolWords.from_address(self.address), executor, threads)
        self._threads: list[threading.Thread] = []
        try:
            for number in range(1, threads):
                self._threads.append(self._begin(number))
        except BaseException:
            self.close()
            raise

    def _begin(self, number: int) -> threading.Thread:
        # The thread keeps code and memory alive by its arguments, not by this object.
        thread = threading.Thread(
            target=_work,
            args=(self._executor, self._memory, number),
            name=f"graphc worker {number}",
            daemon=True,
        )
        thread.start()
        self._tell_clock(thread, number)
        return thread

    def _tell_clock(self, thread: threading.Thread, number: int) -> None:
        """Writes down which clock tells the time that the thread has had a processor."""
        assert thread.ident is not None
        places = (_Place * (number + 1)).from_address(
            _PoolWords.from_address(self.address).processors
        )
        if hasattr(time, "pthread_getcpuclockid"):
            places[number][_CLOCK_WORD] = time.pthread_getcpuclockid(thread.ident)

    def close(self) -> None:
        self.closed = True
        self._executor.close(self.address)
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _work(executor: Executor, memory: np.ndarray, number: int) -> None:
    executor.work(memory.ctypes.data, number)


def _close(workers: _Workers, lock: threading.RLock) -> None:
    # A daemon thread may be in a long run: the process ends without waiting for it.
    if lock.acquire(timeout=CLOSE_SECONDS):
        try:
            workers.close()
        finally:
            lock.release()


def _reset(pool: weakref.ref[ThreadPool]) -> None:
    found = pool()
    if found is not None:
        found._reset()


def _fill(words: _PoolWords, executor: Executor, threads: int) -> None:
    """Write what does not change in the life of the workers."""
    libc = ctypes.CDLL(None)
    words.mutex = ctypes.addressof(words) + _PoolWords.mutex_memory.offset
    words.condition = ctypes.addressof(words) + _PoolWords.condition_memory.offset
    for initialise, lock in (
        (libc.pthread_mutex_init, words.mutex),
        (libc.pthread_cond_init, words.condition),
    ):
        error = initialise(ctypes.c_void_p(lock), None)
        if error:
            raise OSError(error, os.strerror(error))
    words.threads = threads
    words.sched_yield = _function_address(libc.sched_yield)
    words.mutex_lock = _function_address(libc.pthread_mutex_lock)
    words.mutex_unlock = _function_address(libc.pthread_mutex_unlock)
    words.condition_wait = _function_address(libc.pthread_cond_wait)
    words.condition_broadcast = _function_address(libc.pthread_cond_broadcast)
    words.clock_gettime = _function_address(libc.clock_gettime)
    words.clock = time.CLOCK_MONOTONIC
    _fill_processors(words, libc, threads)
    words.spin_rounds = int(SPIN_NANOSECONDS / _pause_nanoseconds(executor))
    words.awake, words.hold = AWAKE_NANOSECONDS, HOLD_NANOSECONDS
    words.look = LOOK_NANOSECONDS


def _fill_processors(words: _PoolWords, libc: ctypes.CDLL, threads: int) -> None:
    """Where threads say on which processor they are, behind the words; nowhere at first."""
    words.processors = ctypes.addressof(words) + ctypes.sizeof(_PoolWords)
    for place in (_Place * threads).from_address(words.processors):
        place[:3] = [-1, 0, PATIENCE_NANOSECONDS]
    if hasattr(os, "sched_getaffinity"):
        words.getcpu = _function_address(libc.sched_getcpu)
        words.getaffinity = _function_address(libc.sched_getaffinity)
        words.setaffinity = _function_address(libc.sched_setaffinity)
        words.most_patience = MOST_PATIENCE_NANOSECONDS


def _function_address(function: object) -> int | None:
    return ctypes.cast(function, ctypes.c_void_p).value  # type: ignore[arg-type]


def _pause_nanoseconds(executor: Executor) -> float:
    """How long one round of waiting takes: processors differ by a factor of a hundred."""
    word = ctypes.c_int64(0)
    trials = []
    for _ in range(_CALIBRATION_TRIALS):
        start = time.perf_counter_ns()
        executor.pause(ctypes.addressof(word), _CALIBRATION_ROUNDS)
        trials.append(time.perf_counter_ns() - start)
    return max(min(trials), 1) / _CALIBRATION_ROUNDS
