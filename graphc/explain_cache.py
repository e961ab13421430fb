"""What of a compiled program is on disk: its plan, the executor and its kernels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graphc.compiler.native import EXECUTOR_DIGEST, Native
from graphc.compiler.options import Options
from graphc.compiler.plan import Plan
from graphc.compiler.plan_cache import PLAN, program_digest
from graphc.ir.graph import Program
from graphc.kernels.cache import KERNEL, DiskCache, StoredEntry
from graphc.kernels.source import kernel_digest

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
    stored = machine.cache.entries() if machine.cache is not None else []
    digest = program_digest(declared, options)
    yield _entry(PLAN, declared.name, digest, machine.plans, stored)
    yield _entry(KERNEL, "executor", EXECUTOR_DIGEST, machine.cache, stored)
    for row in plan.instructions:
        yield _entry(KERNEL, row.name, kernel_digest(row.source), machine.cache, stored)


def _entry(
    kind: str, name: str, digest: str, opened: DiskCache | None, stored: Sequence[StoredEntry]
) -> CachedEntry:
    reason = CACHE_OFF if opened is None else opened.explain(digest, stored)
    return CachedEntry(kind, name, not reason, reason)
