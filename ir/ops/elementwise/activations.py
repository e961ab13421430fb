"""Activations that are x times a gate, and softsign, each with its slope where that needs care.

A gate's tail can be subnormal where the product is not, so the products are one function each.
"""

from __future__ import annotations

from typing import Any

from graphc.ir.nodes.op import Op
from graphc.ir.ops.elementwise import references
from graphc.ir.ops.elementwise.elementwise import (
    absolute,
    sigmoid,
    sigmoid_slope,
    softplus,
    square,
    tanh,
    tanh_slope,
    weigh,
)
from graphc.ir.ops.elementwise.elementwise_op import DIVISION, POLYNOMIAL, elementwise

silu: Op = elementwise(
    "silu", 1, references.silu, "silu({x})", cost=POLYNOMIAL,
    formula="x sigmoid(x)", vjp=[lambda ct, r, x: ct * silu_slope(x)],
)  # fmt: skip
# s (1 + x (1 - s)) with s = sigmoid(x)
silu_slope: Op = elementwise(
    "silu_slope", 1, references.silu_slope, "silu_slope({x})", cost=POLYNOMIAL,
    vjp=[lambda ct, r, x: ct * weigh(sigmoid_slope(x), 2 - x * tanh(0.5 * x))],
)  # fmt: skip
mish: Op = elementwise(
    "mish", 1, references.mish, "mish({x})", cost=POLYNOMIAL,
    formula="x tanh(softplus(x))", vjp=[lambda ct, r, x: ct * mish_slope(x)],
)  # fmt: skip
# t + x s (1 - t^2) with s = sigmoid(x) and t = tanh(softplus(x))
mish_slope: Op = elementwise(
    "mish_slope", 1, references.mish_slope, "mish_slope({x})", cost=POLYNOMIAL,
    vjp=[lambda ct, r, x: ct * _mish_curvature(x)],
)  # fmt: skip
softsign: Op = elementwise(
    "softsign", 1, references.softsign,
    "select(absolute({x}) == {T}(inf), copysign({T}(1), {x}), {x} / ({T}(1) + absolute({x})))",
    cost=DIVISION + 4, formula="x / (1 + |x|)",
    vjp=[lambda ct, r, x: ct / square(1 + absolute(x))],
)  # fmt: skip


def _mish_curvature(x: Any) -> Any:
    """u (2 + x (1 - s - 2 t s)) with u = s (1 - t^2), the slope of t"""
    s, t = sigmoid(x), tanh(softplus(x))
    return weigh(s * tanh_slope(softplus(x)), 2 + x * (1 - s - 2 * t * s))


OPS = (silu, silu_slope, mish, mish_slope, softsign)
