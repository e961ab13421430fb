"""What of a compiled program is on disk: its plan, the executor and its kernels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from graphc.compiler.load.native import EXECUTOR_DIGEST, Native
from graphc.compiler.load.plan_cache import PLAN, program_digest
from graphc.compiler.options import Options
from graphc.compiler.plan.planning import Plan
from graphc.ir.graph import Program
from graphc.kernels.loops.language.source import kernel_digest
from graphc.kernels.native.cache import KERNEL, DiskCache, StoredEntry

CACHE_OFF = "the cache is off, or has no directory"


@dataclass(frozen=True)
class CachedEntry:
    """Whether something that was compiled is on disk, and if not why.

    kind: "plan" or "kernel". name: of the program, or of the kernel, which may be the executor.
    """

    kind: str
    name: str
    on_disk: bool
    reason: str


def cached_entries(
    declared: Program, options: Options, plan: Plan, machine: Native
) -> Iterator[CachedEntry]:
    """The plan, the executor, and each kernel of the plan.

    declared: as it is before all passes. Raises OSError, RefusedError for a directory that cannot
    be used.
    """
    stored = _by_source(machine.cache.entries() if machine.cache is not None else [])
    digest = program_digest(declared, options)
    yield _entry(PLAN, declared.name, digest, machine.plans, stored)
    yield _entry(KERNEL, "executor", EXECUTOR_DIGEST, machine.cache, stored)
    for row in plan.instructions:
        if not row.source.statements:
            continue  # of a loop, whose kernels are the executor's
        yield _entry(KERNEL, row.name, kernel_digest(row.source), machine.cache, stored)


# The source of entries that cannot be read.
UNKNOWN_SOURCE = ""


def _by_source(stored: Iterable[StoredEntry]) -> dict[str, list[StoredEntry]]:
    found: dict[str, list[StoredEntry]] = {}
    for each in stored:
        source = UNKNOWN_SOURCE if each.entry is None else each.entry.source
        found.setdefault(source, []).append(each)
    return found


def _entry(
    kind: str,
    name: str,
    digest: str,
    opened: DiskCache | None,
    stored: Mapping[str, Sequence[StoredEntry]],
) -> CachedEntry:
    reason = CACHE_OFF
    if opened is not None:
        candidates = (*stored.get(digest, ()), *stored.get(UNKNOWN_SOURCE, ()))
        reason = opened.explain(digest, candidates)
    return CachedEntry(kind, name, not reason, reason)
