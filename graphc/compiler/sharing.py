"""Which kernels the threads share, and where they must meet.

Sharing a kernel saves a part of its time and may cost barriers: before a kernel that touches
memory which another thread may still use. Products that are cut by rows in the same way follow
each other without one, since each thread goes on with rows of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.compiler.arena import Arena
from graphc.kernels.source import KernelSource, Storage

# Measured: to meet, and then to fetch from the other core's cache what it has written.
BARRIER_CYCLES = 1_000
# Shared without asking: some ten times what the barriers around it take.
SURELY_SHARED_CYCLES = 20_000
# Not worth the question.
SMALLEST_SHARED_CYCLES = 500
# A step that gains less by sharing runs on one thread: never slower than one thread.
WORTHWHILE = 0.85


@dataclass(frozen=True)
class Sharing:
    """For each kernel: whether all threads call it, each for its share, and whether all must have
    finished the kernels before it."""

    shared: tuple[bool, ...]
    barriers: tuple[bool, ...]


def share(sources: Sequence[KernelSource], arena: Arena, threads: int) -> Sharing:
    """The sharing with the least estimated cycles, found greedily, longest kernels first."""
    alone = [False] * len(sources)
    if threads == 1:
        return Sharing(tuple(alone), tuple(alone))
    conflicts = _Conflicts(sources, arena)

    def cycles(shared: Sequence[bool]) -> float:
        work = sum(
            source.cycles / (threads if is_shared else 1)
            for source, is_shared in zip(sources, shared, strict=True)
        )
        # One more where the step begins anew.
        meetings = sum(conflicts.barriers(shared)) + any(shared)
        return work + BARRIER_CYCLES * meetings

    surely = [source.splits and source.cycles >= SURELY_SHARED_CYCLES for source in sources]
    shared, least = surely, cycles(surely)
    asked = [
        number
        for number, source in enumerate(sources)
        if source.splits and not surely[number] and source.cycles >= SMALLEST_SHARED_CYCLES
    ]
    for number in sorted(asked, key=lambda number: -sources[number].cycles):
        trial = [is_shared or other == number for other, is_shared in enumerate(shared)]
        estimate = cycles(trial)
        if estimate < least:
            shared, least = trial, estimate
    if not any(surely) and least > WORTHWHILE * cycles(alone):
        shared = alone
    return Sharing(tuple(shared), tuple(conflicts.barriers(shared)))


class _Conflicts:
    """Which kernels touch memory that another writes to."""

    def __init__(self, sources: Sequence[KernelSource], arena: Arena) -> None:
        self._sources = sources
        self._arena = arena
        self._found: dict[tuple[int, int], tuple[bool, bool]] = {}

    def barriers(self, shared: Sequence[bool]) -> list[bool]:
        """For each kernel whether all threads must have finished those before it.

        Kernels that are not shared run one after the other on the first thread and need no barrier
        among themselves. What reads indices waits for their check, and so does whatever writes
        memory that is not the arena's: a run that stops changes no state.
        """
        flags = []
        since = 0
        for later in range(len(self._sources)):
            meets = any(
                self._must_meet(earlier, later, shared[earlier], shared[later])
                for earlier in range(since, later)
                if shared[earlier] or shared[later]
            )
            since = later if meets else since
            flags.append(meets)
        return flags

    def _must_meet(self, earlier: int, later: int, is_shared: bool, later_shared: bool) -> bool:
        if (earlier, later) not in self._found:
            self._found[earlier, later] = self._conflict(earlier, later)
        conflict, beyond_own_rows = self._found[earlier, later]
        return beyond_own_rows if is_shared and later_shared else conflict

    def _conflict(self, earlier: int, later: int) -> tuple[bool, bool]:
        """Whether there is memory that one writes and both touch, and whether any of it may be
        touched by different threads when both kernels are shared."""
        first, second = self._sources[earlier], self._sources[later]
        if first.can_stop and self._must_await(first, second):
            return True, True
        own = _common_rows(first, second)
        overlapping = [
            one is other and one in own
            for one in first.arguments
            for other in second.arguments
            if (one in first.writes or other in second.writes) and _overlap(one, other, self._arena)
        ]
        return bool(overlapping), not all(overlapping)

    def _must_await(self, check: KernelSource, later: KernelSource) -> bool:
        lasting = (storage not in self._arena.offsets for storage in later.writes)
        return any(lasting) or not set(check.arguments).isdisjoint(later.arguments)


def _common_rows(one: KernelSource, other: KernelSource) -> frozenset[Storage]:
    """What a thread that shares both touches in its own rows alone."""
    rows, others = one.own_rows, other.own_rows
    if rows is None or others is None:
        return frozenset()
    if (rows.rows, rows.rows_per_chunk) != (others.rows, others.rows_per_chunk):
        return frozenset()
    return rows.arguments & others.arguments


def _overlap(one: Storage, other: Storage, arena: Arena) -> bool:
    """Whether the two share memory: temporaries may stand at the same place of the arena."""
    if one is other:
        return True
    if one not in arena.offsets or other not in arena.offsets:
        return False
    start, other_start = arena.offsets[one], arena.offsets[other]
    return start < other_start + other.nbytes and other_start < start + one.nbytes
