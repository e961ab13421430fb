"""What a forked child finds: locks that no thread holds, and compilers that are whole.

A child has one thread, the one that forked. What another thread held at that moment nobody gives
back, and what it had half done nobody completes. So locks are made anew in the child; and a fork
waits, for a moment, for what cannot be made anew: imports under way, numba and LLVM.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import AbstractContextManager
from enum import IntEnum
from typing import Any, Protocol


class Holder(Protocol):
    """What holds locks."""

    def renew(self) -> None:
        """Makes the locks anew, in a child, but for those that the thread which forked holds."""


class Awaited(IntEnum):
    """What a fork waits for, in the order in which threads take the locks."""

    IMPORTS = 0
    NUMBA = 1
    LLVM = 2


# Held while modules are imported that a child may need: it would wait for such an import for ever.
IMPORTS = threading.RLock()

_awaited: dict[Awaited, AbstractContextManager[Any]] = {Awaited.IMPORTS: IMPORTS}
# By the fork under way, of which there is one: it has the first lock.
_taken: list[AbstractContextManager[Any]] = []
_holders: weakref.WeakSet[Holder] = weakref.WeakSet()


def await_before_fork(what: Awaited, lock: AbstractContextManager[Any]) -> None:
    """A fork waits until no other thread holds the lock."""
    _awaited[what] = lock


def renew_in_child(holder: Holder) -> None:
    """A forked child renews the holder, if it still lives."""
    _holders.add(holder)


class RenewedLock:
    """A reentrant lock, to be taken as `with renewed.lock`, that a forked child finds free."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        renew_in_child(self)

    def renew(self) -> None:
        # It may be taken unless another thread, which the child does not have, holds it.
        if self.lock.acquire(blocking=False):
            self.lock.release()
        else:
            self.lock = threading.RLock()


def _before() -> None:
    for what in Awaited:
        # Asked one by one: an import that was waited for may have brought a lock.
        lock = _awaited.get(what)
        if lock is not None:
            lock.__enter__()
            _taken.append(lock)


def _after() -> None:
    while _taken:
        _taken.pop().__exit__(None, None, None)


def _in_child() -> None:
    _after()
    for holder in list(_holders):
        holder.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
