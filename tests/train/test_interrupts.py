"""Ctrl-C at any moment of fit leaves a terminal as it was."""

import os
import random
import signal
import sys
import threading
import tty

import numpy as np
import pytest
from rich.console import Console

import graphc as gc
from graphc.callbacks import Callback
from graphc.kernels.host import interrupts

HIDE, SHOW = b"\x1b[?25l", b"\x1b[?25h"
X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(24, 1)

pytestmark = pytest.mark.usefixtures("interruptible")


class Terminal:
    """A pseudo-terminal in place of standard output, and what was written to it."""

    def __init__(self):
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self._written = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        try:
            while data := os.read(self.master, 65536):
                self._written += data
        except OSError:  # what the other end's closing is on Linux
            pass

    def written(self):
        """Everything; the terminal is closed by it."""
        self.stream.close()
        self._reader.join()
        os.close(self.master)
        return self._written


@pytest.fixture
def line(monkeypatch):
    """A model that is trained on a terminal: `line(epochs, callbacks)` is what it wrote there."""
    monkeypatch.setenv("TERM", "xterm")
    graph = gc.Graph()
    x = graph.input("x", ("batch", 1))
    y = gc.nn.dense(x, 1)
    model = gc.Model(x, y, loss=gc.losses.mean_squared_error(y, 3 * x))
    model.compile(gc.optim.SGD(0.1), batch_size=6, mode="reference")

    def run(epochs, callbacks=(), before=lambda: None):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stdout", terminal.stream)
        try:
            before()
            model.fit(X, epochs=epochs, verbose=1, callbacks=callbacks)
        finally:
            monkeypatch.undo()
            monkeypatch.setenv("TERM", "xterm")
            run.text = terminal.written()

    run.text = b""
    return run


def press(times=1):
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)


def is_as_before(text):
    return text.rfind(SHOW) >= text.rfind(HIDE)


def test_a_bar_hides_the_cursor_and_shows_it_again(line):
    line(3)
    assert HIDE in line.text and is_as_before(line.text)
    assert b"epoch 3/3" in line.text


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("shown", [False, True])
def test_ctrl_c_while_the_cursor_is_hidden_or_shown(line, monkeypatch, times, shown):
    pressed = []
    original = Console.show_cursor

    def show_cursor(self, show=True):
        if show is shown and not pressed:
            pressed.append(show)
            press(times)
        return original(self, show)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Console, "show_cursor", show_cursor)
        line(2)
    assert pressed and HIDE in line.text and is_as_before(line.text)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("times", [1, 2, 3])
def test_ctrl_c_in_each_hook(line, times):
    for hook in ("on_train_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end"):
        ended = []

        class Press(Callback):
            def on_train_end(self, ended=ended):
                ended.append(True)

        def pressing(self, *arguments, ended=ended):
            # Before this callback began, nothing has to be ended.
            press(times)

        setattr(Press, hook, pressing)
        with pytest.raises(KeyboardInterrupt):
            line(3, [Press()])
        assert is_as_before(line.text)
        assert bool(ended) is (hook != "on_train_begin" or times == 1)


def test_ctrl_c_at_random_moments(line):
    moments = random.Random(0)
    for _ in range(12):
        timer = threading.Timer(moments.uniform(0, 0.03), press)
        with pytest.raises(KeyboardInterrupt):
            line(100_000, before=timer.start)
        timer.join()
        assert is_as_before(line.text)


def test_an_interrupt_at_the_end_is_not_lost():
    with pytest.raises(KeyboardInterrupt), interrupts.deferred_interrupts():
        press()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_does_not_hide_an_interrupt():
    with pytest.raises(KeyboardInterrupt) as raised, interrupts.deferred_interrupts():
        press()
        raise ValueError("mine")
    assert isinstance(raised.value.__context__, ValueError)


def test_the_second_interrupt_comes_at_once_and_the_third_waits():
    reached = []
    with (
        pytest.raises(KeyboardInterrupt),
        interrupts.deferred_interrupts() as held,
        held.second_at_once(),
    ):
        try:
            press()
            reached.append("first")
            press()
            reached.append("second")
        finally:
            press()
            reached.append("third")
    assert reached == ["first", "third"]


def test_a_handler_of_the_programs_own_is_left_alone():
    seen = []
    signal.signal(signal.SIGINT, lambda *_: seen.append(True))
    with interrupts.deferred_interrupts() as held:
        press(2)
        held.check()
    assert seen == [True, True]
