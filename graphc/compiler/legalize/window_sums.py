"""Which products of windows among zeros become products whose results are added up.

`graphc/ir/rewriting/window_sums.py` has the equation. What it saves is products with zeros and
empty lanes of vectors; what it costs is a matrix that is stored among zeros and added up.
"""

from __future__ import annotations

import math
from dataclasses import replace

from graphc.compiler.legalize.windowed_products import product_cycles, refused_windows
from graphc.ir.graph import Node
from graphc.ir.ops import contract, elementwise
from graphc.ir.ops.windows import add_windows
from graphc.ir.rewriting.rewrite import Rule
from graphc.ir.rewriting.window_sums import product_of_windows_among_zeros
from graphc.kernels.nests.access import place_in_memory
from graphc.kernels.products.tilings.tiling import Tilings

# An element of windows among zeros that is stored and added up; a little more than was measured.
ADDED_ELEMENT_CYCLES = 0.6
# Of the product's cycles that the other way may take: it has two kernels more.
QUICKER_SHARE = 0.85


def rules(tilings: Tilings) -> tuple[Rule, ...]:
    """The rule, applied where its right-hand side is estimated to be quicker."""

    def apply(node: Node) -> Node | None:
        after = product_of_windows_among_zeros.apply(node)
        return after if after is not None and _is_quicker(node, after, tilings) else None

    return (replace(product_of_windows_among_zeros, apply=apply),)


def _is_quicker(node: Node, after: Node, tilings: Tilings) -> bool:
    whole, product = _readable(node), _readable(_product_below(after))
    if whole is None or product is None:
        return False
    added = _added_elements(after) * ADDED_ELEMENT_CYCLES
    limit = QUICKER_SHARE * product_cycles(whole, tilings)
    return product_cycles(product, tilings) + added < limit


def _readable(product: Node) -> Node | None:
    """The product with what has no strides copied; None where it cannot read its windows."""
    x, y = product.operands
    if place_in_memory(y) is None:
        made = elementwise.copy(y)
        product = product.graph.apply(product.op, (x, made), product.attributes)
    is_matrix = place_in_memory(x) is not None
    return product if is_matrix or refused_windows(product) is None else None


def _product_below(after: Node) -> Node:
    while after.op is not contract.matmul:
        (after,) = after.operands
    return after


def _added_elements(after: Node) -> int:
    """How many elements the windows that are added up have with the zeros around them."""
    while after.op is not add_windows:
        (after,) = after.operands
    (parts,) = after.operands
    (axis,), (dilation,) = after.attributes["axes"], after.attributes["dilations"]
    positions, size = parts.type.dims[axis : axis + 2]
    among_zeros = positions + 2 * (size - 1) * dilation
    return math.prod(parts.type.dims) // positions * among_zeros
