"""Exponential moving averages of weights: `compile(ema=...)` and what uses them."""

import numpy as np
import pytest

import graphc as gc
from tests.train.steps_by_hand import (
    WAYS,
    T,
    X,
    adam,
    assert_values,
    batches,
    fit,
    gradients,
    network,
    output,
)


def of_weights(model):
    return {state.name: model.variables[state] for state in model.weights}


def by_hand(values, decay, epochs=2, names=None, slots=None, averages=None):
    """Weights and averages after Adam's steps; averages begin as the weights before the first."""
    slots = {} if slots is None else slots
    averages = dict(values) if averages is None else averages
    for x, t in batches(epochs):
        slopes = gradients(values, x, t)
        slopes = {n: g for n, g in slopes.items() if names is None or n in names}
        values = adam(values, slopes, slots, 0.01)
        averages = {n: decay * e + (1 - decay) * values[n] for n, e in averages.items()}
    return values, averages


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_averages_against_numpy(options):
    model = network()
    model.compile(gc.optim.Adam(0.01), ema=0.9, **options)
    start = of_weights(model)
    fit(model)
    values, averages = by_hand(start, 0.9)
    assert_values(model, values)
    assert_values(model, {f"ema.{name}": value for name, value in averages.items()})
    expected = output(averages, X)
    np.testing.assert_allclose(model.predict(X, use_ema=True), expected, rtol=1e-9)
    loss = model.evaluate(X, T, use_ema=True)["loss"]
    assert loss == pytest.approx(((expected - T) ** 2).mean(), rel=1e-9)
    assert model.evaluate(X, T)["loss"] != pytest.approx(loss, rel=1e-3)
    model.apply_ema()
    assert_values(model, averages)
    np.testing.assert_array_equal(model.predict(X), model.predict(X, use_ema=True))


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_what_stays_as_it_is_equals_its_average(dtype):
    """To the bit, whatever the decay rounds to."""
    model = network(dtype)
    model.compile(gc.optim.SGD(0.0), ema=0.999, mode="reference")
    fit(model)
    for name, value in of_weights(model).items():
        np.testing.assert_array_equal(model.variables[f"ema.{name}"], value)


def test_before_the_first_step_averages_are_the_weights(mode):
    """Those of now: values may be set or loaded after compiling."""
    model = network()
    model.compile(gc.optim.SGD(0.1), ema=0.5, mode=mode)
    for bias in (1.0, 2.0):
        model.variables["second.bias"] = [bias, bias]
        np.testing.assert_array_equal(model.predict(X, use_ema=True), model.predict(X))
    start = of_weights(model)
    fit(model, 1, batch_size=42)
    for name, value in of_weights(model).items():
        np.testing.assert_allclose(model.variables[f"ema.{name}"], (start[name] + value) / 2)


def test_classes_by_averages(mode):
    graph = gc.Graph(seed=0)
    x, t = graph.input("x", ("batch", 2)), graph.input("t", ("batch",), "i32")
    scores = gc.nn.dense(gc.dropout(x, 0.5), 3)
    model = gc.Model(x, scores, t, gc.losses.softmax_cross_entropy(scores, t))
    model.compile(gc.optim.SGD(0.5), ema=0.5, mode=mode)
    rows = np.random.default_rng(0).standard_normal((20, 2)).astype("f4")
    model.fit(rows, np.arange(20) % 3, verbose=0)
    kernel, bias = model.variables["ema.dense.kernel"], model.variables["ema.dense.bias"]
    expected = (rows @ kernel + bias).argmax(1)
    np.testing.assert_array_equal(model.predict_classes(rows, use_ema=True), expected)


