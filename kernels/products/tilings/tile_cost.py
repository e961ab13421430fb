"""What a tiling costs: cycles of a core that starts one full-width FMA a cycle.

A core with narrower vectors starts two a cycle, and takes half a cycle for one here.
"""

from __future__ import annotations

from math import ceil, gcd

from graphc.kernels.machine import MACHINE
from graphc.kernels.products.contraction import (
    Contraction,
    Tiling,
    has_narrow_vectors,
    is_computed_by_columns,
    left_as_read,
    parts_of,
)
from graphc.kernels.products.microkernels.microkernel import ITEM_BYTES, vector_segments
from graphc.kernels.products.tilings.far_lines import (
    is_left_far,
    is_left_read_again,
    is_panel_far,
    pages_of_step,
)
from graphc.kernels.products.tilings.tile_places import digits_of_tile

HALVED_VECTOR_BYTES = 64
FAR_STEP_CYCLES = 1  # a step of depth whose row of the panel is not in the first cache, ...
IN_PLACE_CYCLES = 0.5  # ... and the wait when its rows are not packed one behind the other
STRIDED_STEP_CYCLES = 2  # a step to another page or cache line of the left operand
NARROW_LOAD_CYCLES = 1.2  # a vector or an element that a step of narrow vectors loads
NARROW_STEP_CYCLES = 9  # a shorter step of them waits for the FMA unit
FAR_PAGE_CYCLES = 2  # a step of them to a page whose address has to be translated again
NARROW_STREAM_BYTES = 12  # of left that come from beyond the second cache in a cycle of them
COPIED_STEP_CYCLES = 4  # to copy a step of a tile's rows of left, and again for a mask
AGAIN_LOAD_CYCLES = 0.2  # more for an element of left whose line the first cache had lost
STREAM_CYCLES = 0.25  # a step and a row of left above what is prefetched well
WELL_PREFETCHED_ROWS = 8
SCALAR_EPILOGUE_CYCLES = 3  # an element that the epilogue cannot vectorise
TRANSPOSED_EPILOGUE_CYCLES = 10  # an element loaded, computed and stored across rows
VECTOR_EPILOGUE_CYCLES = 3  # a vector of the epilogue: load, one operation, store
LANE_SUM_CYCLES = 8  # adding up the lanes of one accumulator
TRANSPOSE_CYCLES = 1.0  # an element packed by transposing in registers
COPY_CYCLES = 1.5  # an element packed one by one
PLACE_CYCLES = 3  # to find a row of windows
# To load an element of a row whose distance from the first is part of the code; else that is
# loaded, too.
KNOWN_PLACE_LOAD_CYCLES = 0.5
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
            tile += _window_cycles(contraction, rows, tiling)
            epilogue = rows * _epilogue_cycles(contraction, columns, tiling)
            cycles += panels * blocks * (tile + epilogue + MACHINE.call_cycles)
        if tiling.packing != "none":
            element = packing_cycles(contraction, tiling)
            tasks = _tasks_of_copies(contraction, tiling)
            row = columns * element + _right_row_cycles(contraction, tiling, columns)
            cycles += tasks * panels * contraction.depth * row
        if not tiling.left_first:
            cycles += panels * _left_cycles(contraction, tiling)
    if tiling.left_first:
        cycles += _left_cycles(contraction, tiling)
    if tiling.left_copied:
        cycles += _copied_left_cycles(contraction, tiling)
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


def _tasks_of_copies(contraction: Contraction, tiling: Tiling) -> int:
    """How many tasks pack each panel, at least, where left is copied."""
    return ceil(contraction.rows / tiling.left_rows) if tiling.left_copied else 1


