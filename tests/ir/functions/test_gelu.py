"""gelu in its two forms."""

import math
from collections.abc import Callable
from typing import Literal

import mpmath
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


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="its digits are those of f64")
def test_the_reference_has_all_digits_in_its_tail() -> None:
    """x / sqrt(2) rounded would lose as many units as the square of x has."""
    at = np.concatenate([np.linspace(-37, 5, 85), [-1e-300, 1e-300]])
    x = Graph().input("x", at.shape, "f64")
    values = value_of(gc.gelu(x), x=at), value_of(gc.vjp(gc.gelu(x), x, np.ones_like(at)), x=at)
    with mpmath.workdps(40):
        exact: list[tuple[float, float]] = []
        for each in map(mpmath.mpf, at.tolist()):
            share = mpmath.erfc(-each / mpmath.sqrt(2)) / 2
            density = mpmath.exp(-each * each / 2) / mpmath.sqrt(2 * mpmath.pi)
            exact.append((float(each * share), float(share + each * density)))
    for value, expected in zip(values, np.transpose(exact), strict=True):
        # The slope is a difference, which has a root at -0.75.
        np.testing.assert_allclose(value, expected, rtol=2e-15, atol=2e-16 * (value is values[1]))


@pytest.mark.parametrize("mode", ["compiled", "reference"])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("function", [gc.gelu, gc.silu, gc.mish])
def test_slopes_that_vanish_below_0_are_negative_zeros(
    function: Callable[[gc.Node], gc.Node], dtype: str, mode: Literal["compiled", "reference"]
) -> None:
    at = np.array([-800, -1e30, -math.inf], {"f32": np.float32, "f64": np.float64}[dtype])
    x = gc.Graph().input("x", at.shape, dtype)
    values = [function(x), gc.vjp(function(x), x, np.ones_like(at))]
    for value in gc.function([x], values, mode=mode)(at):
        np.testing.assert_array_equal(value, [0, 0, 0])
        assert np.signbit(value).all()
