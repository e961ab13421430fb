"""Random convolutions and poolings: graphc in reference mode, unfused and fused, and torch.

    python -m benchmarks.windows --problems 400 --seed 0

Values, first and second derivatives of each are compared; a line is printed for each program that
is finished. torch is that of `make peers`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import graphc as gc
from benchmarks.peer_process import PEERS_PYTHON, ROOT

# Problems that one program holds: more compile faster than each in its own.
IN_ONE_PROGRAM = 8
# Unfused programs have a kernel for each op and take more than twice as long to compile: one of so
# many is compared.
UNFUSED_OF = 3
KINDS = (
    *("conv",) * 6, *("conv_transpose",) * 3, *("max_pool",) * 3, *("average_pool",) * 2,
    "adaptive_max_pool", "adaptive_average_pool",
)  # fmt: skip
# Relative to the largest element of a result: sums of up to some thousand terms, three in a row.
TOLERANCES = {"f32": 2e-5, "f64": 1e-13}

Arrays = dict[str, Any]


@dataclass(frozen=True)
class WindowProblem:
    """One convolution or pooling. `sizes` are the windows', of adaptive pooling the results'.

    sides: zeros before and after each axis. given: how graphc is told of them.
    """

    kind: str
    dtype: str
    batch: int
    extents: tuple[int, ...]
    channels: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    sides: tuple[tuple[int, int], ...]
    given: Any
    groups: int
    filters: int
    output_padding: tuple[int, ...]
    count_include_pad: bool
    channels_first: bool

    @property
    def kernel_shape(self) -> tuple[int, ...] | None:
        if self.kind == "conv":
            return (*self.sizes, self.channels // self.groups, self.filters)
        if self.kind == "conv_transpose":
            return (*self.sizes, self.filters, self.channels)
        return None


def drawn_problem(rng: random.Random) -> WindowProblem:
    """Extents of 1, windows larger than x with its padding, strides larger than windows, 1 to 17
    channels and empty batches among them."""
    kind = rng.choice(KINDS)
    spatial = rng.choice((1, 1, 2, 2, 2, 3))
    largest = {1: 12, 2: 8, 3: 4}[spatial]
    pooled = "pool" in kind
    sizes = tuple(rng.randint(1, min(4, largest)) for _ in range(spatial))
    strides = tuple(rng.randint(1, 4) for _ in range(spatial))
    dilations = tuple(1 if pooled else rng.choice((1, 1, 1, 2, 3)) for _ in range(spatial))
    reaches = [(size - 1) * gap + 1 for size, gap in zip(sizes, dilations, strict=True)]
    extents = tuple(rng.randint(1, largest) for _ in range(spatial))
    groups, channels, filters = 1, rng.randint(1, 17), rng.randint(1, 17)
    if kind == "conv" and rng.random() < 0.4:
        groups = rng.randint(1, 4)
        channels = groups * rng.choice((1, 1, 2, 3))
        filters = groups * rng.randint(1, 3)
    given, sides = _drawn_padding(rng, kind, extents, sizes, strides, reaches)
    if kind in ("conv", "max_pool", "average_pool"):
        pairs = zip(extents, reaches, sides, strict=True)
        extents = tuple(max(n, over - before - after) for n, over, (before, after) in pairs)
        if kind == "average_pool":  # torch has no larger windows
            extents = tuple(map(max, extents, sizes))
        if given == "same":
            sides = tuple(map(_same, extents, strides, reaches))
    more = (0,) * spatial
    if kind == "conv_transpose":
        more = tuple(rng.randrange(step) for step in strides)
        fits = zip(extents, strides, reaches, sides, strict=True)
        extents = tuple(
            max(n, (2 * before - over + step) // step + 1) for n, step, over, (before, _) in fits
        )
    batch = rng.choice((0, 1, 2, 3)) if kind == "conv" else rng.randint(1, 3)
    if kind.startswith("adaptive"):
        sizes = tuple(rng.randint(1, n) for n in extents)
    return WindowProblem(
        kind, rng.choice(("f32", "f64")), batch, extents, channels, sizes, strides, dilations,
        sides, given, groups, filters, more, rng.random() < 0.5, rng.random() < 0.3,
    )  # fmt: skip


def _drawn_padding(
    rng: random.Random, kind: str, extents: Any, sizes: Any, strides: Any, reaches: Any
) -> tuple[Any, Any]:
    """How graphc is told of the padding, and the zeros of each axis."""
    none = tuple((0, 0) for _ in sizes)
    if kind.startswith("adaptive") or rng.random() < 0.3:
        return "valid", none
    if kind == "conv" and len(sizes) == 1 and rng.random() < 0.3:
        return "causal", ((reaches[0] - 1, 0),)
    if kind in ("conv", "max_pool") and rng.random() < 0.5:
        return "same", none
    if kind == "conv" and rng.random() < 0.5:
        sides = tuple((rng.randint(0, 3), rng.randint(0, 3)) for _ in sizes)
        return sides, sides
    most = [size // 2 if "pool" in kind else 2 for size in sizes]
    numbers = tuple(rng.randint(0, each) for each in most)
    return numbers, tuple((each, each) for each in numbers)


def _same(extent: int, stride: int, over: int) -> tuple[int, int]:
    total = max((-(-extent // stride) - 1) * stride + over - extent, 0)
    return total // 2, total - total // 2


def _applied(problem: WindowProblem, x: gc.Node, kernel: gc.Node | None) -> gc.Node:
    layout = "channels_first" if problem.channels_first else "channels_last"
    if problem.channels_first:
        x = gc.transpose(x, (0, x.rank - 1, *range(1, x.rank - 1)))
    p = problem
    if p.kind == "conv":
        y = gc.conv(x, kernel, p.strides, p.given, layout, p.dilations)
    elif p.kind == "conv_transpose":
        more = None if p.given == "valid" and not any(p.output_padding) else p.output_padding
        if more is None and any(s > n for s, n in zip(p.strides, p.sizes, strict=True)):
            more = p.output_padding
        y = gc.conv_transpose(x, kernel, p.strides, p.given, more, layout, p.dilations)
    elif p.kind == "max_pool":
        y = gc.max_pool(x, p.sizes, p.strides, p.given, layout)
    elif p.kind == "average_pool":
        y = gc.average_pool(x, p.sizes, p.strides, p.given, layout, p.count_include_pad)
    elif p.kind == "adaptive_max_pool":
        y = gc.adaptive_max_pool(x, p.sizes, layout)
    else:
        y = gc.adaptive_average_pool(x, p.sizes, layout)
    return gc.transpose(y, (0, *range(2, y.rank), 1)) if p.channels_first else y


def built(problems: Sequence[WindowProblem], seed: int) -> tuple[list[gc.Node], Arrays, Arrays]:
    """One program of all: its inputs, their values, and its results, by "<number>.<name>"."""
    graph, rng = gc.Graph(), np.random.default_rng(seed)
    inputs: list[gc.Node] = []
    values: Arrays = {}
    results: Arrays = {}

    def given(number: int, name: str, shape: Any, dtype: str) -> gc.Node:
        node = graph.input(f"{name}_{number}", shape, dtype)
        inputs.append(node)
        values[f"{number}.{name}"] = rng.uniform(-1, 1, shape).astype(node.dtype.numpy)
        return node

    for number, problem in enumerate(problems):
        shape = (problem.batch, *problem.extents, problem.channels)
        wrt = {"x": given(number, "x", shape, problem.dtype)}
        if problem.kernel_shape is not None:
            wrt["kernel"] = given(number, "kernel", problem.kernel_shape, problem.dtype)
        y = _applied(problem, wrt["x"], wrt.get("kernel"))
        weights = given(number, "weights", y.shape, problem.dtype)
        slopes = gc.grad(gc.sum(weights * gc.square(y)), list(wrt.values()))
        along = [given(number, f"v_{name}", x.shape, problem.dtype) for name, x in wrt.items()]
        beside = sum(gc.sum(s * v) for s, v in zip(slopes, along, strict=True))
        second = gc.grad(beside, list(wrt.values()))
        results[f"{number}.y"] = y
        for name, slope, bend in zip(wrt, slopes, second, strict=True):
            results |= {f"{number}.d_{name}": slope, f"{number}.dd_{name}": bend}
    return inputs, values, results


def graphc_answers(inputs: list[gc.Node], values: Arrays, results: Arrays, mode: str) -> Arrays:
    options = {"mode": "reference"} if mode == "reference" else {"fuse": mode == "fused"}
    function = gc.function(inputs, list(results.values()), **options)
    return dict(zip(results, function(*values.values()), strict=True))


def torch_answers(
    problems: Sequence[Sequence[WindowProblem]], values: Sequence[Arrays]
) -> list[Arrays]:
    """What torch makes of each program, in one process in the environment of `make peers`."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            (Path(folder, f"{n}.npz"), Path(folder, f"{n}-answers.npz")) for n in range(len(values))
        ]
        for (source, _), of_program, arrays in zip(paths, problems, values, strict=True):
            described = json.dumps([asdict(problem) for problem in of_program])
            np.savez(source, problems=np.array(described), **arrays)
        script = ROOT / "benchmarks" / "peers" / "in_torch" / "windows.py"
        listed = [str(path) for pair in paths for path in pair]
        subprocess.run([str(PEERS_PYTHON), str(script), *listed], check=True)
        return [_arrays_in(target) for _, target in paths]


