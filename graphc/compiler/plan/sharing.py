"""Which kernels the threads share, and where they must meet.

Sharing a kernel saves a part of its time and may cost barriers: before a kernel that touches
memory which another thread may still use. Products that are cut by rows in the same way follow
each other without one, since each thread goes on with rows of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from graphc.compiler.plan.arena import Arena
from graphc.compiler.plan.planned import PlannedInstruction
from graphc.kernels.loops.language.source import KernelSource, Storage
from graphc.kernels.machine import MACHINE

# Shared without asking: some ten times what the barriers around it take.
SURELY_SHARED_CYCLES = 20 * MACHINE.meeting_cycles
# Not worth the question.
SMALLEST_SHARED_CYCLES = MACHINE.meeting_cycles // 2
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
        return work + MACHINE.meeting_cycles * meetings

    surely = [source.splits and source.cycles >= SURELY_SHARED_CYCLES for source in sources]
    shared, least = surely, cycles(surely)
    copies = _copies_by_own_rows(sources)

    def try_sharing(numbers: Iterable[int]) -> None:
        nonlocal shared, least
        chosen = set(numbers)
        trial = [is_shared or other in chosen for other, is_shared in enumerate(shared)]
        estimate = cycles(trial)
        if estimate < least:
            shared, least = trial, estimate

    try_sharing(copy for number, is_sure in enumerate(surely) if is_sure for copy in copies[number])
    asked = [
        number
        for number, source in enumerate(sources)
        if source.splits and not surely[number] and source.cycles >= SMALLEST_SHARED_CYCLES
    ]
    for number in sorted(asked, key=lambda number: -sources[number].cycles):
        try_sharing([number, *copies[number]])
    if not any(surely) and least > WORTHWHILE * cycles(alone):
        shared = alone
    return Sharing(tuple(shared), tuple(conflicts.barriers(shared)))


def share_rows(
    rows: Sequence[PlannedInstruction], arena: Arena, threads: int
) -> list[tuple[bool, bool]]:
    """For each row whether threads share it, and whether they meet before it.

    The rows of a step, and those between two loops, are shared as a program of their own. All meet
    before a loop, behind each of its steps and behind its end, so that no other memory of it need
    be looked at but a condition, which all threads read at once.
    """
    flags: list[tuple[bool, bool]] = []
    segment: list[KernelSource] = []
    meets_first = False

    def flush() -> None:
        nonlocal meets_first
        sharing = share(segment, arena, threads)
        barriers = list(sharing.barriers)
        if barriers and meets_first:
            barriers[0] = True
            meets_first = False
        flags.extend(zip(sharing.shared, barriers, strict=True))
        segment.clear()

    number = 0
    while number < len(rows):
        row = rows[number]
        if row.begins is None:
            segment.append(row.source)
            number += 1
            continue
        flush()
        end = next(k for k in range(number, len(rows)) if rows[k].ends is row.begins)
        inside = rows[number + 1 : end]
        steps = share_rows(inside, arena, threads)
        if row.begins.condition is not None:
            steps = _all_have_read(row.begins.condition, inside, steps)
        is_shared = any(shared for shared, _ in steps)
        flags += [(is_shared, threads > 1), *steps, (is_shared, is_shared)]
        meets_first = threads > 1
        number = end + 1
    flush()
    return flags


def _all_have_read(
    condition: Storage, rows: Sequence[PlannedInstruction], flags: Sequence[tuple[bool, bool]]
) -> list[tuple[bool, bool]]:
    """The flags of the rows of a step, in which all meet before the condition is written: each
    thread has read what the step before left."""
    changed = list(flags)
    if not any(shared for shared, _ in flags):
        return changed
    writer = next((k for k, row in enumerate(rows) if condition in row.source.writes), None)
    if writer is not None and not any(meets for _, meets in flags[: writer + 1]):
        changed[writer] = (flags[writer][0], True)
    return changed


def _copies_by_own_rows(sources: Sequence[KernelSource]) -> list[list[int]]:
    """For each kernel the checks whose copies of indices it reads in its own rows alone: they are
    too short to be asked about by themselves, and save a barrier where both are shared."""
    checks = [number for number, source in enumerate(sources) if source.can_stop and source.splits]
    return [
        [n for n in checks if sources[n] is not source and _common_rows(sources[n], source)]
        for source in sources
    ]


class _Conflicts:
    """Which kernels touch memory that another writes to."""

    def __init__(self, sources: Sequence[KernelSource], arena: Arena) -> None:
        self._sources = sources
        self._arena = arena
        # For each kernel a bit for each before it: with which it has a conflict, and with which
        # also when both are shared. As numbers, since a long step asks for many of them.
        self._before = [0] * len(sources)
        self._beyond_own_rows = [0] * len(sources)
        for earlier, later in self._awaited_checks():
            self._before[later] |= 1 << earlier
            self._beyond_own_rows[later] |= 1 << earlier
        self._add_meetings()

    def barriers(self, shared: Sequence[bool]) -> list[bool]:
        """For each kernel whether all threads must have finished those before it.

        Kernels that are not shared run one after the other on the first thread and need no barrier
        among themselves. What touches memory by index waits for the check of indices, and so does
        whatever writes memory that is not the arena's: a run that stops changes no state. What only
        compares them does not wait.
        """
        sharing = sum(1 << number for number, is_shared in enumerate(shared) if is_shared)
        flags = []
        since = 0
        for later, before in enumerate(self._before):
            awaited = before & sharing
            if shared[later]:
                awaited = (before & ~sharing) | (self._beyond_own_rows[later] & sharing)
            meets = awaited >> since != 0
            since = later if meets else since
            flags.append(meets)
        return flags

    def _add_meetings(self) -> None:
        """Adds each two kernels that touch the same memory, to which one of them writes. They meet
        though both are shared, unless a thread touches it in its own rows alone."""
        users, writers = self._touching()
        own = self._touching_own_rows()
        # In memory that overlaps a storage's.
        others_using, others_writing = dict.fromkeys(users, 0), dict.fromkeys(users, 0)
        for one, other in _overlapping_pairs(users, self._arena):
            for this, beside in ((one, other), (other, one)):
                others_using[this] |= users[beside]
                others_writing[this] |= writers[beside]
        for storage, using in users.items():
            for number in _numbers(using):
                earlier = (1 << number) - 1
                met, met_in_others = writers[storage], others_writing[storage]
                if storage in self._sources[number].writes:
                    met, met_in_others = met | using, met_in_others | others_using[storage]
                self._before[number] |= (met | met_in_others) & earlier
                met &= ~own.get(_rows_of(self._sources[number], storage), 0)
                self._beyond_own_rows[number] |= (met | met_in_others) & earlier

    def _touching(self) -> tuple[dict[Storage, int], dict[Storage, int]]:
        """The kernels that touch each memory, and those that write to it: a bit for each."""
        users = {storage: 0 for source in self._sources for storage in source.arguments}
        writers = dict.fromkeys(users, 0)
        for number, source in enumerate(self._sources):
            for storage in source.arguments:
                users[storage] |= 1 << number
                if storage in source.writes:
                    writers[storage] |= 1 << number
        return users, writers

    def _touching_own_rows(self) -> dict[_Rows, int]:
        """The kernels of which a thread touches rows of a memory that are its own."""
        found: dict[_Rows, int] = {}
        for number, source in enumerate(self._sources):
            for storage in source.own_rows.arguments if source.own_rows else ():
                rows = _rows_of(source, storage)
                found[rows] = found.get(rows, 0) | 1 << number
        return found

    def _awaited_checks(self) -> Iterator[tuple[int, int]]:
        """Checks of indices, each with the kernels that wait for it."""
        for number, check in enumerate(self._sources):
            if check.can_stop:
                for later in range(number + 1, len(self._sources)):
                    if self._must_await(check, self._sources[later]):
                        yield number, later

    def _must_await(self, check: KernelSource, later: KernelSource) -> bool:
        lasting = (storage not in self._arena.offsets for storage in later.writes)
        by_index = later.indexes and not set(check.arguments).isdisjoint(later.arguments)
        return any(lasting) or by_index


# Rows of a memory, their number and how many are a chunk; None where a thread has none of its own.
_Rows = tuple[Storage, int, int] | None


def _rows_of(source: KernelSource, storage: Storage) -> _Rows:
    """The rows of `storage` that are a thread's own."""
    rows = source.own_rows
    if rows is None or storage not in rows.arguments:
        return None
    return storage, rows.rows, rows.rows_per_chunk


def _numbers(bits: int) -> Iterator[int]:
    """The places of the bits that are set."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _common_rows(one: KernelSource, other: KernelSource) -> frozenset[Storage]:
    """What a thread that shares both touches in its own rows alone."""
    rows, others = one.own_rows, other.own_rows
    if rows is None or others is None:
        return frozenset()
    if (rows.rows, rows.rows_per_chunk) != (others.rows, others.rows_per_chunk):
        return frozenset()
    return rows.arguments & others.arguments


def _overlapping_pairs(
    storages: Iterable[Storage], arena: Arena
) -> Iterator[tuple[Storage, Storage]]:
    """Those that share memory of the arena, each pair once."""
    placed = sorted(
        (storage for storage in storages if storage in arena.offsets),
        key=lambda storage: arena.offsets[storage],
    )
    for position, one in enumerate(placed):
        for other in placed[position + 1 :]:
            if arena.offsets[other] >= arena.offsets[one] + one.nbytes:
                break
            yield one, other
