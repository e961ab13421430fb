"""What training shows while it runs: nothing, a line an epoch, or a bar."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from graphc.display.announcement import terminal_in_use
from graphc.display.notebook import NotebookBar, in_notebook
from graphc.ir.arguments.given import shown

# rich is imported where something is shown: a process that shows nothing starts without it.
if TYPE_CHECKING:
    from rich.console import Console

Verbosity = Literal["auto", 0, 1, 2]

# Seconds between two updates of the bar.
REFRESH_INTERVAL = 0.1


class Reporter(Protocol):
    """Told of the progress of training; epochs count from 0."""

    def begin_epoch(self, epoch: int) -> None: ...

    def advance(self, rows: int) -> None: ...

    def end_epoch(self, epoch: int, logs: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class Silent:
    """Shows nothing."""

    def begin_epoch(self, epoch: int) -> None:
        pass

    def advance(self, rows: int) -> None:
        pass

    def end_epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        pass

    def close(self) -> None:
        pass


class Lines:
    """One line an epoch: its number, time, rows a second, loss and metrics."""

    def __init__(self, console: Console, epochs: int) -> None:
        self._console = console
        self._epochs = epochs
        self._rows = 0
        self._started = 0.0

    def begin_epoch(self, epoch: int) -> None:
        self._rows = 0
        self._started = time.perf_counter()

    def advance(self, rows: int) -> None:
        self._rows += rows

    def end_epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        seconds = time.perf_counter() - self._started
        rate = self._rows / max(seconds, 1e-9)
        values = "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
        number = f"{epoch + 1:>{len(str(self._epochs))}}"
        line = f"epoch {number}/{self._epochs}  {seconds:.2f} s  {rate:,.0f} rows/s  {values}"
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        pass


class Rate:
    """Rows a second of training, measured every `REFRESH_INTERVAL`.

    What passes between the last step of an epoch and the next epoch does not count: validation,
    callbacks, and printing, which takes longer than an epoch of milliseconds.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._seconds = 0.0
        self._counted_until = 0.0
        self._measured_at = time.perf_counter()

    def begin(self) -> None:
        """Counts time from now on."""
        self._counted_until = time.perf_counter()

    def measured(self, rows: int) -> float | None:
        """Counts rows that were made until now. The rate, when it is time to measure it."""
        now = time.perf_counter()
        self._rows += rows
        self._seconds += now - self._counted_until
        self._counted_until = now
        if now - self._measured_at < REFRESH_INTERVAL:
            return None
        rate = self._rows / max(self._seconds, 1e-9)
        self._rows, self._seconds, self._measured_at = 0, 0.0, now
        return rate


class Bar:
    """One bar over the whole training with rate and time left, and a line an epoch above it."""

    def __init__(self, console: Console, first: int, epochs: int, rows: int | None) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._epochs = epochs
        self._lines = Lines(console, epochs)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("rows  {task.fields[rate]:,.0f} rows/s"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        total = None if rows is None else max(epochs - first, 0) * rows
        self._task = self._progress.add_task("", total=total, rate=0.0)
        self._unshown = 0
        self._rate = Rate()

    def begin_epoch(self, epoch: int) -> None:
        # Only here, inside what closes it again: it hides the cursor.
        self._progress.start()
        terminal_in_use.set(True)
        self._lines.begin_epoch(epoch)
        self._progress.update(self._task, description=f"epoch {epoch + 1}/{self._epochs}")
        self._rate.begin()

    def advance(self, rows: int) -> None:
        self._lines.advance(rows)
        self._unshown += rows
        rate = self._rate.measured(rows)
        if rate is not None:
            self._progress.update(self._task, advance=self._unshown, rate=rate)
            self._unshown = 0

    def end_epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        self._progress.update(self._task, advance=self._unshown)
        self._unshown = 0
        self._lines.end_epoch(epoch, logs)

    def close(self) -> None:
        terminal_in_use.set(False)
        try:
            self._progress.stop()
        finally:
            self._progress.console.show_cursor()


class NotebookProgress:
    """One bar over the whole training in the output of a cell, and a line an epoch above it."""

    def __init__(self, first: int, epochs: int, rows: int | None) -> None:
        from rich.console import Console

        # Text, as a terminal has it, and not a widget.
        self._lines = Lines(Console(force_jupyter=False), epochs)
        self._bar = NotebookBar()
        self._epochs = epochs
        self._rows, self._total = 0, None if rows is None else max(epochs - first, 0) * rows
        self._title = ""
        self._rate = Rate()

    def begin_epoch(self, epoch: int) -> None:
        self._lines.begin_epoch(epoch)
        self._title = f"epoch {epoch + 1}/{self._epochs}"
        self._rate.begin()

    def advance(self, rows: int) -> None:
        self._lines.advance(rows)
        self._rows += rows
        rate = self._rate.measured(rows)
        if rate is not None:
            of_all = "" if self._total is None else f"/{self._total:,}"
            share = 0.0 if self._total is None else self._rows / max(self._total, 1)
            text = f"{self._title}  {self._rows:,}{of_all} rows  {rate:,.0f} rows/s"
            self._bar.show(share, text)

    def end_epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        self._lines.end_epoch(epoch, logs)

    def close(self) -> None:
        self._bar.close()


def make_reporter(
    verbose: Verbosity,
    first: int,
    epochs: int,
    rows: int | None,
    console: Console | None = None,
) -> Reporter:
    """The reporter for `verbose`: 0 nothing, 1 a bar, 2 lines, "auto" a bar where it can be shown,
    on a terminal and in a notebook.

    A bar that was asked for elsewhere is lines. Training runs from epoch `first` to `epochs`,
    `rows` rows each, None where nobody knows. Raises ValueError for any other verbosity.
    """
    if not isinstance(verbose, str | int | np.integer) or verbose not in ("auto", 0, 1, 2):
        given = shown(verbose)
        raise ValueError(f"a verbosity of 'auto', 0, 1 or 2 expected, not {given}")
    if verbose == 0:
        return Silent()
    from rich.console import Console

    if console is None and verbose != 2 and in_notebook():
        return NotebookProgress(first, epochs, rows)
    console = console or Console()
    if verbose == "auto" and not console.is_terminal:
        return Silent()
    if verbose == 2 or not console.is_terminal:
        return Lines(console, epochs)
    return Bar(console, first, epochs, rows)
