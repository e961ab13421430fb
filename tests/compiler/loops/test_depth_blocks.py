"""Products that add up very many rows, block by block."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.load.native import native
from graphc.ir.nodes.op import Array
from graphc.ir.reference import run_program
from graphc.ir.types import DTYPES
from tests.compiler.execution import Machine, compilation, run_on_threads

RULE = "add_up_in_blocks"


def _products(function: gc.Function) -> list[tuple[int, ...]]:
    """The results' extents of all products, as they are computed."""
    nodes = compilation(function.program).program.nodes
    return [node.type.dims for node in nodes if node.op.name == "matmul"]


def _added_up(rows: int, x_columns: int, y_columns: int, **flags: bool) -> gc.Function:
    graph = gc.Graph()
    x = graph.input("x", (rows, x_columns) if flags.get("transpose_x") else (x_columns, rows))
    y = graph.input("y", (y_columns, rows) if flags.get("transpose_y") else (rows, y_columns))
    return gc.function([x, y], gc.matmul(x, y, **flags))


@pytest.mark.parametrize(
    ("rows", "columns", "result"),
    [
        (1023, (8, 4), (8, 4)),
        (1024, (8, 4), (8, 8, 4)),
        (1000, (8, 4), (8, 4)),
        (4000, (20, 20), (8, 20, 20)),
        (1800, (300, 20), (8, 300, 20)),
        (65536, (16, 16), (128, 16, 16)),
        (1024, (256, 256), (8, 256, 256)),
        (1024, (300, 4), (8, 300, 4)),
        # The results of eight blocks would take more memory than the operands.
        (1024, (256, 257), (256, 257)),
        # A result that the second cache does not hold beside as much again.
        (4096, (512, 256), (512, 256)),
        # A prime number.
        (1031, (8, 4), (8, 4)),
    ],
)
def test_rows_are_cut_into_blocks_that_threads_share_evenly(
    rows: int, columns: tuple[int, int], result: tuple[int, ...]
) -> None:
    assert _products(_added_up(rows, *columns, transpose_x=True)) == [result]


@pytest.mark.parametrize(
    "flags", [{}, {"transpose_y": True}, {"transpose_x": True, "transpose_y": True}]
)
def test_only_what_stands_row_by_row_is_cut(flags: dict[str, bool]) -> None:
    assert _products(_added_up(4096, 8, 4, **flags)) == [(8, 4)]


@pytest.mark.parametrize(
    ("images", "positions", "result"),
    [
        # Of 2 images with 256 positions each, near to 512 rows.
        (8, (16, 16), (4, 18, 4)),
        # One image, whose positions are more than 512.
        (4, (32, 32), (4, 18, 4)),
        # The positions of an image are too many for one block.
        (4, (48, 32), (12, 18, 4)),
    ],
)
def test_blocks_of_windows_are_whole_images(
    images: int, positions: tuple[int, int], result: tuple[int, ...]
) -> None:
    graph = gc.Graph()
    x = graph.input("x", (images, *(extent + 2 for extent in positions), 2))
    kernel = graph.input("k", (3, 3, 2, 4))
    ct = graph.input("ct", (images, *positions, 4))
    slope = gc.grad(gc.sum(gc.conv(x, kernel) * ct), kernel)
    assert _products(gc.function([x, kernel, ct], slope)) == [result]


def test_rows_that_stand_far_apart_are_cut_without_a_copy() -> None:
    graph = gc.Graph()
    x, y = graph.input("x", (8, 2048)), graph.input("y", (2048, 4))
    every_other = gc.matmul(gc.transpose(x)[::2], y[::2], transpose_x=True)
    made = compilation(gc.function([x, y], every_other).program)
    assert [node.type.dims for node in made.program.nodes if node.op.name == "matmul"] == [
        (8, 8, 4)
    ]
    assert not any(node.op.name == "copy" for node in made.program.nodes)


