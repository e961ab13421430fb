"""Layers with windows against loops in numpy; names, short forms and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.declare.nn.window_cases import CASES, FIRST, Case

ROWS = 2
# The layers of three modules, each of which has a case.
MODULES = ("convolution", "pooling", "resizing")
TOLERANCES = {"f32": 2e-5, "f64": 1e-12}


def apart(shape: Any) -> Any:
    """Numbers of which no two are near each other, so that no maximum is near a tie."""
    size = int(np.prod(shape))
    return (np.random.default_rng(7).permutation(size) / size * 4 - 2).reshape(shape)


def built(cases: list[Case], dtype: str) -> tuple[Any, Any, gc.Graph]:
    """Inputs, and for each case its layer's result with the derivatives of a weighted sum."""
    graph = gc.Graph(seed=3)
    inputs, results = [], []
    for number, case in enumerate(cases):
        x = graph.input(f"x{number}", ("batch", *case.inner), dtype)
        before = list(graph.parameters)
        y = case.make()(x)
        own = graph.parameters[len(before) :]
        weights = np.cos(np.arange(np.prod([e for e in y.shape if isinstance(e, int)])))
        weighted = y * gc.reshape(graph.constant(weights, dtype), y.shape[1:])
        inputs.append(x)
        results.append([y, *gc.grad(gc.sum(weighted * weighted), [x, *own])])
    return inputs, results, graph


def flat(results: Any) -> list[Any]:
    return [each for group in results for each in group]


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_the_formula(name: str, dtype: str) -> None:
    case = CASES[name]
    given = apart((ROWS, *case.inner))
    (x,), ((y, *_),), graph = built([case], dtype)
    found = gc.function([x], y, mode="reference")(given)
    values = {k.rpartition(".")[2]: v.astype("f8") for k, v in graph.variables.items()}
    expected = case.formula(given.astype(x.dtype.numpy).astype("f8"), values)
    tolerance = TOLERANCES[dtype]
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_derivatives_are_differences(name: str) -> None:
    case = CASES[name]
    given = apart((ROWS, *case.inner))
    (x,), ((y, *slopes),), graph = built([case], "f64")
    value = gc.function([x], y, mode="reference")
    derived = gc.function([x], slopes, mode="reference")(given)
    weights = np.cos(np.arange(value(given)[0].size)).reshape(value(given).shape[1:])
    step = 1e-6
    values = graph.variables.read(graph.variables)
    for number, slope in enumerate(derived):
        direction = np.random.default_rng(number).choice([-1.0, 1.0], slope.shape)
        sums = []
        for sign in (1, -1):
            there = given + sign * step * direction if number == 0 else given
            if number:
                parameter = graph.parameters[number - 1]
                graph.variables[parameter] = values[parameter.name] + sign * step * direction
            sums.append(((value(there) * weights) ** 2).sum())
            graph.variables.update(values)
        difference = (sums[0] - sums[1]) / (2 * step)
        np.testing.assert_allclose((slope * direction).sum(), difference, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("part", range(3))
def test_compiled_is_reference(part: int) -> None:
    """A part of the cases in one program. Those of three axes are compiled where ops are tested."""
    cases = [case for name, case in CASES.items() if "3D" not in name][part::3]
    inputs, results, _ = built(cases, "f32")
    given = [apart((ROWS, *case.inner)) for case in cases]
    expected = gc.function(inputs, flat(results), mode="reference")(*given)
    found = gc.function(inputs, flat(results))(*given)
    tolerance = 10 * TOLERANCES["f32"]
    for each, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(each, wanted, rtol=tolerance, atol=tolerance)


# --- names and short forms ---------------------------------------------------------------------


def layers() -> dict[str, type[gc.nn.Layer]]:
    named = {name: getattr(gc.nn, name) for name in gc.nn.__all__}
    return {
        name: value
        for name, value in named.items()
        if isinstance(value, type) and value.__module__.rpartition(".")[2] in MODULES
    }


def test_every_layer_has_a_case_and_a_short_form() -> None:
    covered = {name.split()[0].rstrip(",") for name in CASES}
    assert set(layers()) == covered
    for name, layer in layers().items():
        kind = layer.kind.fget(object.__new__(layer))  # type: ignore[attr-defined]
        short = getattr(gc.nn, kind)
        assert short.__name__ == kind and name in short.__doc__


def test_names_are_those_of_keras() -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 8, 8, 1))
    hidden = gc.nn.conv2d(x, 4, 3, activation="relu")
    hidden = gc.nn.conv2d_transpose(gc.nn.max_pool2d(hidden, 2), 2, 3)
    gc.nn.global_average_pooling2d(gc.nn.conv2d(hidden, 3, 3, name="last"))
    assert list(graph.states) == [
        "conv2d.kernel", "conv2d.bias", "conv2d_transpose.kernel", "conv2d_transpose.bias",
        "last.kernel", "last.bias",
    ]  # fmt: skip
    assert graph.states["conv2d.kernel"].shape == (3, 3, 1, 4)
    assert graph.states["conv2d_transpose.kernel"].shape == (3, 3, 2, 4)


