"""Parameters of estimators, checked when they are fitted, as scikit-learn does it."""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection

from graphc.declare.hyperparameters import check_number, integer_of
from graphc.ir.arguments.given import check_flag, is_one_of, shown


def check_count(estimator: str, name: str, value: object) -> None:
    """Raises ValueError or TypeError unless `value` is a whole number of at least 1."""
    number = integer_of(f"{estimator}: {name}", value)
    if number < 1:
        raise ValueError(f"{estimator}: {name}: at least 1 expected, not {number}")


def check_real(
    estimator: str,
    name: str,
    value: object,
    least: float = -math.inf,
    below: float = math.inf,
    *,
    above: float = -math.inf,
) -> None:
    """Raises TypeError for what is no number, ValueError unless least <= value < below and
    value > above."""
    check_number(f"{estimator}: {name}", value, least)
    assert isinstance(value, numbers.Real)
    if not above < float(value) < below:
        bounds = [f"above {above:g}"] if above > -math.inf else []
        bounds += [f"below {below:g}"] if below < math.inf else []
        raise ValueError(f"{estimator}: {name}: {' and '.join(bounds)} expected, not {value}")


def check_boolean(estimator: str, name: str, value: object) -> None:
    """Raises TypeError unless `value` is True or False."""
    check_flag(f"{estimator}: {name}", value)


def check_choice(estimator: str, name: str, value: object, choices: Collection[str]) -> None:
    """Raises ValueError unless `value` is one of the choices."""
    if not is_one_of(value, choices):
        listed = ", ".join(map(repr, choices))
        raise ValueError(f"{estimator}: {name}: one of {listed} expected, not {shown(value)}")
