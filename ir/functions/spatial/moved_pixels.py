"""Images whose pixels come from other places, which each sample has for itself."""

from __future__ import annotations

from typing import Any

from graphc.ir.functions.arrays.filling import full
from graphc.ir.functions.arrays.shaping import reshaped
from graphc.ir.nodes.op import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.elementwise.rounding import mod
from graphc.ir.ops.movement import indexed
from graphc.ir.types import i32

# What stands beyond the border, in Keras's words: a number, the last pixel again, the pixels
# mirrored behind it, or those from the other end.
CONSTANT, NEAREST, REFLECT, WRAP = FILL_MODES = ("constant", "nearest", "reflect", "wrap")


def moved_pixels(
    x: Any, top: Any, left: Any, size: tuple[int, int], fill_mode: str, fill_value: float = 0.0
) -> Node:
    """The window of `size` that begins at row `top` and column `left` (i32, one a sample, 0 and
    below and beyond x too) of each image: [batch, height, width, channels] -> [batch, *size,
    channels].

    One gather of pixels. A batch has less than 2^31 of them.
    """
    batch, height, width, channels = x.shape
    rows, is_row = _inside(_places(x, top, size[0]), height, fill_mode)
    columns, is_column = _inside(_places(x, left, size[1]), width, fill_mode)
    image = reshaped(x.graph.iota((batch,), i32), (batch, 1, 1))
    index = (image * height + reshaped(rows, (batch, size[0], 1))) * width
    index = index + reshaped(columns, (batch, 1, size[1]))
    pixels = indexed.take(reshaped(x, (batch * height * width, channels)), index, axis=0)
    if fill_mode != CONSTANT:
        return pixels
    inside = ops.logical_and(
        reshaped(is_row, (batch, size[0], 1, 1)), reshaped(is_column, (batch, 1, size[1], 1))
    )
    return ops.where(inside, pixels, full((), fill_value, like=x))


def _places(x: Any, start: Any, count: int) -> Any:
    """[batch, count]: `count` places from each sample's start on."""
    batch = x.shape[0]
    return reshaped(start, (batch, 1)) + reshaped(x.graph.iota((count,), i32), (1, count))


def _inside(places: Any, extent: int, fill_mode: str) -> tuple[Any, Any]:
    """Places within the extent in the stead of those beyond it, and which were within."""
    last = extent - 1
    within = ops.logical_and(ops.greater_equal(places, 0), ops.less_equal(places, last))
    if fill_mode == WRAP:
        return mod(places, extent), within
    if fill_mode == REFLECT:
        there = mod(places, 2 * extent)
        return ops.minimum(there, 2 * extent - 1 - there), within
    return ops.minimum(ops.maximum(places, 0), last), within
