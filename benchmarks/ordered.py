"""Ops in scan order beside numpy and JAX: sort, argsort, top_k, cumsum and cumprod.

    python -m benchmarks.ordered [--json FILE] [--dtype f64] [--threads 2]

Rows of 10, 100 and 1,000 elements and one row of 1,000,000, each 10^6 elements of a normal
distribution. numpy runs on one thread whatever `--threads` says; its stand-in for top_k is
argpartition, which leaves the k unsorted. JAX runs in a process of its own, where the environment
that `make peers` builds has it. Figures are medians of nanoseconds an element, a call of Python
included.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

import graphc as gc
from benchmarks.measure import calls, interleaved_medians, print_table, write_json
from benchmarks.peer_process import PEERS_PYTHON, ROOT

SHAPES = ((100_000, 10), (10_000, 100), (1_000, 1_000), (1, 1_000_000))
K = 8
NUMPY_DTYPES = {"f32": np.float32, "f64": np.float64}
SECONDS_A_ROUND = 0.05
ROUNDS = 5

Declared = Callable[[Any], Any]
OPS: dict[str, tuple[Declared, Callable[[np.ndarray], object]]] = {
    "sort": (gc.sort, np.sort),
    "argsort": (gc.argsort, np.argsort),
    "top_k": (lambda x: list(gc.top_k(x, K)), lambda x: np.argpartition(x, K)),
    "cumsum": (lambda x: gc.cumsum(x, 1), lambda x: np.cumsum(x, 1)),
    "cumprod": (lambda x: gc.cumprod(x, 1), lambda x: np.cumprod(x, 1)),
}

# The process of JAX: a line of JSON, op by op and shape by shape.
JAX = """
import json, sys, time
import jax, jax.numpy as jnp, numpy as np
shapes, k, dtype, rounds = json.loads(sys.argv[1])
jax.config.update("jax_enable_x64", dtype == "f64")
ops = {"sort": lambda x: jnp.sort(x, -1), "argsort": lambda x: jnp.argsort(x, -1),
       "top_k": lambda x: jax.lax.top_k(x, k), "cumsum": lambda x: jnp.cumsum(x, 1),
       "cumprod": lambda x: jnp.cumprod(x, 1)}
found = {}
for name, op in ops.items():
    for shape in shapes:
        data = np.random.default_rng(0).standard_normal(shape)
        x, call = jnp.asarray(data, {"f32": "float32", "f64": "float64"}[dtype]), jax.jit(op)
        jax.block_until_ready(call(x))
        times = []
        for _ in range(rounds):
            start = time.perf_counter()
            jax.block_until_ready(call(x))
            times.append(time.perf_counter() - start)
        found[f"{name} {shape[1]}"] = sorted(times)[rounds // 2]
print(json.dumps(found))
"""


def jax_seconds(dtype: str, threads: int) -> dict[str, float]:
    """Seconds of each op on each shape, under "op length"; empty where JAX is not installed."""
    if not PEERS_PYTHON.exists():
        return {}
    chosen = sorted(os.sched_getaffinity(0))[:threads]
    problem = json.dumps([SHAPES, K, dtype, ROUNDS])
    ran = subprocess.run(
        ["taskset", "-c", ",".join(map(str, chosen)), str(PEERS_PYTHON), "-c", JAX, problem],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return dict(json.loads(ran.stdout)) if ran.returncode == 0 else {}


def measure(name: str, shape: tuple[int, int], dtype: str, threads: int) -> dict[str, float]:
    """Seconds of graphc and numpy, interleaved."""
    declared, of_numpy = OPS[name]
    x = gc.Graph().input("x", shape, dtype)
    function = gc.function([x], declared(x), threads=threads)
    data = np.random.default_rng(0).standard_normal(shape).astype(NUMPY_DTYPES[dtype])
    actions = {"graphc": calls(function, data), "numpy": calls(of_numpy, data)}
    return interleaved_medians(actions, ROUNDS, SECONDS_A_ROUND)


@click.command()
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the rows here.")
@click.option("--dtype", type=click.Choice(sorted(NUMPY_DTYPES)), default="f32")
@click.option("--threads", type=click.IntRange(min=1), default=1)
@click.option("--op", "names", type=click.Choice(sorted(OPS)), multiple=True)
def main(json_file: Path | None, dtype: str, threads: int, names: tuple[str, ...]) -> None:
    """Measure ops in scan order."""
    peer = jax_seconds(dtype, threads)
    rows = []
    for name in names or OPS:
        for shape in SHAPES:
            seconds = measure(name, shape, dtype, threads)
            of_jax = peer.get(f"{name} {shape[1]}")
            if of_jax is not None:
                seconds["jax"] = of_jax
            elements = shape[0] * shape[1]
            row = {system: value / elements * 1e9 for system, value in seconds.items()}
            rows.append({"op": name, "length": shape[1], **row})
    print_table(
        f"{dtype}, 10^6 elements, nanoseconds an element, {threads} thread(s)",
        ("op", "row length", "graphc", "numpy", "jax", "numpy/graphc", "jax/graphc"),
        [
            (
                str(row["op"]),
                f"{row['length']:,}",
                *(f"{row[s]:.2f}" if s in row else "-" for s in ("graphc", "numpy", "jax")),
                *(f"{row[s] / row['graphc']:.1f}x" if s in row else "-" for s in ("numpy", "jax")),
            )
            for row in rows
        ],
    )
    write_json(json_file, {"dtype": dtype, "threads": threads, "rows": rows})


if __name__ == "__main__":
    main()
