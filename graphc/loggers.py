"""What was logged while training, for other tools: CSV files, TensorBoard's event files, plots."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from graphc.callbacks import Callback, Logs
from graphc.logged import EPOCH, NORMS, VALIDATION, layer_and_kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOT_WIDTH_INCHES = 7.0
PLOT_ROW_INCHES = 2.6


class MissingExtraError(ImportError):
    """An optional library is not installed; the message names graphc's extra that has it."""


class CSVLogger(Callback):
    """Writes a row an epoch: its number, then what is logged, in the order of the first epoch.

    append: rows are added to a file of the same columns, as when training goes on. Raises OSError
    when the file cannot be written, ValueError when its columns are others.
    """

    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self.path = os.fspath(path)
        self.append = append
        self._file: TextIO | None = None
        self._columns: list[str] = []

    def on_train_begin(self) -> None:
        self._columns = _columns_of(self.path) if self.append else []
        # newline="": the csv module writes line ends itself.
        self._file = open(self.path, "a" if self._columns else "w", newline="", encoding="utf-8")  # noqa: SIM115

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        assert self._file is not None
        row = {EPOCH: epoch, **logs}
        writer = csv.writer(self._file)
        if not self._columns:
            self._columns = list(row)
            writer.writerow(self._columns)
        if set(row) != set(self._columns):
            raise ValueError(f"{self.path} has the columns {self._columns}, not {list(row)}")
        writer.writerow([row[name] for name in self._columns])
        self._file.flush()

    def on_train_end(self) -> None:
        if self._file is not None:
            self._file.close()


def _columns_of(path: str) -> list[str]:
    """The first row of a CSV file; empty where there is none."""
    if not os.path.exists(path):
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return next(csv.reader(file), [])


class TensorBoard(Callback):
    """Writes what is logged, a scalar a name and epoch, as event files below `directory`.

    Names keep what stands before a slash as their group. Raises MissingExtraError without the
    extra `tensorboard`.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = os.fspath(directory)
        self._writer: Any = None

    def on_train_begin(self) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise _missing("TensorBoard's event files", "tensorboard") from error
        self._writer = SummaryWriter(self.directory)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        for name, value in logs.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def on_train_end(self) -> None:
        if self._writer is not None:
            self._writer.close()


def plot_curves(epochs: Sequence[int], curves: Mapping[str, Sequence[float]]) -> Figure:
    """A figure with a plot for each quantity, below each other, over the number of the epoch.

    A quantity and its `val_...` share a plot, as do the layers' values of one kind. Norms have a
    logarithmic axis. Raises MissingExtraError without the extra `plot`.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise _missing("a plot", "plot") from error
    groups = _grouped(curves)
    size = (PLOT_WIDTH_INCHES, PLOT_ROW_INCHES * max(len(groups), 1))
    figure = Figure(figsize=size, layout="constrained")
    for position, (title, names) in enumerate(groups.items(), 1):
        axes = figure.add_subplot(len(groups), 1, position)
        for name in names:
            label = layer_and_kind(name)[0] or name
            axes.plot(epochs, curves[name], label=label, marker="." if len(epochs) == 1 else "")
        if _is_norm(names[0]):
            axes.set_yscale("log")
        axes.set_ylabel(title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        if len(names) > 1:
            axes.legend(fontsize="small")
    if groups:
        axes.set_xlabel(EPOCH)
    return figure


def _grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """The names that share a plot, by what stands beside its axis."""
    groups: dict[str, list[str]] = {}
    for name in names:
        layer, kind = layer_and_kind(name)
        groups.setdefault(kind if layer else name.removeprefix(VALIDATION), []).append(name)
    return groups


def _is_norm(name: str) -> bool:
    layer, kind = layer_and_kind(name)
    return bool(layer) and kind in NORMS


def _missing(what: str, extra: str) -> MissingExtraError:
    return MissingExtraError(f"{what} needs the extra {extra!r}: pip install 'graphc[{extra}]'")
