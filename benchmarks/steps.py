"""Microseconds of a training step: fused, with one kernel an op, and the graph run in numpy.

    python -m benchmarks.steps [--workloads S,A,B,C,E] [--json FILE]

One thread, interleaved, medians. Every system starts from the same weights; the losses after 20
steps must agree. The systems:

    graphc          steps in the executor's own loop
    graphc-call     one Python call a step
    graphc-unfused  as graphc, with one kernel an op: same matrix kernels, same executor
    numpy           the graph in reference mode, one Python call a step
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.contract import peak_gflops
from benchmarks.measure import Repeated, calls, interleaved_medians, print_table, write_json
from benchmarks.workloads import ELEMENTWISE_ROWS, NAMES, Workload, workload
from graphc.compiler.native import native
from graphc.function import Function

THREADS = 1
STEPS_BEFORE_LOSS = 20
# Losses are means over at most so many rows, summed in another order by each system.
TOLERANCE = ELEMENTWISE_ROWS * float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Row:
    """One system on one workload. kernels: instructions of a step, where there are any.
    gflops: of the matrix products alone, None where a step has none."""

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


def measure(work: Workload, peak: float) -> list[Row]:
    """All systems on one workload. Raises click.ClickException when their losses differ."""
    fused, called, unfused = work.step(), work.step(), work.step(fuse=False)
    numpy_step = work.step(mode="reference")
    functions = {
        "graphc": fused,
        "graphc-call": called,
        "graphc-unfused": unfused,
        "numpy": numpy_step,
    }
    losses = {name: loss_after_20(step, work) for name, step in functions.items()}
    check_agreement(work.name, losses)
    actions = {
        "graphc": native_loop(fused, work),
        "graphc-call": calls(called, *work.arrays),
        "graphc-unfused": native_loop(unfused, work),
        "numpy": calls(numpy_step, *work.arrays),
    }
    seconds = interleaved_medians(actions)
    rows = []
    for name, function in functions.items():
        gflops = work.flops / seconds[name] / 1e9 if work.flops else None
        rows.append(
            Row(
                work.name,
                name,
                THREADS,
                seconds[name] * 1e6,
                gflops,
                gflops / peak if gflops is not None else None,
                losses[name],
                kernels_of(function),
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
        f"A training step, float32, one thread, FMA peak {peak:.0f} GFLOP/s",
        ("workload", "system", "us a step", "over graphc", "kernels", "GFLOP/s", "of peak", "loss"),
        [
            (
                row.workload,
                row.system,
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


def chosen(context: click.Context, parameter: click.Parameter, value: str) -> list[str]:
    """The workloads named in `value`. Raises click.BadParameter for others."""
    names = [name.strip() for name in value.split(",")]
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise click.BadParameter(f"no workloads {unknown}; there are {', '.join(NAMES)}")
    return names


@click.command()
@click.option("--workloads", default="S,A,B", show_default=True, callback=chosen)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the rows here.")
def main(workloads: list[str], json_file: Path | None) -> None:
    """Measure training steps."""
    peak = peak_gflops(native().compiler, "f32")
    rows = [row for name in workloads for row in measure(workload(name), peak)]
    print_rows(rows, peak)
    write_json(json_file, {"peak_gflops": peak, "rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
