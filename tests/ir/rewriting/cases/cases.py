"""For each rule what it turns into what."""

from __future__ import annotations

from tests.ir.rewriting.cases import (
    algebra_cases,
    backward_cases,
    channel_cases,
    movement_cases,
    pooling_cases,
    product_cases,
    stable_cases,
    window_cases,
)
from tests.ir.rewriting.cases.case import Case

CASES: tuple[Case, ...] = (
    *algebra_cases.CASES,
    *movement_cases.CASES,
    *stable_cases.CASES,
    *backward_cases.CASES,
    *window_cases.CASES,
    *pooling_cases.CASES,
    *channel_cases.CASES,
    *product_cases.CASES,
)
