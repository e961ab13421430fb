"""The numbers that a seed gives, and what distributions make of the ends of [0, 1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.declare.random import draws
from graphc.ir.graph import Node

Draw = Callable[[gc.Graph, Any], Node]

# name: the draw, and its numbers by seed 5 in f32 and in f64. Each draw has its own stream, by its
# place among these.
NUMBERS: dict[str, tuple[Draw, list[float], list[float]]] = {
    "uniform": (
        lambda g, d: gc.random.uniform(g, 3, d),
        [0.80141443, 0.381064773, 0.217187881], [0.977191051, 0.0479688557, 0.751169574],
    ),
    "normal": (
        lambda g, d: gc.random.normal(g, 3, d),
        [0.482002914, 0.126490995, -1.29814804], [-1.55641551, 0.882561533, -0.784160943],
    ),
    "truncated_normal": (
        lambda g, d: gc.random.truncated_normal(g, 3, d),
        [0.92492944, 0.0336195305, 0.922792912], [-0.91797384, -0.218059983, -0.817405888],
    ),
    "exponential": (
        lambda g, d: gc.random.exponential(g, 3, d),
        [0.749103963, 0.41010657, 0.186767831], [0.21465929, 1.07370845, 1.55815173],
    ),
    "gumbel": (
        lambda g, d: gc.random.gumbel(g, 3, d),
        [-0.746946037, -0.209726632, -0.153103575], [-0.499025067, -0.00256823633, 1.37207342],
    ),
    "gamma": (
        lambda g, d: gc.random.gamma(g, 3, 0.5, d),
        [0.807831049, 0.245044917, 0.881481588], [0.799375177, 0.0907771061, 0.0388857645],
    ),
    "gamma above 1": (
        lambda g, d: gc.random.gamma(g, 3, 3.0, d),
        [1.55739629, 2.22910738, 1.51033139], [3.46373864, 1.48590543, 1.78397142],
    ),
    "randint": (
        lambda g, d: gc.random.randint(g, 3, -100, 100),
        [-12, 79, 8], [-12, 79, 8],
    ),
    "permutation": (
        lambda g, d: gc.random.permutation(g, 6),
        [3, 2, 4, 0, 1, 5], [3, 2, 4, 0, 1, 5],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("number", "dtype"), [(0, "f32"), (1, "f64")])
def test_numbers_of_a_seed_stay(number: int, dtype: str) -> None:
    """Who trained with a seed gets the same numbers again, whichever draw of many is taken."""
    graph = gc.Graph(seed=5)
    nodes = {name: draw(graph, dtype) for name, (draw, *_) in NUMBERS.items()}
    found = gc.function([], nodes, mode="reference")()
    for name, (_, *expected) in NUMBERS.items():
        np.testing.assert_allclose(found[name], expected[number], rtol=2e-6, err_msg=name)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("ends", ["00", "01", "10", "11"])
def test_ends_of_even_numbers_make_finite_ones(
    ends: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 comes once in 2^24 numbers, and so does the greatest of them."""
    greatest = 1 - 2.0 ** (-24 if dtype == "f32" else -53)

    def even(key: Node, shape: Any, kind: Any, number: int = 0) -> tuple[Node, ...]:
        made = (key.graph.constant(greatest if end == "1" else 0.0, kind) for end in ends)
        return tuple(gc.broadcast_to(node, shape) for node in made)

    monkeypatch.setattr(draws, "even", even)
    graph = gc.Graph()
    nodes = {name: draw(graph, dtype) for name, (draw, *_) in NUMBERS.items() if name != "randint"}
    found = gc.function([], nodes, mode="reference")()
    for name, values in found.items():
        assert np.isfinite(values).all(), name
    for name in ("gamma", "gamma above 1"):
        assert (found[name] > 0).all(), name
