"""scikit-learn's own checks of all estimators as users first make them: `make test-estimators`."""

from collections.abc import Callable

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

from graphc.sklearn import GraphClassifier, GraphRegressor, MLPClassifier, MLPRegressor


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        MLPClassifier(),
        MLPRegressor(),
        GraphClassifier(),
        GraphRegressor(),
        MLPClassifier(solver="sgd", learning_rate_init=0.1, early_stopping=False),
        MLPRegressor(solver="lbfgs"),
    ]
)
def test_check(estimator: BaseEstimator, check: Callable[[BaseEstimator], None]) -> None:
    check(estimator)
