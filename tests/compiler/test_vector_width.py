"""What matters most, held to vectors of 256 and of 128 bits. `make test-widths` runs everything."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.load import native as native_module
from graphc.compiler.load.assemble import compiled
from graphc.compiler.load.native import LoadedProgram, Native
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.compiler.plan import sharing
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Program
from graphc.ir.nodes.op import Array
from graphc.ir.ops import OPS
from graphc.ir.reference import run_program
from graphc.ir.types import DType, f32, f64
from graphc.kernels.loops import thread_blocks
from graphc.kernels.native.cache import open_cache
from graphc.kernels.native.llvm import host_target, host_vector_bits
from graphc.kernels.native.machine_code import inner_loops
from graphc.testing.tolerance import assert_close
from tests.compiler import networks
from tests.compiler.execution import run_loaded
from tests.compiler.values.test_random_graphs import compare
from tests.kernels.mathematics.test_vecmath import (
    BY_SCALAR,
    REFERENCES,
    UNARY,
    assert_accurate,
    sweep,
)
from tests.random_graphs import random_program, random_values

WIDTHS = (256, 128)
# (rows, depth, columns): less than a vector, tiles with a rest on every side, whole tiles.
SIZES = ((1, 3, 2), (19, 17, 37), (32, 64, 64))
RANDOM_PROGRAMS = 12
POINTS_APART = 37  # of those of a sweep
LARGEST_ANGLE = 2.0**30  # up to which numpy's sin and cos are accurate
STEPS = 3

Load = Callable[..., LoadedProgram]


@pytest.fixture(scope="module", params=WIDTHS)
def narrow(request: pytest.FixtureRequest) -> Native:
    """What compiles for narrower vectors than the host has."""
    if request.param >= host_vector_bits():
        pytest.skip(f"the host has vectors of {host_vector_bits()} bits")
    target = host_target(request.param)
    return Native(target, open_cache(target))


@pytest.fixture
def load(narrow: Native, monkeypatch: pytest.MonkeyPatch) -> Load:
    """(program, states, threads, fuse) to a program of narrow vectors."""
    monkeypatch.setattr(native_module, "native", lambda: narrow)

    def loaded(program: Program, states: Any, threads: int = 1, fuse: bool = True) -> LoadedProgram:
        options = Options({}, fuse, narrow.vector_bits, threads)
        return LoadedProgram(compiled(compile_program(program, options)), states)

    return loaded


def _check(load: Load, program: Program, inputs: Any, states: Any) -> None:
    expected, updates = run_program(program, inputs, states)
    own = {name: np.array(value, order="C") for name, value in states.items()}
    outputs = run_loaded(load(program, own), inputs)
    for name, value in (expected | updates).items():
        compare((outputs | own)[name], value, program)


def _products(size: tuple[int, int, int], dtype: DType) -> Program:
    """x y with each operand as it is and transposed."""
    rows, depth, columns = size
    graph = Graph()
    inputs, outputs = [], []
    for transpose_x, transpose_y in product((False, True), repeat=2):
        x_shape = (depth, rows) if transpose_x else (rows, depth)
        y_shape = (columns, depth) if transpose_y else (depth, columns)
        case = f"{int(transpose_x)}{int(transpose_y)}"
        x, y = graph.input(f"x{case}", x_shape, dtype), graph.input(f"y{case}", y_shape, dtype)
        inputs += [x, y]
        result = build.matmul(x, y, transpose_x=transpose_x, transpose_y=transpose_y)
        outputs.append((f"product{case}", result))
    return Program("products", tuple(inputs), tuple(outputs), ())


def _drawn(program: Program) -> dict[str, Array]:
    random = np.random.default_rng(3)
    return {
        n.name: random.uniform(-1, 1, n.type.dims).astype(n.dtype.numpy) for n in program.inputs
    }


@pytest.mark.parametrize("dtype", [f32, f64], ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_products(load: Load, size: tuple[int, int, int], dtype: DType) -> None:
    program = _products(size, dtype)
    inputs = _drawn(program)
    outputs = run_loaded(load(program, {}), inputs)
    expected, _ = run_program(program, inputs, {})
    for name, value in expected.items():
        assert_close(outputs[name], value, dtype, reduction_length=size[1], scale=size[1])


@pytest.mark.parametrize(
    "declare",
    [lambda: networks.layer_normalization(9, 37), lambda: networks.classifier(19, 21, 10)],
    ids=["normalization", "softmax"],
)
def test_rows(load: Load, declare: Callable[[], gc.Function]) -> None:
    function = declare()
    program = function.program
    random = np.random.default_rng(4)
    inputs = {
        node.name: (
            random.uniform(-1, 1, node.type.dims)
            if node.dtype.is_float
            else random.integers(0, 10, node.type.dims)
        ).astype(node.dtype.numpy)
        for node in program.inputs
    }
    _check(load, program, inputs, {s.name: function.variables[s] for s in program.states})


@pytest.mark.usefixtures("tasks_of_a_tile")
def test_training_has_the_same_bits_on_two_threads(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two layers with Adam, all kernels shared."""
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_CYCLES", 1)
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_ELEMENTS", 64)
    monkeypatch.setattr(sharing, "SURELY_SHARED_CYCLES", 0)
    graph = gc.Graph(seed=0)
    x, t = graph.input("x", (37, 23)), graph.input("t", (37,), "i32")
    hidden = gc.nn.dense(x, 29, gc.sigmoid)
    loss = gc.losses.softmax_cross_entropy(gc.nn.dense(hidden, 10), t)
    updates = gc.optim.Adam().updates(loss, graph.parameters)
    program = gc.function([x, t], {"loss": loss}, updates).program
    random = np.random.default_rng(5)
    inputs = {
        "x": random.normal(size=(37, 23)).astype("f4"),
        "t": random.integers(0, 10, 37).astype("i4"),
    }
    start = {state.name: graph.variables[state] for state in program.states}
    results = []
    for threads in (1, 2):
        states = {name: np.array(value, order="C") for name, value in start.items()}
        loaded = load(program, states, threads)
        losses = [run_loaded(loaded, inputs)["loss"] for _ in range(STEPS)]
        results.append([*losses, *states.values()])
        assert threads == 1 or any(row.shared for row in loaded.plan.instructions)
    for alone, together in zip(*results, strict=True):
        assert alone.tobytes() == together.tobytes()
    expected = []
    states = dict(start)
    for _ in range(STEPS):
        outputs, updated = run_program(program, inputs, states)
        expected.append(outputs["loss"])
        states |= updated
    for actual, wanted in zip(results[0], [*expected, *states.values()], strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-5)


