"""Microseconds of a training step: graphc's own forms, and each peer that is installed.

    python -m benchmarks.steps [--workloads S,A,B,C,E,L,ppo,sac] [--json FILE]
    python -m benchmarks.steps --against torch,torch-compile,jax,jax-scan,pytensor --threads 2

Interleaved, medians. Every system starts from the same weights; the losses after 20 steps must
agree. All but numpy get `--threads` threads. The systems:

    graphc          steps in the executor's own loop
    graphc-call     one Python call a step
    graphc-unfused  as graphc, with one kernel an op: same matrix kernels, same executor
    numpy           the graph in reference mode, one Python call a step
    torch           automatic derivatives, fused ops and update, one Python call a step
    torch-compile   the whole step compiled, one Python call a step
    jax             the whole step compiled, donated buffers, one Python call a step
    jax-scan        the same, steps in a scan
    pytensor        the whole step compiled, one Python call a step

Peers run in processes of their own, on as many cores as threads, in the environment that `make
peers` builds or `--peers-python` names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.contract import peak_gflops
from benchmarks.measure import (
    ROUNDS,
    Repeated,
    calls,
    interleaved_timer_medians,
    print_table,
    timer,
    write_json,
)
from benchmarks.peer_process import PEERS, PEERS_PYTHON, Peers, started
from benchmarks.workloads.workloads import ELEMENTWISE_ROWS, NAMES, Workload, workload
from graphc.compiler.load.native import native
from graphc.functions.function import Function

NUMPY_THREADS = 1
STEPS_BEFORE_LOSS = 20
LEAST_ROUNDS = 7
# Losses are means over at most so many rows, summed in another order by each system.
TOLERANCE = ELEMENTWISE_ROWS * float(np.finfo(np.float32).eps)

# Long enough that caches and cores left behind by the process before do not show.
SECONDS_A_ROUND = 0.15


@dataclass(frozen=True)
class Row:
    """One system on one workload. kernels: instructions of a step, where there are any.
    gflops: of the matrix products alone, None where a step has none.
    peak_share: of the FMA peak of as many cores as there are threads."""

    workload: str
    system: str
    threads: int
    us_per_step: float
    gflops: float | None
    peak_share: float | None
    loss_after_20: float
    kernels: int | None


def native_loop(step: Function, work: Workload) -> Repeated:
    """Steps that the executor repeats."""

    def repeat(count: int) -> None:
        step.repeat(count, *work.arrays)

    return repeat


def loss_after_20(step: Function, work: Workload) -> float:
    """The loss that the twentieth step, a Python call, returns."""
    for _ in range(STEPS_BEFORE_LOSS - 1):
        step(*work.arrays)
    return float(step(*work.arrays))


def measure(work: Workload, peers: Peers, threads: int, peak: float, rounds: int) -> list[Row]:
    """All systems on one workload; numpy alone has one thread.

    Raises click.ClickException when losses differ.
    """
    fused, called = work.step(threads=threads), work.step(threads=threads)
    unfused = work.step(fuse=False, threads=threads)
    numpy_step = work.step(mode="reference")
    functions = {
        "graphc": fused,
        "graphc-call": called,
        "graphc-unfused": unfused,
        "numpy": numpy_step,
    }
    losses = {name: loss_after_20(step, work) for name, step in functions.items()}
    losses |= peers.prepare(work.problem(), STEPS_BEFORE_LOSS)
    check_agreement(work.name, losses)
    timers = {
        "graphc": timer(native_loop(fused, work)),
        "graphc-call": timer(calls(called, *work.arrays)),
        "graphc-unfused": timer(native_loop(unfused, work)),
        "numpy": timer(calls(numpy_step, *work.arrays)),
    }
    timers |= {name: peers.running[name].seconds_each for name in losses if name in peers.running}
    seconds = interleaved_timer_medians(timers, rounds, SECONDS_A_ROUND)
    rows = []
    for name in losses:
        used = NUMPY_THREADS if name == "numpy" else threads
        gflops = work.flops / seconds[name] / 1e9 if work.flops else None
        rows.append(
            Row(
                work.name,
                name,
                used,
                seconds[name] * 1e6,
                gflops,
                gflops / (used * peak) if gflops is not None else None,
                losses[name],
                kernels_of(functions[name]) if name in functions else None,
            )
        )
    return rows


def kernels_of(function: Function) -> int | None:
    """The instructions of a compiled step; None for one that numpy runs."""
    if function.mode == "reference":
        return None
    return function.loaded().plan.kernels


def check_agreement(name: str, losses: dict[str, float]) -> None:
    """Raises click.ClickException when a loss is not that of numpy."""
    for system, loss in losses.items():
        if not abs(loss - losses["numpy"]) <= TOLERANCE * abs(losses["numpy"]):
            raise click.ClickException(f"{name}: {system} has another loss than numpy: {losses}")


def print_rows(rows: list[Row], peak: float) -> None:
    base = {row.workload: row.us_per_step for row in rows if row.system == "graphc"}
    print_table(
        f"A training step, float32, FMA peak {peak:.0f} GFLOP/s a core",
        (
            "workload",
            "system",
            "threads",
            "us a step",
            "over graphc",
            "kernels",
            "GFLOP/s",
            "of peak",
            "loss",
        ),
        [
            (
                row.workload,
                row.system,
                str(row.threads),
                f"{row.us_per_step:,.1f}",
                f"{row.us_per_step / base[row.workload]:.2f}x",
                "" if row.kernels is None else str(row.kernels),
                "" if row.gflops is None else f"{row.gflops:.1f}",
                "" if row.peak_share is None else f"{row.peak_share:.0%}",
                f"{row.loss_after_20:.4f}",
            )
            for row in rows
        ],
    )


def chosen(known: tuple[str, ...]) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """A callback: the names in an option's value. Raises click.BadParameter for unknown ones."""

    def split(context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
        names = [name.strip() for name in value.split(",") if name.strip()]
        unknown = [name for name in names if name not in known]
        if unknown:
            raise click.BadParameter(f"no {', '.join(unknown)}; there are {', '.join(known)}")
        return names

    return split


@click.command()
@click.option("--workloads", default="S,A,B", show_default=True, callback=chosen(NAMES))
@click.option("--against", default="", callback=chosen(PEERS), help=f"Of {', '.join(PEERS)}.")
@click.option("--threads", default=2, show_default=True, help="Of each system but numpy.")
@click.option("--rounds", default=ROUNDS, show_default=True, type=click.IntRange(LEAST_ROUNDS))
@click.option("--peers-python", default=PEERS_PYTHON, type=click.Path(path_type=Path))
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the rows here.")
def main(
    workloads: list[str],
    against: list[str],
    threads: int,
    rounds: int,
    peers_python: Path,
    json_file: Path | None,
) -> None:
    """Measure training steps."""
    peak = peak_gflops(native().compilers.own, "f32")
    with started(against, peers_python, threads) as peers:
        rows = [
            row
            for name in workloads
            for row in measure(workload(name), peers, threads, peak, rounds)
        ]
    print_rows(rows, peak)
    for why in peers.missing.values():
        click.echo(f"missing: {why}")
    result = {"peak_gflops": peak, "peers": peers.described()}
    write_json(json_file, {**result, "rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
