"""Losses against their definitions in numpy: values, gradients, reductions, weights, refusals."""

import numpy as np
import pytest

import graphc as gc
from tests.declare.losses.loss_cases import (
    BITS,
    CASES,
    CLASSES,
    COUNTED,
    IGNORED,
    LABELS,
    RNG,
    ROWS,
    WEIGHTS,
    WHOLE,
    Z,
    inputs_of,
    losses,
)

STEP = 1e-5


def test_values_gradients_and_reductions(mode):
    """All cases in one program; gradients against differences of the definition. What a mean is
    made into, kernels of other losses have shown."""
    reductions = {"none": np.asarray, "mean": np.mean, "sum": np.sum}
    if mode == "compiled":
        reductions = {"none": np.asarray}
    graph, inputs, given, outputs = gc.Graph(), [], [], {}
    for case, (loss, arrays, _) in CASES.items():
        own = inputs_of(graph, case, arrays)
        inputs += own
        given += arrays
        for reduction in reductions:
            outputs[case, reduction] = loss(*own, reduction=reduction)
        outputs[case, "gradient"] = gc.grad(loss(*own), own[0])
    found = dict(
        zip(outputs, gc.function(inputs, list(outputs.values()), mode=mode)(*given), strict=True)
    )
    for case, (_, arrays, each) in CASES.items():
        expected = each(*arrays)
        for reduction, apply in reductions.items():
            np.testing.assert_allclose(
                found[case, reduction], apply(expected), rtol=1e-11, atol=1e-13, err_msg=case
            )
        direction = RNG.normal(size=arrays[0].shape)
        ahead, behind = (
            each(arrays[0] + sign * STEP * direction, *arrays[1:]).mean() for sign in (1, -1)
        )
        slope = (found[case, "gradient"] * direction).sum()
        assert slope == pytest.approx((ahead - behind) / (2 * STEP), rel=1e-6, abs=1e-9), case


def test_second_derivatives():
    """Along a direction, against differences of the gradients."""
    graph, inputs, given, gradients, products = gc.Graph(), [], [], [], []
    directions = {}
    for case, (loss, arrays, _) in CASES.items():
        own = inputs_of(graph, case, arrays)
        inputs += own
        given += arrays
        directions[len(given) - len(arrays)] = direction = RNG.normal(size=arrays[0].shape)
        along = graph.input(f"{case} direction", own[0].shape, "f64")
        gradients.append(gc.grad(loss(*own), own[0]))
        # Of a loss that is linear the gradient does not depend on what it is taken by.
        product = gc.sum(gradients[-1] * along) + 0 * gc.sum(own[0])
        products.append((product, own[0], along, direction))
    slopes = gc.function(inputs, gradients, mode="reference")
    second = gc.function(
        [*inputs, *(along for _, _, along, _ in products)],
        [gc.grad(product, x) for product, x, _, _ in products],
        mode="reference",
    )
    found = second(*given, *(direction for _, _, _, direction in products))
    ahead, behind = (
        slopes(
            *(
                x + sign * STEP * directions[k] if k in directions else x
                for k, x in enumerate(given)
            )
        )
        for sign in (1, -1)
    )
    for case, product, after, before in zip(CASES, found, ahead, behind, strict=True):
        expected = (after - before) / (2 * STEP)
        np.testing.assert_allclose(product, expected, rtol=1e-5, atol=1e-7, err_msg=case)


def test_ignored_labels_are_as_if_they_were_not_there(mode):
    graph, inputs, given, outputs = gc.Graph(), [], [], {}
    for case, (loss, (z, t)) in COUNTED.items():
        own = inputs_of(graph, case, (z, t))
        inputs += own
        given += [z, t]
        for reduction in ("none", "mean", "sum"):
            outputs[case, reduction] = loss(*own, reduction=reduction, ignore_index=-1)
        outputs[case, "gradient"] = gc.grad(outputs[case, "mean"], own[0])
    found = dict(
        zip(outputs, gc.function(inputs, list(outputs.values()), mode=mode)(*given), strict=True)
    )
    rest = IGNORED >= 0
    for case, (loss, (z, t)) in COUNTED.items():
        graph = gc.Graph()
        own = inputs_of(graph, case, (z[rest], t[rest]))
        value, each = loss(*own), loss(*own, reduction="none")
        step = gc.function(own, [value, each, gc.grad(value, own[0])], mode="reference")
        mean, losses_of_rest, gradient = step(z[rest], t[rest])
        np.testing.assert_allclose(found[case, "mean"], mean, rtol=1e-12)
        np.testing.assert_allclose(found[case, "sum"], losses_of_rest.sum(), rtol=1e-12)
        np.testing.assert_allclose(found[case, "none"][rest], losses_of_rest, rtol=1e-12)
        np.testing.assert_allclose(found[case, "gradient"][rest], gradient, atol=1e-14)
        assert not found[case, "none"][~rest].any() and not found[case, "gradient"][~rest].any()


