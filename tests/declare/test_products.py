"""Products with Jacobians and Hessians, Hessians, and gradients of single samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.derive.samples import per_sample_gradients
from graphc.ir.errors import NotDifferentiableError
from graphc.ir.graph import Node, topological
from tests.ir.evaluation import assert_slope, differences, value_at

RNG = np.random.default_rng(5)
ROWS = 5


def smooth(graph: gc.Graph) -> tuple[Node, Node]:
    """x of shape (2, 3), and y of shape (2, 2) that every element of its row makes."""
    x = graph.input("x", (2, 3), "f64")
    kernel = RNG.normal(size=(3, 2))
    return x, gc.softmax(gc.tanh(x @ kernel)) * gc.sum(x * x, 1, keepdims=True) + x[:, :2]


class Network:
    """Two layers over an open batch, and a loss of each sample."""

    def __init__(self, samples: Any = "batch") -> None:
        graph = gc.Graph(seed=1)
        self.x = graph.input("x", (samples, 4), "f64")
        self.t = graph.input("t", (samples,), "i32")
        with gc.scope("net"):
            self.hidden = gc.nn.dense(self.x, 6, gc.tanh)
            self.scores = gc.nn.dense(self.hidden, 3)
        self.losses = -gc.pick(gc.log_softmax(self.scores), self.t)
        self.parameters = graph.parameters
        self.values = {self.x: RNG.normal(size=(ROWS, 4)), self.t: RNG.integers(0, 3, ROWS)}
        self.values |= {p: RNG.normal(size=p.shape) for p in self.parameters}


def products_in(node: Node) -> int:
    return Counter(each.op.name for each in topological([node]))["matmul"]


def test_products_are_those_with_the_jacobian() -> None:
    x, y = smooth(gc.Graph())
    at = {x: RNG.normal(size=(2, 3))}
    matrix = value_at(gc.jacobian(y, x), at)
    assert_slope(matrix, differences(y, x, at))
    ct, tangent = RNG.normal(size=(2, 2)), RNG.normal(size=(2, 3))
    pulled, pushed = value_at(gc.vjp(y, x, ct), at), value_at(gc.jvp(y, x, tangent), at)
    np.testing.assert_allclose(pulled, np.einsum("ij,ijkl->kl", ct, matrix), rtol=1e-12)
    np.testing.assert_allclose(pushed, np.einsum("ijkl,kl->ij", matrix, tangent), rtol=1e-12)


def test_forms() -> None:
    """One, several, or several by name, on both sides."""
    graph = gc.Graph()
    a, b = graph.input("a", (3,), "f64"), graph.input("b", (), "f64")
    y, z = gc.exp(a) * b, gc.sum(a) * b
    at = {a: np.array([0.5, 1.0, -1.0]), b: np.array(2.0)}
    by_name = gc.vjp({"y": y, "z": z}, {"b": b, "a": a}, {"z": 3.0, "y": np.ones(3)})
    assert isinstance(by_name, dict) and list(by_name) == ["b", "a"]
    expected = np.exp(at[a]) * 2 + 3 * 2
    np.testing.assert_allclose(value_at(by_name["a"], at), expected)
    listed = gc.vjp([y, z], [b], [np.ones(3), 3.0])
    assert isinstance(listed, list)
    np.testing.assert_allclose(value_at(listed[0], at), np.exp(at[a]).sum() + 3 * at[a].sum())
    pushed = gc.jvp({"z": z, "y": y}, [a, b], [np.ones(3), 0.5])
    assert isinstance(pushed, dict) and list(pushed) == ["z", "y"]
    np.testing.assert_allclose(value_at(pushed["z"], at), 3 * 2 + 0.5 * at[a].sum())
    (second,) = gc.hvp(gc.sum(y * y), [a], [np.ones(3)])
    np.testing.assert_allclose(value_at(second, at), 4 * np.exp(2 * at[a]) * 4)


def test_nothing_of_the_backward_pass_is_left_in_forward_mode() -> None:
    """One product for the values of the hidden layer, and one a layer for the tangents."""
    net = Network()
    direction = gc.jvp(net.scores, net.x, net.x.graph.input("tangent", net.x.shape, "f64"))
    assert products_in(direction) == 1 + 2
    ops = {node.op.name for node in topological([direction])}
    assert ops == {"input", "state", "matmul", "add", "tanh_slope", "multiply"}


def test_hvp_is_the_hessian_times_a_vector() -> None:
    net = Network()
    loss = gc.mean(net.losses)
    vectors = [RNG.normal(size=p.shape) for p in net.parameters]
    found = gc.hvp(loss, net.parameters, vectors)
    gradients = gc.grad(loss, net.parameters)
    step = 1e-5
    for product, gradient in zip(found, gradients, strict=True):
        ahead, behind = (
            value_at(
                gradient,
                net.values
                | {p: net.values[p] + s * v for p, v in zip(net.parameters, vectors, strict=True)},
                batch=ROWS,
            )
            for s in (step, -step)
        )
        actual = value_at(product, net.values, batch=ROWS)
        np.testing.assert_allclose(actual, (ahead - behind) / (2 * step), rtol=1e-7, atol=1e-9)


def test_hessian_and_its_own_derivative() -> None:
    graph = gc.Graph()
    x = graph.input("x", (4,), "f64")
    loss = gc.logsumexp(x * x) + gc.sum(gc.relu(x) * x[::-1]) + gc.sin(x[0] * x[1])
    at = {x: np.array([0.5, -0.75, 1.25, 2.0])}
    hessian = gc.hessian(loss, x)
    value = value_at(hessian, at)
    np.testing.assert_allclose(value, value.T, rtol=1e-12, atol=1e-13)
    assert_slope(value, differences(gc.grad(loss, x), x, at))
    third = gc.grad(gc.sum(hessian * hessian), x)
    assert_slope(value_at(third, at), differences(gc.sum(hessian * hessian), x, at))
    v = RNG.normal(size=4)
    np.testing.assert_allclose(value_at(gc.hvp(loss, x, v), at), value @ v, rtol=1e-12)


def test_a_hessian_does_not_grow_with_its_size() -> None:
    counts = []
    for size in (8, 80):
        x = gc.Graph().input("x", (size,), "f64")
        counts.append(len(topological([gc.hessian(gc.logsumexp(gc.tanh(x)), x)])))
    assert counts[0] == counts[1]


def test_what_does_not_curve_has_zeros() -> None:
    graph = gc.Graph()
    a, b = graph.input("a", (2,), "f64"), graph.input("b", (2,), "f64")
    at = {a: np.ones(2), b: np.ones(2)}
    line = gc.sum(3 * a)
    np.testing.assert_array_equal(value_at(gc.hessian(line, a), at), np.zeros((2, 2)))
    found = gc.hvp(line + gc.sum(b**3), [a, b], [np.ones(2), np.ones(2)])
    np.testing.assert_array_equal([value_at(f, at) for f in found], [[0, 0], [6, 6]])
    step = gc.jvp(gc.sign(a) * b, a, np.ones(2))
    np.testing.assert_array_equal(value_at(step, at), [0, 0])


# --- gradients of single samples ---------------------------------------------------------------


def assert_per_sample(losses: Node, parameters: list[Node], values: dict[Node, Any]) -> None:
    """As the gradient of each loss alone."""
    found = gc.per_sample_gradients(losses, parameters)
    for parameter, gradient in zip(parameters, found, strict=True):
        assert gradient.shape == (*losses.shape, *parameter.shape)
        actual = value_at(gradient, values, batch=ROWS)
        alone = [
            value_at(gc.grad(losses[row], parameter), values, batch=ROWS) for row in range(ROWS)
        ]
        np.testing.assert_allclose(actual, alone, rtol=1e-10, atol=1e-12)


def token_losses(graph: gc.Graph, values: dict[Node, Any]) -> Node:
    """An embedding, attention over its own scores, layer norm and a tied projection."""
    tokens = graph.input("tokens", (ROWS, 3), "i32")
    values[tokens] = RNG.integers(0, 7, (ROWS, 3))
    table = graph.parameter("table", (7, 4), gc.init.normal(), "f64")
    h = gc.take(table, tokens)
    h = gc.nn.layer_norm(h + gc.nn.dense(h, 4, gc.tanh))
    scores = h @ gc.transpose(h, (0, 2, 1))
    h = gc.softmax(scores) @ h
    return gc.mean(gc.logsumexp(h @ table.T, 2), 1)


def batch_norm_losses(graph: gc.Graph, values: dict[Node, Any]) -> Node:
    """The mean and the variance of the batch let every sample act on all."""
    x = graph.input("x", (ROWS, 4), "f64")
    values[x] = RNG.normal(size=(ROWS, 4))
    h = gc.nn.dense(x, 3)
    centred = h - gc.mean(h, 0)
    return gc.sum(gc.tanh(centred / gc.sqrt(gc.mean(centred * centred, 0) + 0.1)), 1)


def odd_losses(graph: gc.Graph, values: dict[Node, Any]) -> Node:
    """Values that meet the samples stretched, scaled, by a slope, joined and sliced."""
    x = graph.input("x", (ROWS, 4), "f64")
    values[x] = RNG.normal(size=(ROWS, 4))
    scale = graph.parameter("scale", (), gc.init.normal(), "f64")
    row = graph.parameter("row", (1, 4), gc.init.normal(), "f64")
    used_twice = graph.parameter("used_twice", (4, 4), gc.init.normal(), "f64")
    h = gc.tanh(x @ used_twice * scale + row) @ (used_twice * used_twice).T
    h = gc.concatenate([h[:, 1:], gc.broadcast_to(row * scale, (ROWS, 4))], 1)
    return gc.sum(gc.reshape(h, (ROWS, 7)) ** 2, 1) * scale


def image_losses(graph: gc.Graph, values: dict[Node, Any]) -> Node:
    """Convolutions, one by channel and one the other way round, and pooling."""
    x = graph.input("x", (ROWS, 6, 5, 2), "f64")
    values[x] = RNG.normal(size=(ROWS, 6, 5, 2))
    h = gc.nn.conv2d(x, 4, 3, padding="same", activation="tanh")
    h = gc.nn.depthwise_conv2d(gc.nn.max_pool2d(h, 2), 2, padding="same")
    h = gc.nn.conv2d_transpose(h, 3, 2, strides=2)
    h = gc.nn.average_pooling2d(gc.nn.conv2d(h, 2, 1), 2)
    return gc.mean(gc.square(gc.nn.dense(gc.nn.flatten(h), 3)), 1)


def step_losses(graph: gc.Graph, values: dict[Node, Any]) -> Node:
    """One axis, dilated, of an embedding's rows."""
    tokens = graph.input("tokens", (ROWS, 7), "i32")
    values[tokens] = RNG.integers(0, 4, (ROWS, 7))
    table = graph.parameter("table", (4, 3), gc.init.normal(), "f64")
    h = gc.nn.conv1d(gc.take(table, tokens), 3, 2, padding="causal", dilation_rate=2)
    return gc.logsumexp(gc.nn.global_max_pool1d(h), 1)


