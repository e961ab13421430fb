"""Kernels of convolutions and pooling: what they share, and that they stay in their memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.compiler.pipeline import Compilation
from graphc.ir.ops.movement.movement import embed
from graphc.ir.ops.windows import windows
from graphc.ir.reference import run_program
from graphc.ir.types import DTYPES
from graphc.kernels.groups.group import ContractionGroup, Group, LoopGroup
from graphc.kernels.nests.access import Access, merge_axes
from graphc.testing.tolerance import assert_close
from tests.compiler.execution import Machine, compilation, run_on_threads

BATCH = {"n": 3}


def _groups(made: Compilation) -> list[Group]:
    return [row.group for row in made.plan.instructions if row.group is not None]


def _ops(group: Group) -> set[str]:
    return {node.op.name for node in group.nodes}


def _program(*results: gc.Node) -> Any:
    graph = results[0].graph
    return gc.function(list(graph.inputs.values()), list(results)).program


def _values(program: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    rng = np.random.default_rng(5)

    def drawn(node: gc.Node) -> Any:
        shape = tuple(BATCH.get(str(extent), extent) for extent in node.shape)
        return rng.uniform(-1, 1, shape).astype(node.dtype.numpy)

    inputs = {node.name: drawn(node) for node in program.inputs}
    return inputs, {node.name: drawn(node) for node in program.states}


def test_max_pooling_is_one_kernel_without_a_copy() -> None:
    graph = gc.Graph()
    x = graph.input("x", ("n", 9, 9, 16))
    pooled = gc.max_pool(gc.relu(x * 2), 3, 3)
    doubled, _ = _groups(compilation(_program(pooled), BATCH))
    assert _ops(doubled) == {"multiply", "relu"}
    (group,) = _groups(compilation(_program(gc.max_pool(x, 3, 2) * 2), BATCH))
    assert isinstance(group, LoopGroup) and {"greatest", "multiply"} <= _ops(group)


@pytest.mark.parametrize("extent", [14, 13])
def test_the_derivative_of_pooling_is_one_kernel_with_what_surrounds_it(extent: int) -> None:
    """Masks of relu and of the greatest elements, and the gradient of the bias; also where pooling
    leaves out the last results, which are not computed."""
    graph = gc.Graph()
    x = graph.input("x", (8, extent, extent, 4))
    pooled = gc.max_pool(gc.nn.conv2d(x, 16, 3, activation="relu"), 2)
    loss = gc.losses.mean_squared_error(pooled, graph.input("t", pooled.shape))
    step = gc.function([x, graph.inputs["t"]], loss, gc.optim.SGD(0.1).updates(loss))
    groups = _groups(compilation(step.program, {}))
    assert not any(node.op is embed for group in groups for node in group.nodes)
    products = [group for group in groups if isinstance(group, ContractionGroup)]
    positions = (extent - 2) // 2 * 2
    assert products[0].contraction.operands[0].shape[0] == 8 * positions**2
    (masked,) = (group for group in groups if "where" in _ops(group))
    assert {"divide", "sum"} <= _ops(masked) and isinstance(masked, LoopGroup)


def test_a_convolution_is_a_product_with_what_follows() -> None:
    """Its windows are read where they stand."""
    graph = gc.Graph()
    x = graph.input("x", ("n", 9, 9, 4))
    hidden = gc.nn.conv2d(x, 8, 3, activation="relu")
    (product,) = _groups(compilation(_program(gc.tanh(hidden) * 0.5), BATCH))
    assert isinstance(product, ContractionGroup)
    assert _ops(product) == {"matmul", "add", "relu", "tanh", "multiply"}


def test_windows_are_copied_where_a_product_of_them_is_slow() -> None:
    """One column leaves most of a vector empty; transposed, rows fill it."""
    graph = gc.Graph()
    x = graph.input("x", (64, 20, 20, 4))
    copy, product = _groups(compilation(_program(gc.nn.conv2d(x, 1, 3)), {}))
    assert isinstance(copy, LoopGroup) and _ops(copy) == {"copy"}
    assert isinstance(product, ContractionGroup)


def test_windows_of_one_element_are_not_copied() -> None:
    graph = gc.Graph()
    x = graph.input("x", ("n", 5, 6, 4))
    (group,) = _groups(compilation(_program(gc.nn.conv2d(x, 8, 1, activation="relu")), BATCH))
    assert isinstance(group, ContractionGroup)


def test_a_step_of_convolutions_stores_no_windows() -> None:
    graph = gc.Graph()
    x = graph.input("x", (8, 12, 12, 16))
    hidden = gc.nn.conv2d(x, 16, 3, padding="same", activation="relu")
    loss = gc.sum(gc.square(gc.nn.conv2d(hidden, 16, 3)))
    step = gc.function([x], loss, gc.optim.SGD(0.1).updates(loss))
    groups = _groups(compilation(step.program, {}))
    products = [group for group in groups if isinstance(group, ContractionGroup)]
    slid = [n for g in groups for n in g.nodes if any(x.op is windows for x in _views(n))]
    # Forward twice, both kernels, and what the second hands back.
    assert len(slid) == 5
    assert all(any(n is group.contraction for group in products) for n in slid)


@pytest.mark.parametrize(("channels", "size", "is_added"), [(6, 5, True), (32, 3, False)])
def test_what_a_large_window_gives_to_few_channels_is_added_up(
    channels: int, size: int, is_added: bool
) -> None:
    """Rather than multiplied with zeros in vectors that are mostly empty; with the same bits on two
    threads."""
    graph = gc.Graph()
    x = graph.input("x", (8, 14, 14, channels))
    kernel = graph.input("kernel", (size, size, channels, 16))
    program = _program(gc.grad(gc.sum(gc.square(gc.conv(x, kernel))), x))
    made = compilation(program, {})
    rules = {firing.rule for firing in made.firings}
    assert ("product_of_windows_among_zeros" in rules) == is_added
    inputs, _ = _values(program)
    ((name, wanted),) = run_program(program, inputs, {})[0].items()
    one, two = (run_on_threads(program, inputs, threads, 512)[name] for threads in (1, 2))
    assert one.tobytes() == two.tobytes()
    terms, scale = size**4 * channels * 16, float(np.abs(wanted).max())
    assert_close(one, wanted, DTYPES["f32"], reduction_length=terms, scale=scale)


def _views(node: gc.Node) -> list[gc.Node]:
    """The views through which the node reads its operands."""
    found, waiting = [], list(node.operands)
    while waiting:
        operand = waiting.pop()
        if operand.viewed is not operand:
            found.append(operand)
            waiting.append(operand.operands[0])
    return found


def test_a_depthwise_convolution_is_one_kernel_without_a_product() -> None:
    graph = gc.Graph()
    x = graph.input("x", ("n", 9, 9, 16))
    hidden = gc.nn.depthwise_conv2d(x, 3, use_bias=False)
    (group,) = _groups(compilation(_program(hidden), BATCH))
    assert isinstance(group, LoopGroup) and _ops(group) == {"multiply", "sum"}


def test_in_guarded_memory_and_in_place(machine: Machine) -> None:
    """A state that its own windows update; layers one behind the other, with their derivatives."""
    graph = gc.Graph(seed=0)
    x = graph.input("x", (3, 7, 6, 2))
    hidden = gc.nn.conv2d(x, 17, 3, (2, 1), "same", activation="tanh")
    hidden = gc.nn.max_pool2d(hidden, 3, 1, "same")
    hidden = gc.nn.separable_conv2d(hidden, 3, 2, depth_multiplier=2)
    hidden = gc.nn.conv2d_transpose(hidden, 2, 3, 2, "same")
    loss = gc.mean(gc.square(gc.nn.average_pooling2d(hidden, 2, 1, "same")))
    state = graph.variable("w", np.arange(12, dtype="f4"))
    slid = windows(state, axes=(0,), sizes=(3,), strides=(1,), dilations=(1,))
    smooth = gc.concatenate([gc.mean(slid, 1), state[:2]])
    updates = {**gc.optim.SGD(0.1).updates(loss), state: smooth}
    step = gc.function([x], [loss, gc.grad(loss, x)], updates)
    inputs, states = _values(step.program)
    expected, updated = run_program(step.program, inputs, states)
    outputs, after = machine.run(step.program, inputs, states)
    for name, wanted in (expected | updated).items():
        np.testing.assert_allclose((outputs | after)[name], wanted, rtol=2e-5, atol=2e-5)


def test_the_same_bits_on_several_threads() -> None:
    graph = gc.Graph(seed=0)
    x, kernel = graph.input("x", (8, 20, 20, 16)), graph.input("k", (3, 3, 16, 16))
    hidden = gc.max_pool(gc.relu(gc.conv(x, kernel)), 2)
    program = _program(hidden, *gc.grad(gc.sum(gc.square(hidden)), [x, kernel]))
    inputs, _ = _values(program)
    one, two = (run_on_threads(program, inputs, threads, 256) for threads in (1, 2))
    for name, value in one.items():
        assert value.tobytes() == two[name].tobytes()


@dataclass(frozen=True)
class Slid:
    """A convolution of x [*spatial extents, channels] behind a batch axis."""

    x: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: int | tuple[int, ...] = 1
    padding: Any = "valid"
    dilations: int = 1
    dtype: str = "f32"


EDGES = (
    # A channel, and few columns; windows larger than the image with its padding allows to slide.
    Slid((6, 5, 5, 1), (5, 4, 1, 3), padding=((2, 1), (0, 0))),
    # More channels than vectors are wide, one above a multiple of them, with phases of a stride.
    Slid((4, 9, 8, 33), (3, 3, 33, 17), 2, 1),
    # Lines of different dilation than their elements, blocks of whole images.
    Slid((160, 6, 7, 2), (2, 3, 2, 16), padding="same", dilations=2, dtype="f64"),
)
MORE_EDGES = (
    Slid((3, 1, 1, 257), (1, 1, 257, 4)),
    Slid((2, 5, 4, 257), (3, 2, 257, 31)),
    Slid((5, 12, 3), (7, 3, 40), padding="causal"),
    Slid((3, 4, 5, 3, 2), (2, 3, 3, 2, 16), (1, 2, 1), "same"),
    Slid((700, 3, 3, 4), (2, 2, 4, 16)),
    Slid((2, 40, 40, 1), (1, 9, 1, 16), 1, 4),
    Slid((9, 7, 7, 16), (2, 2, 16, 16), 3, dtype="f64"),
    Slid((8, 34, 34, 3), (3, 3, 3, 20), (2, 1), "same"),
)


@pytest.mark.parametrize(
    "slid", [*EDGES, *(pytest.param(each, marks=pytest.mark.long) for each in MORE_EDGES)], ids=str
)
def test_values_and_gradients_of_any_extents(slid: Slid) -> None:
    """As the reference has them, with the same bits on any number of threads."""
    graph = gc.Graph()
    x, kernel = graph.input("x", slid.x, slid.dtype), graph.input("k", slid.kernel, slid.dtype)
    value = gc.conv(x, kernel, slid.strides, slid.padding, dilation_rate=slid.dilations)
    program = _program(value, *gc.grad(gc.sum(gc.square(value)), [x, kernel]))
    inputs, _ = _values(program)
    expected, _ = run_program(program, inputs, {})
    one, three = (run_on_threads(program, inputs, threads, 256) for threads in (1, 3))
    terms = math.prod(slid.x) * math.prod(slid.kernel[:-2])
    for name, wanted in expected.items():
        assert one[name].tobytes() == three[name].tobytes()
        scale = float(np.abs(wanted).max())
        assert_close(one[name], wanted, DTYPES[slid.dtype], reduction_length=terms, scale=scale)


@pytest.mark.parametrize("wrong", [None, 0, 4])
def test_indices_in_windows_are_all_checked(wrong: int | None) -> None:
    """Windows have as many elements here as what they slide over, of which they show a part."""
    graph = gc.Graph()
    words = graph.input("words", (5,), "i32")
    table = graph.input("table", (6, 2))
    pairs = windows(words[:4], axes=(0,), sizes=(2,), strides=(2,), dilations=(1,))
    seen = windows(words, axes=(0,), sizes=(2,), strides=(3,), dilations=(1,))
    rows = gc.function([words, table], [gc.take(table, pairs), gc.take(table, seen)])
    given = np.array([1, 5, 3, 2, 0], "i4")
    values = np.arange(12, dtype="f4").reshape(6, 2)
    if wrong is None:
        first, second = rows(given, values)
        np.testing.assert_array_equal(first, values[[[1, 5], [3, 2]]])
        np.testing.assert_array_equal(second, values[[[1, 5], [2, 0]]])
        return
    given[wrong] = 6
    with pytest.raises(IndexError, match="is outside -6 to 5"):
        rows(given, values)


def test_more_loops_than_names_are_refused() -> None:
    with pytest.raises(AssertionError, match="3 loops, but names for 2"):
        merge_axes(range(3), (2, 2, 2), [Access("x", 0, (1, 5, 9))], ("i", "j"))
