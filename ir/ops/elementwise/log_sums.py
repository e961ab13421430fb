"""Logarithms of a sum of two exponentials, which neither overflow nor lose the lesser term."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.ir.nodes.lowering import Composite
from graphc.ir.nodes.op import Op
from graphc.ir.ops.elementwise.elementwise import (
    absolute,
    equal,
    log1p,
    logical_and,
    maximum,
    sigmoid,
    softplus,
    stop_gradient,
    weigh,
    where,
)
from graphc.ir.ops.elementwise.elementwise_op import elementwise
from graphc.ir.ops.elementwise.mathematics import exp2

_LOG_2 = math.log(2)

logaddexp: Op = elementwise(
    "logaddexp", 2, np.logaddexp,
    Composite(lambda x, y: maximum(x, y) + softplus(-absolute(_difference(x, y)))),
    formula="log(e^x + e^y)", commutative=True,
    vjp=[
        lambda ct, r, x, y: weigh(sigmoid(_difference(x, y)), ct),
        lambda ct, r, x, y: weigh(sigmoid(_difference(y, x)), ct),
    ],
)  # fmt: skip
logaddexp2: Op = elementwise(
    "logaddexp2", 2, np.logaddexp2,
    Composite(
        lambda x, y: maximum(x, y) + log1p(exp2(-absolute(_difference(x, y)))) * (1 / _LOG_2)
    ),
    formula="log2(2^x + 2^y)", commutative=True,
    vjp=[
        lambda ct, r, x, y: weigh(sigmoid(_LOG_2 * _difference(x, y)), ct),
        lambda ct, r, x, y: weigh(sigmoid(_LOG_2 * _difference(y, x)), ct),
    ],
)  # fmt: skip


def _difference(x: Any, y: Any) -> Any:
    """x - y, but 0 for two equal infinities, which share their slope."""
    a, b = stop_gradient(x), stop_gradient(y)
    is_both = logical_and(equal(a, b), equal(absolute(a), math.inf))
    return where(is_both, 0, x - y)


OPS = (logaddexp, logaddexp2)