def _step(rows: int, fuse: bool = True) -> tuple[gc.Function, dict[str, Array]]:
    graph = gc.Graph(seed=2)
    x, t = graph.input("x", (rows, 6)), graph.input("t", (rows,), "i32")
    scores = gc.nn.dense(gc.nn.dense(x, 9, gc.tanh), 3)
    loss = gc.losses.softmax_cross_entropy(scores, t)
    updates = gc.optim.SGD(learning_rate=0.1, momentum=0.9).updates(loss)
    random = np.random.default_rng(0)
    arrays = {
        "x": random.standard_normal((rows, 6)).astype("f4"),
        "t": random.integers(0, 3, rows).astype("i4"),
    }
    return gc.function([x, t], loss, updates, fuse=fuse), arrays


def test_a_step_over_a_large_batch(machine: Machine) -> None:
    function, inputs = _step(1200)
    program = function.program
    made = compilation(program)
    assert sum(firing.rule == RULE for firing in made.firings) == 2
    states = {state.name: np.array(function.variables[state]) for state in program.states}
    expected, expected_states = run_program(program, inputs, states)
    for fuse in (True, False):
        outputs, after = machine.run(program, inputs, states, fuse=fuse)
        # Each element of a gradient is a sum of 1200 terms of either sign.
        tolerance = 1200 * np.finfo(np.float32).eps
        for name, value in expected.items():
            np.testing.assert_allclose(outputs[name], value, rtol=tolerance, atol=tolerance)
        for name, value in expected_states.items():
            np.testing.assert_allclose(after[name], value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("rows", [1024, 1500])
def test_bits_do_not_depend_on_the_number_of_threads(rows: int, dtype: str) -> None:
    graph = gc.Graph()
    x, y = graph.input("x", (rows, 5), dtype), graph.input("y", (rows, 33), dtype)
    function = gc.function([x, y], gc.exp(gc.tanh(x).T @ y * 0.01))
    random = np.random.default_rng(rows)
    kind = DTYPES[dtype].numpy
    inputs = {
        "x": random.standard_normal((rows, 5)).astype(kind),
        "y": random.standard_normal((rows, 33)).astype(kind),
    }
    assert _products(function)[0][0] > 1
    found = [run_on_threads(function.program, inputs, n, native().vector_bits) for n in (1, 2, 3)]
    exact = np.exp(np.tanh(inputs["x"]).T @ inputs["y"] * kind.type(0.01))
    tolerance = rows * np.finfo(kind).eps
    for name, value in found[0].items():
        np.testing.assert_allclose(value, exact, rtol=tolerance)
        for other in found[1:]:
            assert other[name].tobytes() == value.tobytes()


def test_gradients_of_depthwise_kernels_are_added_up_image_by_image(machine: Machine) -> None:
    graph = gc.Graph()
    x, ct = graph.input("x", (3, 9, 7, 5)), graph.input("ct", (3, 7, 3, 10))
    kernel = graph.input("k", (3, 3, 5, 2))
    loss = gc.sum(gc.depthwise_conv(x, kernel, (1, 2)) * ct)
    function = gc.function([x, ct, kernel], gc.grad(loss, kernel))
    made = compilation(function.program).program
    sums = [node.type.dims for node in made.nodes if node.op.name == "sum"]
    assert sums[:2] == [(3, 1, 3, 1, 3, 5, 2), (1, 1, 3, 1, 3, 5, 2)]
    rng = np.random.default_rng(1)
    inputs = {
        node.name: rng.standard_normal(node.type.dims).astype("f4")
        for node in function.program.inputs
    }
    expected, _ = run_program(function.program, inputs, {})
    found, _ = machine.run(function.program, inputs, {})
    np.testing.assert_allclose(found["output"], expected["output"], rtol=1e-5, atol=1e-5)


def test_the_rule_is_explained_with_the_users_line() -> None:
    made = compilation(_step(1200)[0].program)
    fired: list[Any] = [firing for firing in made.firings if firing.rule == RULE]
    assert all("sum over blocks" in firing.equation for firing in fired)
    assert all(firing.location is not None for firing in fired)
