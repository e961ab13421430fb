"""Losses and metrics against their definitions in numpy."""

import numpy as np
import pytest

import graphc as gc

ROWS, CLASSES = 6, 4
RNG = np.random.default_rng(3)
SCORES = RNG.normal(size=(ROWS, CLASSES)) * 3
LABELS = RNG.integers(0, CLASSES, ROWS)
ONE_HOT = np.eye(CLASSES)[LABELS]
SOFT = RNG.dirichlet(np.ones(CLASSES), ROWS)


def evaluate(build, *arrays, **options):
    """The value of `build(*inputs)` on arrays of any number of rows."""
    graph = gc.Graph()
    inputs = [
        graph.input(f"x{i}", ("batch", *array.shape[1:]), array.dtype)
        for i, array in enumerate(arrays)
    ]
    return gc.function(inputs, build(*inputs), **options)(*arrays)


def log_softmax(z):
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def hinge(z, t, margin):
    correct = z[np.arange(len(t)), t]
    terms = np.maximum(0, margin + z - correct[:, None])
    return sum(terms[:, j] * (t != j) for j in range(z.shape[1]))


CASES = {
    "index": (
        gc.losses.softmax_cross_entropy,
        (SCORES, LABELS),
        -log_softmax(SCORES)[np.arange(ROWS), LABELS],
    ),
    "one_hot": (
        gc.losses.softmax_cross_entropy,
        (SCORES, ONE_HOT),
        -log_softmax(SCORES)[np.arange(ROWS), LABELS],
    ),
    "soft": (
        gc.losses.softmax_cross_entropy,
        (SCORES, SOFT),
        -(SOFT * log_softmax(SCORES)).sum(-1),
    ),
    "sigmoid": (
        gc.losses.sigmoid_cross_entropy,
        (SCORES, SOFT),
        -SOFT * np.log(1 / (1 + np.exp(-SCORES)))
        - (1 - SOFT) * np.log(1 - 1 / (1 + np.exp(-SCORES))),
    ),
    "squared": (gc.losses.mean_squared_error, (SCORES, SOFT), (SCORES - SOFT) ** 2),
    "hinge": (
        lambda z, t, reduction: gc.losses.multiclass_hinge(z, t, 0.7, reduction),
        (SCORES, LABELS),
        hinge(SCORES, LABELS, 0.7),
    ),
}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("case", CASES)
def test_loss(case, reduction, mode):
    loss, arrays, each = CASES[case]
    expected = {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](each)
    value = evaluate(lambda z, t: loss(z, t, reduction=reduction), *arrays, mode=mode)
    assert value.shape == expected.shape
    np.testing.assert_allclose(value, expected, rtol=1e-12)


@pytest.mark.parametrize("labels", [LABELS, ONE_HOT])
def test_gradient_of_softmax_cross_entropy(labels, mode):
    probabilities = np.exp(log_softmax(SCORES))
    gradient = evaluate(
        lambda z, t: gc.grad(gc.losses.softmax_cross_entropy(z, t), z), SCORES, labels, mode=mode
    )
    np.testing.assert_allclose(gradient, (probabilities - ONE_HOT) / ROWS, atol=1e-14)


