"""gelu in its two forms."""

import math

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import Graph
from tests.ir.evaluation import value_of

X = np.array([-math.inf, -30.0, -8.0, -1.0, -0.0, 0.5, 3.0, math.inf])


def test_the_exact_form_keeps_its_tail() -> None:
    x = Graph().input("x", X.shape, "f64")
    expected = [-0.0, 0, -8 * math.erfc(8 / math.sqrt(2)) / 2, -0.15865525393145707, -0.0]
    expected += [0.34573123063700656, 2.99595030590511, math.inf]
    value = value_of(gc.gelu(x), x=X)
    np.testing.assert_allclose(value, expected, rtol=1e-14, atol=1e-190)
    assert value[1] != 0 and np.signbit(value[0])


def test_the_form_with_tanh() -> None:
    x = Graph().input("x", X.shape, "f64")
    made = gc.gelu(x, approximate="tanh")
    inner = math.sqrt(2 / math.pi) * (X[3:7] + 0.044715 * X[3:7] ** 3)
    np.testing.assert_allclose(value_of(made, x=X)[3:7], 0.5 * X[3:7] * (1 + np.tanh(inner)))
    np.testing.assert_array_equal(value_of(made, x=X)[[0, -1]], [0, math.inf])
    with pytest.raises(ValueError, match=r"^gelu\(f64\[8\]\): approximate: 'none' or 'tanh'"):
        gc.gelu(x, approximate="erf")
