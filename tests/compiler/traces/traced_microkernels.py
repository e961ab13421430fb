"""Microkernels, which are LLVM IR, stood for by what their docstrings say that they read, write and
compute."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from graphc.ir.nodes.op import Array
from graphc.kernels.loops.language.source import Microkernel
from graphc.kernels.products.microkernels.microkernel import padded_columns


def traced_microkernel(kernel: Microkernel) -> Any:
    """A function of the microkernel's arguments that touches and computes what it does."""
    if kernel.name.startswith("window_"):
        return _of_windows(kernel)
    form = re.fullmatch(
        r"(inner_|transpose_|copy_|)microkernel_\w+?_\d+x\d+(_by_|\w*)", kernel.name
    )
    assert form is not None, kernel.name
    along = re.search(r"_(a_rows|a_depth|b_depth)_by_", kernel.name)
    chosen = "" if along is None else along[1]

    def chosen_by(indices: Any, places: Array, axis: str) -> Array:
        return np.asarray(indices[places], np.int64) if axis == chosen else places

    def call(
        depth: int, a: Any, a_row: int, a_depth: int, b: Any, b_stride: int, c: Any, c_row: int,
        indices: Any = None, ahead: int = 0,
    ) -> None:  # fmt: skip
        steps, rows, columns = map(np.arange, (depth, kernel.rows, kernel.columns))
        if form[1] == "copy_":
            padded = np.zeros((depth, padded_columns(kernel.dtype, kernel.rows, kernel.lanes)))
            padded[:, : kernel.rows] = a[steps[:, None] * a_depth + rows]
            c[steps[:, None] * c_row + np.arange(padded.shape[1])] = padded
            return
        if form[1] == "transpose_":
            values = a[columns * a_row + steps[:, None]]
            width = -(-kernel.columns // kernel.lanes) * kernel.lanes
            padded = np.zeros((depth, width), values.dtype)
            padded[:, : kernel.columns] = values
            c[steps[:, None] * c_row + np.arange(width)] = padded
            return
        a_rows = chosen_by(indices, rows, "a_rows")[:, None] * a_row
        if chosen == "a_rows" and ahead:
            # What the next call reads is fetched.
            indices[rows + int(ahead)]
        a_steps = chosen_by(indices, steps, "a_depth") * (1 if form[1] else a_depth)
        left = a[a_rows + a_steps]
        if form[1] == "inner_":
            right = b[steps[:, None] + columns * b_stride]
        else:
            b_steps = chosen_by(indices, steps, "b_depth")
            right = b[b_steps[:, None] * b_stride + columns]
        with np.errstate(all="ignore"):
            c[rows[:, None] * c_row + columns] = left @ right

    return call


def _of_windows(kernel: Microkernel) -> Any:
    """Of the microkernel of windows: the outer axes of the depth, and where rows begin, are in its
    last argument; how rows are counted may be in its name instead."""
    form = re.fullmatch(r"window_microkernel_\w+?_\d+x\d+_in_(\d+)(?:_of_(\w+))?", kernel.name)
    assert form is not None, kernel.name
    outer_axes = int(form[1]) - 1
    begins = None if form[2] is None else _counted(form[2].replace("m", "-").split("_"))

    def call(
        depth: int, a: Any, a_row: int, a_depth: int, b: Any, b_stride: int, c: Any, c_row: int,
        places: Any, ahead: int,
    ) -> None:  # fmt: skip
        rows, columns = np.arange(kernel.rows), np.arange(kernel.columns)
        steps = np.arange(depth) * a_depth
        for axis in range(outer_axes):
            extent, stride = int(places[2 * axis]), int(places[2 * axis + 1])
            steps = (np.arange(extent)[:, None] * stride + steps).reshape(-1)
        a_rows = places[2 * outer_axes + rows] if begins is None else begins[: kernel.rows]
        left = a[np.asarray(a_rows, np.int64)[:, None] + steps]
        right = b[np.arange(steps.size)[:, None] * b_stride + columns]
        with np.errstate(all="ignore"):
            c[rows[:, None] * c_row + columns] = left @ right

    return call


def _counted(digits: list[str]) -> Array:
    """Where the rows begin that digits of so many steps and strides count, the slowest first."""
    found = np.zeros(1, np.int64)
    for digit in digits:
        extent, stride = map(int, digit.split("x"))
        found = (found[:, None] + np.arange(extent) * stride).reshape(-1)
    return found