def test_gamma_0_is_the_cross_entropy():
    graph = gc.Graph()
    z, t, labels = inputs_of(graph, "gamma", (Z, BITS, LABELS))
    pairs = [
        losses.sigmoid_focal_cross_entropy(z, t, 0.0, reduction="none"),
        losses.sigmoid_cross_entropy(z, t, "none"),
        losses.softmax_focal_cross_entropy(z, labels, 0.0, "none"),
        losses.softmax_cross_entropy(z, labels, "none"),
    ]
    found = gc.function([z, t, labels], pairs, mode="reference")(Z, BITS, LABELS)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[3])


def rows_model(case, loss, arrays):
    """A model that puts the first array times a weight of 1 out."""
    graph = gc.Graph()
    own = inputs_of(graph, case, arrays)
    scores = own[0] * graph.parameter("w", (), 1.0, "f64")
    return gc.Model(own[0], scores, own[1:], loss(scores, *own[1:]))


@pytest.mark.parametrize("case", [case for case in CASES if case not in WHOLE])
def test_rows_have_weights(case):
    loss, arrays, each = CASES[case]
    model = rows_model(case, loss, arrays)
    model.compile(mode="reference")
    weights = np.arange(ROWS) / 3
    targets = arrays[1] if len(arrays) == 2 else list(arrays[1:])
    found = model.evaluate(arrays[0], targets, sample_weight=weights, batch_size=ROWS)
    rows = each(*arrays).reshape(ROWS, -1).mean(-1)
    assert found["loss"] == pytest.approx((weights * rows).sum() / ROWS, rel=1e-9)


def test_a_mean_over_counted_rows_has_no_weights():
    loss, arrays = COUNTED["ignored labels"]
    model = rows_model("ignored", lambda *xs: loss(*xs, ignore_index=-1), arrays)
    model.compile(mode="reference")
    with pytest.raises(gc.GraphError, match="the rows of this loss have no weights: divide"):
        model.evaluate(arrays[0], arrays[1], sample_weight=np.ones(ROWS))


def test_class_weights_are_those_of_a_fit():
    graph = gc.Graph()
    z, t = inputs_of(graph, "fit", (Z, LABELS))
    scores = z * graph.parameter("w", (), 1.0, "f64")
    by_class = dict(enumerate(WEIGHTS))
    plain = gc.Model(z, scores, t, losses.softmax_cross_entropy(scores, t))
    weighing = gc.Model(
        z, scores, t, losses.softmax_cross_entropy(scores, t, class_weight=by_class)
    )
    for model in (plain, weighing):
        model.compile(mode="reference")
    found = plain.evaluate(Z, LABELS, class_weight=by_class)["loss"]
    assert found == pytest.approx(weighing.evaluate(Z, LABELS)["loss"], rel=1e-12)


@pytest.mark.parametrize(
    "loss",
    [
        losses.hinge,
        losses.binary_hinge,
        losses.sigmoid_focal_cross_entropy,
        lambda z, t: losses.sigmoid_cross_entropy(z, t, pos_weight=2.0, label_smoothing=0.1),
        lambda z, t: gc.sum(losses.hinge(z, 2 * t - 1, "none")) + 0.1 * gc.sum(gc.square(z)),
    ],
)
@pytest.mark.parametrize("shape", [("batch",), ("batch", 1)])
def test_losses_of_yes_or_no_say_what_a_logit_means(loss, shape):
    graph = gc.Graph()
    x, t = graph.input("x", shape), graph.input("t", shape)
    logit = x * graph.parameter("w", (), 2.0)
    model = gc.Model(x, logit, t, loss(logit, t))
    model.compile(mode="reference")
    points = np.array([-1.0, 0.0, 0.5, 3.0], "f4").reshape(-1, *(1,) * (len(shape) - 1))
    assert model.predict_classes(points).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_ignoring_no_label_changes_no_bit(dtype):
    """The number of those that count is a count, and the mean a quotient by it."""
    graph = gc.Graph()
    z, t = graph.input("z", Z.shape, dtype), graph.input("t", LABELS.shape, "i32")
    pairs = [
        (loss(z, t), loss(z, t, ignore_index=-1))
        for loss in (losses.softmax_cross_entropy, losses.softmax_focal_cross_entropy)
    ]
    found = gc.function([z, t], [each for pair in pairs for each in pair], mode="reference")
    whole, without, focal, focal_without = found(Z.astype(z.dtype.numpy), LABELS)
    assert whole == without
    assert focal == focal_without


