"""Learning-rate schedules: functions from an epoch or a step, counted from 0, to a rate."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[int], float]


def constant(rate: float) -> Schedule:
    """The same rate always."""
    return lambda time: rate


def step(rate: float, factor: float = 0.1, every: int = 10) -> Schedule:
    """rate * factor^floor(t / every)."""
    _check_positive("every", every)
    return lambda time: rate * factor ** (time // every)


def exponential(rate: float, factor: float) -> Schedule:
    """rate * factor^t."""
    return lambda time: rate * factor**time


def cosine(rate: float, length: int, floor: float = 0.0) -> Schedule:
    """From `rate` down to `floor` over `length`, along half a cosine; `floor` after that.

    Source: Loshchilov and Hutter, SGDR, 2017, without restarts.
    """
    _check_positive("length", length)
    return lambda time: (
        floor + (rate - floor) * (1 + math.cos(math.pi * min(time, length) / length)) / 2
    )


def warm_up(length: int, then: Schedule, start: float = 0.0) -> Schedule:
    """Linear from `start` to the first rate of `then` over `length`; then `then` from its 0."""
    return chain((linear(start, then(0), length), length), then)


def linear(first: float, last: float, length: int) -> Schedule:
    """From `first` to `last` over `length`, straight; `last` after that."""
    _check_positive("length", length)
    return lambda time: first + (last - first) * min(time, length) / length


def chain(*parts: tuple[Schedule, int] | Schedule) -> Schedule:
    """Schedules one after the other, each with its length and counting from its own 0.

    The last has no length and never ends. Raises ValueError for anything else.
    """
    *timed, final = parts
    if not callable(final) or any(callable(part) for part in timed):
        raise ValueError("pairs (schedule, length) expected, then one schedule without a length")

    def rate(time: int) -> float:
        for schedule, length in timed:  # type: ignore[misc]
            if time < length:
                return schedule(time)
            time -= length
        return final(time)

    return rate


def _check_positive(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name}: at least 1 expected, not {value}")
