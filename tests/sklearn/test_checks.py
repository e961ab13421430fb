"""scikit-learn's own checks of estimators, none of which is expected to fail.

They run in numpy, since nearly each of them has data of other shapes, which would be compiled for
it alone; those of how rows reach native code run there too. `make test-estimators` compiles all of
them, with all defaults.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="needs scikit-learn, the extra 'sklearn'")

from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

import graphc as gc
from graphc.sklearn import GraphClassifier, GraphRegressor, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class OneLayer:
    """A function of a name that is the same in every process, as those of pytest-xdist ask for."""

    def __call__(self, x: gc.Node, outputs: int) -> gc.Node:
        return gc.nn.dense(x, outputs)

    def __repr__(self) -> str:
        return "OneLayer()"


# One layer is enough for the data of the checks, and quickest.
PERCEPTRON = {"hidden_layer_sizes": (), "learning_rate_init": 0.2, "max_iter": 40}
DECLARED = {"network": OneLayer(), "optimizer": gc.optim.Adam(0.2), "epochs": 40}
REFERENCE = {"mode": "reference"}
ESTIMATORS = [
    MLPClassifier(**PERCEPTRON, **REFERENCE),
    MLPRegressor(**PERCEPTRON, **REFERENCE),
    GraphClassifier(**DECLARED, **REFERENCE),
    GraphRegressor(**DECLARED, **REFERENCE),
]
OF_ROWS = (
    "check_readonly_memmap_input",
    "check_estimator_sparse_array",
    "check_fit2d_1sample",
    "check_estimators_pickle",
)


@parametrize_with_checks(ESTIMATORS)
def test_check(estimator: BaseEstimator, check: Callable[[BaseEstimator], None]) -> None:
    check(estimator)


def checks_of_rows() -> Iterator[Any]:
    for estimator, check in estimator_checks_generator(MLPClassifier(**PERCEPTRON)):
        if check.func.__name__ in OF_ROWS:
            yield pytest.param(estimator, check, id=check.func.__name__)


@pytest.mark.parametrize(("estimator", "check"), list(checks_of_rows()))
def test_compiled_check(estimator: BaseEstimator, check: Callable[[BaseEstimator], None]) -> None:
    check(estimator)
