"""Any number of threads gives the same bits, however small the shares are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.load.assemble import compiled
from graphc.compiler.load.native import LoadedProgram, native
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.compiler.plan import sharing
from graphc.ir.graph import Program
from graphc.ir.nodes.op import Array
from graphc.ir.reference import run_program
from graphc.kernels.loops import thread_blocks
from graphc.kernels.loops.movement import emit_movement
from graphc.kernels.run.memory import data_address
from graphc.testing.tolerance import assert_close
from tests.compiler import networks
from tests.compiler.execution import run_loaded
from tests.compiler.updates.update_programs import CASES, Declare
from tests.compiler.values.test_random_graphs import compare
from tests.random_graphs import LARGEST, random_program, random_values

THREADS = (1, 2, 3)
RANDOM_PROGRAMS = 40
STEPS = 4


@pytest.fixture(autouse=True)
def _everything_is_shared(monkeypatch: pytest.MonkeyPatch, tasks_of_a_tile: None) -> None:
    """Tasks of a tile and blocks of a few rows, so that small tensors are shared too."""
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_CYCLES", 1)
    # LLVM unrolls rows of 40 whole at 128 bits, and adds them up as it likes.
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_ELEMENTS", 64)
    monkeypatch.setattr(emit_movement, "LEAST_SHARED_CYCLES", 0)
    monkeypatch.setattr(sharing, "SURELY_SHARED_CYCLES", 0)


def _loaded(program: Program, states: dict[str, Array], threads: int, fuse: bool) -> LoadedProgram:
    options = Options({}, fuse, native().vector_bits, threads)
    return LoadedProgram(compiled(compile_program(program, options)), states)


def _results(
    program: Program, inputs: Any, states: Any, threads: int, fuse: bool, steps: int = STEPS
) -> dict[str, Array]:
    """Outputs and states after several steps."""
    own = {name: np.array(value, order="C") for name, value in states.items()}
    loaded = _loaded(program, own, threads, fuse)
    for _ in range(steps):
        outputs = run_loaded(loaded, inputs)
    return outputs | {f"state {name}": value for name, value in own.items()}


def _check(program: Program, inputs: Any, states: Any, fuse: bool) -> None:
    alone, *together = (_results(program, inputs, states, n, fuse) for n in THREADS)
    for results in together:
        for name, value in alone.items():
            assert results[name].tobytes() == value.tobytes(), name
    once = _results(program, inputs, states, THREADS[-1], fuse, steps=1)
    outputs, updates = run_program(program, inputs, states)
    for name, value in (outputs | {f"state {name}": v for name, v in updates.items()}).items():
        compare(once[name], value, program)


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize("declare", CASES, ids=lambda declare: declare.__name__)
def test_updates_have_the_same_bits(declare: Declare, fuse: bool) -> None:
    graph = gc.Graph()
    outputs, updates = declare(graph)
    inputs = list(graph.inputs.values())
    program = gc.function(inputs, outputs, updates).program
    rng = np.random.default_rng(7)
    given = {n.name: rng.uniform(-1, 1, n.type.dims).astype(n.dtype.numpy) for n in inputs}
    states = {state.name: graph.variables[state] for state in program.states}
    _check(program, given, states, fuse)


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
def test_dropout_has_the_same_bits(fuse: bool) -> None:
    function = networks.dropout_step(gc.tanh)
    rng = np.random.default_rng(9)
    inputs = {"x": rng.uniform(-1, 1, (24, 20)).astype("f4"), "labels": rng.integers(0, 4, 24)}
    states = {state.name: function.variables[state] for state in function.program.states}
    _check(function.program, inputs, states, fuse)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", [(301, 10), (77, 65), (5, 9, 70)], ids=str)
def test_extremes_of_zeros_of_both_signs_have_the_same_bits(
    shape: tuple[int, ...], axis: int
) -> None:
    """Whichever zero a loop keeps, the result is 0.0."""
    x = gc.Graph().input("x", shape)
    extremes = [gc.max(x, axis=axis), gc.min(x, axis=axis)]
    zeros = np.random.default_rng(10).choice(np.array([0.0, -0.0], np.float32), shape)
    _check(gc.function(x, extremes).program, {"x": zeros}, {}, fuse=True)


@pytest.mark.parametrize("seed", range(RANDOM_PROGRAMS))
def test_random_graphs_have_the_same_bits(seed: int) -> None:
    program = random_program(seed, steps=6)
    inputs, states = random_values(program, seed)
    _check(program, inputs, states, fuse=True)


@pytest.mark.parametrize("threads", THREADS)
def test_values_that_do_not_vary_by_row_are_stored(threads: int) -> None:
    """A column that is an output beside a shared kernel that reads it in every row."""
    graph = gc.Graph()
    x, b = graph.input("x", (64, 8)), graph.input("b", (8,))
    function = gc.function([x, b], [x + b * 2.0, b * 2.0], threads=threads)
    rows, column = np.ones((64, 8), "f4"), np.arange(8, dtype="f4")
    whole, twice = function(rows, column)
    np.testing.assert_array_equal(twice, 2 * column)
    np.testing.assert_array_equal(whole, rows + 2 * column)
    assert any(row.source.splits for row in function.loaded().plan.instructions)


def test_shared_kernels_agree_with_numpy() -> None:
    """Products, softmax, sums over rows in blocks, and Adam, all shared."""
    graph = gc.Graph()
    x, t = graph.input("x", (37, 23), "f64"), graph.input("t", (37,), "i32")
    hidden = gc.nn.dense(x, 29, gc.tanh)
    loss = gc.losses.softmax_cross_entropy(gc.nn.dense(hidden, 5), t)
    updates = gc.optim.Adam().updates(loss, graph.parameters)
    program = gc.function([x, t], {"loss": loss}, updates).program
    rng = np.random.default_rng(1)
    inputs = {"x": rng.normal(size=(37, 23)), "t": rng.integers(0, 5, 37).astype("i4")}
    states = {state.name: graph.variables[state] for state in program.states}
    loaded = _loaded(program, {k: v.copy() for k, v in states.items()}, 3, fuse=True)
    assert sum(row.shared for row in loaded.plan.instructions) > 4
    assert any(row.barrier for row in loaded.plan.instructions)
    found = _results(program, inputs, states, threads=3, fuse=True)
    for _ in range(STEPS):
        outputs, updated = run_program(program, inputs, states)
        states |= updated
    length = 37 * len(program.nodes)
    assert_close(found["loss"], outputs["loss"], "f8", reduction_length=length, scale=LARGEST)
    for name, value in states.items():
        assert_close(found[f"state {name}"], value, "f8", reduction_length=length, scale=LARGEST)


def _two_layers(threads: int) -> LoadedProgram:
    graph = gc.Graph(seed=3)
    x = graph.input("x", (39, 24))
    hidden = gc.nn.dense(gc.nn.dense(x, 48, gc.tanh), 40, gc.sigmoid)
    loss = gc.losses.mean_squared_error(hidden, graph.input("t", (39, 40)))
    updates = gc.optim.SGD(0.5).updates(loss, graph.parameters)
    step = gc.function(list(graph.inputs.values()), loss, updates, threads=threads)
    return step.loaded()


@pytest.mark.parametrize("threads", THREADS[1:])
def test_products_cut_by_rows_follow_each_other_without_a_barrier(threads: int) -> None:
    rows = _two_layers(threads).plan.instructions
    first, second = rows[:2]
    assert first.name.startswith("matmul_tanh") and second.name.startswith("matmul")
    assert first.shared and second.shared and not second.barrier
    # The updates of the weights that the threads read wait for all of them.
    assert any(row.barrier for row in rows)


def test_many_steps_cut_by_rows_have_the_same_bits() -> None:
    """Enough steps for threads to run into each other, were a barrier missing."""
    rng = np.random.default_rng(5)
    inputs = {"x": rng.normal(size=(39, 24)), "t": rng.normal(size=(39, 40))}
    found = []
    for threads in THREADS:
        loaded = _two_layers(threads)
        arrays = [
            np.ascontiguousarray(inputs[node.name], "f4")
            for node in loaded.compilation.program.inputs
        ]
        loaded.run([data_address(array) for array in arrays], repeats=2000)
        found.append(loaded.outputs["output"].tobytes())
    assert found[1:] == found[:1] * (len(THREADS) - 1)


@pytest.mark.parametrize(
    ("count", "axis", "shape"),
    [(3, 1, (5, 7)), (2, 0, (4, 3)), (9, 1, (6, 4)), (31, 0, (3, 2)), (2, 2, (2, 1, 5))],
    ids=str,
)
def test_threads_share_a_concatenation(count: int, axis: int, shape: tuple[int, ...]) -> None:
    """Each copies its share of every operand, or of the operands where a loop runs over them."""
    graph = gc.Graph()
    parts = [graph.input(f"x{number}", shape) for number in range(count)]
    arrays = [np.full(shape, k, np.float32) + np.arange(shape[-1]) for k in range(count)]
    program = gc.function(parts, {"y": gc.concatenate(parts, axis)}).program
    for threads in THREADS:
        loaded = _loaded(program, {}, threads, fuse=True)
        assert all(row.shared == (threads > 1) for row in loaded.executable.rows)
        given = [np.ascontiguousarray(a, np.float32) for a in arrays]
        y = run_loaded(loaded, {f"x{k}": a for k, a in enumerate(given)})["y"]
        np.testing.assert_array_equal(y, np.concatenate(given, axis))


def test_zeros_around_a_value_are_no_work_of_several_threads() -> None:
    """A thread might set to zero what another one has copied."""
    graph = gc.Graph()
    x = graph.input("x", (6, 40))
    program = gc.function([x], {"y": gc.pad(x, ((1, 1), (0, 0)))}).program
    assert not any(row.shared for row in _loaded(program, {}, 2, fuse=True).executable.rows)
