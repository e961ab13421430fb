"""Ops on the bits of integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ir.nodes.op import NonDifferentiable, Op
from graphc.ir.ops.elementwise.elementwise_op import accepts_integers, elementwise

_NO_SLOPE = NonDifferentiable("integers have no derivative")


def _of_two(
    name: str, function: Callable[..., Any], template: str, formula: str, commutative: bool
) -> Op:
    return elementwise(
        name, 2, function, template, accepts=accepts_integers, commutative=commutative,
        formula=formula, vjp=[_NO_SLOPE, _NO_SLOPE],
    )  # fmt: skip


bitwise_and: Op = _of_two(
    "bitwise_and", np.bitwise_and, "{x} & {y}", "The bits that x and y have both", True
)
bitwise_or: Op = _of_two(
    "bitwise_or", np.bitwise_or, "{x} | {y}", "The bits that x or y has, or both", True
)
bitwise_xor: Op = _of_two(
    "bitwise_xor", np.bitwise_xor, "{x} ^ {y}", "The bits in which x and y differ", True
)
invert: Op = elementwise(
    "invert", 1, np.invert, "~{x}", accepts=accepts_integers,
    formula="The bits that x has not", vjp=[_NO_SLOPE],
)  # fmt: skip
left_shift: Op = _of_two(
    "left_shift", np.left_shift, "left_shift({x}, {y})",
    "The bits of x moved up by y places, 0 where y is no place of x", False,
)  # fmt: skip
right_shift: Op = _of_two(
    "right_shift", np.right_shift, "right_shift({x}, {y})",
    "The bits of x moved down by y places, the sign where y is no place of x", False,
)  # fmt: skip

OPS = (bitwise_and, bitwise_or, bitwise_xor, invert, left_shift, right_shift)
