"""Model: declaring, compiling, training, evaluating, predicting, saving."""

import io
import math

import numpy as np
import pytest
from rich.console import Console

import graphc as gc

CLASSES = 3
RNG = np.random.default_rng(11)
CENTERS = np.array([[4.0, 0], [-4, 4], [-4, -4]])
LABELS = np.arange(45) % CLASSES
POINTS = (CENTERS[LABELS] + RNG.normal(size=(45, 2))).astype("f4")


def classifier(dtype="f32", seed=0):
    graph = gc.Graph(seed)
    x = graph.input("x", ("batch", 2), dtype)
    t = graph.input("t", ("batch",), "i32")
    z = gc.nn.dense(gc.nn.dense(x, 8, activation=gc.tanh), CLASSES)
    loss = gc.losses.softmax_cross_entropy(z, t)
    return gc.Model(x, gc.softmax(z), t, loss, {"accuracy": gc.metrics.accuracy(z, t)})


@pytest.fixture
def model(mode):
    model = classifier()
    model.compile(gc.optim.Adam(0.05), batch_size=15, mode=mode)
    return model


def test_learns_a_separable_problem(model):
    history = model.fit(POINTS, LABELS, epochs=15)
    assert history.epoch == list(range(15))
    assert list(history.history) == ["loss", "accuracy"]
    losses = history.history["loss"]
    assert losses[-1] < 0.1 * losses[0]
    assert model.evaluate(POINTS, LABELS)["accuracy"] == 1.0
    np.testing.assert_array_equal(model.predict_classes(POINTS), LABELS)
    probabilities = model.predict(POINTS)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-6)
    np.testing.assert_array_equal(probabilities.argmax(-1), LABELS)


def test_evaluation_does_not_depend_on_the_batch_size(model):
    """Rows count alike, though the last of 45 rows in batches of 20 are only 5."""
    whole = model.evaluate(POINTS, LABELS, batch_size=45)
    for size in (20, 7, 100):
        # f32 sums of 45 terms in another order.
        assert model.evaluate(POINTS, LABELS, size) == pytest.approx(whole, rel=1e-5)
        np.testing.assert_allclose(
            model.predict(POINTS, size), model.predict(POINTS, 45), rtol=1e-5
        )


def test_logged_loss_weighs_rows(mode):
    model = classifier("f64")
    model.compile(gc.optim.SGD(0.0), mode=mode)
    history = model.fit(POINTS, LABELS, batch_size=20, validation_data=(POINTS, LABELS))
    expected = model.evaluate(POINTS, LABELS, 45)
    for name, value in expected.items():
        assert history.history[name] == pytest.approx([value])
        assert history.history[f"val_{name}"] == pytest.approx([value])


def test_same_seed_same_weights_and_other_seed_other_weights(mode):
    values = []
    for seed in (1, 1, 2):
        model = classifier()
        model.compile(gc.optim.SGD(0.1), mode=mode)
        model.fit(POINTS, LABELS, epochs=2, batch_size=9, seed=seed)
        values.append(model.values())
    for name in values[0]:
        np.testing.assert_array_equal(values[0][name], values[1][name])
    assert any((values[0][name] != values[2][name]).any() for name in values[0])


def test_without_shuffling_rows_stay_in_order(mode):
    model, by_hand = classifier("f64"), classifier("f64")
    for one in (model, by_hand):
        one.compile(gc.optim.SGD(0.1), mode=mode)
    model.fit(POINTS, LABELS, batch_size=20, shuffle=False)
    for start in (0, 20, 40):
        rows = slice(start, start + 20)
        by_hand.train_function(POINTS[rows].astype("f8"), LABELS[rows].astype("i4"))
    for name, value in model.values().items():
        np.testing.assert_allclose(value, by_hand.variables[name], rtol=1e-12)


