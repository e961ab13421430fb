"""Estimators of networks that a function declares."""

import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn, the extra 'sklearn'")

from sklearn.base import clone
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import graphc as gc
from graphc.sklearn import GraphClassifier, GraphRegressor

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((90, 4))
RINGS = np.where((X[:, :2] ** 2).sum(axis=1) > 1.4, "outside", "inside")
THREE = np.array(["a", "b", "c"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)]


def network(x: gc.Node, outputs: int) -> gc.Node:
    return gc.nn.dense(gc.nn.dense(x, 16, gc.tanh), outputs)


def thinned(x: gc.Node, outputs: int) -> gc.Node:
    return gc.nn.dense(gc.dropout(gc.nn.dense(x, 16, gc.tanh), 0.2), outputs)


def classifier(**parameters: Any) -> GraphClassifier:
    shared = {"optimizer": gc.optim.Adam(0.02), "epochs": 60, "batch_size": 32, "random_state": 0}
    return GraphClassifier(**{"network": network} | shared | parameters)


@pytest.mark.parametrize(("dtype", "mode"), [("f32", "reference"), ("f64", "compiled")])
def test_two_classes_are_learnt(dtype: str, mode: str) -> None:
    estimator = classifier(dtype=dtype, mode=mode).fit(X, RINGS)
    assert estimator.score(X, RINGS) > 0.9
    assert estimator.out_activation_ == "logistic" and estimator.n_outputs_ == 1
    assert {str(value.dtype) for value in estimator.variables_.values()} == {
        {"f32": "float32", "f64": "float64"}[dtype]
    }
    np.testing.assert_allclose(estimator.predict_proba(X).sum(axis=1), 1, rtol=1e-6)


def test_modes_agree() -> None:
    values = [
        classifier(mode=mode, epochs=3).fit(X, THREE).variables_
        for mode in ("compiled", "reference")
    ]
    for name, value in values[0].items():
        np.testing.assert_allclose(value, values[1][name], rtol=0, atol=1e-12)


def test_steps_are_those_of_a_model() -> None:
    """The same network, with the same first values, trained by `gc.Model` on rows in order."""
    labels = np.searchsorted(["a", "b", "c"], THREE).astype(np.int32)
    estimator = classifier(shuffle=False, epochs=4, batch_size=30, mode="reference").fit(X, THREE)
    seed = int(np.random.RandomState(0).randint(2**31 - 1))
    graph = gc.Graph(seed)
    x, t = graph.input("x", ("batch", 4), "f64"), graph.input("t", ("batch",), "i32")
    scores = network(x, 3)
    model = gc.Model(x, scores, t, gc.losses.softmax_cross_entropy(scores, t))
    model.compile(gc.optim.Adam(0.02), mode="reference")
    history = model.fit(X, labels, epochs=4, batch_size=30, shuffle=False)
    for name, value in estimator.variables_.items():
        np.testing.assert_allclose(value, graph.variables[name], rtol=0, atol=1e-12)
    np.testing.assert_allclose(estimator.loss_curve_, history.history["loss"])


def test_dropout_is_for_training_alone() -> None:
    estimator = GraphClassifier(thinned, epochs=3, batch_size=32, random_state=0).fit(X, THREE)
    np.testing.assert_array_equal(estimator.predict_proba(X), estimator.predict_proba(X))
    again = clone(estimator).fit(X, THREE)
    np.testing.assert_array_equal(estimator.predict_proba(X), again.predict_proba(X))


def normalized(x: gc.Node, outputs: int) -> gc.Node:
    return gc.nn.Dense(outputs)(gc.nn.BatchNorm()(gc.nn.Dense(16, "relu")(x)))


def test_running_averages_are_learnt_and_kept() -> None:
    """Those of the best epoch: its score is that of the estimator at the end."""
    estimator = classifier(
        network=normalized, early_stopping=True, validation_fraction=0.3, mode="reference"
    ).fit(X, RINGS)
    running = [name for name in estimator.variables_ if "moving" in name]
    assert len(running) == 2
    best = estimator.best_validation_score_
    # Rows are held out as `fit` held them out.
    random = np.random.RandomState(0)
    random.randint(2**31 - 1)
    held = train_test_split(
        np.arange(90), test_size=0.3, random_state=random, stratify=RINGS == "outside"
    )[1]
    assert estimator.score(X[held], RINGS[held]) == best
    other = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(other.predict_proba(X), estimator.predict_proba(X))


def test_several_labels_and_several_numbers() -> None:
    labels = (X[:, :2] > 0).astype(int)
    several = classifier(mode="reference").fit(X, labels)
    assert several.predict(X).shape == (90, 2) and several.score(X, labels) > 0.9
    numbers = GraphRegressor(
        network, optimizer=gc.optim.Adam(0.05), epochs=150, random_state=0, mode="reference"
    )
    numbers.fit(X, X[:, :2] * 3)
    assert numbers.predict(X).shape == (90, 2) and numbers.score(X, X[:, :2] * 3) > 0.9


def test_weights_of_rows_count() -> None:
    weights = np.random.default_rng(1).integers(0, 3, len(X))
    whole = {"batch_size": "auto", "epochs": 5, "mode": "reference"}
    weighted = classifier(**whole).fit(X, THREE, weights)
    repeated = classifier(**whole).fit(X.repeat(weights, axis=0), THREE.repeat(weights))
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-9)


def test_early_stopping_keeps_the_best_weights() -> None:
    estimator = classifier(
        early_stopping=True, validation_fraction=0.3, n_iter_no_change=3, epochs=200
    ).fit(X, RINGS)
    assert estimator.n_iter_ < 200 and len(estimator.validation_scores_) == estimator.n_iter_
    assert estimator.best_validation_score_ == max(estimator.validation_scores_)


def test_all_epochs_are_run_otherwise() -> None:
    assert classifier(epochs=30, tol=100.0).fit(X, RINGS).n_iter_ == 30


def test_parts_continue_and_pickles_go_on() -> None:
    first = classifier()
    for part in (slice(0, 45), slice(45, 90)):
        first.partial_fit(X[part], RINGS[part], classes=["inside", "outside"])
    other = pickle.loads(pickle.dumps(first))
    for each in (first, other):
        each.partial_fit(X, RINGS)
    np.testing.assert_array_equal(first.predict_proba(X), other.predict_proba(X))


def test_it_stands_in_a_pipeline() -> None:
    pipeline = make_pipeline(StandardScaler(), classifier())
    assert pipeline.fit(X, RINGS).score(X, RINGS) > 0.9
    pipeline.set_params(graphclassifier__epochs=2).fit(X, RINGS)
    assert pipeline[-1].n_iter_ == 2


@pytest.mark.parametrize(
    ("parameters", "kind", "message"),
    [
        ({"network": 3}, TypeError, "network: a function of x and outputs"),
        ({"network": lambda x, outputs: 3}, TypeError, "network: scores .batch, 3. expected"),
        (
            {"network": lambda x, outputs: gc.nn.dense(x, outputs + 1)},
            gc.ShapeError,
            r"scores f64\[batch,3\] expected, not f64\[batch,4\]",
        ),
        ({"optimizer": "adam"}, TypeError, "an optimizer such as gc.optim.Adam"),
        ({"epochs": 0}, ValueError, "epochs: at least 1"),
    ],
)
def test_errors_name_what_was_expected(
    parameters: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        classifier().set_params(**parameters).fit(X, THREE)


def test_it_is_not_fitted_before_fit() -> None:
    with pytest.raises(AttributeError, match="not fitted"):
        _ = classifier().variables_
