"""Reductions over rows that the epilogue of a product begins."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.fusion import epilogue_reductions, prologues
from graphc.compiler.load.assemble import compiled
from graphc.compiler.load.native import LoadedProgram, native
from graphc.compiler.options import Options
from graphc.compiler.pipeline import Compilation, compile_program
from graphc.compiler.plan import sharing
from graphc.inspect.wording import reason_of
from graphc.ir.graph import Node, Program, is_among
from graphc.ir.reference import run_program
from graphc.kernels.groups.group import ContractionGroup
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.node_kinds import viewed
from graphc.kernels.nests.row_blocks import rounded_to_blocks, rows_of_block
from graphc.kernels.products.tilings import tiling
from graphc.kernels.products.tilings.tiling import Tilings
from graphc.testing.tolerance import assert_close
from tests.compiler.execution import compilation, run_loaded, run_on_threads
from tests.random_graphs import LARGEST

THREADS = (1, 2, 3, 4)
DEPTH = 7


@pytest.fixture
def everything_is_shared(monkeypatch: pytest.MonkeyPatch, tasks_of_a_tile: None) -> None:
    """Small products too; and values that are stored anyway are added up by the epilogue."""
    monkeypatch.setattr(epilogue_reductions, "MACHINE", replace(MACHINE, second_cache_bytes=0))
    monkeypatch.setattr(sharing, "SURELY_SHARED_CYCLES", 0)


def _begun(made: Compilation) -> list[Node]:
    """The reductions that epilogues begin."""
    groups = [group for group in made.groups if isinstance(group, ContractionGroup)]
    return [node for group in groups for node in group.parts.reductions]


def _reductions(shape: tuple[int, ...], dtype: str) -> Program:
    """Of tanh(x w): the norm, sums of columns, and each column's largest magnitude."""
    graph = gc.Graph()
    *batch, rows, columns = shape
    x = graph.input("x", (*batch, rows, DEPTH), dtype)
    # A matrix for each of the batch: with one for all, the batch would be rows.
    w = graph.input("w", (*batch, DEPTH, columns), dtype)
    value = gc.tanh(gc.matmul(x, w))
    outputs = {
        "norm": gc.sqrt(gc.sum(gc.square(value))),
        "sums": gc.sum(value, tuple(range(len(batch) + 1))),
    }
    if rows:
        outputs["largest"] = gc.max(abs(value), len(batch))
    return gc.function([x, w], outputs).program


SHAPES: list[tuple[int, ...]] = [
    (0, 5),
    (1, 5),
    (15, 16),
    (16, 15),
    (32, 1),
    (33, 17),
    (32, 0),
    (97, 10),
    (100, 50),
]
SHAPES += [(3, 16, 17), (0, 16, 5)]


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [*((shape, "f32") for shape in SHAPES), ((16, 15), "f64"), ((100, 50), "f64")],
    ids=str,
)
@pytest.mark.usefixtures("everything_is_shared")
def test_any_number_of_threads_has_the_same_bits(shape: tuple[int, ...], dtype: str) -> None:
    program = _reductions(shape, dtype)
    begun = _begun(compilation(program))
    assert len(begun) == (3 if rows_of_block(shape[-2]) else 0), "15, 33 and 97 rows have no blocks"
    _check_bits(program, DEPTH + math.prod(shape))


@pytest.mark.parametrize("shape", [(16, 17), (100, 50), (3, 16, 37)], ids=str)
@pytest.mark.usefixtures("everything_is_shared")
def test_so_do_products_whose_last_columns_are_apart(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiling, "PARTS_LIMIT", math.inf)
    program = _reductions(shape, "f32")
    (group,) = (g for g in compilation(program).groups if isinstance(g, ContractionGroup))
    assert (
        group.parts.reductions
        and Tilings(native().vector_bits).choose(group.shape).rest is not None
    )
    _check_bits(program, DEPTH + math.prod(shape))


