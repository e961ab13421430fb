"""Layers: shapes, names, values."""

import numpy as np
import pytest

import graphc as gc


def test_dense(mode):
    graph = gc.Graph()
    x = graph.input("x", ("batch", 3))
    y = gc.nn.dense(x, 2, activation=gc.relu, bias_init=0.5)
    values = np.random.default_rng(0).normal(size=(4, 3)).astype("f4")
    kernel, bias = graph.variables["dense.kernel"], graph.variables["dense.bias"]
    np.testing.assert_allclose(
        gc.function([x], y, mode=mode)(values),
        np.maximum(values @ kernel + bias, 0),
        rtol=1e-5,
        atol=1e-6,
    )


def test_names_and_dtypes():
    graph = gc.Graph()
    h = gc.nn.dense(graph.input("x", ("batch", 3), "f64"), 4, use_bias=False)
    h = gc.nn.dense(h, 5)
    gc.nn.dense(h, 6, name="head")
    names = ["dense.kernel", "dense_1.kernel", "dense_1.bias", "head.kernel", "head.bias"]
    assert list(graph.states) == names
    assert {state.dtype.name for state in graph.states.values()} == {"f64"}
    with pytest.raises(gc.GraphError, match="taken"):
        gc.nn.dense(h, 6, name="head")


def test_maxout(mode):
    graph = gc.Graph()
    x = graph.input("x", ("batch", 3))
    y = gc.nn.maxout(x, 2, pieces=3)
    values = np.random.default_rng(0).normal(size=(4, 3)).astype("f4")
    affine = values @ graph.variables["maxout.kernel"] + graph.variables["maxout.bias"]
    np.testing.assert_allclose(
        gc.function([x], y, mode=mode)(values), affine.reshape(4, 2, 3).max(-1), rtol=1e-5
    )


def test_flatten_and_sequential():
    graph = gc.Graph()
    x = graph.input("x", ("batch", 4, 5))
    y = gc.nn.sequential(x, [gc.nn.flatten, lambda h: gc.nn.dense(h, 7), gc.tanh])
    assert str(y.type) == "f32[batch,7]"


def test_errors_name_layer_type_and_line():
    graph = gc.Graph()
    with pytest.raises(gc.ShapeError, match=r"dense\(f32\[features\]\).*\n.*test_nn.py"):
        gc.nn.dense(graph.input("x", ("features",)), 2)
    with pytest.raises(gc.ShapeError, match="at least 1 unit"):
        gc.nn.dense(graph.input("y", (3,)), 0)
    with pytest.raises(gc.ShapeError, match="at least 1 piece"):
        gc.nn.maxout(graph.states.get("none") or graph.input("z", (3,)), 1, pieces=0)
    with pytest.raises(gc.ShapeError, match="flatten"):
        gc.nn.flatten(graph.input("w", ("batch", "time", 2)))
