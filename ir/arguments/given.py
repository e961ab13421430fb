"""Tensors, numbers and arrays as callers give them, checked where they come in."""

from __future__ import annotations

import operator
import os
import reprlib
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from graphc.ir.nodes.location import callers_location, located

Array = np.ndarray[Any, np.dtype[Any]]

_SHOWN = reprlib.Repr()
_SHOWN.maxother = _SHOWN.maxstring = 80


def shown(value: object) -> str:
    """`value` as messages quote it: in one line, cut where it is long."""
    return " ".join(_SHOWN.repr(value).split())


def is_tensor(value: object) -> bool:
    """Whether `value` is a node of a graph."""
    return hasattr(value, "graph") and hasattr(value, "operands")


def check_tensors(name: str, *values: object) -> None:
    """Raises TypeError, which begins with `name`, for what is no tensor."""
    for value in values:
        if not is_tensor(value):
            problem = f"{name}: a tensor of a graph expected, not {shown(value)}"
            raise TypeError(located(problem, callers_location()))


def check_flag(name: str, value: object) -> None:
    """Raises TypeError, which begins with `name`, unless `value` is True or False."""
    if not isinstance(value, bool | np.bool_):
        problem = f"{name}: True or False expected, not {shown(value)}"
        raise TypeError(located(problem, callers_location()))


def as_integer(value: Any) -> int:
    """A whole number of Python or of numpy. Raises TypeError for all else, True and 1.0 too."""
    if not isinstance(value, bool | np.bool_):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"an integer expected, not {shown(value)}")


def as_number(value: Any) -> float:
    """A real number of Python or of numpy, whose arrays of rank 0 are numbers too. Raises TypeError
    for all else, True and integers beyond f64 too."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise TypeError(f"a number of f64 expected, not {shown(value)}") from None
    raise TypeError(f"a number expected, not {shown(value)}")


def is_one_of(value: object, choices: Collection[str]) -> bool:
    """Whether `value` is a text among `choices`: an array would compare each of its elements."""
    return isinstance(value, str) and value in choices


def as_path(value: Any) -> str:
    """A path as text. Raises TypeError for what is none, ValueError where it holds a zero byte."""
    if not isinstance(value, str | bytes | os.PathLike):
        raise TypeError(f"a path expected, not {shown(value)}")
    path = os.fsdecode(value)
    if "\0" in path:
        raise ValueError(f"a path has no zero byte, as {shown(path)} has")
    return path


def as_array(value: Any) -> Array:
    """An array, or what numpy makes one of, such as nested lists of numbers.

    Raises TypeError for masked arrays, lists that hold one, and all that is not made of bools,
    integers and floats; ValueError for lists of different lengths.
    """
    if type(value) is np.ndarray and value.dtype.kind in "biuf":
        return value
    for part in _parts(value):
        if isinstance(part, np.ma.MaskedArray):
            problem = "a masked array would lose its mask; say what stands there with filled()"
            raise TypeError(problem)
        if is_tensor(part):
            raise TypeError(f"an array of numbers expected, not one that holds the tensor {part!r}")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"no array can be made of {shown(value)}: {error}") from None
    except Exception as error:  # whatever the object's own conversion raises
        raise TypeError(f"no array can be made of {shown(value)}: {error}") from error
    if array.dtype.kind in "biuf":
        return array
    if hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray | np.generic):
        made = "numpy.from_dlpack makes an array of it"
        raise TypeError(f"an array expected, not {shown(value)}; {made}")
    given = shown(value) if array.ndim == 0 else f"an array of dtype {array.dtype}"
    raise TypeError(f"bools, integers or floats expected, not {given}")


def _parts(value: Any) -> Iterator[Any]:
    """`value` itself, or what nested lists are made of."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from _parts(part)
    else:
        yield value