@pytest.mark.usefixtures("everything_is_shared")
def test_so_do_products_that_compute_an_operand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer rows at once than a block has: not for all panels, since each adds up whole blocks."""
    monkeypatch.setattr(prologues, "MACHINE", replace(MACHINE, copied_element_cycles=1e12))
    graph, depth = gc.Graph(), 256
    x, w = graph.input("x", (320, depth)), graph.input("w", (depth, 64))
    value = gc.tanh((x * 0.25 - gc.expand(x[:, 0], 1, depth)) @ w)
    program = gc.function([x, w], [gc.sum(value, 0), gc.max(value, 0)]).program
    (group,) = (g for g in compilation(program).groups if isinstance(g, ContractionGroup))
    assert group.shape.is_computed and len(group.parts.reductions) == 2
    _check_bits(program, depth + value.type.size)


def _check_bits(program: Program, length: int) -> None:
    """As the reference, and the same bits at any number of threads; `length` of a reduction."""
    random = np.random.default_rng(1)
    inputs = {
        x.name: random.standard_normal(x.type.dims).astype(x.dtype.numpy) for x in program.inputs
    }
    alone, *together = (run_on_threads(program, inputs, n, native().vector_bits) for n in THREADS)
    expected, _ = run_program(program, inputs, {})
    for name, value in alone.items():
        assert_close(value, expected[name], value.dtype, reduction_length=length, scale=LARGEST)
        assert all(results[name].tobytes() == value.tobytes() for results in together), name


def _training_step(rows: int, units: int) -> gc.Function:
    graph = gc.Graph(seed=1)
    x, t = graph.input("x", (rows, 24)), graph.input("t", (rows,), "i32")
    hidden = gc.nn.dense(gc.nn.dense(x, units, gc.sigmoid), units, gc.sigmoid)
    loss = gc.losses.softmax_cross_entropy(gc.nn.dense(hidden, 4), t)
    updates = gc.optim.SGD(0.1).updates(loss)
    return gc.function([x, t], loss, updates, variables=graph.variables)


def test_bias_gradient_is_added_up_from_the_cache_where_it_fits() -> None:
    assert _begun(compilation(_training_step(64, 64).program)) == []
    large = compilation(_training_step(512, 512).program)
    sums = _begun(large)
    assert [node.op.name for node in sums] == ["sum", "sum"]
    for node in sums:
        (maker,) = (group for group in large.groups if is_among(node, group.nodes))
        assert is_among(viewed(node.operands[0]), maker.outputs)


@pytest.mark.usefixtures("everything_is_shared")
def test_training_with_any_number_of_threads_has_the_same_bits() -> None:
    """Bias updates in place, from sums that threads share by rows."""
    inputs = {
        "x": np.random.default_rng(2).standard_normal((64, 24)).astype("f4"),
        "t": np.arange(64, dtype="i4") % 4,
    }
    program = _training_step(64, 48).program
    found = []
    for threads in THREADS:
        variables = _training_step(64, 48).variables
        states = {name: np.array(value) for name, value in variables.items()}
        made = compile_program(program, Options({}, True, native().vector_bits, threads))
        assert len(_begun(made)) == 2
        loaded = LoadedProgram(compiled(made), states)
        for _ in range(5):
            run_loaded(loaded, inputs)
        found.append({name: value.tobytes() for name, value in states.items()})
    assert found[1:] == found[:1] * (len(THREADS) - 1)


def test_norm_of_a_gradient_needs_no_gradient_in_memory() -> None:
    graph = gc.Graph()
    x, ct = graph.input("x", (64, 32)), graph.input("ct", (64, 48))
    w = graph.parameter("w", (32, 48), np.zeros((32, 48)))
    gradient = gc.matmul(gc.transpose(x), ct)
    function = gc.function([x, ct], gc.sqrt(gc.sum(gc.square(gradient))), {w: w - 0.1 * gradient})
    product, total = compilation(function.program).groups
    assert isinstance(product, ContractionGroup) and len(product.parts.reductions) == 1
    assert not is_among(product.contraction, product.outputs)
    assert product.parts.reductions[0].shape == (8, 1, 48)
    assert {node.op.name for node in total.nodes} == {"sum", "sqrt"}


def test_loss_and_gradient_of_a_product_are_its_epilogue() -> None:
    graph = gc.Graph()
    x, t, w = graph.input("x", (64, 8)), graph.input("t", (64, 16)), graph.input("w", (8, 16))
    error = gc.matmul(x, w) - t
    function = gc.function([x, t, w], [gc.mean(gc.square(error)), error * 2.0])
    product, total = compilation(function.program).groups
    assert isinstance(product, ContractionGroup) and len(product.parts.reductions) == 1
    assert not is_among(product.contraction, product.outputs) and len(product.outputs) == 2
    assert total.outputs[0].shape == ()


@pytest.mark.parametrize("other", ["softmax", "another product's rows"])
def test_what_needs_more_than_the_tile_is_not_cut(other: str) -> None:
    """Between the product and the sum stands something that the epilogue does not compute."""
    graph = gc.Graph()
    x, w = graph.input("x", (64, 8)), graph.input("w", (8, 16))
    product = gc.matmul(x, w)
    value = gc.softmax(product) if other == "softmax" else product * gc.sum(product, 1, True)
    function = gc.function([x, w], gc.sum(value * value, 0))
    assert _begun(compilation(function.program)) == []


def test_sums_of_sums_do_not_run_across_rows() -> None:
    graph = gc.Graph()
    x = graph.input("x", (64, 16))
    sums = gc.sum(x, 0)
    made = compilation(gc.function([x], gc.sum(gc.square(sums))).program)
    assert len(made.groups) == 2
    assert any("complete only after the last row" in reason_of(d) for d in made.decisions)


@pytest.mark.usefixtures("everything_is_shared")
def test_no_task_has_a_part_of_a_block() -> None:
    for rows, columns in [(1024, 10), (1000, 8), (96, 200), (32, 3)]:
        for group in compilation(_reductions((rows, columns), "f32")).groups:
            if not isinstance(group, ContractionGroup):
                continue
            block = rows_of_block(rows)
            assert block is not None and group.parts.reductions
            for threads in THREADS:
                chosen = Tilings(512).choose(group.shape, threads)
                for part in (chosen, chosen.rest or chosen):
                    assert not part.swapped and part.rows_per_task % block == 0


def test_blocks_are_shared_evenly() -> None:
    """So many rows have blocks, and few threads get about the same number of them."""
    found = {rows: rows_of_block(rows) for rows in range(200)}
    assert {rows: found[rows] for rows in (0, 1, 8, 16, 32, 100, 128)} == {
        0: None, 1: None, 8: None, 16: 4, 32: 4, 100: 5, 128: 16,
    }  # fmt: skip
    for rows, block in found.items():
        if block is not None:
            assert rows % block == 0
            for threads in (2, 3, 4):
                share = math.ceil(rows / threads)
                assert rounded_to_blocks(share, block) <= 1.34 * share