def test_where_all_labels_are_ignored_nothing_is_lost(mode):
    graph, inputs, given, outputs = gc.Graph(), [], [], []
    for case, (loss, (z, t)) in COUNTED.items():
        own = inputs_of(graph, case, (z, t))
        inputs += own
        given += [z, np.full_like(t, -1)]
        value = loss(*own, ignore_index=-1)
        outputs += [value, gc.grad(value, own[0])]
    for found in gc.function(inputs, outputs, mode=mode)(*given):
        np.testing.assert_array_equal(found, np.zeros_like(found))


def test_labels_that_are_neither_in_range_nor_ignored(mode):
    graph = gc.Graph()
    z, t = inputs_of(graph, "range", (Z, LABELS))
    loss = losses.softmax_cross_entropy(z, t, ignore_index=-1)
    run = gc.function([z, t], loss, mode=mode)
    run(Z, IGNORED)
    for wrong in (-2, CLASSES):
        labels = IGNORED.copy()
        labels[3] = wrong
        with pytest.raises(IndexError):
            run(Z, labels)


def test_what_does_not_fit():
    graph = gc.Graph()
    z, labels = graph.input("z", ("batch", 3)), graph.input("labels", ("batch",), "i32")
    column, signs = graph.input("column", ("batch", 1)), graph.input("signs", ("batch",))
    wide, open_ = graph.input("wide", ("batch", 3), "f64"), graph.input("open", ("batch", "n"))
    for make, error, message in [
        (lambda: losses.huber(z, column), gc.ShapeError, r"huber\(.*equal shapes"),
        (lambda: losses.gaussian_nll(z, z, column), gc.ShapeError, "gaussian_nll.*equal shapes"),
        (lambda: losses.triplet_margin(z, z, wide), gc.DTypeError, "triplet_margin.*of f32"),
        (lambda: losses.log_cosh(labels, labels), gc.DTypeError, "f32 or f64 expected first"),
        (lambda: losses.cosine_similarity(column, column), gc.ShapeError, "several elements"),
        (lambda: losses.info_nce(column, column), gc.ShapeError, "several elements"),
        (lambda: losses.info_nce(signs, signs), gc.ShapeError, r"\[batch, dimensions\]"),
        (lambda: losses.cosine_embedding(z, z, column), gc.ShapeError, r"shape \[batch\] expected"),
        (lambda: losses.cosine_embedding(z, z, labels), gc.DTypeError, "targets of f32"),
        (lambda: losses.kl_divergence(column, column), gc.ShapeError, "a single class"),
        (lambda: losses.softmax_focal_cross_entropy(column, labels), gc.ShapeError, "sigmoid_foc"),
        (lambda: losses.negative_log_likelihood(column, labels), gc.ShapeError, "a single class"),
        (lambda: losses.negative_log_likelihood(z, z), gc.DTypeError, "integer labels"),
        (lambda: losses.softmax_cross_entropy(z, z, ignore_index=1), gc.DTypeError, "class index"),
        (lambda: losses.softmax_cross_entropy(z, labels, ignore_index=1.0), TypeError, "integer"),
        (lambda: weighted(z, labels, [1.0, 2.0]), gc.ShapeError, "each of 3 classes.*not 2"),
        (lambda: weighted(z, labels, [1.0, -2.0, 1.0]), ValueError, "at least 0"),
        (lambda: weighted(z, labels, {3: 1.0}), ValueError, "no class 3 of 3"),
        (lambda: weighted(z, labels, {0: "a"}), TypeError, "a number expected"),
        (lambda: weighted(open_, labels, [1.0, 2.0]), gc.ShapeError, "fixed classes"),
        (lambda: weighted(wide, labels, signs), gc.ShapeError, r"f64\[3\] expected"),
        (lambda: losses.softmax_cross_entropy(z, labels, label_smoothing=1.5), ValueError, "most"),
        (lambda: losses.sigmoid_cross_entropy(z, z, pos_weight=-1), ValueError, "at least 0"),
        (lambda: losses.sigmoid_focal_cross_entropy(z, z, -1.0), ValueError, "gamma"),
        (lambda: losses.sigmoid_focal_cross_entropy(z, z, alpha=2), ValueError, "alpha"),
        (lambda: losses.huber(z, z, 0.0), ValueError, "above 0"),
        (lambda: losses.gaussian_nll(z, z, z, epsilon=0), ValueError, "above 0"),
        (lambda: losses.info_nce(z, z, 0), ValueError, "above 0"),
        (lambda: losses.triplet_margin(z, z, z, p=0.5), ValueError, "at least 1"),
        (lambda: losses.hinge(z, z, "median"), ValueError, "reduction"),
    ]:
        with pytest.raises(error, match=message):
            make()


def weighted(scores, labels, weights):
    return losses.softmax_cross_entropy(scores, labels, class_weight=weights)
