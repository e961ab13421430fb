"""Checks of ops: those that graphc makes of its own, for ops that users write."""

from graphc.testing.all_checks import check_op
from graphc.testing.cases import (
    FLOAT,
    Case,
    ErrorCase,
    Operand,
    away_from_zero,
    bools,
    fixed,
    integers,
    uniform,
)
from graphc.testing.tolerance import assert_close

__all__ = [
    "FLOAT",
    "Case",
    "ErrorCase",
    "Operand",
    "assert_close",
    "away_from_zero",
    "bools",
    "check_op",
    "fixed",
    "integers",
    "uniform",
]


def __dir__() -> list[str]:
    return sorted(__all__)
