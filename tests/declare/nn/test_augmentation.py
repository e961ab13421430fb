"""Layers that change images at random: what they make, how often, and that inference does not."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import graphc as gc

ROWS = 600
# Of a binomial count: a seed is fixed, so a test that passes keeps passing.
DEVIATIONS = 4.0
LAYERS: dict[str, Any] = {
    "flip": lambda **o: gc.nn.RandomFlip(**o),
    "crop": lambda **o: gc.nn.RandomCrop(5, 6, padding=2, **o),
    "translation": lambda **o: gc.nn.RandomTranslation(0.4, (-0.5, 0.2), "wrap", **o),
    "constant": lambda **o: gc.nn.RandomTranslation(0.4, 0.4, "constant", 3.0, **o),
    "erasing": lambda **o: gc.nn.RandomErasing(0.7, (0.1, 0.6), **o),
    "brightness": lambda **o: gc.nn.RandomBrightness(0.4, (0, 1), **o),
    "contrast": lambda **o: gc.nn.RandomContrast((0.4, 0.9), (0, 1), **o),
}  # fmt: skip
MOVING = ("flip", "crop", "translation", "constant", "erasing")


def images(rows: int = ROWS, shape: Any = (5, 6, 2), dtype: str = "u1") -> Any:
    """Each pixel of an image has a number of its own."""
    one = np.arange(np.prod(shape)).reshape(shape)
    return (one + np.zeros((rows, 1, 1, 1))).astype(dtype)


def draw(layer: Any, given: Any, mode: Any = "reference", seed: int = 0) -> Any:
    graph = gc.Graph(seed=seed)
    x = graph.input("x", ("batch", *given.shape[1:]), given.dtype)
    return gc.function([x], layer(x), mode=mode)(given)


def is_frequent(count: int, probability: float, rows: int = ROWS) -> bool:
    deviation = np.sqrt(rows * probability * (1 - probability))
    return bool(abs(count - rows * probability) <= DEVIATIONS * deviation)


def assert_even(counts: Counter[Any], number: int) -> None:
    """All of `number` kinds occur, each as often."""
    assert len(counts) == number
    assert all(is_frequent(count, 1 / number, counts.total()) for count in counts.values())


@pytest.mark.parametrize("mode", ["horizontal", "vertical", "horizontal_and_vertical"])
def test_flips_are_even(mode: str) -> None:
    given = images()
    found = draw(gc.nn.RandomFlip(mode), given)
    ways = {(0, 0): given[0], (1, 0): given[0, ::-1], (0, 1): given[0, :, ::-1],
            (1, 1): given[0, ::-1, ::-1]}  # fmt: skip
    counts = Counter(next(w for w, v in ways.items() if np.array_equal(v, row)) for row in found)
    if mode != "horizontal_and_vertical":
        flipped = (0, 1) if mode == "horizontal" else (1, 0)
        assert set(counts) == {(0, 0), flipped}
        assert is_frequent(counts[flipped], 0.5)
    else:
        assert_even(counts, 4)


@pytest.mark.parametrize(("size", "padding"), [((5, 6), 1), ((3, 4), 0), ((4, 6), 2), ((5, 6), 0)])
def test_crops_are_windows_and_each_is_as_frequent(size: Any, padding: int) -> None:
    given = images()
    found = draw(gc.nn.RandomCrop(*size, padding), given)
    around = np.pad(given[0], ((padding,) * 2, (padding,) * 2, (0, 0)))
    height, width = size
    windows = {
        around[top : top + height, left : left + width].tobytes(): (top, left)
        for top in range(around.shape[0] - height + 1)
        for left in range(around.shape[1] - width + 1)
    }
    assert_even(Counter(windows[row.tobytes()] for row in found), len(windows))


NUMPY_MODES = {"reflect": "symmetric", "wrap": "wrap", "nearest": "edge", "constant": "constant"}


@pytest.mark.parametrize("mode", NUMPY_MODES)
def test_translations_bring_in_what_numpy_pads_with(mode: str) -> None:
    given = images(dtype="f4") + 1
    found = draw(gc.nn.RandomTranslation(0.4, (-0.3, 0.5), mode), given)
    around = np.pad(given[0], ((5, 5), (6, 6), (0, 0)), mode=NUMPY_MODES[mode])
    shifts = {
        around[5 - down : 10 - down, 6 - right : 12 - right].tobytes(): (down, right)
        for down in range(-2, 3)
        for right in range(-2, 4)
    }
    assert len(shifts) == 30
    assert_even(Counter(shifts[row.tobytes()] for row in found), 30)


def test_a_shift_reaches_the_other_end_and_beyond() -> None:
    given = images(50, dtype="f4") + 1
    away = draw(gc.nn.RandomTranslation((1.0, 1.0), 0.0, "constant", 7.0), given)
    np.testing.assert_array_equal(away, 7)
    up = draw(gc.nn.RandomTranslation((-1.0, -1.0), 0.0), given)
    np.testing.assert_array_equal(up, given[:, ::-1])
    around = draw(gc.nn.RandomTranslation(0.0, (1.0, 1.0), "wrap"), given)
    np.testing.assert_array_equal(around, given)


def test_erased_are_rectangles_of_the_share_of_the_area() -> None:
    given = images(ROWS, (20, 30, 1), "f4") + 1
    found = draw(gc.nn.RandomErasing(0.5, 0.25, -1.0), given)
    erased = (found == -1)[..., 0]
    np.testing.assert_array_equal(found[~erased], given[~erased])
    assert is_frequent(int(erased.any((1, 2)).sum()), 0.5)
    for rectangle in erased[erased.any((1, 2))]:
        rows, columns = rectangle.any(1), rectangle.any(0)
        np.testing.assert_array_equal(rectangle, rows[:, None] & columns)
        for side, extent in ((rows, 20), (columns, 30)):
            places = np.flatnonzero(side)
            assert len(places) == places[-1] - places[0] + 1
            assert len(places) <= extent // 2
            # Cut off at a border, or as long as half of the image.
            assert len(places) == extent // 2 or side[0] or side[-1]


def test_shares_of_erased_rectangles_are_even() -> None:
    given = images(ROWS, (40, 40, 1), "f4") + 1
    whole = [
        rectangle.sum() / 1600
        for rectangle in (draw(gc.nn.RandomErasing(1.0, (0.1, 0.4)), given) == 0)[..., 0]
        if not (rectangle[[0, -1]].any() or rectangle[:, [0, -1]].any())
    ]
    assert min(whole) < 0.12 and 0.2 < max(whole) < 0.43


def test_brightness_adds_one_number_to_an_image() -> None:
    given = np.full((ROWS, 3, 4, 2), 0.5, "f4") + images(ROWS, (3, 4, 2), "f4") / 1000
    added = draw(gc.nn.RandomBrightness((-0.1, 0.3), (0, 2)), given) - given
    np.testing.assert_allclose(added, added[:, :1, :1, :1] + np.zeros_like(given), atol=1e-6)
    numbers = np.sort(added[:, 0, 0, 0])
    np.testing.assert_allclose(numbers, np.linspace(-0.2, 0.6, ROWS), atol=0.06)
    limited = draw(gc.nn.RandomBrightness(1.0, (0, 1)), given)
    assert limited.min() == 0 and limited.max() == 1


def test_contrast_scales_what_differs_from_the_mean() -> None:
    given = 0.5 + images(ROWS, (3, 4, 2), "f8") / 1000
    found = draw(gc.nn.RandomContrast((0.5, 1.0), (0, 1)), given)
    mean = given.mean((1, 2), keepdims=True)
    factor = (found - mean)[:, 0, 0, 0] / (given - mean)[:, 0, 0, 0]
    np.testing.assert_allclose(found, mean + (given - mean) * factor[:, None, None, None])
    np.testing.assert_allclose(np.sort(factor), np.linspace(0.5, 2, ROWS), atol=0.1)


# --- of all ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
def test_inference_is_the_input(name: str) -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 5, 6, 2))
    y = LAYERS[name]()(x)
    assert y.type == x.type and y is not x
    assert gc.inference(y) is x
    given = graph.input("y", ("batch", 2, 5, 6))
    first = gc.inference(LAYERS[name](data_format="channels_first")(given))
    values = images(3, (2, 5, 6), "f4")
    np.testing.assert_array_equal(gc.function([given], first, mode="reference")(values), values)


def test_a_smaller_crop_is_the_middle_in_inference() -> None:
    x = gc.Graph().input("x", ("batch", 7, 6, 2))
    middle = gc.inference(gc.nn.RandomCrop(4, 4, padding=3)(x))
    given = images(2, (7, 6, 2), "f4")
    found = gc.function([x], middle, mode="reference")(given)
    np.testing.assert_array_equal(found, given[:, 1:5, 1:5])


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1"])
def test_compiled_is_reference(dtype: str) -> None:
    """And each call and each step has numbers of its own."""
    graph = gc.Graph(seed=1)
    x = graph.input("x", ("batch", 5, 6, 2), np.dtype(dtype))
    layers = {name: make() for name, make in LAYERS.items() if dtype != "u1" or name in MOVING}
    results = [each(x) for layer in layers.values() for each in (layer, layer)]
    given = images(9, dtype=dtype)
    given = given if dtype == "u1" else given / 64
    updates = gc.random.advanced(results)
    assert len(updates) == len(results)
    steps = []
    for mode in ("compiled", "reference"):
        keys = graph.variables.read(graph.variables)
        run = gc.function([x], results, updates, mode=mode)
        steps.append([run(given), run(given)])
        graph.variables.update(keys)
    for found, expected in zip(*steps, strict=True):
        for one, other, name in zip(found, expected, np.repeat(list(layers), 2), strict=True):
            assert one.dtype == dtype
            if name in MOVING:
                np.testing.assert_array_equal(one, other)
            else:
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    first, second = steps[0]
    for number, name in enumerate(np.repeat(list(layers), 2)):
        assert not np.array_equal(first[number], second[number]), name
        assert not np.array_equal(first[number], first[number ^ 1]), name


@pytest.mark.parametrize("name", LAYERS)
def test_channels_first_gives_the_same(name: str) -> None:
    given = images(20, dtype="f4") / 64
    last = draw(LAYERS[name](), given)
    first = draw(LAYERS[name](data_format="channels_first"), np.moveaxis(given, -1, 1))
    np.testing.assert_allclose(np.moveaxis(first, 1, -1), last, rtol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_derivatives_are_those_of_the_chosen_pixels(name: str) -> None:
    """All but contrast are x's elements, each with a slope of 1, where nothing is limited."""
    graph = gc.Graph(seed=3)
    x = graph.input("x", (4, 5, 6, 2), "f64")
    y = LAYERS[name]()(x)
    direction = graph.input("direction", x.shape, "f64")
    slope = gc.sum(gc.grad(gc.sum(y * y), x) * direction)
    value = gc.sum(y * y)
    run = gc.function([x, direction], [value, slope], mode="reference")
    rng = np.random.default_rng(0)
    at, along = rng.uniform(0.4, 0.6, x.shape), rng.uniform(-1, 1, x.shape)
    ahead, _ = run(at + 1e-6 * along, along)
    behind, _ = run(at - 1e-6 * along, along)
    np.testing.assert_allclose(run(at, along)[1], (ahead - behind) / 2e-6, rtol=1e-6)


