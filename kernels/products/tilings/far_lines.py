"""Cache lines of an operand that a core waits for: those that its second cache does not hold when a
tile comes back to them, and that nothing fetches ahead, since each is in another page."""

from __future__ import annotations

from math import gcd

from graphc.kernels.machine import MACHINE
from graphc.kernels.products.contraction import Contraction, Tiling, has_narrow_vectors
from graphc.kernels.products.microkernels.microkernel import ITEM_BYTES


def pages_of_step(step_bytes: int) -> float:
    """Into how many other pages a step of the depth leads."""
    return min(abs(step_bytes), MACHINE.page_bytes) / MACHINE.page_bytes


def is_left_far(contraction: Contraction) -> bool:
    """Whether rows of left that stand side by side are more than the second cache holds, in more
    pages than are at hand: tiles of the next panel find them where the first ones did."""
    left, depth, item = contraction.left, contraction.depth, ITEM_BYTES[contraction.dtype]
    if not left.is_strided or left.row_stride != 1:
        return False
    pages = depth * pages_of_step(left.column_stride * item)
    return (
        pages > MACHINE.near_pages and contraction.rows * depth * item > MACHINE.second_cache_bytes
    )


def is_panel_far(contraction: Contraction, lanes: int) -> bool:
    """Whether the rows of a panel of right, where they stand, compete for the second cache.

    Where they are a power of two apart they begin at few places of a page, and the lines at one
    place of all pages are sets of that cache that hold no more of them than it has pages.
    """
    right, item = contraction.right, ITEM_BYTES[contraction.dtype]
    if not right.is_strided or has_narrow_vectors(contraction.dtype, lanes):
        return False
    apart = gcd(right.row_stride * item, MACHINE.page_bytes)
    return contraction.depth * apart > MACHINE.second_cache_bytes


def is_left_read_again(contraction: Contraction, tiling: Tiling) -> bool:
    """Whether the first cache has lost left when the next panel of columns needs it."""
    left, item = contraction.left, ITEM_BYTES[contraction.dtype]
    if not left.is_strided or tiling.columns >= contraction.columns:
        return False
    return contraction.rows * contraction.depth * item > MACHINE.first_cache_bytes
