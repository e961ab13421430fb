"""Multi-layer perceptrons with the parameters of scikit-learn's own."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if

from graphc.declare import nn
from graphc.declare.optim import LBFGS, Optimizer
from graphc.functions.minimize import minimize_calls
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import DType
from graphc.sklearn.base import NetworkEstimator
from graphc.sklearn.heads import EXPONENTIAL, IDENTITY, Head
from graphc.sklearn.kinds import NetworkClassifier, NetworkRegressor
from graphc.sklearn.learner import Learner, Recipe
from graphc.sklearn.parameters import check_boolean, check_choice, check_count, check_real
from graphc.sklearn.rows import Rows, rows_compiled_for
from graphc.sklearn.solvers import MlpAdam, MlpSGD, Rate
from graphc.sklearn.training import HowToTrain

Array = np.ndarray[Any, np.dtype[Any]]

ACTIVATIONS = {"identity": None, "logistic": ops.sigmoid, "tanh": ops.tanh, "relu": ops.relu}
SOLVERS = ("adam", "sgd", "lbfgs")
RATES = ("constant", "invscaling", "adaptive")
LOSSES = {"squared_error": IDENTITY, "poisson": EXPONENTIAL}
# Glorot and Bengio's bound of first values is the root of this over fan_in + fan_out.
INIT_FACTOR, INIT_FACTOR_OF_LOGISTIC = 6.0, 2.0
# What scipy's L-BFGS-B has unless told otherwise, and scikit-learn does not tell it.
TOLERANCE_CHANGE = 1e7 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Layers:
    """Dense layers of these sizes with one activation, and one of scores behind them."""

    hidden: tuple[int, ...]
    activation: str

    def __call__(self, x: Node, outputs: int) -> Node:
        for units in self.hidden:
            x = nn.dense(x, units, ACTIVATIONS[self.activation])
        return nn.dense(x, outputs)


class MlpEstimator(NetworkEstimator):
    """A multi-layer perceptron.

    The parameters are those of scikit-learn's estimators of the same name, with the same defaults.
    Starting values, orders of rows and steps are theirs too, for the same `random_state`, so the
    weights differ by rounding alone. Besides there are:

    dtype: what is computed in, "f32" or "f64"; "auto" is that of X.
    threads: how many run it, at most; None is the processors that the process may use, and one in
        the workers of a pool of processes.
    mode: "compiled", or "reference" to run in numpy.

    Of several outputs of a regressor the losses are added up, also in `loss_`, where scikit-learn
    reports their mean.
    """

    hidden_layer_sizes: Any
    activation: Any
    solver: Any
    alpha: Any
    learning_rate: Any
    learning_rate_init: Any
    power_t: Any
    max_iter: Any
    momentum: Any
    nesterovs_momentum: Any
    beta_1: Any
    beta_2: Any
    epsilon: Any
    max_fun: Any

    # --- what is known after a fit ---------------------------------------------------------------

    @property
    def coefs_(self) -> list[Array]:
        """The matrices [inputs, units] of the layers: their own memory, which may be written to."""
        return self._parameter_values()[0::2]

    @property
    def intercepts_(self) -> list[Array]:
        """The biases [units] of the layers, as `coefs_`."""
        return self._parameter_values()[1::2]

    @property
    def n_layers_(self) -> int:
        """The layers, that of the inputs among them."""
        return len(self.coefs_) + 1

    def _parameter_values(self) -> list[Array]:
        learner: Learner | None = self.__dict__.get("_learner")
        if learner is None:
            raise AttributeError(f"this {type(self).__name__} is not fitted yet")
        return learner.storage()

    # --- hooks -----------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        name = type(self).__name__
        self._check_shared_parameters()
        for units in self._hidden():
            check_count(name, "hidden_layer_sizes", units)
        check_choice(name, "activation", self.activation, ACTIVATIONS)
        check_choice(name, "solver", self.solver, SOLVERS)
        check_choice(name, "learning_rate", self.learning_rate, RATES)
        check_boolean(name, "nesterovs_momentum", self.nesterovs_momentum)
        for count in ("max_iter", "max_fun"):
            check_count(name, count, getattr(self, count))
        for share in ("beta_1", "beta_2"):
            check_real(name, share, getattr(self, share), least=0, below=1)
        for positive in ("learning_rate_init", "epsilon"):
            check_real(name, positive, getattr(self, positive), above=0)
        for number in ("alpha", "power_t"):
            check_real(name, number, getattr(self, number), least=0)
        check_real(name, "momentum", self.momentum, least=0, below=np.nextafter(1, 2))

    def _hidden(self) -> tuple[Any, ...]:
        sizes = self.hidden_layer_sizes
        return tuple(sizes) if isinstance(sizes, Iterable) else (sizes,)

    def _optimizer(self) -> Optimizer | None:
        if self.solver == "lbfgs":
            return None
        if self.solver == "adam":
            return MlpAdam(beta_1=self.beta_1, beta_2=self.beta_2, epsilon=self.epsilon)
        return MlpSGD(momentum=self.momentum, nesterov=bool(self.nesterovs_momentum))

    def _recipe(self, features: int, outputs: int, dtype: DType, head: Head) -> Recipe:
        layers = Layers(tuple(int(units) for units in self._hidden()), self.activation)
        optimizer = self._optimizer()
        return Recipe(
            features, outputs, dtype, head, layers, optimizer, True, self.mode, self.threads
        )

    def _begin(self, learner: Learner, random: np.random.RandomState) -> None:
        learner.forget_steps()
        factor = INIT_FACTOR_OF_LOGISTIC if self.activation == "logistic" else INIT_FACTOR
        values: dict[str, Array] = {}
        pairs = zip(learner.parameters[0::2], learner.parameters[1::2], strict=True)
        for kernel, bias in pairs:
            bound = np.sqrt(factor / sum(kernel.type.dims))
            for each in (kernel, bias):
                values[each.name] = random.uniform(-bound, bound, each.type.dims)
        learner.restore(values)

    def _how(self) -> HowToTrain:
        kind = self.learning_rate if self.solver == "sgd" else "constant"
        return HowToTrain(
            epochs=self.max_iter,
            shuffle=bool(self.shuffle),
            tolerance=self.tol,
            patience=self.n_iter_no_change,
            stops=True,
            rate=Rate(kind, self.learning_rate_init, self.power_t),
            verbose=bool(self.verbose),
        )

    def _train(
        self,
        learner: Learner,
        rows: Rows,
        y: Any,
        random: np.random.RandomState,
        is_partial: bool,
    ) -> None:
        learner.alpha = self.alpha
        if self.solver == "lbfgs":
            self._minimize(learner, rows)
            return
        super()._train(learner, rows, y, random, is_partial)
        if self.n_iter_ == self.max_iter and not is_partial:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.max_iter}) reached and the "
                "optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _minimize(self, learner: Learner, rows: Rows) -> None:
        """All rows at once, by L-BFGS."""
        count = len(rows)
        batch = rows.batch(slice(0, count), rows_compiled_for(count, most=2 * count))
        method = LBFGS(
            max_iter=self.max_iter,
            max_eval=self.max_fun,
            tolerance_grad=self.tol,
            tolerance_change=TOLERANCE_CHANGE,
        )
        gradients = learner.gradients
        found = minimize_calls(
            lambda: gradients(*batch), learner.graph.variables, learner.parameters, method
        )
        if not found.converged:
            warnings.warn(
                f"lbfgs failed to converge after {found.iterations} iteration(s): {found.message}",
                ConvergenceWarning,
                stacklevel=5,
            )
        self.n_iter_ = min(found.iterations, self.max_iter)
        self.loss_ = found.loss

    def _is_stochastic(self) -> bool:
        """Raises AttributeError, as scikit-learn does, where partial_fit does not exist."""
        if self.solver == "lbfgs":
            raise AttributeError(
                "partial_fit is only available for stochastic optimizers. "
                f"{self.solver} is not stochastic."
            )
        return True


class MLPClassifier(NetworkClassifier, MlpEstimator):
    __doc__ = MlpEstimator.__doc__

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: Any = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: Any = 0.001,
        power_t: Any = 0.5,
        max_iter: Any = 200,
        shuffle: Any = True,
        random_state: Any = None,
        tol: Any = 1e-4,
        verbose: Any = False,
        warm_start: Any = False,
        momentum: Any = 0.9,
        nesterovs_momentum: Any = True,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: Any = 15000,
        dtype: Any = "auto",
        threads: Any = None,
        mode: Any = "compiled",
    ) -> None:
        _keep_parameters(self, locals())

    @available_if(MlpEstimator._is_stochastic)
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


class MLPRegressor(NetworkRegressor, MlpEstimator):
    __doc__ = MlpEstimator.__doc__

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        loss: Any = "squared_error",
        solver: Any = "adam",
        alpha: Any = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: Any = 0.001,
        power_t: Any = 0.5,
        max_iter: Any = 200,
        shuffle: Any = True,
        random_state: Any = None,
        tol: Any = 1e-4,
        verbose: Any = False,
        warm_start: Any = False,
        momentum: Any = 0.9,
        nesterovs_momentum: Any = True,
        early_stopping: Any = False,
        validation_fraction: Any = 0.1,
        beta_1: Any = 0.9,
        beta_2: Any = 0.999,
        epsilon: Any = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: Any = 15000,
        dtype: Any = "auto",
        threads: Any = None,
        mode: Any = "compiled",
    ) -> None:
        _keep_parameters(self, locals())

    @available_if(MlpEstimator._is_stochastic)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """One epoch on the rows given.

        Raises as `fit` does, and ValueError for `early_stopping`.
        """
        return self._fit(X, y, sample_weight, is_partial=True)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice(type(self).__name__, "loss", self.loss, LOSSES)

    def _head(self) -> Head:
        return LOSSES[self.loss]


def _keep_parameters(estimator: MlpEstimator, given: dict[str, Any]) -> None:
    """Sets the parameters as they are given, which is all that `__init__` may do."""
    for name, value in given.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)
