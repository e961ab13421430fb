"""Weights of rows and of classes: the loss that is derived for them, and where it is used."""

import numpy as np
import pytest

import graphc as gc
from graphc.train.network.network import network_of

RNG = np.random.default_rng(3)
ROWS, CLASSES = 23, 3
X = RNG.standard_normal((ROWS, 4))
T = RNG.integers(0, CLASSES, ROWS).astype("i4")
W = RNG.uniform(0, 3, ROWS)


def classifier(dtype="f64", penalty=0.0, optimizer=None, metrics=None, **options):
    graph = gc.Graph(7)
    x = graph.input("x", ("batch", 4), dtype)
    t = graph.input("t", ("batch",), "i32")
    z = gc.nn.dense(gc.nn.dense(x, 5, gc.tanh), CLASSES)
    loss = gc.losses.softmax_cross_entropy(z, t)
    if penalty:
        loss = loss + gc.losses.l2(graph.parameters, penalty)
    metrics = {"accuracy": gc.metrics.accuracy(z, t)} if metrics is None else metrics(z, t)
    model = gc.Model(x, z, t, loss, metrics)
    model.compile(optimizer or gc.optim.Adam(0.02), **options)
    return model


def losses_of(model, x=X, t=T):
    """The cross-entropy of each row, by numpy."""
    z = model.predict(x)
    z = z - z.max(1, keepdims=True)
    return np.log(np.exp(z).sum(1)) - z[np.arange(len(t)), t]


@pytest.fixture(params=["compiled", "unfused", "reference"])
def run_options(request):
    if request.param == "reference":
        return {"mode": "reference"}
    return {"fuse": request.param == "compiled"}


@pytest.mark.parametrize(("dtype", "rtol"), [("f32", 1e-5), ("f64", 1e-12)])
@pytest.mark.parametrize("batch_size", [1, 10, ROWS])
def test_evaluate_weighs_the_loss_and_no_metric(run_options, dtype, rtol, batch_size):
    model = classifier(dtype, **run_options)
    plain = model.evaluate(X, T, batch_size)
    found = model.evaluate(X, T, batch_size, sample_weight=W)
    expected = (W * losses_of(model)).sum() / ROWS
    assert found["loss"] == pytest.approx(expected, rel=rtol)
    assert found["accuracy"] == plain["accuracy"]
    by_class = model.evaluate(X, T, batch_size, class_weight={0: 2.5, 2: 0.5})
    weights = np.array([2.5, 1, 0.5])[T]
    assert by_class["loss"] == pytest.approx((weights * losses_of(model)).sum() / ROWS, rel=rtol)
    both = model.evaluate(X, T, batch_size, sample_weight=W, class_weight={0: 2.5, 2: 0.5})
    assert both["loss"] == pytest.approx((W * weights * losses_of(model)).sum() / ROWS, rel=rtol)


def test_a_penalty_counts_once_whatever_the_weights():
    model = classifier(penalty=0.1)
    bare = model.evaluate(X, T)["loss"] - losses_of(model).mean()
    assert bare > 0.1
    found = model.evaluate(X, T, sample_weight=np.zeros(ROWS))["loss"]
    assert found == pytest.approx(bare)


def test_weights_are_whole_numbers_of_rows(run_options):
    """A row of weight k counts as k rows; in full batches the means differ by the rows alone."""
    counts = RNG.integers(0, 4, ROWS)
    repeated = np.repeat(np.arange(ROWS), counts)
    weighted, plain = classifier(**run_options), classifier(**run_options)
    scale = ROWS / len(repeated)
    for _ in range(3):
        weighted.train_on_batch(X, T, sample_weight=counts * scale)
        plain.train_on_batch(X[repeated], T[repeated])
    for name, value in plain.values().items():
        np.testing.assert_allclose(weighted.values()[name], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "optimizer",
    [
        gc.optim.SGD(0.1, momentum=0.9),
        gc.optim.AdamW(0.05, clip_norm=0.5),
        gc.optim.RMSprop(0.01, momentum=0.5, centered=True),
    ],
)
def test_weighted_and_plain_steps_share_the_states_of_the_optimizer(optimizer):
    """With weights of 1 a weighted step is the plain one, and one goes on where the other ended."""
    mixed, plain = classifier(optimizer=optimizer), classifier(optimizer=optimizer)
    names = set(mixed.graph.states)
    for k in range(4):
        mixed.train_on_batch(X, T, sample_weight=np.ones(ROWS) if k % 2 else None)
        plain.train_on_batch(X, T)
    assert set(mixed.graph.states) == names == set(mixed.values())
    for name, value in plain.values().items():
        np.testing.assert_allclose(mixed.values()[name], value, rtol=1e-12, atol=1e-15)