def test_a_layer_shares_its_kernel_over_calls() -> None:
    graph = gc.Graph()
    layer = gc.nn.Conv1D(2, 3)
    layer(graph.input("x", ("batch", 5, 4)))
    layer(graph.input("y", ("batch", 9, 4)))
    assert list(graph.states) == ["conv1d.kernel", "conv1d.bias"]
    with pytest.raises(gc.ShapeError, match=r"conv1d\(f32\[batch,9,3\]\): its kernel is"):
        layer(graph.input("z", ("batch", 9, 3)))


REFUSED: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "rank": (lambda: gc.nn.Conv2D(4, 3), (5, 3), gc.ShapeError, r"conv2d.*4 axes, \[batch, \*sp"),
    "filters": (lambda: gc.nn.Conv2D(0, 3), (5, 5, 3), gc.ShapeError, "at least 1 filter"),
    "size": (lambda: gc.nn.Conv2D(1, (3, 3, 3)), (5, 5, 3), gc.ShapeError, "2 extents expected"),
    "too large": (lambda: gc.nn.Conv2D(1, 6), (5, 5, 3), gc.ShapeError, "over 6 elements.* axis 1"),
    "groups": (lambda: gc.nn.Conv1D(4, 1, groups=2), (5, 3), gc.ShapeError, "2 groups do not div"),
    "padding": (lambda: gc.nn.Conv1D(4, 1, padding="full"), (5, 3), ValueError, "'causal' or numb"),
    "causal": (lambda: gc.nn.Conv2D(4, 1, padding="causal"), (5, 5, 3), ValueError, "'same' or"),
    "format": (lambda: gc.nn.Conv1D(4, 1, data_format="NWC"), (5, 3), ValueError, "'channels_l"),
    "strides": (lambda: gc.nn.MaxPool1D(2, 0), (5, 3), gc.ShapeError, "strides: at least 1"),
    "open": (lambda: gc.nn.MaxPool1D(2), ("steps", 3), gc.ShapeError, "axis 1 is open, steps"),
    "half": (lambda: gc.nn.MaxPool1D(2, 1, 2), (5, 3), gc.ShapeError, "at most half of the window"),
    "pool rank": (lambda: gc.nn.MaxPool2D(2), (5, 3), gc.ShapeError, "max_pool2d.*4 axes"),
    "output padding": (
        lambda: gc.nn.Conv1DTranspose(1, 3, 2, output_padding=2), (5, 3), gc.ShapeError, "less than"
    ),
    "groups of filters": (
        lambda: gc.nn.Conv1DTranspose(3, 2, groups=2), (5, 4), gc.ShapeError, "do not divide 3 fil"
    ),
    "groups of channels": (
        lambda: gc.nn.Conv1DTranspose(4, 2, groups=2), (5, 3), gc.ShapeError, "not divide 3 chann"
    ),
    "dilation": (
        lambda: gc.nn.MaxPool1D(2, dilation=0), (5, 3), gc.ShapeError, "dilation: at least 1"
    ),
    "nothing left": (
        lambda: gc.nn.Conv1DTranspose(1, 1, padding=3), (5, 3), gc.ShapeError, "nothing is left"
    ),
    "adaptive": (lambda: gc.nn.AdaptiveMaxPooling1D(0), (5, 3), gc.ShapeError, "at least 1"),
    "sides": (lambda: gc.nn.ZeroPadding2D((1, 2, 3)), (5, 5, 3), gc.ShapeError, "each of 2 axes"),
    "upsampling": (lambda: gc.nn.UpSampling2D(0), (5, 5, 3), gc.ShapeError, "size: at least 1"),
    "interpolation": (
        lambda: gc.nn.UpSampling2D(2, interpolation="area"), (5, 5, 3), ValueError,
        "'nearest' or 'bilinear' expected, not 'area'",
    ),
    "permute": (lambda: gc.nn.Permute((0, 1)), (5, 3), gc.ShapeError, "each of 1 to 2 once"),
    "permute by a bool": (lambda: gc.nn.Permute((True, 2)), (5, 3), gc.ShapeError, "permute: dims"),
    "permute by no order": (lambda: gc.nn.Permute(1.5), (5, 3), gc.ShapeError, "^permute: dims"),
    "an array as a format": (
        lambda: gc.nn.Conv2D(1, 2, data_format=np.array([1, 2])), (5, 5, 3), ValueError,
        "data_format: 'channels_last' or",
    ),
    "format of a pool": (
        lambda: gc.nn.MaxPool2D(2, data_format=np.array([1, 2])), (5, 3), gc.ShapeError, "4 axes"
    ),
    "an array of sides": (
        lambda: gc.nn.MaxPool2D(2, padding=np.array([1, 2])), (5, 5, 3), gc.ShapeError, "padding"
    ),
    "reshape": (lambda: gc.nn.Reshape(4), (5, 3), gc.ShapeError, "reshape"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_why_and_where(name: str) -> None:
    make, inner, error, match = REFUSED[name]
    x = gc.Graph().input("x", ("batch", *inner))
    with pytest.raises(error, match=match) as raised:
        make()(x)
    assert "test_windows.py" in str(raised.value)


def test_kernels_of_another_dtype_and_other_channels_are_refused() -> None:
    graph = gc.Graph()
    x, kernel = graph.input("x", ("n", 5, 3)), graph.input("k", (2, 3, 4), "f64")
    with pytest.raises(gc.DTypeError, match=r"conv\(f32\[n,5,3\]\): a kernel f64\[2,3,4\]"):
        gc.conv(x, kernel)
    with pytest.raises(gc.ShapeError, match="of 2 channels, but x has 3, which are"):
        gc.conv(x, graph.input("l", (2, 2, 4)))
    with pytest.raises(gc.ShapeError, match="3 groups have no equal shares of the 4 filters"):
        gc.conv(x, graph.input("j", (2, 1, 4)))
    with pytest.raises(gc.ShapeError, match="of as many axes"):
        gc.conv(x, graph.input("m", (2, 2, 3, 4)))
    with pytest.raises(gc.DTypeError, match="floats expected"):
        gc.average_pool(graph.input("i", ("n", 5, 3), "i32"), 2)


def test_errors_show_channels_first_as_they_were_given() -> None:
    graph = gc.Graph()
    x = graph.input("x", ("n", 3, 5, 6))
    with pytest.raises(gc.ShapeError, match=r"^conv\(f32\[n,3,5,6\]\): .* the 5 of axis 2"):
        gc.conv(x, graph.input("k", (6, 1, 3, 2)), data_format=FIRST)
    with pytest.raises(gc.ShapeError, match=r"^depthwise_conv\(f32\[n,3,5,6\]\): .* 6 of axis 3"):
        gc.depthwise_conv(x, graph.input("l", (1, 7, 3, 2)), data_format=FIRST)
    with pytest.raises(gc.ShapeError, match=r"^conv_transpose\(f32\[n,3,5,6\]\): .* of axis 2"):
        gc.conv_transpose(x, graph.input("m", (1, 1, 2, 3)), padding=3, data_format=FIRST)


def test_a_number_that_is_none_is_named() -> None:
    x = gc.Graph().input("x", ("n", 5, 3))
    with pytest.raises(gc.ShapeError, match=r"strides: an integer expected, not 1\.5"):
        gc.nn.Conv1D(4, 3, 1.5)(x)  # type: ignore[arg-type]
    with pytest.raises(gc.ShapeError, match="pool_size: an integer expected, not True"):
        gc.max_pool(x, True)


def test_a_kernel_may_be_an_array() -> None:
    """Of x's dtype, as operands of a product are."""
    x = gc.Graph().input("x", ("n", 5, 3))
    given = np.arange(6).reshape(2, 3, 1)
    for convolved in (gc.conv(x, given), gc.depthwise_conv(x, given)):
        assert convolved.dtype == gc.f32
    values = np.arange(15.0).reshape(1, 5, 3)
    found = gc.function([x], gc.conv(x, given), mode="reference")(values)
    expected = [(values[0, n : n + 2] * given[..., 0]).sum() for n in range(4)]
    np.testing.assert_array_equal(found[0, :, 0], expected)


def test_equal_elements_of_a_window_share_the_derivative() -> None:
    graph = gc.Graph()
    x = graph.input("x", ("n", 4, 1), "f64")
    slope = gc.grad(gc.sum(gc.max_pool(x, 2)), x)
    given = np.array([[3.0, 3.0, 1.0, 2.0]])[..., None]
    found = gc.function([x], slope, mode="reference")(given)
    np.testing.assert_array_equal(found[0, :, 0], [0.5, 0.5, 0, 1])


def test_channels_first_gives_the_same() -> None:
    """By the same kernel, in both orders."""
    graph = gc.Graph()
    x, kernel = graph.input("x", ("n", 5, 6, 3), "f64"), graph.input("k", (3, 2, 3, 4), "f64")
    first = gc.conv(gc.transpose(x, (0, 3, 1, 2)), kernel, 2, "same", FIRST)
    both = gc.function([x, kernel], [gc.conv(x, kernel, 2, "same"), first], mode="reference")
    rng = np.random.default_rng(0)
    last, moved = both(rng.normal(size=(2, 5, 6, 3)), rng.normal(size=(3, 2, 3, 4)))
    np.testing.assert_array_equal(np.moveaxis(moved, 1, -1), last)
