"""Resized tensors against interpolation by numpy, shuffled pixels against loops."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.graph import topological

RNG = np.random.default_rng(3)
FIRST = "channels_first"
# From extents to sizes: the same, whole factors, others, one element, and one more and one less.
SIZES = [
    ((5,), (5,)), ((4,), (12,)), ((9,), (3,)), ((8,), (4,)), ((1,), (6,)), ((7,), (1,)),
    ((15,), (16,)), ((17,), (16,)), ((3, 4), (5, 2)), ((6, 1), (4, 3)), ((2, 3, 4), (4, 2, 5)),
]  # fmt: skip


def places(extent: int, size: int, align_corners: bool) -> Any:
    if align_corners:
        return np.linspace(0, extent - 1, size) if size > 1 else np.zeros(1)
    return (np.arange(size) + 0.5) * extent / size - 0.5


def by_numpy(x: Any, sizes: Any, method: str, align_corners: bool = False) -> Any:
    """Axis after axis, channels last."""
    for axis, size in enumerate(sizes, 1):
        extent = x.shape[axis]
        at = places(extent, size, align_corners)
        if method == "nearest":
            x = x.take(np.floor(at + 0.5).astype(int), axis)
        else:
            x = np.apply_along_axis(
                lambda row, at=at: np.interp(at, np.arange(len(row)), row), axis, x
            )
    return x


METHODS = [("nearest", False), ("bilinear", False), ("bilinear", True)]
WAYS = [(*sizes, *method) for sizes, method in itertools.product(SIZES, METHODS)]


@pytest.mark.parametrize(("extents", "sizes", "method", "aligned"), WAYS)
def test_values_are_numpys_and_channels_stand_either_way(
    extents: Any, sizes: Any, method: str, aligned: bool
) -> None:
    graph = gc.Graph()
    x = graph.input("x", ("n", *extents, 3), "f64")
    y = gc.resize(x, sizes, method, aligned)
    assert y.shape == (x.shape[0], *sizes, 3)
    moved = gc.moveaxis(gc.resize(gc.moveaxis(x, -1, 1), sizes, method, aligned, FIRST), 1, -1)
    given = RNG.normal(size=(2, *extents, 3))
    expected = by_numpy(given, sizes, method, aligned)
    for found in gc.function([x], [y, moved], mode="reference")(given):
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("extents", "sizes", "method", "aligned"), WAYS)
def test_a_derivative_is_the_adjoint(extents: Any, sizes: Any, method: str, aligned: bool) -> None:
    """<resize(x), y> = <x, its derivative by y>, since it is linear."""
    graph = gc.Graph()
    x = graph.input("x", (2, *extents, 3), "f64")
    y = gc.resize(x, sizes, method, aligned)
    ct = graph.input("ct", y.shape, "f64")
    run = gc.function([x, ct], [y, gc.vjp(y, x, ct)], mode="reference")
    at, along = RNG.normal(size=(2, *extents, 3)), RNG.normal(size=(2, *sizes, 3))
    value, slope = run(at, along)
    np.testing.assert_allclose((value * along).sum(), (slope * at).sum(), rtol=1e-11)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_compiled_is_reference(dtype: str) -> None:
    graph = gc.Graph()
    inputs, results = [], []
    for number, (extents, sizes, method, aligned) in enumerate(WAYS[::5]):
        x = graph.input(f"x{number}", (2, *extents, 3), dtype)
        y = gc.resize(x, sizes, method, aligned)
        inputs.append(x)
        results += [y, gc.grad(gc.sum(y * y), x)]
    given = [RNG.normal(size=x.shape) for x in inputs]
    found = gc.function(inputs, results)(*given)
    expected = gc.function(inputs, results, mode="reference")(*given)
    tolerance = 1e-5 if dtype == "f32" else 1e-13
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_bytes_are_resized_and_a_whole_factor_gathers_nothing() -> None:
    graph = gc.Graph()
    x = graph.input("x", (1, 4, 6, 1), "u8")
    both = [gc.resize(x, (8, 3)), gc.resize(x, (5, 7))]
    given = RNG.integers(0, 256, (1, 4, 6, 1), "u1")
    for found, sizes in zip(gc.function([x], both)(given), ((8, 3), (5, 7)), strict=True):
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, by_numpy(given, sizes, "nearest"))
    assert not {"take", "index_add"} & {node.op.name for node in topological([both[0]])}


# --- channels as pixels ----------------------------------------------------------------------


def shuffled(x: Any, factor: int) -> Any:
    """Of channels first: out[c, y f + i, x f + j] = in[(c f + i) f + j, y, x]."""
    axes = x.ndim - 2
    channels = x.shape[1] // factor**axes
    value = np.empty((len(x), channels, *(n * factor for n in x.shape[2:])))
    for channel in range(channels):
        for number, pixel in enumerate(np.ndindex(*(factor,) * axes)):
            at = (slice(None), channel, *(slice(i, None, factor) for i in pixel))
            value[at] = x[:, channel * factor**axes + number]
    return value


@pytest.mark.parametrize(
    ("extents", "channels", "factor"),
    [((3, 5), 8, 2), ((2, 1), 9, 3), ((4,), 6, 3), ((1, 2, 3), 16, 2), ((2, 3), 5, 1)],
)
def test_pixels_are_channels_and_channels_pixels(extents: Any, channels: int, factor: int) -> None:
    graph = gc.Graph()
    x = graph.input("x", ("n", channels, *extents), "f64")
    first = gc.pixel_shuffle(x, factor, FIRST)
    last = gc.pixel_shuffle(gc.moveaxis(x, 1, -1), factor)
    back = gc.pixel_unshuffle(first, factor, FIRST), gc.pixel_unshuffle(last, factor)
    given = RNG.normal(size=(2, channels, *extents))
    run = gc.function([x], [first, gc.moveaxis(last, -1, 1), back[0], gc.moveaxis(back[1], -1, 1)])
    wide, other, *again = run(given)
    np.testing.assert_array_equal(wide, shuffled(given, factor))
    np.testing.assert_array_equal(other, wide)
    for each in again:
        np.testing.assert_array_equal(each, given)


# --- refusals --------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "rank": ((2, 3), lambda x: gc.resize(x, 3), gc.ShapeError, "one or more spatial axes"),
    "size": ((2, 3, 4, 1), lambda x: gc.resize(x, 0), gc.ShapeError, "size: at least 1 expected"),
    "sizes": ((2, 3, 4, 1), lambda x: gc.resize(x, (1, 2, 3)), gc.ShapeError, "each of 2 axes"),
    "open": ((2, "steps", 1), lambda x: gc.resize(x, 3), gc.ShapeError, "axis 1 is open, steps"),
    "empty": ((2, 0, 1), lambda x: gc.resize(x, 3), gc.ShapeError, "axis 1 is empty"),
    "method": (
        (2, 3, 1), lambda x: gc.resize(x, 3, "bicubic"), ValueError, "'nearest' or 'bilinear'"
    ),
    "corners": (
        (2, 3, 1), lambda x: gc.resize(x, 3, align_corners=True), ValueError, "alone has corners"
    ),
    "channels": (
        (2, 3, 3, 6), lambda x: gc.pixel_shuffle(x, 2), gc.ShapeError, r"6 channels .* of 2\^2"
    ),
    "factor": ((2, 3, 3, 6), lambda x: gc.pixel_shuffle(x, 0), gc.ShapeError, "at least 1"),
    "extents": (
        (2, 4, 3, 6), lambda x: gc.pixel_unshuffle(x, 2), gc.ShapeError, r"divide.*\(4, 3\)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_why_and_where(name: str) -> None:
    shape, use, error, match = REFUSED[name]
    with pytest.raises(error, match=match) as raised:
        use(gc.Graph().input("x", shape))
    assert "test_resizing.py" in str(raised.value)


def test_integers_are_not_weighed() -> None:
    x = gc.Graph().input("x", (2, 3, 1), "u8")
    with pytest.raises(gc.DTypeError, match=r"resize\(u8\[2,3,1\]\): floats expected"):
        gc.resize(x, 5, "bilinear")