def test_two_models_of_one_graph_keep_their_states_apart():
    """The names that the first one's optimizer took are free again when the second is weighted."""
    first = classifier(optimizer=gc.optim.Adam(0.1))
    second = gc.Model(first.inputs, first.outputs, first.targets, first.loss)
    second.compile(gc.optim.Adam(0.01))
    first.compile(gc.optim.SGD(0.1))
    before = {state.name for state in second.states}
    second.train_on_batch(X, T, sample_weight=W)
    assert {state.name for state in second.states} == before
    assert second.learning_rate == pytest.approx(0.01)
    assert second.variables["adam_1.steps"] == 1


def test_fit_weighs_rows_and_validation(run_options):
    model = classifier(optimizer=gc.optim.SGD(0.0), **run_options)
    loss = losses_of(model)
    history = model.fit(
        X, T, batch_size=5, sample_weight=W, validation_data=(X, T, 2 * W), epochs=2
    ).history
    expected = (W * loss).sum() / ROWS
    assert history["loss"] == pytest.approx([expected] * 2)
    assert history["val_loss"] == pytest.approx([2 * expected] * 2)
    plain = model.fit(X, T, sample_weight=W, validation_data=(X, T)).history
    assert plain["val_loss"] == pytest.approx([loss.mean()])
    # The rows that are split off take their weights with them, but not those of their classes.
    split = model.fit(X, T, sample_weight=W, class_weight={1: 9.0}, validation_split=0.25).history
    assert split["val_loss"] == pytest.approx([(W * loss)[-6:].mean()])
    classes = model.fit(X, T, class_weight={1: 9.0}, validation_split=0.25).history
    assert classes["val_loss"] == pytest.approx([loss[-6:].mean()])
    by_class = np.where(T == 1, 9.0, 1.0)
    assert classes["loss"] == pytest.approx([(by_class * loss)[:-6].mean()])


def test_predict_asks_for_no_weights_and_a_plain_step_neither():
    model = classifier()
    model.fit(X, T, sample_weight=W)
    assert [node.name for node in model.predict_function.program.inputs] == ["x"]
    assert [node.name for node in model.train_function.program.inputs] == ["x", "t"]
    model.fit(X, T)


def test_compiled_again_the_weights_go_on():
    model = classifier()
    model.fit(X, T, sample_weight=W)
    names = set(model.graph.inputs)
    model.compile(gc.optim.SGD(0.1), batch_size=5)
    model.fit(X, T, sample_weight=W)
    assert set(model.graph.inputs) == names, "one input of weights, however often compiled"


def test_watched_and_recorded_steps_have_weights():
    model, plain = classifier(), classifier()
    recorded = model.fit(X, T, sample_weight=W, batch_size=5, nan_watch=True, record=1).history
    wanted = plain.fit(X, T, sample_weight=W, batch_size=5).history
    assert recorded["loss"] == wanted["loss"] and "dense/gradient" in recorded
    for name, value in plain.values().items():
        np.testing.assert_array_equal(model.values()[name], value)
    bad = X.copy()
    bad[7] = np.inf
    before = model.values()
    with pytest.raises(gc.NotFiniteError, match=r"step 2 of 5(.|\n)*inf"):
        model.fit(bad, T, sample_weight=W, batch_size=5, shuffle=False, debug="nan")
    assert any((model.values()[name] != value).any() for name, value in before.items())


