"""What classifiers have in common, and regressors."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.validation import check_is_fitted

from graphc.sklearn.base import NetworkEstimator
from graphc.sklearn.heads import EXPONENTIAL, IDENTITY, Head
from graphc.sklearn.labels import Labels, labels_of

Array = np.ndarray[Any, np.dtype[Any]]


class NetworkClassifier(ClassifierMixin, NetworkEstimator):
    """Classes, or any number of labels a row."""

    def predict(self, X: Any) -> Array:
        """The classes [rows] of X, or zeros and ones [rows, labels]."""
        check_is_fitted(self)
        return self._labels.predicted(self._predicted(X))

    def predict_proba(self, X: Any) -> Array:
        """Probabilities [rows, classes], in the order of `classes_`."""
        check_is_fitted(self)
        return self._labels.probabilities(self._predicted(X))

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithms of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any, classes: Any) -> Any:
        if not hasattr(self, "classes_") and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if classes is not None:
            if hasattr(self, "classes_") and not np.array_equal(self.classes_, np.unique(classes)):
                raise ValueError(
                    f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                    f"{self.classes_!r}"
                )
            self._first_classes = classes
        try:
            return self._fit(X, y, sample_weight, is_partial=True)
        finally:
            self.__dict__.pop("_first_classes", None)

    def _encoded(self, y: Any, is_first: bool) -> tuple[Array, int, Head]:
        if is_first:
            self._labels = labels_of(y, getattr(self, "_first_classes", None))
            self.classes_ = self._labels.classes
        labels: Labels = self._labels
        return labels.targets(y), labels.outputs, labels.head

    def _score_of(self, y: Any, predicted: Array, weights: Array) -> float:
        return float(accuracy_score(y, self._labels.predicted(predicted), sample_weight=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class NetworkRegressor(RegressorMixin, NetworkEstimator):
    """Numbers, one or several a row."""

    def predict(self, X: Any) -> Array:
        """The numbers [rows] for X, or [rows, outputs]."""
        check_is_fitted(self)
        return _of_rank_one(self._predicted(X))

    def _head(self) -> Head:
        return IDENTITY

    def _encoded(self, y: Any, is_first: bool) -> tuple[Array, int, Head]:
        head = self._head()
        targets = np.ascontiguousarray(y[:, None] if y.ndim == 1 else y, dtype=np.float64)
        if head is EXPONENTIAL and targets.min() < 0:
            raise ValueError("loss='poisson' needs y that is nowhere negative")
        return targets, targets.shape[1], head

    def _score_of(self, y: Any, predicted: Array, weights: Array) -> float:
        return float(r2_score(y, _of_rank_one(predicted), sample_weight=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _of_rank_one(predicted: Array) -> Array:
    return predicted[:, 0] if predicted.shape[1] == 1 else predicted
