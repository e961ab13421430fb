"""Further states that a model's training step changes, and batches that make an update together."""

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
)


def of_weights(model):
    return {state.name: model.variables[state] for state in model.weights}


# --- further updates -------------------------------------------------------------------------


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_further_states_change_with_each_step(options):
    """A target copy and a mean of the inputs, which read what was there before the step."""
    whole = network()
    graph, kernel = whole.graph, whole.graph.states["second.kernel"]
    target = graph.parameter("target.kernel", kernel.shape, 0.0, "f64")
    mean = graph.variable("mean", np.zeros(3), dtype="f64")
    updates = {
        target: 0.75 * target + 0.25 * kernel,
        mean: 0.5 * mean + 0.5 * gc.mean(whole.inputs[0], axis=0),
    }
    model = gc.Model(whole.inputs, whole.outputs, whole.targets, whole.loss, updates=updates)
    model.compile(gc.optim.Adam(0.01), **options)
    values, slots = of_weights(model), {}
    copy, average = np.zeros(kernel.shape), np.zeros(3)
    fit(model)
    for x, t in batches():
        copy = 0.75 * copy + 0.25 * values["second.kernel"]
        average = 0.5 * average + 0.5 * x.mean(0)
        values = adam(values, gradients(values, x, t), slots, 0.01)
    assert_values(model, values | {"target.kernel": copy, "mean": average})
    assert {"target.kernel", "mean"} <= model.values().keys()
    before = model.values()
    with pytest.raises(gc.NotFiniteError):
        model.fit(np.full((6, 3), np.nan), T[:6], nan_watch=True, verbose=0)
    assert_values(model, before, 0)


def test_a_target_that_the_loss_reads(mode):
    """Its weights are parameters too: `parameters=` leaves them out."""
    graph = gc.Graph(seed=0)
    x, t = graph.input("x", ("batch", 3), "f64"), graph.input("t", ("batch", 2), "f64")
    y = gc.nn.dense(x, 2, name="online")
    goal = t + 0.5 * gc.stop_gradient(gc.nn.dense(x, 2, name="target"))
    loss = gc.losses.mean_squared_error(y, goal)
    pairs = [(graph.states[f"target.{n}"], graph.states[f"online.{n}"]) for n in ("kernel", "bias")]
    with pytest.raises(gc.GraphError, match=r"updates: target\.bias, target\.kernel: parameters"):
        gc.Model(x, y, t, loss, updates=pairs)
    model = gc.Model(x, y, t, loss, parameters="online.*", updates=pairs)
    model.compile(gc.optim.SGD(0.1), mode=mode)
    fit(model, 1, batch_size=21)
    before = of_weights(model)
    model.fit(X[:21], T[:21], batch_size=21, verbose=0)
    np.testing.assert_array_equal(model.variables["target.kernel"], before["online.kernel"])
    assert (model.variables["online.kernel"] != before["online.kernel"]).any()


def test_streams_that_further_values_read_are_advanced(mode):
    whole = network()
    noise = gc.random.uniform(whole.graph, (3,), "f64", name="noise")
    last = whole.graph.variable("last", np.zeros(3), dtype="f64")
    parts = (whole.inputs, whole.outputs, whole.targets, whole.loss)
    model = gc.Model(*parts, updates={last: noise})
    model.compile(gc.optim.SGD(0.1), mode=mode)
    key = model.variables["noise.key"]
    fit(model, 1)
    assert model.variables["noise.key"] == key + 7
    stream = whole.graph.states["noise.key"]
    with pytest.raises(gc.GraphError, match=r"updates: noise\.key: states that layers change"):
        gc.Model(*parts, updates={last: noise, stream: stream + 2})


