"""What all estimators share: data checked, a learner trained, what is known of it afterwards."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_regressor
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import check_array, check_consistent_length, validate_data

from graphc.functions.mode import check_options
from graphc.ir.types import DType, as_dtype
from graphc.sklearn.heads import Head
from graphc.sklearn.learner import Learner, Recipe
from graphc.sklearn.parameters import check_boolean, check_count, check_real
from graphc.sklearn.rows import Epochs, Rows
from graphc.sklearn.training import HowToTrain, Progress, train

Array = np.ndarray[Any, np.dtype[Any]]

AUTO_BATCH_SIZE = 200
LEAST_HELD_OUT = 2


class NetworkEstimator(BaseEstimator, ABC):
    """An estimator whose network is trained by graphc.

    Its batches are filled up to few sizes by rows of weight 0, so that data of another size seldom
    needs another compilation.
    """

    batch_size: Any
    shuffle: Any
    random_state: Any
    tol: Any
    verbose: Any
    warm_start: Any
    early_stopping: Any
    validation_fraction: Any
    n_iter_no_change: Any
    dtype: Any
    threads: Any
    mode: Any

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Trains on X [rows, features], an array or a sparse matrix, and y; returns itself.

        sample_weight: how much each row counts. Raises ValueError for data and parameters that do
        not fit, and where training ends with weights that are not finite.
        """
        return self._fit(X, y, sample_weight, is_partial=False)

    # --- what kinds of estimators differ in -------------------------------------------------------

    @abstractmethod
    def _check_parameters(self) -> None:
        """Raises ValueError or TypeError for parameters that mean nothing."""

    @abstractmethod
    def _encoded(self, y: Any, is_first: bool) -> tuple[Array, int, Head]:
        """The targets, the outputs of a network for them, and what its scores mean."""

    @abstractmethod
    def _score_of(self, y: Any, predicted: Array, weights: Array) -> float:
        """How good predictions are, the greater the better."""

    @abstractmethod
    def _recipe(self, features: int, outputs: int, dtype: DType, head: Head) -> Recipe: ...

    @abstractmethod
    def _begin(self, learner: Learner, random: np.random.RandomState) -> None:
        """Gives the parameters their first values."""

    @abstractmethod
    def _how(self) -> HowToTrain: ...

    # --- fitting ----------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, sample_weight: Any, *, is_partial: bool) -> Any:
        self._check_parameters()
        if is_partial and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        is_first = not hasattr(self, "_learner") or not (self.warm_start or is_partial)
        X, y = self._checked(X, y, is_first)
        targets, outputs, head = self._encoded(y, is_first)
        random = check_random_state(self.random_state)
        learner = self._learner_for(X, outputs, head, random, is_first, is_partial)
        dtype = learner.recipe.dtype.numpy
        if targets.dtype.kind == "f":
            targets = targets.astype(dtype, copy=False)
        rows = Rows(X, targets, _checked_weights(sample_weight, X, dtype))
        self.n_outputs_ = outputs
        self.out_activation_ = head.name
        self._train(learner, rows, y, random, is_partial)
        if not all(np.isfinite(values).all() for values in learner.storage()):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed."
            )
        return self

    def _checked(self, X: Any, y: Any, is_first: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            multi_output=True,
            dtype=self._dtypes(),
            order="C",
            reset=is_first,
            y_numeric=is_regressor(self),
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _dtypes(self) -> Any:
        """The dtypes that X may have, the first one for any other."""
        if isinstance(self.dtype, str) and self.dtype == "auto":
            return (np.float64, np.float32)
        return as_dtype(self.dtype).numpy

    def _learner_for(
        self,
        X: Any,
        outputs: int,
        head: Head,
        random: np.random.RandomState,
        is_first: bool,
        is_partial: bool,
    ) -> Learner:
        """The learner to train, one that is there already where its programs are those wanted."""
        before: Learner | None = getattr(self, "_learner", None)
        if before is not None and is_partial and not is_first:
            return before
        dtype = as_dtype(X.dtype) if is_first or before is None else before.recipe.dtype
        recipe = self._recipe(X.shape[1], outputs, dtype, head)
        same = before if before is not None and before.recipe == recipe else None
        learner = same if same is not None else Learner(recipe, seed=0)
        if is_first:
            self._begin(learner, random)
            self._progress = Progress(scores=[] if self.early_stopping else None)
        elif same is None:
            assert before is not None
            learner.restore(before.values())
        else:
            learner.forget_steps()
        learner.rate = self._how().rate.first
        self._learner = learner
        return learner

    def _train(
        self,
        learner: Learner,
        rows: Rows,
        y: Any,
        random: np.random.RandomState,
        is_partial: bool,
    ) -> None:
        """Trains by batches, and keeps what became of it."""
        how, progress = self._how(), self._progress
        score = None
        if self.early_stopping:
            rows, held_out, labels = self._split(rows, y, random)
            if progress.scores is None:
                progress.scores = []

            def score() -> float:
                predicted = learner.predict(held_out.x)
                if not np.isfinite(predicted).all():
                    return float("nan")
                return self._score_of(labels, predicted, held_out.weights)

            if not progress.best_values:
                progress.best_values = learner.values()
        epochs = Epochs(learner.step, rows, self._rows_of_batch(len(rows)), how.shuffle)
        if is_partial:
            how = replace(how, epochs=1)
        self.n_iter_ = train(learner, epochs, len(rows), how, progress, random, score)
        self._keep(progress)

    def _keep(self, progress: Progress) -> None:
        self.loss_curve_ = progress.losses
        self.loss_ = progress.losses[-1] if progress.losses else np.nan
        self.t_ = progress.rows
        stops_early = bool(self.early_stopping)
        self.best_loss_ = None if stops_early else progress.best_loss
        self.validation_scores_ = progress.scores if stops_early else None
        self.best_validation_score_ = progress.best_score if stops_early else None

    def _split(self, rows: Rows, y: Any, random: np.random.RandomState) -> tuple[Rows, Rows, Any]:
        """What is trained on, what is held out, and the y of that."""
        stratify = rows.targets if rows.targets.ndim == 2 and self._stratifies() else None
        trained, held = train_test_split(
            np.arange(len(rows)),
            random_state=random,
            test_size=self.validation_fraction,
            stratify=stratify,
        )
        if len(held) < LEAST_HELD_OUT:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        return rows.chosen(trained), rows.chosen(held), y[held]

    def _stratifies(self) -> bool:
        """Whether what is held out has as large a share of each class as all rows."""
        return not is_regressor(self) and self.n_outputs_ == 1

    def _rows_of_batch(self, rows: int) -> int:
        if self.batch_size == "auto":
            return AUTO_BATCH_SIZE
        if self.batch_size > rows:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be "
                "clipped",
                stacklevel=4,
            )
        return int(self.batch_size)

    def _check_shared_parameters(self) -> None:
        name = type(self).__name__
        if not (isinstance(self.batch_size, str) and self.batch_size == "auto"):
            check_count(name, "batch_size", self.batch_size)
        for flag in ("shuffle", "warm_start", "early_stopping"):
            check_boolean(name, flag, getattr(self, flag))
        check_real(name, "tol", self.tol, least=0)
        check_real(name, "validation_fraction", self.validation_fraction, least=0, below=1)
        if self.n_iter_no_change != np.inf:
            check_count(name, "n_iter_no_change", self.n_iter_no_change)
        check_options(self.mode, self.threads)
        if not (isinstance(self.dtype, str) and self.dtype == "auto"):
            dtype = as_dtype(self.dtype)
            if not dtype.is_float:
                raise ValueError(f"{name}: dtype: 'auto', f32 or f64 expected, not {dtype}")

    # --- predicting -------------------------------------------------------------------------------

    def _predicted(self, X: Any) -> Array:
        """What the network predicts [rows, outputs]."""
        dtype = self._learner.recipe.dtype.numpy
        X = validate_data(self, X, accept_sparse="csr", dtype=dtype, order="C", reset=False)
        return self._learner.predict(X)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_iter_")


def _checked_weights(sample_weight: Any, X: Any, dtype: Any) -> Array:
    """One number a row, 1 unless given. Raises ValueError for any other."""
    rows = X.shape[0]
    if sample_weight is None or np.isscalar(sample_weight):
        return np.full(rows, 1 if sample_weight is None else sample_weight, dtype)
    weights: Array = check_array(
        sample_weight, dtype=dtype, ensure_2d=False, order="C", input_name="sample_weight"
    )
    if weights.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got {weights.ndim}D array.")
    check_consistent_length(X, weights)
    if not weights.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return weights
