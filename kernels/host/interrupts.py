"""Ctrl-C while something runs that ends between two steps alone."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Interrupts from the keyboard, held back until `check` is called.

    Inside `second_at_once` the second one is raised where it finds the program, for somebody who
    does not want to wait. Elsewhere nothing is interrupted, so what must be whole, such as giving
    back a terminal, belongs there.
    """

    def __init__(self) -> None:
        self._is_pending = False
        self._was_seen = False
        self._raises_second = False

    def check(self) -> None:
        """Raises KeyboardInterrupt when one is held back."""
        if self._is_pending:
            self._is_pending = False
            raise KeyboardInterrupt

    @contextmanager
    def second_at_once(self) -> Iterator[None]:
        """Lets one interrupt through, unless it is the first of all."""
        self._raises_second = True
        try:
            yield
        finally:
            self._raises_second = False

    def remember(self, signum: int, frame: FrameType | None) -> None:
        """A handler of SIGINT."""
        raises = self._was_seen and self._raises_second
        self._was_seen = self._is_pending = True
        if raises:
            # What is raised closes what was opened, and that is not interrupted again.
            self._raises_second = False
            self.check()


@contextmanager
def deferred_interrupts() -> Iterator[Interrupts]:
    """Holds interrupts back inside; one that is left at the end is raised there.

    Outside the main thread, and where the program has a handler of its own, none is held back.
    """
    interrupts = Interrupts()
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interrupts
        return
    signal.signal(signal.SIGINT, interrupts.remember)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        interrupts.check()
