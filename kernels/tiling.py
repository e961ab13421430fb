"""Contractions: a static shape, and the tiles and packing that a cost model chooses for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, gcd, prod
from typing import Literal

from graphc.kernels.microkernel import ITEM_BYTES, smallest_lanes, vector_segments
from graphc.kernels.row_blocks import rounded_to_blocks, rows_of_block

VECTOR_REGISTERS = {512: 32, 256: 16, 128: 16}
# The cost model counts cycles of a core that starts one full-width FMA a cycle.
SHORTEST_STEP_CYCLES = 8  # fewer accumulators than this leave the FMA unit waiting
NARROW_FMA_CYCLES = 0.5  # an FMA of at most 256 bits, where 512 are done in two halves
HALVED_VECTOR_BYTES = 64
CALL_CYCLES = 30  # call of a microkernel, its first loads and its loop's end
FAR_STEP_CYCLES = 1  # a step of depth whose row of the panel is not in the first cache ...
FAR_BYTES_A_CYCLE = 128  # ... and what its loads add
IN_PLACE_CYCLES = 0.5  # ... and the wait when its rows are not packed one behind the other
STRIDED_STEP_CYCLES = 2  # a step to another page or cache line of the left operand ...
STRIDED_BYTES_A_CYCLE = 16  # ... and what its loads add when the second cache does not hold it
STREAM_CYCLES = 0.25  # a step and a row of left above what is prefetched well
WELL_PREFETCHED_ROWS = 8
SCALAR_EPILOGUE_CYCLES = 3  # an element that the epilogue cannot vectorise
TRANSPOSED_EPILOGUE_CYCLES = 10  # an element loaded, computed and stored across rows
VECTOR_EPILOGUE_CYCLES = 3  # a vector of the epilogue: load, one operation, store
LANE_SUM_CYCLES = 8  # adding up the lanes of one accumulator
TRANSPOSE_CYCLES = 1.0  # an element packed by transposing in registers
COPY_CYCLES = 1.5  # an element packed one by one
VECTOR_COPY_CYCLES = 0.25  # an element of a row packed as it is
VARIANT_PENALTY = 0.01  # one more microkernel to compile has to gain this share
FIRST_CACHE_SHARE_BYTES = 16 * 1024  # what one operand may use of a first cache of 32 KiB
SECOND_CACHE_SHARE_BYTES = 512 * 1024
CACHE_WAYS = 8
CACHE_WAY_BYTES = 4096

MOST_VECTORS = 16  # in a row of a tile
INNER_ROWS, INNER_COLUMNS = 4, 8  # largest tile whose lanes run along the depth
TASKS_WANTED = 16
SMALLEST_TASK = 1 << 16  # multiply-adds: a few microseconds
LARGEST_BY_ROWS = 1 << 22  # multiply-adds of a product whose barriers and cold caches still show
BY_ROWS_LIMIT = 1.4  # times the cycles of the best tiling that a cut by rows may take
SMALLEST_ROW_SHARE = 2
SMALLEST_PACKED_ROWS = 128  # rows of a task that packs a panel of its own

Form = Literal["outer", "inner"]
Packing = Literal["none", "transpose", "copy"]


# Names that the generated lines use: no buffer may be called so, `scratch` apart.
RESERVED_NAMES = frozenset(
    (
        *("arguments", "thread", "threads", "task", "row_chunk", "column_panel"),
        *("scratch", "packed", "tile", "left_block", "right_panel"),
        *("row_start", "row_end", "column_start", "block_rows", "block", "chain"),
        *("i", "j", "k", "r", "q", "acc"),
    )
)


@dataclass(frozen=True)
class MatrixAccess:
    """Where a batch of matrices stands in a buffer, in elements; strides of any sign or zero."""

    buffer: str
    offset: int
    batch_strides: tuple[int, ...]
    row_stride: int
    column_stride: int


@dataclass(frozen=True)
class Contraction:
    """acc[b, i, j] = sum over k of left[b, i, k] * right[b, k, j].

    `batch` are the extents of the batch dimensions; left is `rows` x `depth`, right `depth` x
    `columns`. `block`: rows that the epilogue reduces together, so that one task has them all, and
    in order: such a product is not computed transposed. Raises ValueError for an unknown dtype, a
    negative extent, or batch strides that do not go with `batch`.
    """

    dtype: str
    batch: tuple[int, ...]
    rows: int
    columns: int
    depth: int
    left: MatrixAccess
    right: MatrixAccess
    block: int | None = None

    def __post_init__(self) -> None:
        if self.dtype not in ITEM_BYTES:
            known = " or ".join(ITEM_BYTES)
            raise ValueError(f"contraction of dtype {self.dtype!r}: expected {known}")
        if min(self.rows, self.columns, self.depth, *self.batch) < 0:
            raise ValueError(f"contraction with a negative extent: {self}")
        for access in (self.left, self.right):
            if len(access.batch_strides) != len(self.batch):
                raise ValueError(
                    f"operand {access.buffer!r} has {len(access.batch_strides)} batch strides, "
                    f"the contraction {len(self.batch)} batch dimensions"
                )
            batch_indices = [f"b{axis}" for axis in range(len(self.batch))]
            if access.buffer in RESERVED_NAMES or access.buffer in batch_indices:
                raise ValueError(f"operand named {access.buffer!r}, which generated source uses")


@dataclass(frozen=True)
class Tiling:
    """How a contraction is cut and read, and why.

    `form` outer: vectors along the columns, a broadcast element of left times a row of right;
    inner: vectors along the depth. `swapped`: the transpose is computed, `rows` and `columns`
    of the tile then count columns and rows of the result. `packing` is what happens to a panel
    of the right operand. A task is `rows_per_task` rows of one panel, whole tiles or blocks or all;
    `by_rows`: it is any number of rows of all panels, and a thread takes tasks that follow each
    other, as it does of every product of as many rows. `cycles`: estimated, of one core.
    """

    form: Form
    swapped: bool
    rows: int
    columns: int
    lanes: int
    packing: Packing
    rows_per_task: int
    reason: str = ""
    by_rows: bool = False
    cycles: float = 0.0


def choose_tiling(contraction: Contraction, vector_bits: int, threads: int = 1) -> Tiling:
    """The tiling with the least estimated cycles for the static shape.

    `vector_bits` is the width of the vector registers: 512, 256 or 128. Up to `threads` threads
    share the tasks; those of a small product are cut by rows, so that a thread can go on with
    rows that it has computed itself. Raises ValueError for another width.
    """
    if vector_bits not in VECTOR_REGISTERS:
        known = sorted(VECTOR_REGISTERS)
        raise ValueError(f"vector registers of {vector_bits} bits: expected one of {known}")
    choices = [
        (*_best(oriented, swapped, vector_bits), oriented)
        for swapped, oriented in _orientations(contraction)
    ]
    cycles, tiling, oriented = min(choices, key=lambda choice: choice[0])
    rows = rows_of_share(contraction, threads)
    if rows is not None:
        # Of the same form: an element is then summed in the same order, for the same bits.
        part = replace(_normalized(contraction), rows=rows)
        part_cycles, part_tiling = _best(part, False, vector_bits, tiling.form)
        whole_cycles = part_cycles * contraction.rows / rows
        if whole_cycles <= BY_ROWS_LIMIT * cycles:
            reason = _reason(part, part_tiling, part_cycles)
            cut = replace(part_tiling, rows_per_task=rows, by_rows=True)
            return replace(cut, cycles=whole_cycles, reason=reason)
    return replace(
        tiling,
        rows_per_task=_rows_per_task(oriented, tiling),
        cycles=cycles * prod(contraction.batch),
        reason=_reason(oriented, tiling, cycles),
    )


def ranked_tilings(contraction: Contraction, vector_bits: int) -> list[Tiling]:
    """Every tiling that was considered for one thread, with its cycles, the quickest first."""
    lanes = vector_bits // (8 * ITEM_BYTES[contraction.dtype])
    registers = VECTOR_REGISTERS[vector_bits]
    found = [
        replace(tiling, cycles=_estimated_cycles(oriented, tiling) * prod(contraction.batch))
        for swapped, oriented in _orientations(contraction)
        for tiling in _candidates(oriented, swapped, lanes, registers)
    ]
    return sorted(found, key=lambda tiling: tiling.cycles)


def rows_of_share(contraction: Contraction, threads: int) -> int | None:
    """How many rows a thread takes of a product that is cut by rows; None for other products.

    It depends on the rows and threads alone, so that products of as many rows are cut alike, those
    whose epilogues reduce blocks of rows among them.
    """
    if threads == 1 or contraction.batch or contraction.rows < SMALLEST_ROW_SHARE * threads:
        return None
    if contraction.rows * contraction.columns * contraction.depth > LARGEST_BY_ROWS:
        return None
    share = ceil(contraction.rows / threads)
    return rounded_to_blocks(share, rows_of_block(contraction.rows))


def _best(
    contraction: Contraction, swapped: bool, vector_bits: int, form: Form | None = None
) -> tuple[float, Tiling]:
    """The least estimated cycles for one matrix of the batch, and their tiling, which is of
    `form` if that is given; `contraction` is oriented already."""
    lanes = vector_bits // (8 * ITEM_BYTES[contraction.dtype])
    candidates = _candidates(contraction, swapped, lanes, VECTOR_REGISTERS[vector_bits])
    estimated = [
        (_estimated_cycles(contraction, tiling), tiling)
        for tiling in candidates
        if form in (None, tiling.form)
    ]
    return min(estimated, key=lambda candidate: candidate[0])


def oriented(contraction: Contraction, tiling: Tiling) -> Contraction:
    """The contraction as the tiling computes it: itself, or its transpose."""
    return _transposed(contraction) if tiling.swapped else _normalized(contraction)


def _normalized(contraction: Contraction) -> Contraction:
    """The same with stride 1 along dimensions of extent 1, whose stride says nothing."""
    left, right = contraction.left, contraction.right
    if contraction.rows == 1:
        left = replace(left, row_stride=1)
    if contraction.columns == 1:
        right = replace(right, column_stride=1)
    if contraction.depth <= 1:
        left, right = replace(left, column_stride=1), replace(right, row_stride=1)
    return replace(contraction, left=left, right=right)


def _transposed(contraction: Contraction) -> Contraction:
    """acc[b, j, i]: the operands change places and each is transposed."""

    def transpose(access: MatrixAccess) -> MatrixAccess:
        return replace(access, row_stride=access.column_stride, column_stride=access.row_stride)

    normal = _normalized(contraction)
    return replace(
        normal,
        rows=normal.columns,
        columns=normal.rows,
        left=transpose(normal.right),
        right=transpose(normal.left),
    )


def _orientations(contraction: Contraction) -> list[tuple[bool, Contraction]]:
    as_it_is = (False, _normalized(contraction))
    return [as_it_is, (True, _transposed(contraction))] if contraction.block is None else [as_it_is]


def _candidates(
    contraction: Contraction, swapped: bool, lanes: int, registers: int
) -> Iterator[Tiling]:
    """Every tile that fits the registers; `contraction` is oriented already."""
    packings = _packings(contraction, lanes)
    everything = max(contraction.rows, 1)
    for vectors in range(1, MOST_VECTORS + 1):
        columns = min(vectors * lanes, max(contraction.columns, 1))
        segments = vector_segments(contraction.dtype, columns, lanes)
        # A second width needs a second copy of the broadcast element.
        broadcasts = len({segment.lanes for segment in segments})
        most = (registers - len(segments) - broadcasts) // len(segments)
        for rows in range(min(most, everything), 0, -1):
            for packing in packings:
                yield Tiling("outer", swapped, rows, columns, lanes, packing, everything)
        if vectors * lanes >= contraction.columns:
            break
    if contraction.left.column_stride == 1 and contraction.right.row_stride == 1:
        for rows in range(1, min(INNER_ROWS, everything) + 1):
            for columns in range(1, min(INNER_COLUMNS, max(contraction.columns, 1)) + 1):
                if rows * columns + rows + columns <= registers:
                    yield Tiling("inner", swapped, rows, columns, lanes, "none", everything)


def _packings(contraction: Contraction, lanes: int) -> tuple[Packing, ...]:
    """How the outer form may get rows of the right operand that are contiguous."""
    if contraction.depth == 0:
        return ("none",)
    if contraction.right.column_stride == 1:
        return ("none", "copy")
    smallest = smallest_lanes(contraction.dtype, lanes)
    if contraction.right.row_stride == 1 and contraction.depth >= smallest:
        return ("transpose",)
    return ("copy",)


def _parts(extent: int, part: int) -> list[tuple[int, int]]:
    """(size, how often) of the pieces when `extent` is cut into parts."""
    full, rest = divmod(extent, part)
    return [(part, full)] * bool(full) + [(rest, 1)] * bool(rest)


def _estimated_cycles(contraction: Contraction, tiling: Tiling) -> float:
    """Cycles for one matrix of the batch; only ratios between tilings matter."""
    row_parts = _parts(contraction.rows, tiling.rows)
    column_parts = _parts(contraction.columns, tiling.columns)
    cycles = 0.0
    for columns, panels in column_parts:
        for rows, blocks in row_parts:
            if tiling.form == "outer":
                tile = _outer_cycles(contraction, rows, columns, tiling)
            else:
                tile = _inner_cycles(contraction, rows, columns, tiling)
            epilogue = rows * _epilogue_cycles(contraction, columns, tiling)
            cycles += panels * blocks * (tile + epilogue + CALL_CYCLES)
        if tiling.packing != "none":
            element = _packing_cycles(contraction, tiling)
            cycles += panels * columns * contraction.depth * element
    variants = len(row_parts) * len(column_parts)
    return cycles * (1 + VARIANT_PENALTY * variants)


def _packing_cycles(contraction: Contraction, tiling: Tiling) -> float:
    """For one element of the right operand."""
    if tiling.packing == "transpose":
        return TRANSPOSE_CYCLES
    return VECTOR_COPY_CYCLES if contraction.right.column_stride == 1 else COPY_CYCLES


def _outer_cycles(contraction: Contraction, rows: int, columns: int, tiling: Tiling) -> float:
    item = ITEM_BYTES[contraction.dtype]
    left, right, depth = contraction.left, contraction.right, contraction.depth
    segments = vector_segments(contraction.dtype, columns, tiling.lanes)
    halved = tiling.lanes * item == HALVED_VECTOR_BYTES
    fma = sum(
        NARROW_FMA_CYCLES if halved and segment.lanes < tiling.lanes else 1.0
        for segment in segments
    )
    step = max(rows * fma, rows + len(segments), SHORTEST_STEP_CYCLES)
    far_bytes = columns * item
    if tiling.packing == "none":
        far_bytes = max(far_bytes, gcd(right.row_stride * item, CACHE_WAY_BYTES))
    if depth * far_bytes > FIRST_CACHE_SHARE_BYTES:
        step += FAR_STEP_CYCLES + columns * item / FAR_BYTES_A_CYCLE
        step += IN_PLACE_CYCLES if tiling.packing == "none" else 0
    if depth * gcd(left.column_stride * item, CACHE_WAY_BYTES) > FIRST_CACHE_SHARE_BYTES:
        step += STRIDED_STEP_CYCLES
        if contraction.rows * depth * item > SECOND_CACHE_SHARE_BYTES:
            step += rows * item / STRIDED_BYTES_A_CYCLE
    elif depth * rows * item > FIRST_CACHE_SHARE_BYTES:
        step += STREAM_CYCLES * max(rows - WELL_PREFETCHED_ROWS, 0)
    # Rows whose addresses are a power of two apart compete for the ways of one cache set.
    if rows * gcd(left.row_stride * item, CACHE_WAY_BYTES) > CACHE_WAYS * CACHE_WAY_BYTES:
        step += rows
    return depth * step


def _inner_cycles(contraction: Contraction, rows: int, columns: int, tiling: Tiling) -> float:
    step: float = max(rows * columns, rows + columns, SHORTEST_STEP_CYCLES)
    item = ITEM_BYTES[contraction.dtype]
    if contraction.depth * contraction.columns * item > FIRST_CACHE_SHARE_BYTES:
        step += (rows + columns) * tiling.lanes * item / FAR_BYTES_A_CYCLE
    return ceil(contraction.depth / tiling.lanes) * step + rows * columns * LANE_SUM_CYCLES


def _epilogue_cycles(contraction: Contraction, columns: int, tiling: Tiling) -> float:
    """A row of the tile; a swapped one runs across the result's rows, one store an element."""
    if tiling.swapped and contraction.rows > 1:
        return columns * TRANSPOSED_EPILOGUE_CYCLES
    vectors, rest = divmod(columns, tiling.lanes)
    return vectors * VECTOR_EPILOGUE_CYCLES + rest * SCALAR_EPILOGUE_CYCLES


