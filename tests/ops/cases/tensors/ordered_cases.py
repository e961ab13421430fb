"""Cases and refused uses of ops in scan order, and of what reads by places along an axis."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.ops import ordered
from graphc.testing.cases import (
    BATCH,
    BYTES,
    PLAIN,
    REVERSED,
    STEPPED,
    TRANSPOSED,
    Case,
    ErrorCase,
    Layout,
    Operand,
    Sampler,
    apart,
    away_from_zero,
    bools,
    case_name,
    fixed,
    integers,
    special,
    spread,
    uniform,
)
from tests.ops.cases.tensors.tensor_errors import _i, _x

Line = list[Any]
Shape = tuple[Any, ...]


def _by_line(function: Callable[..., Line], axis: int, extent: int | None = None) -> Any:
    """`function` of the lists of elements along `axis` of each operand; extent: the result's."""

    def expect(*operands: Any) -> Any:
        fronts = [np.moveaxis(x, axis, -1) for x in operands]
        rest, length = fronts[0].shape[:-1], fronts[0].shape[-1]
        count = length if extent is None else extent
        lines = [function(*(list(front[place]) for front in fronts)) for place in np.ndindex(*rest)]
        return np.moveaxis(np.array(lines).reshape(*rest, count), -1, axis)

    return expect


# --- cumulative ------------------------------------------------------------------------------


def _recurrence(step: Callable[[Any, Any, Any], Any], reverse: bool = False) -> Any:
    """Each element by `step(carry, x, y)`, where y of the later place stands between two."""

    def along(x: Line, y: Line | None = None) -> Line:
        y = x if y is None else y
        places = list(range(len(x)))[:: -1 if reverse else 1]
        made = list(x)
        for before, here in itertools.pairwise(places):
            made[here] = step(made[before], x[here], y[max(before, here)])
        return made

    return along


ADD = _recurrence(lambda carry, x, y: carry + x)
ADD_REVERSED = _recurrence(lambda carry, x, y: carry + x, reverse=True)
MULTIPLY = _recurrence(lambda carry, x, y: carry * x)

# Lines in memory and beside each other, of a few elements and of several blocks.
GONE_ALONG: tuple[tuple[Shape, int, Layout], ...] = (
    ((1,), 0, PLAIN), ((0, 3), 0, PLAIN), ((3, 0), 1, PLAIN), ((9, 17), 1, PLAIN),
    ((17, 3), 0, PLAIN), ((2, 5, 3), 1, PLAIN), ((4, 9), 1, TRANSPOSED), ((3, 9), 1, STEPPED),
    ((5, 3), 0, REVERSED), (("batch", 4), 0, PLAIN), (("batch", 4), 1, PLAIN),
)  # fmt: skip
LONG: tuple[tuple[Shape, int], ...] = (((255,), 0), ((3, 700), 1), ((257, 5), 0))


def _cumulative_cases() -> Iterator[Case]:
    for shape, axis, layout in GONE_ALONG:
        reverse = shape in ((9, 17), (2, 5, 3), ("batch", 4))
        for attributes in (
            ({"reverse": False}, {"reverse": True}) if reverse else ({"reverse": False},)
        ):
            name = case_name(shape, axis, layout.name, *attributes.values())
            yield Case(
                "cumsum", name, (Operand(shape, layout=layout),), {"axis": axis, **attributes},
                _by_line(ADD_REVERSED if attributes["reverse"] else ADD, axis), bindings=BATCH,
                reduction_length=17,
            )  # fmt: skip
        yield Case(
            "cumprod", case_name(shape, axis, layout.name),
            (Operand(shape, sample=uniform(0.5, 1.2), layout=layout),), {"axis": axis},
            _by_line(MULTIPLY, axis), bindings=BATCH, reduction_length=17,
        )  # fmt: skip
    for shape, axis in LONG:
        for reverse, along in ((False, ADD), (True, ADD_REVERSED)):
            yield Case(
                "cumsum", case_name(shape, axis, reverse), (Operand(shape),),
                {"axis": axis, "reverse": reverse}, _by_line(along, axis),
                reduction_length=700, gradient=False,
            )  # fmt: skip
    for dtype in ("i32", "i64"):
        for shape, axis in (((3, 17), 1), ((513,), 0)):
            numbers = Operand(shape, dtype, integers(-9, 9))
            yield Case(
                "cumsum", case_name(dtype, shape), (numbers,), {"axis": axis, "reverse": True},
                _by_line(ADD_REVERSED, axis),
            )  # fmt: skip
        factors = Operand((3, 17), dtype, integers(-2, 3))
        yield Case("cumprod", dtype, (factors,), {"axis": 1}, _by_line(MULTIPLY, 1))
    with_zeros = fixed([0.5, 1.5, 0.0, 2.0, -1.0, 0.0, 1.2])
    yield Case(
        "cumprod", "zeros", (Operand((3, 7), sample=with_zeros),), {"axis": 1},
        _by_line(MULTIPLY, 1), reduction_length=7,
    )  # fmt: skip
    for op in ("cumsum", "cumprod"):
        attributes = {"axis": 1, **({"reverse": False} if op == "cumsum" else {})}
        operand = Operand((17, 17), sample=_one_special)
        yield Case(op, "special", (operand,), attributes, gradient=False)


