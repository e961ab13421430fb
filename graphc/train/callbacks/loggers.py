"""What was logged while training, for other tools: CSV files, TensorBoard's event files, plots."""

from __future__ import annotations

import csv
import io
import os
import time
import warnings
from collections.abc import Sequence
from typing import Any, TextIO

from graphc.errors import missing_extra
from graphc.ir.flags import checks_flags
from graphc.ir.given import as_path
from graphc.train.callbacks.callback import Callback, Logs
from graphc.train.callbacks.logged import EPOCH
from graphc.train.callbacks.plots import plot_curves

__all__ = ["CSVLogger", "TensorBoard", "plot_curves"]


class CSVLogger(Callback):
    """Writes a row an epoch: its number, then what is logged, in the order of the first epoch.

    append: rows are added to a file of the same columns, as when training goes on; a last line that
    has no end, which a killed process leaves, is removed with a warning. Training does not begin,
    with OSError or ValueError, when the file cannot be written or its columns are others: then it
    stays as it was.
    """

    @checks_flags
    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self.path = as_path(path)
        self.append = append
        self._file: TextIO | None = None
        self._columns: list[str] = []

    def on_train_begin(self) -> None:
        wanted = [EPOCH, *self.model.logged_names]
        found = _columns_to_go_on(self.path, wanted) if self.append else []
        self._columns = found or wanted
        # newline="": the csv module writes line ends itself.
        self._file = open(self.path, "a" if found else "w", newline="", encoding="utf-8")  # noqa: SIM115
        if not found:
            self._write(self._columns)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        row = {EPOCH: epoch, **logs}
        self._write([row[name] for name in self._columns])

    def on_train_end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, row: Sequence[object]) -> None:
        assert self._file is not None
        self._file.write(_line(row))
        self._file.flush()


def _columns_to_go_on(path: str, wanted: Sequence[str]) -> list[str]:
    """The columns of a CSV file to which rows may now be added; none where it has no row.

    Raises ValueError, with the file as it was, for other columns than those wanted, in any order.
    """
    if not os.path.exists(path):
        return []
    with open(path, "r+b") as file:
        content = file.read()
        end = content.rfind(b"\n") + 1
        whole, torn = (part.decode(errors="replace") for part in (content[:end], content[end:]))
        columns = next(csv.reader(whole.splitlines()), [])
        # A first line that has no end is a torn one only if it begins as it would.
        is_own = sorted(columns) == sorted(wanted) if columns else _line(wanted).startswith(torn)
        if not is_own:
            found = columns or next(csv.reader([torn]))
            raise ValueError(f"{path} has the columns {found}, not {list(wanted)}")
        if torn:
            warnings.warn(
                f"{path}: its last line, {torn!r}, has no end and is removed", stacklevel=2
            )
            file.truncate(end)
    return columns


def _line(row: Sequence[object]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(row)
    return text.getvalue()


class TensorBoard(Callback):
    """Writes what is logged, a scalar a name and epoch, as event files below `directory`.

    Names keep what stands before a slash as their group. Raises MissingExtraError without the
    extra `tensorboard`.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = as_path(directory)
        self._writer: Any = None

    def on_train_begin(self) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise missing_extra("TensorBoard's event files", "tensorboard") from error
        # The library's own names have seconds: the events of a run that is as short would be lost.
        suffix = f".{os.getpid()}.{time.time_ns()}"
        self._writer = SummaryWriter(self.directory, filename_suffix=suffix)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        for name, value in logs.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def on_train_end(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
