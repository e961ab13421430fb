"""Learning-rate schedules: functions from an epoch or a step, counted from 0, to a rate.

Each raises ValueError for a number that is NaN or infinite and for a length below 1, TypeError for
what is no number.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from graphc.declare.hyperparameters import check_number
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.arguments.given import as_integer, is_one_of, shown
from graphc.ir.types import each_of

__all__ = [
    "chain",
    "constant",
    "cosine",
    "cosine_restarts",
    "cyclic",
    "exponential",
    "linear",
    "multi_step",
    "one_cycle",
    "polynomial",
    "step",
    "warm_up",
]

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


def multi_step(rate: float, milestones: Sequence[int], factor: float = 0.1) -> Schedule:
    """rate * factor^k after k of the milestones, times in ascending order. Raises as the module
    says, and ValueError where a milestone is before another.

        schedule = gc.schedules.multi_step(0.1, [30, 80])
    """
    check_number("rate", rate)
    check_number("factor", factor)
    times = list(each_of(milestones))
    for time in times:
        check_number("milestones", time, least=0)
    if times != sorted(times):
        raise ValueError(f"milestones: times in ascending order expected, not {shown(times)}")
    return lambda time: rate * factor ** bisect_right(times, time)


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
    return lambda time: floor + (rate - floor) * _cosine_fall(min(time, length) / length)


def cosine_restarts(
    rate: float, length: int, length_factor: int = 1, floor: float = 0.0
) -> Schedule:
    """`cosine` again and again: over `length`, then each time over `length_factor` times as much.

    Source: Loshchilov and Hutter, SGDR, 2017. Raises as the module says, and TypeError for a length
    or a factor that is no integer.

        schedule = gc.schedules.cosine_restarts(0.1, length=10, length_factor=2)
    """
    length, length_factor = _as_length("length", length), _as_length("length_factor", length_factor)
    check_number("rate", rate)
    check_number("floor", floor)

    def rate_at(time: int) -> float:
        current = length
        if length_factor == 1:
            time %= current
        while time >= current:
            time, current = time - current, current * length_factor
        return floor + (rate - floor) * _cosine_fall(time / current)

    return rate_at


def polynomial(rate: float, length: int, power: float = 1.0, floor: float = 0.0) -> Schedule:
    """floor + (rate - floor) (1 - t / length)^power; `floor` from `length` on. Raises as the module
    says, and ValueError for a negative power.

        schedule = gc.schedules.polynomial(0.1, length=30, power=2)
    """
    check_number("rate", rate)
    check_number("length", length, least=1)
    check_number("power", power, least=0)
    check_number("floor", floor)
    return lambda time: (
        floor + (rate - floor) * (1 - time / length) ** power if time < length else floor
    )


@checks_flags
def one_cycle(
    max_rate: float,
    length: int,
    pct_start: float = 0.3,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> Schedule:
    """From max_rate / div_factor up to `max_rate`, then down to max_rate / div_factor /
    final_div_factor at length - 1, and that from then on: torch's OneCycleLR.

    pct_start: the share of `length` in which the rate rises. anneal_strategy: along half a cosine
    or straight. three_phase: down to the first rate as fast as up, then to the last one.

    Source: Smith and Topin, Super-convergence, 2018. Raises as the module says; ValueError for
    another strategy, a share outside of 0 to 1, and factors that are not above 0.

        schedule = gc.schedules.one_cycle(0.1, length=1000)
    """
    check_number("max_rate", max_rate)
    length = _as_length("length", length)
    check_number("pct_start", pct_start, least=0)
    if pct_start > 1:
        raise ValueError(f"pct_start: at most 1 expected, not {pct_start}")
    for name, factor in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
        check_number(name, factor)
        if factor <= 0:
            raise ValueError(f"{name}: a number above 0 expected, not {factor}")
    if not is_one_of(anneal_strategy, ("cos", "linear")):
        raise ValueError(f"'cos' or 'linear' expected, not {shown(anneal_strategy)}")
    first, last = max_rate / div_factor, max_rate / div_factor / final_div_factor
    top = pct_start * length - 1
    knots = [(0.0, first), (top, max_rate), (length - 1.0, last)]
    if three_phase:
        knots.insert(2, (2 * top, first))

    def rate_at(time: int) -> float:
        for (start, before), (end, after) in pairwise(knots):
            if time <= end:
                share = (time - start) / (end - start) if end > start else 1.0
                rises = 1 - _cosine_fall(share) if anneal_strategy == "cos" else share
                return before + (after - before) * rises
        return last

    return rate_at


def cyclic(
    rate: float,
    max_rate: float,
    step_size_up: int = 2000,
    step_size_down: int | None = None,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    factor: float = 1.0,
) -> Schedule:
    """Straight from `rate` up to `max_rate` and down again, for ever: torch's CyclicLR.

    step_size_up, step_size_down: how long each takes, the second as long as the first unless given.
    mode: "triangular2" halves the height after each cycle, "exp_range" has factor^t of it.

    Source: Smith, Cyclical learning rates for training neural networks, 2017. Raises as the module
    says, and ValueError for another mode.

        schedule = gc.schedules.cyclic(1e-3, 1e-2, step_size_up=500)
    """
    check_number("rate", rate)
    check_number("max_rate", max_rate)
    check_number("step_size_up", step_size_up, least=1)
    down = step_size_up if step_size_down is None else step_size_down
    check_number("step_size_down", down, least=1)
    check_number("factor", factor)
    if not is_one_of(mode, ("triangular", "triangular2", "exp_range")):
        expected = "'triangular', 'triangular2' or 'exp_range' expected"
        raise ValueError(f"{expected}, not {shown(mode)}")
    whole = step_size_up + down

    def rate_at(time: int) -> float:
        cycle, place = divmod(time, whole)
        height = place / step_size_up if place <= step_size_up else (whole - place) / down
        if mode == "triangular2":
            height /= 2**cycle
        elif mode == "exp_range":
            height *= factor**time
        return rate + (max_rate - rate) * height

    return rate_at


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


def _cosine_fall(share: float) -> float:
    """From 1 at 0 down to 0 at 1, along half a cosine."""
    return (1 + math.cos(math.pi * share)) / 2


def _as_length(name: str, value: object) -> int:
    """`value` as an integer. Raises TypeError for what is none, ValueError for one below 1."""
    check_number(name, value, least=1)
    return as_integer(value)
