"""Windows as numpy has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc


@pytest.mark.parametrize(
    ("shape", "window", "axis"),
    [
        ((7,), 3, None), ((4, 5), (2, 3), None), ((4, 5), 2, 1), ((4, 5), 2, -2),
        ((3, 4, 5), (2, 4), (2, 1)), ((3, 4, 5), (1, 3), (0, 2)),
    ],
)  # fmt: skip
def test_it_is_numpys(shape: Any, window: Any, axis: Any) -> None:
    x = gc.Graph().input("x", shape)
    given = np.arange(np.prod(shape), dtype="f4").reshape(shape)
    found = gc.function([x], gc.sliding_window_view(x, window, axis), mode="reference")(given)
    expected = np.lib.stride_tricks.sliding_window_view(given, window, axis)
    np.testing.assert_array_equal(found, expected)


def test_the_derivative_counts_the_windows_of_an_element() -> None:
    x = gc.Graph().input("x", ("n", 5))
    slope = gc.grad(gc.sum(gc.sliding_window_view(x, 3, 1)), x)
    found = gc.function([x], slope, mode="reference")(np.zeros((2, 5)))
    np.testing.assert_array_equal(found, [[1, 2, 3, 2, 1]] * 2)


@pytest.mark.parametrize(
    ("window", "axis", "match"),
    [
        (6, 1, r"^windows\(f32\[n,5\]\): a window over 6 elements does not fit"),
        (2, 0, "n of axis 0 is open"),
        (2, 2, r"^sliding_window_view\(f32\[n,5\]\): axis 2 is outside rank 2"),
        ((2, 2), (1, -1), "named twice"),
        ((2, 2), 1, "one for each of 1 axes"),
    ],
)  # fmt: skip
def test_refusals(window: Any, axis: Any, match: str) -> None:
    x = gc.Graph().input("x", ("n", 5))
    with pytest.raises(gc.ShapeError, match=match):
        gc.sliding_window_view(x, window, axis)