def recurrent_losses(graph: gc.Graph, values: dict[Node, Any]) -> Node:
    """A recurrent layer over masked steps between dense ones, and all its outputs."""
    x = graph.input("x", (ROWS, 3, 4), "f64")
    values[x] = RNG.normal(size=(ROWS, 3, 4))
    lengths = graph.input("lengths", (ROWS,), "i32")
    values[lengths] = np.array([3, 1, 2, 3, 2])
    h = gc.nn.GRU(2, return_sequences=True)(gc.nn.dense(x, 3, "tanh"), lengths=lengths)
    return gc.sum(gc.square(gc.nn.dense(h, 2)), (1, 2))


def loop_losses(graph: gc.Graph, values: dict[Node, Any]) -> Node:
    """Loops one after the other, one of which keeps some carries alone, with shared weights."""
    x = graph.input("x", (5, ROWS, 2), "f64")
    values[x] = RNG.normal(size=(5, ROWS, 2))
    w = graph.parameter("w", (2, 2), gc.init.normal(), "f64")
    rate = graph.parameter("rate", (), gc.init.normal(), "f64")
    h, _ = gc.scan(lambda h, s: (gc.tanh(h @ w + s), None), gc.zeros_like(x[0]), x, checkpoint=2)
    h = gc.fori_loop(0, 3, lambda i, h: h + rate * gc.sin(h @ w), h)
    return gc.sum(h * rate, 1)


