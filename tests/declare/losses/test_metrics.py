"""Metrics of scores that are NaN, infinite or equal, against their definitions in numpy."""

import numpy as np
import pytest

import graphc as gc
from tests.declare.losses.test_losses import evaluate

ROWS = 48
MODES = [{"mode": "reference"}, {"fuse": False}, {}]
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 2.0, 1e-45])


def special_scores(classes, dtype):
    """Rows of special values; the first ones are all NaN, all equal, and infinite."""
    rng = np.random.default_rng(classes)
    weights = [0.06, 0.1, 0.12, 0.2, 0.1, 0.2, 0.17, 0.05]
    scores = rng.choice(SPECIAL, size=(ROWS, classes), p=weights).astype(dtype)
    scores[:4] = np.array([[np.nan], [1.0], [-np.inf], [np.inf]])
    return scores


def special_labels(classes, dtype):
    """Labels of all classes; those of the first rows are the class that an index of 0 names."""
    labels = np.random.default_rng(3).integers(0, classes, ROWS).astype(dtype)
    labels[:4] = 0
    return labels


def place(row, label):
    """How many classes stand before the label in the order that np.argmax begins."""
    first = [s != s or s > row[label] or (s == row[label] and j < label) for j, s in enumerate(row)]
    return sum(first[:label] + first[label + 1 :])


def among_first(scores, labels, k):
    found = [
        place(row, label) < k and not np.isnan(row[label])
        for row, label in zip(scores, labels, strict=True)
    ]
    return np.mean(found)


@pytest.mark.parametrize(
    ("classes", "dtype", "label_dtype"), [(2, "f8", "i4"), (7, "f4", "u1"), (17, "f4", "i8")]
)
def test_special_scores(classes, dtype, label_dtype):
    scores, labels = special_scores(classes, dtype), special_labels(classes, label_dtype)
    is_right = (scores.argmax(-1) == labels) & ~np.isnan(scores).any(-1)
    for options in MODES:
        value = evaluate(gc.metrics.accuracy, scores, labels, **options)
        assert value == pytest.approx(is_right.mean()) and value.dtype == dtype
        one_hot = np.eye(classes, dtype=dtype)[labels]
        assert evaluate(gc.metrics.accuracy, scores, one_hot, **options) == value
        for k in (1, 2, 100):
            value = evaluate(
                lambda z, t, k=k: gc.metrics.top_k_accuracy(z, t, k), scores, labels, **options
            )
            assert value == pytest.approx(among_first(scores, labels, k))


def test_the_first_of_one_is_what_argmax_finds():
    """Top-1 and accuracy are the same metric."""
    scores, labels = special_scores(5, "f4"), special_labels(5, "i4")
    values = [
        evaluate(metric, scores, labels, mode="reference")
        for metric in (gc.metrics.accuracy, lambda z, t: gc.metrics.top_k_accuracy(z, t, 1))
    ]
    assert values[0] == values[1] and 0 < values[0] < 1


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_binary_accuracy_of_special_logits(dtype):
    logits = np.repeat(SPECIAL, 3).astype(dtype)
    targets = np.tile(np.array([0.0, 1.0, np.nan]), len(SPECIAL)).astype(dtype)
    is_known = ~np.isnan(logits) & ~np.isnan(targets)
    is_right = ((logits > 0) == (targets > 0.5)) & is_known
    for options in MODES:
        value = evaluate(gc.metrics.binary_accuracy, logits, targets, **options)
        assert value == pytest.approx(is_right.mean())
        for labels in (np.isfinite(targets) & (targets > 0), (targets > 0).astype("u1")):
            expected = ((logits > 0) == labels.astype(bool)) & ~np.isnan(logits)
            value = evaluate(gc.metrics.binary_accuracy, logits, labels, **options)
            assert value == pytest.approx(expected.mean())


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_target_of_one_half_says_no(dtype, mode):
    half = np.array(0.5, dtype)
    targets = np.array([np.nextafter(half, half * 0), half, np.nextafter(half, half * 2)])
    for sign, right in ((1, 1 / 3), (-1, 2 / 3)):
        logits = np.full(3, sign, dtype)
        value = evaluate(gc.metrics.binary_accuracy, logits, targets, mode=mode)
        assert value == pytest.approx(right)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i8"])
def test_confusion_of_more_classes_than_a_square_root(dtype):
    """Numbers of cells are beyond what the labels' own dtype holds."""
    labels = np.arange(100).astype(dtype)
    predictions = np.roll(labels, 1)
    matrix = gc.metrics.confusion_matrix(labels, predictions, 100)
    np.testing.assert_array_equal(matrix, np.roll(np.eye(100, dtype=int), -1, axis=1))


def test_soft_labels_that_are_nan_are_not_met(mode):
    scores, labels = np.array([[2.0, 1.0]] * 2), np.array([[np.nan, 0.0], [1.0, 0.0]])
    assert evaluate(gc.metrics.accuracy, scores, labels, mode=mode) == 0.5


def test_an_error_that_is_nan_stays_nan(mode):
    predictions, targets = np.array([1.0, np.nan]), np.zeros(2)
    assert np.isnan(evaluate(gc.metrics.mean_absolute_error, predictions, targets, mode=mode))


def scores_and_labels(classes):
    graph = gc.Graph()
    return graph.input("z", ("batch", 4, classes)), graph.input("t", ("batch", 4), "u8")


@pytest.mark.parametrize(
    ("judge", "binary"),
    [
        (gc.losses.softmax_cross_entropy, "sigmoid_cross_entropy"),
        (gc.losses.multiclass_hinge, "sigmoid_cross_entropy"),
        (gc.metrics.accuracy, "binary_accuracy"),
        (gc.metrics.top_k_accuracy, "binary_accuracy"),
    ],
)
def test_a_single_class_is_refused(judge, binary):
    judge(*scores_and_labels(2))
    scores, labels = scores_and_labels(1)
    with pytest.raises(gc.ShapeError, match=f"a single class is always right; {binary}"):
        judge(scores, labels)
    if judge in (gc.losses.softmax_cross_entropy, gc.metrics.accuracy):
        with pytest.raises(gc.ShapeError, match="a single class"):
            judge(scores, gc.cast(gc.expand_dims(labels, -1), "f32"))


def test_what_does_not_fit_is_not_broadcast():
    graph = gc.Graph()
    row, column = graph.input("row", ("batch",)), graph.input("column", ("batch", 1))
    scores, labels = graph.input("z", ("batch", 3)), graph.input("t", ("batch",), "i32")
    for metric, operands in [
        (gc.metrics.mean_absolute_error, (row, column)),
        (gc.metrics.binary_accuracy, (row, column)),
        (gc.metrics.accuracy, (scores, column)),
        (gc.metrics.accuracy, (scores, row)),
        (gc.metrics.accuracy, (scores, gc.expand_dims(labels, -1))),
        (gc.metrics.top_k_accuracy, (scores, gc.expand_dims(labels, -1))),
    ]:
        with pytest.raises(gc.ShapeError):
            metric(*operands)
    for metric in (gc.metrics.accuracy, gc.metrics.top_k_accuracy, gc.metrics.binary_accuracy):
        with pytest.raises(gc.DTypeError, match="scores of f32 or f64"):
            metric(labels, labels)
    for k, error in [(0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError)]:
        with pytest.raises(error, match="top_k_accuracy"):
            gc.metrics.top_k_accuracy(scores, labels, k)