def test_losses_survive_large_scores(mode):
    huge = np.array([[1e4, -1e4, 0.0], [0.0, 0.0, 0.0]])
    labels = np.array([1, 2])
    value = evaluate(gc.losses.softmax_cross_entropy, huge, labels, mode=mode)
    assert value == pytest.approx((2e4 + np.log(3)) / 2)
    value = evaluate(gc.losses.sigmoid_cross_entropy, huge, np.ones_like(huge), mode=mode)
    assert value == pytest.approx((1e4 + 4 * np.log(2)) / 6)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses_of_sequences(case, reduction):
    """Rows [batch, time] have the losses of the same rows [batch]."""
    build, arrays, expected = CASES[case]
    folded = [array.reshape(2, ROWS // 2, *array.shape[1:]) for array in arrays]
    value = evaluate(lambda *xs: build(*xs, reduction=reduction), *folded, mode="reference")
    if reduction == "none":
        expected = expected.reshape(2, ROWS // 2, *expected.shape[1:])
    else:
        expected = getattr(np, reduction)(expected)
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)


METRICS = {
    "accuracy": (gc.metrics.accuracy, (SCORES, LABELS)),
    "accuracy of one-hot labels": (gc.metrics.accuracy, (SCORES, ONE_HOT)),
    "top_k": (lambda z, t: gc.metrics.top_k_accuracy(z, t, 2), (SCORES, LABELS)),
    "binary": (gc.metrics.binary_accuracy, (SCORES, ONE_HOT)),
    "absolute": (gc.metrics.mean_absolute_error, (SCORES, SOFT)),
}


@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_sequences(name):
    build, arrays = METRICS[name]
    folded = [array.reshape(2, ROWS // 2, *array.shape[1:]) for array in arrays]
    values = [evaluate(build, *each, mode="reference") for each in (arrays, folded)]
    assert values[0] == pytest.approx(values[1], rel=1e-14) and values[0] > 0


def test_penalties(mode):
    a, b = SCORES, SOFT
    value = evaluate(lambda x, y: gc.losses.l1([x, y], 0.5), a, b, mode=mode)
    assert value == pytest.approx(0.5 * (np.abs(a).sum() + b.sum()))
    value = evaluate(lambda x: gc.losses.l2(x, 0.5), a, mode=mode)
    assert value == pytest.approx(0.5 * (a**2).sum())
    value = evaluate(lambda *xs: gc.losses.l2(xs, 0.5), a, b, a + 1, b - 2, mode=mode)
    assert value == pytest.approx(0.5 * sum((x**2).sum() for x in (a, b, a + 1, b - 2)))
    with pytest.raises(ValueError, match="no parameters"):
        gc.losses.l2([], 0.5)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e39])
def test_strengths_and_margins_are_finite(number):
    graph = gc.Graph()
    w, t = graph.parameter("w", (4, 3)), graph.input("t", (4,), "i32")
    for judge in (
        lambda: gc.losses.l1(w, number),
        lambda: gc.losses.l2([w], number),
        lambda: gc.losses.multiclass_hinge(w, t, number),
    ):
        with pytest.raises(ValueError, match="a finite number of f32 expected"):
            judge()
    with pytest.raises(gc.GraphError, match="rate"):
        gc.dropout(w, number)


def test_unfitting_targets():
    graph = gc.Graph()
    z = graph.input("z", ("batch", 3))
    column = graph.input("column", ("batch", 1))
    wide = graph.input("wide", ("batch", 3), "f64")
    indices = graph.input("indices", (5,), "i32")
    with pytest.raises(gc.ShapeError, match=r"softmax_cross_entropy.*equal shapes"):
        gc.losses.softmax_cross_entropy(z, column)
    with pytest.raises(gc.ShapeError, match="equal shapes"):
        gc.losses.mean_squared_error(z, column)
    with pytest.raises(gc.DTypeError, match="targets of f32"):
        gc.losses.sigmoid_cross_entropy(z, wide)
    with pytest.raises(gc.ShapeError, match="pick"):
        gc.losses.multiclass_hinge(z, indices)
    with pytest.raises(gc.ShapeError, match="fixed classes"):
        gc.losses.multiclass_hinge(graph.input("open", ("batch", "classes")), indices)
    with pytest.raises(ValueError, match="reduction"):
        gc.losses.mean_squared_error(z, z, "median")


@pytest.mark.parametrize("labels", [LABELS, LABELS.astype("i4"), ONE_HOT])
def test_accuracy(labels, mode):
    expected = (SCORES.argmax(-1) == LABELS).mean()
    assert evaluate(gc.metrics.accuracy, SCORES, labels, mode=mode) == pytest.approx(expected)


def test_other_metrics(mode):
    order = np.argsort(-SCORES, -1)
    expected = np.mean([label in row[:2] for label, row in zip(LABELS, order, strict=True)])
    value = evaluate(lambda z, t: gc.metrics.top_k_accuracy(z, t, 2), SCORES, LABELS, mode=mode)
    assert value == pytest.approx(expected)
    value = evaluate(gc.metrics.binary_accuracy, SCORES, ONE_HOT, mode=mode)
    assert value == pytest.approx(((SCORES > 0) == (ONE_HOT > 0.5)).mean())
    value = evaluate(gc.metrics.mean_absolute_error, SCORES, SOFT, mode=mode)
    assert value == pytest.approx(np.abs(SCORES - SOFT).mean())


def test_accuracy_of_unfitting_labels():
    graph = gc.Graph()
    with pytest.raises(gc.ShapeError, match="accuracy"):
        gc.metrics.accuracy(graph.input("z", ("batch", 3)), graph.input("t", (1,), "i32"))


def test_confusion_matrix():
    matrix = gc.metrics.confusion_matrix([0, 0, 1, 2], [0, 1, 1, 0], 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    for labels, predictions in [([0], [3]), ([-1], [0]), ([0, 1], [0]), ([0.5], [0])]:
        with pytest.raises(gc.DataError):
            gc.metrics.confusion_matrix(labels, predictions, 3)
