"""Contractions: generated source, and the bits that it computes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from graphc.kernels.loops.language.statements import printed
from graphc.kernels.native.jit.kernel_compiler import KernelCompiler
from graphc.kernels.native.llvm import host_vector_bits
from graphc.kernels.products.contraction import Contraction, MatrixAccess, Tiling, column_parts
from graphc.kernels.products.microkernels.inner_microkernel import inner_microkernel
from graphc.kernels.products.microkernels.microkernel import (
    ITEM_BYTES,
    microkernel,
    transpose_microkernel,
)
from graphc.kernels.products.tiles.tile_source import ContractionSource, contraction_source
from graphc.kernels.products.tilings.tiling import choose_tiling
from tests.kernels.products.contractions import add_bias, check, compile_contraction, plain, run


@pytest.fixture(scope="module")
def compiler() -> KernelCompiler:
    return KernelCompiler()


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("columns", [1, 2, 15, 16, 17, 50, 67])
def test_every_width_against_numpy(compiler: KernelCompiler, dtype: str, columns: int) -> None:
    check(compiler, *plain(dtype, 13, 21, columns))


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9, 31, 100])
def test_every_height_against_numpy(compiler: KernelCompiler, rows: int) -> None:
    check(compiler, *plain("f32", rows, 19, 35))


@pytest.mark.parametrize("right", ["rows", "columns"])
@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4, 15, 16, 17, 33])
def test_every_depth_against_numpy(compiler: KernelCompiler, depth: int, right: str) -> None:
    check(compiler, *plain("f32", 9, depth, 23, right=right), threads=(1, 2))


LAYOUTS = ["rows", "columns", "reversed", "spread", "broadcast"]


@pytest.mark.parametrize("left", LAYOUTS)
@pytest.mark.parametrize("right", LAYOUTS)
def test_layouts_against_numpy(compiler: KernelCompiler, left: str, right: str) -> None:
    check(compiler, *plain("f32", 11, 18, 37, left, right), threads=(1, 2))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_in_f64(compiler: KernelCompiler, layout: str) -> None:
    check(compiler, *plain("f64", 11, 18, 37, layout, layout), threads=(1, 2))


@pytest.mark.parametrize("left", ["rows", "columns", "spread"])
@pytest.mark.parametrize(("rows", "columns"), [(40, 1), (1, 40), (3, 70), (70, 3), (1, 1)])
def test_thin_results_against_numpy(
    compiler: KernelCompiler, left: str, rows: int, columns: int
) -> None:
    for right in ("rows", "columns"):
        check(compiler, *plain("f32", rows, 45, columns, left, right), threads=(1, 2))


@pytest.mark.parametrize(
    ("rows", "depth", "columns", "left", "right"),
    [
        (100, 784, 50, "rows", "rows"),
        (100, 50, 10, "rows", "rows"),
        (100, 10, 50, "rows", "columns"),
        (784, 100, 50, "columns", "rows"),
        (256, 256, 512, "columns", "columns"),
    ],
)
def test_network_shapes_against_numpy(
    compiler: KernelCompiler, rows: int, depth: int, columns: int, left: str, right: str
) -> None:
    check(compiler, *plain("f32", rows, depth, columns, left, right))


@pytest.mark.parametrize(("rows", "columns", "batch"), [(0, 5, (2,)), (5, 0, ()), (5, 5, (0, 3))])
def test_empty_result_has_no_statements(rows: int, columns: int, batch: tuple[int, ...]) -> None:
    access = MatrixAccess("x", 0, (0,) * len(batch), 4, 1)
    contraction = Contraction("f32", batch, rows, columns, 4, access, replace(access, buffer="w"))
    tiling = choose_tiling(contraction, 256)
    source = contraction_source(contraction, tiling, add_bias(1, 1, batch))
    assert source == ContractionSource((), (), 0, splits=False)


@pytest.mark.parametrize(
    ("left_batch", "right_batch"),
    [((0, 1), (1, 1)), ((1, 1), (0, 0)), ((1, 0), (0, 1)), ((1, 1), (1, 1))],
)
@pytest.mark.parametrize("right_transposed", [False, True])
def test_batches_and_broadcast_batches(
    compiler: KernelCompiler,
    left_batch: tuple[int, int],
    right_batch: tuple[int, int],
    right_transposed: bool,
) -> None:
    batch, rows, depth, columns = (2, 3), 7, 9, 20
    left_strides = tuple(
        flag * stride for flag, stride in zip(left_batch, (3 * 63, 63), strict=True)
    )
    right_strides = tuple(
        flag * stride for flag, stride in zip(right_batch, (3 * 180, 180), strict=True)
    )
    inner = (1, depth) if right_transposed else (columns, 1)
    contraction = Contraction(
        *("f32", batch, rows, columns, depth),
        MatrixAccess("x", 0, left_strides, depth, 1),
        MatrixAccess("w", 0, right_strides, *inner),
    )
    check(compiler, contraction, (6 * 63, 6 * 180))


def forced(contraction: Contraction, **fields: Any) -> Tiling:
    """A tiling that the model would not choose."""
    lanes = 16 if contraction.dtype == "f32" else 8
    everything = max(contraction.rows, contraction.columns)
    base = Tiling("outer", False, 5, 2 * lanes, lanes, "none", everything, "forced")
    return replace(base, **fields)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize(
    ("right", "fields"),
    [
        ("rows", {"rows": 4, "rows_per_task": 8}),
        ("rows", {"packing": "copy", "rows_per_task": 10}),
        ("rows", {"by_rows": True, "rows_per_task": 12}),
        ("rows", {"by_rows": True, "rows_per_task": 9, "packing": "copy"}),
        ("columns", {"by_rows": True, "rows_per_task": 2, "packing": "transpose"}),
        ("rows", {"lanes": 4, "columns": 12}),
        ("rows", {"lanes": 8, "columns": 24, "rows": 3}),
        ("columns", {"packing": "transpose"}),
        ("columns", {"packing": "transpose", "lanes": 4, "columns": 8}),
        ("columns", {"packing": "copy"}),
        ("columns", {"form": "inner", "rows": 3, "columns": 4, "rows_per_task": 6}),
        ("columns", {"form": "inner", "rows": 1, "columns": 8, "lanes": 4}),
        ("columns", {"swapped": True, "packing": "transpose"}),
        (
            "rows",
            {"swapped": True, "by_rows": True, "rows_per_task": 9, "columns": 4, "packing": "copy"},
        ),
        (
            "rows",
            {
                "swapped": True,
                "by_rows": True,
                "rows_per_task": 12,
                "columns": 4,
                "packing": "copy",
            },
        ),
        ("columns", {"swapped": True, "form": "inner", "rows": 2, "columns": 5}),
    ],
)
def test_every_kind_of_tiling_is_right(
    compiler: KernelCompiler, dtype: str, right: str, fields: dict[str, Any]
) -> None:
    contraction, sizes = plain(dtype, 23, 29, 45, "rows", right)
    check(compiler, contraction, sizes, tiling=forced(contraction, **fields))


@pytest.mark.parametrize("threads", [2, 3, 5])
@pytest.mark.parametrize("left", ["rows", "columns"])
def test_products_that_threads_cut_by_rows(
    compiler: KernelCompiler, left: str, threads: int
) -> None:
    """A chunk a thread, each with a rest of its own; the same bits as the whole in one piece."""
    contraction, sizes = plain("f32", 37, 24, 45, left)
    # As on a host with wide vectors, whose tiles have few enough rows for a part of five.
    tiling = choose_tiling(contraction, 512, threads)
    assert tiling.by_rows and tiling.rows_per_task == -(-37 // threads)
    check(compiler, contraction, sizes, (1, 2, 3, threads), tiling)


@pytest.mark.parametrize(
    ("rows", "depth", "columns", "left", "by_rows"),
    [
        (4096, 64, 64, "rows", True),
        (4096, 64, 64, "columns", False),
        # Neither small nor tall.
        (250, 256, 256, "rows", False),
        (256, 64, 512, "rows", False),
    ],
)
def test_tall_products_are_cut_by_rows_too(
    rows: int, depth: int, columns: int, left: str, by_rows: bool
) -> None:
    contraction, _ = plain("f32", rows, depth, columns, left)
    tiling = choose_tiling(contraction, 512, 2)
    assert tiling.by_rows == by_rows
    assert tiling.rows_per_task == rows // 2 or not by_rows


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("left", ["rows", "columns"])
@pytest.mark.parametrize("right", ["rows", "columns"])
def test_the_last_columns_in_a_way_of_their_own(
    compiler: KernelCompiler, dtype: str, left: str, right: str, threads: int
) -> None:
    """The same bits at any number of threads: in which way does not depend on that."""
    lanes = compiler.target.vector_bits // (8 * ITEM_BYTES[dtype])
    contraction, sizes = plain(dtype, 97, 128, 3 * lanes + 2, left, right)
    tiling = choose_tiling(contraction, compiler.target.vector_bits, threads)
    alone = choose_tiling(contraction, compiler.target.vector_bits, 1)
    parts = [(each.form, each.rest and each.rest.form) for each in (tiling, alone)]
    assert parts[0] == parts[1]
    check(compiler, contraction, sizes, (1, 2, 3, threads), tiling)


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("form", ["outer", "inner"])
def test_forced_parts(compiler: KernelCompiler, form: str, swapped: bool) -> None:
    lanes = compiler.target.vector_bits // 32
    right = "columns" if form == "inner" and swapped else "rows"
    contraction, sizes = plain("f32", 23, 29, 2 * lanes + 3, "rows", right)
    packing = "copy" if right == "columns" else "none"
    main = forced(contraction, form="outer", rows=4, columns=lanes, lanes=lanes, packing=packing)
    rest_contraction = column_parts(contraction, replace(main, rest=main))[1]
    rest = forced(
        rest_contraction,
        form=form,
        swapped=swapped,
        rows=2,
        columns=3,
        lanes=lanes,
        packing="copy" if swapped or form == "inner" else "none",
        rows_per_task=2 if swapped else 8,
    )
    check(compiler, contraction, sizes, (1, 2, 3), replace(main, rest=rest))


def test_few_columns_behind_whole_vectors_are_apart() -> None:
    """A tile of 50 columns would leave most of its fourth vector unused."""
    forward, _ = plain("f32", 100, 784, 50)
    backward, _ = plain("f32", 64, 100, 50, "columns", "rows")
    for contraction, form, swapped in ((forward, "inner", False), (backward, "outer", True)):
        tiling = choose_tiling(contraction, 512)
        assert tiling.rest is not None
        assert (tiling.rest.form, tiling.rest.swapped) == (form, swapped)
        assert [part.columns for part in column_parts(contraction, tiling)] == [48, 2]
        assert "the last 2 of 50 columns apart" in tiling.reason
    whole, _ = plain("f32", 100, 784, 64)
    assert choose_tiling(whole, 512).rest is None


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_threads_get_equal_shares(threads: int) -> None:
    contraction, _ = plain("f32", 784, 128, 512, "columns", "rows")
    tiling = choose_tiling(contraction, 512, threads)
    rows, columns = contraction.rows, contraction.columns
    chunks = [min(tiling.rows_per_task, rows - r) for r in range(0, rows, tiling.rows_per_task)]
    panels = [min(tiling.columns, columns - c) for c in range(0, columns, tiling.columns)]
    tasks = [chunk * panel for panel in panels for chunk in chunks]
    limits = [thread * len(tasks) // threads for thread in range(threads + 1)]
    busiest = max(sum(tasks[start:end]) for start, end in pairwise(limits))
    assert busiest <= 1.1 * rows * columns / threads


@pytest.mark.parametrize("vector_bits", [128, 256])
def test_narrower_vectors(vector_bits: int) -> None:
    if vector_bits > host_vector_bits():
        pytest.skip(f"host has {host_vector_bits()}-bit vectors")
    narrow = KernelCompiler(vector_bits)
    for left, right in (("rows", "rows"), ("columns", "columns"), ("rows", "columns")):
        contraction, sizes = plain("f32", 14, 37, 43, left, right)
        check(narrow, contraction, sizes)


def test_nan_and_infinity_stay_where_they_belong(compiler: KernelCompiler) -> None:
    contraction, _ = plain("f32", 9, 6, 19)
    kernel, scratch = compile_contraction(compiler, contraction, choose_tiling(contraction, 512))
    x, w = np.ones((9, 6), np.float32), np.ones((6, 19), np.float32)
    x[2, 3], x[4, 0], w[5, 7] = np.nan, np.inf, -np.inf
    result = run(kernel, scratch, [x, w, np.zeros(19, np.float32)], (9, 19), 1)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(result, x @ w)
    assert np.isnan(result[4, 7])


GENERATED_SOURCE = """\
tile = stack(f32, 192)
packed = advance(scratch, thread * 640)
for task in range(thread * 4 // threads, (thread + 1) * 4 // threads):
    row_chunk = task % 2
    column_panel = task // 2 % 2
    column_start = column_panel * 32
    right_panel = advance(w, column_start * 20)
    if column_panel < 1:
        transpose_microkernel_f32_32x16(20, right_panel, 20, 1, right_panel, 0, packed, 32)
        row_end = row_chunk * 12 + 12 if row_chunk < 1 else 13
        for row_start in range(row_chunk * 12, row_end, 6):
            left_block = advance(x, row_start)
            block_rows = 6 if row_start <= row_end - 6 else row_end - row_start
            if block_rows == 6:
                microkernel_f32_6x32(20, left_block, 1, 13, packed, 32, tile, 32)
            else:
                microkernel_f32_1x32(20, left_block, 1, 13, packed, 32, tile, 32)
            for r in range(block_rows):
                i = row_start + r
                for q in range(32):
                    j = column_start + q
                    acc = tile[r * 32 + q]
                    shifted = acc + bias[j]
                    y[i * 40 + j] = shifted
    else:
        transpose_microkernel_f32_8x16(20, right_panel, 20, 1, right_panel, 0, packed, 32)
        row_end = row_chunk * 12 + 12 if row_chunk < 1 else 13
        for row_start in range(row_chunk * 12, row_end, 6):
            left_block = advance(x, row_start)
            block_rows = 6 if row_start <= row_end - 6 else row_end - row_start
            if block_rows == 6:
                microkernel_f32_6x8(20, left_block, 1, 13, packed, 32, tile, 32)
            else:
                microkernel_f32_1x8(20, left_block, 1, 13, packed, 32, tile, 32)
            for r in range(block_rows):
                i = row_start + r
                for q in range(8):
                    j = column_start + q
                    acc = tile[r * 32 + q]
                    shifted = acc + bias[j]
                    y[i * 40 + j] = shifted"""


def test_generated_source() -> None:
    contraction, _ = plain("f32", 13, 20, 40, "columns", "columns")
    tiling = Tiling("outer", False, 6, 32, 16, "transpose", 12, "")
    source = contraction_source(contraction, tiling, add_bias(40, 13, ()))
    assert source.scratch == 20 * 32
    assert printed(source.statements) == GENERATED_SOURCE.splitlines()


def test_reason_names_the_tile_and_what_is_packed() -> None:
    contraction, _ = plain("f32", 128, 512, 512, "rows", "columns")
    tiling = choose_tiling(contraction, 512)
    assert tiling.reason.startswith(f"{tiling.rows}x{tiling.columns} tile")
    assert "transposed into scratch" in tiling.reason


def test_errors_name_what_is_wrong() -> None:
    access = MatrixAccess("x", 0, (), 4, 1)
    contraction, _ = plain("f32", 4, 4, 4)
    with pytest.raises(ValueError, match=r"'i32'.*f32 or f64"):
        replace(contraction, dtype="i32")
    with pytest.raises(ValueError, match="negative"):
        replace(contraction, rows=-1)
    with pytest.raises(ValueError, match="'x' has 0 batch strides"):
        replace(contraction, batch=(3,))
    with pytest.raises(ValueError, match="'tile'"):
        replace(contraction, left=replace(access, buffer="tile"))
    with pytest.raises(ValueError, match="384 bits"):
        choose_tiling(contraction, 384)
    with pytest.raises(ValueError, match="0x16"):
        microkernel("f32", 0, 16, 16)
    with pytest.raises(ValueError, match="12 lanes"):
        transpose_microkernel("f32", 16, 12)
    with pytest.raises(ValueError, match="'bool'"):
        inner_microkernel("bool", 1, 1, 16)
