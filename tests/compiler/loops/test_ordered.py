"""Ops in scan order as users call them: dtypes, axes, long lines, the same bits at any number of
threads."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gc
from graphc.ir.types import as_dtype


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


@pytest.mark.parametrize("dtype", ["f32", "f64", "u8"])
def test_equal_elements_keep_their_order(dtype: str) -> None:
    """Where the first few are selected, and where a line is sorted by digits; zeros of both signs
    are equal."""
    rng = np.random.default_rng(1)
    graph = gc.Graph()
    inputs, given, outputs, expected = [], [], [], []
    for length in (70, 1100):
        data = rng.integers(0, 4, (3, length)).astype(as_dtype(dtype).numpy)
        if dtype.startswith("f"):
            data = data * rng.choice([-1, 1], data.shape).astype(data.dtype)
        x = graph.input(f"x{length}", data.shape, dtype)
        inputs.append(x)
        given.append(data)
        falling = np.argsort(-data.astype(np.float64), 1, kind="stable")
        outputs += [gc.argsort(x, 1), gc.argsort(x, 1, descending=True)]
        expected += [np.argsort(data, 1, kind="stable"), falling]
        for k in (1, 16):
            outputs.append(gc.top_k(x, k)[1])
            expected.append(falling[:, :k])
    for found, wanted in zip(gc.function(inputs, outputs)(*given), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("length", [17, 63, 64, 100, 1000])
@pytest.mark.parametrize("dtype", ["f32", "f64", "u8"])
def test_the_first_few_of_many_lines(dtype: str, length: int) -> None:
    """Of lines side by side in either direction, with equal elements, NaN and infinities."""
    rng = np.random.default_rng(length)
    data = rng.integers(0, length // 2, (37, length)).astype(as_dtype(dtype).numpy)
    if dtype != "u8":
        for special in (np.nan, np.inf, -np.inf, -0.0):
            data[rng.integers(0, 37, 9), rng.integers(0, length, 9)] = special
    graph = gc.Graph()
    x = graph.input("x", data.shape, dtype)
    outputs, expected = [], []
    # NaN counts as the greatest; the last key is the first that decides.
    order = np.lexsort((-data.astype("f8"), ~np.isnan(data.astype("f8"))), axis=1)
    for k in (1, 7, 8, 9):
        outputs += [*gc.top_k(x, k), *(part.T for part in gc.top_k(x.T, k, 0))]
        expected += [np.take_along_axis(data, order[:, :k], 1), order[:, :k]] * 2
    for found, wanted in zip(gc.function([x], outputs)(data), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def _with_inversions(size: int, count: int) -> list[int]:
    """The numbers below `size`, of which `count` pairs are in the wrong order, the last ones
    early."""
    rest, order = list(range(size)), []
    while rest:
        number = min(count, len(rest) - 1)
        count -= number
        order.append(rest.pop(number))
    assert count == 0
    return order


def test_long_keys_whose_upper_halves_are_equal() -> None:
    """What the upper halves leave is put in order by insertion, until that takes as many moves as
    there are keys; one more, or one less, and what comes behind is in order too."""
    length, equal = 100, 20
    upper = np.r_[np.zeros(equal, "i8"), np.arange(1, length - equal - 1), [length] * 2]
    rows = []
    for moves in (0, 1, length - 1, length, length + 1, length + 2, equal * (equal - 1) // 2):
        lower = np.r_[_with_inversions(equal, moves), np.zeros(length - equal - 2, "i8"), [1, 0]]
        rows.append((upper + 0x3FF00000 << 32) + lower)
    keys = np.array(rows, "i8")
    graph = gc.Graph()
    # Each line by itself: side by side they would go through a network.
    x, y = (graph.input(name, keys.shape, name) for name in ("i64", "f64"))
    outputs = [op(each, 1) for each in (x, y) for op in (gc.sort, gc.argsort)]
    found = gc.function([x, y], outputs)(keys, keys.view("f8"))
    order = np.argsort(keys, 1, kind="stable")
    for at, values in enumerate((keys, keys.view("f8"))):
        np.testing.assert_array_equal(found[2 * at], np.take_along_axis(values, order, 1))
        np.testing.assert_array_equal(found[2 * at + 1], order)
