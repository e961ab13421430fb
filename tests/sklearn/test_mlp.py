"""Multi-layer perceptrons beside scikit-learn's own, which take the same steps."""

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn, the extra 'sklearn'")

from scipy import sparse
from sklearn import neural_network
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

from graphc.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROWS, FEATURES = 83, 6
# 83 rows are two batches and an uneven third.
SHARED = {
    "hidden_layer_sizes": (8,), "batch_size": 32, "max_iter": 6, "random_state": 3,
    "learning_rate_init": 0.01,
}  # fmt: skip

RANDOM = np.random.default_rng(0)
X = RANDOM.standard_normal((ROWS, FEATURES))
CLASSES = np.array(["a", "b", "c"])[(X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)]
BINARY = np.where(X[:, 0] + X[:, 1] > 0, "yes", "no")
LABELS = (X[:, :3] > 0).astype(int)
NUMBERS = X[:, 0] - 2 * X[:, 1] ** 2
COUNTS = np.floor(np.exp(X[:, :1])).ravel()
WEIGHTS = RANDOM.integers(0, 4, ROWS).astype(float)

# Run in numpy, which computes the same as what is compiled and need not be compiled.
REFERENCE = {"mode": "reference"}
# These are compiled, the others are other rules for the same steps.
COMPILED = ("classes", "in order")

# Ours, scikit-learn's, y, and parameters of both.
CASES: dict[str, tuple[type, type, Any, dict[str, Any]]] = {
    "classes": (MLPClassifier, neural_network.MLPClassifier, CLASSES, {}),
    "binary": (MLPClassifier, neural_network.MLPClassifier, BINARY, {"activation": "tanh"}),
    "multilabel": (MLPClassifier, neural_network.MLPClassifier, LABELS, {"alpha": 0.1}),
    "momentum": (
        MLPClassifier, neural_network.MLPClassifier, CLASSES,
        {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.1},
    ),
    "adaptive": (
        MLPClassifier, neural_network.MLPClassifier, CLASSES,
        {"solver": "sgd", "learning_rate": "adaptive", "nesterovs_momentum": False, "tol": 1.0,
         "n_iter_no_change": 1, "momentum": 0.5},
    ),
    "in order": (MLPClassifier, neural_network.MLPClassifier, CLASSES, {"shuffle": False}),
    "two layers": (
        MLPClassifier, neural_network.MLPClassifier, CLASSES,
        {"activation": "logistic", "hidden_layer_sizes": (8, 4)},
    ),
    "early stopping": (
        MLPClassifier, neural_network.MLPClassifier, CLASSES,
        {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 12},
    ),
    "early stopping, two classes": (
        MLPClassifier, neural_network.MLPClassifier, BINARY,
        {"early_stopping": True, "validation_fraction": 0.3, "activation": "tanh"},
    ),
    "numbers": (MLPRegressor, neural_network.MLPRegressor, NUMBERS, {"activation": "identity"}),
    "several numbers": (MLPRegressor, neural_network.MLPRegressor, X[:, :2] ** 2, {}),
}  # fmt: skip


def assert_same_weights(ours: Any, theirs: Any, tolerance: float = 1e-10) -> None:
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["unweighted", "weighted"])
def test_steps_are_those_of_scikit_learn(case: str, weights: Any) -> None:
    ours, theirs, y, parameters = CASES[case]
    mode = {} if case in COMPILED else REFERENCE
    mine = ours(**SHARED | parameters | mode).fit(X, y, weights)
    other = theirs(**SHARED | parameters).fit(X, y, weights)
    assert_same_weights(mine, other)
    assert mine.n_iter_ == other.n_iter_
    assert mine.out_activation_ == other.out_activation_
    assert mine.n_outputs_ == other.n_outputs_ and mine.n_layers_ == other.n_layers_
    if ours is MLPClassifier:
        np.testing.assert_array_equal(mine.predict(X), other.predict(X))
    else:
        np.testing.assert_allclose(mine.predict(X), other.predict(X))
    if case != "several numbers":  # scikit-learn reports the mean of several losses there
        np.testing.assert_allclose(mine.loss_curve_, other.loss_curve_)
    if hasattr(mine, "predict_proba"):
        np.testing.assert_allclose(mine.predict_proba(X), other.predict_proba(X))
        np.testing.assert_allclose(mine.predict_log_proba(X), other.predict_log_proba(X))
    assert mine.validation_scores_ == other.validation_scores_


