"""Slices that indices choose: read, added to and replaced."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphc.ir.arguments.checks import axis_of, problem_with
from graphc.ir.arguments.given import as_array, check_tensors, is_tensor
from graphc.ir.dims import Dim, Extent
from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.functions.arrays.shaping import broadcast_to, reshaped
from graphc.ir.nodes.op import Node
from graphc.ir.ops import leaf
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import indexed
from graphc.ir.types import i32, i64


def take(x: Any, indices: Any, axis: int | None = 0) -> Node:
    """Slices of `x` along `axis` chosen by integer `indices`, whose axes replace it; for None,
    which is numpy's default, elements of x in row-major order. An index below 0 counts from the
    end, as in numpy.

        rows = gc.take(table, labels)  # [n, 8], [batch] -> [batch, 8]

    Raises IndexError for numbers that are out of range; a tensor's are checked at each run.
    """
    if axis is None:
        check_tensors("take", x)
        return take(reshaped(x, (x.size,)), indices, 0)
    axis = axis_of(x, axis, "take")
    return indexed.take(x, indices_along(x, indices, axis, "take"), axis=axis)


def scatter_add(x: Any, indices: Any, values: Any, axis: int = 0) -> Node:
    """`x` with `values` added to its slices at `indices` along `axis`: `x[indices] += values` for
    axis 0, but an index that occurs twice is added to twice, as in np.add.at and torch's index_add.
    `values` stretch to the shape of `gc.take(x, indices, axis)`, of which this is the inverse.

    Raises IndexError as `take` does, ShapeError or DTypeError for values that do not fit.

        counts = gc.scatter_add(counts, labels, 1.0)
    """
    axis, index, slices = _scattered(x, indices, values, axis, "scatter_add")
    return indexed.index_add(x, slices, index, axis=axis)


def scatter_set(x: Any, indices: Any, values: Any, axis: int = 0) -> Node:
    """`x` with `values` in the place of its slices at `indices` along `axis`: `x[indices] = values`
    for axis 0; of an index that occurs twice the last value stays. Arguments and Raises as those of
    `scatter_add`.

        memory = gc.scatter_set(memory, slots, rows)
    """
    axis, index, slices = _scattered(x, indices, values, axis, "scatter_set")
    return indexed.index_set(x, slices, index, axis=axis)


def _scattered(x: Any, indices: Any, values: Any, axis: int, name: str) -> tuple[int, Node, Node]:
    """The axis from the front, the indices, and the values as slices of x."""
    axis = axis_of(x, axis, name)
    index = indices_along(x, indices, axis, name)
    if not index.dtype.is_integer:
        raise DTypeError(problem_with(name, x, f"integer indices expected, not {index.dtype}"))
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    try:
        given = values if is_tensor(values) else x.graph.constant(values, x.dtype)
        slices = broadcast_to(given, shape)
    except (ShapeError, DTypeError) as error:
        said = str(error).split("\n", 1)[0]
        raise type(error)(problem_with(name, x, f"values do not fit: {said}")) from None
    return axis, index, slices


def indices_along(x: Any, indices: Any, axis: int, name: str) -> Node:
    """Indices of `axis` counted from the front, where those below 0 count from the end."""
    extent: Extent = x.shape[axis]
    if not is_tensor(indices):
        least = -extent if isinstance(extent, int) else 0
        return constant_indices(x, indices, extent, name, least)
    if indices.dtype not in (i32, i64) or indices.viewed.op is leaf.iota:
        # Bytes and counts from 0 have no sign; what is no integer is left to the op to refuse.
        return indices
    if isinstance(extent, Dim) or extent > np.iinfo(indices.dtype.numpy).max:
        # More elements than an i32 counts.
        indices = indices if indices.dtype == i64 else ops.cast(indices, dtype=i64)
    return indexed.index_from_front(indices, limit=extent)


def constant_indices(x: Any, indices: Any, extent: Extent, name: str, least: int = 0) -> Node:
    """Indices given as numbers or an array, from `least` on, as an integer constant."""
    try:
        array = as_array(indices)
    except (TypeError, ValueError) as error:
        raise DTypeError(problem_with(name, x, str(error))) from None
    if array.size == 0:
        # An empty list is float to numpy.
        return x.graph.constant(array, "i64")
    if array.dtype.kind not in "iu":
        # A fraction stays one, for the op to refuse.
        return x.graph.constant(array)
    if isinstance(extent, int):
        if not (array.min() >= least and array.max() < extent):
            wrong = next(i for i in array.flat if not least <= i < extent)
            problem = f"index {wrong} is outside {least} to {extent - 1}"
            raise IndexError(problem_with(name, x, problem))
        array = np.where(array < 0, array + extent, array)
    return x.graph.constant(array, "i64")