def test_one_hot_and_binary_targets_have_classes():
    graph = gc.Graph(0)
    x, t = graph.input("x", ("batch", 4), "f64"), graph.input("t", ("batch", 3), "f64")
    z = gc.nn.dense(x, 3)
    model = gc.Model(x, z, t, gc.losses.softmax_cross_entropy(z, t))
    found = model.evaluate(X, np.eye(3)[T], class_weight={1: 4.0})["loss"]
    wanted = model.evaluate(X, np.eye(3)[T], sample_weight=np.where(T == 1, 4.0, 1.0))["loss"]
    assert found == wanted != model.evaluate(X, np.eye(3)[T])["loss"]
    graph = gc.Graph(0)
    x, t = graph.input("x", ("batch", 4), "f64"), graph.input("t", ("batch", 1), "f64")
    z = gc.nn.dense(x, 1)
    model = gc.Model(x, z, t, gc.losses.sigmoid_cross_entropy(z, t))
    yes = (T == 1)[:, None]
    found = model.evaluate(X, yes, class_weight={1: 4.0})["loss"]
    assert found == model.evaluate(X, yes, sample_weight=np.where(T == 1, 4.0, 1.0))["loss"]
    with pytest.raises(gc.DataError, match="no whole numbers"):
        model.evaluate(X, yes * 0.5, class_weight={1: 4.0})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sample_weight": W[:-1]}, r"sample_weight: .*\(23,\), expected, not \(22,\)"),
        ({"sample_weight": W[:, None]}, r"not \(23, 1\)"),
        ({"sample_weight": np.where(np.arange(ROWS) == 4, -1, W)}, "that of row 4 is -1"),
        ({"sample_weight": np.where(np.arange(ROWS) == 2, np.nan, W)}, "that of row 2 is nan"),
        ({"sample_weight": np.full(ROWS, 1e300)}, "that of row 0 is 1e"),
        ({"sample_weight": ["a"] * ROWS}, "sample_weight: bools, integers or floats expected"),
        ({"class_weight": [1, 2, 3]}, "class_weight: weights by class expected"),
        ({"class_weight": {0: -1.0}}, "that of class 0 is -1"),
        ({"class_weight": {0: np.nan}}, "that of class 0 is nan"),
        ({"class_weight": {"a": 1.0}}, "class_weight: an integer expected"),
        ({"validation_data": (X, T, W[:3])}, "validation_data: sample_weight"),
    ],
)
def test_weights_that_do_not_fit_are_errors_before_the_first_step(given, message):
    model = classifier("f32")
    before = model.values()
    with pytest.raises(gc.DataError, match=message):
        model.fit(X, T, **given)
    for name, value in before.items():
        np.testing.assert_array_equal(model.values()[name], value)


# --- the loss that is derived ----------------------------------------------------------------


def weighted_value(declare, x=X, w=W):
    """The loss that `declare` makes of x, plain and weighted."""
    graph = gc.Graph(1)
    node = graph.input("x", ("batch", x.shape[1]), "f64")
    network = network_of(node, node, None, declare(node), None)
    weighted = network.weighted
    run = gc.function([node, weighted.row_weights], [network.loss, weighted.loss])
    return [float(value) for value in run(x, w)]


