"""Functions that numpy has too, with its words: arguments of every form, errors where it has them.

Each function is tried with every combination of its shapes, dtypes and arguments; either both give
the same shape, dtype and elements, or both refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.ir.evaluation import value_of

SHAPES = ((1,), (5,), (0,), (3, 4), (3, 0), (2, 3, 4), (1, 3, 1))
AXES = (None, np.int64(0), 0, -1, 1, 2, -3, (0, 1), (-1, 0), (0, 0), ())
ONE_AXIS = tuple(axis for axis in AXES if not isinstance(axis, tuple))
WIDTHS = (0, 1, (1, 2), ((1, 2),), ((1, 0), (0, 2)), {0: 1}, {-1: (0, 2)}, {5: 1}, (1, 2, 3), -1)
DTYPES = ("f4", "f8", "i4", "i8", "u1", "?")
KEEPDIMS = tuple({"keepdims": each} for each in (False, True))
INDICES = ([0, -1], [[0, 0], [-1, 0]], 0, [9])


def _with_axes(axes: Sequence[Any] = AXES) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    return [((axis,), {}) for axis in axes]


def _kept(axes: Sequence[Any] = AXES) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    return [((), {"axis": axis, **kept}) for axis in axes for kept in KEEPDIMS]


def _of(*arguments: Any, **keywords: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return arguments, keywords


def _of_dtypes(*dtypes: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    return [_of(axis=axis, dtype=dtype) for dtype in dtypes for axis in (None, 0)]


# name: the arguments behind x, and the dtypes of x
CASES: dict[str, tuple[Sequence[tuple[tuple[Any, ...], dict[str, Any]]], Sequence[str]]] = {
    **{
        name: ([_of(), *_kept(), *_of_dtypes("f8")], ("f8", "i8", "?"))
        for name in ("sum", "prod")
    },
    "mean": ([_of(), *_kept(), *_of_dtypes("f4", "f8")], ("f4", "f8")),
    **{
        name: ([_of(), *_kept(), _of(correction=1), _of(axis=0, correction=2)], ("f4", "f8"))
        for name in ("var", "std")
    },
    "max": ([_of(), *_kept()], ("f4", "i4", "u1")),
    "min": ([_of(), *_kept()], ("f4", "i4", "u1")),
    **{name: ([_of(), *_kept()], DTYPES) for name in ("any", "all")},
    **{name: ([_of(), *_kept(ONE_AXIS)], DTYPES) for name in ("argmax", "argmin")},
    "expand_dims": (_with_axes(tuple(axis for axis in AXES if axis is not None)), ("f4",)),
    "squeeze": ([*_with_axes(), *(_of(axis=axis) for axis in AXES)], ("f4",)),
    "flip": (_with_axes(), ("f4",)),
    "cumsum": (_with_axes(ONE_AXIS), ("f8", "i4", "?")),
    "sort": (_with_axes(ONE_AXIS), ("f8", "i4")),
    "roll": (
        [_of(shift, axis) for shift in (0, -2, 7, (1, 2), (1,)) for axis in AXES[:-1]],
        ("i4",),
    ),
    "take": ([_of(given, axis) for given in INDICES for axis in ONE_AXIS], ("f4",)),
    "clip": (
        [_of(0, 1), _of(None, 1), _of(1, 0), _of(min=0), _of(max=1), _of(0, min=0)],
        ("i4",),
    ),
    "round": ([_of(), _of(1), _of(0)], ("f4", "f8", "i4", "i8")),
    "pad": (
        [
            *(_of(w, mode) for w in WIDTHS for mode in ("constant", "edge", "reflect", "wrap")),
            *(
                _of(w, constant_values=values)
                for w in WIDTHS
                for values in (3, (1, 2), ((1, 2),), ((1, 2), (3, 4)), (1, 2, 3))
            ),
        ],
        ("f4", "i4"),
    ),
    "logical_not": ([_of()], DTYPES),
    "invert": ([_of()], ("i4", "i8", "u1", "?")),
}  # fmt: skip


def _array(shape: tuple[int, ...], dtype: str) -> Any:
    rng = np.random.default_rng(len(shape))
    numbers = rng.integers(0, 6, shape)
    if np.dtype(dtype).kind in "if":
        numbers = numbers - 3
    return (numbers / 4 if np.dtype(dtype).kind == "f" else numbers).astype(dtype)


def _attempt(function: Callable[[], Any]) -> Any:
    """What a function gives, None where it refuses."""
    with np.errstate(all="ignore"):
        try:
            return function()
        except (TypeError, ValueError, IndexError, gc.ShapeError, gc.DTypeError):
            return None


def _checked(name: str) -> Iterator[tuple[str, Any, Any]]:
    arguments, dtypes = CASES[name]
    for shape in SHAPES:
        for dtype in dtypes:
            array = _array(shape, dtype)
            x = gc.Graph().input("x", shape, array.dtype)
            for given, keywords in arguments:
                theirs = _attempt(lambda: getattr(np, name)(array, *given, **keywords))  # noqa: B023
                ours = _attempt(lambda: getattr(gc, name)(x, *given, **keywords))  # noqa: B023
                if ours is not None:
                    ours = value_of(ours, x=array)
                yield f"{name}({dtype}{list(shape)}, {given}, {keywords})", ours, theirs


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", CASES)
def test_functions_are_numpys(name: str) -> None:
    count = 0
    for said, ours, theirs in _checked(name):
        assert (ours is None) == (theirs is None), said
        if theirs is None:
            continue
        assert ours.shape == theirs.shape, said
        if theirs.dtype.kind == "f":
            np.testing.assert_allclose(ours, theirs, rtol=1e-6, err_msg=said)
        else:
            np.testing.assert_array_equal(ours, theirs, err_msg=said)
        count += 1
    assert count >= len(SHAPES)


def test_logical_functions_ask_what_is_true() -> None:
    numbers, others = np.array([0.0, -0.0, 1.5, np.nan]), np.array([3, 0, 0, -2], "i4")
    x = gc.Graph().input("x", (4,), "f64")
    y = x.graph.input("y", (4,), "i32")
    for name in ("logical_and", "logical_or", "logical_xor"):
        expected = getattr(np, name)(numbers, others)
        for function in (getattr(gc, name), getattr(np, name)):
            np.testing.assert_array_equal(value_of(function(x, y), x=numbers, y=others), expected)
            np.testing.assert_array_equal(value_of(function(x, others), x=numbers), expected)
            np.testing.assert_array_equal(value_of(function(numbers, y), y=others), expected)


def test_bitwise_functions_take_bools_and_integers() -> None:
    for dtype, rows in (("bool", [True, True, False]), ("u8", [5, 0, 255]), ("i64", [-3, 6, 9])):
        x = gc.Graph().input("x", (3,), dtype)
        array = np.array(rows, x.dtype.numpy)
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
            made = getattr(gc, name)(x, array[::-1].copy())
            assert made.dtype == x.dtype
            expected = getattr(np, name)(array, array[::-1])
            np.testing.assert_array_equal(value_of(made, x=array), expected)
    g = gc.Graph()
    with pytest.raises(gc.DTypeError, match=r"^bitwise_and\(f32\[2\].*not f32; cast first"):
        gc.bitwise_and(g.input("x", (2,)), g.input("y", (2,)))


def test_elements_in_one_axis() -> None:
    x = gc.Graph().input("x", (2, 3), "f64")
    array = np.arange(6.0).reshape(2, 3)
    for made, expected in (
        (gc.concatenate([x, [7.0, 8.0]], None), np.concatenate([array, [7.0, 8.0]], None)),
        (np.concatenate([x, x], None), np.concatenate([array, array], None)),
        (x.take([1, -1]), array.take([1, -1])),
        (np.take(x, [4]), np.take(array, [4])),
        (gc.take(x, [1]), np.take(array, [1], 0)),
    ):
        np.testing.assert_array_equal(value_of(made, x=array), expected)


def test_bytes_and_bools_have_a_spread() -> None:
    array = np.array([[0, 7, 255]], "u1")
    x = gc.Graph().input("x", array.shape, "u8")
    for made, expected in ((gc.var(x), array.var()), (gc.std(x > 3), (array > 3).std())):
        assert made.dtype == gc.f32
        np.testing.assert_allclose(value_of(made, x=array), expected, rtol=1e-6)


def test_a_border_of_values_has_derivatives() -> None:
    x = gc.Graph().input("x", (2, 2), "f64")
    framed = gc.pad(x, 1, constant_values=((1, 2), (3, 4)))
    slope = gc.grad(gc.sum(gc.square(framed)), x)
    array = np.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(value_of(slope, x=array), 2 * array)


# name: what is written, and what is said of it
REFUSED: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "clip": (lambda x, i: gc.clip(i, 0.5), r"^clip\(i32\[2\]\): 0\.5 does not fit i32; cast one"),
    "clip twice": (lambda x, i: gc.clip(x, 0, min=1), r"a_min and min are one limit"),
    "pad": (lambda x, i: gc.pad(i, 1, constant_values=0.5), r"^pad\(i32\[2\]\): 0\.5 does not"),
    "pad by a vector": (
        lambda x, i: gc.pad(x, 1, constant_values=np.ones((1, 1, 3))), r"^pad\(f32\[2\]\): a value"
    ),
    "full_like": (lambda x, i: gc.full_like(i, 0.5), r"^full_like: values of float64 do not fit"),
    "zeros": (lambda x, i: gc.zeros((-1,), like=x), r"^zeros: "),
    "zeros_like": (lambda x, i: gc.zeros_like(3), r"^zeros_like: "),
    "arange": (lambda x, i: gc.arange(0, 1, 0.1, "i32", like=x), r"^arange: values of float64"),
    "round": (lambda x, i: gc.round(i, -1), r"^round\(i32\[2\]\): floats expected; cast first"),
    "exp": (lambda x, i: gc.exp(i), r"^exp\(i32\[2\]\): f32 or f64 expected, not i32; cast first"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_errors_name_what_was_called(name: str) -> None:
    written, said = REFUSED[name]
    graph = gc.Graph()
    with pytest.raises((TypeError, gc.ShapeError, gc.DTypeError), match=said):
        written(graph.input("x", (2,)), graph.input("i", (2,), "i32"))
