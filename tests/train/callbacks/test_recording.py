"""What `fit(record=...)` says of each layer."""

import numpy as np
import pytest

import graphc as gc
from graphc.train.data.batches import Batches
from graphc.train.epochs import native_epochs as epochs
from graphc.train.epochs.recording import RecordedEpochs, dead_share, recorded_layers

ROWS, RATE = 48, 0.1
X = np.random.default_rng(0).standard_normal((ROWS, 6)).astype("f4")
Y = (X.sum(1) > 0).astype("i4")


def _model():
    graph = gc.Graph(seed=3)
    x, y = graph.input("x", ("batch", 6)), graph.input("y", ("batch",), "i32")
    # Two units that no row of the data wakes.
    bias = np.array([0, 0, 0, -50, -50], np.float32)
    hidden = gc.nn.dense(x, 5, gc.relu, bias_init=bias)
    scores = gc.nn.dense(hidden, 2, name="head")
    model = gc.Model(x, gc.softmax(scores), y, gc.losses.softmax_cross_entropy(scores, y))
    model.compile(gc.optim.SGD(RATE))
    return model, hidden


def _by_hand(values):
    """The norms of one step of all rows, in f64."""
    w, b, v, c = (
        values[name].astype("f8")
        for name in ("dense.kernel", "dense.bias", "head.kernel", "head.bias")
    )
    hidden = np.maximum(X @ w + b, 0)
    scores = hidden @ v + c
    p = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    d = (p - np.eye(2)[Y]) / ROWS
    e = (d @ v.T) * (hidden > 0)
    gradients = {"dense": [X.T @ e, e.sum(0)], "head": [hidden.T @ d, d.sum(0)]}
    norms = {k: np.sqrt(sum((g**2).sum() for g in gs)) for k, gs in gradients.items()}
    return {
        **{f"{name}/gradient": norm for name, norm in norms.items()},
        **{f"{name}/update": RATE * norm for name, norm in norms.items()},
        "dense/activation": np.linalg.norm(hidden),
        "head/activation": np.linalg.norm(p),
        "dense/dead": 0.4,
        "head/dead": 0.0,
    }


def test_layers_are_found_by_their_parameters():
    model, hidden = _model()
    first, last = recorded_layers([model.outputs], model.parameters)
    assert (first.name, first.activation) == ("dense", hidden)
    assert (last.name, last.activation) == ("head", model.outputs)
    assert [p.name for p in last.parameters] == ["head.kernel", "head.bias"]


@pytest.mark.parametrize("outputs_first", [False, True])
def test_the_last_value_of_a_layer_is_recorded(outputs_first):
    """Of those that another layer reads and those that are outputs, in whatever order they are."""
    graph = gc.Graph(seed=3)
    x = graph.input("x", ("batch", 6))
    raw = gc.nn.dense(x, 5, name="first")
    if outputs_first:
        shown, read = gc.tanh(raw), gc.relu(raw)
    else:
        read, shown = gc.relu(raw), gc.tanh(raw)
    scores = gc.nn.dense(read, 2, name="second")
    # The second layer has two values that are outputs.
    doubled = scores * 2.0
    for outputs in ([shown, scores, doubled], [doubled, scores, shown]):
        first, second = recorded_layers(outputs, graph.parameters)
        assert first.activation is (read if outputs_first else shown)
        assert second.activation is doubled


@pytest.mark.parametrize("mode", ["compiled", "reference"])
def test_values_are_those_by_hand(mode):
    model, _ = _model()
    model.compile(model.optimizer, mode=mode)
    expected = _by_hand(model.values())
    history = model.fit(X, Y, batch_size=ROWS, epochs=1, record=True, verbose=0)
    found = {name: values[0] for name, values in history.history.items() if name != "loss"}
    assert found == pytest.approx(expected, rel=1e-3)
    assert set(found) <= set(model.logged_names)


@pytest.mark.parametrize("shape", [(4,), (5, 4), (3, 5, 4), (2, 3, 5, 4)])
def test_a_unit_is_dead_that_is_0_everywhere(shape):
    """In every row, and at every position of a sequence or an image."""
    values = np.zeros(shape, "f4")
    values[(*(-1,) * (len(shape) - 1), 1)] = -2.0  # one element of unit 1, others are negative
    values[(*(0,) * (len(shape) - 1), 2)] = np.nan
    activation = gc.Graph().input("x", shape)
    share = gc.function([activation], dead_share(activation), mode="reference")(values)
    assert share == 0.5


@pytest.mark.parametrize("mode", ["compiled", "reference"])
def test_each_epoch_has_means_of_its_own_steps(mode):
    """As a training that is continued an epoch at a time has them."""
    models = [_model()[0] for _ in range(2)]
    for model in models:
        model.compile(model.optimizer, mode=mode)
    whole = models[0].fit(X, Y, batch_size=8, epochs=3, record=4, verbose=0).history
    for number in range(3):
        options = {"epochs": number + 1, "initial_epoch": number, "record": 4, "verbose": 0}
        part = models[1].fit(X, Y, batch_size=8, **options).history
        assert {name: [values[number]] for name, values in whole.items()} == part


