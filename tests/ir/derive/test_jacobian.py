"""Jacobians, and derivatives of derivatives."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc.ir.derive.autodiff import gradients
from graphc.ir.derive.jacobian import is_diagonal, jacobian
from graphc.ir.errors import GraphError, NotDifferentiableError
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, topological
from graphc.ir.ops.elementwise import elementwise as ops
from tests.ir.evaluation import assert_slope, differences, value_at

# --- Jacobians -------------------------------------------------------------------------------

# name: y from x of shape (2, 3), whether its Jacobian is known to be diagonal
MAPS: dict[str, tuple[Callable[[Node], Node], bool]] = {
    "tanh": (ops.tanh, True),
    "itself": (lambda x: x, True),
    "polynomial": (lambda x: x * x * 3 - ops.exp(x) / (x + 4), True),
    "scaled_rows": (lambda x: x * np.array([1.0, 2.0, 3.0]), True),
    "chosen": (lambda x: ops.where(x > 0, x * x, -x), True),
    "softmax": (build.softmax, False),
    "centred": (lambda x: x - build.mean(x, 0), False),
    "product": (lambda x: x @ np.array([[1.0, 2], [0.5, -1], [3, 1]]), False),
    "transposed": (lambda x: x.T, False),
    "reversed": (lambda x: ops.exp(x[::-1]), False),
    "permuted_back": (lambda x: ops.tanh(x.T).T, False),
    "reshaped": (lambda x: x.reshape(3, 2), False),
    "stretched": (lambda x: build.expand(x, 0, 2) * 2, False),
    "row": (lambda x: x[0] * x[1], False),
    "sum": (lambda x: build.sum(ops.square(x)), False),
}


@pytest.mark.parametrize("name", MAPS)
def test_jacobian(name: str) -> None:
    function, diagonal = MAPS[name]
    x = Graph().input("x", (2, 3), "f64")
    y = function(x)
    at = {x: np.array([[0.5, -1.0, 1.5], [-0.25, 2.0, 0.75]])}
    whole = jacobian(y, x)
    assert whole.shape == (*y.shape, *x.shape)
    assert_slope(value_at(whole, at), differences(y, x, at))
    assert is_diagonal(y, x) == diagonal


def test_nodes_of_a_jacobian_do_not_grow_with_it() -> None:
    """A diagonal takes one VJP; other rows are made at once."""
    x = Graph().input("x", (50,), "f64")
    assert len(topological([jacobian(ops.tanh(x), x)])) < 20
    assert len(topological([jacobian(build.softmax(x), x)])) < 20


@pytest.mark.parametrize("shape", [(), (1,), (0,), (1, 1)])
def test_jacobians_of_few_elements(shape: tuple[int, ...]) -> None:
    x = Graph().input("x", shape, "f64")
    at = {x: np.full(shape, 0.5)}
    for y in (ops.exp(x), ops.exp(x) * build.sum(x)):
        actual = value_at(jacobian(y, x), at)
        assert actual.shape == (*shape, *shape)
        assert_slope(actual, differences(y, x, at))


def test_jacobian_by_a_broadcast_operand() -> None:
    """A vector that is stretched has no diagonal Jacobian, though every op is elementwise."""
    graph = Graph()
    x, b = graph.input("x", (2, 3), "f64"), graph.input("b", (3,), "f64")
    y = ops.tanh(x + b)
    assert not is_diagonal(y, b) and is_diagonal(y, x)
    at = {x: np.ones((2, 3)), b: np.array([0.5, -1, 0.25])}
    assert_slope(value_at(jacobian(y, b), at), differences(y, b, at))
    one = graph.input("one", (1, 1), "f64")
    assert not is_diagonal(x + one, one)


def test_refused_jacobians() -> None:
    graph = Graph()
    x, y = graph.input("x", ("batch",)), graph.input("y", (3,))
    with pytest.raises(GraphError, match=r"Jacobian of f32\[batch\] by f32\[batch\] needs fixed"):
        jacobian(x * 2, x)
    with pytest.raises(GraphError, match="does not depend"):
        jacobian(y * 2, graph.input("z", (3,)))
    with pytest.raises(NotDifferentiableError, match="greater"):
        jacobian(build.cast(y > 0, "f32"), y)


# --- second order ----------------------------------------------------------------------------


def test_hessian() -> None:
    """The Jacobian of a gradient is symmetric and agrees with differences."""
    x = Graph().input("x", (3,), "f64")
    y = build.sum(ops.exp(x[:2] * x[1:]) + ops.square(x[::2]).sum() * ops.tanh(x[0]))
    (slope,) = gradients(y, [x])
    hessian = jacobian(slope, x)
    at = {x: np.array([0.5, -0.75, 1.25])}
    value = value_at(hessian, at)
    np.testing.assert_allclose(value, value.T, rtol=1e-12, atol=1e-13)
    assert_slope(value, differences(slope, x, at))


def test_derivatives_of_a_power() -> None:
    x = Graph().input("x", (), "f64")
    y: Any = x**5
    at = {x: np.array(1.5)}
    for order, factor in ((4, 5.0), (3, 20.0), (2, 60.0), (1, 120.0), (0, 120.0)):
        (y,) = gradients(y, [x])
        np.testing.assert_allclose(value_at(y, at), factor * 1.5**order, rtol=1e-14)


def test_third_derivative_of_tanh() -> None:
    x = Graph().input("x", (), "f64")
    y: Node = ops.tanh(x)
    for _ in range(3):
        (y,) = gradients(y, [x])
    t = np.tanh(0.3)
    expected = (1 - t**2) * (6 * t**2 - 2)
    np.testing.assert_allclose(value_at(y, {x: np.array(0.3)}), expected, rtol=1e-13)


def test_gradient_of_a_gradient_penalty() -> None:
    """Differentiating by the weights through a gradient by the input."""
    graph = Graph()
    x, w = graph.input("x", (2, 3), "f64"), graph.input("w", (3, 2), "f64")
    (by_x,) = gradients(build.sum(ops.tanh(x @ w)), [x])
    penalty = build.sum(ops.square(by_x))
    (slope,) = gradients(penalty, [w])
    rng = np.random.default_rng(3)
    at = {x: rng.uniform(-1, 1, (2, 3)), w: rng.uniform(-1, 1, (3, 2))}
    assert_slope(value_at(slope, at), differences(penalty, w, at))
