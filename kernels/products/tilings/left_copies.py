"""Left operands that a task copies before its first panel, where tiles would fetch their cache
lines again and again.

Where the rows of left stand side by side, as in a gradient of weights, a step of the depth leads to
another line, and often to another page. Of a line a tile of few rows uses a part, and when the next
tile comes for the rest, the nearest cache has kept none of them.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, prod

from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.row_blocks import rounded_to_blocks
from graphc.kernels.products.contraction import Contraction, Tiling, has_narrow_vectors
from graphc.kernels.products.microkernels.microkernel import ITEM_BYTES, padded_columns
from graphc.kernels.products.tilings.far_lines import is_left_far

# What a task may copy: it is read in order for each panel, so the second cache need not hold it.
MOST_COPIED_BYTES = 4 * MACHINE.second_cache_bytes


def may_copy_left(contraction: Contraction, tile: Tiling) -> bool:
    """Whether left is read more than once, and each time a part of each cache line or, with the
    widest vectors, whose tiles have about as many rows as a line, from far away."""
    left, item = contraction.left, ITEM_BYTES[contraction.dtype]
    if has_narrow_vectors(contraction.dtype, tile.lanes):
        is_slow = tile.rows * item < MACHINE.line_bytes
    else:
        is_slow = is_left_far(contraction)
    return (
        (left.row_stride == 1 and left.column_stride != 1)
        and is_slow
        and (tile.form == "outer" and not tile.swapped)
        and (left.is_strided and not contraction.right.is_computed)
        and tile.columns < contraction.columns
    )


def most_copied_rows(contraction: Contraction, tile: Tiling) -> int:
    """All rows, or what a task may copy of them, in whole tiles."""
    step = padded_columns(contraction.dtype, tile.rows, tile.lanes)
    tile_bytes = max(contraction.depth, 1) * step * ITEM_BYTES[contraction.dtype]
    tiles = max(MOST_COPIED_BYTES // tile_bytes, 1)
    return min(tiles, max(ceil(contraction.rows / tile.rows), 1)) * tile.rows


def with_copied_tasks(contraction: Contraction, tiling: Tiling, threads: int) -> Tiling:
    """The tiling, which copies left, with tasks of the rows that are copied at once: as few as
    there may be, and as many for each thread as for the others."""
    tasks = ceil(contraction.rows / tiling.left_rows)
    if prod(contraction.batch) % threads:
        tasks = ceil(tasks / threads) * threads
    tiles = ceil(contraction.rows / tasks / tiling.rows)
    rows = min(rounded_to_blocks(tiles * tiling.rows, contraction.block), contraction.rows)
    return replace(
        tiling, rows_per_task=max(rows, 1), left_rows=ceil(rows / tiling.rows) * tiling.rows
    )
