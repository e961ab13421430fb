"""Cases of leaves, reductions and products."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from graphc.ir.functions import build
from graphc.testing.cases import (
    BATCH,
    BYTES,
    FLOAT,
    PLAIN,
    REVERSED,
    STEPPED,
    TRANSPOSED,
    Case,
    Layout,
    Operand,
    Sampler,
    apart,
    bools,
    case_name,
    integers,
    special,
    spread,
)

# An index of 35 elements as it is read beside a tensor of (5, 7); `to` is numpy or
# `graphc.ir.functions.build`.
INDEX_READERS: Mapping[str, Callable[[Any, Any, Any], Any]] = {
    "whole": lambda to, x, index: x + to.reshape(index, (5, 7)),
    "transposed": lambda to, x, index: x + to.reshape(index, (7, 5)).T,
    "stepped": lambda to, x, index: x + index[1:15:2],
    "backwards": lambda to, x, index: x + to.reshape(index[::-1], (5, 7)),
    "rows": lambda to, x, index: x + to.reshape(index[::7], (5, 1)),
    "epilogue": lambda to, x, index: x @ x.T + to.reshape(index[:25], (5, 5)).T,
    "reduced": lambda to, x, index: to.sum(x * to.reshape(index / 32, (5, 7))),
}


def _leaf_cases() -> Iterator[Case]:
    for dtype, sample in (
        (FLOAT, spread),
        ("i32", integers(-5, 5)),
        ("u8", BYTES),
        ("bool", bools),
    ):
        for op, is_state in (("input", False), ("state", True)):
            for shape in (), (0,), (1,), (17,), (2, 3, 1, 2):
                yield Case(
                    op, case_name(dtype, shape),
                    (Operand(shape, dtype, sample, is_state=is_state),),
                    expect=lambda x: x, build=lambda graph, operands, dtype: operands[0],
                )  # fmt: skip
    yield Case(
        "input", "open", (Operand(("batch", 2)),), expect=lambda x: x, bindings=BATCH,
        build=lambda graph, operands, dtype: operands[0],
    )  # fmt: skip
    for value in (0.0, -1.5, [], [1.0], [[1.0, 2.0, 3.0], [4.0, np.inf, np.nan]]):
        yield Case(
            "constant", case_name("float", np.shape(value), str(value)[:4].strip("[]")), (),
            expect=lambda value=value: np.array(value, float),
            build=lambda graph, operands, dtype, value=value: graph.constant(value, dtype),
        )  # fmt: skip
    for value, kind in ((7, "i64"), ([1, -2], "i32"), ([0, 255], "u8"), ([True, False], "bool")):
        yield Case(
            "constant", kind, (), expect=lambda value=value: np.array(value),
            build=lambda graph, operands, dtype, v=value, k=kind: graph.constant(v, k),
        )  # fmt: skip
    for extents, count in (((), 1), (("batch",), 3), (("batch", 4), 12), ((0, "batch"), 0)):
        for dtype in (FLOAT, "i64"):
            yield Case(
                "extent", case_name(dtype, extents), (), {"shape": extents, "dtype": dtype},
                expect=lambda count=count: np.array(count), bindings=BATCH,
            )  # fmt: skip
    for length, dtype in itertools.product((0, 1, 17, "batch"), (FLOAT, "i32", "i64")):
        yield Case(
            "iota", case_name(dtype, length), (), {"shape": (length,), "dtype": dtype},
            expect=lambda n=length: np.array(list(range(BATCH.get(n, n)))), bindings=BATCH,
        )  # fmt: skip
    for shape in (), (1, 1), (0, 2), (5, 3), ("batch", 17), (2, 1, 3):
        extents = tuple(BATCH.get(extent, extent) for extent in shape)
        yield Case(
            "iota", case_name(shape), (), {"shape": shape, "dtype": "i32"},
            expect=lambda e=extents: np.reshape([n for n, _ in enumerate(np.ndindex(e))], e),
            bindings=BATCH,
        )  # fmt: skip
    for name, read in INDEX_READERS.items():
        yield Case(
            "iota", name, (Operand((5, 7)),), reduction_length=35,
            expect=lambda x, read=read: read(np, x, np.arange(35.0)),
            build=lambda graph, operands, dtype, read=read: read(
                build, operands[0], graph.iota(35, dtype)
            ),
        )  # fmt: skip


# --- reductions ------------------------------------------------------------------------------

REDUCED: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((), ()), ((1,), (0,)), ((15,), (0,)), ((16,), (0,)), ((17,), (0,)), ((7,), (0,)), ((8,), (0,)),
    ((9,), (0,)), ((100,), (0,)), ((3, 5), ()), ((3, 17), (1,)), ((17, 3), (0,)), ((5, 4), (0, 1)),
    ((5, 1), (1,)), ((2, 3, 4), (1,)), ((2, 3, 4), (0, 2)), ((2, 3, 2, 4), (1, 3)), ((3, 0), (0,)),
    ((2, 9, 15), (1,)), ((2, 9, 16), (1,)), ((2, 9, 17), (1,)), ((2, 9, 33), (1,)),
)  # fmt: skip


def _along(shape: tuple[int, ...], axes: tuple[int, ...], function: Callable[..., Any]) -> Any:
    """`function` of the list of elements that share the other indices."""

    def expect(x: np.ndarray) -> np.ndarray:
        kept = tuple(1 if axis in axes else extent for axis, extent in enumerate(x.shape))
        lists: dict[tuple[int, ...], list[Any]] = {place: [] for place in np.ndindex(*kept)}
        for place in np.ndindex(*x.shape):
            lists[tuple(0 if a in axes else i for a, i in enumerate(place))].append(x[place])
        return np.array([function(values) for values in lists.values()], x.dtype).reshape(kept)

    return expect


def _reduction_cases() -> Iterator[Case]:
    functions: dict[str, tuple[Callable[..., Any], Sampler]] = {
        "sum": (math.fsum, spread), "max": (max, apart), "min": (min, apart),
        "greatest": (max, apart), "least": (min, apart),
    }  # fmt: skip
    for op, (function, sample) in functions.items():

        def case(
            name: str, shape: Any, axes: Any, dtype: str = FLOAT, layout: Layout = PLAIN,
            *, op: str = op, function: Any = function, sample: Sampler = sample, **options: Any,
        ) -> Case:  # fmt: skip
            operand = Operand(shape, dtype, sample if dtype == FLOAT else integers(-9, 9), layout)
            of = function if dtype == FLOAT or op != "sum" else sum
            return Case(
                op, name, (operand,), {"axes": axes}, _along(shape, axes, of),
                reduction_length=100, **options,
            )  # fmt: skip

        for shape, axes in REDUCED:
            yield case(case_name(shape, axes), shape, axes)
        yield case("transposed", (4, 17), (1,), layout=TRANSPOSED)
        yield case("stepped", (3, 9), (1,), layout=STEPPED)
        yield case("reversed", (3, 9), (0,), layout=REVERSED)
        yield case("open_rows", ("batch", 4), (0,), bindings=BATCH)
        yield case("open_kept", ("batch", 4), (1,), bindings=BATCH)
        for dtype in ("i32", "i64"):
            yield case(dtype, (3, 17), (1,), dtype)
        yield Case(
            op, "special", (Operand((17, 3), sample=special),), {"axes": (0,)}, gradient=False
        )
        yield Case(
            op, "special_rows", (Operand((2, 9, 17), sample=special),), {"axes": (1,)},
            gradient=False,
        )  # fmt: skip
    yield Case(
        "sum", "empty", (Operand((0, 3)),), {"axes": (0,)}, lambda x: np.zeros((1, 3)),
    )  # fmt: skip


# --- products --------------------------------------------------------------------------------

# batch of x, rows, depth, columns, batch of y
PRODUCTS: tuple[tuple[Any, Any, Any, Any, Any], ...] = (
    ((), 1, 1, 1, ()), ((), 3, 4, 5, ()), ((), 15, 16, 17, ()), ((), 17, 9, 15, ()),
    ((), 7, 1, 8, ()),
    ((), 1, 33, 1, ()), ((), 0, 3, 4, ()), ((), 3, 0, 4, ()), ((2,), 3, 4, 5, (2,)),
    ((2,), 3, 4, 5, ()),
    ((), 3, 4, 5, (2,)), ((2, 1), 3, 4, 2, (3,)), ((1,), 2, 3, 2, (4,)), ((), "batch", 4, 5, ()),
    (("batch",), 2, 4, 3, ("batch",)), (("batch",), 2, 4, 3, ()), ((), 4, 5, "batch", ()),
)  # fmt: skip


def _product_expected(transpose_x: bool, transpose_y: bool) -> Callable[[Any, Any], Any]:
    left, right = "ki" if transpose_x else "ik", "jk" if transpose_y else "kj"
    return lambda x, y: np.einsum(f"...{left},...{right}->...ij", x, y)


def _matmul_cases() -> Iterator[Case]:
    for batch_x, rows, depth, columns, batch_y in PRODUCTS:
        both = rows in (3, 15, "batch") and depth != 0
        for tx, ty in itertools.product((False, True), repeat=2) if both else ((False, False),):
            x = (*batch_x, depth, rows) if tx else (*batch_x, rows, depth)
            y = (*batch_y, columns, depth) if ty else (*batch_y, depth, columns)
            yield Case(
                "matmul", case_name(x, y, "t" * tx + "n" * (not tx) + "t" * ty + "n" * (not ty)),
                (Operand(x), Operand(y)), {"transpose_x": tx, "transpose_y": ty},
                _product_expected(tx, ty), bindings=BATCH, reduction_length=64,
            )  # fmt: skip
    for layout in (TRANSPOSED, STEPPED, REVERSED):
        operands = (Operand((7, 9), layout=layout), Operand((9, 8), layout=layout))
        yield Case(
            "matmul", layout.name, operands, {"transpose_x": False, "transpose_y": False},
            _product_expected(False, False), reduction_length=16,
        )  # fmt: skip


TENSOR_CASES: tuple[Case, ...] = (
    *_leaf_cases(), *_reduction_cases(), *_matmul_cases(),
)  # fmt: skip
