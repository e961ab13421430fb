"""What a tiling costs: cycles of a core that starts one full-width FMA a cycle."""

from __future__ import annotations

from math import ceil, gcd

from graphc.kernels.machine import MACHINE
from graphc.kernels.products.contraction import (
    Contraction,
    Tiling,
    is_computed_by_columns,
    left_as_read,
    parts_of,
)
from graphc.kernels.products.microkernel import ITEM_BYTES, vector_segments

HALVED_VECTOR_BYTES = 64
FAR_STEP_CYCLES = 1  # a step of depth whose row of the panel is not in the first cache, ...
IN_PLACE_CYCLES = 0.5  # ... and the wait when its rows are not packed one behind the other
STRIDED_STEP_CYCLES = 2  # a step to another page or cache line of the left operand
STREAM_CYCLES = 0.25  # a step and a row of left above what is prefetched well
WELL_PREFETCHED_ROWS = 8
SCALAR_EPILOGUE_CYCLES = 3  # an element that the epilogue cannot vectorise
TRANSPOSED_EPILOGUE_CYCLES = 10  # an element loaded, computed and stored across rows
VECTOR_EPILOGUE_CYCLES = 3  # a vector of the epilogue: load, one operation, store
LANE_SUM_CYCLES = 8  # adding up the lanes of one accumulator
TRANSPOSE_CYCLES = 1.0  # an element packed by transposing in registers
COPY_CYCLES = 1.5  # an element packed one by one
PLACE_CYCLES = 3  # to find a row of windows
TURN_CYCLES = 4  # from the end of a line of a window to the next
RUN_CYCLES = 10  # the loop over a row that is computed while it is packed
SCALAR_REST = 4  # times what an element of a vector takes: one behind the last whole vector
VARIANT_PENALTY = 0.01  # one more microkernel to compile has to gain this share


def estimated_cycles(contraction: Contraction, tiling: Tiling) -> float:
    """Cycles for one matrix of the batch; only ratios between tilings matter."""
    row_parts = parts_of(contraction.rows, tiling.rows)
    column_parts = parts_of(contraction.columns, tiling.columns)
    cycles = 0.0
    for columns, panels in column_parts:
        for rows, blocks in row_parts:
            if tiling.form == "outer":
                tile = _outer_cycles(contraction, rows, columns, tiling)
            else:
                tile = _inner_cycles(contraction, rows, columns, tiling)
            tile += _window_cycles(contraction, rows)
            epilogue = rows * _epilogue_cycles(contraction, columns, tiling)
            cycles += panels * blocks * (tile + epilogue + MACHINE.call_cycles)
        if tiling.packing != "none":
            element = packing_cycles(contraction, tiling)
            cycles += panels * columns * contraction.depth * element
        if not tiling.left_first:
            cycles += panels * _left_cycles(contraction, tiling)
    if tiling.left_first:
        cycles += _left_cycles(contraction, tiling)
    variants = len(row_parts) * len(column_parts)
    return cycles * (1 + VARIANT_PENALTY * variants)


def packing_cycles(contraction: Contraction, tiling: Tiling) -> float:
    """For one element of the right operand."""
    computed = contraction.right.computed_cycles or 0
    if tiling.packing == "transpose":
        between = MACHINE.copied_element_cycles if contraction.right.is_computed else 0
        return TRANSPOSE_CYCLES + between + computed
    if tiling.form == "outer" and contraction.right.column_stride == 1:
        return MACHINE.copied_element_cycles + computed
    return COPY_CYCLES + computed * tiling.lanes


def _left_cycles(contraction: Contraction, tiling: Tiling) -> float:
    """To compute the left operand for one panel: vectors, and what is left of a run of them."""
    left, lanes = contraction.left, tiling.lanes
    if left.computed_cycles is None:
        return 0.0
    element = MACHINE.copied_element_cycles + left.computed_cycles
    if left.column_stride == 1:
        runs, run = contraction.rows, contraction.depth
    elif is_computed_by_columns(contraction):
        runs = contraction.depth * ceil(contraction.rows / tiling.left_rows)
        run = tiling.left_rows
    else:
        return contraction.rows * contraction.depth * element * lanes
    vectors, rest = divmod(run, lanes)
    return runs * (vectors * lanes * element + rest * element * SCALAR_REST + RUN_CYCLES)


def _outer_cycles(contraction: Contraction, rows: int, columns: int, tiling: Tiling) -> float:
    item = ITEM_BYTES[contraction.dtype]
    share, way = MACHINE.first_cache_share_bytes, MACHINE.first_cache_way_bytes
    left, right, depth = left_as_read(contraction, tiling), contraction.right, contraction.depth
    segments = vector_segments(contraction.dtype, columns, tiling.lanes)
    halved = tiling.lanes * item == HALVED_VECTOR_BYTES
    fma = sum(
        MACHINE.narrow_fma_cycles if halved and segment.lanes < tiling.lanes else 1.0
        for segment in segments
    )
    step = max(rows * fma, rows + len(segments), MACHINE.shortest_step_cycles)
    far_bytes = (contraction.columns if tiling.left_first else columns) * item
    if tiling.packing == "none":
        far_bytes = max(far_bytes, gcd(right.row_stride * item, way))
    if depth * far_bytes > share:
        step += FAR_STEP_CYCLES + columns * item / MACHINE.second_cache_bytes_a_cycle
        step += IN_PLACE_CYCLES if tiling.packing == "none" else 0
    if depth * gcd(left.column_stride * item, way) > share:
        step += STRIDED_STEP_CYCLES
        if contraction.rows * depth * item > MACHINE.second_cache_bytes:
            step += rows * item / MACHINE.strided_bytes_a_cycle
    elif not left.is_windowed and depth * rows * item > share:
        step += STREAM_CYCLES * max(rows - WELL_PREFETCHED_ROWS, 0)
    # Rows whose addresses are a power of two apart compete for the ways of one cache set.
    if rows * gcd(left.row_stride * item, way) > MACHINE.first_cache_bytes:
        step += rows
    return depth * step


def _window_cycles(contraction: Contraction, rows: int) -> float:
    """To find the rows of a tile in windows, and to go on from line to line of them."""
    left = contraction.left
    if not left.is_windowed:
        return 0.0
    inner = left.column_digits[-1].extent if left.column_digits else contraction.depth
    return rows * PLACE_CYCLES + contraction.depth / max(inner, 1) * TURN_CYCLES


def _inner_cycles(contraction: Contraction, rows: int, columns: int, tiling: Tiling) -> float:
    step: float = max(rows * columns, rows + columns, MACHINE.shortest_step_cycles)
    item = ITEM_BYTES[contraction.dtype]
    if contraction.depth * contraction.columns * item > MACHINE.first_cache_share_bytes:
        step += (rows + columns) * tiling.lanes * item / MACHINE.second_cache_bytes_a_cycle
    return ceil(contraction.depth / tiling.lanes) * step + rows * columns * LANE_SUM_CYCLES


def _epilogue_cycles(contraction: Contraction, columns: int, tiling: Tiling) -> float:
    """A row of the tile; a swapped one runs across the result's rows, one store an element."""
    if tiling.swapped and contraction.rows > 1:
        return columns * TRANSPOSED_EPILOGUE_CYCLES
    vectors, rest = divmod(columns, tiling.lanes)
    return vectors * VECTOR_EPILOGUE_CYCLES + rest * SCALAR_EPILOGUE_CYCLES
