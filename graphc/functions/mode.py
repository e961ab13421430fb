"""How a function is run, as users say it."""

from __future__ import annotations

from typing import Literal

from graphc.declare.hyperparameters import as_count
from graphc.ir.arguments.given import is_one_of, shown

Mode = Literal["compiled", "reference"]


def check_options(mode: str, threads: int | None) -> None:
    """Raises ValueError for another mode, and for what is no whole number of threads above 0."""
    if not is_one_of(mode, ("compiled", "reference")):
        raise ValueError(f"mode {shown(mode)}: 'compiled' or 'reference' expected")
    if threads is not None:
        as_count("threads", threads, 1)