def test_training_goes_on_from_saved_state_as_without_a_break(mode, tmp_path):
    def fresh():
        model = classifier()
        model.compile(gc.optim.Adam(0.01), mode=mode)
        return model

    whole = fresh()
    history = whole.fit(POINTS, LABELS, epochs=4, batch_size=9, seed=3)
    first = fresh()
    first.fit(POINTS, LABELS, epochs=2, batch_size=9, seed=3)
    first.save(tmp_path / "model")
    second = fresh()
    second.load(tmp_path / "model")
    rest = second.fit(POINTS, LABELS, epochs=4, batch_size=9, seed=3, initial_epoch=2)
    assert rest.epoch == [2, 3]
    assert rest.history["loss"] == history.history["loss"][2:]
    for name, value in whole.values().items():
        np.testing.assert_array_equal(value, second.variables[name])


def test_weights_alone(model, tmp_path):
    model.fit(POINTS, LABELS)
    model.save(tmp_path / "all")
    model.save(tmp_path / "weights", weights_only=True)
    for path in ("all", "weights"):
        other = classifier(seed=9)
        other.load(tmp_path / path, weights_only=True)
        np.testing.assert_array_equal(
            other.variables["dense.kernel"], model.values()["dense.kernel"]
        )
    with pytest.raises(gc.VariableError, match="adam"):
        classifier().load(tmp_path / "all")
    with pytest.raises(gc.VariableError, match="lacks"):
        model.load(tmp_path / "weights")


def test_learning_rate_is_a_variable(model):
    assert model.learning_rate == pytest.approx(0.05)
    step = model.train_function
    model.learning_rate = 0.0
    before = model.values()["dense.kernel"]
    model.fit(POINTS, LABELS)
    np.testing.assert_array_equal(model.variables["dense.kernel"], before)
    assert model.train_function is step


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.1, 1e39, True, "0.1", None])
def test_what_is_no_learning_rate_changes_nothing(model, wrong):
    with pytest.raises((ValueError, TypeError), match=r"^learning_rate: "):
        model.learning_rate = wrong
    schedule = gc.callbacks.LearningRateSchedule(lambda epoch: wrong)
    with pytest.raises((ValueError, TypeError), match=r"^learning_rate: "):
        model.fit(POINTS, LABELS, callbacks=[schedule])
    assert model.learning_rate == pytest.approx(0.05)


def test_compiling_again(model, mode):
    model.fit(POINTS, LABELS)
    states = [state.name for state in model.states]
    model.compile(model.optimizer, fuse=False, mode=mode)
    assert [state.name for state in model.states] == states
    model.compile(gc.optim.SGD(0.1, momentum=0.9), mode=mode)
    assert any("sgd.velocity" in state.name for state in model.states)
    assert not any("adam" in state.name for state in model.states)
    model.fit(POINTS, LABELS)


def test_compiling_again_takes_the_names_of_a_new_model(model, tmp_path):
    names = [state.name for state in model.states]
    model.fit(POINTS, LABELS, batch_size=15)
    for _ in range(2):
        model.compile(gc.optim.Adam(0.1))
        assert [state.name for state in model.states] == names
        assert not model.variables["adam.mean.dense.kernel"].any()
    assert list(model.graph.states) == names
    assert model.learning_rate == pytest.approx(0.1)
    model.fit(POINTS, LABELS, batch_size=15)
    model.save(tmp_path / "model")
    fresh = classifier()
    fresh.compile(gc.optim.Adam(0.1))
    fresh.load(tmp_path / "model")
    for name, value in model.values().items():
        np.testing.assert_array_equal(fresh.variables[name], value)


def test_two_models_of_a_graph_keep_their_optimizers_apart(model):
    other = gc.Model(model.inputs, model.outputs, model.targets, model.loss)
    other.compile(gc.optim.Adam(0.2))
    model.compile(gc.optim.Adam(0.1))
    assert (model.learning_rate, other.learning_rate) == pytest.approx((0.1, 0.2))
    slots = [{state.name for state in each.states} - set(model.weights) for each in (model, other)]
    assert {"adam.steps"} <= slots[0] - slots[1] and {"adam_1.steps"} <= slots[1] - slots[0]


