"""Numbers that a user chooses for training: finite, and in a range."""

from __future__ import annotations

import math
import numbers

import numpy as np

from graphc.ir.types import DType


def check_number(
    name: str, value: object, least: float = -math.inf, dtype: DType | None = None
) -> None:
    """Raises TypeError unless `value` is a number, which a bool is not; ValueError when it is NaN,
    infinite, less than `least`, or infinite as a `dtype`."""
    if isinstance(value, np.ndarray) and value.shape == ():
        value = value[()]
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}: a number expected, not {value!r}")
    if not _is_finite(value, dtype):
        kind = "number" if dtype is None else f"number of {dtype}"
        raise ValueError(f"{name}: a finite {kind} expected, not {value}")
    if value < least:
        raise ValueError(f"{name}: at least {least:g} expected, not {value}")


def _is_finite(value: numbers.Real, dtype: DType | None) -> bool:
    try:
        number = float(value)
    except OverflowError:
        return False
    with np.errstate(over="ignore"):
        return math.isfinite(number if dtype is None else float(dtype.numpy.type(number)))
