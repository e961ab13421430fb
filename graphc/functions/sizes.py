"""Sizes that one function is compiled for: each costs a compilation, so many are a mistake."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphc.errors import ManySizesWarning
from graphc.ir.nodes.location import warn_at_callers_line

# The size with which a function has many.
MANY = 5


def size_text(dimensions: Sequence[str], extents: Sequence[int]) -> str:
    """`batch 32`, or `batch 32, time 7`; nothing where no dimension is open."""
    return ", ".join(f"{name} {n}" for name, n in zip(dimensions, extents, strict=True))


def warn_of_many(
    name: str,
    dimensions: Sequence[str],
    extents: tuple[int, ...],
    before: Iterable[tuple[int, ...]],
) -> None:
    """Warns where `extents` are the fifth size of function `name`, at the line that calls it.

    before: the sizes that it was compiled for before, which may be there several times.
    """
    others = list(dict.fromkeys(before))
    if extents in others or len(others) != MANY - 1:
        return
    sizes = "; ".join(size_text(dimensions, each) for each in (*others, extents))
    message = (
        f"{name} is compiled for a fifth size, and compiling each takes its time: {sizes}. Pad the "
        "arrays to a few sizes and cut the results, or call it with batches of a fixed size"
    )
    warn_at_callers_line(message, ManySizesWarning)
