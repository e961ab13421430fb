"""scikit-learn's own checks of estimators, none of which is expected to fail.

Here of small networks, which compile sooner; `make test-estimators` runs those of all defaults.
"""

from collections.abc import Callable

import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn, the extra 'sklearn'")

from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

import graphc as gc
from graphc.sklearn import GraphClassifier, GraphRegressor, MLPClassifier, MLPRegressor

UNITS = 8


def network(x: gc.Node, outputs: int) -> gc.Node:
    """As that of the perceptrons here, so its kernels are theirs."""
    return gc.nn.dense(gc.nn.dense(x, UNITS, gc.relu), outputs)


PERCEPTRON = {"hidden_layer_sizes": (UNITS,), "learning_rate_init": 0.02, "max_iter": 80}
DECLARED = {"network": network, "optimizer": gc.optim.Adam(0.02), "epochs": 80}
ESTIMATORS = [
    MLPClassifier(**PERCEPTRON),
    MLPRegressor(**PERCEPTRON),
    GraphClassifier(**DECLARED),
    GraphRegressor(**DECLARED),
]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(ESTIMATORS)
def test_check(estimator: BaseEstimator, check: Callable[[BaseEstimator], None]) -> None:
    check(estimator)