def _arrays_in(path: Path) -> Arrays:
    with np.load(path) as stored:
        return dict(stored)


def differences(
    problems: Sequence[WindowProblem], found: Arrays, expected: Mapping[str, Any]
) -> list[str]:
    """Where results are further apart than rounding explains."""
    lines = []
    for name, wanted in expected.items():
        problem, actual = problems[int(name.partition(".")[0])], found[name]
        if actual.shape != wanted.shape:
            lines.append(f"{name}: {actual.shape} for {wanted.shape} of {problem}")
            continue
        if wanted.size == 0:
            continue
        scale = max(1.0, np.abs(wanted).max())
        worst = np.abs(actual - wanted).max() / scale
        if not worst <= TOLERANCES[problem.dtype]:
            lines.append(f"{name}: off by {worst:.2g} of {problem}")
    return lines


def drawn_programs(count: int, seed: int) -> list[list[WindowProblem]]:
    """`count` problems drawn from `seed`, several a program."""
    rng = random.Random(seed)
    problems = [drawn_problem(rng) for _ in range(count)]
    return [problems[start : start + IN_ONE_PROGRAM] for start in range(0, count, IN_ONE_PROGRAM)]


def compared(
    problems: Sequence[WindowProblem], seed: int, modes: Sequence[str], by_torch: Arrays | None
) -> list[str]:
    """The differences of one program."""
    inputs, values, results = built(problems, seed)
    wanted = graphc_answers(inputs, values, results, "reference")
    lines = []
    for mode in modes:
        found = differences(problems, graphc_answers(inputs, values, results, mode), wanted)
        lines += [f"{mode}: {line}" for line in found]
    if by_torch is not None:
        lines += [f"torch: {line}" for line in differences(problems, wanted, by_torch)]
    return lines


