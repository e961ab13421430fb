"""Each layer against its formula in numpy: in reference mode, fused in f32, unfused in f64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.declare.nn.activations import ACTIVATIONS

RNG = np.random.default_rng(4)
ROWS = 5
MASK = np.tri(6, 4)
Layers = Callable[[], gc.nn.Layer]


@dataclass(frozen=True)
class Case:
    """A layer on x [ROWS, *inner], and its formula of x and its values by their last names."""

    make: Layers
    inner: tuple[int, ...]
    formula: Callable[..., Any]
    is_kinked: bool = False


def standardized(x: Any, axes: Any, epsilon: float = 1e-3) -> Any:
    """As Keras has it: x less its mean, by the root of the variance and epsilon."""
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + epsilon)


def group_norm(x: Any, v: Any) -> Any:
    """The formula of keras.layers.GroupNormalization for two groups of [ROWS, 3, 4]."""
    groups = [standardized(x[..., :2], (1, 2)), standardized(x[..., 2:], (1, 2))]
    return np.concatenate(groups, -1) * v["gamma"] + v["beta"]


def channels_first(x: Any, v: Any) -> Any:
    split = x.reshape(ROWS, 2, 2, 3)
    value = standardized(split, (2, 3)).reshape(x.shape)
    return value * v["gamma"][:, None] + v["beta"][:, None]


def through(x: Any, v: Any) -> Any:
    return x + np.tanh(x @ v["kernel"] + v["bias"])


def random(low: float = -1.0, high: float = 1.0) -> Any:
    return gc.init.uniform(low, high)


CASES = {
    "Dense": Case(
        lambda: gc.nn.Dense(4, "softplus", bias_init=random()), (6,),
        lambda x, v: np.log1p(np.exp(x @ v["kernel"] + v["bias"])),
    ),
    "Dense of a matrix without bias": Case(
        lambda: gc.nn.Dense(4, use_bias=False), (3, 6), lambda x, v: x @ v["kernel"]
    ),
    "MaskedDense": Case(
        lambda: gc.nn.MaskedDense(MASK, "tanh", bias_init=random()), (6,),
        lambda x, v: np.tanh(x @ (v["kernel"] * MASK) + v["bias"]),
    ),
    "Maxout": Case(
        lambda: gc.nn.Maxout(2, 3), (6,),
        lambda x, v: (x @ v["kernel"] + v["bias"]).reshape(ROWS, 2, 3).max(-1), True,
    ),
    "LayerNorm": Case(
        lambda: gc.nn.LayerNorm(gamma_init=random(), beta_init=random()), (3, 6),
        lambda x, v: standardized(x, -1) * v["gamma"] + v["beta"],
    ),
    "LayerNorm of two axes": Case(
        lambda: gc.nn.LayerNorm((1, -1), 0.1, gamma_init=random()), (3, 4),
        lambda x, v: standardized(x, (1, 2), 0.1) * v["gamma"] + v["beta"],
    ),
    "LayerNorm along an inner axis, not scaled": Case(
        lambda: gc.nn.LayerNorm(1, scale=False, beta_init=random()), (3, 4),
        lambda x, v: standardized(x, 1) + v["beta"][:, None],
    ),
    "GroupNorm": Case(
        lambda: gc.nn.GroupNorm(2, gamma_init=random(), beta_init=random()), (3, 4), group_norm
    ),
    "GroupNorm along an inner axis": Case(
        lambda: gc.nn.GroupNorm(2, axis=1, gamma_init=random()), (4, 3), channels_first
    ),
    "RMSNorm": Case(
        lambda: gc.nn.RMSNorm(gamma_init=random()), (6,),
        lambda x, v: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * v["gamma"],
    ),
    "BatchNorm": Case(
        lambda: gc.nn.BatchNorm(gamma_init=random(), beta_init=random()), (6,),
        lambda x, v: standardized(x, 0) * v["gamma"] + v["beta"],
    ),
    "BatchNorm of an inner axis": Case(
        lambda: gc.nn.BatchNorm(1, epsilon=0.1, gamma_init=random()), (3, 4),
        lambda x, v: standardized(x, (0, 2), 0.1) * v["gamma"][:, None] + v["beta"][:, None],
    ),
    "Residual": Case(lambda: gc.nn.Residual([gc.nn.Dense(6), gc.tanh]), (6,), through),
    "Sequential": Case(
        lambda: gc.nn.Sequential([gc.nn.Flatten(), gc.nn.Activation("exponential")]), (2, 3),
        lambda x, v: np.exp(x).reshape(ROWS, 6),
    ),
}  # fmt: skip


def built(case: Case, dtype: str) -> tuple[gc.Node, gc.Node, list[gc.Node], gc.Graph]:
    """x, the layer's result of it, and the derivatives of a weighted sum by x and parameters."""
    graph = gc.Graph(seed=3)
    x = graph.input("x", ("batch", *case.inner), dtype)
    y = case.make()(x)
    weights = np.cos(np.arange(np.prod([e for e in y.shape if isinstance(e, int)])))
    weighted = y * gc.reshape(graph.constant(weights, dtype), y.shape[1:])
    return x, y, gc.grad(gc.sum(weighted), [x, *graph.parameters]), graph


