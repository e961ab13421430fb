"""Tables for people: a profile, the disk cache, a confusion matrix."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graphc.kernels.cache import Build, StoredEntry
from graphc.profile import KernelProfile, Line, Profile

# So many lines of the user are named in one row; the file written with --json has them all.
LINES_SHOWN = 3


def print_profile(profile: Profile, console: Console) -> None:
    """Prints fused kernels beside what their ops take unfused, and the ratio of whole steps."""
    fused, unfused = profile.fused, profile.unfused
    sizes = ", ".join(f"{name} {extent}" for name, extent in profile.dimensions.items())
    threads = "1 thread" if profile.threads == 1 else f"{profile.threads} threads"
    console.print(
        f"{profile.program} step, {sizes}: {fused.ops} ops, {threads}, "
        f"{profile.vector_bits}-bit vectors; median of {profile.rounds} rounds "
        f"of {profile.repeats} steps",
        soft_wrap=True,
    )
    console.print(_table(fused.kernels))
    console.print(
        f"fused    {microseconds(fused.step_nanoseconds)} us a step, "
        f"{len(fused.kernels)} kernels, arena {fused.arena_bytes:,} bytes"
    )
    console.print(
        f"unfused  {microseconds(unfused.step_nanoseconds)} us a step, "
        f"{len(unfused.kernels)} kernels, arena {unfused.arena_bytes:,} bytes"
    )
    console.print(f"fused over unfused: {profile.ratio:.2f}x")


def _table(kernels: Sequence[KernelProfile]) -> Table:
    """One row a kernel; on a narrow terminal names and lines are folded, figures never."""
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("kernel", overflow="fold")
    for name in ("us", "share", "unfused us", "calls", "bytes", "GB/s", "ops"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("lines", overflow="fold")
    for kernel in kernels:
        table.add_row(*_row(kernel))
    return table


def _row(kernel: KernelProfile) -> tuple[str, ...]:
    return (
        kernel.name,
        microseconds(kernel.nanoseconds),
        f"{kernel.share:.1%}",
        microseconds(kernel.unfused_nanoseconds or 0.0),
        str(kernel.calls),
        f"{kernel.bytes:,}",
        f"{kernel.gigabytes_per_second:.1f}",
        str(len(kernel.ops)),
        _lines_text(kernel.lines),
    )


def _lines_text(lines: tuple[Line, ...]) -> str:
    """`digits.py:12, 14 ...`: each file once."""
    shown: list[str] = []
    file = None
    for each in lines[:LINES_SHOWN]:
        shown.append(str(each.line) if each.file == file else f"{each.name}:{each.line}")
        file = each.file
    more = " ..." if len(lines) > LINES_SHOWN else ""
    return ", ".join(shown) + more


def print_cache(stored: Sequence[StoredEntry], build: Build, console: Console) -> None:
    """Prints one row an entry of the disk cache, and all their bytes."""
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("kernel", overflow="fold")
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("age", justify="right", no_wrap=True)
    table.add_column("used now", overflow="fold")
    now = time.time()
    for each in stored:
        name = each.path.stem if each.entry is None else each.entry.kernel
        differences = [] if each.entry is None else build.differences(each.entry.build)
        state = each.problem or "; ".join(differences)
        used = f"no: {state}" if state else "yes"
        table.add_row(escape(name), f"{each.nbytes:,}", age(now - each.used), escape(used))
    console.print(table)
    total = sum(each.nbytes for each in stored)
    console.print(f"{len(stored)} entries, {total:,} bytes")


def age(seconds: float) -> str:
    """In the largest unit of which there is more than one: `90 s`, `36 h`, `12 d`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def microseconds(nanoseconds: float) -> str:
    """With three significant digits or more."""
    value = nanoseconds / 1e3
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def confusion_table(matrix: np.ndarray[Any, np.dtype[Any]]) -> Table:
    """Counts [classes, classes] of label (row) and prediction (column), as a rich table."""
    table = Table(title="true class (row), predicted class (column)", box=box.SIMPLE_HEAD)
    table.add_column(style="bold")
    for predicted in range(matrix.shape[1]):
        table.add_column(str(predicted), justify="right")
    for label, counts in enumerate(matrix):
        cells = (_confusion_cell(int(n), label == k) for k, n in enumerate(counts))
        table.add_row(str(label), *cells)
    return table


def _confusion_cell(count: int, is_correct: bool) -> str:
    if count == 0:
        return "[dim].[/]"
    return f"[green]{count}[/]" if is_correct else f"[red]{count}[/]"