def test_steps_in_f32_are_those_of_scikit_learn() -> None:
    narrow = X.astype(np.float32)
    ours = MLPClassifier(**SHARED).fit(narrow, CLASSES)
    theirs = neural_network.MLPClassifier(**SHARED).fit(narrow, CLASSES)
    assert {each.dtype for each in ours.coefs_} == {np.dtype(np.float32)}
    assert_same_weights(ours, theirs, 1e-5)
    chosen = MLPClassifier(**SHARED, dtype="f32").fit(X, CLASSES)
    assert_same_weights(chosen, ours, 0)


def test_reference_mode_takes_the_same_steps() -> None:
    ours = MLPClassifier(**SHARED, **REFERENCE).fit(X, CLASSES)
    assert_same_weights(ours, neural_network.MLPClassifier(**SHARED).fit(X, CLASSES))


@pytest.mark.skipif(
    "loss" not in neural_network.MLPRegressor().get_params(), reason="scikit-learn below 1.7"
)
def test_poisson_is_that_of_scikit_learn() -> None:
    ours = MLPRegressor(**SHARED, **REFERENCE, loss="poisson").fit(X, COUNTS)
    theirs = neural_network.MLPRegressor(**SHARED, loss="poisson").fit(X, COUNTS)
    assert_same_weights(ours, theirs)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_)
    assert (ours.predict(X) > 0).all()
    with pytest.raises(ValueError, match="nowhere negative"):
        MLPRegressor(loss="poisson").fit(X, -COUNTS)


@pytest.mark.parametrize(
    ("y", "mode"), [(CLASSES, "compiled"), (BINARY, "reference")], ids=["classes", "binary"]
)
def test_lbfgs_ends_where_that_of_scikit_learn_does(y: Any, mode: str) -> None:
    parameters = SHARED | {"solver": "lbfgs", "max_iter": 300, "alpha": 1.0, "activation": "tanh"}
    ours = MLPClassifier(**parameters, mode=mode).fit(X, y)
    theirs = neural_network.MLPClassifier(**parameters).fit(X, y)
    assert abs(ours.loss_ - theirs.loss_) < 1e-6
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-2)
    assert not hasattr(ours, "partial_fit")
    with pytest.warns(ConvergenceWarning, match="lbfgs failed to converge"):
        MLPClassifier(**parameters | {"max_iter": 2}, mode=mode).fit(X, y)


def test_a_batch_at_a_time() -> None:
    ours, theirs = MLPClassifier(**SHARED), neural_network.MLPClassifier(**SHARED)
    first = np.flatnonzero(CLASSES != "b")[:40]
    for part in (first, slice(40, 80), slice(10, 50)):
        for each in (ours, theirs):
            each.partial_fit(X[part], CLASSES[part], classes=["a", "b", "c"])
    assert_same_weights(ours, theirs)
    assert ours.t_ == theirs.t_ == 120
    with pytest.raises(ValueError, match="classes not in"):
        ours.partial_fit(X, np.full(ROWS, "d"))
    with pytest.raises(ValueError, match="is not the same as on last call"):
        ours.partial_fit(X, CLASSES, classes=["a", "b"])
    with pytest.raises(ValueError, match="classes must be passed"):
        MLPClassifier().partial_fit(X, CLASSES)
    with pytest.raises(ValueError, match="early_stopping"):
        ours.set_params(early_stopping=True).partial_fit(X, CLASSES)


