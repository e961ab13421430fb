"""Random programs traced as Python with random constants: products, chains of them, graphs."""

from __future__ import annotations

from functools import partial

import pytest

from tests.compiler.traces.drawn import PROGRAMS_A_TEST, check_some
from tests.compiler.traces.product_programs import chain_program, product_program, product_values
from tests.random_graphs import random_program, random_values

PRODUCTS = 200
CHAINS = 120
PROGRAMS = 40
STEPS = 6


@pytest.mark.parametrize("first", range(0, PRODUCTS, PROGRAMS_A_TEST))
def test_products(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    check_some(monkeypatch, first, product_program, product_values)


@pytest.mark.parametrize("first", range(0, CHAINS, PROGRAMS_A_TEST))
def test_chains_of_products(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    check_some(monkeypatch, first, chain_program, product_values)


@pytest.mark.parametrize("first", range(0, PROGRAMS, PROGRAMS_A_TEST))
def test_random_graphs(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    check_some(monkeypatch, first, partial(random_program, steps=STEPS), random_values)