@pytest.mark.parametrize("wrong", ["adam", gc.optim.Adam, 0.1])
def test_what_is_no_optimizer_changes_nothing(model, wrong):
    states = model.values()
    with pytest.raises(TypeError, match="an optimizer such as"):
        model.compile(wrong)
    assert model.values().keys() == states.keys()
    for size in (0, -1, 2.5, "many"):
        with pytest.raises(gc.DataError, match=r"batch_size: (at least 1|an integer) expected"):
            model.compile(gc.optim.SGD(), batch_size=size)
    assert model.batch_size == 15 and isinstance(model.optimizer, gc.optim.Adam)


def test_validation_split_takes_the_last_rows(mode):
    model = classifier("f64")
    model.compile(gc.optim.SGD(0.0), mode=mode)
    history = model.fit(POINTS, LABELS, validation_split=0.2)
    expected = model.evaluate(POINTS[36:], LABELS[36:])["loss"]
    assert history.history["val_loss"] == pytest.approx([expected])
    for share in (1.0, -0.5, 0.9, 1 - 1e-9, math.nan):
        with pytest.raises(gc.DataError, match="validation_split"):
            model.fit(POINTS[:5], LABELS[:5], validation_split=share)
    with pytest.raises(gc.DataError, match="exclude"):
        model.fit(POINTS, LABELS, validation_split=0.5, validation_data=(POINTS, LABELS))


@pytest.mark.parametrize(
    "given", [(), (POINTS,), (POINTS, LABELS, LABELS, None), POINTS, {"x": POINTS}]
)
def test_validation_data_is_a_pair(model, given):
    with pytest.raises(
        gc.DataError, match=r"^validation_data: a pair \(x, y\) or .* expected, not "
    ):
        model.fit(POINTS, LABELS, validation_data=given)


def test_without_a_seed_every_run_has_another_order(mode):
    reached = []
    for options in ({"seed": None}, {"seed": None}, {"shuffle": False, "seed": None}):
        model = classifier()
        model.compile(gc.optim.SGD(0.1), mode=mode)
        model.fit(POINTS, LABELS, batch_size=9, **options)
        reached.append(model.variables["dense.kernel"].tolist())
    assert all(reached.count(kernel) == 1 for kernel in reached)


def test_without_loss_it_predicts(mode):
    graph = gc.Graph()
    x = graph.input("x", ("batch", 2))
    model = gc.Model(x, [x * 2, x + 1])
    model.compile(mode=mode)
    doubled, increased = model.predict(POINTS)
    np.testing.assert_array_equal(doubled, POINTS * 2)
    np.testing.assert_array_equal(increased, POINTS + 1)
    with pytest.raises(gc.GraphError, match="without a loss"):
        model.compile(gc.optim.SGD())
    with pytest.raises(gc.GraphError, match="no loss"):
        model.evaluate(POINTS)


def test_needs_compiling_first():
    model = classifier()
    for call in (
        lambda: model.fit(POINTS, LABELS),
        lambda: model.learning_rate,
        lambda: model.fit(POINTS, LABELS, nan_watch=True),
    ):
        with pytest.raises(gc.NotCompiledError, match="compile"):
            call()


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (POINTS[:, :1], LABELS, gc.DataError, r"x : f32\[batch,2\].*\(45, 1\)"),
        (POINTS, LABELS[:44], gc.DataError, "batch is 45 in x and 44 in t"),
        (POINTS, LABELS.astype("f4"), gc.DataError, "dtype float32"),
        (POINTS, None, gc.DataError, "y: missing t"),
        ({"x": POINTS, "w": POINTS}, LABELS, gc.DataError, "unknown w"),
        (POINTS[:0], LABELS[:0], gc.DataError, "no data"),
        (POINTS, LABELS + 1, IndexError, r"t\[2\] is 3, outside 0 to 2"),
        (POINTS, LABELS - 1, IndexError, r"t\[0\] is -1, outside 0 to 2"),
    ],
)
def test_bad_data_is_refused_before_anything_runs(model, x, y, error, message):
    before = model.values()
    for call in (model.fit, model.evaluate):
        with pytest.raises(error, match=message):
            call(x, y)
    with pytest.raises(error, match=f"^validation_data: .*{message}"):
        model.fit(POINTS, LABELS, validation_data=(x, y))
    for name, value in model.values().items():
        np.testing.assert_array_equal(value, before[name])


