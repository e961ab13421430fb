"""The symbolic derivative: fan-out, broadcasting, refusals, Jacobians, second order."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graphc.ir import build
from graphc.ir.autodiff import (
    gradients,
    is_diagonal,
    jacobian,
    sum_to_shape,
    vector_jacobian_product,
)
from graphc.ir.errors import GraphError, NotDifferentiableError
from graphc.ir.graph import Graph, Node, topological
from graphc.ir.op import NonDifferentiable
from graphc.ir.ops import OPS, contract, movement, reduce
from graphc.ir.ops import elementwise as ops
from graphc.ir.reference import evaluate
from graphc.ir.types import broadcast_shapes, f64

EPS = float(np.finfo(np.float64).eps)
STEP = EPS ** (1 / 3)  # where truncation and rounding of a central difference are both least
DIFFERENCE_TOLERANCE = 100 * EPS ** (2 / 3)


def value_of(node: Node, values: dict[Node, np.ndarray], **bindings: int) -> np.ndarray:
    return evaluate((node,), values, bindings)[node]


def differences(y: Node, x: Node, values: dict[Node, np.ndarray]) -> np.ndarray:
    """dy/dx of shape y.shape + x.shape by central differences."""
    columns = []
    for place in np.ndindex(*values[x].shape):
        step = np.zeros(values[x].shape)
        step[place] = STEP
        ahead = value_of(y, {**values, x: values[x] + step})
        behind = value_of(y, {**values, x: values[x] - step})
        columns.append((ahead - behind) / (2 * STEP))
    shape = (*values[x].shape, *value_of(y, values).shape)
    stacked = np.reshape(columns, shape)
    return np.moveaxis(stacked, range(values[x].ndim), range(-values[x].ndim, 0))


def assert_slope(actual: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(
        actual, expected, rtol=DIFFERENCE_TOLERANCE, atol=DIFFERENCE_TOLERANCE
    )


# --- accumulation ----------------------------------------------------------------------------


def test_cotangents_sum_at_a_fan_out() -> None:
    graph = Graph()
    x = graph.input("x", (), "f64")
    y = x * x + x * 3 + ops.exp(x) + x
    (slope,) = gradients(y, [x])
    at = np.array(0.5)
    np.testing.assert_allclose(value_of(slope, {x: at}), 2 * at + 3 + np.exp(at) + 1, rtol=1e-15)


def test_fan_out_of_an_intermediate_value() -> None:
    graph = Graph()
    x = graph.input("x", (3,), "f64")
    h = ops.tanh(x)
    y = build.sum(h * h + h) + build.sum(h[1:]) * 2
    at = np.array([-1.0, 0.5, 2.0])
    (slope,) = gradients(y, [x])
    expected = (2 * np.tanh(at) + 1 + [0, 2, 2]) * (1 - np.tanh(at) ** 2)
    np.testing.assert_allclose(value_of(slope, {x: at}), expected, rtol=1e-14)


def test_one_operand_twice() -> None:
    graph = Graph()
    x = graph.input("x", (2, 2), "f64")
    (slope,) = gradients(build.sum(x @ x), [x])
    at = np.array([[1.0, 2.0], [-3.0, 0.5]])
    ones = np.ones((2, 2))
    np.testing.assert_allclose(value_of(slope, {x: at}), ones @ at.T + at.T @ ones)


def test_a_diamond_is_walked_once_a_node() -> None:
    """2^40 paths, forty nodes."""
    graph = Graph()
    x = graph.input("x", (), "f64")
    y = x
    for _ in range(40):
        y = y + y
    (slope,) = gradients(y, [x])
    assert len(topological([slope])) < 200
    assert value_of(slope, {x: np.array(1.0)}) == 2.0**40


def test_gradient_by_an_intermediate_value() -> None:
    graph = Graph()
    x = graph.input("x", (3,), "f64")
    h = ops.exp(x)
    y = build.sum(h * h * x)
    by_h, by_x = gradients(y, [h, x])
    at = np.array([-1.0, 0.5, 2.0])
    np.testing.assert_allclose(value_of(by_h, {x: at}), 2 * np.exp(at) * at, rtol=1e-15)
    np.testing.assert_allclose(value_of(by_x, {x: at}), np.exp(2 * at) * (1 + 2 * at), rtol=1e-14)


def test_gradient_by_itself_and_by_one_value_twice() -> None:
    x = Graph().input("x", (), "f64")
    y = x * 2
    assert [value_of(g, {x: np.array(5.0)}) for g in gradients(y, [y, x, x])] == [1, 2, 2]


def test_gradients_have_the_type_of_what_they_are_by() -> None:
    graph = Graph()
    x, s = graph.input("x", ("batch", 3), "f32"), graph.input("s", (), "f32")
    w = graph.state("w", (3, 1), "f32")
    loss = build.mean(ops.relu(x @ w + s))
    for node, by in zip(gradients(loss, [x, s, w]), [x, s, w], strict=True):
        assert node.type == by.type and node.graph is graph


def test_cotangents_of_several_results() -> None:
    graph = Graph()
    x = graph.input("x", (2,), "f64")
    a, b = ops.square(x), ops.exp(x)
    u, v = graph.input("u", (2,), "f64"), graph.input("v", (2,), "f64")
    (slope,) = vector_jacobian_product([a, b], [u, v], [x])
    values = {x: np.array([1.0, 2.0]), u: np.array([3.0, -1.0]), v: np.array([0.5, 0.25])}
    expected = values[u] * 2 * values[x] + values[v] * np.exp(values[x])
    np.testing.assert_allclose(value_of(slope, values), expected, rtol=1e-15)


def test_a_result_that_another_depends_on() -> None:
    graph = Graph()
    x = graph.input("x", (), "f64")
    a = ops.square(x)
    b = ops.square(a)
    one = graph.constant(1.0, f64)
    (slope,) = vector_jacobian_product([a, b], [one, one], [x])
    assert value_of(slope, {x: np.array(2.0)}) == 2 * 2 + 4 * 2**3


# --- broadcasting ----------------------------------------------------------------------------

SHAPES = [
    (),
    (1,),
    (3,),
    (1, 3),
    (2, 1),
    (2, 3),
    (1, 1),
    (4, 1, 3),
    (4, 2, 1),
    (1, 2, 3),
    (4, 2, 3),
]


@pytest.mark.parametrize(("first", "second"), itertools.product(SHAPES, SHAPES), ids=str)
def test_every_broadcast_is_undone(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    """d sum(w x y)/dx is w y summed over what x was stretched along, written with einsum."""
    graph = Graph()
    x, y = graph.input("x", first, "f64"), graph.input("y", second, "f64")
    rng = np.random.default_rng(len(first) * 10 + len(second))
    a, b = rng.uniform(-1, 1, first), rng.uniform(-1, 1, second)
    shape = tuple(e for e in broadcast_shapes([first, second]) if isinstance(e, int))
    weights = rng.uniform(0.5, 1.5, shape)
    loss = build.sum(x * y * weights)
    for node, by, other in zip(gradients(loss, [x, y]), (a, b), (b, a), strict=True):
        whole = np.broadcast_to(other, shape) * weights
        kept = [1] * (len(shape) - by.ndim) + list(by.shape)
        letters = "abc"[: len(shape)]
        left = "".join(c for c, e in zip(letters, kept, strict=True) if e != 1)
        expected = np.einsum(f"{letters}->{left}", whole).reshape(by.shape)
        actual = value_of(node, {x: a, y: b})
        assert actual.shape == by.shape
        np.testing.assert_allclose(actual, expected, rtol=1e-13, atol=1e-14)


def test_an_open_dimension_is_summed() -> None:
    graph = Graph()
    x, b = graph.input("x", ("batch", 3), "f64"), graph.input("b", (3,), "f64")
    row = graph.input("row", (1, 3), "f64")
    loss = build.sum((x + b) * (x + row))
    slopes = gradients(loss, [b, row])
    for rows in (1, 2, 5):
        a = np.arange(rows * 3.0).reshape(rows, 3)
        values = {x: a, b: np.ones(3), row: np.full((1, 3), 2.0)}
        by_b, by_row = (value_of(slope, values, batch=rows) for slope in slopes)
        np.testing.assert_allclose(by_b, (a + 2).sum(0))
        np.testing.assert_allclose(by_row, (a + 1).sum(0, keepdims=True))


def test_an_axis_of_no_elements_sums_to_zero() -> None:
    graph = Graph()
    x, empty = graph.input("x", (1,), "f64"), graph.input("empty", (0,), "f64")
    (slope,) = gradients(build.sum(x * empty), [x])
    np.testing.assert_array_equal(value_of(slope, {x: np.ones(1), empty: np.ones(0)}), [0.0])


def test_sum_to_shape_of_the_same_shape_is_the_value() -> None:
    x = Graph().input("x", ("batch", 1, 3))
    assert sum_to_shape(x, x.shape) is x
    assert sum_to_shape(x, (1, 3)).shape == (1, 3)


def test_batches_of_matrices_are_summed() -> None:
    graph = Graph()
    x, y = graph.input("x", (2, 1, 3, 4), "f64"), graph.input("y", (5, 4, 2), "f64")
    rng = np.random.default_rng(0)
    values = {x: rng.normal(size=(2, 1, 3, 4)), y: rng.normal(size=(5, 4, 2))}
    by_x, by_y = gradients(build.sum(x @ y), [x, y])
    ones = np.ones((2, 5, 3, 2))
    np.testing.assert_allclose(
        value_of(by_x, values), np.einsum("abij,bkj->aik", ones, values[y])[:, None], rtol=1e-12
    )
    np.testing.assert_allclose(
        value_of(by_y, values), np.einsum("abij,aik->bkj", ones, values[x][:, 0]), rtol=1e-12
    )


# --- ties and kinks --------------------------------------------------------------------------


def test_equal_elements_share_the_cotangent() -> None:
    graph = Graph()
    x, y = graph.input("x", (4,), "f64"), graph.input("y", (4,), "f64")
    at = {x: np.array([1.0, 3.0, 3.0, 2.0]), y: np.array([1.0, 0.0, 5.0, 2.0])}
    (slope,) = gradients(build.max(x), [x])
    np.testing.assert_array_equal(value_of(slope, at), [0, 0.5, 0.5, 0])
    (slope,) = gradients(build.min(-x), [x])
    np.testing.assert_array_equal(value_of(slope, at), [0, -0.5, -0.5, 0])
    for function, wins in ((ops.maximum, [0.5, 1, 0, 0.5]), (ops.minimum, [0.5, 0, 1, 0.5])):
        by_x, by_y = gradients(build.sum(function(x, y)), [x, y])
        np.testing.assert_array_equal(value_of(by_x, at), wins)
        np.testing.assert_array_equal(value_of(by_y, at), 1 - np.array(wins))


def test_slopes_at_zero() -> None:
    x = Graph().input("x", (), "f64")
    zero = {x: np.array(0.0)}
    expected = {
        ops.relu(x): 0.0, build.leaky_relu(x, 0.1): 0.1, build.elu(x, 1.5): 1.5, abs(x): 0.0,
        ops.sign(x): 0.0, ops.softplus(x): 0.5, x**3: 0.0, x**2: 0.0,
    }  # fmt: skip
    for y, slope in expected.items():
        assert value_of(gradients(y, [x])[0], zero) == slope


def test_a_step_has_a_zero_gradient() -> None:
    graph = Graph()
    x = graph.input("x", ("batch", 2), "f64")
    (slope,) = gradients(build.sum(ops.sign(x)), [x])
    np.testing.assert_array_equal(value_of(slope, {x: np.ones((3, 2))}, batch=3), np.zeros((3, 2)))


# --- movement --------------------------------------------------------------------------------

INDICES = np.array([[0, 2], [2, 2]])

MOVED: dict[str, Callable[[Node], Node]] = {
    "slice": lambda x: x[1:, ::-2],
    "slice_empty": lambda x: x[3:],
    "index": lambda x: x[1, 2],
    "embed": lambda x: movement.embed(x, shape=(7, 9), starts=(1, 8), steps=(2, -2)),
    "concatenate": lambda x: build.concatenate([x, x * 2, x[:2, :2].reshape(1, 4)], 0),
    "concatenate_columns": lambda x: build.concatenate([x[:, :1], x, x[:, 2:] ** 2], 1),
    "take": lambda x: build.take(x, INDICES, 0),
    "take_columns": lambda x: build.take(x, [3, 3, 0], 1),
    "scatter_add": lambda x: movement.scatter_add(
        x, x.graph.constant([1, 1, 4]), axis=0, shape=(5, 4)
    ),
    "scatter_add_columns": lambda x: movement.scatter_add(
        x, x.graph.constant([[0, 1], [1, 0]]), axis=1, shape=(3, 2)
    ) if x.rank == 3 else movement.scatter_add(
        build.reshape(x, (3, 2, 2)), x.graph.constant([[0, 1], [1, 0]]), axis=1, shape=(3, 2)
    ),
    "gather": lambda x: build.gather(x, [3, 0, 1]),
    "gather_rows": lambda x: build.gather(x, [2, 0, 1, 1], 0),
    "transpose_reshape": lambda x: x.T.reshape(2, 6),
    "expand": lambda x: build.expand(x, 1, 3),
    "maxout": lambda x: build.maxout(x, 2),
    "mean": lambda x: build.mean(x, 0),
    "logsumexp": lambda x: build.logsumexp(x, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVED)
def test_gradient_of_moved_elements(name: str) -> None:
    graph = Graph()
    x = graph.input("x", (3, 4), "f64")
    y = MOVED[name](ops.sin(x))
    rng = np.random.default_rng(1)
    at = {x: rng.uniform(-1, 1, (3, 4))}
    weights = rng.uniform(0.5, 1.5, value_of(y, at).shape)
    loss = build.sum(y * weights)
    (slope,) = gradients(loss, [x])
    assert_slope(value_of(slope, at), differences(loss, x, at))


# --- refusals --------------------------------------------------------------------------------


def test_only_scalars_have_a_gradient() -> None:
    x = Graph().input("x", (3,))
    with pytest.raises(
        GraphError, match=r"^grad: .*of a scalar.*f32\[3\].*\n  at test_autodiff.py:"
    ):
        gradients(x * 2, [x])
    with pytest.raises(GraphError, match="scalar"):
        gradients(build.sum(x, keepdims=True), [x])


def test_no_dependence() -> None:
    graph = Graph()
    x, y = graph.input("x", ()), graph.input("y", ())
    with pytest.raises(
        GraphError, match="grad: the value does not depend on <input y : f32"
    ) as raised:
        gradients(x * 2, [x, y])
    assert "at test_autodiff.py:" in str(raised.value)
    with pytest.raises(GraphError, match="does not depend"):
        gradients(x, [x * 2])


def test_integers_have_no_gradient() -> None:
    graph = Graph()
    x, n = graph.input("x", (3, 4)), graph.input("n", (3,), "i64")
    loss = -build.mean(build.pick(build.log_softmax(x), n))
    with pytest.raises(NotDifferentiableError, match="<input n : i64.* is not a float"):
        gradients(loss, [n])
    with pytest.raises(NotDifferentiableError, match="is not a float"):
        gradients(build.sum(n), [n])
    assert gradients(loss, [x])[0].type == x.type


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (
            lambda x: build.cast(build.argmax(x), "f32"),
            "argmax: an index is not a continuous number",
        ),
        (lambda x: build.cast(x > 0, "f32"), "greater: its result is not a continuous number"),
        (lambda x: ops.where(x > 0, 1.0 + 0 * x.graph.constant(0.0), 2.0), "greater: "),
        (lambda x: build.cast(build.cast(x, "i32"), "f32"), "cast: its result is i32"),
    ],
    ids=["argmax", "greater", "where", "cast"],
)
def test_no_derivative_on_the_way(function: Callable[[Node], Node], reason: str) -> None:
    x = Graph().input("x", (3,))
    with pytest.raises(NotDifferentiableError, match=f"no derivative by <input x.*: {reason}"):
        gradients(build.sum(function(x)), [x])


def test_one_way_with_a_derivative_is_enough() -> None:
    x = Graph().input("x", (3,), "f64")
    (slope,) = gradients(build.sum(ops.where(x > 0, x * 2, 0)), [x])
    np.testing.assert_array_equal(value_of(slope, {x: np.array([-1.0, 0, 3])}), [0, 0, 2])


def test_an_integer_value_has_no_gradient() -> None:
    graph = Graph()
    x, n = graph.input("x", (), "f32"), graph.input("n", (), "i32")
    with pytest.raises(NotDifferentiableError, match="i32.* is not a float"):
        gradients(n * 2, [x])


def test_a_reason_stands_for_each_operand_without_a_derivative() -> None:
    reasons = [
        rule.reason for op in OPS.values() for rule in op.vjp if isinstance(rule, NonDifferentiable)
    ]
    assert reasons and all(reasons)


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
    assert_slope(value_of(whole, at), differences(y, x, at))
    assert is_diagonal(y, x) == diagonal


def test_a_diagonal_takes_one_vjp() -> None:
    """No node of the graph but the last ones is as large as the Jacobian, and there are few."""
    x = Graph().input("x", (50,), "f64")
    assert len(topological([jacobian(ops.tanh(x), x)])) < 20
    assert len(topological([jacobian(build.softmax(x), x)])) > 50


@pytest.mark.parametrize("shape", [(), (1,), (0,), (1, 1)])
def test_jacobians_of_few_elements(shape: tuple[int, ...]) -> None:
    x = Graph().input("x", shape, "f64")
    at = {x: np.full(shape, 0.5)}
    for y in (ops.exp(x), ops.exp(x) * build.sum(x)):
        actual = value_of(jacobian(y, x), at)
        assert actual.shape == (*shape, *shape)
        assert_slope(actual, differences(y, x, at))


def test_jacobian_by_a_broadcast_operand() -> None:
    """A vector that is stretched has no diagonal Jacobian, though every op is elementwise."""
    graph = Graph()
    x, b = graph.input("x", (2, 3), "f64"), graph.input("b", (3,), "f64")
    y = ops.tanh(x + b)
    assert not is_diagonal(y, b) and is_diagonal(y, x)
    at = {x: np.ones((2, 3)), b: np.array([0.5, -1, 0.25])}
    assert_slope(value_of(jacobian(y, b), at), differences(y, b, at))
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
    value = value_of(hessian, at)
    np.testing.assert_allclose(value, value.T, rtol=1e-12, atol=1e-13)
    assert_slope(value, differences(slope, x, at))


def test_derivatives_of_a_power() -> None:
    x = Graph().input("x", (), "f64")
    y: Any = x**5
    at = {x: np.array(1.5)}
    for order, factor in ((4, 5.0), (3, 20.0), (2, 60.0), (1, 120.0), (0, 120.0)):
        (y,) = gradients(y, [x])
        np.testing.assert_allclose(value_of(y, at), factor * 1.5**order, rtol=1e-14)


def test_third_derivative_of_tanh() -> None:
    x = Graph().input("x", (), "f64")
    y: Node = ops.tanh(x)
    for _ in range(3):
        (y,) = gradients(y, [x])
    t = np.tanh(0.3)
    expected = (1 - t**2) * (6 * t**2 - 2)
    np.testing.assert_allclose(value_of(y, {x: np.array(0.3)}), expected, rtol=1e-13)


def test_gradient_of_a_gradient_penalty() -> None:
    """Differentiating by the weights through a gradient by the input."""
    graph = Graph()
    x, w = graph.input("x", (2, 3), "f64"), graph.input("w", (3, 2), "f64")
    (by_x,) = gradients(build.sum(ops.tanh(x @ w)), [x])
    penalty = build.sum(ops.square(by_x))
    (slope,) = gradients(penalty, [w])
    rng = np.random.default_rng(3)
    at = {x: rng.uniform(-1, 1, (2, 3)), w: rng.uniform(-1, 1, (3, 2))}
    assert_slope(value_of(slope, at), differences(penalty, w, at))


# --- form ------------------------------------------------------------------------------------


def test_the_backward_of_an_affine_layer_is_two_products_and_a_sum() -> None:
    """Transposes become flags, and nothing is formed that nobody asked for."""
    graph = Graph()
    x, w, b = (
        graph.input(n, s, "f32") for n, s in (("x", ("batch", 4)), ("w", (4, 3)), ("b", (3,)))
    )
    dy = graph.input("dy", ("batch", 3), "f32")
    y = x @ w + b
    backward = vector_jacobian_product([y], [dy], [x, w, b])
    new = [node for node in topological(backward) if node.operands]
    assert [node.op for node in new] == [
        contract.matmul,
        contract.matmul,
        reduce.sum_,
        movement.reshape,
    ]
    (by_w,) = vector_jacobian_product([y], [dy], [w])
    assert y.operands[0] not in topological([by_w])
