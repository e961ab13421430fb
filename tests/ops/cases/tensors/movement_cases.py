"""Cases of views, slices, concatenations, rows by index and ranges."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from graphc.ir.dims import Dim
from graphc.ir.types import as_shape, bind_shape
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
    bools,
    case_name,
    integers,
    spread,
)

ROWS: Any = Dim("batch")
KINDS = ((FLOAT, spread), ("i64", integers(-9, 9)), ("u8", BYTES), ("bool", bools))


def _in_order(shape: tuple[int, ...]) -> Callable[[Any], Any]:
    return lambda x: np.array([x[place] for place in np.ndindex(*x.shape)], x.dtype).reshape(shape)


def _view_cases() -> Iterator[Case]:
    reshaped: tuple[tuple[Any, Any, Layout], ...] = (
        ((6,), (2, 3), PLAIN), ((2, 3, 4), (4, 6), PLAIN), ((2, 3, 4), (2, 12), PLAIN),
        ((), (1, 1), PLAIN), ((1,), (), PLAIN), ((0, 3), (3, 0, 2), PLAIN),
        ((3, 4), (12,), TRANSPOSED), ((6, 4), (2, 3, 4), TRANSPOSED),
        ((4, 6), (4, 1, 2, 3), STEPPED),
        ((4, 6), (2, 12), REVERSED), ((2, 1, 9), (2, 3, 3), PLAIN),
    )  # fmt: skip
    for shape, wanted, layout in reshaped:
        for dtype, sample in KINDS if shape == (6,) else KINDS[:1]:
            operand = Operand(shape, dtype, sample, layout)
            yield Case(
                "reshape", case_name(shape, wanted, layout.name, dtype), (operand,),
                {"shape": wanted}, _in_order(wanted),
            )  # fmt: skip
    for wanted, bound in (
        (("batch", 8), (3, 8)), ((2, "batch", 4), (2, 3, 4)), ((ROWS * 2, 4), (6, 4)),
        ((ROWS * 8,), (24,)), ((2, ROWS * 4), (2, 12)),
    ):  # fmt: skip
        yield Case(
            "reshape", case_name("open", wanted), (Operand(("batch", 2, 4)),), {"shape": wanted},
            _in_order(bound), bindings=BATCH,
        )  # fmt: skip
    yield Case(
        "reshape", "split", (Operand((ROWS * 4, 2)),), {"shape": ("batch", 8)}, _in_order((3, 8)),
        bindings=BATCH,
    )  # fmt: skip
    permuted: tuple[tuple[Any, tuple[int, ...], Layout], ...] = (
        ((), (), PLAIN), ((5,), (0,), PLAIN), ((3, 5), (1, 0), PLAIN), ((16, 17), (1, 0), PLAIN),
        ((2, 3, 4), (2, 0, 1), PLAIN), ((2, 3, 4), (1, 2, 0), STEPPED), ((3, 0), (1, 0), PLAIN),
        ((2, 3, 1, 4), (3, 1, 0, 2), PLAIN), ((3, 4), (1, 0), TRANSPOSED),
        (("batch", 2, 4), (2, 0, 1), PLAIN),
    )  # fmt: skip
    for shape, axes, layout in permuted:
        letters = "abcd"[: len(shape)]
        equation = f"{letters}->{''.join(letters[axis] for axis in axes)}"
        for dtype, sample in KINDS if shape == (3, 5) else KINDS[:1]:
            yield Case(
                "transpose", case_name(shape, axes, layout.name, dtype),
                (Operand(shape, dtype, sample, layout),), {"axes": axes},
                lambda x, equation=equation: np.einsum(equation, x), bindings=BATCH,
            )  # fmt: skip
    stretched: tuple[tuple[Any, Any, Layout], ...] = (
        ((3,), (2, 3), PLAIN), ((), (17,), PLAIN), ((1,), (0,), PLAIN),
        ((2, 1, 3), (2, 4, 3), PLAIN),
        ((3, 1), (2, 3, 5), TRANSPOSED), ((1, 1), (1, 1), PLAIN), ((2,), (3, 2, 1, 2), PLAIN),
        ((4,), ("batch", 4), PLAIN), (("batch", 1), (2, "batch", 5), PLAIN),
        ((), ("batch",), PLAIN),
    )  # fmt: skip
    for shape, wanted, layout in stretched:
        bound = tuple(BATCH.get(extent, extent) for extent in wanted)
        for dtype, sample in KINDS if shape == (3,) else KINDS[:1]:
            yield Case(
                "broadcast_to", case_name(shape, wanted, layout.name, dtype),
                (Operand(shape, dtype, sample, layout),), {"shape": wanted},
                lambda x, bound=bound: np.where(np.ones(bound, bool), x, x), bindings=BATCH,
                reduction_length=24,
            )  # fmt: skip


# shape, starts, counts, steps, and the same as Python slices
SLICED: tuple[tuple[Any, tuple[Any, ...], Any, tuple[int, ...], Any], ...] = (
    ((), (), (), (), ()),
    ((17,), (0,), (16,), (1,), np.s_[:16]),
    ((17,), (1,), (15,), (1,), np.s_[1:16]),
    ((17,), (2,), (8,), (2,), np.s_[2:17:2]),
    ((17,), (16,), (17,), (-1,), np.s_[::-1]),
    ((17,), (14,), (5,), (-3,), np.s_[14:1:-3]),
    ((5,), (4,), (1,), (1,), np.s_[4:]),
    ((5,), (0,), (0,), (1,), np.s_[:0]),
    ((0,), (0,), (0,), (1,), np.s_[:]),
    ((4, 5), (1, 4), (2, 3), (2, -2), np.s_[1::2, ::-2]),
    ((3, 4, 5), (0, 1, 0), (3, 2, 5), (1, 1, 1), np.s_[:, 1:3]),
    ((2, 3, 2, 4), (1, 0, 0, 3), (1, 3, 2, 4), (1, 1, 1, -1), np.s_[1:, :, :, ::-1]),
    (("batch", 5), (0, 1), ("batch", 3), (1, 1), np.s_[:, 1:4]),
    ((ROWS * 2, 5), (0, 1), ("batch", 3), (1, 1), np.s_[:3, 1:4]),
    ((ROWS * 2 + 1, 2), (ROWS, 1), ("batch", 2), (1, -1), np.s_[3:6, ::-1]),
    ((ROWS + 2,), (ROWS,), (2,), (1,), np.s_[3:]),
)


def _slice_cases() -> Iterator[Case]:
    for shape, starts, counts, steps, region in SLICED:
        place = {"starts": starts, "steps": steps}
        bound = bind_shape(as_shape(shape), BATCH)

        def embedded(x: Any, bound: Any = bound, region: Any = region) -> Any:
            value = np.zeros(bound, x.dtype)
            value[region] = x
            return value

        for layout in (PLAIN, TRANSPOSED) if shape == (4, 5) else (PLAIN,):
            for dtype, sample in KINDS if shape == (5,) else KINDS[:1]:
                name = case_name(shape, starts, counts, steps, layout.name, dtype)
                yield Case(
                    "slice", name, (Operand(shape, dtype, sample, layout),),
                    {**place, "counts": counts}, lambda x, region=region: x[region], bindings=BATCH,
                )  # fmt: skip
                yield Case(
                    "embed", name, (Operand(counts, dtype, sample, layout),),
                    {**place, "shape": shape}, embedded, bindings=BATCH,
                )  # fmt: skip


def _joined(arrays: tuple[Any, ...], axis: int) -> Any:
    rows = [row for x in arrays for row in np.moveaxis(x, axis, 0)]
    rest = np.moveaxis(arrays[0], axis, 0).shape[1:]
    return np.moveaxis(np.reshape(np.array(rows, arrays[0].dtype), (len(rows), *rest)), 0, axis)


def _concatenate_cases() -> Iterator[Case]:
    joined: tuple[tuple[tuple[Any, ...], int], ...] = (
        (((3,),), 0), (((3,), (4,)), 0), (((15,), (1,), (16,)), 0), (((0,), (5,), (0,)), 0),
        (((2, 3), (4, 3)), 0), (((2, 3), (2, 1), (2, 17)), 1), (((2, 1, 3), (2, 2, 3)), 1),
        (((2, 3, 1, 2),) * 2, 3), (((0, 3), (0, 2)), 1), ((("batch", 2), ("batch", 3)), 1),
        ((("batch", 2), ("batch", 2), (4, 2), (ROWS * 2, 2)), 0), ((("batch",), (2,)), 0),
    )  # fmt: skip
    for shapes, axis in joined:
        for dtype, sample in KINDS if len(shapes) == 2 else KINDS[:1]:
            operands = tuple(Operand(shape, dtype, sample) for shape in shapes)
            yield Case(
                "concatenate", case_name(*shapes, axis, dtype), operands, {"axis": axis},
                lambda *xs, axis=axis: _joined(xs, axis), bindings=BATCH,
            )  # fmt: skip
    operands = (Operand((4, 3), layout=TRANSPOSED), Operand((4, 2), layout=STEPPED))
    yield Case(
        "concatenate", "strided", operands, {"axis": 1},
        lambda x, y: np.array([[*a, *b] for a, b in zip(x, y, strict=True)]),
    )  # fmt: skip
    same = Operand((5,))
    yield Case("concatenate", "many", (same,) * 6, {"axis": 0}, lambda *xs: np.ravel(xs))


def _replaced(base: Any, x: Any, i: Any, axis: int) -> Any:
    """The base of which each slice is the last of those of `x` that have its index, if one has."""
    slices = np.moveaxis(x, range(axis, axis + i.ndim), range(i.ndim))
    slices = slices.reshape(i.size, *slices.shape[i.ndim :])
    rows = []
    for number, row in enumerate(np.moveaxis(base, axis, 0)):
        places = np.flatnonzero(i.ravel() == number)
        rows.append(slices[places[-1]] if places.size else row)
    return np.moveaxis(np.array(rows, base.dtype), 0, axis)


def _take_cases() -> Iterator[Case]:
    taken: tuple[tuple[Any, int, Any, str], ...] = (
        ((7,), 0, (), "i64"), ((7,), 0, (5,), "i64"), ((5, 4), 0, (3,), "i32"),
        ((5, 4), 1, (17,), "i64"),
        ((2, 5, 3), 1, (2, 2), "i32"), ((2, 3, 1, 5), 3, (3,), "i64"), ((5, 3), 0, (0,), "i64"),
        ((1, 2), 0, (4,), "i64"), ((5, 3), 0, ("batch",), "i64"), (("batch", 5), 1, (4,), "i32"),
        ((5, 16), 0, (1, 3), "i64"), ((5, 0), 0, (3,), "i64"), ((300, 2), 0, (17,), "u8"),
        (("batch", 4), 0, (5,), "i64"),
    )  # fmt: skip
    for shape, axis, index_shape, dtype in taken:
        extent = BATCH.get(shape[axis], shape[axis])
        limit = min(extent, 256 if dtype == "u8" else extent)
        indices = Operand(index_shape, dtype, integers(0, limit))
        result = (*shape[:axis], *index_shape, *shape[axis + 1 :])
        bound = tuple(BATCH.get(extent, extent) for extent in shape)

        def taken_by_loop(x: Any, i: Any, axis: int = axis) -> Any:
            front = np.moveaxis(x, axis, 0)
            rows = np.reshape([front[j] for j in i.ravel()], (*i.shape, *front.shape[1:]))
            return np.moveaxis(rows, range(i.ndim), range(axis, axis + i.ndim))

        def scattered(x: Any, i: Any, axis: int = axis, bound: Any = bound) -> Any:
            chosen = np.eye(bound[axis])[i.ravel()]
            front = np.moveaxis(x, range(axis, axis + i.ndim), range(i.ndim))
            rest = tuple(extent for a, extent in enumerate(bound) if a != axis)
            front = front.reshape(i.size, math.prod(rest))
            return np.moveaxis((chosen.T @ front).reshape(bound[axis], *rest), 0, axis)

        for kind, sample in KINDS[:2] if dtype == "i32" else KINDS[:1]:
            name = case_name(shape, axis, index_shape, dtype, kind)
            yield Case(
                "take", name, (Operand(shape, kind, sample), indices), {"axis": axis},
                taken_by_loop, bindings=BATCH, reduction_length=17,
            )  # fmt: skip
            yield Case(
                "scatter_add", name, (Operand(result, kind, sample), indices),
                {"axis": axis, "shape": shape}, scattered, bindings=BATCH, reduction_length=17,
            )  # fmt: skip
            yield Case(
                "index_add", name,
                (Operand(shape, kind, sample), Operand(result, kind, sample), indices),
                {"axis": axis}, lambda base, x, i, scattered=scattered: base + scattered(x, i),
                bindings=BATCH, reduction_length=18,
            )  # fmt: skip
            if shape in ((7,), (5, 4), (2, 5, 3), ("batch", 5)):
                yield Case(
                    "index_set", name,
                    (Operand(shape, kind, sample), Operand(result, kind, sample), indices),
                    {"axis": axis}, lambda base, x, i, axis=axis: _replaced(base, x, i, axis),
                    bindings=BATCH, reduction_length=18,
                )  # fmt: skip
    bytes_taken = (Operand((5, 17), "u8", BYTES), Operand((4,), "u8", integers(0, 5)))
    yield Case("take", "bytes", bytes_taken, {"axis": 0}, lambda x, i: np.array([x[j] for j in i]))
    operands = (Operand((4, 5), layout=TRANSPOSED), Operand((3,), "i64", integers(0, 4), STEPPED))
    yield Case("take", "strided", operands, {"axis": 0}, lambda x, i: np.eye(4)[i] @ x)
    slices = Operand((3, 5), layout=STEPPED)
    yield Case(
        "index_add", "strided", (operands[0], slices, operands[1]), {"axis": 0},
        lambda base, x, i: base + np.eye(4)[i].T @ x, reduction_length=4,
    )  # fmt: skip


def _range_cases() -> Iterator[Case]:
    for shape, dtype, limit in (
        ((), "i64", 5), ((17,), "i32", 5), ((2, 3), "i64", 5), (("batch",), "i64", "batch"),
        ((4,), "i32", 2**31 - 1),
    ):  # fmt: skip
        extent = BATCH.get(limit, limit) if isinstance(limit, str) else limit
        yield Case(
            "index_from_front", case_name(shape, dtype, limit),
            (Operand(shape, dtype, integers(-min(extent, 9), min(extent, 9))),),
            {"limit": Dim(limit) if isinstance(limit, str) else limit},
            lambda i, extent=extent: np.array(i + (i < 0) * np.int64(extent), i.dtype),
            bindings=BATCH,
        )  # fmt: skip
    for shape, dtype in (
        ((), "i64"),
        ((0,), "i64"),
        ((17,), "i32"),
        ((17,), "u8"),
        ((2, 3), "i64"),
        (("batch",), "i64"),
    ):
        operand = Operand(shape, dtype, integers(0, 5))
        yield Case(
            "in_range",
            case_name(shape, dtype),
            (operand,),
            {"limit": 5},
            lambda i: i,
            bindings=BATCH,
        )


MOVEMENT_CASES: tuple[Case, ...] = (
    *_view_cases(), *_slice_cases(), *_concatenate_cases(), *_take_cases(), *_range_cases(),
)  # fmt: skip