def _copied_left_cycles(contraction: Contraction, tiling: Tiling) -> float:
    """To copy the left operand once, a tile's rows of a step at a time."""
    segments = vector_segments(contraction.dtype, tiling.rows, tiling.lanes)
    loads = sum(1 if segment.valid == segment.lanes else 2 for segment in segments)
    tiles = ceil(contraction.rows / tiling.rows)
    return tiles * contraction.depth * COPIED_STEP_CYCLES * loads


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
    narrow = has_narrow_vectors(contraction.dtype, tiling.lanes)
    loads: float = rows + len(segments)
    if digits_of_tile(contraction, tiling):
        loads = ceil(rows * KNOWN_PLACE_LOAD_CYCLES) + len(segments)
    if narrow:
        step = max(rows * fma, NARROW_LOAD_CYCLES * loads, NARROW_STEP_CYCLES)
    else:
        if is_left_read_again(contraction, tiling):
            loads += rows * AGAIN_LOAD_CYCLES
        step = max(rows * fma, loads, MACHINE.shortest_step_cycles)
    far_bytes = (contraction.columns if tiling.left_first else columns) * item
    if tiling.packing == "none":
        far_bytes = max(far_bytes, gcd(right.row_stride * item, way))
    if depth * far_bytes > share:
        step += FAR_STEP_CYCLES + columns * item / MACHINE.second_cache_bytes_a_cycle
        step += IN_PLACE_CYCLES if tiling.packing == "none" else 0
        if tiling.packing == "none" and is_panel_far(contraction, tiling.lanes):
            again = 1 - 1 / ceil(contraction.rows / tiling.rows)
            step += again * columns * item / MACHINE.strided_bytes_a_cycle
    if tiling.packing == "none":
        step += _right_row_cycles(contraction, tiling, columns)
    if narrow:
        read = left.column_stride if tiling.left_copied else rows
        step += _narrow_stream_cycles(contraction, read)
        if not (tiling.left_copied or left.is_windowed):
            step += _page_cycles(depth, left.column_stride * item)
    if tiling.left_copied:
        return depth * (step + left.column_stride * item / MACHINE.second_cache_bytes_a_cycle)
    if depth * gcd(left.column_stride * item, way) > share:
        step += STRIDED_STEP_CYCLES
        if not narrow and contraction.rows * depth * item > MACHINE.second_cache_bytes:
            step += rows * item / MACHINE.strided_bytes_a_cycle
    elif not narrow and is_left_far(contraction):
        pages = pages_of_step(left.column_stride * item)
        step += pages * (STRIDED_STEP_CYCLES + rows * item / MACHINE.strided_bytes_a_cycle)
    elif not (narrow or left.is_windowed) and depth * rows * item > share:
        step += STREAM_CYCLES * max(rows - WELL_PREFETCHED_ROWS, 0)
    # Rows whose addresses are a power of two apart compete for the ways of one cache set.
    if rows * gcd(left.row_stride * item, way) > MACHINE.first_cache_bytes:
        step += rows
    return depth * step


def _narrow_stream_cycles(contraction: Contraction, elements: int) -> float:
    """A step that reads so many elements of left, for those that the second cache does not hold."""
    left = contraction.left
    if left.is_computed or left.is_windowed:
        return 0.0
    return _streamed_cycles(contraction, contraction.rows, elements)


def _streamed_cycles(contraction: Contraction, extent: int, elements: int) -> float:
    """To read elements of an operand of such an extent beside the depth, if it is a large one."""
    item = ITEM_BYTES[contraction.dtype]
    is_near = extent * contraction.depth * item <= MACHINE.second_cache_bytes
    return 0.0 if is_near else elements * item / NARROW_STREAM_BYTES


def _right_row_cycles(contraction: Contraction, tiling: Tiling, columns: int) -> float:
    """A step to the next row of a panel of the right operand, where it stands."""
    right, item = contraction.right, ITEM_BYTES[contraction.dtype]
    if right.is_computed or not has_narrow_vectors(contraction.dtype, tiling.lanes):
        return 0.0
    pages = _page_cycles(contraction.depth, right.row_stride * item)
    if tiling.packing == "none":
        return pages
    return pages + _streamed_cycles(contraction, contraction.columns, columns)


def _page_cycles(depth: int, step_bytes: int) -> float:
    """A step, if all steps lead through more pages than a core has addresses of at hand."""
    pages = pages_of_step(step_bytes)
    return FAR_PAGE_CYCLES * pages if depth * pages > MACHINE.near_pages else 0.0


def _window_cycles(contraction: Contraction, rows: int, tiling: Tiling) -> float:
    """To find the rows of a tile in windows, and to go on from line to line of them."""
    left = contraction.left
    if not left.is_windowed:
        return 0.0
    inner = left.column_digits[-1].extent if left.column_digits else contraction.depth
    places = 1 if digits_of_tile(contraction, tiling) else rows
    return places * PLACE_CYCLES + contraction.depth / max(inner, 1) * TURN_CYCLES


def _inner_cycles(contraction: Contraction, rows: int, columns: int, tiling: Tiling) -> float:
    step: float = max(rows * columns, rows + columns, MACHINE.shortest_step_cycles)
    item = ITEM_BYTES[contraction.dtype]
    if contraction.depth * contraction.columns * item > MACHINE.first_cache_share_bytes:
        step += (rows + columns) * tiling.lanes * item / MACHINE.second_cache_bytes_a_cycle
    if has_narrow_vectors(contraction.dtype, tiling.lanes):
        step += _narrow_stream_cycles(contraction, rows * tiling.lanes)
    return ceil(contraction.depth / tiling.lanes) * step + rows * columns * LANE_SUM_CYCLES


def _epilogue_cycles(contraction: Contraction, columns: int, tiling: Tiling) -> float:
    """A row of the tile; a swapped one runs across the result's rows, one store an element."""
    if tiling.swapped and contraction.rows > 1:
        return columns * TRANSPOSED_EPILOGUE_CYCLES
    vectors, rest = divmod(columns, tiling.lanes)
    return vectors * VECTOR_EPILOGUE_CYCLES + rest * SCALAR_EPILOGUE_CYCLES