LINEAR = {
    "sum": (lambda x: gc.sum(x * x), lambda x, w: (w[:, None] * x * x).sum()),
    "one axis after the other": (
        lambda x: gc.mean(gc.mean(gc.exp(x), 0)),
        lambda x, w: (w[:, None] * np.exp(x)).mean(),
    ),
    "a mean of columns, weighted and summed": (
        lambda x: gc.sum(gc.mean(x, 0)[1:3] * np.array([2.0, -1.0])) / 4,
        lambda x, w: ((w[:, None] * x).mean(0)[1:3] * [2, -1]).sum() / 4,
    ),
    "two terms and a constant": (
        lambda x: 1 - (gc.mean(gc.abs(x)) - 3 * gc.sum(x[:, 0])) / 2,
        lambda x, w: 1 - ((w[:, None] * abs(x)).mean() - 3 * (w * x[:, 0]).sum()) / 2,
    ),
    "a reshaped sum": (
        lambda x: gc.mean(gc.reshape(gc.square(x), (-1,))),
        lambda x, w: (w[:, None] * x**2).mean(),
    ),
    "a cast": (
        lambda x: gc.cast(gc.mean(gc.cast(x, "f64") * 2), "f64"),
        lambda x, w: 2 * (w[:, None] * x).mean(),
    ),
    "columns put together": (
        lambda x: gc.sum(gc.concatenate([gc.mean(x, 0), gc.sum(x * x, 0)]) / 3),
        lambda x, w: ((w @ x) / len(x) + w @ (x * x)).sum() / 3,
    ),
    "a product of columns and numbers": (
        lambda x: gc.matmul(gc.reshape(gc.mean(x, 0), (1, 4)), np.ones((4, 1)))[0, 0],
        lambda x, w: (w @ x / len(x)).sum(),
    ),
    "rows that know of each other": (
        lambda x: gc.mean(gc.square(x - gc.mean(x, 0))),
        lambda x, w: (w[:, None] * (x - x.mean(0)) ** 2).mean(),
    ),
    "no row": (lambda x: gc.sum(x.graph.parameter("p", (3,), 2.0, "f64")), lambda x, w: 6.0),
}


@pytest.mark.parametrize("name", LINEAR)
def test_losses_that_are_linear_in_their_sums_over_the_rows(name):
    declare, expected = LINEAR[name]
    plain, weighted = weighted_value(declare)
    assert plain == pytest.approx(expected(X, np.ones(ROWS)))
    assert weighted == pytest.approx(expected(X, W))


REFUSED = {
    "a product of columns": (
        lambda x: gc.sum(
            gc.matmul(gc.reshape(gc.mean(x, 0), (1, 4)), gc.reshape(gc.sum(x, 0), (4, 1)))
        ),
        "matmul",
    ),
    "sqrt": (lambda x: gc.sqrt(gc.mean(x * x)), "sqrt"),
    "max over the batch": (lambda x: gc.max(gc.sum(x, 1)), "max"),
    "logsumexp over the batch": (lambda x: gc.logsumexp(x[:, 0], 0), "logsumexp"),
    "a product of means": (lambda x: gc.mean(x[:, 0]) * gc.mean(x[:, 1]), "multiply"),
    "divided by a mean": (lambda x: 1 / gc.mean(x * x), "divide|reciprocal"),
    "a product over the batch": (
        lambda x: gc.sum(gc.matmul(x, x, transpose_x=True)),
        r"matmul\(.*takes all rows together",
    ),
    "some rows": (lambda x: gc.sum(gc.take(x, [0])), "take.*takes all rows together"),
    "counted integers": (
        lambda x: gc.cast(gc.sum(gc.cast(x > 0, "i32")), "f64"),
        "cast",
    ),
    "pairs": (
        lambda x: gc.mean(gc.matmul(x, x, transpose_y=True)),
        "sum.*axes of batch, batch elements",
    ),
    "merged rows": (
        lambda x: gc.mean(gc.square(gc.reshape(x, (-1, 2)))),
        r"sum.*axes of 2\*batch elements",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_losses_are_refused_by_op_and_line(name):
    declare, message = REFUSED[name]
    graph = gc.Graph(1)
    x = graph.input("x", ("batch", 4), "f64")
    network = network_of(x, x, None, declare(x), None)
    with pytest.raises(gc.GraphError, match=message) as raised:
        _ = network.weighted
    assert "test_weights.py" in str(raised.value)
    assert set(graph.inputs) == {"x"}


def test_a_refused_loss_leaves_the_model_as_it_was():
    graph = gc.Graph(1)
    x, t = graph.input("x", ("batch", 4), "f64"), graph.input("t", ("batch", 1), "f64")
    y = gc.nn.dense(x, 1)
    model = gc.Model(x, y, t, gc.sqrt(gc.losses.mean_squared_error(y, t)))
    model.compile(gc.optim.Adam(0.1))
    with pytest.raises(gc.GraphError, match="sqrt"):
        model.fit(X, W[:, None], sample_weight=W)
    model.fit(X, W[:, None])
    assert set(graph.inputs) == {"x", "t"}
