"""Distributions of random values, their derivatives, streams and noise layers.

Statistics are of fixed samples, so a check passes or fails for good: one sample in a million would
exceed its bound.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.declare.random import draws
from graphc.ir.graph import Node

SIZE = 2**16
DEVIATIONS = 5.0
# What sqrt(n) times the largest distance of two distribution functions exceeds once in a million
# samples: 2 exp(-2 x^2), of Kolmogorov.
KOLMOGOROV = 2.7

stats = pytest.importorskip("scipy.stats")


def _gamma(a: float) -> Callable[[gc.Graph, Any], Node]:
    return lambda graph, dtype: gc.random.gamma(graph, SIZE, a, dtype, scale=2.0)


# name: the draw, and scipy's distribution
CONTINUOUS: dict[str, tuple[Callable[[gc.Graph, Any], Node], Any]] = {
    "uniform": (
        lambda g, d: gc.random.uniform(g, SIZE, d, low=-2.0, high=3.0), stats.uniform(-2, 5)
    ),
    "normal": (lambda g, d: gc.random.normal(g, SIZE, d), stats.norm()),
    "moved": (lambda g, d: gc.random.normal(g, SIZE, d, loc=-1, scale=3), stats.norm(-1, 3)),
    "truncated": (lambda g, d: gc.random.truncated_normal(g, SIZE, d), stats.truncnorm(-2, 2)),
    "exponential": (
        lambda g, d: gc.random.exponential(g, SIZE, d, scale=0.5), stats.expon(scale=0.5)
    ),
    "gumbel": (lambda g, d: gc.random.gumbel(g, SIZE, d), stats.gumbel_r()),
    "gamma below 1": (_gamma(0.3), stats.gamma(0.3, scale=2)),
    "gamma": (_gamma(1.0), stats.gamma(1.0, scale=2)),
    "gamma above 1": (_gamma(7.5), stats.gamma(7.5, scale=2)),
}  # fmt: skip
LOGITS = np.log([0.5, 0.2, 0.2, 0.1])


class Draws:
    """All distributions, compiled in one function, fused or not, and in numpy."""

    def __init__(self, dtype: str) -> None:
        graph = gc.Graph(seed=7)
        nodes = {name: draw(graph, dtype) for name, (draw, _) in CONTINUOUS.items()}
        nodes["bernoulli"] = gc.random.bernoulli(graph, SIZE, 0.3)
        nodes["categorical"] = gc.random.categorical(
            gc.broadcast_to(graph.constant(LOGITS, dtype), (SIZE, 4))
        )
        nodes["randint"] = gc.random.randint(graph, SIZE, -3, 5)
        self.drawn = gc.function([], nodes)()
        self.unfused = gc.function([], nodes, fuse=False, threads=1)()
        self.reference = gc.function([], nodes, mode="reference")()


@pytest.fixture(scope="module", params=["f32", pytest.param("f64", marks=pytest.mark.long)])
def drawn(request: pytest.FixtureRequest) -> Draws:
    return Draws(request.param)


def test_distributions(drawn: Draws) -> None:
    """Kolmogorov's distance, mean and variance, of each."""
    for name, (_, distribution) in CONTINUOUS.items():
        values = np.sort(drawn.drawn[name].astype(np.float64))
        share = distribution.cdf(values)
        steps = np.arange(SIZE + 1) / SIZE
        distance = max(np.abs(share - steps[1:]).max(), np.abs(share - steps[:-1]).max())
        assert distance * np.sqrt(SIZE) < KOLMOGOROV, name
        mean, variance, kurtosis = distribution.stats("mvk")
        assert abs(values.mean() - mean) < DEVIATIONS * np.sqrt(variance / SIZE), name
        spread = variance * np.sqrt((kurtosis + 2) / SIZE)
        assert abs(values.var() - variance) < DEVIATIONS * spread, name