def test_random_graphs(load: Load) -> None:
    for seed in range(RANDOM_PROGRAMS):
        program = random_program(seed, steps=5)
        inputs, states = random_values(program, seed)
        try:
            _check(load, program, inputs, states)
        except Exception as error:
            error.add_note(f"random_program({seed}, steps=5)")
            raise


@pytest.mark.parametrize("dtype", [f32, f64], ids=str)
def test_vector_math_is_within_2_ulp(load: Load, dtype: DType) -> None:
    """f64 where numpy has something wider to compare with."""
    wide = np.float64 if dtype is f32 else np.longdouble
    if np.finfo(wide).nmant <= np.finfo(dtype.numpy).nmant:
        pytest.skip("needs a reference wider than f64")
    values = np.ascontiguousarray(sweep(str(dtype), 8)[::POINTS_APART])
    values = np.where(np.abs(values) <= LARGEST_ANGLE, values, 0.5).astype(dtype.numpy)
    # References that are by scalar have no more than the digits of f64.
    without = BY_SCALAR if dtype is f64 else ()
    names = [name for name in UNARY if name in OPS and name not in without]
    graph = Graph()
    x = graph.input("x", values.shape, dtype)
    program = Program("unary", (x,), tuple((name, OPS[name](x)) for name in names), ())
    outputs = run_loaded(load(program, {}), {"x": values})
    for name in names:
        with np.errstate(all="ignore"):
            exact = REFERENCES[name](values.astype(wide))
            assert_accurate(name, values, outputs[name], exact)


def test_loops_keep_to_the_width(load: Load) -> None:
    states = {name: np.ones(1024, np.float32) for name in "abcd"}
    loaded = load(networks.elementwise_workload(64, 1024).program, states)
    loops = [loop for code in loaded.kernels for loop in inner_loops(code.assembly) if loop.packed]
    assert loops
    assert {loop.vector_bits for loop in loops} == {loaded.compilation.options.vector_bits}
