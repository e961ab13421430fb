"""Time from the start of a process to its first step: with nothing on disk, and with all it needs.

    python -m benchmarks.start [--workloads A,B,lenet,resnet8,lstm,gpt] [--threads 2] [--json FILE]

Workloads are those of `benchmarks.steps`, and `unrolled`, an LSTM of 100 steps that are written one
after the other, some 800 kernels with their gradients. Each measurement is a process of its own,
from before it is started until its first step has returned, but for the import of the workloads
themselves.
Python's bytecode is on disk in both cases, as it is for an installed package; the cache of plans
and kernels is empty (cold) or filled by the same script (warm).
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from benchmarks.measure import print_table, write_json

REPOSITORY = Path(__file__).parent.parent

# A whole script, which imports what a user's would. monotonic() counts from the same moment in all
# processes of a machine.
SCRIPT = """\
import sys
import time

import numpy as np

import graphc as gc

imported = time.monotonic()
from benchmarks.sequences import lstm
from benchmarks.workloads.workloads import workload

not_counted = time.monotonic() - imported
name, threads = sys.argv[1:]
work = lstm(steps=100) if name == "unrolled" else workload(name)
step = gc.function(work.inputs, work.loss, work.updates, threads=int(threads))
step(*work.arrays)
print(time.monotonic() - not_counted, "graphc.compiler.pipeline" in sys.modules)
"""


@dataclass(frozen=True)
class Start:
    """Seconds from the start of the process to the end of its first step, over `rounds`."""

    workload: str
    cache: str
    seconds: float
    fastest: float
    slowest: float
    rounds: int

    @property
    def times(self) -> tuple[float, float, float]:
        return self.seconds, self.fastest, self.slowest


def seconds_to_first_step(name: str, threads: int, folder: Path, cache: Path) -> float:
    """Of one process. Raises RuntimeError if it imported the passes although `cache` was filled."""
    is_warm = cache.exists()
    environment = {
        **os.environ,
        "GRAPHC_CACHE": "on",
        "GRAPHC_CACHE_DIR": str(cache),
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", SCRIPT, name, str(threads)]
    started = time.monotonic()
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    ended, compiled = done.stdout.split()
    if is_warm and compiled == "True":
        raise RuntimeError(f"{name}: a compiler was imported although all was on disk")
    return float(ended) - started


def measure(names: list[str], threads: int, rounds: int) -> list[Start]:
    """Cold and warm starts of each workload, in turns."""
    taken: dict[tuple[str, str], list[float]] = {
        (name, cache): [] for name in names for cache in ("cold", "warm")
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # Writes the bytecode.
        seconds_to_first_step(names[0], threads, folder, folder / "first")
        for number in range(rounds):
            for name in names:
                kernels = folder / f"{name}-{number}"
                for cache in ("cold", "warm"):
                    seconds = seconds_to_first_step(name, threads, folder, kernels)
                    taken[name, cache].append(seconds)
    return [
        Start(name, cache, statistics.median(times), min(times), max(times), rounds)
        for (name, cache), times in taken.items()
    ]


@click.command(help="Time processes from their start to their first step.")
@click.option("--workloads", default="A,B,lenet,resnet8,lstm,gpt", show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the rows here.")
def main(workloads: str, threads: int, rounds: int, json_path: Path | None) -> None:
    starts = measure(workloads.split(","), threads, rounds)
    print_table(
        f"Process start to first step, seconds, median of {rounds}",
        ["workload", "cache", "seconds", "fastest", "slowest"],
        [(each.workload, each.cache, *(f"{t:.2f}" for t in each.times)) for each in starts],
    )
    write_json(json_path, {"threads": threads, "rows": [asdict(each) for each in starts]})


if __name__ == "__main__":
    main()
