"""What was decided about fusion and windows, in words: the only place that has any."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphc.compiler.fusion.decision import Decision, Gain, NotFused, RowsInCache
from graphc.compiler.legalize.windowed_products import WindowsCopied, WindowsRead
from graphc.ir.graph import Node
from graphc.ir.types import TensorType
from graphc.kernels.nests.names import label
from graphc.kernels.nests.refusal import NoLoops, NoProduct, Refusal

# A reason names at most so many values.
VALUES_NAMED = 3


def described(node: Node) -> str:
    """The value in a sentence: its label and, where it has one, the user's line."""
    return f"{label(node)} ({node.location})" if node.location is not None else label(node)


def reason_of(decision: Decision) -> str:
    """Why two kernels became one, or did not: `add (net.py:8) is neither stored nor loaded`."""
    why = decision.why
    if isinstance(why, Gain):
        return _gain_text(why)
    return _rows_text(why) if isinstance(why, RowsInCache) else refusal_text(why)


def refusal_text(refusal: Refusal) -> str:
    """Why nodes share no kernel: `12 rows do not fill a vector of 16`."""
    return REFUSALS[refusal.why].format(*map(_shown, refusal.about))


def windows_text(read: WindowsRead) -> str:
    """How a product reads windows, and both estimates: `in place 4,620 cycles by estimate; with a
    copy of 36,864 bytes 9,120`."""
    if read.in_place_cycles is None or read.copied_cycles is None:
        assert read.refusal is not None
        return f"windows copied, {read.copied_bytes:,} bytes: {refusal_text(read.refusal)}"
    in_place, copied = f"{read.in_place_cycles:,.0f}", f"{read.copied_cycles:,.0f}"
    if read.refusal is None:
        return (
            f"in place {in_place} cycles by estimate; with a copy of "
            f"{read.copied_bytes:,} bytes {copied}"
        )
    return (
        f"windows copied, {read.copied_bytes:,} bytes, {copied} cycles by estimate: "
        f"{refusal_text(read.refusal)}, {in_place}"
    )


@dataclass(frozen=True, eq=False)
class _ShownNode:
    """A value as the words below have it: `{0}` and `{0.type}`."""

    node: Node

    @property
    def type(self) -> TensorType:
        return self.node.type

    def __str__(self) -> str:
        return described(self.node)


def _shown(part: object) -> object:
    return _ShownNode(part) if isinstance(part, Node) else part


def _gain_text(gain: Gain) -> str:
    clauses = (
        (gain.unstored, "neither stored nor loaded"),
        (gain.unloaded, "stored for others, but not loaded"),
        (gain.shared, "loaded once for both"),
    )
    return "; ".join(
        f"{_named(values)} {'is' if len(values) == 1 else 'are'} {what}"
        for values, what in clauses
        if values
    )


def _rows_text(rows: RowsInCache) -> str:
    text = f"rows of {described(rows.product)} are reduced while they are in cache"
    if not rows.after:
        return text
    return f"{text}; {', '.join(map(described, rows.after))} of all rows after it"


def _named(values: Sequence[Node]) -> str:
    """A few of the values by name, and how many more there are."""
    names = ", ".join(map(described, values[:VALUES_NAMED]))
    more = len(values) - VALUES_NAMED
    return f"{names} and {more} more" if more > 0 else names


