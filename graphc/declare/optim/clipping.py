"""Gradients limited before anything else is made of them."""

from __future__ import annotations

import math

from graphc.declare.optim.slots import widest
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import f64

# torch.nn.utils.clip_grad_norm_ adds this to the norm that it divides by.
NORM_EPSILON = 1e-6


def clip(gradients: list[Node], value: float | None, norm: float | None) -> list[Node]:
    """The gradients limited elementwise to +-value, then in their common 2-norm to `norm`."""
    if value is not None:
        gradients = [ops.minimum(ops.maximum(g, -value), value) for g in gradients]
    return gradients if norm is None else _clip_norm(gradients, norm)


def _clip_norm(gradients: list[Node], norm: float) -> list[Node]:
    """g where |g| + epsilon <= norm, else g norm / (|g| + epsilon), |g| being the common 2-norm.

    It is taken in f64, which the squares of f32 neither overflow nor underflow. Beside f64 all are
    divided by the greatest element first, and what then underflows does not count.
    """
    wide = [build.cast(g, f64) for g in gradients]
    unit = greatest_magnitude(wide) if widest(gradients) is f64 else None
    scaled = wide if unit is None else [g / unit for g in wide]
    squares = [build.sum(ops.square(g)) for g in scaled]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    length = ops.sqrt(total)
    epsilon = NORM_EPSILON if unit is None else NORM_EPSILON / unit
    is_short = ops.less_equal(length if unit is None else length * unit, norm - NORM_EPSILON)
    # Divided by an infinite length, finite gradients would be 0, and only the others NaN.
    factor = ops.where(ops.less(length, math.inf), norm / (length + epsilon), math.nan)
    return [
        ops.where(is_short, g, build.cast(each * factor, g.dtype))
        for g, each in zip(gradients, scaled, strict=True)
    ]


def greatest_magnitude(values: list[Node]) -> Node:
    """The greatest magnitude of all elements, 1 where they are all 0 and where there are none."""
    peaks = [build.max(ops.absolute(value)) for value in values if 0 not in value.shape]
    greatest = peaks[0] if peaks else values[0].graph.constant(1.0, f64)
    for peak in peaks[1:]:
        greatest = ops.maximum(greatest, peak)
    return ops.where(ops.equal(greatest, 0), 1, greatest)
