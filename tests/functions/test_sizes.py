"""The fifth size of one function is worth a warning, once, at the line that calls it."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import graphc as gc


def test_the_fifth_size_warns_once() -> None:
    x = gc.Graph().input("x", ("batch", "time"))
    double = gc.function(x, 2 * x, name="double")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for rows in (1, 2, 3, 4, 1, 2):
            double(np.ones((rows, 2)))
    with pytest.warns(
        gc.ManySizesWarning, match=r"^double .*batch 1, time 2; .*batch 9, time"
    ) as w:
        double(np.ones((9, 3)))
    assert w[0].filename == __file__ and "Pad the arrays" in str(w[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for rows in (5, 6, 9):
            double(np.ones((rows, 3)))


def test_without_open_dimensions_there_is_one_size() -> None:
    x = gc.Graph().input("x", (2,))
    double = gc.function(x, 2 * x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(6):
            double(np.ones(2))
