"""Zeros keep the sign that IEEE 754 gives them: in the reference and in kernels, fused or not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.load.assemble import compiled
from graphc.compiler.load.native import LoadedProgram
from graphc.compiler.options import Options
from graphc.compiler.pipeline import compile_program
from graphc.compiler.plan import sharing
from graphc.ir.functions import build
from graphc.ir.graph import Program
from graphc.ir.ops import random
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import indexed, movement
from graphc.ir.reference import run_program
from graphc.ir.types import DType, f32, f64
from graphc.kernels.host.vector_width import VECTOR_BITS
from graphc.kernels.loops import thread_blocks
from graphc.kernels.native.llvm import host_vector_bits
from tests.compiler.execution import run_loaded

ZEROS = [[0.0, -0.0, 0.0], [-0.0, 0.0, -0.0], [-0.0, -0.0, -0.0], [-0.0, -1.0, -2.0]] * 5
SIGNS = [[0.0, 0.0, -0.0], [-0.0, -0.0, -0.0], [0.0, 0.0, 0.0], [1.0, -0.0, 0.0]] * 5
Build = Callable[[gc.Node, gc.Node], gc.Node]


def _negative(x: Any, y: Any) -> Any:
    return np.signbit(x) & np.signbit(y)


def _positive(x: Any, y: Any) -> Any:
    return np.zeros(1, bool)


def _positive_row(x: Any, y: Any) -> Any:
    return np.zeros(len(x), bool)


def _rows(x: gc.Node) -> gc.Node:
    """Indices of six rows, several times each."""
    return x.graph.constant(np.arange(20, dtype=np.int32) % 6, "i32")


def _embedded(x: Any) -> Any:
    zeros = np.zeros((22, 8), x.dtype)
    zeros[1:21, 2:8:2] = x
    return zeros


# name: the value of two tensors of zeros, where its zeros are negative (None: where they may be)
CASES: dict[str, tuple[Build, Callable[[Any, Any], Any] | None]] = {
    "add": (lambda x, y: x + y, _negative),
    "subtract": (lambda x, y: x - y, lambda x, y: np.signbit(x) & ~np.signbit(y)),
    "multiply": (lambda x, y: x * y, lambda x, y: np.signbit(x) ^ np.signbit(y)),
    "negate": (lambda x, y: -x, lambda x, y: ~np.signbit(x)),
    "maximum": (ops.maximum, _negative),
    "minimum": (ops.minimum, lambda x, y: np.signbit(x) | np.signbit(y)),
    "relu": (lambda x, y: ops.relu(x), lambda x, y: np.zeros_like(x, bool)),
    "relu by hand": (lambda x, y: ops.maximum(x, 0.0), lambda x, y: np.zeros_like(x, bool)),
    "leaky_relu": (lambda x, y: build.leaky_relu(x, 0.1), lambda x, y: np.signbit(x)),
    "abs": (lambda x, y: abs(x), lambda x, y: np.zeros_like(x, bool)),
    "sign": (lambda x, y: ops.sign(x), lambda x, y: x < 0),
    "weigh": (ops.weigh, None),
    "sqrt": (lambda x, y: ops.sqrt(x), None),
    "tanh": (lambda x, y: ops.tanh(x), lambda x, y: np.signbit(x)),
    "sin": (lambda x, y: ops.sin(x), lambda x, y: np.signbit(x)),
    "expm1": (lambda x, y: ops.expm1(x), lambda x, y: np.signbit(x)),
    "log1p": (lambda x, y: ops.log1p(x), None),
    "elu": (lambda x, y: build.elu(x), lambda x, y: np.signbit(x)),
    "where": (lambda x, y: ops.where(y > 0, y, x), None),
    "reversed": (lambda x, y: x[:, ::-1] * 1.0, lambda x, y: np.signbit(x[:, ::-1])),
    "concatenate": (
        lambda x, y: build.concatenate([x, y]), lambda x, y: np.signbit(np.concatenate([x, y])),
    ),
    "take": (lambda x, y: build.take(x, [1, 0, 2], 1), lambda x, y: np.signbit(x[:, [1, 0, 2]])),
    "pick": (lambda x, y: build.pick(x, [0, 1, 2, 0] * 5), lambda x, y: np.signbit(
        x[np.arange(20), [0, 1, 2, 0] * 5])),
    "gather": (lambda x, y: build.gather(x, [0, 1, 2], 0), lambda x, y: np.signbit(
        x[[0, 1, 2], [0, 1, 2]])),
    "rows by index": (lambda x, y: build.take(x, [3, 0, 3], 0), lambda x, y: np.signbit(
        x[[3, 0, 3]])),
    "zeros around": (lambda x, y: movement.embed(x, starts=(1, 2), steps=(1, 2), shape=(22, 8)),
                     lambda x, y: np.signbit(_embedded(x))),
    "scatter_add": (lambda x, y: indexed.scatter_add(
        x, _rows(x), axis=0, shape=(6, 3)), _positive),
    "index_add": (lambda x, y: indexed.index_add(y[:6], x, _rows(x), axis=0), None),
    "where rows are added to": (lambda x, y: indexed.index_add(y, x[:1], _rows(x)[:1], axis=0),
                                None),
    "square": (lambda x, y: gc.square(x), _positive),
    "cube": (lambda x, y: x**3, lambda x, y: np.signbit(x)),
    "power": (ops.power, lambda x, y: (y == 1) & np.signbit(x)),
    "divide": (lambda x, y: x / (y + 2), lambda x, y: np.signbit(x)),
    "quotient of an infinity": (lambda x, y: x / np.inf, lambda x, y: np.signbit(x)),
    "underflow": (lambda x, y: (x - 1e-30) * 1e-300, lambda x, y: np.ones_like(x, bool)),
    "to f64 and back": (lambda x, y: build.cast(build.cast(x, "f64"), "f32"),
                        lambda x, y: np.signbit(x)),
    "to f32": (lambda x, y: build.cast(x * 1e-60, "f32"), lambda x, y: np.signbit(x)),
    "to i32 and back": (lambda x, y: build.cast(build.cast(x, "i32"), "f32"), _positive),
    "of a bool": (lambda x, y: build.cast(x > 0, "f32"), _positive),
    "clip": (lambda x, y: ops.minimum(ops.maximum(x, -0.0), 1.0), lambda x, y: np.signbit(x)),
    "softplus": (lambda x, y: gc.softplus(x * 1e5 - 1e9), _positive),
    "dropout": (lambda x, y: random.dropout(x, x.graph.constant(7, "i64"), rate=0.5), None),
    "sum": (lambda x, y: build.sum(x, 1), _positive_row),
    "sum of one": (lambda x, y: build.sum(x[:, :1], 1), _positive_row),
    "mean": (lambda x, y: build.mean(x, 0), lambda x, y: np.zeros(3, bool)),
    "product": (lambda x, y: build.matmul(x, y, transpose_y=True), None),
    "product of one term": (lambda x, y: x[:, :1] @ y[:1, :], None),
    "product of a vector": (lambda x, y: x @ y[0], None),
    "softmax": (lambda x, y: build.softmax(x * 1e9, 1), _positive),
    "log_softmax": (lambda x, y: build.log_softmax(x * 1e9 - x, 1), _positive),
    "logsumexp": (lambda x, y: build.logsumexp(x[:, :1], 1), _positive_row),
    "norm": (lambda x, y: ops.sqrt(build.sum(x * x, 1)), _positive_row),
    "normalized": (lambda x, y: (x - build.mean(x, 1, True))
                   / ops.sqrt(build.mean(gc.square(x - build.mean(x, 1, True)), 1, True) + 1e-5),
                   None),
}  # fmt: skip
EXTREMES = (build.max, build.min)
# Shapes, and the axes of an extreme: rows short and long, alone and in strips, columns, all.
EXTREME_SHAPES: tuple[tuple[tuple[int, ...], Any], ...] = (
    ((20, 3), 1), ((20, 10), 1), ((20, 17), 1), ((6, 300), 1), ((3, 4096), 1), ((5000,), 0),
    ((40, 7), 0), ((70, 33), 0), ((30, 20), None), ((2, 6, 9), 1), ((2, 6, 9), (0, 2)),
    ((5, 1), 1), ((1, 5), 0), ((1,), 0),
)  # fmt: skip


def _images(x: gc.Node) -> gc.Node:
    return build.reshape(x, (1, 6, 5, 2))


def _scanned(step: Callable[[gc.Node, gc.Node], gc.Node]) -> Build:
    """All carries of a loop over the rows of x."""

    def body(carry: gc.Node, row: gc.Node) -> tuple[gc.Node, gc.Node]:
        after = step(carry, row)
        return after, after

    return lambda x, y: gc.scan(body, y[0], x)[1]


# The same of ops whose kernels are not those of loops and products: reference and kernels agree.
IN_ORDER: dict[str, Build] = {
    "cumsum": lambda x, y: gc.cumsum(x, 0),
    "cumsum of rows": lambda x, y: gc.cumsum(x, 1),
    "cumprod": lambda x, y: gc.cumprod(x, 1),
    "sort": lambda x, y: gc.sort(x, 0),
    "top_k": lambda x, y: gc.top_k(x, 2)[0],
    "by argsort": lambda x, y: gc.take_along_axis(x, gc.argsort(x, 1), 1),
    "max_pool": lambda x, y: gc.max_pool(_images(x), 2),
    "max_pool, padded": lambda x, y: gc.max_pool(_images(x), 3, 1, "same"),
    "average_pool": lambda x, y: gc.average_pool(_images(x), 2),
    "resized": lambda x, y: gc.resize(_images(x), (7, 7), "bilinear"),
    "convolution": lambda x, y: gc.conv(
        _images(x), x.graph.constant(-np.ones((2, 2, 2, 3)), x.dtype)
    ),
    "scan of sums": _scanned(lambda carry, row: carry + row),
    "scan of products": _scanned(lambda carry, row: carry * row),
    "scan of extremes": _scanned(ops.maximum),
    "scan of slopes": _scanned(lambda carry, row: ops.relu(carry - row) * row),
    "attention": lambda x, y: gc.nn.attention(x, y, -abs(x) * 0.0),
    "causal attention": lambda x, y: gc.nn.attention(x, y, x * 0.0, causal=True),
    "slope of sort": lambda x, y: gc.grad(gc.sum(gc.sort(x, 1) * x), x),
    "slope of cumsum": lambda x, y: gc.grad(gc.sum(gc.cumsum(x, 1) * x), x),
    "slope of max_pool": lambda x, y: gc.grad(-gc.sum(gc.max_pool(_images(x), 2)), x),
    "slope of a scan": lambda x, y: gc.grad(
        gc.sum(_scanned(lambda carry, row: carry * row)(x, y)), x
    ),
}


def _widths() -> list[int]:
    return [bits for bits in VECTOR_BITS if bits <= host_vector_bits()]


def _assert_same_zeros(program: Program, given: dict[str, Any], options: Options) -> None:
    """Zeros of the compiled program have the signs that they have in the reference."""
    expected, _ = run_program(program, given, {})
    found = run_loaded(LoadedProgram(compiled(compile_program(program, options)), {}), given)
    for name, value in expected.items():
        zero = value == 0
        np.testing.assert_array_equal(found[name][zero], 0, name)
        np.testing.assert_array_equal(
            np.signbit(found[name])[zero], np.signbit(value)[zero], f"{name}, {options}"
        )


@pytest.fixture
def small_shares(monkeypatch: pytest.MonkeyPatch, tasks_of_a_tile: None) -> None:
    """Threads share small tensors too."""
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_CYCLES", 1)
    monkeypatch.setattr(thread_blocks, "SMALLEST_BLOCK_ELEMENTS", 64)
    monkeypatch.setattr(sharing, "SURELY_SHARED_CYCLES", 0)


# Vectors of all widths and shares of threads in f32; of f64 what is longest.
EVERYWHERE = [
    pytest.param(bits, threads, fuse, dtype, id=f"{dtype}-{bits}-{threads}-{fuse}")
    for dtype, widths, shared in ((f32, _widths(), (1, 2)), (f64, _widths()[-1:], (2,)))
    for bits in widths
    for threads in shared
    for fuse in (True, False)
]


@pytest.mark.parametrize("dtype", [f32, f64], ids=str)
def test_the_reference_has_the_signs_that_are_stated(dtype: DType) -> None:
    program, given = _of_zeros(dtype)
    outputs, _ = run_program(program, given, {})
    for name, (_, wanted) in CASES.items():
        if wanted is not None:
            zero = outputs[name] == 0
            assert zero.any(), name
            expected = np.broadcast_to(wanted(*given.values()), zero.shape)
            np.testing.assert_array_equal(np.signbit(outputs[name])[zero], expected[zero], name)


def _of_zeros(dtype: DType) -> tuple[Program, dict[str, Any]]:
    graph = gc.Graph()
    x, y = graph.input("x", (20, 3), dtype), graph.input("y", (20, 3), dtype)
    outputs = {name: function(x, y) for name, (function, _) in CASES.items()}
    given = {"x": np.array(ZEROS, dtype.numpy), "y": np.array(SIGNS, dtype.numpy)}
    return gc.function([x, y], outputs).program, given


@pytest.mark.parametrize(("bits", "threads", "fuse", "dtype"), EVERYWHERE)
@pytest.mark.usefixtures("small_shares")
def test_zeros_have_one_sign_everywhere(bits: int, threads: int, fuse: bool, dtype: DType) -> None:
    program, given = _of_zeros(dtype)
    _assert_same_zeros(program, given, Options({}, fuse, bits, threads))


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.usefixtures("small_shares")
def test_zeros_of_loops_windows_and_lines_in_order(fuse: bool) -> None:
    graph = gc.Graph()
    x, y = graph.input("x", (20, 3)), graph.input("y", (20, 3))
    program = gc.function([x, y], {name: made(x, y) for name, made in IN_ORDER.items()}).program
    given = {"x": np.array(ZEROS, "f4"), "y": np.array(SIGNS, "f4")}
    _assert_same_zeros(program, given, Options({}, fuse, host_vector_bits(), 2))


def _of_extremes(dtype: DType) -> tuple[Program, dict[str, Any]]:
    """max and min over axes of zeros of both signs, as stored, moved, computed and multiplied.

    By turns: each shape and each layout has both, but not each pair of them.
    """
    graph = gc.Graph()
    rng = np.random.default_rng(5)
    outputs: dict[str, gc.Node] = {}
    given: dict[str, Any] = {}
    for number, (shape, axis) in enumerate(EXTREME_SHAPES):
        for turn, (extreme, other) in enumerate(zip(EXTREMES, (-1.0, 1.0), strict=True)):
            x = graph.input(f"{extreme.__name__}_of_{number}", shape, dtype)
            given[x.name] = rng.choice(np.array([0.0, -0.0, other], dtype.numpy), shape)
            turned = None if axis is None else -1 if isinstance(axis, tuple) else -1 - axis
            layouts: tuple[tuple[str, Callable[[], gc.Node]], ...] = (
                ("stored", partial(extreme, x, axis)),
                ("kept", partial(extreme, x, axis, keepdims=True)),
                ("transposed", partial(extreme, build.transpose(x), turned)),
                ("reversed", partial(extreme, x[::-1], axis)),
                ("computed", partial(extreme, -x if other > 0 else x * 0.5, axis)),
                ("filled", partial(extreme, build.broadcast_to(x[(0,) * x.rank], (4, 3)), 1)),
            )
            for name, layout in layouts[(number + turn) % 2 :: 2]:
                outputs[f"{x.name} {name}"] = layout()
    w = graph.input("w", (24, 16), dtype)
    given[w.name] = rng.choice(np.array([0.0, -0.0], dtype.numpy), w.type.dims)
    product = w @ build.transpose(w)
    for axis in (0, 1, None):
        outputs[f"of a product over {axis}"] = build.max(-product, axis)
    return gc.function(list(graph.inputs.values()), outputs).program, given


@pytest.mark.parametrize(("bits", "threads", "fuse", "dtype"), EVERYWHERE)
@pytest.mark.usefixtures("small_shares")
def test_zeros_of_extremes_over_axes_are_positive(
    bits: int, threads: int, fuse: bool, dtype: DType
) -> None:
    program, given = _of_extremes(dtype)
    expected, _ = run_program(program, given, {})
    for name, value in expected.items():
        assert not np.signbit(value)[value == 0].any(), name
    _assert_same_zeros(program, given, Options({}, fuse, bits, threads))
