"""Passes in stages: one value of vector math a loop, strip by strip."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.load.assemble import compiled
from graphc.compiler.load.native import LoadedProgram, native
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.ir.graph import Program
from graphc.ir.reference import run_program
from graphc.kernels.loops import thread_blocks
from graphc.kernels.loops.language.source import KernelSource
from graphc.kernels.loops.rewrites import stages
from graphc.kernels.machine import MACHINE
from tests.compiler import networks
from tests.compiler.execution import Machine, compilation, run_loaded
from tests.compiler.values.test_random_graphs import compare
from tests.random_graphs import random_program, random_values

RANDOM_PROGRAMS = 40
THREADS = (1, 2, 3)


def _first_kernel(function: gc.Function) -> KernelSource:
    return compilation(function.program).plan.instructions[0].source


def _main_source(function: gc.Function) -> str:
    """The first kernel's, without comments."""
    return re.sub(r"  # .*", "", _first_kernel(function).text)


def _gates(rows: int, columns: int, dtype: str = "f32") -> gc.Function:
    """tanh(a x + b) sigmoid(c x) with its sums over rows and over all: two values of vector math,
    and a state that is updated where the kernel reads it."""
    graph = gc.Graph()
    x = graph.input("x", (rows, columns), dtype)
    a, b, c = (
        graph.parameter(name, (columns,), np.full(columns, value), dtype)
        for name, value in STATES.items()
    )
    y = gc.tanh(a * x + b) * gc.sigmoid(c * x)
    return gc.function([x], {"y": y, "sum": gc.sum(y * x)}, {b: b + gc.sum(y, axis=0)})


STATES = {"a": 0.5, "b": -0.25, "c": 2.0}


# --- which loops ------------------------------------------------------------------------------


def test_each_value_of_vector_math_has_a_loop_of_its_own() -> None:
    source = _main_source(_gates(40, 256))
    loops = re.split(r"for j in range\(strip, strip \+ 128\):", source)[1:]
    assert [re.findall(r"(tanh|sigmoid)\(", loop) for loop in loops] == [["tanh"], ["sigmoid"], []]
    assert "tanh_strip[j - strip] = tanh" in loops[0]


def test_short_rows_and_single_values_have_no_stages() -> None:
    assert "strip" not in _main_source(_gates(300, 127))
    graph = gc.Graph()
    x = graph.input("x", (64, 512))
    assert "strip" not in _main_source(gc.function([x], [gc.exp(x) * x + gc.maximum(x, 0.5)]))


def test_what_costs_much_is_kept_and_the_rest_computed_again() -> None:
    graph = gc.Graph()
    x = graph.input("x", (1024,))
    long = x
    for _ in range(6):
        long = long * long + x
    source = _main_source(gc.function([x], [gc.tanh(long) + gc.sigmoid(-long) + (x + 1.0)]))
    first, second, _ = re.split(r"for j in range\(strip, strip \+ 128\):", source)[1:]
    kept = re.findall(r"(\w+)_strip\[j - strip\] = ", first)
    assert kept == ["add", "tanh"] and "add_strip[j - strip]" in second
    assert first.count(" * ") == 6 and second.count(" * ") == 0


def test_operands_from_beyond_the_caches_are_asked_for_ahead() -> None:
    source = _main_source(_gates(1024, 256))
    assert re.findall(r"prefetch\((\w+), (.+)\)", source) == [("x", "i * 256 + j")]
    assert "prefetch" not in _main_source(_gates(64, 256))


def test_loops_of_strips_work_on_two_vectors_at_a_time() -> None:
    long_rows = [_first_kernel(_gates(40, columns)).long_rows for columns in (256, 127)]
    assert long_rows == [True, False]


