"""What is said of compilations that take long: what is compiled, and how far it is."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from graphc.display.notebook import NotebookBar, in_notebook
from graphc.kernels.host.forks import RenewedLock, renew_in_child
from graphc.kernels.host.settings import SettingError

# rich is imported where something is shown: a process that shows nothing starts without it.
if TYPE_CHECKING:
    from rich.progress import TaskID

VARIABLE = "GRAPHC_PROGRESS"

# Seconds after which a compilation is announced.
DELAY = 1.0

# Whether something else has the terminal, such as the bar of a training.
terminal_in_use: ContextVar[bool] = ContextVar("terminal_in_use", default=False)


@dataclass(eq=False)
class Work:
    """A compilation. kernels: how many it compiles, 0 until that is known."""

    title: str
    tell: Callable[[], None] = lambda: None
    kernels: int = 0
    done: int = 0

    def begin(self, kernels: int) -> None:
        """The plan is made; so many kernels are compiled now."""
        self.kernels = kernels
        self.tell()

    def advance(self) -> None:
        """One more kernel is compiled."""
        self.done += 1
        self.tell()

    @property
    def text(self) -> str:
        state = f"{self.done} of {self.kernels} kernels" if self.kernels else "planning"
        return f"compiling {self.title}: {state}"


class Board(Protocol):
    """Where works are shown."""

    def draw(self, works: Sequence[Work]) -> None: ...

    def close(self) -> None: ...


class TerminalBoard:
    """A bar for each work on standard error, which is taken away at the end."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            # What the program writes meanwhile is its own.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks: dict[Work, TaskID] = {}
        self._progress.start()

    def draw(self, works: Sequence[Work]) -> None:
        for gone in self._tasks.keys() - set(works):
            self._progress.remove_task(self._tasks.pop(gone))
        for work in works:
            if work not in self._tasks:
                self._tasks[work] = self._progress.add_task(work.text)
            self._progress.update(
                self._tasks[work],
                description=work.text,
                completed=work.done,
                total=work.kernels or None,
            )

    def close(self) -> None:
        self._progress.stop()


class NotebookBoard:
    """One bar in the output of the cell, of the work that began first."""

    def __init__(self) -> None:
        self._bar = NotebookBar()

    def draw(self, works: Sequence[Work]) -> None:
        first = works[0]
        self._bar.show(first.done / max(first.kernels, 1), first.text)

    def close(self) -> None:
        self._bar.close()


def find_board() -> Callable[[], Board] | None:
    """What makes the board of this process; None where nothing is to be shown.

    Raises SettingError when GRAPHC_PROGRESS is neither on nor off.
    """
    wanted = os.environ.get(VARIABLE, "on")
    if wanted not in ("on", "off"):
        raise SettingError(VARIABLE, wanted, "'on' or 'off'")
    if wanted == "off" or terminal_in_use.get():
        return None
    if in_notebook():
        return NotebookBoard
    return TerminalBoard if sys.stderr is not None and sys.stderr.isatty() else None


class Announcer:
    """Announces works that take longer than `delay` seconds, of all threads on one board."""

    def __init__(
        self,
        delay: float = DELAY,
        find: Callable[[], Callable[[], Board] | None] = find_board,
    ) -> None:
        self._delay = delay
        self._find = find
        self._lock = RenewedLock()
        self._works: list[Work] = []
        self._board: Board | None = None
        renew_in_child(self)

    def renew(self) -> None:
        """In a forked child no thread draws the board, and the works are the parent's."""
        self._works, self._board = [], None

    @contextmanager
    def of(self, title: str) -> Iterator[Work]:
        """The work, which is announced while this lasts."""
        make = self._find()
        if make is None:
            yield Work(title)
            return
        work = Work(title, self._redraw)
        ended = threading.Event()
        timer = threading.Timer(self._delay, self._add, [work, make, ended])
        timer.daemon = True
        timer.start()
        try:
            yield work
        finally:
            timer.cancel()
            with self._lock.lock:
                ended.set()
                self._remove(work)

    def _add(self, work: Work, make: Callable[[], Board], ended: threading.Event) -> None:
        with self._lock.lock:
            if not ended.is_set():
                self._board = self._board or make()
                self._works.append(work)
                self._board.draw(self._works)

    def _remove(self, work: Work) -> None:
        if work not in self._works:
            return
        self._works.remove(work)
        if self._board is not None and not self._works:
            self._board.close()
            self._board = None

    def _redraw(self) -> None:
        with self._lock.lock:
            if self._board is not None:
                self._board.draw(self._works)
