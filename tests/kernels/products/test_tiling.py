"""What holds for every tiling that is chosen, whatever the shape and the number of threads."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest

from graphc.kernels.nests.row_blocks import rows_of_block
from graphc.kernels.products.contraction import Contraction, Tiling, column_parts, oriented
from graphc.kernels.products.tiles.tile_sums import tile_sums
from graphc.kernels.products.tilings.tiling import choose_tiling, fits_registers, rows_of_share
from tests.kernels.products.contractions import plain

SHAPES = 45
SHAPES_A_TEST = 15
THREADS = (2, 3, 4)
EXTENTS = (1, 2, 3, 7, 8, 15, 16, 17, 24, 31, 33, 50, 64, 97, 100, 128, 200, 513)
DEPTHS = (0, 1, 3, 8, 17, 64, 300, 1100, 9000)


def _contractions(seed: int) -> Iterator[tuple[Contraction, int]]:
    """Contractions of all kinds, and a width of vectors."""
    rng = random.Random(seed)
    while True:
        dtype, bits = rng.choice(("f32", "f64")), rng.choice((128, 256, 512))
        rows, columns, depth = rng.choice(EXTENTS), rng.choice(EXTENTS), rng.choice(DEPTHS)
        layouts = [rng.choice(("rows", "columns")) for _ in range(2)]
        made, _ = plain(dtype, rows, depth, columns, *layouts)
        kind = rng.choice(("plain", "left", "right", "block", "whole", "left block"))
        if "left" in kind:
            made = replace(made, left=replace(made.left, computed_cycles=1.0))
        if kind == "right":
            made = replace(made, right=replace(made.right, computed_cycles=1.0))
        if "block" in kind:
            made = replace(made, block=rows_of_block(rows))
        whole = replace(made, whole_rows=True)
        if kind == "whole" and rows > 1 and fits_registers(whole, bits):
            made = whole
        yield made, bits


def _known() -> Iterator[tuple[Contraction, int]]:
    """Those whose best tiling changes when they are cut: of another form than the whole's, of one
    part alone, or in the middle of a block."""
    yield plain("f64", 7, 300, 64, "rows", "columns")[0], 128
    yield plain("f32", 15, 300, 200, "rows", "columns")[0], 256
    yield plain("f32", 7, 1, 97, "columns", "columns")[0], 256
    yield replace(plain("f64", 16, 300, 50)[0], block=4), 512
    # Left is copied where there are rows for all threads, and columns apart are cut by rows.
    yield plain("f32", 200, 512, 200, "columns", "columns")[0], 256
    yield plain("f32", 1000, 1000, 150, "columns")[0], 256
    # One row, whose columns are shared.
    yield plain("f32", 1, 512, 128)[0], 512
    yield plain("f32", 1, 300, 513)[0], 256
    blocks, _ = plain("f32", 200, 300, 97, "columns")
    yield replace(blocks, left=replace(blocks.left, computed_cycles=1.0), block=10), 256


def _parts(contraction: Contraction, tiling: Tiling) -> list[tuple[Contraction, Tiling]]:
    """The parts of the columns, as they are computed."""
    tilings = [tiling] if tiling.rest is None else [tiling, tiling.rest]
    parts = column_parts(contraction, tiling)
    return [(oriented(part, each), each) for part, each in zip(parts, tilings, strict=True)]


def _order_of_sums(contraction: Contraction, tiling: Tiling) -> list[object]:
    """What says in which order the terms of an element are added up."""
    found: list[object] = []
    for part, each in _parts(contraction, tiling):
        sums = tile_sums(part, each, each.rows * each.columns)
        steps = None if sums is None else sums._steps
        found.append((part.columns if not each.swapped else part.rows, each.form, steps))
    return found


@pytest.mark.parametrize("seed", [None, *range(SHAPES // SHAPES_A_TEST)])
def test_whatever_the_number_of_threads(seed: int | None) -> None:
    """Sums have one order. Columns apart are cut by rows if the others are, since a thread goes on
    with rows of its own; and no task has a part of a block of rows."""
    drawn = _known() if seed is None else islice(_contractions(seed), SHAPES_A_TEST)
    for contraction, bits in drawn:
        alone = choose_tiling(contraction, bits)
        for threads in THREADS:
            tiling = choose_tiling(contraction, bits, threads)
            where = (contraction, bits, threads)
            assert _order_of_sums(contraction, tiling) == _order_of_sums(contraction, alone), where
            for part, each in _parts(contraction, tiling):
                assert each.by_rows == tiling.by_rows, where
                if contraction.block is not None:
                    task = each.rows_per_task
                    assert task % contraction.block == 0 or task >= part.rows, where
                    assert not each.left_first, where
                if part.left.is_computed:
                    assert each.left_rows > 0 and each.left_rows % each.rows == 0, where
                if each.by_rows:
                    assert not (contraction.is_computed and each.swapped), where
                    assert each.rows_per_task == rows_of_share(contraction, threads), where
                if contraction.whole_rows:
                    assert each.columns >= part.columns, where
                if each.left_copied:
                    assert each.left_rows % each.rows == 0, where
                    assert each.rows_per_task <= each.left_rows, where
                    assert each.by_rows or -(-part.rows // each.rows_per_task) >= threads, where


@pytest.mark.parametrize(("depth", "columns"), [(128, 512), (512, 128)])
def test_the_columns_of_one_row_are_shared_evenly(depth: int, columns: int) -> None:
    row, _ = plain("f32", 1, depth, columns)
    assert columns % (2 * choose_tiling(row, 512, threads=2).columns) == 0


def test_a_row_that_takes_less_than_threads_to_meet_is_one_panel() -> None:
    row, _ = plain("f32", 1, 64, 128)
    assert choose_tiling(row, 512, 2).columns == choose_tiling(row, 512, 1).columns == 128


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_of_right_that_compete_for_the_second_cache_are_copied(threads: int) -> None:
    """Those a power of two apart, where several tiles read them."""
    competing, _ = plain("f32", 128, 784, 512)
    assert choose_tiling(competing, 512, threads).packing == "copy"
    for shape in [(128, 784, 496), (14, 784, 512), (128, 256, 496)]:
        others, _ = plain("f32", *shape)
        assert choose_tiling(others, 512, threads).packing == "none", shape


def test_tiles_have_two_vectors_where_the_first_cache_loses_left() -> None:
    """One of a single vector loads as often as it multiplies, and then waits for its loads."""
    for shape, layout in [((256, 256, 256), "columns"), ((256, 256, 1024), "rows")]:
        contraction, _ = plain("f32", *shape, layout)
        assert choose_tiling(contraction, 512).columns >= 32, shape