def data(case: Case) -> Any:
    return np.random.default_rng(7).uniform(-2, 2, (ROWS, *case.inner))


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_the_formula(name: str, dtype: str) -> None:
    case, given = CASES[name], data(CASES[name])
    x, y, slopes, graph = built(case, dtype)
    tolerance = {"f32": 2e-5, "f64": 1e-12}[dtype]
    reference = gc.function([x], [y, *slopes], mode="reference")(given)
    values = {k.rpartition(".")[2]: v.astype("f8") for k, v in graph.variables.items()}
    expected = case.formula(given.astype(x.dtype.numpy).astype("f8"), values)
    np.testing.assert_allclose(reference[0], expected, rtol=tolerance, atol=tolerance)
    found = gc.function([x], [y, *slopes], fuse=dtype == "f32")(given)
    for each, wanted in zip(found, reference, strict=True):
        np.testing.assert_allclose(each, wanted, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.is_kinked])
def test_derivatives_are_differences(name: str) -> None:
    case, given = CASES[name], data(CASES[name])
    x, y, slopes, graph = built(case, "f64")
    loss = gc.function([x], y, mode="reference")
    derived = gc.function([x], slopes, mode="reference")(given)
    weights = np.cos(np.arange(np.prod(loss(given).shape[1:]))).reshape(loss(given).shape[1:])
    step = 1e-6
    for number, slope in enumerate(derived):
        direction = np.random.default_rng(number).choice([-1.0, 1.0], slope.shape)
        moved = []
        for sign in (1, -1):
            values = graph.variables.read(graph.variables)
            there = given
            if number == 0:
                there = given + sign * step * direction
            else:
                parameter = graph.parameters[number - 1]
                graph.variables[parameter] = values[parameter.name] + sign * step * direction
            moved.append((loss(there) * weights).sum())
            graph.variables.update(values)
        difference = (moved[0] - moved[1]) / (2 * step)
        np.testing.assert_allclose((slope * direction).sum(), difference, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("mode", ["compiled", "reference"])
@pytest.mark.parametrize("shape", [("batch",), ("batch", 3)])
def test_embedding(shape: Any, mode: Any) -> None:
    graph = gc.Graph()
    x = graph.input("x", shape, "i32")
    layer = gc.nn.Embedding(7, 4, padding_index=2)
    y = layer(x)
    table = graph.variables["embedding.table"]
    assert not table[2].any() and table[[0, 1, 3, 4, 5, 6]].all()
    assert np.abs(table).max() <= 0.05
    indices = np.random.default_rng(0).integers(0, 7, [6, 3][: len(shape)])
    indices.flat[0] = 2
    slope = gc.grad(gc.sum(y * y + y), layer.table)
    found, slopes = gc.function([x], [y, slope], mode=mode)(indices)
    np.testing.assert_array_equal(found, table[indices])
    expected = np.zeros_like(table)
    np.add.at(expected, indices, 2 * table[indices] + 1)
    expected[2] = 0
    np.testing.assert_allclose(slopes, expected, rtol=1e-6)


def test_a_padding_row_stays_zero_whatever_the_table_becomes() -> None:
    """As where the table is tied to a decoder, which reads every row."""
    graph = gc.Graph()
    x = graph.input("x", ("batch",), "i32")
    layer = gc.nn.Embedding(5, 3, padding_index=0, table_init=1.0, dtype="f64")
    scores = layer(x) @ gc.transpose(layer.table)
    loss = gc.losses.softmax_cross_entropy(scores, x)
    step = gc.function([x], layer(x), gc.optim.SGD(0.1).updates(loss))
    for _ in range(2):
        rows = step([0, 3])
    assert rows.dtype == np.float64 and not rows[0].any() and rows[1].any()
    assert graph.variables["embedding.table"][0].any()
    with pytest.raises(IndexError):
        step([5, 0])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_by_name(name: str) -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 4), "f64")
    known = {"exponential": gc.exp, "linear": lambda x: x, "swish": gc.silu}
    expected = known.get(name) or getattr(gc, name)
    values = gc.function(
        [x], [gc.nn.activation(x, name), expected(x), gc.nn.activation(x, None)], mode="reference"
    )([[-1.0, 0.5, 2.0, 0.0]])
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[2], [[-1.0, 0.5, 2.0, 0.0]])


def test_a_masked_kernel_never_changes_where_it_is_masked() -> None:
    graph = gc.Graph()
    x, t = graph.input("x", ("batch", 6)), graph.input("t", ("batch", 4))
    loss = gc.losses.mean_squared_error(gc.nn.masked_dense(x, MASK > 0), t)
    before = graph.variables["masked_dense.kernel"]
    step = gc.function([x, t], loss, gc.optim.Adam(0.1).updates(loss))
    step(RNG.normal(size=(8, 6)), RNG.normal(size=(8, 4)))
    changed = graph.variables["masked_dense.kernel"] != before
    np.testing.assert_array_equal(changed, MASK > 0)
