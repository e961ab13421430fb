"""What is explained of windows: read where they stand or copied, the bytes and both estimates."""

from __future__ import annotations

import graphc as gc
from graphc.inspect.explain import compiled_for_explaining, explain
from graphc.inspect.explain_value import explain_values
from graphc.inspect.explanation import TileChoice
from graphc.kernels.products.contraction import LONGEST_WINDOWED_DEPTH

IMAGES, CHANNELS = (2, 10, 10), 16


def _convolved(x: gc.Node, filters: int, size: int = 3) -> gc.Node:
    channels = int(x.shape[-1])  # type: ignore[arg-type]
    kernel = x.graph.input("kernel", (size, size, channels, filters))
    return gc.conv(x, kernel)


def _tile(result: gc.Node) -> TileChoice:
    """Of the only product."""
    step = gc.function(list(result.graph.inputs.values()), result, threads=1)
    (tile,) = explain(compiled_for_explaining(step, {})).tiles
    return tile


def _images(channels: int = CHANNELS) -> gc.Node:
    return gc.Graph().input("images", (*IMAGES, channels))


def test_windows_read_where_they_stand_with_what_a_copy_would_cost() -> None:
    tile = _tile(_convolved(_images(), 32))
    windows = tile.windows
    assert windows is not None and not windows.copied
    assert windows.copied_bytes == 2 * 8 * 8 * 9 * CHANNELS * 4
    assert windows.in_place_cycles is not None and windows.copied_cycles is not None
    assert 0 < windows.in_place_cycles <= windows.copied_cycles
    assert "windows read where they stand" in tile.reason
    assert windows.reason.startswith("in place")
    for figure in (windows.in_place_cycles, windows.copied_bytes, windows.copied_cycles):
        assert f"{figure:,.0f}" in windows.reason


def test_a_quicker_copy_has_both_estimates() -> None:
    """One column fills no lanes of a microkernel of windows."""
    windows = _tile(_convolved(_images(), 1)).windows
    assert windows is not None and windows.copied
    assert windows.in_place_cycles is not None and windows.copied_cycles is not None
    assert windows.copied_cycles < windows.in_place_cycles
    assert "they would take more" in windows.reason
    assert windows.reason.endswith(f"{windows.in_place_cycles:,.0f}")


def test_what_cannot_be_read_where_it_stands_says_why() -> None:
    channels = LONGEST_WINDOWED_DEPTH // 9 + 1
    windows = _tile(_convolved(_images(channels), 32)).windows
    assert windows is not None and windows.copied
    assert windows.in_place_cycles is None and windows.copied_cycles is None
    assert f"{9 * channels:,} products for each sum" in windows.reason


def test_operands_with_strides_have_no_windows() -> None:
    graph = gc.Graph()
    assert _tile(gc.matmul(graph.input("a", (8, 5)), graph.input("b", (5, 7)))).windows is None


def test_gradients_are_explained() -> None:
    images = _images()
    kernel = images.graph.parameter("kernel", (3, 3, CHANNELS, CHANNELS), gc.init.zeros)
    loss = gc.sum(gc.conv(gc.conv(images, kernel), kernel) ** 2)
    made = gc.function(images, loss, gc.optim.SGD(0.1).updates(loss), threads=1)
    tiles = explain(compiled_for_explaining(made, {})).tiles
    # Two forward, two by the kernel, one by what is between.
    assert len(tiles) == 5
    assert all(tile.windows is not None for tile in tiles)


def test_steps_of_loops_are_explained() -> None:
    images = _images()
    kernel = images.graph.input("kernel", (3, 3, CHANNELS, CHANNELS))

    def step(number: gc.Node, x: gc.Node) -> gc.Node:
        return gc.conv(gc.tanh(x), kernel, padding="same")

    assert _tile(gc.fori_loop(0, 3, step, images)).windows is not None
    inside = gc.fori_loop(0, 3, lambda number, x: gc.fori_loop(0, 2, step, x), images)
    assert _tile(inside).windows is not None


def test_loops_beside_a_product_leave_its_windows_known() -> None:
    """Carries of loops begin with copies, so what reads the loop is made again."""
    images = _images()
    began = gc.fori_loop(0, 3, lambda number, x: gc.tanh(x) * 0.5, images)
    assert _tile(_convolved(began, 32)).windows is not None


def test_why_of_a_product_tells_of_its_windows() -> None:
    result = _convolved(_images(), 32)
    step = gc.function(list(result.graph.inputs.values()), result, threads=1)
    made = compiled_for_explaining(step, {})
    (product,) = explain_values(made, "matmul")
    assert product.tile is not None and product.tile.windows is not None