def _rows_per_task(contraction: Contraction, tiling: Tiling) -> int:
    """Rows of a task: enough tasks to share, none too small, a packed panel used often."""
    panels = ceil(contraction.columns / tiling.columns) * max(prod(contraction.batch), 1)
    blocks = ceil(contraction.rows / tiling.rows)
    chunks = ceil(TASKS_WANTED / max(panels, 1))
    block_work = max(tiling.rows * tiling.columns * contraction.depth, 1)
    fewest = ceil(SMALLEST_TASK / block_work)
    if tiling.packing != "none":
        fewest = max(fewest, ceil(SMALLEST_PACKED_ROWS / tiling.rows))
    blocks_per_task = max(ceil(blocks / chunks), fewest, 1)
    if blocks_per_task >= blocks:
        return max(contraction.rows, 1)
    return rounded_to_blocks(blocks_per_task * tiling.rows, contraction.block)


def _reason(contraction: Contraction, tiling: Tiling, cycles: float) -> str:
    """One sentence a fact, for `explain`."""
    tile = f"{tiling.rows}x{tiling.columns}"
    if tiling.form == "outer":
        vectors = len(vector_segments(contraction.dtype, tiling.columns, tiling.lanes))
        parts = [f"{tile} tile: {tiling.rows * vectors} accumulators of {tiling.lanes} lanes"]
    else:
        parts = [f"{tile} tile: operands contiguous along the depth, lanes summed at the end"]
    if tiling.swapped:
        parts.append("computed transposed")
    parts.append(
        {
            "none": "operands read in place",
            "transpose": "right panel transposed into scratch",
            "copy": "right panel copied into scratch",
        }[tiling.packing]
    )
    ideal = contraction.rows * contraction.columns * contraction.depth / tiling.lanes
    if cycles:
        parts.append(f"estimated {ideal / cycles:.0%} of the FMA peak")
    return "; ".join(parts)
