"""The tiles and packing that a cost model chooses for a contraction's static shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from math import ceil, lcm, prod

from graphc.kernels.machine import MACHINE, lanes_of
from graphc.kernels.nests.row_blocks import rounded_to_blocks, rows_of_block
from graphc.kernels.products.contraction import (
    Contraction,
    Form,
    MatrixAccess,
    Packing,
    Tiling,
    cut_columns,
    is_computed_by_columns,
    orientations,
)
from graphc.kernels.products.microkernels.microkernel import (
    ITEM_BYTES,
    smallest_lanes,
    vector_segments,
)
from graphc.kernels.products.tilings import tasks
from graphc.kernels.products.tilings.left_copies import (
    may_copy_left,
    most_copied_rows,
    with_copied_tasks,
)
from graphc.kernels.products.tilings.tasks import (
    SMALLEST_ROW_SHARE,
    Estimated,
    is_shared_by_columns,
    rows_per_task,
    shared_by_columns,
)
from graphc.kernels.products.tilings.tile_cost import estimated_cycles, packing_cycles

MOST_VECTORS = 16  # in a row of a tile
INNER_ROWS, INNER_COLUMNS = 10, 10  # largest tile whose lanes run along the depth
LARGEST_BY_ROWS = 1 << 22  # multiply-adds of a product whose barriers and cold caches still show
PARTS_LIMIT = 0.97  # of the cycles in one way that two ways may take: they are more code
# Times the cycles of the best tiling that a cut by rows may take, of a small product ...
BY_ROWS_LIMIT = 1.4
LARGE_BY_ROWS_LIMIT = 1.02  # ... and of another, where nothing but the place of rows is gained


def choose_tiling(contraction: Contraction, vector_bits: int, threads: int = 1) -> Tiling:
    """The tiling with the least estimated cycles for the static shape.

    `vector_bits` is the width of the vector registers: 512, 256 or 128. Up to `threads` threads
    share the tasks; those of a small or tall product are cut by rows, so that a thread can go on
    with rows that it has computed itself. Raises ValueError for another width.
    """
    if vector_bits not in MACHINE.vector_registers:
        known = sorted(MACHINE.vector_registers)
        raise ValueError(f"vector registers of {vector_bits} bits: expected one of {known}")
    lanes = lanes_of(vector_bits, ITEM_BYTES[contraction.dtype])
    has_rest = contraction.columns > lanes and contraction.columns % lanes
    if has_rest and contraction.may_be_cut_by_columns:
        # The same for any number of threads: it says in which order elements are summed.
        parts = cut_columns(contraction, lanes)
        apart = sum(_tiling_of_one_part(part, vector_bits, 1).cycles for part in parts)
        if apart < PARTS_LIMIT * _tiling_of_one_part(contraction, vector_bits, 1).cycles:
            return _tiling_of_parts(parts, vector_bits, threads)
    return _tiling_of_one_part(contraction, vector_bits, threads)


def _tiling_of_parts(
    parts: tuple[Contraction, Contraction], vector_bits: int, threads: int
) -> Tiling:
    """Cut by rows where both parts are."""
    main, rest = (_tiling_of_one_part(part, vector_bits, threads) for part in parts)
    if main.by_rows != rest.by_rows:
        alone = [(part, _tiling_of_one_part(part, vector_bits, 1)) for part in parts]
        main, rest = (
            with_copied_tasks(part, each, threads) if each.left_copied else each
            for part, each in alone
        )
    columns = parts[1].columns
    reason = f"{main.reason}; the last {columns} of {parts[0].columns + columns} columns apart: "
    return replace(main, cycles=main.cycles + rest.cycles, reason=reason + rest.reason, rest=rest)


def _tiling_of_one_part(contraction: Contraction, vector_bits: int, threads: int) -> Tiling:
    cycles, tiling, part = _best(contraction, vector_bits, threads)
    rows = rows_of_share(contraction, threads)
    if rows is not None:
        cut = _cut_by_rows(contraction, rows, tiling.form, vector_bits)
        limit = BY_ROWS_LIMIT if _is_small(contraction) else LARGE_BY_ROWS_LIMIT
        if cut is not None and cut.cycles <= limit * cycles:
            return cut
    tiling = _with_tasks_for(threads, part, tiling)
    if part.right.is_computed:
        again = ceil(part.rows / tiling.rows_per_task) - 1
        cycles += again * part.columns * part.depth * packing_cycles(part, tiling)
    cycles_of_all = cycles * prod(contraction.batch)
    return replace(tiling, cycles=cycles_of_all, reason=_reason(part, tiling, cycles))


def _best(contraction: Contraction, vector_bits: int, threads: int) -> Estimated:
    """The one of the least cycles that has tasks for so many threads.

    Of the form that is the best for one: an element is then summed in the same order.
    """
    estimated = _estimated(contraction, vector_bits)
    best = min(estimated, key=_cycles)
    if not best[1].left_copied and is_shared_by_columns(contraction, threads):
        return shared_by_columns(contraction, estimated, best, threads)
    chunks = ceil(contraction.rows / tasks.SMALLEST_PACKED_ROWS) * prod(contraction.batch)
    if not best[1].left_copied or chunks >= threads:
        return best
    others = (each for each in estimated if not each[1].left_copied)
    return min((each for each in others if each[1].form == best[1].form), key=_cycles)


def _with_tasks_for(threads: int, part: Contraction, tiling: Tiling) -> Tiling:
    """The tiling with rows of a task, as so many threads share them."""
    if tiling.left_copied:
        return with_copied_tasks(part, tiling, threads)
    return replace(tiling, rows_per_task=rows_per_task(part, tiling, threads))


def _cut_by_rows(
    contraction: Contraction, rows: int, form: Form, vector_bits: int
) -> Tiling | None:
    """The best tiling of chunks of so many rows; None where it has none of the form.

    Of the same form as the whole: an element is then summed in the same order, for the same bits.
    """
    found = [
        each
        for each in _estimated(replace(contraction, rows=rows), vector_bits)
        # A chunk of a transposed product is some panels, which one block of rows cannot be for.
        if each[1].form == form
        and not (contraction.is_computed and each[1].swapped)
        # A task copies all of its rows at once.
        and not (each[1].left_copied and each[1].left_rows < rows)
    ]
    if not found:
        return None
    cycles, tiling, part = min(found, key=_cycles)
    reason = _reason(part, tiling, cycles)
    whole_cycles = cycles * contraction.rows / rows
    return replace(tiling, rows_per_task=rows, by_rows=True, cycles=whole_cycles, reason=reason)


def fits_registers(contraction: Contraction, vector_bits: int) -> bool:
    """Whether there is a tile of registers for the product."""
    return bool(_estimated(contraction, vector_bits))


def ranked_tilings(contraction: Contraction, vector_bits: int) -> list[Tiling]:
    """Every tiling that was considered for one thread, with its cycles, the quickest first."""
    found = [
        replace(tiling, cycles=cycles * prod(contraction.batch))
        for cycles, tiling, _ in _estimated(contraction, vector_bits)
    ]
    return sorted(found, key=lambda tiling: tiling.cycles)


class Tilings:
    """The tilings of one compilation: each product of a shape is estimated once.

    Layers that are alike have products that are alike, and fusion and emission ask for the same.
    """

    def __init__(self, vector_bits: int) -> None:
        """`vector_bits` as `choose_tiling` takes it."""
        self.vector_bits = vector_bits
        self._chosen: dict[tuple[Contraction, int], Tiling] = {}
        self._ranked: dict[Contraction, list[Tiling]] = {}

    def choose(self, contraction: Contraction, threads: int = 1) -> Tiling:
        """What `choose_tiling` chooses."""
        key = (_of_any_buffers(contraction), threads)
        if key not in self._chosen:
            self._chosen[key] = choose_tiling(contraction, self.vector_bits, threads)
        return self._chosen[key]

    def ranked(self, contraction: Contraction) -> list[Tiling]:
        """What `ranked_tilings` ranks."""
        key = _of_any_buffers(contraction)
        if key not in self._ranked:
            self._ranked[key] = ranked_tilings(contraction, self.vector_bits)
        return self._ranked[key]


def _of_any_buffers(contraction: Contraction) -> Contraction:
    """The contraction without its buffers and where they begin, on which no tiling depends."""
    left, right = map(_of_any_buffer, (contraction.left, contraction.right))
    return replace(contraction, left=left, right=right)


def _of_any_buffer(access: MatrixAccess) -> MatrixAccess:
    indices = access.indices
    if indices is not None:
        indices = replace(indices, buffer="", offset=0)
    return replace(access, buffer="", offset=0, indices=indices)


def rows_of_share(contraction: Contraction, threads: int) -> int | None:
    """How many rows a thread takes of a product that is cut by rows; None for other products.

    It depends on the rows and threads alone, so that products of as many rows are cut alike, those
    whose epilogues reduce blocks of rows among them.
    """
    if threads == 1 or contraction.batch or contraction.rows < SMALLEST_ROW_SHARE * threads:
        return None
    if not (_is_small(contraction) or _is_tall(contraction)):
        return None
    share = ceil(contraction.rows / threads)
    return rounded_to_blocks(share, rows_of_block(contraction.rows))


def _is_small(contraction: Contraction) -> bool:
    return contraction.rows * contraction.columns * contraction.depth <= LARGEST_BY_ROWS


def _is_tall(contraction: Contraction) -> bool:
    """Whether rows are most of what the product reads and writes, and stand as they are read."""
    fewest = max(contraction.columns, contraction.depth)
    return contraction.rows >= fewest and contraction.left.column_stride == 1


# One product is asked for in several ways, one right after the other.
@lru_cache(maxsize=8)
def _estimated(contraction: Contraction, vector_bits: int) -> list[Estimated]:
    """Every tiling that may be chosen."""
    lanes = lanes_of(vector_bits, ITEM_BYTES[contraction.dtype])
    return [
        (estimated_cycles(oriented, tiling), tiling, oriented)
        for swapped, oriented in orientations(contraction)
        for tiling in _candidates(oriented, swapped, lanes, MACHINE.vector_registers[vector_bits])
        if tiling.columns >= contraction.least_tile_columns
    ]


def _cycles(estimated: Estimated) -> float:
    return estimated[0]


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
                tile = Tiling("outer", swapped, rows, columns, lanes, packing, everything)
                yield from _with_left(contraction, tile)
        if vectors * lanes >= contraction.columns:
            break
    if contraction.left.is_windowed:
        return
    if contraction.left.column_stride == 1 and not contraction.right.is_computed:
        panel: Packing = "none" if contraction.right.row_stride == 1 else "copy"
        for rows in range(1, min(INNER_ROWS, everything) + 1):
            for columns in range(1, min(INNER_COLUMNS, max(contraction.columns, 1)) + 1):
                if rows * columns + rows + columns <= registers:
                    tile = Tiling("inner", swapped, rows, columns, lanes, panel, everything)
                    yield from _with_left(contraction, tile)


def _packings(contraction: Contraction, lanes: int) -> tuple[Packing, ...]:
    """How the outer form may get rows of the right operand that are contiguous."""
    if contraction.depth == 0:
        return ("none",)
    if contraction.right.column_stride == 1:
        return ("copy",) if contraction.right.is_computed else ("none", "copy")
    smallest = smallest_lanes(contraction.dtype, lanes)
    if contraction.right.row_stride == 1 and contraction.depth >= smallest:
        return ("transpose",)
    return ("copy",)


def _with_left(contraction: Contraction, tile: Tiling) -> Iterator[Tiling]:
    """The ways in which the tile may get its left operand: as it stands or copied. One that is
    computed: as many rows at once as fit the first cache, in whole tiles (and vectors, where they
    run along the rows); for each panel, or once for all panels, which the second cache holds beside
    it."""
    if not contraction.left.is_computed:
        yield tile
        if may_copy_left(contraction, tile):
            yield replace(tile, left_copied=True, left_rows=most_copied_rows(contraction, tile))
        return
    item, rows = ITEM_BYTES[contraction.dtype], tile.rows
    least = lcm(rows, tile.lanes) if is_computed_by_columns(contraction) else rows
    fitting = MACHINE.first_cache_share_bytes // (item * max(contraction.depth, 1))
    whole = ceil(contraction.rows / rows) * rows
    for_each = replace(tile, left_rows=min(max(fitting // least, 1) * least, whole))
    yield for_each
    right_bytes = contraction.depth * contraction.columns * item
    # A block of rows is reduced panel by panel.
    may_be_first = tile.columns < contraction.columns and contraction.block is None
    if may_be_first and right_bytes <= MACHINE.second_cache_share_bytes:
        yield replace(for_each, left_first=True)


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
    if contraction.left.is_computed:
        times = "for all panels" if tiling.left_first else "for each panel"
        parts.append(f"{tiling.left_rows} rows of the left operand computed at once {times}")
    if tiling.left_copied:
        parts.append(f"{tiling.left_rows} rows of the left operand copied, tile by tile")
    parts.append(_packing_text(contraction, tiling))
    if contraction.is_gathered:
        parts.append("rows of one operand gathered while they are read")
    if contraction.left.is_windowed:
        parts.append("windows read where they stand")
    ideal = contraction.rows * contraction.columns * contraction.depth / tiling.lanes
    if cycles:
        parts.append(f"estimated {ideal / cycles:.0%} of the FMA peak")
    return "; ".join(parts)


def _packing_text(contraction: Contraction, tiling: Tiling) -> str:
    if contraction.right.is_computed:
        after = ", then transposed" if tiling.packing == "transpose" else ""
        return f"right panel computed into scratch{after}"
    apart = contraction.left.is_computed or tiling.left_copied
    in_place = "right operand" if apart else "operands"
    return {
        "none": f"{in_place} read in place",
        "transpose": "right panel transposed into scratch",
        "copy": "right panel copied into scratch",
    }[tiling.packing]
