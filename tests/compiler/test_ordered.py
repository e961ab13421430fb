"""Ops in scan order as users call them: dtypes, axes, long lines, the same bits at any number of
threads."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gc


def test_sums_of_integers_are_numpys() -> None:
    graph = gc.Graph()
    for dtype in ("i32", "u8", "bool"):
        x = graph.input(f"x_{dtype}", (3,), dtype)
        assert gc.cumsum(x).dtype == gc.cumprod(x).dtype == gc.i64
        assert np.cumsum(x, dtype="f64").dtype == gc.f64
    assert gc.cumsum(graph.input("y", (2, 3))).shape == (6,)


def test_long_lines() -> None:
    """A running sum errs by the logarithm of its length; sorting is exact, on any thread."""
    rng = np.random.default_rng(0)
    data = rng.uniform(0.5, 1.5, (2, 40_000)).astype(np.float32)
    graph = gc.Graph()
    x = graph.input("x", data.shape)
    outputs = [gc.cumsum(x, 1), gc.sort(x, 1), gc.argsort(x, 1, descending=True), *gc.top_k(x, 5)]
    results = [gc.function([x], outputs, threads=threads)(data) for threads in (1, 2)]
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    total, ordered, places, best, best_places = results[0]
    exact = np.cumsum(data, 1, dtype=np.float64)
    assert np.max(np.abs(total - exact) / exact) < 4 * np.finfo(np.float32).eps
    np.testing.assert_array_equal(ordered, np.sort(data, 1))
    np.testing.assert_array_equal(places, np.argsort(-data, 1, kind="stable"))
    np.testing.assert_array_equal(best_places, places[:, :5])
    np.testing.assert_array_equal(best, np.take_along_axis(data, best_places, 1))


def test_an_index_has_no_derivative() -> None:
    x = gc.Graph().input("x", (3,))
    with pytest.raises(gc.NotDifferentiableError, match=r"argsort: .*place"):
        gc.grad(gc.sum(gc.cast(gc.argsort(x), "f32")), x)
