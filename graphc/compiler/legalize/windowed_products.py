"""Products that read windows where they stand, without a copy that has them as rows.

The address of an element of windows as a matrix is f(row) + g(depth): rows are counted by image and
position, the depth by line and element of a window. A microkernel of windows reads such addresses.
It goes through the depth in one piece, and computes no product transposed; so a product of few
columns or of a great depth may be faster with the copy, which the cost of both tells.
"""

from __future__ import annotations

import math

from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise
from graphc.kernels.groups.contraction_candidate import ContractionNodes, contraction_candidate
from graphc.kernels.nests.access import digits_in_memory, place_in_memory
from graphc.kernels.nests.node_kinds import contracted_axes, is_contraction, is_view
from graphc.kernels.nests.refusal import Refusal
from graphc.kernels.products.contraction import LONGEST_WINDOWED_DEPTH
from graphc.kernels.products.tiling import Tilings
from graphc.kernels.products.variables import MOST_DIGITS

# An element of windows that is copied, stored and loaded again.
COPIED_ELEMENT_CYCLES = 0.4


def reading_windows(product: Node, tilings: Tilings) -> Node:
    """The product with its first operand read where windows stand, where that is possible and
    estimated to be faster than a copy of it."""
    if not is_contraction(product):
        return product
    x, y = product.operands
    windows = _without_copy(x)
    if windows is None or place_in_memory(windows) is not None:
        return product
    with product.graph.at(product.location):
        made = product.graph.apply(product.op, (windows, y), product.attributes)
    if not reads_windows(made):
        return product
    copied = x.type.size * COPIED_ELEMENT_CYCLES
    if product_cycles(made, tilings) > product_cycles(product, tilings) + copied:
        return product
    return made


def product_cycles(product: Node, tilings: Tilings) -> float:
    """The estimated cycles of a product alone."""
    made = contraction_candidate(ContractionNodes(product, (), (product,)))
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


def reads_windows(product: Node) -> bool:
    """Whether a microkernel of windows can read the product's first operand."""
    x, y = product.operands
    at = digits_in_memory(x)
    if at is None or place_in_memory(y) is None or 0 in (x.type.size, y.type.size):
        return False
    *batch, rows, columns = at.axes
    counted = max(len(rows), len(columns)) <= MOST_DIGITS and all(len(axis) < 2 for axis in batch)
    depth = math.prod(x.type.dims[axis] for axis in contracted_axes(product, 0).depth)
    return counted and depth <= LONGEST_WINDOWED_DEPTH
