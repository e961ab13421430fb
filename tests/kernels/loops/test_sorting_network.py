"""The networks sort every line of zeros and ones, so they sort all lines (Knuth, 5.3.4)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc.kernels.loops.language.exchanges import (
    BLOCK_SIZE,
    EXCHANGES,
    MOST_IN_REGISTERS,
    odd_even_merge_sort,
)
from graphc.kernels.loops.language.expressions import Constant, applied
from graphc.kernels.loops.language.statements import Block, Call
from graphc.kernels.ordered.sorting_network import (
    first_by_network,
    padded,
    sorting_network,
)


@pytest.mark.parametrize("length", range(13))
def test_few_elements_are_sorted(length: int) -> None:
    lines = np.array(list(itertools.product((0, 1), repeat=length)))
    for i, j in odd_even_merge_sort(length):
        assert 0 <= i < j < length
        lines[:, [i, j]] = np.sort(lines[:, [i, j]], axis=1)
    assert (np.diff(lines, axis=1) >= 0).all()


def _run(network: Callable[..., None], length: int, lines: Any) -> None:
    """Runs the emitted network as the Python that it is, of all lines at once."""
    block = Block()
    network(
        block,
        length,
        lambda name, at, *others: Call(
            "call", (Constant(repr(name)), applied("places", *at), Constant(str(others)))
        ),
    )

    def call(name: str, places: list[int], others: tuple[int, ...]) -> None:
        pairs = EXCHANGES[name] if name in EXCHANGES else odd_even_merge_sort(*others)
        each = (1 + max(j for _, j in pairs)) // len(places)
        places = [place + k for place in places for k in range(each)]
        for i, j in pairs:
            at = [places[i], places[j]]
            assert 0 <= at[0] < at[1] < length
            lines[:, at] = np.sort(lines[:, at], axis=1)

    exec("\n".join(block.lines), {"call": call, "places": lambda *at: [*at]})


@pytest.mark.parametrize("length", [17, 24, 32, 40, 64, 72, 100, 127, 128, 136, 257, 1000])
def test_lines_of_many_elements_are_sorted(length: int) -> None:
    """All lines of zeros and then ones, rotated, and some at random."""
    rng = np.random.default_rng(length)
    whole = padded(length)
    assert whole >= length > MOST_IN_REGISTERS
    lines = rng.integers(0, 2, (500, whole)) < rng.random((500, 1))
    ones = np.tri(length, whole, -1, dtype=bool)[:, ::-1]
    both = np.concatenate([lines, ones, np.roll(ones, whole // 3, axis=1)]).astype(np.int8)
    both[:, length:] = 2
    wanted = np.sort(both, axis=1)
    _run(sorting_network, whole, both)
    np.testing.assert_array_equal(both, wanted)


@pytest.mark.parametrize("length", [16, 24, 64, 104, 1000])
def test_the_first_of_a_line_are_in_order(length: int) -> None:
    rng = np.random.default_rng(length)
    lines = (rng.integers(0, 2, (500, length)) < rng.random((500, 1))).astype(np.int8)
    zeros = np.ones((length, length), np.int8) - np.eye(length, dtype=np.int8)
    lines = np.concatenate([lines, zeros, np.minimum(zeros, np.roll(zeros, 5, axis=1))])
    wanted = np.sort(lines, axis=1)[:, :BLOCK_SIZE]
    _run(first_by_network, length, lines)
    np.testing.assert_array_equal(lines[:, :BLOCK_SIZE], wanted)
