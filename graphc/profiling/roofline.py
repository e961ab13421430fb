"""What this machine can do at the most: floating-point operations, and bytes at each distance.

A kernel that must move `bytes` and compute `flops` cannot be faster than its *roof*,

    max(bytes / bandwidth, flops / peak)

where `peak` is the rate of fused multiply-adds (two operations each) of the threads that run it, in
its dtype, and `bandwidth` is that of the nearest memory that holds its working set: the storages
that it works on, each once. Percent of the roofline is the roof over the time measured. The bytes
are those of `graphc.compiler.plan.planning.bytes_moved`: a kernel that reads a value twice, or
whose operands were evicted since they were written, does more than that and shows less. A working
set just larger than a cache is still found there in part, and may show a little more than 100 %.

All rates are measured: the best of a few trials each. A profile measures them before and after its
kernels and takes the better of both, since another process may hold a processor for a while.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphc.compiler.load.native import Native
from graphc.ir.types import DType
from graphc.kernels.run.executor import MachineCode
from graphc.kernels.run.instruction_table import Instruction, InstructionTable
from graphc.kernels.run.memory import aligned_empty
from graphc.profiling.roofline_ir import MOVING, bytes_a_turn, flops_a_round, roofline_ir

# A trial lasts at least so long, so that the call and the threads' meeting do not show.
TRIAL_NANOSECONDS = 300_000
TRIALS = 4
# How many times longer than the one before a trial may be: the first are mostly the call.
MOST_GROWTH = 30

# The part of the first cache that a buffer fills to be measured in it; in the others it is as many
# times larger than the cache before as it is smaller than this one.
FILLED = 2
# How many times the largest cache is memory that no cache helps with.
BEYOND_CACHES = 2
LEAST_MEMORY_BYTES = 64 << 20

MEMORY = "memory"
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_SUFFIXES = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_HALF = 0.5


@dataclass(frozen=True)
class Level:
    """A cache, or memory.

    capacity: bytes that it holds for the threads that were measured; None for memory.
    gigabytes_per_second: of reading, of copying, or of reading two and writing one, whichever is
    most.
    """

    name: str
    capacity: int | None
    gigabytes_per_second: float


@dataclass(frozen=True)
class Roof:
    """The least time of a kernel, and what sets it: "compute", or the name of a level."""

    nanoseconds: float
    bound: str


@dataclass(frozen=True)
class Roofline:
    """Rates of `threads` threads together: memories, the nearest first, and GFLOP/s by dtype."""

    threads: int
    levels: tuple[Level, ...]
    peaks: Mapping[str, float]

    def level(self, nbytes: int) -> Level:
        """The nearest that holds `nbytes`."""
        holds = (each for each in self.levels if each.capacity is None or nbytes <= each.capacity)
        return next(holds)

    def roof(self, nbytes: int, working_set: int, flops: int, dtype: str) -> Roof:
        """The least nanoseconds in which `nbytes` of a working set of so many bytes are moved and
        `flops` computed."""
        level = self.level(working_set)
        moving, computing = nbytes / level.gigabytes_per_second, flops / self.peaks[dtype]
        return Roof(computing, "compute") if computing > moving else Roof(moving, level.name)


@dataclass(frozen=True)
class Cache:
    """A processor's cache: its bytes, and how many processors share it."""

    name: str
    nbytes: int
    sharers: int

    def capacity(self, threads: int) -> int:
        """Of the caches that so many threads have together."""
        return self.nbytes * max(1, threads // self.sharers)


def caches(directory: Path = _CACHES) -> tuple[Cache, ...]:
    """The data caches of the first processor, the nearest first; none where the system, other than
    Linux, does not tell."""
    found = []
    for index in sorted(directory.glob("index*")):
        level, kind, size, sharers = (
            (index / name).read_text().strip()
            for name in ("level", "type", "size", "shared_cpu_list")
        )
        if kind != "Instruction":
            nbytes = int(size[:-1]) * _SUFFIXES[size[-1]]
            found.append(Cache(f"L{level}", nbytes, _count(sharers)))
    return tuple(found)


def _count(processors: str) -> int:
    """How many there are in a list such as `0-3,8`."""
    ranges = (part.partition("-") for part in processors.split(","))
    return sum(int(last or first) - int(first) + 1 for first, _, last in ranges)


class Rooflines:
    """Rooflines of one thread and of `threads`, by the number of threads: the best so far."""

    def __init__(self, native: Native, threads: int, dtypes: Iterable[DType]) -> None:
        # Imported here, as wherever code is made: whoever only imports this needs no LLVM.
        from graphc.kernels.native.llvm import compile_ir

        code = compile_ir(roofline_ir(native.vector_bits), native.target)
        self._caches = caches()
        self._dtypes = tuple(dtypes)
        self._machines = [_Machine(native, code, count) for count in sorted({1, threads})]
        most = max((cache.capacity(threads) for cache in self._caches), default=0)
        self._memory_bytes = max(LEAST_MEMORY_BYTES, BEYOND_CACHES * most)
        self.best: dict[int, Roofline] = {}

    def measure(self) -> None:
        """Takes about a fifth of a second, and as much memory as no cache holds."""
        memory = aligned_empty(self._memory_bytes)
        # A page that was never written is the same page of zeros again and again.
        memory[:] = 0
        for machine in self._machines:
            found = machine.roofline(self._caches, memory, self._dtypes)
            self.best[machine.threads] = better(found, self.best.get(machine.threads, found))


def better(one: Roofline, other: Roofline) -> Roofline:
    """The greater rates of two rooflines of the same machine."""
    levels = tuple(
        max(pair, key=lambda level: level.gigabytes_per_second)
        for pair in zip(one.levels, other.levels, strict=True)
    )
    peaks = {dtype: max(rate, other.peaks[dtype]) for dtype, rate in one.peaks.items()}
    return Roofline(one.threads, levels, peaks)


class _Machine:
    """The small kernels on a number of threads."""

    def __init__(self, native: Native, code: MachineCode, threads: int) -> None:
        self.native = native
        self.code = code
        self.threads = threads

    def roofline(
        self, known: Sequence[Cache], memory: np.ndarray, dtypes: Sequence[DType]
    ) -> Roofline:
        levels = []
        before = 0
        for cache in known:
            capacity = cache.capacity(self.threads)
            nbytes = math.isqrt(before * capacity) if before else capacity // FILLED
            levels.append(Level(cache.name, capacity, self._bandwidth(memory, nbytes)))
            before = capacity
        levels.append(Level(MEMORY, None, self._bandwidth(memory, memory.nbytes)))
        peaks = {dtype.name: self._peak(dtype) for dtype in dtypes}
        return Roofline(self.threads, tuple(levels), peaks)

    def _bandwidth(self, memory: np.ndarray, nbytes: int) -> float:
        """Bytes a nanosecond of a buffer of `nbytes`."""
        # Each half of a thread's part is whole turns of the loop.
        turn = 2 * bytes_a_turn(self.native.vector_bits)
        part = max(nbytes // self.threads // turn, 1) * turn
        settings = np.array([1, part], np.int64)
        return max(
            moved * part * self.threads * self._rate(kernel, settings, [memory.ctypes.data])
            for kernel, moved in MOVING.items()
        )

    def _peak(self, dtype: DType) -> float:
        """Operations a nanosecond."""
        bits = self.native.vector_bits
        lanes = bits // (8 * dtype.itemsize)
        half = np.full(lanes, _HALF, dtype.numpy)
        result = np.zeros((self.threads, lanes), dtype.numpy)
        # Vectors are read and written at addresses that are multiples of their size.
        operands = [_aligned_copy(half), _aligned_copy(result)]
        addresses = [operand.ctypes.data for operand in operands]
        settings = np.array([1], np.int64)
        rounds = self._rate(f"multiply_add_{dtype.name}", settings, addresses)
        return rounds * flops_a_round(dtype, bits) * self.threads

    def _rate(self, kernel: str, settings: np.ndarray, addresses: Sequence[int]) -> float:
        """How often a nanosecond the kernel does what its first setting counts, at the best."""
        row = Instruction(kernel, self.code.address(kernel), tuple(range(len(addresses) + 1)))
        pool = self.native.pools.pool(self.threads) if self.threads > 1 else None
        buffers = [settings.ctypes.data, *addresses]
        table = InstructionTable(self.native.executor, [row], buffers, pool=pool)
        return _best_rate(table, settings)


def _best_rate(table: InstructionTable, settings: np.ndarray) -> float:
    """Raises the first setting until the best of a few trials is long enough. One alone may be
    long for having lost its processor."""
    while True:
        nanoseconds = min(_nanoseconds(table) for _ in range(TRIALS))
        if nanoseconds >= TRIAL_NANOSECONDS:
            return float(settings[0] / nanoseconds)
        settings[0] *= math.ceil(min(max(TRIAL_NANOSECONDS / nanoseconds, 2), MOST_GROWTH))


def _nanoseconds(table: InstructionTable) -> int:
    start = time.perf_counter_ns()
    table.run()
    return time.perf_counter_ns() - start


def _aligned_copy(array: np.ndarray) -> np.ndarray:
    copy = aligned_empty(array.nbytes).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
