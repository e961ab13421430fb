"""A small network whose training steps are written out in numpy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import graphc as gc

ROWS, BATCH, WIDTH = 42, 6, 4
RNG = np.random.default_rng(3)
X = RNG.standard_normal((ROWS, 3))
T = RNG.standard_normal((ROWS, 2))

Values = dict[str, Any]
WAYS: tuple[dict[str, Any], ...] = ({"mode": "reference"}, {}, {"fuse": False})


def network(dtype: str = "f64", **options: Any) -> gc.Model:
    """tanh between two layers, the mean squared error: its parameters are `first` and `second`."""
    graph = gc.Graph(seed=1)
    x, t = graph.input("x", ("batch", 3), dtype), graph.input("t", ("batch", 2), dtype)
    hidden = gc.nn.dense(x, WIDTH, gc.tanh, name="first")
    y = gc.nn.dense(hidden, 2, name="second")
    return gc.Model(x, y, t, gc.losses.mean_squared_error(y, t), **options)


def fit(model: gc.Model, epochs: int = 2, **options: Any) -> gc.History:
    """Batches of 6 in order, unless `options` say otherwise."""
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0} | options
    return model.fit(X, T, epochs=epochs, **options)


def batches(epochs: int = 2, size: int = BATCH) -> Iterator[tuple[Any, Any]]:
    for _ in range(epochs):
        for start in range(0, ROWS, size):
            yield X[start : start + size], T[start : start + size]


def output(values: Values, x: Any) -> Any:
    hidden = np.tanh(x @ values["first.kernel"] + values["first.bias"])
    return hidden @ values["second.kernel"] + values["second.bias"]


def gradients(values: Values, x: Any, t: Any) -> Values:
    """Of the mean squared error."""
    hidden = np.tanh(x @ values["first.kernel"] + values["first.bias"])
    error = 2 * (output(values, x) - t) / t.size
    inner = (error @ values["second.kernel"].T) * (1 - hidden**2)
    return {
        "first.kernel": x.T @ inner,
        "first.bias": inner.sum(0),
        "second.kernel": hidden.T @ error,
        "second.bias": error.sum(0),
    }


def adam(values: Values, slopes: Values, slots: dict[str, Values], rate: float) -> Values:
    """The parameters after a step; each counts the steps that it is trained in."""
    made = dict(values)
    for name, g in slopes.items():
        s = slots.setdefault(name, {"m": 0.0, "v": 0.0, "t": 0})
        s["t"] += 1
        s["m"] = 0.9 * s["m"] + 0.1 * g
        s["v"] = 0.999 * s["v"] + 0.001 * g * g
        m, v = s["m"] / (1 - 0.9 ** s["t"]), s["v"] / (1 - 0.999 ** s["t"])
        made[name] = values[name] - rate * m / (np.sqrt(v) + 1e-8)
    return made


def assert_values(model: gc.Model, expected: Values, rtol: float = 1e-9) -> None:
    for name, value in expected.items():
        found = model.variables[name]
        np.testing.assert_allclose(found, value, rtol=rtol, atol=rtol, err_msg=name)
