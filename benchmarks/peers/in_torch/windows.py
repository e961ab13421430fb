"""Convolutions and pooling in torch, with first and second derivatives, for graphc to be held to.

    .venv-peers/bin/python benchmarks/peers/in_torch/windows.py problems.npz answers.npz

Pairs of such files may follow. problems.npz has `problems`, JSON: a list of
`benchmarks.windows.WindowProblem` as dictionaries, and arrays `<number>.<name>`; answers.npz gets
arrays of the same form.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import torch
from torch.nn import functional as functions


def _to_first(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(-1, 1)


def _to_last(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(1, -1)


def _padded(x: torch.Tensor, sides: list[list[int]], value: float) -> torch.Tensor:
    """torch lists the last axis first."""
    flat = [number for side in reversed(sides) for number in side]
    return functions.pad(x, flat, value=value)


def _applied(problem: dict, x: torch.Tensor, kernel: torch.Tensor | None) -> torch.Tensor:
    n = len(problem["sizes"])
    first = _to_first(x)
    strides, sides = problem["strides"], problem["sides"]
    kind = problem["kind"]
    if kind == "conv":
        layout = kernel.movedim((-1, -2), (0, 1)).contiguous()
        function = getattr(functions, f"conv{n}d")
        given = _padded(first, sides, 0.0)
        options = {"dilation": problem["dilations"], "groups": problem["groups"]}
        return _to_last(function(given, layout, None, strides, **options))
    if kind == "conv_transpose":
        layout = kernel.movedim((-1, -2), (0, 1)).contiguous()
        function = (
            functions.conv_transpose1d,
            functions.conv_transpose2d,
            functions.conv_transpose3d,
        )[n - 1]
        padding = [before for before, _ in sides]
        more = problem["output_padding"]
        return _to_last(
            function(first, layout, None, strides, padding, more, 1, problem["dilations"])
        )
    if kind == "max_pool":
        function = getattr(functions, f"max_pool{n}d")
        given = _padded(first, sides, -torch.inf)
        return _to_last(function(given, problem["sizes"], strides))
    if kind == "average_pool":
        function = getattr(functions, f"avg_pool{n}d")
        padding = [before for before, _ in sides]
        include = {"count_include_pad": problem["count_include_pad"]}
        return _to_last(function(first, problem["sizes"], strides, padding, **include))
    pool = {"adaptive_max_pool": "max", "adaptive_average_pool": "avg"}[kind]
    function = getattr(functions, f"adaptive_{pool}_pool{n}d")
    return _to_last(function(first, problem["sizes"]))


def answered(problem: dict, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """y, d_<name> of sum(weights * y^2) and dd_<name> of the products of those with v_<name>."""
    names = ["x"] + ["kernel"] * ("kernel" in arrays)
    given = {name: torch.tensor(arrays[name], requires_grad=True) for name in names}
    y = _applied(problem, given["x"], given.get("kernel"))
    loss = (torch.tensor(arrays["weights"]) * y * y).sum()
    slopes = torch.autograd.grad(loss, list(given.values()), create_graph=True)
    beside = sum(
        (slope * torch.tensor(arrays[f"v_{name}"])).sum()
        for name, slope in zip(names, slopes, strict=True)
    )
    second = torch.autograd.grad(beside, list(given.values()), materialize_grads=True)
    found = {"y": y}
    for name, slope, bend in zip(names, slopes, second, strict=True):
        found |= {f"d_{name}": slope, f"dd_{name}": bend}
    return {name: value.detach().numpy() for name, value in found.items()}


def answer_program(source: str, target: str) -> None:
    with np.load(source) as stored:
        arrays = dict(stored)
    problems = json.loads(str(arrays.pop("problems")))
    answers = {}
    for number, problem in enumerate(problems):
        prefix = f"{number}."
        own = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        answers |= {f"{prefix}{k}": v for k, v in answered(problem, own).items()}
    np.savez(target, **answers)


def main() -> None:
    paths = sys.argv[1:]
    for source, target in zip(paths[::2], paths[1::2], strict=True):
        answer_program(source, target)


if __name__ == "__main__":
    main()