REFUSALS: Mapping[enum.Enum, str] = {
    NoLoops.NONE_FOUND: "no choice of loops",
    NoLoops.ORDER_CHANGES: (
        "{0} changes the order of elements between them, {1} to {0.type}, so no loop runs "
        "along both"
    ),
    NoLoops.TWO_AXES_IN_ONE: "two axes of {0} of {0.type} would run along one loop",
    NoLoops.STORED_AGAIN: (
        "{0} of {0.type} would be stored again and again: it does not vary along all of the loops"
    ),
    NoLoops.SCALAR_OF_THREADS: "{0} is a scalar, which no kernel stores whose loops threads share",
    NoLoops.AGAIN_FOR_EVERY_ROW: "{0} would be computed again for every row",
    NoLoops.COUNTED_TWICE: "{0} would count elements twice",
    NoLoops.NEITHER_ROW_NOR_ROWS: "{0} reduces neither whole rows nor over all rows",
    NoLoops.WAITS_FOR_LAST_ROW: (
        "{0} needs what is complete after the last row before it can finish the first"
    ),
    NoLoops.REDUCES_AFTER_LAST_ROW: "{0} reduces what exists only after the last row",
    NoProduct.OTHER_EXTENTS: (
        "{0} of {0.type} has other extents than the product's {1.type}, so tiles of the one "
        "are none of the other"
    ),
    NoProduct.NO_MATRIX: "{0} of {0.type} is no matrix of rows",
    NoProduct.OTHER_ROWS: "not all of it runs along the rows of {0}",
    NoProduct.ALL_ROWS: "{0} needs all rows of {1}",
    NoProduct.NOTHING_REDUCED: "nothing is reduced over the rows of {0}",
    NoProduct.MORE_THAN_AN_ELEMENT: "{0} needs more than one element of each operand",
    NoProduct.AGAIN_FOR_ELEMENTS: (
        "{0} of {0.type} would be computed again and again for elements of {1} of {1.type}"
    ),
    NoProduct.ORDER_CHANGES: "{0} changes the order of elements, {1} to {0.type}",
    NoProduct.BATCH: "{0} of {0.type} is a batch of products",
    NoProduct.GATHERS_NO_ROWS: "{0} of {0.type} gathers no rows",
    NoProduct.ROWS_ELSEWHERE: "the rows of {0} do not stand as they are read",
    NoProduct.INDICES_ELSEWHERE: "{0} do not stand in their order",
    NoProduct.ROWS_VIEWED: "{0} reads {1} of {1.type} as {2}, whose rows are others",
    WindowsCopied.NO_DIGITS: "no digits of an address count the rows and columns of {0}",
    WindowsCopied.OTHER_ELSEWHERE: "{0}, the other operand, has no strides either",
    WindowsCopied.EMPTY: "there are none",
    WindowsCopied.MANY_DIGITS: (
        "an axis is counted by {0} digits, but a microkernel counts by at most {1}"
    ),
    WindowsCopied.BATCH_OF_DIGITS: "products of the batch of {0} begin at no equal distances",
    WindowsCopied.DEEP: (
        "{0:,} products for each sum, but a microkernel that reads windows adds up at most {1:,}, "
        "in one piece"
    ),
    WindowsCopied.COPY_IS_QUICKER: "read where they stand they would take more",
    NotFused.MUST_RUN_BETWEEN: (
        "the kernel of {0} reads the one and the other waits for it, so it must run between them"
    ),
    NotFused.TOO_MANY_BUFFERS: "{0} buffers, but a kernel takes at most {1}",
    NotFused.TOO_MUCH_ARITHMETIC: (
        "ops that cost {0} for an element, but a kernel takes at most {1}: a longer one takes "
        "long to compile, and a value stored between two is little beside them"
    ),
    NotFused.LOOP: "{0} is a loop, whose steps are kernels of their own",
    NotFused.MOVEMENT: "{0} copies regions or slices: such a movement is a kernel of its own",
    NotFused.ORDERED: "{0} goes along whole lines in order: such an op is a kernel of its own",
    NotFused.TWO_PRODUCTS: (
        "{0} and {1}: two matrix products, but a tile has the accumulators of one"
    ),
    NotFused.FEW_COLUMNS: (
        "{0} adds up columns of memory, too few and too long for threads to share the passes "
        "over them"
    ),
    NotFused.SUMS_ACROSS_ROWS: (
        "{0} needs whole sums of another axis, which loops along the rows of memory complete "
        "only after the last row"
    ),
    NotFused.COSTLY_IN_EVERY_ROW: (
        "a costly value would be computed again for every row: {0} is the same for all rows"
    ),
    NotFused.READ_AS_A_WHOLE: (
        "the product {0} reads all of {1}, which is therefore stored before the first tile"
    ),
    NotFused.MORE_THAN_A_TILE: (
        "an epilogue works element by element on one tile, or adds up blocks of rows, but {0} "
        "needs more than a tile"
    ),
    NotFused.REDUCES_ALREADY: "{0} has a prologue or other reductions already",
    NotFused.KERNEL_BETWEEN: "the kernel of {0} must run between them",
    NotFused.ALL_ROWS: "{0} needs all rows, and a kernel of a product has some",
    NotFused.ROWS_FILL_NO_VECTOR: "{0} rows do not fill a vector of {1}",
    NotFused.COLUMNS_FIT_NO_TILE: "rows of {0} columns fit no tile of registers",
    NotFused.NOTHING_SAVED: "what needs all rows would read more than is saved",
    NotFused.TILES_COST_MORE: (
        "tiles that have whole rows would take {0:,.0f} cycles more, but a kernel less saves {1:,}"
    ),
    NotFused.AGAIN_MOVES_NO_LESS: "to compute {0} again moves no fewer bytes than to store it",
    NotFused.AGAIN_COSTS_MORE: (
        "{0} is stored: products that compute it while they pack it would take {1:,.0f} cycles "
        "more, but save {2:,.0f} by not storing it"
    ),
    NotFused.MOVED_FROM_MEMORY: "{0} moves {1} from where it is stored",
    NotFused.READ_IN_LINES: "{0} reads whole lines of {1}",
    NotFused.READ_BY_STEPS: "the steps of {0} read {1} from memory",
    NotFused.READ_BESIDE_OPERANDS: (
        "{0} reads {1} too, in the kernel of a product, which computes it only while it packs "
        "an operand"
    ),
    NotFused.FAR_ROWS_READ_OFTEN: (
        "{0} is stored: products read its {1:,} bytes {2} times, which have left the second "
        "cache by then; rows that stand side by side come sooner from beyond it"
    ),
    NotFused.READ_BESIDE_PRODUCTS: (
        "{0} reads {1} too, and products alone read rows where they stand"
    ),
    NotFused.BOTH_OPERANDS_GATHERED: "{0} would gather both of its operands",
    NotFused.ROWS_SIDE_BY_SIDE: "the tiles of {0} need rows of {1} side by side ({2.reason})",
}
