"""For each rule what it turns into what."""

from __future__ import annotations

from tests.ir.rewriting import (
    simplify_algebra_cases,
    simplify_backward_cases,
    simplify_channel_cases,
    simplify_movement_cases,
    simplify_pooling_cases,
    simplify_product_cases,
    simplify_stable_cases,
    simplify_window_cases,
)
from tests.ir.rewriting.simplify_case import Case

CASES: tuple[Case, ...] = (
    *simplify_algebra_cases.CASES,
    *simplify_movement_cases.CASES,
    *simplify_stable_cases.CASES,
    *simplify_backward_cases.CASES,
    *simplify_window_cases.CASES,
    *simplify_pooling_cases.CASES,
    *simplify_channel_cases.CASES,
    *simplify_product_cases.CASES,
)
