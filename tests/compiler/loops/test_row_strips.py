"""Reductions over an axis that is not the last: rows side by side, strip by strip."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.fusion.decision import NotFused
from graphc.ir.graph import Program
from graphc.kernels.loops import thread_blocks
from graphc.kernels.loops.language.source import KernelSource
from graphc.kernels.loops.rewrites import row_strips
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.refusal import Refusal
from tests.compiler.execution import Machine, compilation, run_on_threads
from tests.compiler.loops.test_stages import check_results
from tests.random_graphs import random_program, random_values

# Random programs with reductions that can run in strips.
SEEDS = (2, 3, 5, 7)


def _program(build: Callable[[gc.Node], gc.Node], shape: tuple[int, ...]) -> Program:
    x = gc.Graph().input("x", shape)
    return gc.function([x], build(x)).program


def _kernel(program: Program) -> KernelSource:
    return compilation(program).plan.instructions[0].source


def _loops(program: Program) -> list[str]:
    """The headers of the kernel's loops, in order."""
    lines = (re.sub(r"  # .*", "", line) for line in _kernel(program).text.splitlines())
    return [line.strip() for line in lines if line.strip().startswith("for ")]


def _has_strips(program: Program) -> bool:
    """Whether some kernel of the program runs over rows in strips."""
    instructions = compilation(program).plan.instructions
    return any(row_strips.STRIP_NUMBER.text in each.source.text for each in instructions)


# --- which loops ------------------------------------------------------------------------------


def test_the_innermost_loop_runs_along_memory() -> None:
    rows, elements = "for i1 in range(strip, strip_end):", "for j in range(16):"
    assert _loops(_program(lambda x: gc.sum(x, axis=1), (3, 16, 130))) == [
        "for i in range(3):", "for strip_number in range(2):", rows, elements, rows, rows,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "axis"), [((3, 32, 15), 1), ((3, 7, 200), 1), ((3, 32, 200), 2), ((200, 32), 1)]
)
def test_short_rows_few_rows_and_rows_along_memory_go_one_by_one(
    shape: tuple[int, ...], axis: int
) -> None:
    assert not _has_strips(_program(lambda x: gc.softmax(x, axis=axis), shape))


def test_strips_have_whole_lines_of_each_result() -> None:
    def centred(x: gc.Node) -> gc.Node:
        return x - gc.mean(x, axis=0, keepdims=True)

    floats = _kernel(_program(centred, (64, 256))).text
    bools = _kernel(_program(lambda x: centred(x) > 0.0, (64, 256))).text
    assert "strip = strip_number * 32" in floats and "strip = strip_number * 64" in bools


def test_rows_of_a_transposed_operand_go_one_by_one() -> None:
    def sums(x: gc.Node) -> gc.Node:
        return gc.sum(gc.transpose(x, (0, 2, 1)), axis=1)

    assert not _has_strips(_program(sums, (3, 200, 32)))


def test_sums_of_columns_run_over_whole_rows() -> None:
    assert not _has_strips(_program(lambda x: gc.sum(x, axis=0), (300, 200)))


def test_many_values_of_a_row_are_not_kept_on_the_stack() -> None:
    def chain(steps: int) -> Callable[[gc.Node], gc.Node]:
        def build(x: gc.Node) -> gc.Node:
            total = gc.sum(x, axis=1)
            for _ in range(steps):
                total = gc.square(total) + 1.0
            return total

        return build

    assert _has_strips(_program(chain(2), (3, 32, 64)))
    assert not _has_strips(_program(chain(row_strips.MOST_ROW_VALUES), (3, 32, 64)))


def test_threads_share_whole_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_CYCLES", 1)
    program = _program(lambda x: gc.softmax(x, axis=0), (40, 100))
    assert _loops(program)[:2] == [
        "for block in range(thread * 4 // threads, (thread + 1) * 4 // threads):",
        "for strip_number in range(block * 4 // 4, (block + 1) * 4 // 4):",
    ]


