"""What a model may be made of, several inputs and outputs, and the classes that it predicts."""

import numpy as np
import pytest

import graphc as gc

POINTS = (4 * np.random.default_rng(11).normal(size=(45, 2))).astype("f4")


def two_by_two():
    """Two inputs, two targets, two outputs."""
    graph = gc.Graph()
    a, b = graph.input("a", ("batch", 2)), graph.input("b", ("batch", 3))
    s, t = graph.input("s", ("batch", 1)), graph.input("t", ("batch", 1))
    y, z = gc.nn.dense(a, 1), gc.nn.dense(gc.concatenate([a, b], 1), 1)
    loss = gc.losses.mean_squared_error(y, s) + gc.losses.mean_squared_error(z, t)
    return [a, b], {"y": y, "z": z}, [s, t], loss


@pytest.mark.parametrize("as_mapping", [True, False])
def test_several_inputs_outputs_and_targets(mode, as_mapping):
    model = gc.Model(*two_by_two())
    model.compile(gc.optim.SGD(0.1), mode=mode)
    x = [np.ones((5, 2)), np.ones((5, 3))]
    y = [np.ones((5, 1)), -np.ones((5, 1))]
    if as_mapping:
        x, y = dict(zip("ab", x, strict=True)), dict(zip("ts", y[::-1], strict=True))
    first = model.fit(x, y, batch_size=2).history["loss"][0]
    assert model.evaluate(x, y)["loss"] < first
    outputs = model.predict(x, batch_size=2)
    assert list(outputs) == ["y", "z"] and outputs["z"].shape == (5, 1)
    with pytest.raises(gc.GraphError, match="single output"):
        model.predict_classes(x)


def written_cross_entropy(z, t):
    p = 1 / (1 + gc.exp(-z))
    return -gc.mean(t * gc.log(p) + (1 - t) * gc.log(1 - p))


def yes_or_no(shape, output, loss):
    """One logit a row, or its sigmoid, for whether the first coordinate is positive."""
    graph = gc.Graph(1)
    x, t = graph.input("x", ("batch", 2)), graph.input("t", shape)
    hidden = gc.dropout(gc.nn.dense(x, 4, gc.tanh), 0.5)
    z = gc.reshape(gc.nn.dense(hidden, 1), shape)
    return gc.Model(x, output(z), t, loss(z, t))


@pytest.mark.parametrize("shape", [("batch",), ("batch", 1), ("batch", 1, 1)])
@pytest.mark.parametrize(
    ("output", "threshold"),
    [(lambda z: z, 0), (gc.sigmoid, 0.5), (lambda z: 1 / (1 + gc.exp(-z)), 0.5)],
)
@pytest.mark.parametrize("loss", [gc.losses.sigmoid_cross_entropy, written_cross_entropy])
def test_classes_of_one_logit(mode, shape, output, threshold, loss):
    model = yes_or_no(shape, output, loss)
    model.compile(mode=mode)
    classes = model.predict_classes(POINTS, batch_size=20)
    assert classes.dtype == np.int64 and classes.shape == (45, 1)[: max(len(shape) - 1, 1)]
    expected = model.predict(POINTS).reshape(classes.shape) > threshold
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(classes, expected)
    # Of two equal scores the first counts as the greatest.
    model.variables.update({"dense_1.kernel": np.zeros((4, 1)), "dense_1.bias": [0.0]})
    assert not model.predict_classes(POINTS).any()


@pytest.mark.parametrize("shape", [("batch",), ("batch", 1)])
def test_one_number_a_row_is_no_class_under_another_loss(shape):
    for loss in (
        gc.losses.mean_squared_error,
        lambda z, t: gc.losses.sigmoid_cross_entropy(z + 1, t),
        lambda z, t: None,
    ):
        model = yes_or_no(shape, lambda z: z, loss)
        model.compile(mode="reference")
        with pytest.raises(gc.GraphError, match=r"predict_classes: .*sigmoid_cross_entropy"):
            model.predict_classes(POINTS)


def test_wrong_declarations():
    inputs, outputs, targets, loss = two_by_two()
    a = inputs[0]
    graph = a.graph
    other = gc.Graph()
    for arguments, message in [
        (([outputs["y"]], outputs, targets, loss), "must be inputs"),
        (([], outputs, targets, loss), "must be inputs"),
        (([a], outputs, targets, loss), "reads the input 'b'"),
        ((inputs, outputs, targets[:1], loss), "reads the input 't'"),
        ((inputs, outputs, targets, outputs["y"]), "loss: a float scalar"),
        ((inputs, outputs, targets, loss, {"m": outputs["y"]}), "m: a float scalar"),
        ((graph.input("fixed", (5, 2)), []), "named first dimension"),
        ((other.input("x", ("batch",)), [a]), "reads the input 'a'"),
    ]:
        with pytest.raises(gc.GraphError, match=message):
            gc.Model(*arguments)


@pytest.mark.parametrize(
    "name",
    ["loss", "epoch", "is_finite", "val_loss", "val_", "dense/activation", "a/dead", "", "a\nb", 3],
)
def test_names_that_a_metric_cannot_have(name):
    inputs, outputs, targets, loss = two_by_two()
    with pytest.raises(gc.GraphError, match=r"a metric (cannot be|is) named"):
        gc.Model(inputs, outputs, targets, loss, {name: loss})