def test_counts(drawn: Draws) -> None:
    """Chi squared of k categories has the mean k - 1 and the variance 2 (k - 1)."""
    shares = {
        "bernoulli": np.array([0.7, 0.3]), "categorical": np.exp(LOGITS), "randint": np.ones(8) / 8
    }  # fmt: skip
    for name, share in shares.items():
        values = drawn.drawn[name].astype(int) + (3 if name == "randint" else 0)
        counts = np.bincount(values, minlength=len(share))
        assert len(counts) == len(share)
        chi_squared = (np.square(counts - SIZE * share) / (SIZE * share)).sum()
        degrees = len(share) - 1
        assert (chi_squared - degrees) / np.sqrt(2 * degrees) < DEVIATIONS, name


def test_draws_are_the_same_fused_and_in_numpy(drawn: Draws) -> None:
    """Bit for bit where nothing is rounded differently: products and sums may be contracted."""
    for name in ("bernoulli", "randint", "normal", "truncated", "exponential"):
        np.testing.assert_array_equal(drawn.drawn[name], drawn.unfused[name], name)
    for name, values in drawn.drawn.items():
        tolerance = 0 if values.dtype.kind in "bi" else 64 * np.finfo(values.dtype).eps
        wrong = ~np.isclose(values, drawn.reference[name], rtol=tolerance, atol=tolerance)
        # A candidate or category near the border may be taken in one and not in the other.
        assert np.count_nonzero(wrong) <= 1, name


def test_streams_do_not_go_together(drawn: Draws) -> None:
    names = [*CONTINUOUS]
    values = np.stack([drawn.drawn[name] for name in names]).astype(np.float64)
    ranks = values.argsort(1).argsort(1) / SIZE - 0.5
    correlations = ranks @ ranks.T / SIZE * 12
    np.fill_diagonal(correlations, 0)
    assert np.abs(correlations).max() * np.sqrt(SIZE) < DEVIATIONS


def test_both_numbers_of_a_block_and_the_next_draws_do_not_go_together() -> None:
    graph = gc.Graph(seed=1)
    key = graph.random_stream("key")
    for dtype in (gc.f32, gc.f64):
        pairs = [u for number in range(3) for u in draws.even(key, (SIZE,), dtype, number)]
        values = gc.function([], pairs, mode="reference")()
        correlations = np.corrcoef(np.array(values, np.float64)) - np.eye(6)
        assert np.abs(correlations).max() * np.sqrt(SIZE) < DEVIATIONS


def test_permutations() -> None:
    """Each number as often at each place: of 24 orders of four, chi squared of 23 degrees."""
    graph = gc.Graph(seed=9)
    order = gc.random.permutation(graph, 4)
    rows = gc.random.permutation(graph, 100)
    draw = gc.function([], [order, rows], gc.random.advanced([order, rows]), mode="reference")
    found = [draw() for _ in range(1200)]
    _, counts = np.unique([each[0] for each in found], axis=0, return_counts=True)
    assert len(counts) == 24
    assert (np.square(counts - 50).sum() / 50 - 23) / np.sqrt(2 * 23) < DEVIATIONS
    assert all(sorted(each[1]) == list(range(100)) for each in found)


def test_tails() -> None:
    """The least and the greatest even numbers make the farthest normal ones."""
    for dtype, least, farthest in (("f4", 2.0**-24, 5.7), ("f8", 2.0**-53, 8.5)):
        u = np.asarray(1 - (1 - least), dtype)
        assert np.sqrt(-2 * np.log(u)) > farthest


