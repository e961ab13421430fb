"""Derivatives of many slices of one tensor, compiled."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gc
from graphc.ir.reference import run_program
from tests.compiler.execution import Machine
from tests.compiler.values.test_random_graphs import compare


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_gradients_of_slices(machine: Machine, dtype: str) -> None:
    graph = gc.Graph()
    x, y = graph.input("x", (3, 6), dtype), graph.input("y", (5, 9, 3), dtype)
    rows = [gc.tanh(y[:, t]) * (1 + t) for t in range(1, 7)]
    pairs = [gc.exp(y[:, t : t + 4, ::-1]) for t in range(0, 6, 3)]
    gates = [gc.sigmoid(x[:, start : start + 2]) for start in (0, 2, 4)]
    steps = [gc.tanh(x[1, ::-2]), gc.exp(x[::2, 1:4]), gc.tanh(x[:, 1:5][2, 1:])]
    total = sum(map(gc.sum, [*rows, *pairs, *gates, *steps]), gc.sum(x))
    program = gc.function([x, y], {"x": gc.grad(total, x), "y": gc.grad(total, y)}).program
    rng = np.random.default_rng(0)
    given = {node.name: rng.uniform(-1, 1, node.shape) for node in (x, y)}
    given = {name: value.astype({"f32": "f4", "f64": "f8"}[dtype]) for name, value in given.items()}
    wanted, _ = run_program(program, given, {})
    for fuse in (True, False):
        found, _ = machine.run(program, given, {}, fuse=fuse)
        for name, value in wanted.items():
            compare(found[name], value, program)
