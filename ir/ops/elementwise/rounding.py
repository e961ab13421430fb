"""Ops that round, and division with a whole quotient: steps, whose slope is 0 where it exists."""

from __future__ import annotations

import numpy as np

from graphc.ir.nodes.op import Op
from graphc.ir.ops.elementwise.elementwise_op import DIVISION, accepts_numbers, elementwise

floor: Op = elementwise(
    "floor", 1, np.floor, "floor({x})",
    formula="The greatest whole number that is not above x", vjp=[lambda ct, r, x: None],
)  # fmt: skip
ceil: Op = elementwise(
    "ceil", 1, np.ceil, "ceil({x})",
    formula="The least whole number that is not below x", vjp=[lambda ct, r, x: None],
)  # fmt: skip
trunc: Op = elementwise(
    "trunc", 1, np.trunc, "trunc({x})",
    formula="x without its fraction", vjp=[lambda ct, r, x: None],
)  # fmt: skip
round_: Op = elementwise(
    "round", 1, np.rint, "round_even({x})",
    formula="The whole number nearest to x, the even one of two", vjp=[lambda ct, r, x: None],
)  # fmt: skip
floor_divide: Op = elementwise(
    "floor_divide", 2, np.floor_divide, "floor_divide({x}, {y})", accepts=accepts_numbers,
    cost=2 * DIVISION,
    formula="The greatest whole number that is not above x / y, 0 for integers where y is 0",
    vjp=[lambda ct, r, x, y: None, lambda ct, r, x, y: None],
)  # fmt: skip
mod: Op = elementwise(
    "mod", 2, np.mod, "mod({x}, {y})", accepts=accepts_numbers, cost=2 * DIVISION,
    formula="x - y * floor(x / y), with the sign of y, 0 for integers where y is 0",
    vjp=[lambda ct, r, x, y: ct, lambda ct, r, x, y: -(ct * floor_divide(x, y))],
)  # fmt: skip

OPS = (floor, ceil, trunc, round_, floor_divide, mod)
