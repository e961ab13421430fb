"""The ops of `clip`: maximum and minimum whose second operand is a limit, not a rival.

At a tie x passes its cotangent on, as torch.clamp has it; `maximum` and `minimum` share it.
"""

from __future__ import annotations

from graphc.ir.nodes.op import Op
from graphc.ir.ops.elementwise import references
from graphc.ir.ops.elementwise.elementwise import (
    greater,
    greater_equal,
    less,
    less_equal,
    stop_gradient,
    where,
)
from graphc.ir.ops.elementwise.elementwise_op import accepts_numbers, elementwise

clamp_min: Op = elementwise(
    "clamp_min", 2, references.maximum, "maximum({x}, {y})", accepts=accepts_numbers,
    vjp=[
        lambda ct, r, x, y: where(greater_equal(stop_gradient(x), stop_gradient(y)), ct, 0),
        lambda ct, r, x, y: where(less(stop_gradient(x), stop_gradient(y)), ct, 0),
    ],
)  # fmt: skip
clamp_max: Op = elementwise(
    "clamp_max", 2, references.minimum, "minimum({x}, {y})", accepts=accepts_numbers,
    vjp=[
        lambda ct, r, x, y: where(less_equal(stop_gradient(x), stop_gradient(y)), ct, 0),
        lambda ct, r, x, y: where(greater(stop_gradient(x), stop_gradient(y)), ct, 0),
    ],
)  # fmt: skip

OPS = (clamp_min, clamp_max)
