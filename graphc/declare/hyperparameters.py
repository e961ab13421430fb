"""Numbers that a user chooses: finite, and in a range."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from graphc.errors import DataError
from graphc.ir.arguments.given import as_integer
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


def integer_of(name: str, value: object) -> int:
    """The argument `name` as an integer. Raises TypeError for what is none."""
    try:
        return as_integer(value)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None


def check_count(name: str, value: object, least: int = 0) -> None:
    """Raises as `check_number` does, and TypeError for a number that is no integer."""
    check_number(name, value, least)
    integer_of(name, value)


def as_count(name: str, value: Any, least: int) -> int:
    """The argument `name` as an integer. Raises DataError for what is none of at least `least`."""
    try:
        number = integer_of(name, value)
    except TypeError as error:
        raise DataError(str(error)) from None
    if number < least:
        raise DataError(f"{name}: at least {least} expected, not {number}")
    return number


def as_seed(seed: Any) -> int:
    """Raises TypeError for a seed that is no integer, ValueError for one below 0."""
    try:
        number = as_integer(seed)
    except TypeError as error:
        raise TypeError(f"seed: {error}") from None
    if number < 0:
        raise ValueError(f"seed: at least 0 expected, not {number}")
    return number


def _is_finite(value: numbers.Real, dtype: DType | None) -> bool:
    try:
        number = float(value)
    except OverflowError:
        return False
    with np.errstate(over="ignore"):
        return math.isfinite(number if dtype is None else float(dtype.numpy.type(number)))
