"""Cases of windows, and of what adds them up again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.windows import add_windows, windows
from graphc.testing.cases import (
    BATCH,
    FLOAT,
    REVERSED,
    TRANSPOSED,
    Case,
    ErrorCase,
    Operand,
    case_name,
    integers,
    special,
    spread,
)  # fmt: skip

# shape, axes, sizes, strides, dilations
WINDOWS: tuple[tuple[Any, ...], ...] = (
    ((17,), (0,), (3,), (1,), (1,)),
    ((15,), (0,), (2,), (3,), (1,)),
    ((14,), (0,), (3,), (4,), (2,)),
    ((3, 6, 17), (1,), (3,), (1,), (2,)),
    ((0, 6, 1), (1,), (3,), (2,), (1,)),
    ((2, 7, 6, 16), (1, 2), (3, 2), (2, 2), (1, 1)),
    ((2, 4, 1, 5, 2), (1, 2, 3), (2, 1, 3), (2, 1, 1), (1, 1, 2)),
    (("batch", 5, 2), (1,), (2,), (1,), (1,)),
)  # fmt: skip


def _places(case: tuple[Any, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Each element of the windows, and the element of the whole that it is."""
    shape, axes, sizes, strides, dilations = case
    ranges: list[list[tuple[tuple[int, ...], int]]] = []
    for axis, extent in enumerate(BATCH.get(e, e) for e in shape):
        if axis not in axes:
            ranges.append([((i,), i) for i in range(extent)])
            continue
        size, stride, gap = (each[axes.index(axis)] for each in (sizes, strides, dilations))
        ranges.append(
            [
                ((p, w), p * stride + w * gap)
                for p in range(extent)
                if p * stride + (size - 1) * gap < extent
                for w in range(size)
            ]
        )
    for found in itertools.product(*ranges):
        yield sum((window for window, _ in found), ()), tuple(place for _, place in found)


def _shape_of_windows(case: tuple[Any, ...]) -> tuple[Any, ...]:
    shape, axes, sizes, strides, dilations = case
    made: list[Any] = []
    for axis, extent in enumerate(shape):
        if axis in axes:
            size, stride, gap = (each[axes.index(axis)] for each in (sizes, strides, dilations))
            made += [len(range(0, extent - (size - 1) * gap, stride)), size]
        else:
            made.append(extent)
    return tuple(made)


def _bound(shape: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(BATCH.get(extent, extent) for extent in shape)


def _slid(case: tuple[Any, ...]) -> Any:
    def expect(x: Any) -> Any:
        value = np.empty(_bound(_shape_of_windows(case)), x.dtype)
        for window, place in _places(case):
            value[window] = x[place]
        return value

    return expect


def _added(case: tuple[Any, ...]) -> Any:
    def expect(x: Any) -> Any:
        value = np.zeros(_bound(case[0]), x.dtype)
        for window, place in _places(case):
            value[place] += x[window]
        return value

    return expect


def _cases() -> Iterator[Case]:
    for given in WINDOWS:
        shape, axes, sizes, strides, dilations = given
        steps = {"axes": axes, "strides": strides, "dilations": dilations}
        name = case_name(shape, axes, sizes, strides, dilations)
        kinds = [(FLOAT, spread)]
        if shape == (17,):
            kinds += [("i64", integers(-9, 9))]
        for dtype, sample in kinds:
            yield Case(
                "windows", case_name(name, dtype), (Operand(shape, dtype, sample),),
                {**steps, "sizes": sizes}, _slid(given), bindings=BATCH, reduction_length=12,
            )  # fmt: skip
            operand = Operand(_shape_of_windows(given), dtype, sample)
            yield Case(
                "add_windows", case_name(name, dtype), (operand,), {**steps, "shape": shape},
                _added(given), bindings=BATCH, reduction_length=12,
            )  # fmt: skip
    one = ((5, 7), (1,), (3,), (2,), (1,))
    steps = {"axes": (1,), "strides": (2,), "dilations": (1,)}
    for layout in (TRANSPOSED, REVERSED):
        yield Case(
            "windows", layout.name, (Operand((5, 7), layout=layout),), {**steps, "sizes": (3,)},
            _slid(one), reduction_length=3,
        )  # fmt: skip
        yield Case(
            "add_windows", layout.name, (Operand((5, 3, 3), layout=layout),),
            {**steps, "shape": (5, 7)}, _added(one), reduction_length=3,
        )  # fmt: skip
    for op, shape, attribute in (
        ("windows", (5, 7), {"sizes": (3,)}),
        ("add_windows", (5, 3, 3), {"shape": (5, 7)}),
    ):
        yield Case(
            op, "special", (Operand(shape, sample=special),), {**steps, **attribute},
            gradient=False,
        )  # fmt: skip
    yield Case(
        "windows", "bool", (Operand((9,), "bool", integers(0, 2)),),
        {"axes": (0,), "sizes": (2,), "strides": (1,), "dilations": (1,)},
        _slid(((9,), (0,), (2,), (1,), (1,))),
    )  # fmt: skip


def _windows(
    graph: Graph,
    shape: Any = (3, 7),
    axes: Any = (1,),
    size: int = 3,
    stride: int = 1,
    gap: int = 1,
) -> Node:
    x = graph.input("x", shape)
    count = len(axes)
    return windows(
        x, axes=axes, sizes=(size,) * count, strides=(stride,) * count, dilations=(gap,) * count
    )


def _add(
    graph: Graph, given: Any, shape: Any = (3, 7), axes: Any = (1,), dtype: str = "f32"
) -> Node:
    x = graph.input("x", given, dtype)
    return add_windows(x, shape=shape, axes=axes, strides=(1,), dilations=(1,))


WINDOW_ERRORS = (
    ErrorCase("windows", "too_large", lambda g: _windows(g, size=8), ShapeError,
              r"^windows\(f32\[3,7\]\): a window over 8 elements does not fit into the 7 of"),
    ErrorCase("windows", "too_far", lambda g: _windows(g, gap=4), ShapeError, "over 9 elements"),
    ErrorCase("windows", "open", lambda g: _windows(g, (3, "n")), ShapeError, "n of axis 1"),
    ErrorCase("windows", "stride", lambda g: _windows(g, stride=0), ShapeError, "at least 1"),
    ErrorCase("windows", "order", lambda g: _windows(g, axes=(1, 0)), ShapeError, "sorted axes"),
    ErrorCase("windows", "sizes",
              lambda g: windows(g.input("x", (3,)), axes=(0,), sizes=(), strides=(), dilations=()),
              ShapeError, "a size, stride and dilation for each"),
    ErrorCase("add_windows", "rank", lambda g: _add(g, (3, 5)), ShapeError,
              r"^add_windows\(f32\[3,5\]\): positions and elements .* 3 axes in all"),
    ErrorCase("add_windows", "positions", lambda g: _add(g, (3, 4, 3)), ShapeError,
              r"f32\[3,5,3\] expected, which are the windows of f32\[3,7\]"),
    ErrorCase("add_windows", "too_large", lambda g: _add(g, (3, 1, 9)), ShapeError, "not fit"),
    ErrorCase("add_windows", "order", lambda g: _add(g, (3, 5, 3), axes=(2,)), ShapeError,
              "axis 2 is outside rank 2"),
    ErrorCase("add_windows", "bytes", lambda g: _add(g, (3, 5, 3), dtype="u8"), DTypeError, "u8"),
)  # fmt: skip

WINDOW_CASES: tuple[Case, ...] = tuple(_cases())
