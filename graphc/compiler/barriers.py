"""Where threads must meet: before a kernel that touches memory which another may still use."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.compiler.arena import Arena
from graphc.kernels.source import KernelSource, Storage


def barrier_flags(sources: Sequence[KernelSource], arena: Arena) -> tuple[bool, ...]:
    """For each kernel whether all threads must have finished those before it.

    Kernels that are not shared run one after the other on the first thread and need no barrier
    among themselves. What follows a kernel that can stop the run waits for its verdict.
    """
    flags: list[bool] = []
    since: list[KernelSource] = []
    for source in sources:
        meets = any(
            earlier.can_stop or _conflict(earlier, source, arena)
            for earlier in since
            if earlier.shared or source.shared
        )
        if meets:
            since = []
        since.append(source)
        flags.append(meets)
    return tuple(flags)


def _conflict(earlier: KernelSource, later: KernelSource, arena: Arena) -> bool:
    return any(
        _overlap(one, other, arena)
        for one in earlier.arguments
        for other in later.arguments
        if one in earlier.writes or other in later.writes
    )


def _overlap(one: Storage, other: Storage, arena: Arena) -> bool:
    """Whether the two share memory: temporaries may stand at the same place of the arena."""
    if one is other:
        return True
    if one not in arena.offsets or other not in arena.offsets:
        return False
    start, other_start = arena.offsets[one], arena.offsets[other]
    return start < other_start + other.nbytes and other_start < start + one.nbytes