@pytest.mark.parametrize(
    ("shape", "strips"),
    [
        ((40_000, 48), False),
        ((100, 20, 20, 48), False),
        ((400, 48), True),  # stay in the second cache
        ((4_000, 512), True),  # as many lines as threads share
    ],
)
def test_few_long_columns_are_left_to_kernels_along_rows(
    shape: tuple[int, ...], strips: bool
) -> None:
    """Channels that are normalised over a batch: threads share the rows of such kernels."""
    program = _program(_normalised, shape)
    assert _has_strips(program) == strips
    made = compilation(program)
    refused = [each.why for each in made.decisions if isinstance(each.why, Refusal)]
    assert (NotFused.FEW_COLUMNS in [each.why for each in refused]) != strips
    shared = [row for row in made.plan.instructions if "thread *" in row.source.text]
    assert strips or len(shared) == 3


def _normalised(x: gc.Node) -> gc.Node:
    axes = tuple(range(x.rank - 1))
    centred = x - gc.mean(x, axes, keepdims=True)
    return centred / gc.sqrt(gc.mean(gc.square(centred), axes, keepdims=True) + 1e-3)


# --- what they compute ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize(
    ("shape", "axis"), [((37, 16), 0), ((9, 300), 0), ((3, 8, 33), 1), ((2, 3, 17, 129), 2)]
)
def test_results(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    shape: tuple[int, ...],
    axis: int,
    dtype: str,
) -> None:
    """Passes that need one another, values of a row, one that is read, and a state that is updated
    where the kernel reads it."""
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_CYCLES", 1)
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_ELEMENTS", 1)
    graph = gc.Graph()
    x = graph.input("x", shape, dtype)
    kept = tuple(1 if each == axis else extent for each, extent in enumerate(shape))
    scale = graph.parameter("scale", kept, np.full(kept, 1.5), dtype)
    running = graph.parameter("running", shape, np.full(shape, 0.25), dtype)
    y = gc.softmax(gc.tanh(x) * scale, axis=axis)
    total = gc.sum(y * running, axis=axis, keepdims=True)
    outputs = {"y": y, "most": gc.max(x, axis=axis), "total": gc.sqrt(total + scale)}
    function = gc.function([x], outputs, {running: running - y * total})
    assert _has_strips(function.program)
    rng = np.random.default_rng(axis)
    given = {"x": rng.uniform(-3, 3, shape).astype(dtype.replace("f32", "f4").replace("f64", "f8"))}
    states = {state.name: function.variables[state] for state in function.program.states}
    check_results(function.program, given, states)


def test_few_long_columns_have_the_same_bits_on_several_threads() -> None:
    program = _program(_normalised, (9_000, 17))
    given = {"x": np.random.default_rng(0).normal(3, 2, (9_000, 17)).astype("f4")}
    check_results(program, given, {})
    one, *others = (run_on_threads(program, given, threads, 256) for threads in (1, 2, 3))
    for other in others:
        for name, value in one.items():
            assert value.tobytes() == other[name].tobytes()


@pytest.mark.parametrize("seed", SEEDS)
def test_random_graphs(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Strips of two rows wherever a kernel may have them."""
    for name in ("FEWEST_ROWS", "SHORTEST_ROW", "NARROWEST", "STRIP"):
        monkeypatch.setattr(row_strips, name, 2)
    monkeypatch.setattr(row_strips, "MACHINE", replace(MACHINE, line_bytes=2))
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_CYCLES", 1)
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_ELEMENTS", 1)
    program = random_program(seed, steps=10)
    assert _has_strips(program)
    check_results(program, *random_values(program, seed))


def test_source(golden: Any) -> None:
    source = _kernel(_program(lambda x: gc.softmax(x, axis=1), (3, 8, 200)))
    golden(re.sub(r"(test_row_strips\.py):\d+", r"\1", source.text))


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_rows_of_two_loops_are_kept_element_by_element(dtype: str) -> None:
    """What a pass keeps for the next stands in a strip by both counters of a row."""
    graph = gc.Graph()
    x = graph.input("x", (3, 2, 4, 64), dtype)
    e = gc.exp(gc.tanh(x))
    step = gc.function(x, e / gc.sum(e, (0, 2), keepdims=True))
    given = np.random.default_rng(0).normal(size=(3, 2, 4, 64)).astype(x.dtype.numpy)
    (row,) = step.loaded().plan.instructions
    assert "(j * 4 + j1) * 64 + i1 - strip" in row.source.text
    expected = np.exp(np.tanh(given))
    expected /= expected.sum((0, 2), keepdims=True)
    np.testing.assert_allclose(step(given), expected, rtol=1e-5)
