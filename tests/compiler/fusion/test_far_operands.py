"""Epilogues that read weights and moments from beyond the caches ask for them ahead of time."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.ir.reference import run_program
from tests.compiler.execution import Machine, compilation
from tests.compiler.values.test_random_graphs import compare

BATCH = 8
# Of f32: beyond 512 KiB, with a last panel and a last block of rows that are not whole.
ROWS, COLUMNS = 331, 410
ADAM_STATES = ("w", "adam.mean.w", "adam.squares.w")


def _step(rows: int, columns: int, optimizer: Any = None, batch: int = BATCH) -> gc.Function:
    graph = gc.Graph(seed=0)
    x = graph.input("x", (batch, rows))
    t = graph.input("t", (batch, columns))
    w = graph.parameter("w", (rows, columns), gc.init.normal(0.1))
    loss = gc.mean(gc.square(x @ w - t))
    updates = (optimizer or gc.optim.Adam(0.01)).updates(loss)
    return gc.function([x, t], loss, updates)


def _asked_for(function: gc.Function) -> list[tuple[str, str]]:
    """Buffers and indices, in the order of the source, each once."""
    sources = [row.source.text for row in compilation(function.program).plan.instructions]
    found = re.findall(r"prefetch\((\w+), (.+)\)", "\n".join(sources))
    return list(dict.fromkeys(found))


def test_each_far_operand_is_asked_for_by_its_cache_lines() -> None:
    found = _asked_for(_step(ROWS, COLUMNS))
    assert {buffer for buffer, _ in found} == {name.replace(".", "_") for name in ADAM_STATES}
    assert {index for _, index in found} == {f"i * {COLUMNS} + j"}


def test_it_is_asked_for_before_the_product_of_its_tile() -> None:
    sources = [
        row.source.text for row in compilation(_step(ROWS, COLUMNS).program).plan.instructions
    ]
    (source,) = (text for text in sources if "prefetch" in text)
    for tile in source.split("for row_start in range")[1:]:
        assert tile.index("prefetch(") < tile.index("microkernel") < tile.index("acc = ")


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (200, 200)])
def test_what_the_caches_hold_is_not_asked_for(rows: int, columns: int) -> None:
    assert not _asked_for(_step(rows, columns))


def test_narrow_vectors_ask_for_what_is_large_together() -> None:
    """Weights and moments of 256 KiB each; with vectors of 512 bits each is looked at alone."""
    program, asking = _step(256, 256).program, []
    for bits in (128, 256, 512):
        plan = compile_program(program, Options({}, True, bits)).plan
        if any("prefetch" in row.source.text for row in plan.instructions):
            asking.append(bits)
    assert asking == [128, 256]


def test_momentum_asks_for_weights_and_velocity() -> None:
    found = _asked_for(_step(ROWS, COLUMNS, gc.optim.SGD(0.1, momentum=0.9)))
    assert {buffer for buffer, _ in found} == {"w", "sgd_velocity_w"}


def test_a_vector_beside_the_product_is_not_asked_for() -> None:
    """A bias is read again and again, and stays in the caches."""
    graph = gc.Graph(seed=0)
    x = graph.input("x", (700, 16))
    w, b = graph.parameter("w", (16, 300)), graph.parameter("b", (300,))
    far = graph.input("far", (700, 300))
    function = gc.function([x, far], gc.tanh(x @ w + b) * far)
    assert {buffer for buffer, _ in _asked_for(function)} == {"far"}


def test_steps_are_those_of_the_reference(machine: Machine) -> None:
    program = _step(ROWS, COLUMNS).program
    random = np.random.default_rng(0)
    inputs = {
        "x": random.standard_normal((BATCH, ROWS)).astype(np.float32),
        "t": random.standard_normal((BATCH, COLUMNS)).astype(np.float32),
    }
    states = {
        node.name: random.uniform(0.1, 1, node.type.dims).astype(node.dtype.numpy)
        for node in program.states
    }
    expected = run_program(program, inputs, states)
    actual = machine.run(program, inputs, states, fuse=True)
    for found, wanted in zip(actual, expected, strict=True):
        for name, value in wanted.items():
            compare(found[name], value, program)
