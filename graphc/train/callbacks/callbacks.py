"""What a user hooks into training: early stopping, checkpoints, rates, a stop at NaN, functions."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import string
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np

from graphc.declare.hyperparameters import check_count, check_number
from graphc.declare.schedules import Schedule
from graphc.files.whole_file import check_writable
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.arguments.given import as_path, is_one_of, shown
from graphc.train.callbacks.callback import Callback, Logs
from graphc.train.callbacks.logged import EPOCH, LOSS

__all__ = [
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateSchedule",
    "Logs",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
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
    None. Raises ValueError for a patience or `min_delta` that is negative, NaN or infinite,
    TypeError for a patience that is no integer.
    """

    @checks_flags
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
        check_count("patience", patience)
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

    @checks_flags
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

    A schedule maps the epoch, or the number of updates since epoch 0, to the rate. An update is
    made by each batch, or by several where the optimizer accumulates gradients.
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
            self.model.learning_rate = self.schedule(step // self.model.batches_per_update)


class TerminateOnNaN(Callback):
    """Ends training, without an error, after a batch whose loss is not finite.

    The update of that batch has been made; `fit(nan_watch=True)` withholds it and raises.
    """

    def on_batch_end(self, epoch: int, batch: int, logs: Logs) -> None:
        if not math.isfinite(logs[LOSS]):
            self.model.stop_training = True


class ReduceLROnPlateau(Callback):
    """Multiplies the learning rate by `factor` when `monitor` has not improved for long.

    Arguments and behaviour are Keras's: `gc.callbacks.ReduceLROnPlateau("val_loss", factor=0.2)`.
    An improvement is one by more than `min_delta`; NaN is none. After a reduction `cooldown` epochs
    pass before epochs are counted again. The rate does not fall below `min_lr`. Training does not
    begin, with ValueError, when `monitor` is not logged. Raises ValueError for a factor that is not
    from 0 to less than 1, another mode, and numbers that are negative, NaN or infinite, TypeError
    for a patience or cooldown that is no integer.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        mode: Literal["min", "max"] = "min",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        self._arguments = (monitor, mode, min_delta)
        self._best = _Best(*self._arguments)
        for name, number in (("factor", factor), ("min_lr", min_lr)):
            check_number(name, number, least=0)
        check_count("patience", patience)
        check_count("cooldown", cooldown)
        if factor >= 1:
            raise ValueError(f"factor: less than 1 expected, not {factor}")
        self.factor = factor
        self.patience = patience
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._waited = 0
        self._cooling = 0

    def on_train_begin(self) -> None:
        self._best = _Best(*self._arguments)
        self._best.check_is_logged(self.model.logged_names)
        self._waited = self._cooling = 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        is_better = self._best.improves(logs)
        if self._cooling > 0:
            self._cooling -= 1
            self._waited = 0
        if is_better:
            self._waited = 0
        elif self._cooling == 0:
            self._waited += 1
            if self._waited >= self.patience:
                self._reduce()

    def _reduce(self) -> None:
        rate = self.model.learning_rate
        if rate > self.min_lr:
            self.model.learning_rate = max(rate * self.factor, self.min_lr)
            self._cooling = self.cooldown
            self._waited = 0


class LambdaCallback(Callback):
    """Calls functions of yours: `LambdaCallback(on_epoch_end=lambda epoch, logs: print(logs))`.

    Each is given what the hook of that name in `Callback` is. Steps run in native code unless there
    is one for batches. Raises TypeError for what cannot be called.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[[int], object] | None = None,
        on_epoch_end: Callable[[int, Logs], object] | None = None,
        on_train_begin: Callable[[], object] | None = None,
        on_train_end: Callable[[], object] | None = None,
        on_batch_begin: Callable[[int, int], object] | None = None,
        on_batch_end: Callable[[int, int, Logs], object] | None = None,
    ) -> None:
        self._functions: dict[str, Callable[..., object]] = {}
        for name, function in (
            ("on_epoch_begin", on_epoch_begin), ("on_epoch_end", on_epoch_end),
            ("on_train_begin", on_train_begin), ("on_train_end", on_train_end),
            ("on_batch_begin", on_batch_begin), ("on_batch_end", on_batch_end),
        ):  # fmt: skip
            if function is not None and not callable(function):
                raise TypeError(f"LambdaCallback: {name}: a function expected: {function!r}")
            if function is not None:
                self._functions[name] = function

    def wants_batches(self) -> bool:
        return "on_batch_begin" in self._functions or "on_batch_end" in self._functions

    def on_train_begin(self) -> None:
        self._call("on_train_begin")

    def on_train_end(self) -> None:
        self._call("on_train_end")

    def on_epoch_begin(self, epoch: int) -> None:
        self._call("on_epoch_begin", epoch)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._call("on_epoch_end", epoch, logs)

    def on_batch_begin(self, epoch: int, batch: int) -> None:
        self._call("on_batch_begin", epoch, batch)

    def on_batch_end(self, epoch: int, batch: int, logs: Logs) -> None:
        self._call("on_batch_end", epoch, batch, logs)

    def _call(self, hook: str, *arguments: object) -> None:
        function = self._functions.get(hook)
        if function is not None:
            function(*arguments)
