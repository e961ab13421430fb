"""Batch normalisation in training and in inference."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import graphc as gc

RNG = np.random.default_rng(5)
X = (RNG.normal(size=(20, 4)) * [1, 5, 0.1, 1] + [0, 3, -2, 50]).astype("f4")
T = (X[:, :1] + X[:, 2:3] > -2).astype("f4")
MODES: list[tuple[str, dict[str, Any]]] = [
    ("f32", {}), ("f64", {"fuse": False}), ("f32", {"mode": "reference"}),
]  # fmt: skip


def model() -> gc.Model:
    graph = gc.Graph(seed=2)
    x, t = graph.input("x", ("batch", 4)), graph.input("t", ("batch", 1))
    h = gc.nn.batch_norm(x, momentum=0.5)
    y = gc.nn.dense(gc.nn.dense(h, 8, "relu"), 1)
    made = gc.Model(x, y, t, gc.losses.sigmoid_cross_entropy(y, t))
    made.compile(gc.optim.Adam(0.02), 10)
    return made


def moved(batches: list[Any], momentum: float = 0.5) -> tuple[Any, Any]:
    """The running mean and variance by the formula of Keras."""
    mean, variance = np.zeros(4), np.ones(4)
    for batch in batches:
        batch = batch.astype("f8")
        mean = momentum * mean + (1 - momentum) * batch.mean(0)
        variance = momentum * variance + (1 - momentum) * batch.var(0)
    return mean, variance


def assert_moved(variables: Any, name: str, batches: list[Any], momentum: float = 0.5) -> None:
    mean, variance = moved(batches, momentum)
    np.testing.assert_allclose(variables[f"{name}.moving_mean"], mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(variables[f"{name}.moving_variance"], variance, rtol=1e-4)


@pytest.mark.parametrize(("dtype", "options"), MODES, ids=str)
def test_steps_move_the_running_values(dtype: str, options: dict[str, Any]) -> None:
    """The last batch is smaller."""
    graph = gc.Graph(seed=2)
    x, t = graph.input("x", ("batch", 4), dtype), graph.input("t", ("batch", 1), dtype)
    y = gc.nn.dense(gc.nn.batch_norm(x, momentum=0.5), 1)
    made = gc.Model(x, y, t, gc.losses.mean_squared_error(y, t))
    made.compile(gc.optim.SGD(0.01), 8, **options)
    assert [s.name for s in made.parameters][:2] == ["batch_norm.gamma", "batch_norm.beta"]
    assert "batch_norm.moving_mean" in [s.name for s in made.weights]
    made.fit(X, T, shuffle=False, verbose=0)
    assert_moved(made.variables, "batch_norm", [X[:8], X[8:16], X[16:]])


def test_inference_reads_the_running_values() -> None:
    made = model()
    history = made.fit(X, T, epochs=60, verbose=0).history
    assert history["loss"][-1] < history["loss"][0] / 2
    v = made.variables
    scale = v["batch_norm.gamma"] / np.sqrt(v["batch_norm.moving_variance"] + 1e-3)
    h = (X - v["batch_norm.moving_mean"]) * scale + v["batch_norm.beta"]
    h = np.maximum(h @ v["dense.kernel"] + v["dense.bias"], 0)
    expected = h @ v["dense_1.kernel"] + v["dense_1.bias"]
    np.testing.assert_allclose(made.predict(X), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(made.predict(X[:1]), expected[:1], rtol=1e-3, atol=1e-4)
    before = made.values()
    loss = made.evaluate(X, T)["loss"]
    assert abs(loss - history["loss"][-1]) < 0.3
    assert all(np.array_equal(before[name], value) for name, value in made.values().items())


def test_running_values_are_saved_and_loaded(tmp_path: Any) -> None:
    made, other = model(), model()
    made.fit(X, T, epochs=2, verbose=0)
    made.save(tmp_path / "weights", weights_only=True)
    other.load(tmp_path / "weights", weights_only=True)
    np.testing.assert_array_equal(made.predict(X), other.predict(X))
    made.compile(gc.optim.SGD(0.1))
    made.fit(X, T, epochs=1, verbose=0, shuffle=False, batch_size=20)
    mean = 0.5 * other.variables["batch_norm.moving_mean"] + 0.5 * X.mean(0)
    np.testing.assert_allclose(made.variables["batch_norm.moving_mean"], mean, rtol=1e-4)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copy_moves_its_own_running_values(copied: Any) -> None:
    _, layer, inputs, results = shared()
    updates = gc.training_updates(results)
    model = gc.Model(inputs, results, None, gc.sum(results[0]) + gc.sum(results[1]))
    other = copied(model)
    loss = other.loss
    assert loss is not None
    found = gc.training_updates(loss)
    assert [s.name for s in found] == [s.name for s in updates]
    run = gc.function(other.inputs, [], found, mode="reference")
    run(X[:8], X[8:16])
    assert_moved(other.graph.variables, "batch_norm", [X[:8], X[8:16]])
    assert not layer.graph.variables["batch_norm.moving_mean"].any()


@pytest.mark.parametrize("mode", ["compiled", "reference"])
def test_a_batch_of_one_row_is_beta(mode: Any) -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 4))
    y = gc.nn.batch_norm(x, beta_init=np.arange(4.0))
    run = gc.function([x], y, gc.training_updates(y), mode=mode)
    np.testing.assert_allclose(run(X[:1]), [np.arange(4.0)])
    assert_moved(graph.variables, "batch_norm", [X[:1]], 0.99)


@pytest.mark.parametrize("mode", ["compiled", "reference"])
def test_the_variance_is_accurate_beside_a_large_mean(mode: Any) -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 3))
    layer = gc.nn.BatchNorm(momentum=0.0)
    y = layer(x)
    run = gc.function([x], y, gc.training_updates(y), mode=mode)
    means = np.array([1e4, -1e5, 0])
    values = (np.random.default_rng(0).normal(size=(1000, 3)) + means).astype("f4")
    values[:, 2] = 1e6
    run(values)
    found = graph.variables["batch_norm.moving_variance"]
    np.testing.assert_allclose(found[:2], values[:, :2].astype("f8").var(0), rtol=1e-3)
    assert found[2] == 0


@pytest.mark.parametrize("shape", [("batch", 3, 4), ("batch", "time", 4), ("batch", 2, 3, 4)])
def test_leading_axes(shape: Any) -> None:
    graph = gc.Graph()
    x = graph.input("x", shape, "f64")
    y = gc.nn.batch_norm(x)
    values = RNG.normal(size=[e if isinstance(e, int) else 5 for e in shape])
    axes = tuple(range(len(shape) - 1))
    expected = (values - values.mean(axes)) / np.sqrt(values.var(axes) + 1e-3)
    np.testing.assert_allclose(gc.function([x], y)(values), expected, rtol=1e-10, atol=1e-12)


# --- shared --------------------------------------------------------------------------------------


def shared() -> tuple[gc.Graph, gc.nn.BatchNorm, list[gc.Node], list[gc.Node]]:
    graph = gc.Graph()
    layer = gc.nn.BatchNorm(momentum=0.5)
    inputs = [graph.input("x", ("batch", 4)), graph.input("y", ("batch", 4))]
    return graph, layer, inputs, [layer(node) for node in inputs]


def test_each_call_moves_the_running_values_of_a_shared_layer() -> None:
    graph, _, inputs, results = shared()
    total = gc.sum(results[0]) + gc.sum(results[1])
    run = gc.function(inputs, results, gc.training_updates(total))
    found = run(X[:10], X[10:])
    for each, batch in zip(found, (X[:10], X[10:]), strict=True):
        expected = (batch - batch.mean(0)) / np.sqrt(batch.var(0) + 1e-3)
        np.testing.assert_allclose(each, expected, rtol=1e-3, atol=1e-3)
    assert_moved(graph.variables, "batch_norm", [X[:10], X[10:]])


def test_a_loss_moves_them_by_the_calls_that_it_reads() -> None:
    graph, layer, inputs, results = shared()
    assert layer(inputs[1]) is results[1]
    updates = gc.training_updates(results[1])
    gc.function(inputs[1:], [], updates)(X)
    assert_moved(graph.variables, "batch_norm", [X])
    assert gc.training_updates(gc.inference(results)) == {}


def test_one_after_the_other() -> None:
    """The second normalises what the first gives."""
    graph = gc.Graph()
    x = graph.input("x", ("batch", 4))
    y = gc.nn.sequential(x, [gc.nn.BatchNorm(momentum=0.5), gc.nn.BatchNorm(momentum=0.5)])
    first = gc.function([x], y, gc.training_updates(y))(X)
    np.testing.assert_allclose(first.std(0), np.ones(4), rtol=0.2)
    assert_moved(graph.variables, "batch_norm", [X])
    inner = (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-3)
    np.testing.assert_allclose(
        graph.variables["batch_norm_1.moving_variance"], 0.5 + 0.5 * inner.var(0), rtol=1e-3
    )


def test_optimizers_of_ones_own_step_move_them_too() -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 4))
    loss = gc.mean(gc.square(gc.nn.dense(gc.nn.batch_norm(x, momentum=0.5), 1)))
    step = gc.function([x], loss, gc.optim.SGD(0.1).updates(loss))
    step(X)
    assert_moved(graph.variables, "batch_norm", [X])
