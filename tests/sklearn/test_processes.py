"""Estimators in several processes: spawned by joblib, and forked."""

from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn, the extra 'sklearn'")

from joblib import Parallel, delayed, parallel_config
from sklearn.model_selection import GridSearchCV

from graphc.sklearn import MLPClassifier

X = np.random.default_rng(0).standard_normal((80, 4))
Y = (X[:, 0] > 0).astype(int)


def threads_of_fit(estimator: Any) -> int:
    """How many threads a fit may use here."""
    threads: int = estimator.fit(X, Y)._learner.step.threads
    return threads


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "backend", [pytest.param("loky", marks=pytest.mark.long), "multiprocessing"]
)
def test_a_search_in_two_processes(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAPHC_THREADS", raising=False)
    estimator = MLPClassifier((6,), batch_size=32, max_iter=4, random_state=0)
    # Threads run in this process before it is forked.
    here = GridSearchCV(estimator, {"alpha": [1e-4, 10.0]}, cv=2, refit=False).fit(X, Y)
    with parallel_config(backend=backend, n_jobs=2):
        there = GridSearchCV(estimator, {"alpha": [1e-4, 10.0]}, cv=2, refit=False).fit(X, Y)
        threads = Parallel()(delayed(threads_of_fit)(estimator) for _ in range(2))
    scores = "mean_test_score"
    np.testing.assert_array_equal(here.cv_results_[scores], there.cv_results_[scores])
    assert threads == [1, 1]
