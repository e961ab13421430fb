"""Ops as users write them: a template, one with two operands, and two that expand."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gc

swish: gc.Op = gc.custom_op(
    "swish",
    lambda x, beta: x / (1 + np.exp(-beta * x)),
    template="{x} / ({T}(1) + exp({T}(-{beta}) * {x}))",
    attributes={"beta": "float"},
    vjp=[lambda ct, r, x, beta: ct * (gc.sigmoid(beta * x) * (1 + beta * (x - r)))],
)
# sqrt(x^2 + y^2)
hypotenuse: gc.Op = gc.custom_op(
    "hypotenuse",
    np.hypot,
    template="sqrt({x} * {x} + {y} * {y})",
    arity=2,
    vjp=[lambda ct, r, x, y: ct * x / r, lambda ct, r, x, y: ct * y / r],
)
rms: gc.Op = gc.custom_op(
    "rms",
    lambda x: np.sqrt(np.mean(x * x, -1, keepdims=True)),
    expand=lambda x: gc.sqrt(gc.mean(gc.square(x), -1, keepdims=True)),
)


def _shifted(x: Any, y: Any, amount: int) -> Any:
    return gc.concatenate([x[:, amount:], x[:, :amount]], 1) * y


rolled: gc.Op = gc.custom_op(
    "rolled",
    lambda x, y, amount: np.roll(x, -amount, 1) * y,
    expand=_shifted,
    arity=2,
    attributes={"amount": "int"},
)