class Failing(gc.optim.Optimizer):
    def step(self, parameter, gradient, rate, slots):
        slots.scalar("extra", 1.0, parameter)
        slots.slot("mean", parameter)
        raise ArithmeticError("no step")


@pytest.mark.parametrize(
    ("optimizer", "options", "error"),
    [
        (Failing(), {}, ArithmeticError),
        (gc.optim.SGD(1e39), {}, ValueError),
        (gc.optim.SGD(0.1), {"mode": "fast"}, ValueError),
        (gc.optim.SGD(0.1), {"threads": 0}, ValueError),
        (None, {"mode": "fast"}, ValueError),
    ],
)
def test_compiling_that_fails_leaves_the_model_as_it_was(model, optimizer, options, error):
    model.fit(POINTS, LABELS, seed=0)
    before, states, made_by = model.values(), list(model.graph.states), model.optimizer
    with pytest.raises(error):
        model.compile(optimizer, **options)
    assert model.optimizer is made_by and list(model.graph.states) == states
    assert model.values().keys() == before.keys()
    for name, value in model.values().items():
        np.testing.assert_array_equal(value, before[name])
    assert model.fit(POINTS, LABELS, seed=1).epoch == [0]
    model.compile(gc.optim.SGD(0.05))
    assert list(model.values())[-1] == "learning_rate" and model.learning_rate < 0.0500001


def test_what_is_logged_is_reserved():
    """Every name that training and recording log, but those of metrics."""
    model = classifier()
    model.compile(gc.optim.Adam(), mode="reference")
    history = model.fit(POINTS, LABELS, validation_split=0.2, record=True, nan_watch=True)
    names = set(history.history) - {"accuracy"}
    assert "val_accuracy" in names and "dense/update" in names
    for name in names:
        with pytest.raises(gc.GraphError, match="cannot be named"):
            gc.Model(model.inputs, [], model.targets, model.loss, {name: model.loss})


def test_output_without_batch_is_not_predicted(mode):
    graph = gc.Graph()
    x = graph.input("x", ("batch", 2))
    model = gc.Model(x, gc.mean(x))
    model.compile(mode=mode)
    with pytest.raises(gc.GraphError, match="no batch"):
        model.predict(POINTS)


def test_summary():
    console = Console(width=80, record=True, file=io.StringIO())
    classifier().summary(console)
    text = console.export_text()
    for part in ("dense_1", "kernel", "f32[8,3]", "51 elements, 51 trainable, 204 bytes"):
        assert part in text


def test_names_with_brackets_are_shown(capsys):
    graph = gc.Graph()
    x, t = graph.input("x", ("batch", 2)), graph.input("t", ("batch", 2))
    loss = gc.losses.mean_squared_error(x * graph.parameter("w[/b].v[red]", (2,)), t)
    model = gc.Model(x, x, t, loss, {"top[5]": gc.sum(x)})
    model.compile(gc.optim.SGD(0.1))
    console = Console(width=80, record=True, file=io.StringIO())
    model.summary(console)
    text = console.export_text()
    assert "w[/b]" in text and "v[red]" in text and "f32[2]" in text
    model.fit(POINTS[:4], POINTS[:4], verbose=2)
    assert "top[5]" in capsys.readouterr().out


def test_an_input_is_no_target_too() -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 3))
    y = gc.nn.dense(x, 3)
    loss = gc.losses.mean_squared_error(y, x)
    with pytest.raises(gc.GraphError, match="is an input and a target; leave it out"):
        gc.Model(x, y, x, loss)
    model = gc.Model(x, y, loss=loss)
    model.compile(gc.optim.SGD(0.1), mode="reference")
    losses = model.fit(np.eye(3), epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