def test_averages_are_saved_with_the_training_state(tmp_path):
    models = []
    for _ in range(2):
        model = network()
        model.compile(gc.optim.Adam(0.01), ema=0.9, mode="reference")
        models.append(model)
    models[0].save(tmp_path / "before")
    models[1].load(tmp_path / "before")
    fit(models[0], 1)
    models[0].save(tmp_path / "model")
    models[1].load(tmp_path / "model")
    for model in models:
        fit(model, 1)
    assert_values(models[1], models[0].values(), 0)
    assert {"ema.first.kernel", "ema_steps"} <= models[0].values().keys()


def test_averages_of_what_is_frozen_and_trained_again():
    """A frozen parameter's average goes on to its weight; one that begins later begins there."""
    late, early = ("second.bias",), ("first.kernel", "first.bias", "second.kernel")
    model = network()
    model.freeze(late)
    model.compile(gc.optim.Adam(0.01), ema=0.9, mode="reference")
    values, slots = of_weights(model), {}
    fit(model, 1)
    assert "ema.second.bias" not in model.graph.states
    averages = {name: values[name] for name in early}
    values, averages = by_hand(values, 0.9, 1, early, slots, averages)
    model.unfreeze("*")
    model.freeze("first.*")
    averages |= {name: values[name] for name in late}
    fit(model, 1)
    values, averages = by_hand(values, 0.9, 1, ("second.kernel", *late), slots, averages)
    assert_values(model, values | {f"ema.{name}": value for name, value in averages.items()})


def test_compiling_again_with_another_decay():
    """Averages and slots go on; without a decay the averages are gone."""
    model, optimizer = network(), gc.optim.Adam(0.01)
    model.compile(optimizer, ema=0.9, mode="reference")
    values, slots = of_weights(model), {}
    fit(model, 1)
    values, averages = by_hand(values, 0.9, 1, slots=slots)
    model.compile(optimizer, ema=0.5, mode="reference")
    fit(model, 1)
    values, averages = by_hand(values, 0.5, 1, slots=slots, averages=averages)
    assert_values(model, values | {f"ema.{name}": value for name, value in averages.items()})
    model.compile(optimizer, mode="reference")
    assert not any(name.startswith("ema") for name in model.values())
    fit(model, 1)
    values, _ = by_hand(values, 0.5, 1, slots=slots)
    assert_values(model, values)
    model.compile(optimizer, ema=0.9, mode="reference")
    np.testing.assert_array_equal(model.predict(X, use_ema=True), model.predict(X))


def test_watched_and_recorded_steps_average_alike():
    expected = None
    for options in ({}, {"nan_watch": True}, {"record": 1}, {"debug": "nan", "record": 3}):
        model = network()
        model.compile(gc.optim.SGD(0.1), ema=0.9, mode="reference")
        fit(model, **options)
        expected = model.values() if expected is None else expected
        assert_values(model, expected, 1e-12)


def test_a_step_that_is_not_finite_leaves_averages_as_they_were():
    model = network()
    model.compile(gc.optim.SGD(0.1), ema=0.9, mode="reference")
    fit(model, 1)
    before = model.values()
    with pytest.raises(gc.NotFiniteError):
        model.fit(np.full((6, 3), np.nan), T[:6], nan_watch=True, verbose=0)
    assert_values(model, before, 0)


def test_what_keeps_no_averages():
    model = network()
    for compiled in (False, True):
        if compiled:
            model.compile(gc.optim.SGD(0.1), mode="reference")
        for use in (
            lambda: model.predict(X, use_ema=True),
            lambda: model.evaluate(X, T, use_ema=True),
            model.apply_ema,
        ):
            with pytest.raises(gc.GraphError, match=r"no averages .*compile\(optimizer, ema="):
                use()
    before = list(model.graph.states)
    for wrong, error in [
        (1, ValueError),
        (-0.1, ValueError),
        ("0.9", TypeError),
        (True, TypeError),
    ]:
        with pytest.raises(error, match=r"^ema: "):
            model.compile(gc.optim.Adam(), ema=wrong)
    with pytest.raises(gc.GraphError, match=r"ema: .* an optimizer"):
        model.compile(ema=0.9)
    assert list(model.graph.states) == before
