"""A number depends on its key and its counter alone: the same bits at any number of threads, in
numpy, and in the rows that a smaller batch and a larger one have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import Node

ROWS, COLUMNS, SEED = (1, 7, 64, 1001), 5, 11
THREADS = (1, 2, 3)
SHAPE = ("batch", COLUMNS)
Draw = Callable[[gc.Graph, Node, Any], Node]

# name: what is drawn, of which `x` [batch, columns] holds logits.
DRAWS: dict[str, Draw] = {
    "uniform": lambda g, x, d: gc.random.uniform(g, SHAPE, d),
    "normal": lambda g, x, d: gc.random.normal(g, SHAPE, d),
    "truncated_normal": lambda g, x, d: gc.random.truncated_normal(g, SHAPE, d),
    "exponential": lambda g, x, d: gc.random.exponential(g, SHAPE, d),
    "gumbel": lambda g, x, d: gc.random.gumbel(g, SHAPE, d),
    "gamma": lambda g, x, d: gc.random.gamma(g, SHAPE, 0.5, d),
    "gamma above 1": lambda g, x, d: gc.random.gamma(g, SHAPE, 3.0, d),
    "bernoulli": lambda g, x, d: gc.random.bernoulli(g, SHAPE, 0.3),
    "randint": lambda g, x, d: gc.random.randint(g, SHAPE, -100, 100),
    "categorical": lambda g, x, d: gc.random.categorical(x),
    "dropout": lambda g, x, d: gc.dropout(x, 0.4),
    # A sum behind a draw, so that it is made in a reduction's rows.
    "sums of rows": lambda g, x, d: gc.sum(gc.floor(gc.random.uniform(g, SHAPE, d) * 64), 1),
    # Its places are those of all rows: no part of it is a smaller one.
    "permutation": lambda g, x, d: gc.random.permutation(g, gc.Dim("batch")),
}
WHOLE = {"permutation"}


def _function(name: str, dtype: str, **options: Any) -> Callable[[int], Any]:
    """What makes the draw anew for so many rows: a step does not move its stream."""
    graph = gc.Graph(seed=SEED)
    x = graph.input("x", SHAPE, dtype)
    function = gc.function([x], DRAWS[name](graph, x, x.dtype), **options)
    logits = np.random.default_rng(0).normal(size=(max(ROWS), COLUMNS)).astype(x.dtype.numpy)
    return lambda rows: function(logits[:rows])


@pytest.mark.parametrize("dtype", ["f32", pytest.param("f64", marks=pytest.mark.long)])
@pytest.mark.parametrize("name", DRAWS)
def test_bits_at_any_number_of_threads_and_rows(name: str, dtype: str) -> None:
    functions = {threads: _function(name, dtype, threads=threads) for threads in THREADS}
    most = functions[1](max(ROWS))
    for threads, function in functions.items():
        for rows in (max(ROWS),) if name in WHOLE else ROWS:
            said = f"{rows} rows, {threads} threads"
            np.testing.assert_array_equal(function(rows), most[:rows], err_msg=said)


@pytest.mark.parametrize("dtype", ("f32", "f64"))
@pytest.mark.parametrize("name", sorted(DRAWS.keys() - WHOLE))
def test_rows_of_a_smaller_batch_in_numpy(name: str, dtype: str) -> None:
    draw = _function(name, dtype, mode="reference")
    most = draw(max(ROWS))
    for rows in ROWS:
        np.testing.assert_array_equal(draw(rows), most[:rows])
