"""Where the rows of a tile of windows begin: the same for all tiles, or counted for each."""

from __future__ import annotations

import numpy as np
import pytest

from graphc.ir.nodes.lowering import Digit
from graphc.kernels.products.contraction import Contraction, MatrixAccess, Tiling
from graphc.kernels.products.microkernels.window_microkernel import row_starts
from graphc.kernels.products.tilings.tile_places import digits_of_tile

# Images, lines and positions of rows, with what leads from one to the next.
COUNTED = [
    (Digit(2, 400), Digit(4, 40), Digit(6, 4)),
    (Digit(3, 100), Digit(5, 10), Digit(5, 1)),
    (Digit(1, 0), Digit(7, -20), Digit(8, 3)),
    (Digit(30, 4),),
]


def _contraction(digits: tuple[Digit, ...]) -> Contraction:
    rows = len(row_starts(digits))
    # Columns with two digits, as the elements of a window have: so left is windows in any case.
    columns = (Digit(2, 7), Digit(2, 1))
    left = MatrixAccess("x", 0, (), digits[-1].stride, 1, None, None, digits, columns)
    return Contraction("f32", (), rows, 6, 4, left, MatrixAccess("y", 0, (), 6, 1))


def _tiling(rows: int, rows_per_task: int) -> Tiling:
    return Tiling("outer", False, rows, 6, 16, "none", rows_per_task)


@pytest.mark.parametrize("digits", COUNTED)
def test_a_tile_has_its_rows_where_digits_count_them(digits: tuple[Digit, ...]) -> None:
    contraction = _contraction(digits)
    starts = np.array(row_starts(digits))
    for rows in range(1, contraction.rows + 1):
        for rows_per_task in (contraction.rows, 4 * rows, contraction.rows // 2):
            known = digits_of_tile(contraction, _tiling(rows, max(rows_per_task, rows)))
            if not known:
                continue
            expected = row_starts(known)
            assert len(expected) == rows
            for first in range(0, contraction.rows, rows):
                tile = starts[first : first + rows] - starts[first]
                assert list(tile) == expected[: len(tile)]


def test_which_tiles_are_alike() -> None:
    """Equal parts of a line, whole lines, whole images; and none whose tasks begin elsewhere."""
    contraction = _contraction(COUNTED[0])
    alike = [r for r in range(1, 49) if digits_of_tile(contraction, _tiling(r, 48))]
    assert alike == [1, 2, 3, 6, 12, 24, 48]
    assert digits_of_tile(contraction, _tiling(6, 24)) == (Digit(6, 4),)
    assert digits_of_tile(contraction, _tiling(12, 24)) == (Digit(2, 40), Digit(6, 4))
    assert not digits_of_tile(contraction, _tiling(12, 18))


def test_rows_at_even_distances_need_no_digits() -> None:
    left = MatrixAccess("x", 0, (), 4, 1)
    right = MatrixAccess("y", 0, (), 6, 1)
    assert not digits_of_tile(Contraction("f32", (), 12, 6, 4, left, right), _tiling(6, 12))
