"""Tables for people: the disk cache, a confusion matrix."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from graphc.kernels.cache import StoredEntry
from graphc.kernels.cache_entry import Build


def print_cache(
    stored: Sequence[StoredEntry], builds: Mapping[str, Build], console: Console
) -> None:
    """Prints one row an entry of the disk cache, and all their bytes.

    builds: what entries of each kind must be of to be used now.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("kind", no_wrap=True)
    table.add_column("name", overflow="fold")
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("age", justify="right", no_wrap=True)
    table.add_column("used now", overflow="fold")
    now = time.time()
    for each in stored:
        name = each.path.stem if each.entry is None else each.entry.name
        why_not = each.problem or _why_not(each, builds)
        used = f"no: {why_not}" if why_not else "yes"
        kind = each.path.suffix.removeprefix(".")
        table.add_row(kind, escape(name), f"{each.nbytes:,}", age(now - each.used), escape(used))
    console.print(table)
    total = sum(each.nbytes for each in stored)
    console.print(f"{len(stored)} entries, {total:,} bytes")


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
