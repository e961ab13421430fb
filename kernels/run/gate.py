"""Gates: one thread at a time uses memory that runs, reads and writes share.

No thread waits for ever. Gates have ranks, and a thread waits for one only if its rank is above
those of all gates that it is inside of. What interrupts a thread inside of a gate, a signal's
handler or a finalizer, goes in without waiting where what was interrupted allows it; where it does
not, or where it would have to wait for another thread, it gets an error.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, IntEnum
from threading import get_ident

from graphc.kernels.host.forks import renew_in_child


class InterruptedCallError(RuntimeError):
    """A call from a signal's handler or a finalizer that what it interrupted does not allow."""


class Rank(IntEnum):
    """The order in which a thread may wait for gates."""

    RUN = 0
    COMPILE = 1


class Use(Enum):
    """What is done inside besides runs of a program."""

    READ = "read"
    WRITE = "written"
    SEVERAL_RUNS = "used by several runs"


_gates: weakref.WeakSet[Gate] = weakref.WeakSet()


class Gate:
    """Lets one thread in at a time, those first who wait.

    inside: what the thread inside does, the interrupted first: programs that it runs, and uses.
    owner: the thread inside, of no meaning where none is. waiting: whether somebody waits.

    A call that must be quick does what `entered` does in its own lines.
    """

    def __init__(self, rank: Rank = Rank.RUN) -> None:
        self.rank = rank
        self.lock = threading.RLock()
        self.inside: tuple[object, ...] = ()
        self.owner = 0
        self.waiting = False
        # Held by the first of those who wait; the others wait behind it.
        self._turn = threading.RLock()
        _gates.add(self)
        renew_in_child(self)

    def renew(self) -> None:
        self._turn = threading.RLock()
        self.waiting = False
        if not self.inside or self.owner != get_ident():
            self.lock = threading.RLock()
            self.inside = ()

    @contextmanager
    def entered(self, use: object, name: str) -> Iterator[None]:
        """Inside while it lasts; raises as `await_turn` and `check` do."""
        if self.inside or self.waiting:
            self.await_turn(name)
        with self.lock:
            before = self.inside
            if before:
                self.check(use, name)
            try:
                self.owner = get_ident()
                self.inside = (*before, use)
                yield
            finally:
                self.inside = before

    def await_turn(self, name: str) -> None:
        """Waits behind others for the thread inside to leave; not where that is this thread.

        Raises InterruptedCallError where this thread is inside of a gate of this rank or a higher
        one: the one inside here may be waiting for that.
        """
        if self._is_mine():
            return
        if any(gate.rank >= self.rank and gate._is_mine() for gate in list(_gates)):
            raise InterruptedCallError(
                f"{name}: called in the middle of another call of the same thread, by a signal's "
                "handler or a finalizer, while another thread uses the same memory: the two might "
                "wait for each other for ever"
            )
        with self._turn:
            self.waiting = True
            try:
                with self.lock:
                    pass
            finally:
                self.waiting = False

    def check(self, use: object, name: str) -> None:
        """Raises InterruptedCallError where this thread, which is inside, was interrupted in what
        does not allow `use`."""
        if use in self.inside and not isinstance(use, Use):
            problem = "called in the middle of a call of itself"
        elif Use.WRITE in self.inside:
            problem = "called while variables are being written"
        elif Use.READ in self.inside and use is not Use.READ:
            problem = "called while variables are being read"
        else:
            return
        raise InterruptedCallError(f"{name}: {problem}, by a signal's handler or a finalizer")

    def _is_mine(self) -> bool:
        return bool(self.inside) and self.owner == get_ident()
