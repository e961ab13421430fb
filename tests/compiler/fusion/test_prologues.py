"""Elementwise chains that a product computes while it packs its operands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.fusion import prologues
from graphc.compiler.load.assemble import compiled
from graphc.compiler.load.native import LoadedProgram, native
from graphc.compiler.pipeline import Options, compile_program
from graphc.inspect.wording import reason_of
from graphc.ir.graph import Program, is_among
from graphc.ir.nodes.op import Array
from graphc.ir.reference import run_program
from graphc.kernels.groups.group import ContractionGroup
from graphc.kernels.machine import MACHINE
from tests.compiler import networks
from tests.compiler.execution import compilation, refusals, run_loaded
from tests.compiler.values.test_random_graphs import compare
from tests.random_graphs import random_program, random_values

Declare = Callable[[int, int, int, Any], gc.Function]
THREADS = (1, 2, 3)
RANDOM_PROGRAMS = 36
# Of those; with fewer there would be too little to test.
FEWEST_WITH_PROLOGUES = 6
STEPS = 6


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch, tasks_of_a_tile: None) -> None:
    """Every prologue that there can be, however much it costs, and tasks of a tile."""
    machine = replace(MACHINE, meeting_cycles=0, copied_element_cycles=1e12)
    monkeypatch.setattr(prologues, "MACHINE", machine)


def _ops(function: gc.Function) -> list[tuple[list[str], list[str]]]:
    """Of each kernel the ops of its prologue, and all others."""
    found = []
    for group in compilation(function.program).groups:
        first = group.parts.before if isinstance(group, ContractionGroup) else ()
        rest = [node.op.name for node in group.nodes if not is_among(node, first)]
        found.append(([node.op.name for node in first], rest))
    return found


# --- what becomes one, and what does not ------------------------------------------------------


def test_a_narrow_product_scales_its_operand() -> None:
    """Also with an epilogue, which a prologue never costs."""
    assert _ops(networks.scaled_dense()) == [(["subtract", "multiply"], ["matmul", "add", "relu"])]
    made = compilation(networks.scaled_dense().program)
    (value,) = made.recomputed
    assert (value.value.op.name, value.bytes_saved) == ("multiply", 2 * 4096 * 64 * 4)
    assert not any("reads all of multiply" in reason_of(decision) for decision in made.decisions)


def test_a_product_of_many_panels_does_not() -> None:
    function = networks.scaled_dense(512, 512, 512)
    assert all(not first for first, _ in _ops(function))
    (reason,) = refusals(function)
    assert "multiply" in reason and "cycles more" in reason


def test_threads_do_not_matter() -> None:
    """A choice that did would change the form of tiles, and with it the bits."""
    program = networks.scaled_dense(64, 300, 8).program
    groups = [compile_program(program, Options({}, True, 256, n)).groups for n in THREADS]
    ops = [[[node.op.name for node in group.nodes] for group in each] for each in groups]
    assert ops[0] == ops[1] == ops[2]


def test_row_statistics_are_stored_for_it(always: None) -> None:
    graph = gc.Graph()
    x, w = graph.input("x", (64, 48)), graph.input("w", (48, 8))
    centred = x - gc.mean(x, 1, keepdims=True)
    scale = gc.sqrt(gc.mean(gc.square(centred), 1, keepdims=True) + 1e-5)
    function = gc.function([x, w], (centred / scale) @ w)
    product, loops = compilation(function.program).groups
    assert [node.type.size for node in loops.outputs] == [64, 64]
    assert [node.op.name for node in product.nodes] == ["subtract", "divide", "matmul"]


def _is_an_output(x: Any, w: Any) -> list[Any]:
    y = gc.tanh(x)
    return [y, y @ w]


def _is_read_in_an_epilogue(x: Any, w: Any) -> list[Any]:
    y = gc.tanh(x)
    return [y @ w[:, :16] + y]


def _is_read_in_another_order(x: Any, w: Any) -> list[Any]:
    return [gc.reshape(gc.tanh(x), (4, 64)) @ gc.expand(w[0, :1], 0, 64)]


def _is_moved(x: Any, w: Any) -> list[Any]:
    y = gc.tanh(x)
    return [y @ w, gc.concatenate([y, x])]


REFUSED = {
    _is_an_output: "reads all of tanh",
    _is_read_in_an_epilogue: "reads tanh",
    _is_read_in_another_order: "changes the order of elements",
    _is_moved: "moves tanh",
}


@pytest.mark.parametrize("declare", REFUSED, ids=lambda declare: declare.__name__[1:])
def test_what_cannot_be_one(always: None, declare: Callable[..., list[Any]]) -> None:
    graph = gc.Graph()
    x, w = graph.input("x", (16, 16)), graph.input("w", (16, 40))
    function = gc.function([x, w], declare(x, w))
    assert all(not first for first, _ in _ops(function))
    assert any(REFUSED[declare] in reason for reason in refusals(function)), refusals(function)


# --- what they compute ------------------------------------------------------------------------


def _left(rows: int, depth: int, columns: int, dtype: Any) -> gc.Function:
    """As it stands and transposed: broadcast along rows and columns, cast from integers."""
    graph = gc.Graph()
    x, column = graph.input("x", (rows, depth), "i32"), graph.input("column", (rows, 1), dtype)
    row, w = graph.input("row", (depth,), dtype), graph.input("w", (depth, columns), dtype)
    ct = graph.input("ct", (rows, columns), dtype)
    y = (gc.cast(x, dtype) - column) * row
    return gc.function([x, column, row, w, ct], [y @ w, gc.transpose(y) @ ct])


def _bytes(rows: int, depth: int, columns: int, dtype: Any) -> gc.Function:
    """Pixels, scaled for a product and for the gradient of its weights."""
    graph = gc.Graph()
    pixels, w = (
        graph.input("pixels", (rows, depth), "u8"),
        graph.input("w", (depth, columns), dtype),
    )
    ct = graph.input("ct", (rows, columns), dtype)
    y = gc.cast(pixels, dtype) * (1 / 255)
    return gc.function([pixels, w, ct], [y @ w, gc.transpose(y) @ ct])


def _right(rows: int, depth: int, columns: int, dtype: Any) -> gc.Function:
    """As it stands, transposed, and read through strides."""
    graph = gc.Graph()
    x, row = graph.input("x", (rows, depth), dtype), graph.input("row", (columns,), dtype)
    w, v = graph.input("w", (depth, columns), dtype), graph.input("v", (columns, 2 * depth), dtype)
    column = graph.input("column", (columns, 1), dtype)
    scaled = gc.where(v > column, v * 0.5, column)[:, ::2]
    return gc.function([x, row, w, v, column], [x @ (w * row), x @ gc.transpose(scaled * 2.0)])


def _both(rows: int, depth: int, columns: int, dtype: Any) -> gc.Function:
    """Two operands, of which one is read as both, and an epilogue that reads the same input."""
    graph = gc.Graph()
    x, w = graph.input("x", (rows, depth), dtype), graph.input("w", (depth, columns), dtype)
    bias = graph.input("bias", (rows, columns), dtype)
    y = gc.relu(x)
    product = y @ (w * 1.5)
    return gc.function(
        [x, w, bias], [gc.tanh(product + bias), gc.matmul(y, y, transpose_y=True) * 0.5]
    )


def _batched(rows: int, depth: int, columns: int, dtype: Any) -> gc.Function:
    """Batches of matrices, one of them the same for all of a batch dimension."""
    graph = gc.Graph()
    x = graph.input("x", (2, 3, rows, depth), dtype)
    w, scale = graph.input("w", (3, depth, columns), dtype), graph.input("scale", (3, 1, 1), dtype)
    y = gc.transpose(x * scale, (1, 0, 2, 3))
    return gc.function([x, w, scale], [(x * scale) @ gc.square(w), gc.sum(y, 3)])


DECLARED: dict[Declare, int] = {_left: 2, _bytes: 2, _right: 2, _both: 2, _batched: 1}
SHAPES = [(17, 33, 16), (1, 16, 15), (33, 1, 17), (40, 15, 67), (16, 17, 1), (0, 5, 4), (4, 5, 0)]


def _results(program: Program, inputs: Any, states: Any, threads: int) -> dict[str, Array]:
    own = {name: np.array(value, order="C") for name, value in states.items()}
    options = Options({}, True, native().vector_bits, threads)
    outputs = run_loaded(LoadedProgram(compiled(compile_program(program, options)), own), inputs)
    return outputs | {f"state {name}": value for name, value in own.items()}


def _check(program: Program, seed: int) -> None:
    """As the reference, and the same bits at any number of threads."""
    inputs, states = random_values(program, seed)
    outputs, updates = run_program(program, inputs, states)
    alone, *together = (_results(program, inputs, states, threads) for threads in THREADS)
    for name, wanted in (outputs | {f"state {n}": v for n, v in updates.items()}).items():
        compare(alone[name], wanted, program)
    for results in together:
        for name, value in alone.items():
            assert results[name].tobytes() == value.tobytes(), name


def _prologues(program: Program) -> int:
    made = compilation(program)
    return sum(isinstance(g, ContractionGroup) and g.shape.is_computed for g in made.groups)


def _cases() -> Iterator[tuple[Declare, tuple[int, int, int], str]]:
    """Every declaration with every shape, a third of them in f64."""
    for number, declare in enumerate(DECLARED):
        for position, shape in enumerate(SHAPES):
            yield declare, shape, "f64" if (position + number) % 3 == 0 else "f32"


@pytest.mark.parametrize(("declare", "shape", "dtype"), list(_cases()))
def test_as_the_reference(
    always: None, declare: Declare, shape: tuple[int, int, int], dtype: str
) -> None:
    program = declare(*shape, dtype).program
    if min(shape) > 1:
        assert _prologues(program) >= DECLARED[declare]
    _check(program, sum(shape))


def test_random_graphs(always: None) -> None:
    seeds = range(RANDOM_PROGRAMS)
    programs = {seed: random_program(seed, steps=STEPS) for seed in seeds}
    found = {seed: program for seed, program in programs.items() if _prologues(program)}
    assert len(found) >= FEWEST_WITH_PROLOGUES
    for seed, program in found.items():
        _check(program, seed)
