"""Initialisers: variance, bounds, fans, dtypes."""

import math

import numpy as np
import pytest

from graphc.declare import init
from graphc.errors import ShapeError
from graphc.ir.types import f32, f64

SHAPE = (200, 300)


def draw(initializer, shape=SHAPE, dtype=f64):
    return initializer(np.random.default_rng(0), shape, dtype)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((), (1, 1)), ((5,), (5, 5)), ((5, 7), (5, 7)), ((3, 3, 5, 7), (45, 63))],
)
def test_fans(shape, expected):
    assert init.fans(shape) == expected


@pytest.mark.parametrize(
    ("initializer", "variance"),
    [
        (init.glorot_uniform, 2 / 500),
        (init.glorot_normal, 2 / 500),
        (init.he_uniform, 2 / 200),
        (init.kaiming_normal, 2 / 200),
        (init.lecun_uniform, 1 / 200),
        (init.lecun_normal, 1 / 200),
        (init.uniform(-1, 1), 1 / 3),
        (init.normal(0, 2), 4),
        (init.orthogonal(), 1 / 300),
    ],
)
def test_variance(initializer, variance):
    value = draw(initializer)
    # Of 60,000 samples: 5 standard errors of the sample variance of a normal are 3 %.
    assert value.var() == pytest.approx(variance, rel=0.03)
    assert abs(value.mean()) < 5 * math.sqrt(variance / value.size)


def test_uniform_bounds():
    limit = math.sqrt(6 / 500)
    value = draw(init.glorot_uniform)
    assert 0.99 * limit < np.abs(value).max() <= limit


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (2, 3, 4)])
def test_orthogonal(shape):
    matrix = draw(init.orthogonal(3.0), shape).reshape(-1, shape[-1])
    product = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    np.testing.assert_allclose(product, 9 * np.eye(len(product)), atol=1e-13)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
def test_orthogonal_prefers_no_direction(shape):
    """Each element of a uniformly distributed matrix has the mean 0, and is as often negative."""
    rng = np.random.default_rng(0)
    draws = np.array([init.orthogonal()(rng, shape, f64) for _ in range(400)])
    # A mean of 400 numbers of variance 1 / n, and a count of signs, within 5 standard errors.
    assert np.abs(draws.mean(0)).max() < 5 / math.sqrt(400 * max(shape))
    assert np.abs((draws > 0).mean(0) - 0.5).max() < 5 * 0.5 / math.sqrt(400)


def test_orthogonal_needs_a_matrix():
    with pytest.raises(ShapeError, match="matrix"):
        draw(init.orthogonal(), (3,))


@pytest.mark.parametrize("dtype", [f32, f64])
def test_dtype_and_constants(dtype):
    assert draw(init.glorot_normal, dtype=dtype).dtype == dtype.numpy
    assert (draw(init.constant(2.5), dtype=dtype) == 2.5).all()
    assert draw(init.ones, (), dtype) == 1


def test_as_initializer():
    assert init.as_initializer(init.zeros) is init.zeros
    np.testing.assert_array_equal(draw(init.as_initializer([[1, 2]]), (1, 2)), [[1, 2]])
    with pytest.raises(ShapeError):
        draw(init.as_initializer([1, 2]), (3,))
    with pytest.raises(TypeError, match="initialiser"):
        init.as_initializer("zeros")


@pytest.mark.parametrize("arguments", [(1, "sideways", "normal"), (1, "in", "cauchy")])
def test_unknown_scaling(arguments):
    with pytest.raises(ValueError, match="expected"):
        init.VarianceScaling(*arguments)
