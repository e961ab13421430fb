"""Where the rows of a tile of windows begin, if that is the same for all tiles."""

from __future__ import annotations

from graphc.ir.nodes.lowering import Digit
from graphc.kernels.products.contraction import Contraction, Tiling


def row_digits(contraction: Contraction) -> tuple[Digit, ...]:
    """How the rows of the left operand are counted, the slowest digit first."""
    left = contraction.left
    return left.row_digits or (Digit(contraction.rows, left.row_stride),)


def digits_of_tile(contraction: Contraction, tiling: Tiling) -> tuple[Digit, ...]:
    """How the rows of every tile of windows are counted from its first row on, the slowest digit
    first; none where tiles differ, or their rows stand at even distances anyway.

    Tiles are the same where each is an equal part of a line, or some whole lines, which are an
    equal part of an image, and so on.
    """
    if not contraction.left.is_windowed:
        return ()
    per_task = tiling.rows_per_task
    if per_task < contraction.rows and per_task % tiling.rows:
        return ()
    taken: list[Digit] = []
    rows = tiling.rows
    for number, digit in reversed([*enumerate(row_digits(contraction))]):
        if rows <= digit.extent:
            if number and digit.extent % rows:
                return ()
            return (Digit(rows, digit.stride), *taken)
        if rows % digit.extent:
            return ()
        taken.insert(0, digit)
        rows //= digit.extent
    return ()
