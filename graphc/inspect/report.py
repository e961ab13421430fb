"""Tables for people: the disk cache, a confusion matrix."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graphc.kernels.host.cache_entry import Build
from graphc.kernels.native.cache import StoredEntry

# So many entries of the disk cache are shown unless all are asked for.
MOST_SHOWN = 12


def print_cache(
    stored: Sequence[StoredEntry],
    builds: Mapping[str, Build],
    console: Console,
    whole: bool = False,
) -> None:
    """Prints what the disk cache holds, and below it a row for each of the first entries; with
    `whole` for each.

    builds: what entries of each kind must be of to be used now.
    """
    reasons = [each.problem or _why_not(each, builds) for each in stored]
    total = sum(each.nbytes for each in stored)
    kinds = Counter(each.path.suffix.removeprefix(".") for each in stored)
    parts = "".join(f", {count} of kind {kind}" for kind, count in sorted(kinds.items()))
    console.print(f"{len(stored)} entries, {total:,} bytes{parts}")
    current = reasons.count("")
    console.print(f"{current} used now, {len(stored) - current} not")
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("kind", no_wrap=True)
    table.add_column("name", overflow="fold")
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("age", justify="right", no_wrap=True)
    table.add_column("used now", overflow="fold")
    now = time.time()
    shown = len(stored) if whole else MOST_SHOWN
    for each, why_not in zip(stored[:shown], reasons, strict=False):
        name = each.path.stem if each.entry is None else each.entry.name
        used = f"no: {why_not}" if why_not else "yes"
        kind = each.path.suffix.removeprefix(".")
        table.add_row(kind, escape(name), f"{each.nbytes:,}", age(now - each.used), escape(used))
    if stored:
        console.print(table)
    if len(stored) > shown:
        console.print(f"... and {len(stored) - shown} used before them, which --all shows")


def _why_not(stored: StoredEntry, builds: Mapping[str, Build]) -> str:
    """Why the entry is not used now; "" when it is."""
    assert stored.entry is not None
    build = builds.get(stored.entry.kind)
    if build is None:
        return "unknown kind"
    return "; ".join(build.differences(stored.entry.build))


def age(seconds: float) -> str:
    """In the largest unit of which there is more than one: `90 s`, `36 h`, `12 d`."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


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