@pytest.mark.parametrize(("batches", "record"), [(2, 2), (2, 4), (3, 3), (4, 2), (4, 6)])
def test_batches_that_change_parameters_are_among_those_recorded(batches, record):
    """Where an update is of several batches, whose number has a divisor in common with `record`."""
    model, _ = _model()
    model.compile(gc.optim.SGD(RATE, gradient_accumulation_steps=batches))
    history = model.fit(X, Y, batch_size=2, epochs=2, record=record, verbose=0).history
    assert min(history["head/update"]) > 0


def test_recording_trains_as_without_it():
    results = []
    for record in (False, 1, 3):
        model, _ = _model()
        history = model.fit(X, Y, batch_size=8, epochs=2, record=record, verbose=0)
        results.append((history.history["loss"], model.values()))
    for loss, values in results[1:]:
        assert loss == pytest.approx(results[0][0], rel=1e-6)
        for name, value in values.items():
            np.testing.assert_allclose(value, results[0][1][name], rtol=1e-5, atol=1e-6)


def test_the_same_is_recorded_batch_by_batch():
    """Steps 0 and 5 of an epoch of 6, of which the last is smaller."""

    class Listening(gc.callbacks.Callback):
        def on_batch_end(self, epoch, batch, logs):
            assert set(logs) == {"loss"}

    histories = []
    for callbacks in ([], [Listening()]):
        model, _ = _model()
        fitted = model.fit(X, Y, batch_size=9, record=5, callbacks=callbacks, verbose=0)
        histories.append({name: values[0] for name, values in fitted.history.items()})
    assert histories[0] == pytest.approx(histories[1], rel=1e-5)
    assert "head/dead" in histories[0]


def test_of_classes_the_scores_are_recorded():
    graph = gc.Graph(seed=3)
    x, y = graph.input("x", ("batch", 6)), graph.input("y", ("batch",), "i32")
    scores = gc.nn.dense(gc.nn.dense(x, 5, gc.relu), 2, name="head")
    loss = gc.losses.softmax_cross_entropy(scores, y)
    model = gc.Model(x, gc.argmax(scores, -1), y, loss)
    assert recorded_layers([model.outputs], model.parameters)[-1].activation is scores
    model.compile(gc.optim.SGD(RATE))
    history = model.fit(X, Y, batch_size=ROWS, record=True, verbose=0)
    assert history.history["head/activation"][0] > 0


def test_between_steps_that_record_there_are_pauses(monkeypatch):
    """Interrupts and progress do not wait for all steps up to the next recorded one."""
    monkeypatch.setattr(epochs, "SECONDS_BETWEEN_PAUSES", 0.0)
    model, _ = _model()
    recorder = model._functions.recorder(model.train_function, 100)
    recording = RecordedEpochs(recorder, Batches([X, Y], 8))
    assert [(steps.first, len(steps)) for steps in recording()] == [(n, 1) for n in range(6)]


def test_a_layer_of_two_dtypes():
    graph = gc.Graph()
    x = graph.input("x", ("batch", 6))
    kernel = graph.parameter("layer.kernel", (6, 2))
    bias = graph.parameter("layer.bias", (2,), 0.0, "f64")
    y = gc.cast(x @ kernel, "f64") + bias
    model = gc.Model(x, y, loss=gc.mean(y * y))
    model.compile(gc.optim.SGD(RATE), mode="reference")
    before = model.values()
    logs = model.fit(X, record=True, batch_size=ROWS).history
    changes = [model.values()[name] - before[name] for name in before if "layer" in name]
    norm = np.sqrt(sum((change.astype("f8") ** 2).sum() for change in changes))
    assert logs["layer/update"] == pytest.approx([norm], rel=1e-5)
    assert logs["layer/gradient"] == pytest.approx([norm / RATE], rel=1e-5)


@pytest.mark.parametrize("scale", [1e20, 1e-25])
def test_norms_of_what_has_no_squares_in_f32(scale):
    graph = gc.Graph()
    x = graph.input("x", ("batch", 6))
    y = gc.nn.dense(x, 1, kernel_init=gc.init.ones, name="layer")
    model = gc.Model(x, y, loss=gc.mean(y))
    model.compile(gc.optim.SGD(0.0), mode="reference")
    inputs = (X * scale).astype("f4")
    logs = model.fit(inputs, record=True, batch_size=ROWS).history
    exact = inputs.astype("f8")
    assert logs["layer/activation"] == pytest.approx([np.linalg.norm(exact.sum(1))], rel=1e-5)
    gradient = np.linalg.norm([*exact.mean(0), 1.0])
    assert logs["layer/gradient"] == pytest.approx([gradient], rel=1e-5)


def test_a_negative_number_of_steps_is_refused():
    model, _ = _model()
    with pytest.raises(ValueError, match="record: at least 0 expected, not -1"):
        model.fit(X, Y, record=-1, verbose=0)
