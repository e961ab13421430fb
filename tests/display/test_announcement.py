"""Compilations that take long are announced, others are not."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from graphc.display import announcement, notebook
from graphc.display.announcement import Announcer, NotebookBoard, TerminalBoard, Work, find_board
from graphc.kernels.host.settings import SettingError


class Shown:
    """A board that keeps what it was told."""

    def __init__(self) -> None:
        self.texts: list[list[str]] = []
        self.is_closed = threading.Event()
        self.was_drawn = threading.Event()

    def draw(self, works: Sequence[Work]) -> None:
        self.texts.append([work.text for work in works])
        self.was_drawn.set()

    def close(self) -> None:
        self.is_closed.set()


def test_a_long_work_is_announced_with_its_kernels() -> None:
    shown = Shown()
    announcer = Announcer(0, lambda: lambda: shown)
    with announcer.of("train, batch 32") as work:
        assert shown.was_drawn.wait(10)
        work.begin(2)
        work.advance()
        work.advance()
    title = "compiling train, batch 32"
    assert [text for (text,) in shown.texts] == [
        f"{title}: planning",
        *(f"{title}: {done} of 2 kernels" for done in range(3)),
    ]
    assert shown.is_closed.is_set()


def test_a_short_work_is_not() -> None:
    shown = Shown()
    announcer = Announcer(60, lambda: lambda: shown)
    before = threading.active_count()
    with announcer.of("train") as work:
        work.begin(1)
        work.advance()
    assert shown.texts == [] and not shown.is_closed.is_set()
    # Its timer ends too.
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.001)
    assert threading.active_count() <= before


def test_works_of_several_threads_share_a_board_until_the_last_has_ended() -> None:
    shown, go = Shown(), threading.Event()
    announcer = Announcer(0, lambda: lambda: shown)

    def compiling() -> None:
        with announcer.of("other"):
            go.wait(10)

    thread = threading.Thread(target=compiling)
    with announcer.of("first") as work:
        thread.start()
        deadline = time.monotonic() + 10
        while len(shown.texts[-1] if shown.texts else []) < 2 and time.monotonic() < deadline:
            time.sleep(0.001)
        work.begin(3)
    assert len(shown.texts[-1]) == 2 and not shown.is_closed.is_set()
    go.set()
    thread.join()
    assert shown.is_closed.is_set()


def test_an_error_ends_the_announcement() -> None:
    shown = Shown()
    announcer = Announcer(0, lambda: lambda: shown)
    with pytest.raises(KeyboardInterrupt), announcer.of("train"):
        assert shown.was_drawn.wait(10)
        raise KeyboardInterrupt
    assert shown.is_closed.is_set()


@pytest.mark.parametrize(
    ("setting", "is_terminal", "board"),
    [
        ("on", True, TerminalBoard), ("on", False, None), ("off", True, None),
        (None, True, TerminalBoard),
    ],
)  # fmt: skip
def test_where_it_is_shown(
    setting: str | None, is_terminal: bool, board: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRAPHC_PROGRESS", raising=False)
    if setting is not None:
        monkeypatch.setenv("GRAPHC_PROGRESS", setting)
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: is_terminal))
    assert find_board() is board
    monkeypatch.setattr(announcement, "in_notebook", lambda: True)
    assert find_board() is (None if setting == "off" else NotebookBoard)
    token = announcement.terminal_in_use.set(True)
    assert find_board() is None
    announcement.terminal_in_use.reset(token)


def test_another_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHC_PROGRESS", "loud")
    with pytest.raises(SettingError, match="GRAPHC_PROGRESS='loud': expected 'on' or 'off'"):
        find_board()


COMPILING = """
import numpy as np, graphc as gc
from graphc.compiler.load.native import native
from graphc.display.announcement import Announcer
native().announcer = Announcer(0)
graph = gc.Graph()
x = graph.input("x", ("batch", 3))
gc.function(x, gc.tanh(x), name="squash")(np.ones((7, 3)))
print("done")
"""


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_function_announces_itself_on_a_terminal_alone(is_terminal: bool) -> None:
    command = [sys.executable, "-c", COMPILING]
    environment = {**os.environ, "GRAPHC_CACHE": "off", "TERM": "xterm", "COLUMNS": "100"}
    if not is_terminal:
        done = subprocess.run(command, capture_output=True, env=environment, check=True)
        assert done.stderr == b"" and done.stdout == b"done\n"
        return
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        written = _read_all(ours)
        assert process.stdout is not None and process.stdout.read() == b"done\n"
    assert b"compiling squash, batch 7: " in written and b" of 1 kernels" in written
    # The cursor is given back.
    assert written.rindex(b"\x1b[?25h") > written.rindex(b"\x1b[?25l")


def _read_all(descriptor: int) -> bytes:
    """What comes from a terminal until the last process has closed it."""
    whole = io.BytesIO()
    while True:
        try:
            part = os.read(descriptor, 4096)
        except OSError:
            part = b""
        if not part:
            os.close(descriptor)
            return whole.getvalue()
        whole.write(part)


# --- notebooks -------------------------------------------------------------------------------


class Output:
    """The output of a cell, as `IPython.display.display` makes it."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def display(self, data: dict[str, Any], *, raw: bool, display_id: bool) -> Output:
        assert raw and display_id
        self.update(data, raw=raw)
        return self

    def update(self, data: dict[str, Any], *, raw: bool) -> None:
        assert raw and data.keys() == {"text/html", "text/plain"}
        self.shown.append(data["text/html"])


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Output:
    made = Output()
    shell = SimpleNamespace(kernel=object())
    ipython = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=made.display))
    return made


def test_a_notebook_is_known_by_its_kernel(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    assert notebook.in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not notebook.in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not notebook.in_notebook()


def test_a_notebook_shows_one_bar_that_goes_away(output: Output) -> None:
    board = NotebookBoard()
    board.draw([Work("<train>", kernels=4, done=1), Work("other")])
    board.close()
    first, last = output.shown
    assert 'value="0.250"' in first and "compiling &lt;train&gt;: 1 of 4 kernels" in first
    assert last == ""
