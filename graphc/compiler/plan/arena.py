"""One arena: every temporary at a fixed offset, memory shared by values that never live at once."""

from __future__ import annotations

from bisect import insort_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from graphc.kernels.loops.language.source import Storage
from graphc.kernels.machine import MACHINE

ALIGNMENT = MACHINE.line_bytes

# Values of whole pages would stand at equal places of them, and the nearest cache has room for few
# lines of equal places: a loop over many values would evict its own. So they are set off by this.
OFFSET_BYTES = 11 * ALIGNMENT

# Temporaries of so few bytes stay in the second cache of a core wherever they are.
NO_REUSE_BYTES = MACHINE.second_cache_beside_bytes


@dataclass(frozen=True)
class LiveRange:
    """A storage and the first and last instruction that uses it."""

    storage: Storage
    first: int
    last: int


@dataclass(frozen=True, eq=False)
class Arena:
    """Offsets in bytes of every live range, and the size of the whole."""

    ranges: tuple[LiveRange, ...]
    offsets: dict[Storage, int]
    nbytes: int


def live_ranges(
    uses: Sequence[Iterable[Storage]], placed: Iterable[Storage], kept: Iterable[Storage]
) -> tuple[LiveRange, ...]:
    """Ranges of the storages in `placed` over instructions that use them.

    `kept` storages hold results that are read after the last instruction.
    """
    wanted = set(placed)
    first: dict[Storage, int] = {}
    last: dict[Storage, int] = {}
    for number, storages in enumerate(uses):
        for storage in storages:
            if storage in wanted:
                first.setdefault(storage, number)
                last[storage] = number
    for storage in kept:
        if storage in first:
            last[storage] = len(uses)
    return tuple(LiveRange(storage, first[storage], last[storage]) for storage in first)


def plan_arena(ranges: Sequence[LiveRange], threads: int = 1) -> Arena:
    """Offsets for `ranges`: the largest first, each at the lowest place that is free for its time.

    Source: greedy by size, Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net
    Inference, 2020. With several threads no place of a small arena is used again, so that none
    waits for another only because of that.
    """
    nbytes = sum(_place_bytes(live.storage.nbytes) for live in ranges)
    reuses = threads == 1 or nbytes > NO_REUSE_BYTES
    # By their beginnings: where each begins and ends in the arena, and when it does.
    placed: list[tuple[int, int, int, int]] = []
    offsets: dict[Storage, int] = {}
    for live in sorted(ranges, key=lambda r: (-r.storage.nbytes, r.first)):
        size = _place_bytes(live.storage.nbytes)
        offset, born, dead = 0, live.first, live.last
        for start, end, first, last in placed:
            if not reuses or (born <= last and first <= dead):
                if start - offset >= size:
                    break
                offset = max(offset, end)
        insort_right(placed, (offset, offset + size, born, dead), key=itemgetter(0))
        offsets[live.storage] = offset
    return Arena(tuple(ranges), offsets, max((end for _, end, *_ in placed), default=0))


def _place_bytes(nbytes: int) -> int:
    set_off = OFFSET_BYTES if nbytes >= MACHINE.page_bytes else 0
    return -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT + set_off
