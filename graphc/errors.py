"""Every error that graphc raises of its own; what a graph raises while declared is in graphc.ir."""

from __future__ import annotations

from graphc.ir.errors import (
    DTypeError,
    ForeignTensorError,
    GraphError,
    NotDifferentiableError,
    ShapeError,
)
from graphc.kernels.host.settings import SettingError
from graphc.kernels.run.gate import InterruptedCallError
from graphc.nan_report import NanReport

__all__ = [
    "DTypeError",
    "DataError",
    "ForeignTensorError",
    "GraphError",
    "InterruptedCallError",
    "ManySizesWarning",
    "MissingExtraError",
    "ModelFileError",
    "NotCompiledError",
    "NotDifferentiableError",
    "NotFiniteError",
    "PlanTooLargeError",
    "SettingError",
    "ShapeError",
    "VariableError",
]


class DataError(ValueError):
    """Arrays or files that do not fit what the network declares; nothing was run."""


class ModelFileError(DataError):
    """A file that holds no model, or one that does not fit together; nothing was run."""


class VariableError(ValueError):
    """A state that does not exist, has no value, or a value that does not fit; nothing changed."""


class NotCompiledError(RuntimeError):
    """A model that must be compiled with an optimizer first."""


class NotFiniteError(FloatingPointError):
    """A loss or an update that is NaN or infinite, where watching for it was asked.

    report: what was not finite first, where that was asked too (`debug="nan"`), else None.
    """

    def __init__(self, message: str, report: NanReport | None = None) -> None:
        super().__init__(message if report is None else f"{message}\n{report}")
        self.report = report


class PlanTooLargeError(MemoryError):
    """A program that takes more memory than there is, or than is allowed; nothing was allocated."""


class ManySizesWarning(UserWarning):
    """A function that is called with arrays of many sizes, for each of which it is compiled."""


class MissingExtraError(ImportError):
    """An optional library is not installed; the message names graphc's extra that has it."""


def missing_extra(what: str, extra: str) -> MissingExtraError:
    """The error of what needs the libraries of an extra."""
    command = f"python -m pip install '.[{extra}]'"
    return MissingExtraError(f"{what} needs the extra {extra!r}: {command} in a clone of graphc")
