"""Kinds of op attributes: how a static parameter is checked, printed and read."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.arguments.given import as_integer, as_number, shown
from graphc.ir.dims import Dim, Extent
from graphc.ir.types import DType, as_dtype, as_shape, bind_places, bind_shape, shape_text


@dataclass(frozen=True)
class AttributeKind:
    """`check` turns what a caller gave into the stored value; `show` and `read` are the text form
    and its inverse. `key` makes of a value what compares and hashes as it: nodes are interned by
    keys. `bind` puts the extents of named dimensions into a value of a kind that may hold open
    ones. `deeper` gives the value for operands that have one more axis in front, of an extent; None
    for a kind that may mean an axis here and a number there."""

    name: str
    check: Callable[[Any], Any]
    show: Callable[[Any], str]
    read: Callable[[str], Any]
    key: Callable[[Any], Any] = lambda value: value
    bind: Callable[[Any, Mapping[str, int]], Any] | None = None
    deeper: Callable[[Any, Extent], Any] | None = lambda value, extent: value


class Literal:
    """A constant array that compares and hashes by its bytes, so that equal constants intern."""

    __slots__ = ("_key", "array")

    def __init__(self, value: object, dtype: DType | None = None) -> None:
        array = np.array(value, dtype=dtype.numpy if dtype else None, order="C")
        if array.dtype.kind == "f":
            array[np.isnan(array)] = np.nan  # one NaN alone, for the bytes to compare
        array.setflags(write=False)
        self.array = array
        self._key = (array.dtype.str, array.shape, array.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return _show_literal(self)


def _show_number(value: Any) -> str:
    if isinstance(value, list):
        return f"[{','.join(map(_show_number, value))}]"
    return repr(value)


def _show_literal(literal: Literal) -> str:
    return f"{as_dtype(literal.array.dtype)}{_show_shape(literal.array.shape)}" + (
        f"={_show_number(literal.array.ravel().tolist())}"
        if literal.array.ndim
        else f"={_show_number(literal.array.tolist())}"
    )


def _read_numbers(text: str) -> Any:
    """A number, or several in one pair of brackets."""
    if not text.startswith("["):
        return _read_number(text)
    inner = text[1:-1]
    return [_read_number(item) for item in inner.split(",")] if inner else []


def _read_number(text: str) -> bool | int | float:
    if text in ("True", "False"):
        return text == "True"
    return float(text) if any(c in text for c in ".en") else int(text)


def _read_literal(text: str) -> Literal:
    head, _, value = text.partition("=")
    dtype, _, extents = head.partition("[")
    shape = tuple(int(extent) for extent in extents[:-1].split(",") if extent)
    return Literal(np.reshape(_read_numbers(value), shape), as_dtype(dtype))


def _show_shape(shape: Any) -> str:
    return shape_text(shape)


def _read_shape(text: str) -> Any:
    extents = [part for part in text[1:-1].split(",") if part]
    return as_shape([_read_extent(part) for part in extents])


def _read_extent(text: str) -> Extent:
    return int(text) if text.lstrip("-").isdigit() else Dim(text)


def _as_extent(extent: Any) -> Extent:
    return extent if isinstance(extent, Dim) else _as_whole(extent)


def _as_places(places: Any) -> tuple[Extent, ...]:
    return tuple(_as_extent(place) for place in places)


def _read_places(text: str) -> tuple[Extent, ...]:
    return tuple(_read_extent(part) for part in text[1:-1].split(",") if part)


def _read_axes(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text[1:-1].split(",") if part)


def _show_axes(axes: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, axes))}]"


def _as_axes(axes: Any) -> tuple[int, ...]:
    return tuple(_as_whole(axis) for axis in axes)


def _read_bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"true or false expected, not {text!r}")
    return text == "true"


def _as_whole(value: Any) -> int:
    """An integer that fits a register. Raises TypeError for what is none, ValueError beyond."""
    number = as_integer(value)
    if abs(number) > sys.maxsize:
        raise ValueError(f"an integer of 64 bits expected, not {number}")
    return number


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text expected, not {shown(value)}")
    return str(value)


def as_rate(value: Any) -> float:
    """A probability below 1. Raises ValueError for other numbers."""
    rate = as_number(value)
    if not 0 <= rate < 1:
        raise ValueError(f"a share of at least 0 and less than 1 expected, not {rate!r}")
    return rate


AXES = AttributeKind(
    "axes", _as_axes, _show_axes, _read_axes,
    deeper=lambda axes, extent: tuple(axis + 1 for axis in axes),
)  # fmt: skip
AXIS = AttributeKind("axis", _as_whole, str, int, deeper=lambda axis, extent: axis + 1)
# All axes in a new order.
ORDER = AttributeKind(
    "order", _as_axes, _show_axes, _read_axes,
    deeper=lambda axes, extent: (0, *(axis + 1 for axis in axes)),
)  # fmt: skip
# From one element to the next that is taken, along each axis.
STEPS = AttributeKind(
    "steps", _as_axes, _show_axes, _read_axes, deeper=lambda steps, extent: (1, *steps)
)
# One for each of some axes, which another attribute names.
NUMBERS = AttributeKind("numbers", _as_axes, _show_axes, _read_axes)
SHAPE = AttributeKind(
    "shape", as_shape, _show_shape, _read_shape, bind=bind_shape,
    deeper=lambda shape, extent: (extent, *shape),
)  # fmt: skip
# Where along each axis something begins; beside open extents that may be open too.
PLACES = AttributeKind(
    "places", _as_places, _show_shape, _read_places, bind=bind_places,
    deeper=lambda places, extent: (0, *places),
)  # fmt: skip
EXTENT = AttributeKind(
    "extent", _as_extent, str, _read_extent, bind=lambda extent, at: bind_shape((extent,), at)[0]
)
DTYPE = AttributeKind("dtype", as_dtype, str, as_dtype)
COUNT = AttributeKind("count", _as_whole, str, int)
INT = AttributeKind("int", _as_whole, str, int, deeper=None)
# A number that counts no axes.
COUNT = AttributeKind("count", _as_whole, str, int)
# By their bits: 0.0 and -0.0 are equal numbers, NaN is not equal to itself.
FLOAT = AttributeKind("float", as_number, repr, float, key=float.hex)

RATE = AttributeKind("rate", as_rate, repr, float, key=float.hex)
BOOL = AttributeKind("bool", bool, lambda value: str(value).lower(), _read_bool)
STRING = AttributeKind("string", _as_text, lambda value: repr(str(value)), ast.literal_eval)
LITERAL = AttributeKind(
    "literal",
    lambda value: value if isinstance(value, Literal) else Literal(value),
    _show_literal,
    _read_literal,
)
