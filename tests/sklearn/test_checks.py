"""scikit-learn's own checks of estimators, none of which is expected to fail."""

from collections.abc import Callable

import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn, the extra 'sklearn'")

from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

from graphc.sklearn import GraphClassifier, GraphRegressor, MLPClassifier, MLPRegressor

ESTIMATORS = [MLPClassifier(), MLPRegressor(), GraphClassifier(), GraphRegressor()]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(ESTIMATORS)
def test_check(estimator: BaseEstimator, check: Callable[[BaseEstimator], None]) -> None:
    check(estimator)
