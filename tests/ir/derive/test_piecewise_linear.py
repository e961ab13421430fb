"""Derivatives of what chooses among its operands: they choose as well, and their slope is 0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import graphc as gc
from graphc.ir.derive.autodiff import gradients
from graphc.ir.derive.jacobian import jacobian
from graphc.ir.errors import GraphError, NotDifferentiableError
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.elementwise import elementwise as ops
from tests.ir.evaluation import value_at

AT = np.array([[0.5, -1.0, 2.0, 0.0], [-0.0, 3.0, 3.0, -4.0]])

CHOOSING: dict[str, Callable[[Node], Node]] = {
    "relu": ops.relu,
    "leaky_relu": lambda x: build.leaky_relu(x, 0.1),
    "leaky_relu of negative slope": lambda x: build.leaky_relu(x, -0.5),
    "abs": abs,
    "maximum": lambda x: ops.maximum(x, 0.25),
    "maximum of both": lambda x: ops.maximum(x, 2 * x),
    "minimum": lambda x: ops.minimum(x, 0.25),
    "where": lambda x: ops.where(x > 1, 3 * x, x),
    "where not": lambda x: ops.where(ops.logical_not(x > 1), 0, x),
    "max": lambda x: build.max(x, 1),
    "min": lambda x: build.min(x),
    "maxout": lambda x: build.maxout(x, 2),
    "clipped": lambda x: ops.minimum(ops.maximum(x, -1.0), 1.0),
    "one after the other": lambda x: ops.relu(build.leaky_relu(x - 1, -0.2)),
    "clip from below": lambda x: gc.clip(x, -1, None),
    "clip from above": lambda x: gc.clip(x, None, 0.5),
    "hard_tanh": gc.hard_tanh,
    "hard_sigmoid": gc.hard_sigmoid,
    "relu6": lambda x: gc.clip(gc.relu(x), 0, 6),
    "prelu": lambda x: gc.prelu(x, x.graph.constant([0.5, -0.5, 0.1, 2.0], "f64")),
    "sort": lambda x: gc.sort(x, 1),
    "sort downwards": lambda x: gc.sort(x, 0, descending=True),
    "top_k": lambda x: gc.top_k(x, 2)[0],
    "median": lambda x: gc.sort(x, 1)[:, 2],
    "pick of argmax": lambda x: gc.pick(x, gc.argmax(x, 1)),
    "in the order of argsort": lambda x: gc.take_along_axis(x, gc.argsort(x, 1), 1),
    "rows by argsort": lambda x: gc.take(x, gc.argsort(gc.sum(x, 1)), 0),
    "max_pool": lambda x: gc.max_pool(gc.reshape(x, (1, 2, 4, 1)), 2),
}

# Of these a slope is a sum of several, where an infinite cotangent may make NaN.
ADDING: dict[str, Callable[[Node], Node]] = {
    "overlapping windows": lambda x: gc.max_pool(gc.reshape(x, (1, 2, 4, 1)), 2, 1, "same"),
    "adaptive windows": lambda x: gc.adaptive_max_pool(gc.reshape(x, (1, 2, 4, 1)), (2, 3)),
    "resized": lambda x: gc.resize(gc.reshape(gc.relu(x), (1, 2, 4, 1)), (3, 7), "bilinear"),
    "cumsum": lambda x: gc.cumsum(gc.relu(x), 1),
    "scan of relu": lambda x: _scanned(lambda h, row: gc.relu(h + row), x),
    "scan of maximum": lambda x: _scanned(gc.maximum, x),
    "scan of sorted rows": lambda x: _scanned(lambda h, row: h + gc.sort(row), x),
    "scan of picked rows": lambda x: _scanned(lambda h, row: h + row[gc.argmax(row)], x),
    "scan of chosen sides": lambda x: _scanned(lambda h, row: gc.where(h > row, h, 2 * row), x),
}


def _scanned(step: Callable[[Node, Node], Node], x: Node) -> Node:
    """A loop over the columns of x, whose steps are all stacked."""

    def body(carries: list[Node], slices: list[Node]) -> tuple[list[Node], Node]:
        after = step(carries[0], slices[0])
        return [after], after

    return gc.scan(body, [x[:, 0]], [gc.transpose(x)])[1]


@pytest.mark.parametrize("name", [*CHOOSING, *ADDING])
def test_the_second_derivative_is_zero(name: str) -> None:
    x = Graph().input("x", (2, 4), "f64")
    (first,) = gradients(build.sum((CHOOSING | ADDING)[name](x)), [x])
    (second,) = gradients(build.sum(ops.square(first)), [x])
    np.testing.assert_array_equal(value_at(second, {x: AT}), np.zeros((2, 4)))


@pytest.mark.parametrize("name", CHOOSING)
def test_the_second_derivative_of_a_square_is_twice_the_squared_slope(name: str) -> None:
    """d(2 y y')/dx = 2 y' ** 2 of elementwise y, wherever y' is constant around x."""
    x = Graph().input("x", (2, 4), "f64")
    y = CHOOSING[name](x)
    if y.shape != x.shape:
        return
    (first,) = gradients(build.sum(ops.square(y)), [x])
    (second,) = gradients(build.sum(first), [x])
    (slope,) = gradients(build.sum(y), [x])
    at = {x: np.where(AT == 0, 0.75, AT)}
    expected = 2 * value_at(slope, at) ** 2
    np.testing.assert_allclose(value_at(second, at), expected, rtol=1e-14)


@pytest.mark.parametrize("name", [*CHOOSING, *ADDING])
def test_the_second_derivative_of_a_sum_of_squares(name: str) -> None:
    """d/dx |d/dx sum(y ** 2)| ** 2, where all is smooth, against differences."""
    x = Graph().input("x", (2, 4), "f64")
    (first,) = gradients(build.sum(ops.square((CHOOSING | ADDING)[name](x))), [x])
    penalty = build.sum(ops.square(first))
    (second,) = gradients(penalty, [x])
    at = np.array([[0.55, -1.2, 2.3, 0.1], [-0.3, 3.4, 3.1, -4.0]])
    along, step = np.cos(np.arange(8.0)).reshape(2, 4), 1e-6
    above, below = (value_at(penalty, {x: at + s * along}) for s in (step, -step))
    expected = (above - below) / (2 * step)
    found = np.sum(value_at(second, {x: at}) * along)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("options", [{"mode": "reference"}, {"fuse": False}, {}], ids=str)
@pytest.mark.parametrize("name", CHOOSING)
def test_a_choice_is_no_product_with_zero(name: str, options: dict[str, object]) -> None:
    """Where a slope is 0 an infinite cotangent leaves 0; elsewhere it has the slope's sign."""
    graph = gc.Graph()
    x = graph.input("x", (2, 4), "f64")
    y = CHOOSING[name](x)
    ct = graph.input("ct", y.shape, "f64")
    slope, infinite = gc.grad(gc.sum(y), x), gc.grad(gc.sum(y * ct), x)
    function = gc.function([x, ct], [slope, infinite], **options)
    slope_value, infinite_value = function(AT, np.full(y.type.dims, np.inf))
    expected = np.where(slope_value == 0, 0.0, np.copysign(np.inf, slope_value))
    np.testing.assert_array_equal(infinite_value, expected)


def test_steps_that_a_user_writes_are_still_refused() -> None:
    x = Graph().input("x", (2, 4), "f64")
    two = x.graph.constant(2.0, "f64")
    for step in (build.cast(x > 0, "f64"), ops.where(ops.relu(x) > 0, 1.0, two)):
        with pytest.raises(NotDifferentiableError, match="greater: "):
            gradients(build.sum(step), [x])


def test_a_linear_function_has_no_second_derivative() -> None:
    graph = Graph()
    x, y = graph.input("x", (3,), "f64"), graph.input("y", (3,), "f64")
    (first,) = gradients(build.sum(x * y), [x])
    with pytest.raises(GraphError, match="does not depend on"):
        gradients(build.sum(first), [x])


def test_a_jacobian_selects_its_diagonal() -> None:
    x = Graph().input("x", (2,), "f64")
    at = {x: np.array([0.0, 4.0])}
    np.testing.assert_array_equal(value_at(jacobian(ops.sqrt(x), x), at), [[np.inf, 0], [0, 0.25]])


def test_a_gradient_penalty_trains() -> None:
    """Biases of a relu net reach the gradient by the input through its conditions alone."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(64, 3)).astype(np.float32)
    targets = np.abs(points).sum(1, keepdims=True)
    graph = gc.Graph(seed=0)
    x, t = graph.input("x", ("batch", 3)), graph.input("t", ("batch", 1))
    hidden = gc.nn.dense(gc.nn.maxout(x, 8, name="maxout"), 16, gc.relu)
    y = gc.nn.dense(gc.leaky_relu(gc.nn.dense(hidden, 8), 0.1), 1)
    slope = gc.grad(gc.sum(y), x)
    penalty = gc.mean(gc.square(gc.sqrt(gc.sum(gc.square(slope), 1) + 1e-6) - 1))
    loss = gc.losses.mean_squared_error(y, t) + penalty
    model = gc.Model(x, y, t, loss, {"penalty": penalty})
    model.compile(gc.optim.Adam(0.01), batch_size=16)
    losses = model.fit(points, targets, epochs=12, verbose=0).history
    assert losses["loss"][-1] < losses["loss"][0] / 2
    assert losses["penalty"][-1] < losses["penalty"][0]
