"""The tasks that threads share of a product: some rows of the columns of a panel."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import ceil, prod

from graphc.kernels.nests.row_blocks import rounded_to_blocks
from graphc.kernels.products.contraction import Contraction, Tiling, parts_of

TASKS_WANTED = 16
SMALLEST_TASK = 1 << 16  # multiply-adds: a few microseconds
TASK_ELEMENTS = 16  # a task costs as much as so many elements of the result
MOST_PANELS_TO_BALANCE = 64  # with more panels than this threads are about equally busy anyway
SIZES_TO_BALANCE = 16  # numbers of blocks for a task that are compared
SMALLEST_PACKED_ROWS = 128  # rows of a task that packs a panel of its own
SMALLEST_ROW_SHARE = 2
# Times the cycles of the best tiling for one thread that the busiest of several may take: what a
# thread reads alone stays in its own cache.
BY_COLUMNS_LIMIT = 1.05
SMALLEST_COLUMN_SHARE = 1 << 15  # multiply-adds: as long as a few meetings

# Estimated cycles for one matrix of the batch, their tiling, the contraction in its orientation.
Estimated = tuple[float, Tiling, Contraction]


def _panels_of_tasks(contraction: Contraction, tiling: Tiling) -> list[int]:
    """The columns of each task of some rows."""
    if tiling.left_first:
        return [contraction.columns]
    parts = parts_of(contraction.columns, tiling.columns)
    return [size for size, count in parts for _ in range(count)]


def rows_per_task(contraction: Contraction, tiling: Tiling, threads: int) -> int:
    """Rows of a task: enough tasks to share, none too small, a packed panel used often, and as
    much for each thread as for the others."""
    panels = len(_panels_of_tasks(contraction, tiling)) * max(prod(contraction.batch), 1)
    blocks = ceil(contraction.rows / tiling.rows)
    chunks = ceil(TASKS_WANTED / max(panels, 1))
    block_work = max(tiling.rows * tiling.columns * contraction.depth, 1)
    fewest = ceil(SMALLEST_TASK / block_work)
    if tiling.packing != "none":
        fewest = max(fewest, ceil(SMALLEST_PACKED_ROWS / tiling.rows))
    size = max(ceil(blocks / chunks), fewest, 1)
    if threads > 1 and panels <= MOST_PANELS_TO_BALANCE:
        smallest = max(fewest, size - SIZES_TO_BALANCE, 1)
        size = min(
            range(size, smallest - 1, -1),
            key=lambda blocks: _busiest_share(contraction, tiling, blocks, threads),
        )
    if size >= blocks:
        return max(contraction.rows, 1)
    return rounded_to_blocks(size * tiling.rows, contraction.block)


def _busiest_share(contraction: Contraction, tiling: Tiling, blocks: int, threads: int) -> float:
    """The elements that the busiest thread computes when a task has so many tiles of rows, and what
    each of its tasks costs besides. A thread takes tasks that follow each other."""
    rows_of_task = rounded_to_blocks(blocks * tiling.rows, contraction.block)
    parts = parts_of(contraction.rows, rows_of_task)
    chunks = [size for size, count in parts for _ in range(count)]
    panels = _panels_of_tasks(contraction, tiling) * max(prod(contraction.batch), 1)
    tasks = [rows * columns + TASK_ELEMENTS for columns in panels for rows in chunks]
    limits = [thread * len(tasks) // threads for thread in range(threads + 1)]
    return max(sum(tasks[start:end]) for start, end in pairwise(limits))


def is_shared_by_columns(contraction: Contraction, threads: int) -> bool:
    """Whether there are too few rows to share, as there are of one token, and enough columns."""
    rows = contraction.rows * prod(contraction.batch)
    if threads == 1 or rows >= SMALLEST_ROW_SHARE * threads:
        return False
    work = contraction.rows * contraction.columns * contraction.depth
    return work >= threads * SMALLEST_COLUMN_SHARE


def shared_by_columns(
    contraction: Contraction, estimated: list[Estimated], best: Estimated, threads: int
) -> Estimated:
    """The tiling whose panels the busiest thread is soonest ready with; `best` where that takes
    longer.

    It differs from `best` in its columns alone: an element is summed in the same order.
    """
    whole = best[1]
    if whole.left_first or whole.swapped:
        return best

    def busiest(each: Estimated) -> float:
        cycles, tiling, _ = each
        share = _busiest_share(contraction, tiling, ceil(contraction.rows / tiling.rows), threads)
        everything = _busiest_share(contraction, tiling, ceil(contraction.rows / tiling.rows), 1)
        return cycles * share / everything

    alike = (each for each in estimated if replace(each[1], columns=whole.columns) == whole)
    found = min(alike, key=busiest)
    return found if busiest(found) <= BY_COLUMNS_LIMIT * best[0] else best
