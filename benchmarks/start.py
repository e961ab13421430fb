"""Time from the start of a process to its first step: with nothing on disk, and with all it needs.

python -m benchmarks.start [--rounds N] [--json FILE]

A is 784-50-10 with batch 100, B 784-512-512-10 with batch 128; sigmoid layers, softmax
cross-entropy, SGD. Each measurement is a process of its own, from before it is started until its
first step has returned. Python's bytecode is on disk in both cases, as it is for an installed
package; the cache of plans and kernels is empty (cold) or filled by the same script (warm).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.workloads.workloads import LAYERED

ROUNDS = 7
NAMES = ("A", "B")

# A whole script, which imports what a user's would. monotonic() counts from the same moment in all
# processes of a machine.
SCRIPT = """\
import sys
import time

import numpy as np

import graphc as gc

*units, batch = map(int, sys.argv[1:])
graph = gc.Graph(seed=1)
x = graph.input("x", (batch, units[0]))
t = graph.input("t", (batch,), "i32")
hidden = x
for width in units[1:-1]:
    hidden = gc.nn.dense(hidden, width, gc.sigmoid)
loss = gc.losses.softmax_cross_entropy(gc.nn.dense(hidden, units[-1]), t)
step = gc.function([x, t], loss, gc.optim.SGD(learning_rate=0.1).updates(loss))
step(np.zeros((batch, units[0]), np.float32), np.zeros(batch, np.int32))
print(time.monotonic(), "graphc.compiler.pipeline" in sys.modules)
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


def seconds_to_first_step(name: str, folder: Path, cache: Path) -> float:
    """Of one process. Raises RuntimeError if it imported numba or the passes although `cache` was
    filled."""
    units, batch = LAYERED[name]
    is_warm = cache.exists()
    environment = {
        **os.environ,
        "GRAPHC_CACHE": "on",
        "GRAPHC_CACHE_DIR": str(cache),
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-c", SCRIPT, *map(str, (*units, batch))]
    started = time.monotonic()
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    ended, imported = done.stdout.split()
    if is_warm and imported == "True":
        raise RuntimeError(f"{name}: a compiler was imported although all was on disk")
    return float(ended) - started


def measure(rounds: int) -> list[Start]:
    """Cold and warm starts of each workload, in turns."""
    taken: dict[tuple[str, str], list[float]] = {
        (name, cache): [] for name in NAMES for cache in ("cold", "warm")
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # Writes the bytecode.
        seconds_to_first_step(NAMES[0], folder, folder / "first")
        for number in range(rounds):
            for name in NAMES:
                kernels = folder / f"{name}-{number}"
                for cache in ("cold", "warm"):
                    taken[name, cache].append(seconds_to_first_step(name, folder, kernels))
    return [
        Start(name, cache, statistics.median(times), min(times), max(times), rounds)
        for (name, cache), times in taken.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file")
    arguments = parser.parse_args()
    starts = measure(arguments.rounds)
    print("process start to first step, seconds: median (fastest, slowest)")
    for each in starts:
        print(
            f"{each.workload} {each.cache}  {each.seconds:.3f} "
            f"({each.fastest:.3f}, {each.slowest:.3f})"
        )
    if arguments.json is not None:
        text = json.dumps({"rows": [asdict(each) for each in starts]}, indent=2)
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