def test_a_warm_start_goes_on() -> None:
    parameters = SHARED | {"warm_start": True}
    ours, theirs = MLPClassifier(**parameters), neural_network.MLPClassifier(**parameters)
    for rate in (0.01, 0.03):
        for each in (ours, theirs):
            each.set_params(learning_rate_init=rate).fit(X, CLASSES)
    assert_same_weights(ours, theirs)
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_)
    assert len(ours.loss_curve_) == 12


@pytest.mark.parametrize("keep", [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy])
def test_a_copy_goes_on_as_the_original(keep: Any) -> None:
    first = MLPClassifier(**SHARED).fit(X, CLASSES)
    other = keep(first)
    np.testing.assert_array_equal(first.predict_proba(X), other.predict_proba(X))
    for each in (first, other):
        each.set_params(random_state=1).partial_fit(X, CLASSES)
    assert_same_weights(first, other, 0)


def test_clones_know_nothing_and_take_the_same_steps() -> None:
    first = MLPClassifier(**SHARED, threads=1).fit(X, CLASSES)
    again = clone(first)
    assert again.get_params() == first.get_params() and not hasattr(again, "coefs_")
    assert_same_weights(again.fit(X, CLASSES), first, 0)
    # Nor does an estimator that is fitted once more know what it was.
    assert_same_weights(again.fit(X, CLASSES), first, 0)


def test_another_fit_compiles_nothing() -> None:
    """Neither for other numbers nor for a few rows more or less."""
    estimator = MLPClassifier(**SHARED).fit(X, CLASSES)
    step = estimator._learner.step
    compiled = dict(step._loaded)
    for rows, parameters in ((ROWS, {"alpha": 0.5}), (70, {"learning_rate_init": 0.1}), (40, {})):
        estimator.set_params(**parameters).fit(X[:rows], CLASSES[:rows])
        assert estimator._learner.step is step and step._loaded == compiled
    # Fewer rows than a batch are filled up to it.
    small = MLPClassifier(hidden_layer_sizes=(8,), max_iter=2, random_state=0)
    for rows in (20, 33, 50):
        small.fit(X[:rows], CLASSES[:rows])
    assert len(small._learner.step._loaded) == 1


@pytest.mark.parametrize("shape", [sparse.csr_matrix, sparse.csc_array])
def test_sparse_rows_are_those_of_the_array(shape: Any) -> None:
    thin = np.where(X > 0.5, X, 0)
    dense = MLPClassifier(**SHARED).fit(thin, CLASSES)
    other = MLPClassifier(**SHARED).fit(shape(thin), CLASSES)
    assert_same_weights(dense, other, 0)
    np.testing.assert_array_equal(dense.predict_proba(thin), other.predict_proba(shape(thin)))


def test_weights_may_be_written_to() -> None:
    estimator = MLPRegressor(**SHARED, **REFERENCE).fit(X, NUMBERS)
    estimator.coefs_[-1][...] = 0
    estimator.intercepts_[-1][...] = 2.5
    assert (estimator.predict(X) == 2.5).all()


def test_many_rows_are_predicted_in_parts() -> None:
    estimator = MLPRegressor(**SHARED, **REFERENCE).fit(X, NUMBERS)
    many = np.random.default_rng(1).standard_normal((1000, FEATURES))
    whole = estimator.predict(many)
    np.testing.assert_allclose(whole[:3], estimator.predict(many[:3]), rtol=1e-12)
    np.testing.assert_allclose(whole[-3:], estimator.predict(many[-3:]), rtol=1e-12)


def test_names_of_features_are_kept() -> None:
    pandas = pytest.importorskip("pandas", reason="needs pandas")
    table = pandas.DataFrame(X, columns=list("abcdef"))
    estimator = MLPClassifier(**SHARED).fit(table, CLASSES)
    assert list(estimator.feature_names_in_) == list("abcdef") and estimator.n_features_in_ == 6


