"""Cases of ops that are built from others: softmax, argmax, labels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from graphc.ir.dims import Dim
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
    apart,
    bools,
    case_name,
    fixed,
    integers,
    special,
)


def _softmax(x: Any) -> Any:
    e = [math.exp(value) for value in x]
    return np.array([value / math.fsum(e) for value in e])


def _log_softmax(x: Any) -> Any:
    total = math.log(math.fsum(math.exp(value) for value in x))
    return np.array([value - total for value in x])


def _composite_cases() -> Iterator[Case]:
    along: tuple[tuple[Any, int, Layout], ...] = (
        ((1,), 0, PLAIN), ((17,), 0, PLAIN), ((3, 10), 1, PLAIN), ((3, 16), 1, TRANSPOSED),
        ((15, 4), 0, PLAIN), ((2, 3, 4), 1, STEPPED), ((2, 3, 2, 4), 3, REVERSED),
        ((3, 1), 1, PLAIN), ((2, 9, 17), 1, PLAIN), ((9, 16), 0, PLAIN),
        ((0, 4), 1, PLAIN), (("batch", 5), 1, PLAIN), (("batch", 5), 0, PLAIN),
    )  # fmt: skip
    for shape, axis, layout in along:
        for op, function in (("softmax", _softmax), ("log_softmax", _log_softmax)):
            yield Case(
                op, case_name(shape, axis, layout.name), (Operand(shape, layout=layout),),
                {"axis": axis},
                lambda x, f=function, axis=axis: np.apply_along_axis(f, axis, x) if x.size else x,
                bindings=BATCH, reduction_length=17,
            )  # fmt: skip
        for op, place in (("argmax", -1), ("argmin", 0)):
            yield Case(
                op, case_name(shape, axis, layout.name),
                (Operand(shape, sample=apart, layout=layout),), {"axis": axis},
                lambda x, axis=axis, place=place: np.expand_dims(
                    np.argsort(x, axis=axis).take(place, axis), axis
                ),
                bindings=BATCH,
            )  # fmt: skip
    for shape, axes, layout in (
        ((1,), (0,), PLAIN), ((17,), (0,), PLAIN), ((3, 16), (1,), TRANSPOSED),
        ((15, 4), (0,), PLAIN), ((2, 3, 4), (0, 2), STEPPED), ((3, 10), (0, 1), PLAIN),
        ((9, 16), (0,), PLAIN), ((0, 4), (1,), PLAIN), (("batch", 5), (1,), PLAIN),
        (("batch", 5), (0, 1), PLAIN),
    ):  # fmt: skip
        yield Case(
            "logsumexp", case_name(shape, axes, layout.name), (Operand(shape, layout=layout),),
            {"axes": axes},
            lambda x, axes=axes: np.log(np.exp(x).sum(axes, keepdims=True)),
            bindings=BATCH, reduction_length=30,
        )  # fmt: skip
    for name, values, expect in (
        ("far", [1000.0, 0.0, -1000.0], 1000.0), ("low", [-np.inf] * 3, -np.inf),
        ("half_low", [-np.inf, 2.0, -np.inf], 2.0), ("high", [np.inf, 0.0, -np.inf], np.inf),
        ("both_high", [np.inf, 3e38, np.inf], np.inf), ("nan", [np.nan, np.inf, 0.0], np.nan),
    ):  # fmt: skip
        yield Case(
            "logsumexp", name, (Operand((2, 3), sample=fixed(values)),), {"axes": (1,)},
            lambda x, expect=expect: np.full((2, 1), expect), gradient=False,
        )  # fmt: skip
    far = Operand((2, 3), sample=fixed([1000.0, 0.0, -1000.0]))
    yield Case(
        "softmax", "far", (far,), {"axis": 1}, lambda x: np.array([[1.0, 0, 0]] * 2), gradient=False
    )
    yield Case(
        "log_softmax", "far", (far,), {"axis": 1}, lambda x: np.array([[0.0, -1000, -2000]] * 2),
        gradient=False,
    )  # fmt: skip
    for op in ("softmax", "log_softmax", "argmax", "argmin"):
        operand = Operand((17, 3), sample=special)
        yield Case(op, "special", (operand,), {"axis": 1}, gradient=False)
    first = {"ties": [1.0, 3.0, 3.0], "nan": [1.0, np.nan, np.nan], "low": [-np.inf] * 3}
    for op, extreme, sign in (("argmax", max, 1), ("argmin", min, -1)):
        for name, values in first.items():
            expect = {"ties": 1, "nan": 1, "low": 0}[name]
            yield Case(
                op, name, (Operand((3,), sample=fixed(sign * np.array(values))),), {"axis": 0},
                lambda x, expect=expect: np.array([expect]),
            )  # fmt: skip
        for dtype in ("i32", "i64"):
            operand = Operand((4, 5), dtype, integers(-50, 50))
            yield Case(
                op, dtype, (operand,), {"axis": 1},
                lambda x, extreme=extreme: np.array([[list(row).index(extreme(row))] for row in x]),
            )  # fmt: skip


def _label_cases() -> Iterator[Case]:
    for shape, depth, dtype in (
        ((), 3, "i64"), ((0,), 2, "i64"), ((5,), 1, "i32"), ((17,), 10, "i64"), ((2, 3), 16, "i32"),
        (("batch",), 4, "i64"), ((9,), 10, "u8"), ((9,), 600, "u8"),
    ):  # fmt: skip
        labels = Operand(shape, dtype, integers(0, min(depth, 256)))
        for kind in (FLOAT, "i64", "bool") if shape == (17,) else (FLOAT,):
            yield Case(
                "one_hot", case_name(shape, depth, dtype, kind), (labels,),
                {"depth": depth, "dtype": kind},
                lambda i, n=depth, kind=kind: np.eye(n, dtype=bool if kind == "bool" else int)[i],
                bindings=BATCH,
            )  # fmt: skip
        yield Case(
            "pick", case_name(shape, depth, dtype), (Operand((*shape, depth)), labels),
            expect=lambda x, i: np.einsum("...n,...n->...", x, np.eye(x.shape[-1])[i]),
            bindings=BATCH,
        )  # fmt: skip
    chosen = Operand(("batch",), "i64", integers(0, 3))
    yield Case(
        "one_hot", "open", (chosen,), {"depth": Dim("batch") + 1, "dtype": FLOAT},
        lambda i: np.eye(4)[i], bindings=BATCH,
    )  # fmt: skip
    yield Case(
        "pick", "open", (Operand(("batch", Dim("2*batch"))), chosen),
        expect=lambda x, i: np.einsum("ij,ij->i", x, np.eye(6)[i]), bindings=BATCH,
    )  # fmt: skip
    operands = (Operand((4, 5), layout=TRANSPOSED), Operand((4,), "i64", integers(0, 5), REVERSED))
    yield Case(
        "pick",
        "strided",
        operands,
        expect=lambda x, i: np.array([r[j] for r, j in zip(x, i, strict=True)]),
    )
    for dtype, sample in (("i32", integers(-9, 9)), ("u8", BYTES), ("bool", bools)):
        whole = (Operand((4, 5), dtype, sample), Operand((4,), "i64", integers(0, 5)))
        yield Case(
            "pick", dtype, whole,
            expect=lambda x, i: np.array([r[j] for r, j in zip(x, i, strict=True)]),
        )  # fmt: skip
    unpicked = (Operand((3, 2), sample=fixed([np.nan, 5.0])), Operand((3,), "i64", fixed([1])))
    yield Case("pick", "beside_nan", unpicked, expect=lambda x, i: np.full(3, 5.0), gradient=False)


COMPOSITE_CASES: tuple[Case, ...] = (*_composite_cases(), *_label_cases())