def test_derivatives_go_through_location_and_scale() -> None:
    graph = gc.Graph(seed=3)
    loc, scale = graph.input("loc", (5, 1), "f64"), graph.input("scale", (), "f64")
    shape = (5, 3)
    sample = gc.random.normal(graph, shape, "f64", loc=loc, scale=scale)
    waiting = gc.random.gamma(graph, shape, 0.7, "f64", scale=scale)
    even = gc.random.uniform(graph, shape, "f64", low=loc, high=loc + scale)
    outputs = [
        sample, *gc.grad(gc.sum(sample), [loc, scale]), waiting, gc.grad(gc.sum(waiting), scale),
        even, gc.grad(gc.sum(even), scale),
    ]  # fmt: skip
    at = np.arange(5.0)[:, None]
    found = gc.function([loc, scale], outputs, mode="reference")(at, 2.0)
    np.testing.assert_allclose(found[1], np.full((5, 1), 3.0))
    np.testing.assert_allclose(found[2], ((found[0] - at) / 2).sum())
    np.testing.assert_allclose(found[4], (found[3] / 2).sum())
    np.testing.assert_allclose(found[6], ((found[5] - at) / 2).sum())


def test_steps_advance_every_draw() -> None:
    graph = gc.Graph()
    nodes = [gc.random.gamma(graph, 4, 2.0), gc.random.randint(graph, ("n",), 0, 1000)]
    assert list(graph.streams) == ["gamma.key", "randint.key"] or len(graph.streams) == 2
    draw = gc.function([], nodes[0], gc.random.advanced(nodes[:1]), mode="reference")
    assert not np.array_equal(draw(), draw())


# --- layers ------------------------------------------------------------------------------------

LAYERS: dict[str, Callable[[Node], Node]] = {
    "noise": lambda x: gc.nn.gaussian_noise(x, 0.5),
    "dropout": lambda x: gc.nn.gaussian_dropout(x, 0.2),
    "alpha": lambda x: gc.nn.alpha_dropout(x, 0.2),
    "spatial1d": lambda x: gc.nn.spatial_dropout1d(x, 0.25),
    "spatial2d": lambda x: gc.nn.spatial_dropout2d(gc.expand_dims(x, 1), 0.25)[:, 0],
}


def test_noise_layers() -> None:
    """Mean and deviation of what training sees; in inference all are their input."""
    graph = gc.Graph(seed=5)
    x = graph.input("x", (128, 8, 64), "f64")
    nodes = {name: layer(x) for name, layer in LAYERS.items()}
    at = np.random.default_rng(0).normal(size=(128, 8, 64))
    trained = gc.function([x], nodes, mode="reference")(at)
    used = gc.function([x], gc.inference(nodes), mode="reference")(at)
    for name in LAYERS:
        np.testing.assert_array_equal(used[name], at, name)
    bound = DEVIATIONS / np.sqrt(at.size)
    noise = trained["noise"] - at
    assert abs(noise.mean()) < 0.5 * bound and abs(noise.std() - 0.5) < 0.5 * bound
    factor = trained["dropout"] / at
    assert abs(factor.mean() - 1) < 0.5 * bound and abs(factor.std() - 0.5) < 0.5 * bound
    alpha = trained["alpha"]
    assert abs(alpha.mean()) < 2 * bound and abs(alpha.std() - at.std()) < 3 * bound
    for name in ("spatial1d", "spatial2d"):
        mask = trained[name] / at
        assert (np.ptp(mask, axis=1) < 1e-12).all(), name
        assert abs((mask == 0).mean() - 0.25) < 0.5 * bound * np.sqrt(8), name


# --- refusals ----------------------------------------------------------------------------------


