"""Derivatives of many slices of one tensor, compiled."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.ir.reference import run_program
from graphc.kernels.loops.language.source import kernel_digest
from tests.compiler.execution import VECTOR_BITS, Machine
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


def _kernels_of_steps(steps: int, threads: int) -> int:
    """How many different kernels an unrolled network of so many steps has, with its gradients."""
    graph = gc.Graph(seed=0)
    x = graph.input("x", (4, steps, 8))
    from_input, from_state = graph.parameter("w", (8, 16)), graph.parameter("u", (16, 16))
    state = gc.tanh(x[:, 0] @ from_input)
    for step in range(1, steps):
        state = gc.tanh(x[:, step] @ from_input + state @ from_state)
    loss = gc.mean(gc.square(state))
    program = gc.function([x], gc.grad(loss, [from_input, from_state])).program
    plan = compile_program(program, Options({}, True, VECTOR_BITS, threads)).plan
    return len({kernel_digest(row.source) for row in plan.instructions})


@pytest.mark.parametrize("threads", [1, 2])
def test_an_unrolled_network_has_no_more_kernels_for_more_steps(threads: int) -> None:
    assert _kernels_of_steps(12, threads) == _kernels_of_steps(6, threads)


def test_slices_of_states_constants_inputs_and_steps(machine: Machine) -> None:
    """Arguments that begin inside of their buffers, of each kind that there is."""
    graph = gc.Graph(seed=0)
    x = graph.input("x", (4, 3, 5))
    table = graph.parameter("table", (3, 5))
    numbers = graph.constant(np.arange(15, dtype="f4").reshape(3, 5))

    def step(carry: gc.Node, rows: gc.Node) -> tuple[gc.Node, gc.Node]:
        made = gc.tanh(rows[1] * table[2]) + carry[3] * carry[2]
        return gc.concatenate([carry[:1], made[:3]]), gc.exp(rows[2]) * numbers[1]

    last, seen = gc.scan(step, x[0, 0, 1:5], x)
    outputs = {"last": last, "seen": seen, "beside": gc.exp(x[2, 1:, 2:]) - numbers[1:, 2:]}
    program = gc.function([x], outputs).program
    rng = np.random.default_rng(0)
    given = {"x": rng.uniform(-1, 1, x.shape).astype("f4")}
    states = {"table": rng.uniform(-1, 1, (3, 5)).astype("f4")}
    wanted, _ = run_program(program, given, states)
    for fuse in (True, False):
        found, _ = machine.run(program, given, states, fuse=fuse)
        for name, value in wanted.items():
            compare(found[name], value, program)
