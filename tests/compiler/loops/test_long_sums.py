"""Long sums and deep products: how far they err, where blocks end, and who shares them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.load.native import native
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.ir.nodes.op import Array
from graphc.ir.types import DTYPES
from tests.compiler.execution import compilation, run_on_threads

# What pairs of pairs lose of positive terms; one after the other they lose some hundred times that.
MOST_ERROR = {"f32": 2e-6, "f64": 2e-6 * 2.0**-29}
MOST_PRODUCT_ERROR = {"f32": 1e-5, "f64": 1e-5 * 2.0**-29}
# Terms that all round to the same side, for which order matters most.
TERM = 0.1

FLAGS = [(False, False), (True, False), (False, True), (True, True)]

Sums = Callable[[Any, Any], list[Any]]

# What is summed, of x or of its array in long doubles; `of` has the functions of both.
LONG: dict[str, tuple[tuple[int, ...], Sums]] = {
    "a vector": (
        (200_003,),
        lambda of, x: [of.sum(x), of.mean(of.exp(x)), of.sum(x[::3]), of.sum(x) / of.max(x)],
    ),
    "rows": (
        (3, 60_001),
        lambda of, x: [
            of.sum(x, axis=1),
            of.sum(x),
            of.sum(of.exp(x), axis=1),
            of.mean(of.square(x - of.mean(x, axis=1, keepdims=True)) + 1, axis=1),
        ],
    ),
    "columns": (
        (40_009, 5),
        lambda of, x: [of.sum(x, axis=0), of.sum(x), of.mean(x[:, 1]), of.sum(of.transpose(x))],
    ),
    "wide columns": ((9001, 40), lambda of, x: [of.sum(x, axis=0), of.sum(of.exp(x), axis=0)]),
    "middle axes": (
        (3, 5001, 20),
        lambda of, x: [of.sum(x, axis=1), of.sum(x, axis=(0, 1)), of.sum(x, axis=(1, 2))],
    ),
    "axes apart": (
        (30, 30, 30, 30),
        lambda of, x: [of.sum(x, axis=(0, 2)), of.sum(x, axis=(1, 3)), of.sum(x, axis=(0, 3))],
    ),
    "in stages": (
        (2, 30_001),
        lambda of, x: [of.sum(of.exp(of.tanh(x) * of.tanh(x + 1)), axis=1)],
    ),
}


def _results(
    results: list[gc.Node], inputs: list[gc.Node], arrays: list[Array]
) -> list[list[Array]]:
    """The results for one thread and for three."""
    function = gc.function(inputs, results)
    values = {node.name: array for node, array in zip(inputs, arrays, strict=True)}
    return [
        list(run_on_threads(function.program, values, threads, native().vector_bits).values())
        for threads in (1, 3)
    ]


def _check(found: list[list[Array]], exact: list[Any], most: float) -> None:
    for value, others, wanted in zip(found[0], zip(*found[1:], strict=True), exact, strict=True):
        error = np.max(np.abs(value - wanted) / np.abs(wanted))
        assert error <= most
        assert all(other.tobytes() == value.tobytes() for other in others)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", LONG)
def test_long_sums_keep_their_digits_at_any_number_of_threads(name: str, dtype: str) -> None:
    shape, sums = LONG[name]
    x = gc.Graph().input("x", shape, dtype)
    array = np.full(shape, TERM, DTYPES[dtype].numpy)
    exact = sums(np, array.astype(np.longdouble))
    _check(_results(sums(gc, x), [x], [array]), exact, MOST_ERROR[dtype])


# Rows, depth, columns, and which operands are read transposed.
PRODUCTS = [(*extents, *flags) for extents in [(3, 40_000, 5), (20, 5003, 33)] for flags in FLAGS]
PRODUCTS += [(1, 100_003, 1, False, False), (1, 20_000, 40, False, False)]
PRODUCTS += [(1, 20_000, 40, False, True), (40, 20_000, 1, True, False)]


@pytest.mark.parametrize(("rows", "depth", "columns", "transpose_x", "transpose_y"), PRODUCTS)
def test_deep_products_keep_their_digits_at_any_number_of_threads(
    rows: int, depth: int, columns: int, transpose_x: bool, transpose_y: bool
) -> None:
    dtype = "f32" if columns > 1 else "f64"
    graph = gc.Graph()
    shapes = [(depth, rows) if transpose_x else (rows, depth)]
    shapes.append((columns, depth) if transpose_y else (depth, columns))
    x, y = (graph.input(name, shape, dtype) for name, shape in zip("xy", shapes, strict=True))
    product = gc.matmul(x, y, transpose_x=transpose_x, transpose_y=transpose_y)
    arrays = [np.full(shape, 0.7, DTYPES[dtype].numpy) for shape in shapes]
    exact = np.longdouble(arrays[0].flat[0]) * np.longdouble(arrays[1].flat[0]) * depth
    _check(_results([product], [x, y], arrays), [exact], MOST_PRODUCT_ERROR[dtype])


@pytest.mark.parametrize(
    "apply",
    [
        lambda x, y: gc.softmax(x @ y * 1e-4),
        lambda x, y: (x * 2 + 1) @ (y * 3 + 1),
    ],
)
def test_what_goes_before_and_after_deep_products(apply: Callable[[Any, Any], Any]) -> None:
    graph = gc.Graph()
    shapes = [(37, 3001), (3001, 30)]
    x, y = (graph.input(name, shape) for name, shape in zip("xy", shapes, strict=True))
    random = np.random.default_rng(0)
    arrays = [random.random(shape, dtype=np.float32) for shape in shapes]
    result = apply(x, y)
    wide = gc.Graph()
    inputs = [wide.input(name, shape, "f64") for name, shape in zip("xy", shapes, strict=True)]
    exact = gc.function(inputs, apply(*inputs), mode="reference")(
        *[array.astype(np.float64) for array in arrays]
    )
    _check(_results([result], [x, y], arrays), [exact], 2e-6)


BORDERS = [0, 1, 256, 257, 321, 4096, 4097, 6145, 65_536, 65_537]


def _digits(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(0).integers(0, 9, shape)


@pytest.mark.parametrize("dtype", ["f32", "i64"])
def test_every_term_counts_once_wherever_blocks_end(dtype: str) -> None:
    """Sums of small integers are exact in any order."""
    kind = DTYPES[dtype].numpy
    graph = gc.Graph()
    x = graph.input("x", (BORDERS[-1],), dtype)
    y = graph.input("y", (4097, 18), dtype)
    arrays = [
        np.random.default_rng(0).integers(0, 9, node.type.dims).astype(kind) for node in (x, y)
    ]
    lengths = [256, 257, 321, 4097]

    def sums(of: Any, x: Any, y: Any) -> list[Any]:
        found = [of.sum(x[:n]) for n in BORDERS]
        found += [of.sum(y[:n], axis=0) for n in lengths]
        return found + [of.sum(of.reshape(y, (2, 4097, 9))[:, :n], axis=1) for n in lengths]

    for found in _results(sums(gc, x, y), [x, y], arrays):
        for value, exact in zip(found, sums(np, *arrays), strict=True):
            np.testing.assert_array_equal(value, exact)


def test_depths_at_the_borders_of_blocks() -> None:
    graph = gc.Graph()
    x, y = graph.input("x", (3, 4097)), graph.input("y", (4097, 18))
    depths = [1, 1023, 1024, 1025, 1536, 1537, 4097]
    arrays = [_digits(node.type.dims).astype("f4") for node in (x, y)]

    def products(x: Any, y: Any) -> list[Any]:
        return [x[:, :depth] @ y[:depth] for depth in depths]

    for found in _results(products(x, y), [x, y], arrays):
        for value, exact in zip(found, products(*arrays), strict=True):
            np.testing.assert_array_equal(value, exact)


def test_nan_and_infinity_in_any_block() -> None:
    x = gc.Graph().input("x", (5, 9001))
    array = np.ones((5, 9001), np.float32)
    array[1, 8999] = np.nan
    array[2, 5000] = np.inf
    array[3, [7, 8000]] = np.inf, -np.inf
    array[4, 0] = -np.inf
    for found in _results([gc.sum(x, axis=1), gc.sum(gc.transpose(x), axis=0)], [x], [array]):
        for value in found:
            np.testing.assert_array_equal(value, [9001, np.nan, np.inf, np.nan, -np.inf])


@pytest.mark.parametrize(
    "make",
    [
        lambda graph: gc.sum(graph.input("x", (1_000_000,))),
        lambda graph: gc.mean(gc.square(graph.input("x", (300_000,)))),
        lambda graph: gc.logsumexp(graph.input("x", (300_000,))),
        lambda graph: graph.input("x", (1, 300_000)) @ graph.input("y", (300_000, 1)),
        lambda graph: graph.input("x", (8, 300_000)) @ graph.input("y", (300_000, 9)),
    ],
)
def test_threads_share_what_is_long(make: Callable[[gc.Graph], gc.Node]) -> None:
    graph = gc.Graph()
    result = make(graph)
    function = gc.function(list(graph.inputs.values()), result)
    plan = compile_program(function.program, Options({}, True, native().vector_bits, 2)).plan
    whole = sum(each.source.cycles for each in plan.instructions)
    shared = sum(each.source.cycles for each in plan.instructions if each.shared)
    assert shared > 0.9 * whole


SHAPES = [((1,), 0), ((3,), 0), ((16,), 0), ((5000,), 0), ((70_000,), 0), ((4, 1), 1), ((1, 4), 0)]
SHAPES += [((4, 3), 0), ((4, 3), 1), ((40, 300), 0), ((600, 3), 0), ((3, 600, 20), 1), ((2, 0), 1)]


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("mode", ["reference", "compiled"])
def test_a_sum_begins_at_zero_and_is_never_minus_zero(mode: Any, fuse: bool) -> None:
    graph = gc.Graph()
    inputs = [graph.input(f"x{number}", shape) for number, (shape, _) in enumerate(SHAPES)]
    sums = [gc.sum(x, axis) for x, (_, axis) in zip(inputs, SHAPES, strict=True)]
    sums += [gc.sum(x * 2, axis) for x, (_, axis) in zip(inputs, SHAPES, strict=True)]
    arrays = [np.full(shape, -0.0, np.float32) for shape, _ in SHAPES]
    for value in gc.function(inputs, sums, mode=mode, fuse=fuse)(*arrays):
        assert not np.signbit(value).any()
        assert not value.any()


def test_an_epilogue_reduces_short_blocks_of_a_tall_product() -> None:
    graph = gc.Graph()
    x, w = graph.input("x", (60_000, 4)), graph.input("w", (4, 3))
    loss = gc.sum(gc.square(x @ w))
    first = compilation(gc.function([x, w], loss).program).groups[0]
    assert any(node.op.name == "sum" for node in first.nodes)
    arrays = [np.full((60_000, 4), TERM, np.float32), np.eye(4, 3, dtype=np.float32)]
    arrays[0][:, 3] = 0
    exact = np.longdouble(np.square(arrays[0][0, 0])) * 180_000
    _check(_results([loss], [x, w], arrays), [exact], MOST_ERROR["f32"])
