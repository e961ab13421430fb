"""What was logged while training, for other tools: CSV files, TensorBoard's event files, plots."""

from __future__ import annotations

import csv
import io
import os
import stat
import time
import warnings
from collections.abc import Sequence
from io import FileIO
from typing import Any

from graphc.errors import missing_extra
from graphc.files.whole_file import NEW_FILE_MODE
from graphc.ir.arguments.flags import checks_flags
from graphc.ir.arguments.given import as_path
from graphc.kernels.host.imports import whole_imports
from graphc.kernels.host.regular_file import open_regular
from graphc.train.callbacks.callback import Callback, Logs
from graphc.train.callbacks.logged import EPOCH
from graphc.train.callbacks.plots import plot_curves

__all__ = ["CSVLogger", "TensorBoard", "plot_curves"]


class CSVLogger(Callback):
    """Writes a row an epoch: its number, then what is logged, in the order of the first epoch.

    append: rows are added to a file of the same columns, as when training goes on; a last line that
    has no end, which a killed process leaves, is removed with a warning. Training does not begin,
    with OSError or ValueError, when the file cannot be written or its columns are others. Until it
    has begun the file stays as it was.
    """

    @checks_flags
    def __init__(self, path: str | os.PathLike[str], append: bool = False) -> None:
        self.path = as_path(path)
        self.append = append
        self._file: FileIO | None = None
        self._columns: list[str] = []
        # Of what the file has, so many bytes stay.
        self._kept = 0
        self._is_begun = False

    def on_train_begin(self) -> None:
        wanted = [EPOCH, *self.model.logged_names]
        found, self._kept = _columns_to_go_on(self.path, wanted) if self.append else ([], 0)
        self._columns = found or wanted
        self._file = _opened(self.path)
        self._is_begun = False

    def on_epoch_begin(self, epoch: int) -> None:
        # Not before: another callback may refuse the training, and the file stays as it was.
        if not self._is_begun:
            self._begin()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        row = {EPOCH: epoch, **logs}
        self._write([row[name] for name in self._columns])

    def on_train_end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self) -> None:
        assert self._file is not None
        self._is_begun = True
        if stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            self._file.truncate(self._kept)
        if not self._kept:
            self._write(self._columns)

    def _write(self, row: Sequence[object]) -> None:
        assert self._file is not None
        left = memoryview(_line(row).encode())
        while left:
            left = left[self._file.write(left) or 0 :]


def _opened(path: str) -> FileIO:
    """The file, at whose end is written; it is made unless it is there. A pipe that nobody reads is
    not waited for (OSError)."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
    no_waiting = getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | no_waiting, NEW_FILE_MODE)
    if no_waiting:
        os.set_blocking(descriptor, True)
    return FileIO(descriptor, "a")


def _columns_to_go_on(path: str, wanted: Sequence[str]) -> tuple[list[str], int]:
    """The columns of a CSV file to which rows may now be added, none where it has no row, and how
    many bytes of it are whole lines.

    Raises ValueError for other columns than those wanted, in any order.
    """
    if not os.path.exists(path):
        return [], 0
    with open_regular(path) as file:
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
        warnings.warn(f"{path}: its last line, {torn!r}, has no end and is removed", stacklevel=2)
    return columns, end if columns else 0


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
            with whole_imports():
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
