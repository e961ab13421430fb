"""Why nodes share no kernel, as data: people read it in the words of `graphc/inspect/wording.py`.

Whoever refuses has an enum of its reasons: loops and products here, fusion one of its own.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Refusal:
    """Why nodes cannot share a kernel.

    why: the reason, a member of the enum of whoever refuses.
    about: the values, types and figures that the reason speaks of, in the order of its words.
    """

    why: enum.Enum
    about: tuple[object, ...] = ()


class NoLoops(enum.Enum):
    """Why no loops compute nodes together. What it is about stands behind each."""

    NONE_FOUND = enum.auto()
    ORDER_CHANGES = enum.auto()  # a view, the type of what it views
    TWO_AXES_IN_ONE = enum.auto()  # a value
    STORED_AGAIN = enum.auto()  # a value
    SCALAR_OF_THREADS = enum.auto()  # a value
    AGAIN_FOR_EVERY_ROW = enum.auto()  # a reduction
    COUNTED_TWICE = enum.auto()  # a reduction
    NEITHER_ROW_NOR_ROWS = enum.auto()  # a reduction
    WAITS_FOR_LAST_ROW = enum.auto()  # a value
    REDUCES_AFTER_LAST_ROW = enum.auto()  # a reduction


class NoProduct(enum.Enum):
    """Why a product does not compute what is before or behind it."""

    # Of epilogues.
    OTHER_EXTENTS = enum.auto()  # a value, the product
    NO_MATRIX = enum.auto()  # the product
    OTHER_ROWS = enum.auto()  # the product
    ALL_ROWS = enum.auto()  # a value, the product
    NOTHING_REDUCED = enum.auto()  # the product
    # Of prologues.
    MORE_THAN_AN_ELEMENT = enum.auto()  # a value
    AGAIN_FOR_ELEMENTS = enum.auto()  # a value, the operand that it is part of
    ORDER_CHANGES = enum.auto()  # a view, the type of what it views
    # Of gathers.
    BATCH = enum.auto()  # the product
    GATHERS_NO_ROWS = enum.auto()  # the gather
    ROWS_ELSEWHERE = enum.auto()  # the table
    INDICES_ELSEWHERE = enum.auto()  # the indices
    ROWS_VIEWED = enum.auto()  # the product, the gather, the type of the view that is read
