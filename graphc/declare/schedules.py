"""Learning-rate schedules: functions from an epoch or a step, counted from 0, to a rate.

Each raises ValueError for a number that is NaN or infinite and for a length below 1, TypeError for
what is no number.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from graphc.declare.hyperparameters import check_number
from graphc.ir.given import shown

__all__ = ["chain", "constant", "cosine", "exponential", "linear", "step", "warm_up"]

Schedule = Callable[[int], float]


def constant(rate: float) -> Schedule:
    """The same rate always. Raises as the module says.

    schedule = gc.schedules.constant(0.01)
    """
    check_number("rate", rate)
    return lambda time: rate


def step(rate: float, factor: float = 0.1, every: int = 10) -> Schedule:
    """rate * factor^floor(t / every). Raises as the module says.

    schedule = gc.schedules.step(0.1, factor=0.5, every=30)
    """
    check_number("rate", rate)
    check_number("factor", factor)
    check_number("every", every, least=1)
    return lambda time: rate * factor ** (time // every)


def exponential(rate: float, factor: float) -> Schedule:
    """rate * factor^t. Raises as the module says.

    schedule = gc.schedules.exponential(0.1, 0.95)
    """
    check_number("rate", rate)
    check_number("factor", factor)
    return lambda time: rate * factor**time


def cosine(rate: float, length: int, floor: float = 0.0) -> Schedule:
    """From `rate` down to `floor` over `length`, along half a cosine; `floor` after that.

    Source: Loshchilov and Hutter, SGDR, 2017, without restarts. Raises as
    the module says.

        schedule = gc.schedules.cosine(0.1, length=30)
    """
    check_number("rate", rate)
    check_number("floor", floor)
    check_number("length", length, least=1)
    return lambda time: (
        floor + (rate - floor) * (1 + math.cos(math.pi * min(time, length) / length)) / 2
    )


def warm_up(length: int, then: Schedule, start: float = 0.0) -> Schedule:
    """Linear from `start` to the first rate of `then` over `length`; then `then` from its 0. Raises
    as the module says, and TypeError for what is no schedule.

        schedule = gc.schedules.warm_up(5, gc.schedules.cosine(0.1, length=25))
    """
    if not callable(then):
        problem = f"a schedule, which is called with a number, expected, not {shown(then)}"
        raise TypeError(f"warm_up: {problem}")
    return chain((linear(start, then(0), length), length), then)


def linear(first: float, last: float, length: int) -> Schedule:
    """From `first` to `last` over `length`, straight; `last` after that. Raises as the module says.

    schedule = gc.schedules.linear(0.1, 0.0, length=30)
    """
    check_number("first", first)
    check_number("last", last)
    check_number("length", length, least=1)
    return lambda time: first + (last - first) * time / length if time < length else last


def chain(*parts: tuple[Schedule, int] | Schedule) -> Schedule:
    """Schedules one after the other, each with its length and counting from its own 0.

    The last has no length and never ends. Raises ValueError for anything else.

        schedule = gc.schedules.chain((gc.schedules.constant(0.1), 10), gc.schedules.constant(0.01))
    """
    *timed, final = parts
    if not callable(final) or not all(_is_timed(part) for part in timed):
        raise ValueError("pairs (schedule, length) expected, then one schedule without a length")
    for _, length in timed:  # type: ignore[misc]
        check_number("length", length, least=0)

    def rate(time: int) -> float:
        for schedule, length in timed:  # type: ignore[misc]
            if time < length:
                return schedule(time)
            time -= length
        return final(time)

    return rate


def _is_timed(part: object) -> bool:
    return isinstance(part, tuple | list) and len(part) == 2 and callable(part[0])
