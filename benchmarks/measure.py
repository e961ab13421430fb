"""Timing, tables and JSON that the benchmarks share."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

# Does what is measured as often as its argument says.
Repeated = Callable[[int], object]
# Seconds of one of as many times as its argument says.
Timer = Callable[[int], float]

ROUNDS = 9
SECONDS_A_ROUND = 0.02
FILE_WIDTH = 120


def seconds_each(action: Repeated, count: int) -> float:
    """Seconds of one of the `count` times that the action does its work in one call."""
    start = time.perf_counter()
    action(count)
    return (time.perf_counter() - start) / count


def timer(action: Repeated) -> Timer:
    """The seconds that the action takes here; another process has a timer of its own."""
    return lambda count: seconds_each(action, count)


def repetitions_in(timed: Timer, seconds: float) -> int:
    """How often the work is done in about `seconds`, at least once. Warms up, too."""
    timed(1)
    return max(1, round(seconds / timed(3)))


def interleaved_rounds(
    actions: Mapping[str, Repeated],
    rounds: int = ROUNDS,
    seconds_a_round: float = SECONDS_A_ROUND,
) -> dict[str, list[float]]:
    """Seconds of each action's work in every round.

    In a round all actions take their turn, so what disturbs the machine disturbs all of them.
    """
    timers = {name: timer(action) for name, action in actions.items()}
    return interleaved_timers(timers, rounds, seconds_a_round)


def interleaved_timers(
    timers: Mapping[str, Timer],
    rounds: int = ROUNDS,
    seconds_a_round: float = SECONDS_A_ROUND,
) -> dict[str, list[float]]:
    """The same for work that is timed elsewhere."""
    counts = {name: repetitions_in(timed, seconds_a_round) for name, timed in timers.items()}
    found: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timed in timers.items():
            found[name].append(timed(counts[name]))
    return found


def interleaved_medians(
    actions: Mapping[str, Repeated],
    rounds: int = ROUNDS,
    seconds_a_round: float = SECONDS_A_ROUND,
) -> dict[str, float]:
    """The median seconds of each action's work; see `interleaved_rounds`."""
    timers = {name: timer(action) for name, action in actions.items()}
    return interleaved_timer_medians(timers, rounds, seconds_a_round)


def interleaved_timer_medians(
    timers: Mapping[str, Timer],
    rounds: int = ROUNDS,
    seconds_a_round: float = SECONDS_A_ROUND,
) -> dict[str, float]:
    """The same for work that is timed elsewhere."""
    found = interleaved_timers(timers, rounds, seconds_a_round)
    return {name: statistics.median(seconds) for name, seconds in found.items()}


def calls(function: Callable[..., object], *arguments: object) -> Repeated:
    """Python calls of `function`, one after the other."""

    def call_often(count: int) -> None:
        for _ in range(count):
            function(*arguments)

    return call_often


def machine() -> dict[str, Any]:
    """What a figure depends on besides this project."""
    return {
        "cpu": _processor(),
        "cpus": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    """The processor's name as LLVM has it."""
    from llvmlite import binding

    return str(binding.get_host_cpu_name())


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints a table, the first column aligned left and the others right."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    # In a file or a pipe rich takes 80 columns for the width and would cut figures off.
    Console(width=None if sys.stdout.isatty() else FILE_WIDTH).print(table)


def write_json(path: Path | None, result: Mapping[str, Any]) -> None:
    """Writes `result` with the machine in front; does nothing without a path."""
    if path is not None:
        path.write_text(json.dumps({"machine": machine(), **result}, indent=1) + "\n")