def test_refusals() -> None:
    graph = gc.Graph()
    x = graph.input("x", (4,))
    random, nn = gc.random, gc.nn
    cases: tuple[tuple[Callable[[], Any], type[Exception], str], ...] = (
        (lambda: random.normal(x, 3), TypeError, "^normal: a graphc.Graph expected"),
        (lambda: random.normal(graph, 3, "i32"), gc.DTypeError, "^normal: f32 or f64"),
        (lambda: random.normal(graph, 3, loc=x), gc.ShapeError, "."),
        (lambda: random.normal(graph, (), loc=x), gc.ShapeError, "give the whole shape"),
        (lambda: random.gamma(graph, 3, 0), gc.GraphError, "a number above 0 expected"),
        (lambda: random.gamma(graph, 3, x), gc.GraphError, "^gamma: concentration: a number"),
        (lambda: random.bernoulli(graph, 3, 1.5), gc.GraphError, "from 0 to 1"),
        (lambda: random.randint(graph, 3, 5, 5), gc.GraphError, "a range of 1 to 2"),
        (lambda: random.randint(graph, 3, 0, 2**40, "i64"), gc.GraphError, "a range of 1"),
        (lambda: random.randint(graph, 3, 0, 9, "f32"), gc.DTypeError, "i32 or i64"),
        (lambda: random.categorical(gc.cast(x, "i32")), gc.DTypeError, "^categorical: f32"),
        (lambda: nn.gaussian_noise(x, -1), ValueError, "at least 0"),
        (lambda: nn.spatial_dropout1d(x, 0.5), gc.ShapeError, "3 axes expected"),
    )  # fmt: skip
    for call, kind, pattern in cases:
        with pytest.raises(kind, match=pattern):
            call()


PARAMETERS = (
    ("uniform", ("low", "high")), ("normal", ("loc", "scale")), ("exponential", ("scale",)),
    ("truncated_normal", ("loc", "scale")), ("gumbel", ("loc", "scale")),
    ("gamma", ("scale", "concentration")), ("bernoulli", ("probability",)),
    ("randint", ("low", "high")),
)  # fmt: skip


@pytest.mark.parametrize(
    ("function", "name"), [(f, name) for f, names in PARAMETERS for name in names]
)
def test_parameters_are_numbers_or_tensors(function: str, name: str) -> None:
    others = {"gamma": {"concentration": 2.0}, "randint": {"low": 0, "high": 5}}.get(function, {})
    draw = getattr(gc.random, function)
    wrong: list[Any] = [np.nan, np.inf, True, None, "1", 10**400, np.ma.masked]
    for value in [*wrong, *([-1.0] if name in ("scale", "probability") else [])]:
        with pytest.raises((TypeError, ValueError, gc.GraphError), match=f"^{function}: .*"):
            draw(gc.Graph(), (3,), **{**others, name: value})
    right = np.int64(1) if function == "randint" and name == "low" else np.float32(0.5)
    if (function, name) != ("randint", "high"):
        draw(gc.Graph(), (3,), **{**others, name: right})


def _gamma(graph: gc.Graph, shape: Any, dtype: str, **named: Any) -> gc.Node:
    return gc.random.gamma(graph, shape, 2.5, dtype, **named)


# The functions that have parameters with defaults: how it is called what moves numbers, and what
# stretches them or says where they end.
LOCATED = {
    gc.random.uniform: ("low", "high"),
    gc.random.normal: ("loc", "scale"),
    gc.random.truncated_normal: ("loc", "scale"),
    gc.random.gumbel: ("loc", "scale"),
    gc.random.exponential: (None, "scale"),
    _gamma: (None, "scale"),
}


def test_each_parameter_moves_the_numbers_of_the_stream_by_itself() -> None:
    """As a number and as a tensor, with the other one's default beside it and without."""
    for draw, (first, second) in LOCATED.items():
        standard = _drawn(draw)
        for start, end in itertools.product((None, 0.0, 1.0, -2.0), (None, 1.0, 3.0)):
            if (start is not None and first is None) or (start == 1.0 and second == "high"):
                continue
            given = {first: start, second: end}
            named = {key: value for key, value in given.items() if value is not None}
            low, high = start or 0.0, end or 1.0
            expected = low + standard * (high - low if second == "high" else high)
            for wrap in (float, lambda value: np.full((3,), value)):
                found = _drawn(draw, **{key: wrap(value) for key, value in named.items()})
                np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-14)


def _drawn(draw: Any, **named: Any) -> Any:
    graph = gc.Graph(seed=5)
    return gc.function([], draw(graph, (4, 3), "f64", **named), mode="reference")()
