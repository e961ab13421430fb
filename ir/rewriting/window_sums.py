"""Products of windows among zeros as products of less, whose results are added up.

The cotangent of a convolution's input is a product of windows over the cotangent of its results
among zeros (`rules/windows.py`). The larger a window is beside an image, the more of what these
windows hold is zeros; and where the input has few channels, the product has few columns, which fill
no vector. Along one axis the elements of windows may be columns instead: each position gives what
it adds to every element of its window.

Left is a matrix that is stored and added up, so what is quicker depends on the shapes:
`graphc/compiler/legalize/window_sums.py` decides.
"""

from __future__ import annotations

import math

from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops import contract, movement
from graphc.ir.ops.windows import add_windows, windows
from graphc.ir.rewriting.match import operand_of
from graphc.ir.rewriting.rewrite import SUM_ULPS, rule
from graphc.ir.rewriting.rules.windows import reversed_along, windows_of_rows
from graphc.ir.types import static_shape


@rule(contract.matmul, ulps=SUM_ULPS)
def product_of_windows_among_zeros(node: Node) -> Node | None:
    """windows(x among zeros) @ kernel = add_windows(x @ kernel in reverse), along the last axis

    for strides of 1 and windows at all places that have an element of x. Windows along other axes
    stay: their elements are then all that is added up in the product. No zero of the last axis is
    multiplied any more, so an infinite weight makes fewer NaN.
    """
    if node.rank != 2 or node.attributes["transpose_x"]:
        return None
    rows, kernel = node.operands
    spatial = _spatial(rows)
    slid = windows_of_rows(rows, spatial)
    if slid is None or not slid.type.is_static or 0 in slid.shape:
        return None
    (whole,) = slid.operands
    if not _has_all_places(slid, whole, spatial) or 0 in whole.operands[0].shape:
        return None
    if node.attributes["transpose_y"]:
        kernel = build.transpose(kernel)
    x = _without_zeros(whole, spatial)
    batch, *extents, filters = static_shape(x.shape)
    positions = extents[-1]
    places, sizes = static_shape(slid.shape[1:-1:2]), static_shape(slid.shape[2:-1:2])
    product = contract.matmul(
        _rows(x, slid, spatial), _columns(kernel, sizes, filters), transpose_x=False,
        transpose_y=False,
    )  # fmt: skip
    (channels,) = static_shape(node.shape[-1:])
    parts = build.reshape(product, (batch, *places[:-1], positions, sizes[-1], channels))
    added = add_windows(
        parts,
        shape=(batch, *places, channels),
        axes=(spatial,),
        strides=(1,),
        dilations=slid.attributes["dilations"][-1:],
    )
    return build.reshape(added, node.shape)


def _spatial(rows: Node) -> int:
    """Along how many axes windows slide, if these rows are windows."""
    found = operand_of(rows, movement.reshape)
    return 0 if found is None else (found.rank - 2) // 2


def _has_all_places(slid: Node, whole: Node, spatial: int) -> bool:
    """Whether along the last axis there is a window at each place with an element of what stands
    among zeros, and nowhere else."""
    size, dilation = slid.attributes["sizes"][-1], slid.attributes["dilations"][-1]
    if whole.op is not movement.embed or size == 1 or slid.attributes["strides"][-1] > 1:
        return False
    (x,) = whole.operands
    before = (size - 1) * dilation
    embedded = whole.attributes["starts"][spatial], whole.attributes["steps"][spatial]
    extents = static_shape((x.shape[spatial], whole.shape[spatial]))
    return embedded == (before, 1) and extents[1] == extents[0] + 2 * before


def _without_zeros(whole: Node, spatial: int) -> Node:
    """What stands among zeros, with those of the last axis left out."""
    (x,) = whole.operands
    starts, shape = list(whole.attributes["starts"]), list(whole.shape)
    starts[spatial], shape[spatial] = 0, x.shape[spatial]
    if tuple(shape) == x.shape:
        return x
    return movement.embed(
        x, shape=tuple(shape), starts=tuple(starts), steps=whole.attributes["steps"]
    )


def _rows(x: Node, slid: Node, spatial: int) -> Node:
    """A row for each position along the last axis: its windows along the others."""
    if spatial > 1:
        keys = ("axes", "sizes", "strides", "dilations")
        x = windows(x, **{key: slid.attributes[key][:-1] for key in keys})
    others = range(1, 2 * spatial - 1)
    order = (0, *others[::2], 2 * spatial - 1, *others[1::2], 2 * spatial)
    x = build.transpose(x, order)
    depth = math.prod(static_shape(x.shape[spatial + 1 :]))
    return build.reshape(x, (-1, depth))


def _columns(kernel: Node, sizes: tuple[int, ...], filters: int) -> Node:
    """[elements of windows and filters, channels] -> [elements along the other axes and filters,
    elements along the last one in reverse and channels]."""
    spatial = len(sizes)
    *_, channels = static_shape(kernel.shape)
    kernel = build.reshape(kernel, (*sizes, filters, channels))
    kernel = reversed_along(kernel, (spatial - 1,))
    others = tuple(range(spatial - 1))
    kernel = build.transpose(kernel, (*others, spatial, spatial - 1, spatial + 1))
    return build.reshape(kernel, (-1, sizes[-1] * channels))