def _one_special(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """One special value a line, among negative zeros."""
    return np.where(np.eye(shape[0], dtype=bool), special(rng, shape[1:]), -0.0)


def _recurrence_cases() -> Iterator[Case]:
    shapes: tuple[tuple[Shape, int, Layout], ...] = (
        ((1,), 0, PLAIN), ((0,), 0, PLAIN), ((9, 17), 1, PLAIN), ((17, 3), 0, TRANSPOSED),
        (("batch", 4), 0, PLAIN),
    )  # fmt: skip
    for shape, axis, layout in shapes:
        for reverse in (False, True):
            along = _recurrence(lambda carry, x, y: x + y * carry, reverse)
            operands = (Operand(shape), Operand(shape, sample=away_from_zero, layout=layout))
            if len(shape) > 1 and axis == 1:
                operands = (operands[0], Operand(shape, sample=uniform(-1, 1)))
            yield Case(
                "linear_recurrence", case_name(shape, axis, layout.name, reverse), operands,
                {"axis": axis, "reverse": reverse}, _by_line(along, axis), bindings=BATCH,
                reduction_length=17, smooth=layout is PLAIN,
            )  # fmt: skip
    numbers = Operand((3, 5), "i64", integers(-3, 3))
    yield Case(
        "linear_recurrence", "i64", (numbers, numbers), {"axis": 1, "reverse": False},
        _by_line(_recurrence(lambda carry, x, y: x + y * carry), 1),
    )  # fmt: skip


# --- sorting ---------------------------------------------------------------------------------


def _rank(x: Any) -> tuple[bool, Any, bool]:
    """In order as elements are sorted: NaN last, -0.0 before 0.0."""
    return bool(np.isnan(x)), 0 if np.isnan(x) else x, not np.signbit(x)


def _sorted(descending: bool) -> Callable[[Line], Line]:
    return lambda x: sorted(x, key=_rank, reverse=descending)


def _argsorted(descending: bool, k: int | None = None) -> Callable[[Line], Line]:
    """Python's sort is stable, of the reverse order too; zeros of both signs are equal."""
    return lambda x: sorted(
        range(len(x)), key=lambda i: _rank(x[i])[:2], reverse=descending
    )[:k]  # fmt: skip


# Networks that are written out, and of several merges; digits; lanes that stay empty.
SORTED: tuple[tuple[Shape, int, Layout], ...] = (
    ((1,), 0, PLAIN), ((0, 3), 0, PLAIN), ((3, 0), 1, PLAIN), ((9, 10), 1, PLAIN),
    ((5, 3), 0, REVERSED), ((4, 9), 1, TRANSPOSED), (("batch", 4), 0, PLAIN),
    (("batch", 4), 1, PLAIN), ((33, 17), 0, PLAIN), ((2, 45, 3), 1, PLAIN),
)  # fmt: skip
LONG_SORTED: tuple[tuple[Shape, int], ...] = (((300,), 0), ((1, 3100), 1))
KINDS: tuple[tuple[str, Sampler], ...] = (
    ("i32", integers(-9, 9)), ("i64", integers(-(1 << 62), 1 << 62)), ("u8", BYTES),
    ("bool", bools),
)  # fmt: skip
_TIES = fixed([1.0, -0.0, 0.0, 1.0, np.nan, np.inf, 0.0, -0.0, -np.inf, 1.0, np.nan, -1.0])


def _sorting_cases() -> Iterator[Case]:
    for number, (shape, axis, layout) in enumerate(SORTED):
        descending = number % 2 == 1
        length = BATCH.get(shape[axis], shape[axis])
        operand = Operand(shape, sample=apart, layout=layout)
        yield from _three(
            case_name(shape, axis, layout.name), operand, axis, descending, min(2, length),
            bindings=BATCH,
        )  # fmt: skip
    for shape, axis in LONG_SORTED:
        for descending in (False, True):
            operand = Operand(shape, sample=spread)
            name = case_name(shape, axis, descending)
            yield from _three(name, operand, axis, descending, 5, gradient=False)
    for dtype, sample in KINDS:
        for shape in ((9, 20), (1, 300)):
            name = case_name(dtype, shape)
            yield from _three(name, Operand(shape, dtype, sample), 1, shape[0] == 9, 3)
    for name, shape in (("ties", (9, 30)), ("many_ties", (300,))):
        for descending in (False, True):
            full_name, operand = case_name(name, descending), Operand(shape, sample=_TIES)
            yield from _three(full_name, operand, len(shape) - 1, descending, 40, gradient=False)
    yield Case(
        "sort", "special", (Operand((3, 17), sample=special),),
        {"axis": 1, "descending": False}, _by_line(_sorted(False), 1), gradient=False,
    )  # fmt: skip


def _three(
    name: str, operand: Operand, axis: int, descending: bool, k: int, **options: Any
) -> Iterator[Case]:
    """sort, argsort and top_k of the same."""
    attributes = {"axis": axis, "descending": descending}
    extent = operand.shape[axis]
    kept = min(k, extent) if isinstance(extent, int) else k
    yield Case("sort", name, (operand,), attributes, _by_line(_sorted(descending), axis), **options)
    yield Case(
        "argsort", name, (operand,), attributes, _by_line(_argsorted(descending), axis), **options
    )
    yield Case(
        "top_k", name, (operand,), {**attributes, "k": kept},
        _by_line(_argsorted(descending, kept), axis, kept), **options,
    )  # fmt: skip


def _taking_cases() -> Iterator[Case]:
    taken: tuple[tuple[Shape, int, Any, str], ...] = (
        ((5,), 0, 3, "i64"), ((3, 5), 1, 7, "i32"), ((5, 3), 0, 2, "u8"), ((2, 4, 3), 1, 4, "i64"),
        (("batch", 4), 1, 2, "i64"), ((4, "batch"), 0, 5, "i64"), ((3, 5), 1, 0, "i64"),
    )  # fmt: skip
    for shape, axis, count, dtype in taken:
        limit = BATCH.get(shape[axis], shape[axis])
        chosen = (*shape[:axis], count, *shape[axis + 1 :])
        indices = Operand(chosen, dtype, integers(0, limit))
        yield Case(
            "take_along_axis", case_name(shape, axis, count, dtype), (Operand(shape), indices),
            {"axis": axis}, _by_line(lambda x, i: [x[int(k)] for k in i], axis, count),
            bindings=BATCH, reduction_length=count,
        )  # fmt: skip


ORDERED_CASES = (
    *_cumulative_cases(), *_recurrence_cases(), *_sorting_cases(), *_taking_cases(),
)  # fmt: skip

# --- refused uses ----------------------------------------------------------------------------

_ATTRIBUTES: dict[Any, dict[str, Any]] = {
    ordered.cumsum: {"reverse": False}, ordered.cumprod: {}, ordered.sort: {"descending": False},
    ordered.argsort: {"descending": False}, ordered.top_k: {"descending": True, "k": 2},
}  # fmt: skip


def _unary_errors() -> Iterator[ErrorCase]:
    for op, rest in _ATTRIBUTES.items():
        for name, axis in (("axis", 2), ("negative_axis", -1)):
            yield ErrorCase(
                op.name, name, lambda g, op=op, axis=axis, rest=rest: op(_x(g), axis=axis, **rest),
                ShapeError, rf"^{op.name}\(f32\[3,4\]\): axis {axis} is outside rank 2",
            )  # fmt: skip
    for op in (ordered.cumsum, ordered.cumprod):
        rest = _ATTRIBUTES[op]
        for dtype in ("bool", "u8"):
            yield ErrorCase(
                op.name, dtype,
                lambda g, op=op, dtype=dtype, rest=rest: op(_x(g, (3,), dtype), axis=0, **rest),
                DTypeError, rf"^{op.name}\({dtype}\[3\]\): .* expected, not {dtype}",
            )  # fmt: skip
    for k in (-1, 5):
        yield ErrorCase(
            "top_k", f"k_{k}",
            lambda g, k=k: ordered.top_k(_x(g), axis=1, descending=True, k=k),
            ShapeError, rf"^top_k\(f32\[3,4\]\): a number from 0 to 4.*not {k}",
        )  # fmt: skip


ORDERED_ERRORS = (
    *_unary_errors(),
    ErrorCase(
        "linear_recurrence", "shapes",
        lambda g: ordered.linear_recurrence(_x(g), g.input("y", (3, 1)), axis=0, reverse=False),
        ShapeError, r"^linear_recurrence\(f32\[3,4\], f32\[3,1\]\): as many factors",
    ),
    ErrorCase(
        "linear_recurrence", "axis",
        lambda g: ordered.linear_recurrence(_x(g), g.input("y", (3, 4)), axis=2, reverse=False),
        ShapeError, r"^linear_recurrence\(f32\[3,4\], f32\[3,4\]\): axis 2 is outside rank 2",
    ),
    ErrorCase(
        "take_along_axis", "floats",
        lambda g: ordered.take_along_axis(_x(g), g.input("y", (3, 4)), axis=1),
        DTypeError, r"^take_along_axis\(f32\[3,4\], f32\[3,4\]\): integer indices",
    ),
    ErrorCase(
        "take_along_axis", "shapes",
        lambda g: ordered.take_along_axis(_x(g), _i(g, (2, 4)), axis=1),
        ShapeError, r"^take_along_axis\(f32\[3,4\], i64\[2,4\]\): shapes may differ in axis 1",
    ),
    ErrorCase(
        "take_along_axis", "beyond",
        lambda g: ordered.take_along_axis(_x(g), _i(g, (3, 1)), axis=1),
        IndexError, r"^take_along_axis: .*outside 0 to 3",
        {"x": np.zeros((3, 4), np.float32), "i": np.array([[0], [4], [1]])},
    ),
)  # fmt: skip
