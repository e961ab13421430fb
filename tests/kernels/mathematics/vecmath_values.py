"""What the functions of vector math are: numpy functions of any precision, and special values."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ir.ops.elementwise import special_references

INFINITY, NAN = math.inf, math.nan


def sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def sigmoid_tail(x: np.ndarray) -> np.ndarray:
    return sigmoid(-np.abs(x))


def softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def silu_slope(x: np.ndarray) -> np.ndarray:
    """Infinities are beyond all bends."""
    x = np.clip(x, -1e4, 1e4)
    return sigmoid(x) * (1 + x * sigmoid(-x))


def mish_gate(x: np.ndarray) -> np.ndarray:
    """tanh(softplus(x)), which is n / (n + 2) with e = exp(x) and n = e (e + 2)."""
    e = np.exp(-np.abs(x))
    above = (1 + 2 * e) / (1 + 2 * e * (1 + e))
    return np.where(x < 0, e * (e + 2) / (e * (e + 2) + 2), above)


def mish_slope(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, -1e4, 1e4)
    e = np.exp(-np.abs(x))
    beyond = np.where(x < 0, 2 / (e * (e + 2) + 2), 2 * e * e / (1 + 2 * e * (1 + e)))
    return mish_gate(x) + x * sigmoid(x) * beyond * (2 - beyond)


REFERENCES: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "tanh_tail": lambda x: 2 * sigmoid_tail(2 * x),
    "sigmoid": sigmoid,
    "sigmoid_tail": sigmoid_tail,
    "softplus": softplus,
    "sin": np.sin,
    "cos": np.cos,
    "pow": np.power,
    "silu": lambda x: np.where(x == -np.inf, -0.0, x * sigmoid(x)),
    "silu_slope": silu_slope,
    "mish": lambda x: np.where(x == -np.inf, -0.0, x * mish_gate(x)),
    "mish_slope": mish_slope,
    **{
        name: getattr(np, name)
        for name in ("exp2", "log2", "log10", "tan", "sinh", "cosh", "hypot")
    },
    **{
        name: getattr(np, f"arc{name[1:]}")
        for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh", "atan2")
    },
    "mod": np.mod,
    "floor_divide": np.floor_divide,
    "erf": np.vectorize(math.erf, otypes=[np.float64]),
    "erfc": np.vectorize(math.erfc, otypes=[np.float64]),
    "exp_minus_square": lambda x: np.exp(-x * x),
    "gelu": special_references.gelu,
    "gelu_slope": special_references.gelu_slope,
    "lgamma": special_references.lgamma,
    "digamma": special_references.digamma,
    "trigamma": special_references.trigamma,
}

# (argument, result): pairs, since 0.0 and -0.0 are one key of a dict.
SPECIAL_VALUES = {
    "erfc": [(0, 1), (-0.0, 1), (INFINITY, 0), (-INFINITY, 2), (1e5, 0)],
    "exp_minus_square": [(0, 1), (-0.0, 1), (INFINITY, 0), (-INFINITY, 0), (1e5, 0)],
    "gelu": [(0, 0), (-0.0, -0.0), (INFINITY, INFINITY), (-INFINITY, -0.0), (1e5, 1e5)],
    "gelu_slope": [(0, 0.5), (-0.0, 0.5), (INFINITY, 1), (-INFINITY, -0.0), (1e5, 1)],
    "lgamma": [
        (1, 0),
        (2, 0),
        (0, INFINITY),
        (-0.0, INFINITY),
        (-3, INFINITY),
        (INFINITY, INFINITY),
        (-INFINITY, INFINITY),
    ],
    "digamma": [
        (0, -INFINITY),
        (-0.0, INFINITY),
        (-3, NAN),
        (INFINITY, INFINITY),
        (-INFINITY, NAN),
    ],
    "trigamma": [(0, INFINITY), (-0.0, INFINITY), (-3, INFINITY), (INFINITY, 0), (-INFINITY, NAN)],
    "exp2": [(0, 1), (-0.0, 1), (-3, 0.125), (INFINITY, INFINITY), (-INFINITY, 0), (-1e5, 0)],
    "log2": [(0, -INFINITY), (-0.0, -INFINITY), (1, 0), (8, 3), (INFINITY, INFINITY), (-1, NAN)],
    "log10": [(0, -INFINITY), (-0.0, -INFINITY), (1, 0), (1000, 3), (INFINITY, INFINITY)],
    "tan": [(0, 0), (-0.0, -0.0), (INFINITY, NAN), (-INFINITY, NAN)],
    "sinh": [(0, 0), (-0.0, -0.0), (INFINITY, INFINITY), (-INFINITY, -INFINITY), (1e5, INFINITY)],
    "cosh": [(0, 1), (-0.0, 1), (INFINITY, INFINITY), (-INFINITY, INFINITY), (1e5, INFINITY)],
    "asin": [(0, 0), (-0.0, -0.0), (2, NAN), (-2, NAN), (INFINITY, NAN)],
    "acos": [(1, 0), (2, NAN), (-2, NAN), (INFINITY, NAN)],
    "atan": [(0, 0), (-0.0, -0.0)],
    "asinh": [(0, 0), (-0.0, -0.0), (INFINITY, INFINITY), (-INFINITY, -INFINITY)],
    "acosh": [(1, 0), (0.5, NAN), (-1, NAN), (INFINITY, INFINITY), (-INFINITY, NAN)],
    "atanh": [(0, 0), (-0.0, -0.0), (1, INFINITY), (-1, -INFINITY), (2, NAN), (-INFINITY, NAN)],
    "silu": [(0, 0), (-0.0, -0.0), (INFINITY, INFINITY), (-INFINITY, -0.0), (1e5, 1e5)],
    "silu_slope": [(0, 0.5), (-0.0, 0.5), (INFINITY, 1), (-INFINITY, -0.0), (1e5, 1)],
    "mish": [(0, 0), (-0.0, -0.0), (INFINITY, INFINITY), (-INFINITY, -0.0), (1e5, 1e5)],
    "mish_slope": [(INFINITY, 1), (-INFINITY, -0.0), (1e5, 1)],
    "exp": [(0, 1), (-0.0, 1), (INFINITY, INFINITY), (-INFINITY, 0), (1e5, INFINITY), (-1e5, 0)],
    "expm1": [(0, 0), (-0.0, -0.0), (INFINITY, INFINITY), (-INFINITY, -1), (-1e5, -1)],
    "log": [(0, -INFINITY), (-0.0, -INFINITY), (1, 0), (INFINITY, INFINITY), (-1, NAN)],
    "log1p": [(0, 0), (-0.0, -0.0), (-1, -INFINITY), (INFINITY, INFINITY), (-2, NAN)],
    "tanh": [(0, 0), (-0.0, -0.0), (INFINITY, 1), (-INFINITY, -1), (1e5, 1)],
    "sigmoid": [(0, 0.5), (-0.0, 0.5), (INFINITY, 1), (-INFINITY, 0), (1e5, 1), (-1e5, 0)],
    "tanh_tail": [(0, 1), (-0.0, 1), (INFINITY, 0), (-INFINITY, 0), (1e5, 0), (-1e5, 0)],
    "sigmoid_tail": [(0, 0.5), (-0.0, 0.5), (INFINITY, 0), (-INFINITY, 0), (1e5, 0), (-1e5, 0)],
    "softplus": [(INFINITY, INFINITY), (-INFINITY, 0), (1e5, 1e5), (-1e5, 0)],
    "erf": [(0, 0), (-0.0, -0.0), (INFINITY, 1), (-INFINITY, -1), (1e5, 1)],
    "sin": [(0, 0), (-0.0, -0.0), (INFINITY, NAN), (-INFINITY, NAN)],
    "cos": [(0, 1), (-0.0, 1), (INFINITY, NAN), (-INFINITY, NAN)],
}
