"""Labels of classes as the targets of a network, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from graphc.sklearn.heads import LOGISTIC, SOFTMAX, Head

Array = np.ndarray[Any, np.dtype[Any]]

# From here on the logistic function says that a label holds.
HALF = 0.5


@dataclass(frozen=True, eq=False)
class Labels:
    """classes: those that there are, sorted. is_multilabel: rows have any number of them."""

    classes: Array
    is_multilabel: bool

    @property
    def head(self) -> Head:
        several = len(self.classes) > 2 and not self.is_multilabel
        return SOFTMAX if several else LOGISTIC

    @property
    def outputs(self) -> int:
        """The scores that a network has for a row."""
        if self.is_multilabel or self.head is SOFTMAX:
            return len(self.classes)
        return 1

    def targets(self, y: Any) -> Array:
        """Class numbers [rows] for softmax, else zeros and ones [rows, outputs].

        Raises ValueError for labels of another kind and for classes that are not there.
        """
        if self.is_multilabel != _is_multilabel(y):
            raise ValueError("`y` is multilabel and the classes are not, or the other way round")
        if self.is_multilabel:
            dense: Array = y.toarray() if hasattr(y, "toarray") else np.asarray(y)
            if dense.shape[1] != len(self.classes):
                raise ValueError(
                    f"`y` has {dense.shape[1]} labels, where {len(self.classes)} are expected"
                )
            return (dense != 0).astype(np.float32)
        numbers = self._numbers(y)
        return numbers if self.head is SOFTMAX else numbers[:, None].astype(np.float32)

    def _numbers(self, y: Array) -> Array:
        """Where each label stands among the classes, i32."""
        numbers = np.searchsorted(self.classes, y)
        # Behind the last class stands none.
        nearest = self.classes.take(numbers, mode="clip")
        if not np.array_equal(nearest, y):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes}. "
                f"'y' has {np.unique(y)}."
            )
        return numbers.astype(np.int32)

    def predicted(self, probabilities: Array) -> Array:
        """The labels [rows], or zeros and ones [rows, outputs], of what a network predicts."""
        if self.is_multilabel:
            return (probabilities > HALF).astype(int)
        if self.head is SOFTMAX:
            return self.classes[probabilities.argmax(axis=1)]
        numbers = (probabilities[:, 0] > HALF).astype(int)
        return self.classes[np.minimum(numbers, len(self.classes) - 1)]

    def probabilities(self, predicted: Array) -> Array:
        """[rows, classes]: of one output for two classes that of either."""
        if self.is_multilabel or self.head is SOFTMAX:
            return predicted
        return np.hstack([1 - predicted, predicted])


def labels_of(y: Any, classes: Any = None) -> Labels:
    """The labels in y, or `classes` where y need not have all. Raises ValueError for numbers that
    are no classes, and for several outputs of several classes."""
    check_classification_targets(y)
    if _is_multilabel(y):
        return Labels(unique_labels(y), True)
    if getattr(y, "ndim", 1) != 1:
        raise ValueError(
            "Multioutput target data is not supported: several labels a row are 0 or 1"
        )
    return Labels(np.unique(y) if classes is None else unique_labels(classes), False)


def _is_multilabel(y: Any) -> bool:
    # What one column means takes long to find out, and is not asked.
    return y.ndim == 2 and bool(type_of_target(y) == "multilabel-indicator")
