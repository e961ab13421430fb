"""Where in a network its parts are declared: inside of which scopes and which calls of layers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class Scope:
    """What surrounds a declaration.

    prefix: what the names that are declared inside begin with, such as "block1.dense."; "" outside
        of all scopes.
    path: names of scopes and of calls of layers from the outside in, such as
        ("block1", "dense (call 2)"). Nodes keep it in their location.
    """

    prefix: str = ""
    path: tuple[str, ...] = ()


OUTSIDE = Scope()

# Each thread declares in scopes of its own.
_CURRENT: ContextVar[Scope] = ContextVar("graphc.scope", default=OUTSIDE)


def current_scope() -> Scope:
    """The scope that surrounds what is declared now."""
    return _CURRENT.get()


@contextmanager
def inside(scope: Scope) -> Iterator[None]:
    """What is declared while it lasts is inside of `scope`."""
    token = _CURRENT.set(scope)
    try:
        yield
    finally:
        _CURRENT.reset(token)