def taken_apart_losses(graph: gc.Graph, values: dict[Node, Any]) -> Node:
    """Each sample has elements of its own of a vector."""
    x = graph.input("x", (ROWS, 4), "f64")
    values[x] = RNG.normal(size=(ROWS, 4))
    w = graph.parameter("w", (ROWS * 4,), gc.init.normal(), "f64")
    return gc.sum(gc.tanh(gc.reshape(w, (ROWS, 4)) * x), 1)


def custom_losses(graph: gc.Graph, values: dict[Node, Any]) -> Node:
    """A function with a derivative of the user's, of samples and weights."""
    x = graph.input("x", (ROWS, 4), "f64")
    values[x] = RNG.normal(size=(ROWS, 4))
    w = graph.parameter("w", (4, 4), gc.init.normal(), "f64")
    own = gc.custom_vjp(lambda x, w: x @ w)
    own.defvjp(lambda ct, r, x, w: (ct @ w.T, x.T @ ct))
    return gc.sum(gc.tanh(own(gc.tanh(x @ w), w)), 1)


@pytest.mark.parametrize(
    "declare",
    [
        token_losses, batch_norm_losses, odd_losses, image_losses, step_losses, recurrent_losses,
        loop_losses, taken_apart_losses, custom_losses,
    ],
)  # fmt: skip
def test_gradients_of_single_samples(declare: Callable[[gc.Graph, Any], Node]) -> None:
    graph, values = gc.Graph(seed=2), dict[Node, Any]()
    losses = declare(graph, values)
    values |= {p: RNG.normal(size=p.shape) for p in graph.parameters}
    assert_per_sample(losses, graph.parameters, values)


