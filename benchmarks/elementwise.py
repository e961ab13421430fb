"""mean((tanh(a x + b) sigmoid(c x + d) - t)^2) and its four gradients: one pass over x and t.

    python -m benchmarks.elementwise [--json FILE]

x and t are 4096 x 1024 float32, a to d vectors of 1024, one thread. Fused, with one kernel an op,
and the graph run in numpy, interleaved on the same arrays; figures are medians.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

import graphc as gc
from benchmarks.measure import calls, interleaved_medians, print_table, write_json
from benchmarks.workloads.workloads import ELEMENTWISE_ROWS, elementwise
from graphc.compiler.plan.planning import Plan
from graphc.kernels.groups.group import LoopGroup

SECONDS_A_ROUND = 0.05
# Sums over this many rows, whose order differs between the systems.
TOLERANCE = ELEMENTWISE_ROWS * float(np.finfo(np.float32).eps)


def passes_over_data(plan: Plan) -> int:
    """How often kernels run over the rows of x or t, all kernels together."""
    given = set(plan.storages.inputs.values())
    passes = 0
    for instruction in plan.instructions:
        if given.isdisjoint(instruction.source.arguments):
            continue
        assert isinstance(instruction.group, LoopGroup)
        passes += instruction.group.nest.passes
    return passes


def largest_difference(values: list[np.ndarray], reference: list[np.ndarray]) -> float:
    """The largest difference of two values, relative to the largest element of the reference."""
    return max(
        float(np.abs(value - wanted).max() / np.abs(wanted).max())
        for value, wanted in zip(values, reference, strict=True)
    )


@click.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the rows here.")
def main(json_file: Path | None) -> None:
    """Measure the elementwise workload; fails when the values of the systems differ."""
    work = elementwise()
    loss = work.loss
    outputs = [loss, *gc.grad(loss, list(work.updates))]
    functions = {
        "fused": gc.function(work.inputs, outputs, threads=1),
        "unfused": gc.function(work.inputs, outputs, fuse=False, threads=1),
        "numpy": gc.function(work.inputs, outputs, mode="reference"),
    }
    values = {name: function(*work.arrays) for name, function in functions.items()}
    differences = {name: largest_difference(v, values["numpy"]) for name, v in values.items()}
    if max(differences.values()) > TOLERANCE:
        raise click.ClickException(f"the values differ by more than {TOLERANCE:.1e}: {differences}")
    seconds = interleaved_medians(
        {name: calls(function, *work.arrays) for name, function in functions.items()},
        seconds_a_round=SECONDS_A_ROUND,
    )
    rows = []
    for name, function in functions.items():
        row = {"system": name, "ms": seconds[name] * 1e3, "difference": differences[name]}
        row["over_fused"] = seconds[name] / seconds["fused"]
        if function.mode == "compiled":
            loaded = function.loaded()
            row["kernels"] = loaded.plan.kernels
            row["passes"] = passes_over_data(loaded.plan)
        rows.append(row)
    print_table(
        "mean((tanh(a x + b) sigmoid(c x + d) - t)^2) and four gradients, 4096 x 1024, one thread",
        ("system", "ms", "over fused", "kernels", "passes over x or t", "difference"),
        [
            (
                str(row["system"]),
                f"{row['ms']:.2f}",
                f"{row['over_fused']:.1f}x",
                str(row.get("kernels", "")),
                str(row.get("passes", "")),
                f"{row['difference']:.1e}",
            )
            for row in rows
        ],
    )
    print(f"fused over unfused: {seconds['unfused'] / seconds['fused']:.1f}x")
    write_json(json_file, {"rows": rows})


if __name__ == "__main__":
    main()