def test_a_model_trains_on_bytes_and_predicts_without() -> None:
    graph = gc.Graph(seed=0)
    x, labels = graph.input("x", ("batch", 6, 6, 1), "u8"), graph.input("t", ("batch",), "u8")
    h = gc.nn.RandomCrop(6, 6, padding=1)(gc.nn.RandomFlip("horizontal")(x))
    h = gc.nn.RandomBrightness(0.1, (0, 1))(gc.cast(h, "f32") * (1 / 255))
    scores = gc.nn.dense(gc.nn.flatten(h), 2)
    model = gc.Model(x, scores, labels, gc.losses.softmax_cross_entropy(scores, labels))
    model.compile(gc.optim.Adam(0.01), 16)
    rng = np.random.default_rng(0)
    given = rng.integers(0, 256, (64, 6, 6, 1), "u1")
    given[::2, :3] //= 4
    wanted = np.arange(64, dtype="u1") % 2
    losses = model.fit(given, wanted, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < losses[0] / 2
    values = model.variables
    flat = given.reshape(64, -1) / 255
    expected = flat @ values["dense.kernel"] + values["dense.bias"]
    np.testing.assert_allclose(model.predict(given), expected, rtol=1e-4, atol=1e-5)


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "rank": (lambda x: gc.nn.RandomFlip()(x[0]), gc.ShapeError, r"random_flip.*4 axes"),
    "flips": (lambda x: gc.nn.RandomFlip("left"), ValueError, "mode: one of 'horizontal', "),
    "large": (lambda x: gc.nn.RandomCrop(6, 6)(x), gc.ShapeError, "6 rows and 6 col.* is larger"),
    "rows": (lambda x: gc.nn.RandomCrop(0, 6), gc.ShapeError, "at least 1 row"),
    "padding": (lambda x: gc.nn.RandomCrop(1, 6, -1), gc.ShapeError, "at least 0 zero"),
    "far": (lambda x: gc.nn.RandomTranslation(1.5, 0), ValueError, "height_factor: at least -1"),
    "fill": (
        lambda x: gc.nn.RandomTranslation(0, 0, "mirror"), ValueError, "one of 'constant', 'near"
    ),
    "chance": (lambda x: gc.nn.RandomErasing(2.0), ValueError, "factor: a range within 0 to 1"),
    "share": (lambda x: gc.nn.RandomErasing(1.0, (0.5, 0.2)), ValueError, "scale: a range within"),
    "ends": (lambda x: gc.nn.RandomBrightness((1, 2, 3)), ValueError, "the two ends of a range"),
    "bytes": (
        lambda x: gc.nn.RandomBrightness(0.1)(gc.cast(x, "u8")), gc.DTypeError, "cast first"
    ),
    "channels": (
        lambda x: gc.nn.RandomFlip(data_format="NCHW")(x), ValueError, "'channels_last' or "
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_why(name: str) -> None:
    use, error, match = REFUSED[name]
    with pytest.raises(error, match=match):
        use(gc.Graph().input("x", ("batch", 5, 7, 2)))