# --- what they compute ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("columns", [128, 129, 255, 256, 300, 1000])
@pytest.mark.parametrize("rows", [1, 37])
def test_results(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, rows: int, columns: int, dtype: str
) -> None:
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_CYCLES", 1)
    monkeypatch.setattr(stages, "MACHINE", replace(MACHINE, second_cache_bytes=0))
    function = _gates(rows, columns, dtype)
    rng = np.random.default_rng(columns)
    given = {
        "x": rng.uniform(-3, 3, (rows, columns)).astype(
            dtype.replace("f32", "f4").replace("f64", "f8")
        )
    }
    states = {state.name: function.variables[state] for state in function.program.states}
    check_results(function.program, given, states)


@pytest.mark.parametrize("shape", [(3, 512, 2), (2, 640, 3)], ids=str)
def test_blocks_of_a_sum_may_be_shorter_than_strips(shape: tuple[int, ...]) -> None:
    """Of elements that stand apart, few are added one after the other."""
    x = gc.Graph().input("x", shape)
    program = gc.function([x], gc.sum(gc.tanh(x) * gc.sigmoid(x * 2.0), 1)).program
    given = {"x": np.random.default_rng(0).uniform(-1, 1, shape).astype("f4")}
    check_results(program, given, {})


@pytest.mark.parametrize("seed", range(RANDOM_PROGRAMS))
def test_random_graphs(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Every op in a stage of its own, in strips shorter than most rows."""
    monkeypatch.setattr(stages, "STRIP", 3)
    monkeypatch.setattr(stages, "VECTOR_MATH_COST", 1)
    monkeypatch.setattr(stages, "RECOMPUTE_COST", seed % 3)
    monkeypatch.setattr(stages, "MACHINE", replace(MACHINE, second_cache_bytes=0))
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_CYCLES", 1)
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_ELEMENTS", 64)
    program = random_program(seed, steps=6)
    check_results(program, *random_values(program, seed))


@pytest.mark.parametrize("columns", [131_071, 131_072])
@pytest.mark.parametrize("kind", ["dropout", "normal", "two dropouts", "positions"])
def test_indices_of_long_rows(kind: str, columns: int) -> None:
    """An index has no memory to be asked for, however many elements it counts."""
    graph = gc.Graph(seed=0)
    x = graph.input("x", (columns,))
    position = gc.cast(graph.iota(columns, "i64"), "f32") * 1e-5

    def uniform() -> gc.Node:
        return 1 - gc.random.uniform(graph, (columns,))

    made = {
        "dropout": lambda: gc.dropout(gc.tanh(x), 0.3),
        "normal": lambda: x + gc.sqrt(-2 * gc.log(uniform())) * gc.cos(6.25 * uniform()),
        "two dropouts": lambda: gc.dropout(gc.tanh(x), 0.3) + gc.dropout(gc.exp(x), 0.5),
        "positions": lambda: gc.sin(x * position) + gc.tanh(position),
    }
    function = gc.function([x], {"y": made[kind]()})
    states = {state.name: function.variables[state] for state in function.program.states}
    given = {"x": np.linspace(-1, 1, columns, dtype="f4")}
    check_results(function.program, given, states)


def check_results(program: Program, inputs: Any, states: Any) -> None:
    """The reference's results, with the same bits at any number of threads."""
    results = []
    for threads in THREADS:
        own = {name: np.array(value, order="C") for name, value in states.items()}
        options = Options({}, True, native().vector_bits, threads)
        loaded = LoadedProgram(compiled(compile_program(program, options)), own)
        results.append(run_loaded(loaded, inputs) | own)
    outputs, updates = run_program(program, inputs, states)
    for name, value in (outputs | updates).items():
        compare(results[0][name], value, program)
        assert len({each[name].tobytes() for each in results}) == 1, name


def test_source(golden: Any) -> None:
    golden(re.sub(r"(test_stages\.py):\d+", r"\1", _first_kernel(_gates(3, 300)).text))


def test_the_elementwise_workload_is_in_strips() -> None:
    assert "strip" in _main_source(networks.elementwise_workload())