def all_compared(count: int, seed: int, with_torch: bool) -> Iterator[tuple[int, list[str]]]:
    """The problems and the differences of each program, as programs are finished."""
    programs = drawn_programs(count, seed)
    by_torch: Sequence[Arrays | None] = [None] * len(programs)
    if with_torch:
        values = [built(each, seed + number)[1] for number, each in enumerate(programs)]
        by_torch = torch_answers(programs, values)
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), spawned) as pool:
        sizes = {}
        for number, (program, answers) in enumerate(zip(programs, by_torch, strict=True)):
            modes = ("fused",) if number % UNFUSED_OF else ("fused", "unfused")
            sizes[pool.submit(compared, program, seed + number, modes, answers)] = len(program)
        for finished in as_completed(sizes):
            yield sizes[finished], finished.result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--problems", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    has_torch = PEERS_PYTHON.exists()
    done = differing = 0
    for problems, lines in all_compared(options.problems, options.seed, has_torch):
        done, differing = done + problems, differing + len(lines)
        print("\n".join([*lines, f"{done} of {options.problems} problems compared"]), flush=True)
    others = f"reference, fused, one program of {UNFUSED_OF} unfused" + ", torch" * has_torch
    print(f"{options.problems} problems in {others}: {differing} results differ")


if __name__ == "__main__":
    main()