def test_updates_that_cannot_be():
    whole = network()
    graph, kernel = whole.graph, whole.graph.states["first.kernel"]
    state = graph.variable("state", 0.0)
    other = gc.Graph().variable("other", 0.0)
    unknown = graph.input("unknown", ())
    for wrong, error, message in [
        ({kernel: kernel * 0.5}, gc.GraphError, r"updates: first\.kernel: parameters, which the"),
        ({state: 1.0}, TypeError, "a state and the node of its next value expected"),
        ([state, state], TypeError, "a state and the node of its next value expected"),
        (3, TypeError, "states and next values expected, not 3"),
        ("state", TypeError, "states and next values expected"),
        ({whole.loss: whole.loss}, gc.GraphError, "a state of the model's graph expected"),
        ({other: other + 1}, gc.GraphError, "a state of the model's graph expected"),
        ({state: other + 1}, gc.GraphError, "of another graph than 'state'"),
        ({state: kernel}, gc.GraphError, r"'state' is f32\[\], its next value f64\[3,4\]"),
        ({state: unknown}, gc.GraphError, "'state' reads the input 'unknown'"),
        ([(state, state + 1), (state, state + 2)], gc.GraphError, "two next values"),
    ]:
        with pytest.raises(error, match=message):
            gc.Model(whole.inputs, whole.outputs, whole.targets, whole.loss, updates=wrong)
    with pytest.raises(gc.GraphError, match="updates: a loss expected"):
        gc.Model(whole.inputs, whole.outputs, updates={state: state + 1})


# --- several batches an update ---------------------------------------------------------------


def accumulated(values, epochs, k, slots, size=6):
    """Weights after updates of k batches each, and the sums that are left."""
    sums = {}
    for number, (x, t) in enumerate(batches(epochs, size), 1):
        sums = {n: sums.get(n, 0.0) + g for n, g in gradients(values, x, t).items()}
        if number % k == 0:
            values = adam(values, {n: g / k for n, g in sums.items()}, slots, 0.01)
            sums = {}
    return values, sums


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_an_update_of_three_batches_goes_on_in_the_next_epoch(options):
    """7 batches an epoch: the third update is of the last one and the first two of the next."""
    model = network()
    optimizer = gc.optim.Adam(0.01, gradient_accumulation_steps=3)
    model.compile(optimizer, ema=0.9, **options)
    values, slots = of_weights(model), {}
    fit(model)
    values, sums = accumulated(values, 2, 3, slots)
    assert_values(model, values | {f"adam.accumulated.{n}": g for n, g in sums.items()})
    assert model.variables["adam.steps"] == 4 == model.variables["ema_steps"]
    assert model.variables["adam.batches"] == 2 and model.batches_per_update == 3


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_batches_of_an_update_are_one_of_all_their_rows(dtype):
    models = []
    for k, size in ((1, 21), (3, 7), (21, 1)):
        model = network(dtype)
        optimizer = gc.optim.AdamW(0.01, clip_norm=0.1, gradient_accumulation_steps=k)
        model.compile(optimizer, ema=0.9, mode="reference")
        fit(model, 5, batch_size=size)
        models.append(model)
    for model in models[1:]:
        for name, value in models[0].values().items():
            tolerance = 1e-8 if dtype == "f64" else 2e-3
            found = model.variables[name]
            np.testing.assert_allclose(found, value, rtol=tolerance, atol=tolerance, err_msg=name)


