"""One image that a small convolutional network predicts, beside ONNX Runtime, PyTorch and JAX.

    python -m benchmarks.predict [--threads 1,2] [--peers-python PYTHON] [--json FILE]

The network is that of the workload lenet; all systems have its initial weights and one image that
stays in memory, and a call begins when the result of the one before is there. graphc is called from
Python, and once more in the native loop. Of PyTorch channels first or last count, of ONNX Runtime
arrays that each call is given or that are bound once: whichever is faster. Rounds alternate; every
figure is a median. Without `make peers` graphc stands alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

import graphc as gc
from benchmarks.measure import (
    ROUNDS,
    Timer,
    calls,
    interleaved_timer_medians,
    print_table,
    timer,
    write_json,
)
from benchmarks.peer_process import (
    PEERS_PYTHON,
    PREDICTING_PEERS,
    PeerError,
    Peers,
    started,
)
from benchmarks.peers.problem import Array
from benchmarks.workloads.image_workloads import lenet_prediction

SECONDS_A_ROUND = 0.05
# Of scores, between systems.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Row:
    """One line of the table; `compared` is how many times as long as graphc's call it takes."""

    system: str
    threads: int
    microseconds: float
    compared: float


def measured(threads: int, peers: Peers, rounds: int) -> list[Row]:
    """graphc's rows and those of the peers.

    Raises click.ClickException where scores differ.
    """
    images, scores, problem = lenet_prediction()
    image = problem.arrays[0]
    called = gc.function(images, scores, threads=threads, name="predict_lenet")
    expected = called(image)
    timers: dict[str, Timer] = {
        "graphc": timer(calls(called, image)),
        "graphc, native loop": timer(lambda count: called.repeat(count, image)),
    }
    found = {}
    for system, peer in peers.running.items():
        try:
            peer.prepare(problem)
            found[system] = peer.outputs()
        except PeerError as error:
            peers.missing[system] = str(error)
        else:
            timers[system.removesuffix("-predict")] = peer.seconds_each
    check_agreement(expected, found)
    seconds = interleaved_timer_medians(timers, rounds, SECONDS_A_ROUND)
    base = seconds["graphc"]
    return [Row(name, threads, each * 1e6, each / base) for name, each in seconds.items()]


def check_agreement(expected: Array, found: Mapping[str, Array]) -> None:
    """Raises click.ClickException where a system's scores are not those of graphc."""
    for system, scores in found.items():
        if scores.shape != expected.shape:
            raise click.ClickException(f"{system}: scores {scores.shape}, not {expected.shape}")
        # So written, a nan is a difference.
        if not np.abs(scores - expected).max() <= TOLERANCE:
            raise click.ClickException(f"{system} has other scores: {scores}, graphc {expected}")


def thread_counts(context: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    """Of an option such as 1,2. Raises click.BadParameter for what is no such list."""
    try:
        counts = [int(each) for each in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"{value!r} is no list of numbers") from None
    if min(counts) < 1:
        raise click.BadParameter("there is at least one thread")
    return counts


@click.command()
@click.option("--threads", default="1,2", show_default=True, callback=thread_counts)
@click.option("--rounds", default=ROUNDS, show_default=True, type=click.IntRange(1))
@click.option("--peers-python", default=PEERS_PYTHON, type=click.Path(path_type=Path))
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the rows here.")
def main(threads: list[int], rounds: int, peers_python: Path, json_file: Path | None) -> None:
    """Measure the prediction of one image."""
    rows: list[Row] = []
    described: dict[str, str] = {}
    missing: dict[str, str] = {}
    for count in threads:
        with started(PREDICTING_PEERS, peers_python, count) as peers:
            rows += measured(count, peers, rounds)
        described |= peers.described()
        missing |= peers.missing
    print_table(
        "lenet predicts one image, float32",
        ("system", "threads", "us an image", "over graphc"),
        [
            (row.system, str(row.threads), f"{row.microseconds:,.1f}", f"{row.compared:.2f}x")
            for row in rows
        ],
    )
    for why in missing.values():
        click.echo(f"missing: {why}")
    write_json(json_file, {"peers": described, "rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
