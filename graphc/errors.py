"""Every error that graphc raises of its own; what a graph raises while declared is in graphc.ir."""

from graphc.ir.errors import (
    DTypeError,
    ForeignTensorError,
    GraphError,
    NotDifferentiableError,
    ShapeError,
)

__all__ = [
    "DTypeError",
    "DataError",
    "ForeignTensorError",
    "GraphError",
    "NotCompiledError",
    "NotDifferentiableError",
    "NotFiniteError",
    "ShapeError",
    "VariableError",
]


class DataError(ValueError):
    """Arrays or files that do not fit what the network declares; nothing was run."""


class VariableError(ValueError):
    """A state that does not exist, has no value, or a value that does not fit; nothing changed."""


class NotCompiledError(RuntimeError):
    """A model that must be compiled with an optimizer first."""


class NotFiniteError(FloatingPointError):
    """A loss or an update that is NaN or infinite, where watching for it was asked."""
