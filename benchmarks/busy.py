"""Training steps while other processes keep every processor busy: all threads against one.

    python -m benchmarks.busy [--workloads S,A,E,G,R] [--seconds 3] [--limit 1.2] [--json FILE]

The benchmark makes the load itself: a process for each processor that it may use, of equal
priority, which does nothing but count. They end with the benchmark, or by themselves when it is
killed or takes too long. Under the load a step on the threads of the default takes turns with the
same step on one thread, called from Python and in the executor's loop. The last column is the time
of the first over that of the second; the rule is that none is above 1.2. The same on the machine as
it is without the load comes first.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from benchmarks.measure import Repeated, calls, print_table, repetitions_in, timer, write_json
from benchmarks.sequences import lstm, transformer
from benchmarks.steps import chosen, native_loop
from benchmarks.workloads.workloads import NAMES, Workload, workload
from graphc.kernels.host.thread_count import default_threads

SEQUENCES: Mapping[str, Callable[[], Workload]] = {"G": transformer, "R": lstm}
WORKLOADS = (*NAMES, *SEQUENCES)

# The turns of each form. Schedulers share a processor among processes in turns of milliseconds, of
# which a turn here has many.
SECONDS_A_TURN = 0.25
# One call of the executor's loop on an idle machine. With the load no turn waits for many of them.
SECONDS_A_LOOP = 0.02

# What a process of the load does: it counts until the time is over or its parent has changed.
LOAD = """
import os, sys, time
parent, end = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
while time.monotonic() < end and os.getppid() == parent:
    for _ in range(100_000):
        pass
"""
# The load is over after this share more than the measurements should take.
SPARE = 4.0
SPARE_SECONDS = 20.0


@dataclass(frozen=True)
class Row:
    """Microseconds a step of one workload in one form, on all threads and on one."""

    workload: str
    form: str
    processes: int
    threads: int
    us_per_step: float
    us_on_one_thread: float

    @property
    def ratio(self) -> float:
        return self.us_per_step / self.us_on_one_thread


@contextmanager
def load(processes: int, seconds: float) -> Iterator[None]:
    """So many processes that count, for so long at most."""
    command = [sys.executable, "-c", LOAD, str(os.getpid()), str(seconds)]
    running: list[subprocess.Popen[bytes]] = []
    try:
        running += (subprocess.Popen(command) for _ in range(processes))
        yield
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()


def forms(work: Workload, threads: int) -> dict[str, Repeated]:
    """The ways to make steps; each has a function, and so a choice of threads, of its own."""
    called, repeated = work.step(threads=threads), work.step(threads=threads)
    return {"calls": calls(called, *work.arrays), "loop": native_loop(repeated, work)}


def seconds_a_step(actions: Sequence[Repeated], counts: Sequence[int], turns: int) -> list[float]:
    """Seconds of a step of each action, over all turns: what disturbs one disturbs the other."""
    steps, spent = [0] * len(actions), [0.0] * len(actions)
    for _ in range(turns):
        for number, (action, count) in enumerate(zip(actions, counts, strict=True)):
            start = now = time.perf_counter()
            while now - start < SECONDS_A_TURN:
                action(count)
                steps[number] += count
                now = time.perf_counter()
            spent[number] += now - start
    return [one / count for one, count in zip(spent, steps, strict=True)]


def measure(work: Workload, threads: int, processes: int, seconds: float) -> list[Row]:
    """Both forms of a workload, first without the load and then with it."""
    together, alone = forms(work, threads), forms(work, 1)
    counts = {
        form: 1 if form == "calls" else repetitions_in(timer(action), SECONDS_A_LOOP)
        for form, action in alone.items()
    }
    for form, action in together.items():
        action(counts[form])
    turns = max(1, round(seconds / (2 * SECONDS_A_TURN)))
    rows = []
    for number in (0, processes):
        with load(number, SPARE * len(counts) * seconds + SPARE_SECONDS):
            for form, count in counts.items():
                pair = (together[form], alone[form])
                both, one = seconds_a_step(pair, (count, count), turns)
                rows.append(Row(work.name, form, number, threads, both * 1e6, one * 1e6))
    return rows


def print_rows(rows: list[Row]) -> None:
    print_table(
        "A training step, float32, beside other processes",
        ("workload", "form", "processes", "threads", "us a step", "on one thread", "ratio"),
        [
            (
                row.workload,
                row.form,
                str(row.processes),
                str(row.threads),
                f"{row.us_per_step:,.1f}",
                f"{row.us_on_one_thread:,.1f}",
                f"{row.ratio:.2f}",
            )
            for row in rows
        ],
    )


@click.command()
@click.option("--workloads", default="S,A,E,G,R", show_default=True, callback=chosen(WORKLOADS))
@click.option("--seconds", default=3.0, show_default=True, help="Of each form of a workload.")
@click.option("--limit", type=float, help="Fail when a ratio beside the load is above this.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the rows here.")
def main(workloads: list[str], seconds: float, limit: float | None, json_file: Path | None) -> None:
    """Measure training steps on a busy machine."""
    threads = default_threads()
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else threads
    rows: list[Row] = []
    for name in workloads:
        work = SEQUENCES[name]() if name in SEQUENCES else workload(name)
        rows += measure(work, threads, processes, seconds)
    print_rows(rows)
    write_json(json_file, {"rows": [asdict(row) for row in rows]})
    if limit is not None and any(row.ratio > limit for row in rows if row.processes):
        raise click.ClickException(f"a ratio beside the load is above {limit}")


if __name__ == "__main__":
    main()