def test_updates_are_counted_by_schedules():
    asked = []

    def schedule(number):
        asked.append(number)
        return 0.01

    model = network()
    model.compile(gc.optim.SGD(gradient_accumulation_steps=3), mode="reference")
    fit(model, callbacks=[gc.callbacks.LearningRateSchedule(schedule, per="step")])
    assert asked == [number // 3 for number in range(14)]


def test_accumulation_watched_and_recorded():
    expected = None
    for options in ({}, {"nan_watch": True}, {"record": 3}, {"record": True}):
        model = network()
        optimizer = gc.optim.SGD(0.1, momentum=0.5, gradient_accumulation_steps=3)
        model.compile(optimizer, mode="reference")
        history = fit(model, 3, **options).history
        expected = model.values() if expected is None else expected
        assert_values(model, expected, 1e-12)
        # Of every fourth batch, of which some make an update.
        if options.get("record") == 3:
            assert max(history["first/update"]) > 0
    before = model.values()
    with pytest.raises(gc.NotFiniteError, match="step 1"):
        model.fit(np.full((6, 3), np.nan), T[:6], nan_watch=True, verbose=0)
    assert_values(model, before, 0)


def test_accumulation_goes_on_from_a_saved_state_and_after_compiling_again(tmp_path):
    """With the sums of batches that have made no update yet."""
    models = []
    for _ in range(3):
        model = network()
        optimizer = gc.optim.Adam(0.01, gradient_accumulation_steps=4)
        model.compile(optimizer, mode="reference")
        models.append(model)
    fit(models[0], 2)
    fit(models[1], 1)
    models[1].save(tmp_path / "model")
    models[2].load(tmp_path / "model")
    models[1].compile(models[1].optimizer, mode="reference")
    for model in models[1:]:
        fit(model, 1)
        assert_values(model, models[0].values(), 0)


def test_freezing_drops_the_sums_of_an_update_to_come():
    model = network()
    model.compile(gc.optim.SGD(0.1, gradient_accumulation_steps=4), mode="reference")
    fit(model, 1)
    assert model.variables["sgd.batches"] == 3
    model.freeze("first.*")
    assert model.variables["sgd.batches"] == 0
    assert not model.variables["sgd.accumulated.first.kernel"].any()
    values = of_weights(model)
    fit(model, 1, batch_size=42)
    assert_values(model, values, 0)
    assert not model.variables["sgd.accumulated.first.kernel"].any()
    assert model.variables["sgd.accumulated.second.kernel"].any()


def test_a_model_from_a_file_trains_on_with_the_same_bits(tmp_path):
    """With groups, sums of gradients, averages, further states, and what is frozen."""
    whole = network()
    count = whole.graph.variable("count", 0)
    parts = (whole.inputs, whole.outputs, whole.targets, whole.loss)
    model = gc.Model(*parts, parameters=["first.*", "second.kernel"], updates={count: count + 1})
    groups = {"*.bias": {"weight_decay": 0.0}, whole.parameters[0]: {"learning_rate": 1e-3}}
    optimizer = gc.optim.AdamW(1e-2, groups=groups, gradient_accumulation_steps=2)
    model.compile(optimizer, ema=0.9, mode="reference")
    fit(model, 1)
    model.freeze("first.bias")
    fit(model, 1)
    model.save(tmp_path / "model")
    other = gc.load_model(tmp_path / "model")
    assert [p.name for p in other.trained_parameters] == ["first.kernel", "second.kernel"]
    for each in (model, other):
        fit(each, 1)
        each.unfreeze("*")
        fit(each, 1)
    assert_values(other, model.values(), 0)
    assert other.variables["count"] == 28
    np.testing.assert_array_equal(other.predict(X, use_ema=True), model.predict(X, use_ema=True))


def test_rows_that_weigh_train_the_same_states():
    """Weights of 1 are none, whatever else a step consists of."""
    models = []
    for weights in (None, np.ones(42)):
        whole = network()
        count = whole.graph.variable("count", 0)
        parts = (whole.inputs, whole.outputs, whole.targets, whole.loss)
        model = gc.Model(*parts, updates={count: count + 1})
        optimizer = gc.optim.Adam(0.01, gradient_accumulation_steps=2)
        model.compile(optimizer, ema=0.9, mode="reference")
        for _ in range(2):
            fit(model, 1, sample_weight=weights)
            model.freeze("first.bias")
        models.append(model)
    assert models[0].values().keys() == models[1].values().keys()
    assert_values(models[1], models[0].values(), 1e-9)
    losses = [m.evaluate(X, T, sample_weight=np.ones(42), use_ema=True)["loss"] for m in models]
    assert losses == pytest.approx([models[0].evaluate(X, T, use_ema=True)["loss"]] * 2, rel=1e-9)