def test_samples_of_an_open_batch_compiled() -> None:
    net = Network()
    loss = gc.mean(net.losses)
    several = gc.per_sample_gradients(net.losses, net.parameters)
    tangents = [RNG.normal(size=p.shape) for p in net.parameters]
    outputs = [
        *several, *gc.grad(loss, net.parameters), *gc.hvp(loss, net.parameters, tangents),
        gc.jvp(net.losses, net.parameters, tangents),
    ]  # fmt: skip
    inputs = (net.values[net.x], net.values[net.t])
    found = gc.function([net.x, net.t], outputs)(*inputs)
    expected = gc.function([net.x, net.t], outputs, mode="reference")(*inputs)
    for actual, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-10, atol=1e-12)
    count = len(net.parameters)
    for each, whole in zip(found[:count], found[count : 2 * count], strict=True):
        np.testing.assert_allclose(each.mean(0), whole, rtol=1e-10, atol=1e-12)
    moved = sum(
        np.tensordot(each, t, t.ndim) for each, t in zip(found[:count], tangents, strict=True)
    )
    np.testing.assert_allclose(found[-1], moved, rtol=1e-9, atol=1e-12)


def test_samples_of_an_open_batch_through_a_loop_compiled() -> None:
    graph = gc.Graph(seed=1)
    x = graph.input("x", ("batch", 4, 3), "f64")
    losses = gc.sum(gc.square(gc.nn.lstm(x, 2)), 1)
    several = gc.per_sample_gradients(losses, graph.parameters)
    given = RNG.normal(size=(ROWS, 4, 3))
    whole = gc.function(x, gc.grad(gc.sum(losses), graph.parameters), mode="reference")
    found = gc.function(x, several)(given)
    for row in range(ROWS):
        for each, alone in zip(found, whole(given[row : row + 1]), strict=True):
            np.testing.assert_allclose(each[row], alone, rtol=1e-10, atol=1e-12)


