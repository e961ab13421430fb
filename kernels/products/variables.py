"""The variables of a contraction's statements, and what its operands may not be called."""

from __future__ import annotations

from graphc.kernels.loops.language.expressions import Name, texts
from graphc.kernels.loops.language.source import PARAMETERS

# That rows or columns of windows are counted by: image, line and position, or one axis more.
MOST_DIGITS = 4

# What threads share: which task, and of it the chunk of rows and the panel of columns.
TASK, ROW_CHUNK, COLUMN_PANEL = Name("task"), Name("row_chunk"), Name("column_panel")
# Memory of a thread, and the arrays in it.
SCRATCH, PACKED = Name("scratch"), Name("packed")
LEFT_VALUES, RIGHT_VALUES = Name("left_values"), Name("right_values")
# The panel that is read, where all of them are packed.
PACKED_PANEL = Name("packed_panel")
# A finished tile, and what blocks of a long depth leave for it.
TILE, TILE_BLOCKS = Name("tile"), Name("tile_blocks")
# From where to where blocks of rows, tiles, and what a task has of rows and columns go.
BLOCK_START, BLOCK_END, BLOCK_ROWS = Name("block_start"), Name("block_end"), Name("block_rows")
ROW_START, ROW_END = Name("row_start"), Name("row_end")
COLUMN_START, PANEL_COLUMNS = Name("column_start"), Name("panel_columns")
DEPTH_START, DEPTH_STEPS = Name("depth_start"), Name("depth_steps")
# Row and column of the result, a step of the depth; row and column in a tile, an element of it.
ROW, COLUMN, DEPTH = Name("i"), Name("j"), Name("k")
TILE_ROW, TILE_COLUMN, TILE_ELEMENT = Name("r"), Name("q"), Name("e")
# A finished element.
ACCUMULATED = Name("acc")
# Blocks of rows that are reduced: which, where in the tile it starts and ends, and where a row is
# added to.
REDUCED_BLOCK, CHAIN = Name("block"), Name("chain")
REDUCED_START, REDUCED_END = Name("reduced_start"), Name("reduced_end")
# The stack of sums of blocks of the depth.
TOP, BLOCK_NUMBER, CARRY = Name("top"), Name("block_number"), Name("carry")
# Where a row of windows begins, and the digits that it is counted by.
PLACE = Name("place")
DIGITS = tuple(Name(f"digit{number}") for number in range(MOST_DIGITS))


def batch_indices(rank: int) -> tuple[Name, ...]:
    """The variables along the axes of a batch."""
    return tuple(Name(f"b{axis}") for axis in range(rank))


def left_block(prefix: str = "") -> Name:
    """Where the rows of left begin that a tile reads."""
    return Name(f"{prefix}left_block")


def right_panel(prefix: str = "") -> Name:
    """Where the columns of right begin that a panel has."""
    return Name(f"{prefix}right_panel")


def window_places(prefix: str = "") -> Name:
    """What a microkernel is told of windows."""
    return Name(f"{prefix}places")


# A variable has one type, which says what buffer it points into.
REST_PREFIX = "rest_"

# No buffer may be called so, `scratch` apart.
RESERVED_NAMES = texts(
    *(*PARAMETERS, TASK, ROW_CHUNK, COLUMN_PANEL, SCRATCH, PACKED, LEFT_VALUES, RIGHT_VALUES),
    *(PACKED_PANEL, TILE, TILE_BLOCKS, BLOCK_START, BLOCK_END, BLOCK_ROWS, ROW_START, ROW_END),
    *(COLUMN_START, PANEL_COLUMNS, DEPTH_START, DEPTH_STEPS, ROW, COLUMN, DEPTH, TILE_ROW),
    *(TILE_COLUMN, TILE_ELEMENT, ACCUMULATED, REDUCED_BLOCK, REDUCED_START, REDUCED_END, CHAIN),
    *(TOP, BLOCK_NUMBER, CARRY, PLACE, *DIGITS),
    *(each(prefix) for each in (left_block, right_panel) for prefix in ("", REST_PREFIX)),
    *(window_places(prefix) for prefix in ("", REST_PREFIX)),
)
