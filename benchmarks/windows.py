"""Random convolutions and poolings: graphc in reference mode, unfused and fused, and torch.

    python -m benchmarks.windows --problems 400 --seed 0

Values, first and second derivatives of each are compared. torch is that of `make peers`.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import graphc as gc
from benchmarks.peer_process import PEERS_PYTHON, ROOT

# Problems that one program holds: more compile faster than each in its own.
IN_ONE_PROGRAM = 8
KINDS = (
    *("conv",) * 6, *("conv_transpose",) * 3, *("max_pool",) * 3, *("average_pool",) * 2,
    "adaptive_max_pool", "adaptive_average_pool",
)  # fmt: skip
MODES = ("reference", "unfused", "fused")
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


def torch_answers(problems: Sequence[WindowProblem], values: Arrays) -> Arrays:
    """What torch makes of the same, in the environment of `make peers`."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "problems.npz"), Path(folder, "answers.npz")
        described = json.dumps([asdict(problem) for problem in problems])
        np.savez(source, problems=np.array(described), **values)
        script = ROOT / "benchmarks" / "peers" / "torch_windows.py"
        subprocess.run([str(PEERS_PYTHON), str(script), str(source), str(target)], check=True)
        with np.load(target) as answers:
            return dict(answers)


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


def compared(count: int, seed: int, with_torch: bool = True) -> list[str]:
    """The differences of `count` problems drawn from `seed`."""
    rng = random.Random(seed)
    lines: list[str] = []
    for start in range(0, count, IN_ONE_PROGRAM):
        problems = [drawn_problem(rng) for _ in range(min(IN_ONE_PROGRAM, count - start))]
        inputs, values, results = built(problems, seed + start)
        answers = {mode: graphc_answers(inputs, values, results, mode) for mode in MODES}
        for mode in MODES[1:]:
            found = differences(problems, answers[mode], answers["reference"])
            lines += [f"{mode}: {line}" for line in found]
        if with_torch:
            wanted = torch_answers(problems, values)
            found = differences(problems, answers["reference"], wanted)
            lines += [f"torch: {line}" for line in found]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--problems", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    has_torch = PEERS_PYTHON.exists()
    lines = compared(options.problems, options.seed, has_torch)
    print("\n".join(lines))
    others = ", ".join((*MODES, "torch") if has_torch else MODES)
    print(f"{options.problems} problems in {others}: {len(lines)} results differ")


if __name__ == "__main__":
    main()
