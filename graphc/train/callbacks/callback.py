"""What training calls: the base class of callbacks, and what they see of the model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from graphc.declare.graphs.graph import Graph
from graphc.declare.graphs.variables import Variables
from graphc.ir.graph import Node
from graphc.train.callbacks.history import History

Logs = Mapping[str, float]
Array = np.ndarray[Any, np.dtype[Any]]


class TrainedModel(Protocol):
    """The model that is trained, as callbacks use it: a `gc.Model`."""

    variables: Variables
    history: History
    stop_training: bool
    steps_per_epoch: int
    logged_names: list[str]
    batch_size: int
    learning_rate: float

    @property
    def graph(self) -> Graph: ...

    @property
    def parameters(self) -> list[Node]: ...

    @property
    def batches_per_update(self) -> int: ...

    @property
    def weights(self) -> list[Node]: ...

    def values(self) -> dict[str, Array]: ...

    def evaluate(self, x: Any, y: Any = ..., batch_size: int | None = ...) -> dict[str, Any]: ...

    def predict(self, x: Any, batch_size: int | None = ...) -> Any: ...

    def save(self, path: str | os.PathLike[str], weights_only: bool = ...) -> None: ...


class Callback:
    """Called during `Model.fit`; epochs and batches count from 0.

    `model` is set before anything is called. Setting `model.stop_training` ends training: by a hook
    of batches after the running batch, by any other hook after the running or coming epoch, and by
    another thread at the loop's next pause. A callback with hooks of batches has every step called
    from Python; without one, whole epochs run in native code.
    """

    model: TrainedModel

    def wants_batches(self) -> bool:
        """Whether its hooks of batches are to be called: those that have any say so."""
        return overrides(self, "on_batch_begin") or overrides(self, "on_batch_end")

    def on_train_begin(self) -> None:
        """Before the first epoch."""

    def on_train_end(self) -> None:
        """After the last epoch, however training ended, if `on_train_begin` raised nothing."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch, with its mean loss and metrics, those of validation as `val_...`."""

    def on_batch_begin(self, epoch: int, batch: int) -> None:
        """Before a batch."""

    def on_batch_end(self, epoch: int, batch: int, logs: Logs) -> None:
        """After a batch, with its own loss and metrics."""


def check_callbacks(callbacks: object) -> None:
    """Raises TypeError unless it is a sequence of callbacks."""
    if not isinstance(callbacks, Sequence):
        raise TypeError(f"callbacks: a list of them expected, not {callbacks!r}")
    for each in callbacks:
        if not isinstance(each, Callback):
            raise TypeError(f"callbacks: a gc.callbacks.Callback expected, not {each!r}")


def overrides(callback: Callback, hook: str) -> bool:
    """Whether the callback has a `hook` of its own, so that calling it is worth the time."""
    return getattr(type(callback), hook) is not getattr(Callback, hook)