def test_an_interrupt_ends_training_with_a_warning(interruptible: None) -> None:
    import signal

    class Interrupting(np.random.RandomState):
        """Presses Ctrl-C while the rows are put into order for the third time."""

        count = 0

        def shuffle(self, x: Any) -> None:
            self.count += 1
            if self.count == 3:
                signal.raise_signal(signal.SIGINT)
            super().shuffle(x)

    estimator = MLPClassifier(**SHARED | {"random_state": Interrupting(3)})
    with pytest.warns(UserWarning, match="interrupted by user"):
        estimator.fit(X, CLASSES)
    assert estimator.n_iter_ in (2, 3) and estimator.score(X, CLASSES) > 0.3


def test_it_says_how_training_goes(capsys: pytest.CaptureFixture[str]) -> None:
    parameters = SHARED | {"tol": 10.0, "n_iter_no_change": 1, "verbose": True}
    MLPClassifier(**parameters).fit(X, CLASSES)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Iteration 1, loss = ") and lines[-1].endswith("Stopping.")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_layer_sizes": (8, 0)}, "hidden_layer_sizes: at least 1"),
        ({"activation": "step"}, "activation: one of 'identity'"),
        ({"solver": "newton"}, "solver: one of 'adam'"),
        ({"alpha": -1.0}, "alpha: at least 0"),
        ({"batch_size": 0}, "batch_size: at least 1"),
        ({"learning_rate": "fast"}, "learning_rate: one of 'constant'"),
        ({"learning_rate_init": 0.0}, "learning_rate_init: above 0"),
        ({"beta_1": 1.0}, "beta_1: below 1"),
        ({"momentum": 1.5}, "momentum: below"),
        ({"validation_fraction": 1.0}, "validation_fraction: below 1"),
        ({"shuffle": "yes"}, "shuffle: True or False"),
        ({"max_iter": 1.5}, "max_iter"),
        ({"dtype": "i32"}, "dtype: 'auto', f32 or f64"),
        ({"mode": "fast"}, "mode 'fast'"),
        ({"threads": 0}, "threads: at least 1"),
    ],
)
def test_parameters_are_checked_by_fit(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        MLPClassifier(**parameters).fit(X, CLASSES)


def test_what_cannot_be_learnt_is_refused() -> None:
    shared = SHARED | REFERENCE
    with pytest.raises(ValueError, match="non-finite"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        MLPRegressor(**shared | {"solver": "sgd", "learning_rate_init": 1e9}).fit(X, NUMBERS)
    with pytest.raises(ValueError, match="non-zero"):
        MLPRegressor(**shared).fit(X, NUMBERS, np.zeros(ROWS))
    with pytest.raises(ValueError, match="validation set is too small"):
        MLPRegressor(**shared | {"early_stopping": True, "validation_fraction": 0.01}).fit(
            X, NUMBERS
        )
    with pytest.raises(ValueError, match="classes not in"):
        MLPClassifier(**shared, warm_start=True).fit(X, CLASSES).fit(X, np.full(ROWS, "z"))


def test_of_equal_scores_the_first_counts() -> None:
    """What is held out is right from the first epoch on; its weights are those of that epoch."""
    x = np.array([[-1.0, -1.0], [1.0, 1.0]]).repeat(20, axis=0)
    y = np.array([0, 1]).repeat(20)
    found = []
    for epochs in (4, 8):
        model = MLPClassifier(
            (4,), max_iter=epochs, early_stopping=True, n_iter_no_change=20, random_state=1,
            learning_rate_init=0.1, mode="reference",
        )  # fmt: skip
        model.fit(x, y)
        assert model.validation_scores_[3:] == [1.0] * (epochs - 3)
        found.append(model.coefs_)
    for first, later in zip(*found, strict=True):
        np.testing.assert_array_equal(first, later)
