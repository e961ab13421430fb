"""When threads do not share: while other processes use the processors that they need.

Threads that meet every few microseconds run at the pace of the one that has no processor. With
others waiting for the same processors a thread is without one for some milliseconds again and
again, and never are all there at once for long: one thread alone is then quicker than several. To
try whether that is over costs some milliseconds each time. A thread that meanwhile lost its own
processor to others need not try.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

try:
    import resource
except ImportError:  # not on every system
    resource = None  # type: ignore[assignment]

# The first time threads do not share for so many times what they have lost, each time after for
# longer by a factor, to the longest at the most.
PAUSE_A_LOSS = 20
LONGER = 4
LONGEST_PAUSE_NANOSECONDS = 1_000_000_000
# Others have a processor in turns of a few milliseconds. So often in a second it is taken from a
# thread only where they wait for it.
SWITCHES_A_SECOND = 20


def switches() -> tuple[int, int]:
    """The calling thread, and how often its processor was given to another while it had work; 0
    where the system does not tell."""
    if not hasattr(resource, "RUSAGE_THREAD"):
        return threading.get_ident(), 0
    return threading.get_ident(), resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


class Congestion:
    """Of the processors that a pool's threads use: a pause in sharing, and how long the next is.

    clock: nanoseconds. switches: as the function.
    """

    def __init__(
        self,
        clock: Callable[[], int] = time.perf_counter_ns,
        switches: Callable[[], tuple[int, int]] = switches,
    ) -> None:
        self._clock = clock
        self._switches = switches
        self._begin = self._end = 0
        self._switches_before = (0, 0)
        self._pause = 0
        # Nanoseconds for which threads have shared since the last pause.
        self._shared = 0.0

    def lasts(self) -> bool:
        """Whether threads had better not share."""
        now = self._clock()
        if now >= self._end and self._begin:
            if self._is_busy(now):
                self._rest(now)
            else:
                self._begin = 0
        return now < self._end

    def _is_busy(self, now: int) -> bool:
        """Whether others have taken the calling thread's processor in the pause."""
        thread, count = self._switches()
        before_thread, before = self._switches_before
        least = SWITCHES_A_SECOND * (now - self._begin) / 1e9
        return thread == before_thread and count - before >= max(least, 1)

    def _rest(self, now: int) -> None:
        self._begin, self._end = now, now + self._pause
        self._switches_before = self._switches()

    def note_shared(self, nanoseconds: float) -> None:
        """Threads have shared for so long, and nothing was amiss."""
        self._shared += nanoseconds

    def note_loss(self, nanoseconds: int) -> None:
        """Threads that shared were held up, and so many nanoseconds are lost.

        It is the same congestion as before if they have shared for less than the pause lasted.
        """
        is_same = self._shared < self._pause
        pause = LONGER * self._pause if is_same else PAUSE_A_LOSS * nanoseconds
        self._pause = min(pause, LONGEST_PAUSE_NANOSECONDS)
        self._shared = 0.0
        self._rest(self._clock())
