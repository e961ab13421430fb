"""What a user hooks into training: early stopping, checkpoints, schedules, a stop at NaN."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import string
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from graphc.declare.hyperparameters import check_number
from graphc.declare.schedules import Schedule
from graphc.files.whole_file import check_writable
from graphc.ir.given import as_path, is_one_of, shown
from graphc.train.callback import Callback, Logs
from graphc.train.logged import EPOCH, LOSS

__all__ = [
    "Callback",
    "EarlyStopping",
    "LearningRateSchedule",
    "Logs",
    "ModelCheckpoint",
    "TerminateOnNaN",
]

Array = np.ndarray[Any, np.dtype[Any]]


class _Best:
    """The best value so far of a logged quantity, which is named in `monitor`; never NaN."""

    def __init__(self, monitor: str, mode: Literal["min", "max"], min_delta: float) -> None:
        if not is_one_of(mode, ("min", "max")):
            raise ValueError(f"a mode of 'min' or 'max' expected, not {shown(mode)}")
        check_number("min_delta", min_delta, least=0)
        self.monitor = monitor
        self.sign = 1.0 if mode == "min" else -1.0
        self.min_delta = min_delta
        self.value = math.inf

    def check_is_logged(self, names: Sequence[str]) -> None:
        """Raises ValueError when the quantity is not among `names`."""
        if self.monitor not in names:
            raise ValueError(f"{self.monitor!r} is not logged; there are: {', '.join(names)}")

    def improves(self, logs: Logs) -> bool:
        """Whether the logged value, which NaN is none, is better than all before by more than
        `min_delta`."""
        value = self.sign * logs[self.monitor]
        if not value < self.value - self.min_delta:
            return False
        self.value = value
        return True


class EarlyStopping(Callback):
    """Stops when `monitor` has not improved for `patience` epochs.

    With `restore_best_weights` the variables of the best epoch of this training are put back at the
    end. NaN is no improvement. `stopped_epoch` is the epoch after which training was stopped, or
    None. Raises ValueError for a patience or `min_delta` that is negative, NaN or infinite.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 0,
        mode: Literal["min", "max"] = "min",
        min_delta: float = 0.0,
        restore_best_weights: bool = False,
    ) -> None:
        self._arguments = (monitor, mode, min_delta)
        self._best = _Best(*self._arguments)
        check_number("patience", patience, least=0)
        self.patience = patience
        self.restore_best_weights = restore_best_weights
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None
        self._waited = 0
        self._best_values: dict[str, Array] = {}

    def on_train_begin(self) -> None:
        self._best = _Best(*self._arguments)
        self._best.check_is_logged(self.model.logged_names)
        self.best_epoch = self.stopped_epoch = None
        self._waited = 0
        self._best_values = {}

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self._best.improves(logs):
            self.best_epoch, self._waited = epoch, 0
            if self.restore_best_weights:
                self._best_values = self.model.values()
            return
        self._waited += 1
        if self._waited >= self.patience:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self) -> None:
        if self._best_values:
            self.model.variables.update(self._best_values)


class ModelCheckpoint(Callback):
    """Saves the model after each epoch, or only after one that improves `monitor`; NaN never does.

    `path` may hold `{epoch}` (from 0) and logged names, as in "digits-{epoch:03d}.safetensors".
    Folders whose names hold such fields are made; others must be there. Training does not begin,
    with ValueError or OSError, when the path is no such template or could not be written to.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        mode: Literal["min", "max"] = "min",
        save_best_only: bool = False,
        weights_only: bool = False,
    ) -> None:
        self.path = as_path(path)
        self._arguments = (monitor, mode, 0.0)
        self._best = _Best(*self._arguments)
        self.save_best_only = save_best_only
        self.weights_only = weights_only

    def on_train_begin(self) -> None:
        self._best = _Best(*self._arguments)
        if self.save_best_only:
            self._best.check_is_logged(self.model.logged_names)
        self._check_path()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.save_best_only and not self._best.improves(logs):
            return
        path = self.path.format(epoch=epoch, **logs)
        folder = os.path.dirname(path)
        if folder != _fixed_folder(self.path):
            os.makedirs(folder, exist_ok=True)
        self.model.save(path, weights_only=self.weights_only)

    def _check_path(self) -> None:
        names = self.model.logged_names
        try:
            path = self.path.format(epoch=0, **dict.fromkeys(names, 0.0))
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            problem = f"{self.path!r} cannot be filled in ({type(error).__name__}: {error})"
            known = ", ".join([EPOCH, *names])
            raise ValueError(f"ModelCheckpoint: {problem}; there are: {known}") from None
        if not os.path.basename(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), self.path)
        first, folder, fixed = path, os.path.dirname(path), _fixed_folder(self.path)
        names = []
        # Of folders that will be made, the first must be one that can be.
        while folder != fixed and not os.path.lexists(folder):
            names.append(os.path.basename(path))
            path, folder = folder, os.path.dirname(folder)
        check_writable(path)
        # What is in them must have names that are not too long, nor may the whole be.
        for possible in (first, *(os.path.join(folder, name) for name in names)):
            with contextlib.suppress(FileNotFoundError):
                os.lstat(possible)


def _fixed_folder(template: str) -> str:
    """The folder of a format string's files as far as it is the same for all of them."""
    text = ""
    for literal, field, _, _ in string.Formatter().parse(template):
        text += literal
        if field is not None:
            break
    return os.path.dirname(text)


class LearningRateSchedule(Callback):
    """Sets the learning rate before each epoch, or each batch, to what `schedule` says.

    A schedule maps the epoch, or the number of steps since epoch 0, to the rate.
    """

    def __init__(self, schedule: Schedule, per: Literal["epoch", "step"] = "epoch") -> None:
        if not is_one_of(per, ("epoch", "step")):
            raise ValueError(f"'epoch' or 'step' expected, not {shown(per)}")
        if not callable(schedule):
            raise TypeError(f"a schedule, which is called with a number, expected: {schedule!r}")
        self.schedule = schedule
        self.per = per

    def wants_batches(self) -> bool:
        return self.per == "step"

    def on_epoch_begin(self, epoch: int) -> None:
        if self.per == "epoch":
            self.model.learning_rate = self.schedule(epoch)

    def on_batch_begin(self, epoch: int, batch: int) -> None:
        if self.per == "step":
            step = epoch * self.model.steps_per_epoch + batch
            self.model.learning_rate = self.schedule(step)


class TerminateOnNaN(Callback):
    """Ends training, without an error, after a batch whose loss is not finite.

    The update of that batch has been made; `fit(nan_watch=True)` withholds it and raises.
    """

    def on_batch_end(self, epoch: int, batch: int, logs: Logs) -> None:
        if not math.isfinite(logs[LOSS]):
            self.model.stop_training = True
