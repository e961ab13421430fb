"""Imports that are made when something is first needed, in the middle of a user's program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from graphc.kernels.host.forks import IMPORTS
from graphc.kernels.host.interrupts import deferred_interrupts


@contextmanager
def whole_imports() -> Iterator[None]:
    """What is imported inside is whole, for a child that another thread forks and for what runs
    after Ctrl-C, which is raised at the end.

    Of a package whose modules import each other, as numba's do, an interrupt would leave some: it
    could never be imported again.
    """
    with deferred_interrupts(), IMPORTS:
        yield
