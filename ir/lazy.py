"""Properties that are computed when they are first asked for, without a lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Lazy(Generic[T]):
    """A property that is computed once and kept in the instance.

    `functools.cached_property` of Python 3.11 holds one lock for all instances while it computes:
    threads wait for each other, and a child that is forked meanwhile waits for ever. Here threads
    may compute at once; the value of the first to be done is that of all.
    """

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Lazy[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Lazy[T] | T:
        if instance is None:
            return self
        kept: dict[str, T] = instance.__dict__
        return kept.setdefault(self._name, self._compute(instance))
