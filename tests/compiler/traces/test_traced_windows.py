"""Random convolutions, traced as Python with random constants, whose windows are read where they
stand wherever a microkernel can."""

from __future__ import annotations

import random

import pytest

from graphc.compiler.legalize import depth_blocks, windowed_products
from graphc.kernels.products.tiles import tile_sums
from tests.compiler.traces.drawn import PROGRAMS_A_TEST, check_some
from tests.compiler.traces.window_programs import convolution_program, window_values

CONVOLUTIONS = 60


def _draw_depths(patch: pytest.MonkeyPatch, rng: random.Random) -> None:
    """A copy is never estimated to be quicker, but deep products have one."""
    deepest = rng.choice((8, 16, 1024))
    patch.setattr(windowed_products, "COPIED_ELEMENT_CYCLES", 1e12)
    for module in (windowed_products, depth_blocks):
        patch.setattr(module, "LONGEST_WINDOWED_DEPTH", deepest)
    patch.setattr(tile_sums, "BLOCK_STEPS", deepest // tile_sums.FEWEST_BLOCKS)


@pytest.mark.parametrize("first", range(0, CONVOLUTIONS, PROGRAMS_A_TEST))
def test_convolutions(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    check_some(monkeypatch, first, convolution_program, window_values, _draw_depths)
