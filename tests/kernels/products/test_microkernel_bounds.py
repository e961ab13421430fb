"""Microkernels touch the elements that they multiply and store, and no byte beside them.

Their operands stand between pages that must not be touched: what a vector reads beyond its row, or
what is fetched of indices that are not there, ends the process.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest

from graphc.ir.nodes.lowering import Digit
from graphc.ir.nodes.op import Array
from graphc.kernels.loops.language.source import Microkernel
from graphc.kernels.native.llvm import compile_ir, default_target
from graphc.kernels.products.microkernels.copy_microkernel import copy_microkernel
from graphc.kernels.products.microkernels.inner_microkernel import inner_microkernel
from graphc.kernels.products.microkernels.microkernel import (
    ITEM_BYTES,
    Indices,
    microkernel,
    padded_columns,
    transpose_microkernel,
)
from graphc.kernels.products.microkernels.window_microkernel import window_microkernel
from graphc.kernels.run.memory import data_address
from tests.guarded import SIDES, Side, guarded

FUNCTIONS = {"f32": np.float32, "f64": np.float64}
INDEX_DTYPES = {"u8": np.uint8, "i32": np.int32, "i64": np.int64}
TABLE_ROWS = 200  # indices of a byte are not negative
ROWS, COLUMNS = 3, (1, 5, 19)
WORDS = ctypes.c_int64

Caller = Callable[..., None]


def lanes_of(dtype: str) -> int:
    return default_target().vector_bits // (8 * ITEM_BYTES[dtype])


def _caller(kernel: Microkernel) -> Caller:
    """The microkernel, called with arrays and numbers."""
    compiled = compile_ir(kernel.llvm_ir)
    count = 10 if kernel.is_indexed else 8
    function = ctypes.CFUNCTYPE(None, *[WORDS] * count)(compiled.address(kernel.name))

    def call(*arguments: Array | int) -> None:
        function(*(data_address(a) if isinstance(a, np.ndarray) else a for a in arguments))
        assert compiled  # its code is there as long as this

    return call


def _whole_numbers(rng: np.random.Generator, dtype: str, *shape: int) -> Array:
    """Whose sums and products are exact."""
    return rng.integers(-4, 5, shape).astype(FUNCTIONS[dtype])


def _depths(lanes: int) -> list[int]:
    return sorted({0, 1, 2, 3, 4, 5, lanes - 1, lanes, lanes + 1, 2 * lanes + 3})


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("dtype", FUNCTIONS)
@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize("form", ["outer", "inner"])
def test_products(form: str, columns: int, dtype: str, side: Side) -> None:
    lanes, rng = lanes_of(dtype), np.random.default_rng(columns)
    make = microkernel if form == "outer" else inner_microkernel
    call = _caller(make(dtype, ROWS, columns, lanes))
    stride = padded_columns(dtype, columns, lanes) if form == "outer" else columns
    for depth in _depths(lanes):
        x, w = (
            _whole_numbers(rng, dtype, ROWS, depth),
            _whole_numbers(rng, dtype, depth, columns),
        )
        right = w if form == "outer" else np.ascontiguousarray(w.T)
        a, b = (guarded(each, side, writable=False) for each in (x, right))
        c = guarded(np.full((ROWS, stride), np.nan, FUNCTIONS[dtype]), side)
        call(depth, a, depth, 1, b, columns if form == "outer" else depth, c, stride)
        np.testing.assert_array_equal(c[:, :columns], x @ w)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    ("along", "form"),
    [("a_rows", "outer"), ("a_rows", "inner"), ("a_depth", "outer"), ("b_depth", "outer")],
)
@pytest.mark.parametrize(("dtype", "index"), [("f32", "u8"), ("f32", "i64"), ("f64", "i32")])
def test_products_of_rows_by_index(
    dtype: str, index: str, along: str, form: str, side: Side
) -> None:
    """Of the last tile, behind which there are no indices, and of one with another behind it."""
    lanes, rng, columns = lanes_of(dtype), np.random.default_rng(3), 5
    indices = Indices(along, index)  # type: ignore[arg-type]
    make = microkernel if form == "outer" else inner_microkernel
    call = _caller(make(dtype, ROWS, columns, lanes, indices))
    stride = padded_columns(dtype, columns, lanes) if form == "outer" else columns
    for depth in _depths(lanes)[1:]:
        for ahead in (0, ROWS) if along == "a_rows" else (0,):
            count = ROWS + ahead if along == "a_rows" else depth
            chosen = rng.integers(0, TABLE_ROWS, count).astype(INDEX_DTYPES[index])
            width = {"a_rows": depth, "a_depth": ROWS, "b_depth": columns}[along]
            table = _whole_numbers(rng, dtype, TABLE_ROWS, width)
            x, w = (
                _whole_numbers(rng, dtype, ROWS, depth),
                _whole_numbers(rng, dtype, depth, columns),
            )
            a, a_row, a_depth = x, depth, 1
            b, b_stride = (w, columns) if form == "outer" else (np.ascontiguousarray(w.T), depth)
            if along == "a_rows":
                a, x = table, table[chosen[:ROWS]]
            elif along == "a_depth":
                a, a_row, a_depth, x = table, 1, ROWS, table[chosen].T
            else:
                b, w = table, table[chosen]
            a, b, chosen = (guarded(each, side, writable=False) for each in (a, b, chosen))
            c = guarded(np.full((ROWS, stride), np.nan, FUNCTIONS[dtype]), side)
            call(depth, a, a_row, a_depth, b, b_stride, c, stride, chosen, ahead)
            np.testing.assert_array_equal(c[:, :columns], x @ w)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("dtype", FUNCTIONS)
@pytest.mark.parametrize("outer", [(), (1,), (3,), (2, 3), (1, 2, 3)])
def test_products_of_windows(outer: tuple[int, ...], dtype: str, side: Side) -> None:
    """Of rows anywhere, whose depth has `outer` axes, the nearest first, around the innermost."""
    lanes, rng, columns = lanes_of(dtype), np.random.default_rng(4), 5
    call = _caller(window_microkernel(dtype, ROWS, columns, lanes, len(outer)))
    stride = padded_columns(dtype, columns, lanes)
    for inner in (0, 1, 2, 5):
        # Every second step, and rows that follow each other in reverse.
        x = _whole_numbers(rng, dtype, *outer[::-1], 2 * inner, ROWS)
        steps = [each // x.itemsize for each in x.strides[:-2][::-1]]
        taken = x[..., ::2, ::-1].reshape(-1, ROWS)
        w = _whole_numbers(rng, dtype, len(taken), columns)
        entries = [each for pair in zip(outer, steps, strict=True) for each in pair]
        places = np.array([*entries, *range(ROWS)[::-1]], np.int64)
        # No step of the last element is taken, so what is read ends with it.
        last = x.reshape(-1)[: max(x.size - ROWS, 0)]
        a, b, places = (guarded(each, side, writable=False) for each in (last, w, places))
        c = guarded(np.full((ROWS, stride), np.nan, FUNCTIONS[dtype]), side)
        call(inner, a, 0, 2 * ROWS, b, columns, c, stride, places, 0)
        np.testing.assert_array_equal(c[:, :columns], taken.T @ w)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("dtype", FUNCTIONS)
@pytest.mark.parametrize("rows", [6, 4])
def test_products_of_windows_whose_rows_are_known(rows: int, dtype: str, side: Side) -> None:
    """Two lines of three, in reverse; a tile may end within the second."""
    lanes, rng, columns, depth = lanes_of(dtype), np.random.default_rng(4), 5, 4
    digits = (Digit(2, 10), Digit(3, -2))
    call = _caller(window_microkernel(dtype, rows, columns, lanes, 1, digits))
    stride = padded_columns(dtype, columns, lanes)
    starts = np.array([4, 2, 0, 14, 12, 10])[:rows]
    # Two turns of `depth` steps, which read every element between the first and the last of a row.
    x = _whole_numbers(rng, dtype, starts.max() + 2 * depth)
    taken = np.stack([x[start : start + 2 * depth] for start in starts])
    w = _whole_numbers(rng, dtype, 2 * depth, columns)
    places = guarded(np.array([2, depth], np.int64), side, writable=False)
    a, b = (guarded(each, side, writable=False) for each in (x, w))
    c = guarded(np.full((rows, stride), np.nan, FUNCTIONS[dtype]), side)
    call(depth, a[starts[0] :], 0, 1, b, columns, c, stride, places, 0)
    np.testing.assert_array_equal(c[:, :columns], taken @ w)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("dtype", FUNCTIONS)
@pytest.mark.parametrize("columns", (*COLUMNS, 32))
def test_transposes(columns: int, dtype: str, side: Side) -> None:
    widest, rng = lanes_of(dtype), np.random.default_rng(columns)
    for lanes in sorted({1, 2, widest // 2, widest}):
        call = _caller(transpose_microkernel(dtype, columns, lanes))
        stride = -(-columns // lanes) * lanes
        for depth in (lanes, lanes + 1, 2 * lanes, 3 * lanes - 1):
            x = _whole_numbers(rng, dtype, columns, depth)
            a = guarded(x, side, writable=False)
            c = guarded(np.full((depth, stride), np.nan, FUNCTIONS[dtype]), side)
            call(depth, a, depth, 1, a, 0, c, stride)
            np.testing.assert_array_equal(c[:, :columns], x.T)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("dtype", FUNCTIONS)
@pytest.mark.parametrize("rows", [1, 3, 4, 6, 11])
def test_copies_of_rows(rows: int, dtype: str, side: Side) -> None:
    """Of some rows of more that stand side by side."""
    lanes, rng = lanes_of(dtype), np.random.default_rng(rows)
    call = _caller(copy_microkernel(dtype, rows, lanes))
    stride = padded_columns(dtype, rows, lanes)
    for depth in (1, 2, 5):
        x = _whole_numbers(rng, dtype, depth, rows + 2)
        # Before the first and behind the last of them nothing is read.
        inside = x.reshape(-1)[1 : x.size - 1]
        a = guarded(inside, side, writable=False)
        c = guarded(np.full((depth, stride), np.nan, FUNCTIONS[dtype]), side)
        call(depth, a, 1, rows + 2, a, 0, c, stride)
        np.testing.assert_array_equal(c[:, :rows], x[:, 1 : rows + 1])