def test_a_product_keeps_its_outer_products() -> None:
    """One product fewer than the backward pass has: outer products are made of elements."""
    net = Network()
    kernel = net.parameters[0]
    (each,) = per_sample_gradients(net.losses, [kernel])
    assert products_in(each) == products_in(gc.grad(gc.sum(net.losses), kernel)) - 1


def test_one_sample() -> None:
    net = Network(1)
    values = {**net.values, net.x: RNG.normal(size=(1, 4)), net.t: np.array([2])}
    for each, p in zip(
        gc.per_sample_gradients(net.losses, net.parameters), net.parameters, strict=True
    ):
        alone = value_at(gc.grad(gc.sum(net.losses), p), values)
        np.testing.assert_allclose(value_at(each, values), alone[None], rtol=1e-12)


# --- refusals ----------------------------------------------------------------------------------


def test_refusals() -> None:
    net = Network()
    x, y = net.x, net.scores
    cases: tuple[tuple[Callable[[], Any], type[Exception], str], ...] = (
        (lambda: gc.grad(y, x), gc.GraphError, r"gc.sum\(y\) or gc.mean\(y\)"),
        (lambda: gc.vjp(y, x, np.ones(3)), gc.GraphError, r"^vjp: ct: f64\[batch,3\] expected"),
        (lambda: gc.vjp([y], x, y), TypeError, "^vjp: ct: a value for each of 1, in their form"),
        (lambda: gc.vjp({"y": y}, x, [y]), TypeError, "in their form"),
        (lambda: gc.jvp(x, net.t, net.t), gc.GraphError, "does not depend"),
        (lambda: gc.hvp(y, x, x), gc.GraphError, "of a scalar was asked for"),
        (lambda: gc.hessian(gc.sum(net.losses), x), gc.GraphError, "needs fixed extents"),
        (lambda: gc.per_sample_gradients(y, x), gc.GraphError, "one loss a sample expected"),
        (lambda: gc.per_sample_gradients(net.losses, x), gc.GraphError, "has the samples' axis"),
        (lambda: gc.per_sample_gradients(net.losses, 3), TypeError, "a tensor or several"),
        (lambda: gc.jvp(x, y, y), gc.GraphError, "is computed from"),
        (lambda: gc.vjp(3, x, x), TypeError, "^vjp: a tensor, several"),
        (lambda: gc.jvp(x, 3, x), TypeError, "^jvp: a tensor, several"),
        (lambda: gc.hvp(gc.sum(y), 3, x), TypeError, "^hvp: a tensor, several"),
        (lambda: gc.inference(3.0), TypeError, "^inference: a tensor, several"),
    )  # fmt: skip
    for call, kind, pattern in cases:
        with pytest.raises(kind, match=pattern):
            call()


def test_rows_that_meet_what_is_no_row_in_one_op_are_refused() -> None:
    graph = gc.Graph()
    x, w = graph.input("x", (ROWS, 3, 4)), graph.parameter("w", (4, 4))
    losses = gc.sum(gc.nn.attention(x @ w, w, w), (1, 2))
    with pytest.raises(gc.GraphError, match="reads rows of samples and what is no row"):
        gc.per_sample_gradients(losses, w)


def test_a_custom_derivative_must_be_linear_for_forward_mode() -> None:
    @gc.custom_vjp
    def signed(x: Any) -> Any:
        return x

    @signed.defvjp
    def _(ct: Any, r: Any, x: Any) -> Any:
        return ct * ct

    x = gc.Graph().input("x", (3,))
    with pytest.raises(NotDifferentiableError, match=r"^jvp: .*not linear in its cotangent"):
        gc.jvp(signed(x), x, np.ones(3, "f4"))
