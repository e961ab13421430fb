"""Left operands that tasks copy: where they are, and that it changes no bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphc.kernels.native.jit.kernel_compiler import KernelCompiler
from graphc.kernels.native.llvm import default_target
from graphc.kernels.products.contraction import Contraction, MatrixAccess, Tiling
from graphc.kernels.products.microkernels.microkernel import ITEM_BYTES, padded_columns
from graphc.kernels.products.tilings.left_copies import MOST_COPIED_BYTES
from graphc.kernels.products.tilings.tiling import choose_tiling, ranked_tilings
from tests.kernels.products.contractions import check, compile_contraction, plain, run

NARROW = (128, 256)
# Rows, depth and columns of gradients of weights, as (fan in, batch, fan out).
GRADIENTS = [(1024, 512, 1024), (784, 128, 512), (256, 256, 256)]


@pytest.fixture(scope="module")
def compiler() -> KernelCompiler:
    return KernelCompiler()


def copied(
    contraction: Contraction, rows: int, rows_per_task: int, packing: str = "none"
) -> Tiling:
    """Tiles of so many rows and two vectors that copy left, whatever is estimated."""
    lanes = default_target().vector_bits // (8 * ITEM_BYTES[contraction.dtype])
    left_rows = -(-rows_per_task // rows) * rows
    columns = min(2 * lanes, contraction.columns)
    made = Tiling("outer", False, rows, columns, lanes, packing, rows_per_task)  # type: ignore[arg-type]
    return replace(made, left_copied=True, left_rows=left_rows)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("packing", ["none", "copy"])
@pytest.mark.parametrize("rows", [1, 4, 6])
@pytest.mark.parametrize("depth", [1, 7, 8, 21])
def test_against_numpy(
    compiler: KernelCompiler, depth: int, rows: int, packing: str, dtype: str
) -> None:
    """Tasks whose last tile has fewer rows, and a last task with another number."""
    contraction, sizes = plain(dtype, 23, depth, 43, "columns")
    check(compiler, contraction, sizes, tiling=copied(contraction, rows, 13, packing))


def test_cut_by_rows(compiler: KernelCompiler) -> None:
    contraction, sizes = plain("f32", 30, 9, 43, "columns")
    tiling = replace(copied(contraction, 4, 10), by_rows=True)
    check(compiler, contraction, sizes, tiling=tiling)


def test_a_depth_in_blocks_and_matrices_of_a_batch(compiler: KernelCompiler) -> None:
    contraction, sizes = plain("f32", 17, 1100, 43, "columns")
    check(compiler, contraction, sizes, tiling=copied(contraction, 6, 17))
    left, right = MatrixAccess("x", 5, (200,), 1, 17), MatrixAccess("w", 0, (0,), 43, 1)
    several = Contraction("f32", (3,), 17, 43, 11, left, right)
    check(compiler, several, (5 + 600, 11 * 43), tiling=copied(several, 4, 8))


def test_the_bits_are_those_of_left_as_it_stands(compiler: KernelCompiler) -> None:
    contraction, (x_size, w_size) = plain("f32", 50, 300, 43, "columns")
    random = np.random.default_rng(0)
    operands = [random.standard_normal(n).astype(np.float32) for n in (x_size, w_size, 43)]
    copies = copied(contraction, 6, 50)
    results = [
        run(*compile_contraction(compiler, contraction, tiling), operands, (50, 43), 1)
        for tiling in (copies, replace(copies, left_copied=False, left_rows=0))
    ]
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("shape", GRADIENTS)
def test_gradients_of_weights_copy_the_batch(shape: tuple[int, int, int], threads: int) -> None:
    """With vectors of 256 bits, whose tiles use a quarter of a cache line; each thread has as many
    rows as the others."""
    contraction, _ = plain("f32", *shape, "columns")
    tiling = choose_tiling(contraction, 256, threads)
    if threads > shape[0] // 128:
        assert not tiling.left_copied, "threads without rows"
        return
    assert tiling.left_copied
    assert -(-shape[0] // tiling.rows_per_task) == threads
    assert "rows of the left operand copied" in tiling.reason


@pytest.mark.parametrize("threads", [1, 2])
def test_the_widest_vectors_copy_what_the_second_cache_does_not_hold(threads: int) -> None:
    """A smaller batch they read where it stands."""
    for large in [(1024, 512, 1024), (1040, 512, 528), (1024, 256, 512)]:
        contraction, _ = plain("f32", *large, "columns")
        tiling = choose_tiling(contraction, 512, threads)
        assert tiling.left_copied and tiling.packing == "copy", large
        assert -(-large[0] // tiling.rows_per_task) >= threads, large
    for near in [(256, 256, 256), (784, 128, 512)]:
        contraction, _ = plain("f32", *near, "columns")
        assert not any(each.left_copied for each in ranked_tilings(contraction, 512)), near


def test_few_columns_and_rows_along_the_depth_copy_nothing() -> None:
    for bits in NARROW:
        narrow, _ = plain("f32", 784, 100, 10, "columns")
        forward, _ = plain("f32", 512, 1024, 1024)
        assert not choose_tiling(narrow, bits).left_copied
        assert not any(each.left_copied for each in ranked_tilings(forward, bits))


def test_what_is_copied_is_limited() -> None:
    contraction, _ = plain("f32", 4096, 4096, 4096, "columns")
    tiling = choose_tiling(contraction, 256)
    assert tiling.left_copied
    step = padded_columns("f32", tiling.rows, tiling.lanes)
    copied_bytes = tiling.left_rows // tiling.rows * contraction.depth * step * 4
    assert copied_bytes <= MOST_COPIED_BYTES
