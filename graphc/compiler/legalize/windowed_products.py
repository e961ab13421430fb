"""Products that read windows where they stand, without a copy that has them as rows.

The address of an element of windows as a matrix is f(row) + g(depth): rows are counted by image and
position, the depth by line and element of a window. A microkernel of windows reads such addresses.
It goes through the depth in one piece, and computes no product transposed; so a product of few
columns or of a great depth may be faster with the copy, which the cost of both tells.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise
from graphc.kernels.groups.contraction_candidate import contraction_candidate
from graphc.kernels.nests.access import digits_in_memory, place_in_memory
from graphc.kernels.nests.node_kinds import contracted_axes, is_contraction, is_view
from graphc.kernels.nests.refusal import Refusal
from graphc.kernels.products.contraction import LONGEST_WINDOWED_DEPTH
from graphc.kernels.products.product_nodes import ProductNodes
from graphc.kernels.products.tilings.tiling import Tilings
from graphc.kernels.products.variables import MOST_DIGITS

# An element of windows that is copied, stored and loaded again.
COPIED_ELEMENT_CYCLES = 0.4


class WindowsCopied(enum.Enum):
    """Why a product reads a copy of windows. What it is about stands behind each."""

    NO_DIGITS = enum.auto()  # the operand
    OTHER_ELSEWHERE = enum.auto()  # the other operand
    EMPTY = enum.auto()
    MANY_DIGITS = enum.auto()  # digits of an axis, the most
    BATCH_OF_DIGITS = enum.auto()  # the operand
    DEEP = enum.auto()  # the depth, the most
    COPY_IS_QUICKER = enum.auto()


@dataclass(frozen=True, eq=False)
class WindowsRead:
    """How a product reads windows that no strides express.

    copied_bytes: what a copy that has them as rows takes.
    in_place_cycles, copied_cycles: the estimates of both ways, the copy itself among them; None
        where windows cannot be read where they stand.
    refusal: why they are copied; None where they are read where they stand.
    """

    copied_bytes: int
    in_place_cycles: float | None
    copied_cycles: float | None
    refusal: Refusal | None


def reading_windows(product: Node, tilings: Tilings) -> tuple[Node, WindowsRead | None]:
    """The product with its first operand read where windows stand, where that is possible and
    estimated to be faster than a copy of it; and what was decided, None where nothing was."""
    if not is_contraction(product):
        return product, None
    x, y = product.operands
    windows = _without_copy(x)
    if windows is None or place_in_memory(windows) is not None:
        return product, None
    with product.graph.at(product.location):
        made = product.graph.apply(product.op, (windows, y), product.attributes)
    refusal = refused_windows(made)
    if refusal is not None:
        return product, WindowsRead(x.type.nbytes, None, None, refusal)
    in_place = product_cycles(made, tilings)
    copied = product_cycles(product, tilings) + x.type.size * COPIED_ELEMENT_CYCLES
    if in_place > copied:
        refusal = Refusal(WindowsCopied.COPY_IS_QUICKER)
    read = WindowsRead(x.type.nbytes, in_place, copied, refusal)
    return (made if refusal is None else product), read


def product_cycles(product: Node, tilings: Tilings) -> float:
    """The estimated cycles of a product alone."""
    made = contraction_candidate(ProductNodes(product, (), (product,)))
    assert not isinstance(made, Refusal)
    return tilings.choose(made.shape).cycles


def _without_copy(operand: Node) -> Node | None:
    """The operand as a view of what it is a copy of, if there is a copy below its views."""
    views = []
    while is_view(operand):
        views.append(operand)
        operand = operand.operands[0]
    if operand.op is not elementwise.copy:
        return None
    (found,) = operand.operands
    for view in reversed(views):
        with view.graph.at(view.location):
            found = view.graph.apply(view.op, (found,), view.attributes)
    return found


def refused_windows(product: Node) -> Refusal | None:
    """Why no microkernel of windows can read the product's first operand; None where one can."""
    x, y = product.operands
    at = digits_in_memory(x)
    if at is None:
        return Refusal(WindowsCopied.NO_DIGITS, (x,))
    if place_in_memory(y) is None:
        return Refusal(WindowsCopied.OTHER_ELSEWHERE, (y,))
    if 0 in (x.type.size, y.type.size):
        return Refusal(WindowsCopied.EMPTY)
    *batch, rows, columns = at.axes
    digits = max(len(rows), len(columns))
    if digits > MOST_DIGITS:
        return Refusal(WindowsCopied.MANY_DIGITS, (digits, MOST_DIGITS))
    if any(len(axis) > 1 for axis in batch):
        return Refusal(WindowsCopied.BATCH_OF_DIGITS, (x,))
    depth = math.prod(x.type.dims[axis] for axis in contracted_axes(product, 0).depth)
    if depth > LONGEST_WINDOWED_DEPTH:
        return Refusal(WindowsCopied.DEEP, (depth, LONGEST_WINDOWED_DEPTH))
    return None
