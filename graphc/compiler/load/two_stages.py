"""Work in two stages, the second on a thread of its own while the first goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

# The second stage calls foreign code again and again and needs the interpreter for a moment in
# between, for which it would wait five milliseconds each time.
SWITCH_SECONDS = 2e-4


def in_two_stages(
    work: Iterable[Callable[[], Callable[[], T]]], beside: Callable[[], object]
) -> list[T]:
    """The results of the second stages, in order.

    work: first stages, run here one by one; each returns its second stage, which runs on the other
    thread, those too one by one. beside: runs there before them; its error is ignored.
    Raises the error of the first of `work` that has one, after all that was begun has ended.
    """
    with quick_switches(), ThreadPoolExecutor(1, "graphc-compile") as other:
        other.submit(beside)
        begun: list[Future[T]] = []
        try:
            for first in work:
                second = first()
                begun.append(other.submit(second))
        except BaseException:
            for each in begun:
                each.result()
            raise
        return [each.result() for each in begun]


@contextmanager
def quick_switches() -> Iterator[None]:
    """Threads of Python take turns often; as before at the end."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
