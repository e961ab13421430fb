"""Estimators of a network that a function declares."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.declare.optim import Adam, Optimizer
from graphc.ir.arguments.given import shown
from graphc.ir.types import DType
from graphc.sklearn.base import NetworkEstimator
from graphc.sklearn.heads import Head
from graphc.sklearn.kinds import NetworkClassifier, NetworkRegressor
from graphc.sklearn.learner import Learner, Recipe
from graphc.sklearn.mlp import Layers
from graphc.sklearn.parameters import check_count
from graphc.sklearn.solvers import Rate
from graphc.sklearn.training import HowToTrain

DEFAULT_NETWORK = Layers((100,), "relu")
# Seeds of graphs are drawn below this.
SEEDS = 2**31 - 1


class GraphEstimator(NetworkEstimator):
    """A network that you declare.

    network: a function of a tensor x [batch, features] and the number of outputs, which returns
        scores [batch, outputs]: logits of the classes (one for two classes), or numbers. None is
        one layer of 100 relu units.

            def network(x, outputs):
                hidden = gc.dropout(gc.nn.dense(x, 64, gc.relu), 0.2)
                return gc.nn.dense(hidden, outputs)

    optimizer: one of `gc.optim`; None is `gc.optim.Adam()`.
    epochs: how often all rows are gone through.
    batch_size: rows in a step; "auto" is 200, or all where there are fewer. The last batch is
        filled up by rows that do not count, which only a network sees that looks at a whole batch.
    early_stopping: holds a share of `validation_fraction` of the rows out, and stops where their
        score has not improved by `tol` for more than `n_iter_no_change` epochs; the weights of the
        best epoch are kept.
    random_state: fixes first values, dropout and the order of the rows.
    shuffle, verbose, warm_start: as scikit-learn's MLPClassifier has them.
    dtype, threads, mode: as graphc's MLPClassifier has them.

    `variables_` holds the network's values by name after a fit.
    """

    def __init__(
        self,
        network: Any = None,
        *,
        optimizer: Any = None,
        epochs: Any = 200,
        batch_size: Any = "auto",
        shuffle: Any = True,
        random_state: Any = None,
        tol: Any = 1e-4,
        verbose: Any = False,
        warm_start: Any = False,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        n_iter_no_change: Any = 10,
        dtype: Any = "auto",
        threads: Any = None,
        mode: Any = "compiled",
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.dtype = dtype
        self.threads = threads
        self.mode = mode

    @property
    def variables_(self) -> dict[str, Any]:
        """Copies of the network's values by name."""
        learner: Learner | None = self.__dict__.get("_learner")
        if learner is None:
            raise AttributeError(f"this {type(self).__name__} is not fitted yet")
        return learner.values()

    def _check_parameters(self) -> None:
        self._check_shared_parameters()
        check_count(type(self).__name__, "epochs", self.epochs)
        if self.network is not None and not callable(self.network):
            problem = f"network: a function of x and outputs expected, not {shown(self.network)}"
            raise TypeError(f"{type(self).__name__}: {problem}")
        if self.optimizer is not None and not isinstance(self.optimizer, Optimizer):
            problem = f"an optimizer such as gc.optim.Adam() expected, not {shown(self.optimizer)}"
            raise TypeError(f"{type(self).__name__}: {problem}")

    def _chosen_optimizer(self) -> Optimizer:
        return Adam() if self.optimizer is None else self.optimizer

    def _recipe(self, features: int, outputs: int, dtype: DType, head: Head) -> Recipe:
        network = DEFAULT_NETWORK if self.network is None else self.network
        optimizer = self._chosen_optimizer()
        return Recipe(
            features, outputs, dtype, head, network, optimizer, False, self.mode, self.threads
        )

    def _begin(self, learner: Learner, random: np.random.RandomState) -> None:
        learner.initialize(int(random.randint(SEEDS)))

    def _how(self) -> HowToTrain:
        return HowToTrain(
            epochs=self.epochs,
            shuffle=bool(self.shuffle),
            tolerance=self.tol,
            patience=self.n_iter_no_change,
            stops=False,
            rate=Rate("constant", self._chosen_optimizer().learning_rate),
            verbose=bool(self.verbose),
        )


class GraphClassifier(NetworkClassifier, GraphEstimator):
    __doc__ = GraphEstimator.__doc__

    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        classes: Any = None,
    ) -> Any:
        """One epoch on the rows given; `classes` says at the first call which there are.

        Raises as `fit` does, and ValueError for `early_stopping`.
        """
        return self._partial_fit(X, y, sample_weight, classes)


class GraphRegressor(NetworkRegressor, GraphEstimator):
    __doc__ = GraphEstimator.__doc__

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """One epoch on the rows given.

        Raises as `fit` does, and ValueError for `early_stopping`.
        """
        return self._fit(X, y, sample_weight, is_partial=True)
