"""What fusion decided and why, as data: `graphc/inspect/wording.py` has the words."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from graphc.ir.graph import Node
from graphc.kernels.nests.refusal import Refusal


@dataclass(frozen=True, eq=False)
class Gain:
    """What one kernel spares that was two.

    unstored: values that pass from one part to the other, neither stored nor loaded any more.
    unloaded: those that are stored for others. shared: values that both parts read, loaded once.
    """

    unstored: tuple[Node, ...]
    unloaded: tuple[Node, ...]
    shared: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class RowsInCache:
    """Rows of a product are reduced while they are in cache; `after` them, in kernels of their own,
    what needs all rows."""

    product: Node
    after: tuple[Node, ...]


@dataclass(frozen=True, eq=False)
class Decision:
    """A fusion that was considered, and what came of it.

    producer, consumer: the first value that goes from one to the other, and who reads it; where
        nothing does, two readers of the same tensor.
    bytes_saved: reads and writes that fall away, or would have.
    why: what is gained, or the refusal.
    parts: all values of the two kernels that were considered.
    """

    producer: Node
    consumer: Node
    bytes_saved: int
    why: Gain | RowsInCache | Refusal
    parts: tuple[frozenset[Node], frozenset[Node]]

    @property
    def fused(self) -> bool:
        return not isinstance(self.why, Refusal)


class NotFused(enum.Enum):
    """Why a fusion that may have loops or tiles is not made. What it is about stands behind each;
    cycles are those spent, then those gained."""

    # Of any two kernels.
    MUST_RUN_BETWEEN = enum.auto()  # the first value of the kernel between the two
    TOO_MANY_BUFFERS = enum.auto()  # how many, the most
    TOO_MUCH_ARITHMETIC = enum.auto()  # the cost, the most
    LOOP = enum.auto()  # the loop
    MOVEMENT = enum.auto()  # the movement
    ORDERED = enum.auto()  # the op along lines
    TWO_PRODUCTS = enum.auto()  # two of them
    SUMS_ACROSS_ROWS = enum.auto()  # a sum
    FEW_COLUMNS = enum.auto()  # a sum
    COSTLY_IN_EVERY_ROW = enum.auto()  # the costliest value
    READ_AS_A_WHOLE = enum.auto()  # a product, its operand
    MORE_THAN_A_TILE = enum.auto()  # a value
    # Of epilogues of whole rows.
    REDUCES_ALREADY = enum.auto()  # the product
    KERNEL_BETWEEN = enum.auto()  # the first value of the kernel between the two
    ALL_ROWS = enum.auto()  # a value
    ROWS_FILL_NO_VECTOR = enum.auto()  # rows, lanes
    COLUMNS_FIT_NO_TILE = enum.auto()  # columns
    NOTHING_SAVED = enum.auto()
    TILES_COST_MORE = enum.auto()  # cycles
    # Of prologues.
    AGAIN_MOVES_NO_LESS = enum.auto()  # a value
    AGAIN_COSTS_MORE = enum.auto()  # a value, cycles
    MOVED_FROM_MEMORY = enum.auto()  # a movement, the value
    READ_IN_LINES = enum.auto()  # an op along lines, the value
    READ_BY_STEPS = enum.auto()  # a loop, the value
    READ_BESIDE_OPERANDS = enum.auto()  # a reader, the value
    # Of gathers.
    FAR_ROWS_READ_OFTEN = enum.auto()  # the gather, its bytes, how often they are read
    READ_BESIDE_PRODUCTS = enum.auto()  # a reader, the gather
    BOTH_OPERANDS_GATHERED = enum.auto()  # the product
    ROWS_SIDE_BY_SIDE = enum.auto()  # the product, the gather, the tiling
