"""When threads do not share: while other processes use the processors that they need.

Threads that meet every few microseconds run at the pace of the one that has no processor. With
others waiting for the same processors a thread is without one for some milliseconds again and
again, and never are all there at once for long: one thread alone is then quicker than several. How
busy the others are can be seen from within alone by trying, which costs some milliseconds each
time.
"""

from __future__ import annotations

import time
from collections.abc import Callable

# The first time threads do not share for so many times what they have lost, each time after for
# longer by a factor, to the longest at the most.
PAUSE_A_LOSS = 20
LONGER = 4
LONGEST_PAUSE_NANOSECONDS = 1_000_000_000


class Congestion:
    """Of the processors that a pool's threads use: a pause in sharing, and how long the next is.

    clock: nanoseconds.
    """

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock = clock
        self._end = 0
        self._pause = 0
        # Nanoseconds for which threads have shared since the last pause.
        self._shared = 0.0

    @property
    def lasts(self) -> bool:
        """Whether threads had better not share."""
        return self._clock() < self._end

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
        self._end = self._clock() + self._pause
        self._shared = 0.0
