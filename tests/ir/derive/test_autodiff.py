"""The symbolic derivative: fan-out, broadcasting, movement, refusals."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc.ir.derive import autodiff
from graphc.ir.derive.autodiff import (
    gradients,
    sum_to_shape,
    vector_jacobian_product,
)
from graphc.ir.derive.jacobian import jacobian
from graphc.ir.errors import GraphError, NotDifferentiableError
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, is_among, topological
from graphc.ir.nodes.op import NonDifferentiable
from graphc.ir.ops import OPS, contract
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.elementwise import special
from graphc.ir.ops.movement import indexed, movement
from graphc.ir.ops.reductions import reduce
from graphc.ir.types import broadcast_shapes, f64
from tests.ir.evaluation import assert_slope, differences, value_at

# --- accumulation ----------------------------------------------------------------------------


def test_cotangents_sum_at_a_fan_out() -> None:
    graph = Graph()
    x = graph.input("x", (), "f64")
    y = x * x + x * 3 + ops.exp(x) + x
    (slope,) = gradients(y, [x])
    at = np.array(0.5)
    np.testing.assert_allclose(value_at(slope, {x: at}), 2 * at + 3 + np.exp(at) + 1, rtol=1e-15)


def test_fan_out_of_an_intermediate_value() -> None:
    graph = Graph()
    x = graph.input("x", (3,), "f64")
    h = ops.tanh(x)
    y = build.sum(h * h + h) + build.sum(h[1:]) * 2
    at = np.array([-1.0, 0.5, 2.0])
    (slope,) = gradients(y, [x])
    expected = (2 * np.tanh(at) + 1 + [0, 2, 2]) * (1 - np.tanh(at) ** 2)
    np.testing.assert_allclose(value_at(slope, {x: at}), expected, rtol=1e-14)


def test_one_operand_twice() -> None:
    graph = Graph()
    x = graph.input("x", (2, 2), "f64")
    (slope,) = gradients(build.sum(x @ x), [x])
    at = np.array([[1.0, 2.0], [-3.0, 0.5]])
    ones = np.ones((2, 2))
    np.testing.assert_allclose(value_at(slope, {x: at}), ones @ at.T + at.T @ ones)


def test_a_diamond_is_walked_once_a_node() -> None:
    """2^40 paths, forty nodes."""
    graph = Graph()
    x = graph.input("x", (), "f64")
    y = x
    for _ in range(40):
        y = y + y
    (slope,) = gradients(y, [x])
    assert len(topological([slope])) < 200
    assert value_at(slope, {x: np.array(1.0)}) == 2.0**40


def test_gradient_by_an_intermediate_value() -> None:
    graph = Graph()
    x = graph.input("x", (3,), "f64")
    h = ops.exp(x)
    y = build.sum(h * h * x)
    by_h, by_x = gradients(y, [h, x])
    at = np.array([-1.0, 0.5, 2.0])
    np.testing.assert_allclose(value_at(by_h, {x: at}), 2 * np.exp(at) * at, rtol=1e-15)
    np.testing.assert_allclose(value_at(by_x, {x: at}), np.exp(2 * at) * (1 + 2 * at), rtol=1e-14)


def test_gradient_by_itself_and_by_one_value_twice() -> None:
    x = Graph().input("x", (), "f64")
    y = x * 2
    assert [value_at(g, {x: np.array(5.0)}) for g in gradients(y, [y, x, x])] == [1, 2, 2]


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
    np.testing.assert_allclose(value_at(slope, values), expected, rtol=1e-15)


def test_a_result_that_another_depends_on() -> None:
    graph = Graph()
    x = graph.input("x", (), "f64")
    a = ops.square(x)
    b = ops.square(a)
    one = graph.constant(1.0, f64)
    (slope,) = vector_jacobian_product([a, b], [one, one], [x])
    assert value_at(slope, {x: np.array(2.0)}) == 2 * 2 + 4 * 2**3


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


@pytest.mark.parametrize(("first", "second"), list(itertools.product(SHAPES, SHAPES)), ids=str)
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
        actual = value_at(node, {x: a, y: b})
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
        by_b, by_row = (value_at(slope, values, batch=rows) for slope in slopes)
        np.testing.assert_allclose(by_b, (a + 2).sum(0))
        np.testing.assert_allclose(by_row, (a + 1).sum(0, keepdims=True))


def test_an_axis_of_no_elements_sums_to_zero() -> None:
    graph = Graph()
    x, empty = graph.input("x", (1,), "f64"), graph.input("empty", (0,), "f64")
    (slope,) = gradients(build.sum(x * empty), [x])
    np.testing.assert_array_equal(value_at(slope, {x: np.ones(1), empty: np.ones(0)}), [0.0])


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
        value_at(by_x, values), np.einsum("abij,bkj->aik", ones, values[y])[:, None], rtol=1e-12
    )
    np.testing.assert_allclose(
        value_at(by_y, values), np.einsum("abij,aik->bkj", ones, values[x][:, 0]), rtol=1e-12
    )


# --- ties and kinks --------------------------------------------------------------------------


def test_equal_elements_share_the_cotangent() -> None:
    graph = Graph()
    x, y = graph.input("x", (4,), "f64"), graph.input("y", (4,), "f64")
    at = {x: np.array([1.0, 3.0, 3.0, 2.0]), y: np.array([1.0, 0.0, 5.0, 2.0])}
    (slope,) = gradients(build.max(x), [x])
    np.testing.assert_array_equal(value_at(slope, at), [0, 0.5, 0.5, 0])
    (slope,) = gradients(build.min(-x), [x])
    np.testing.assert_array_equal(value_at(slope, at), [0, -0.5, -0.5, 0])
    for function, wins in ((ops.maximum, [0.5, 1, 0, 0.5]), (ops.minimum, [0.5, 0, 1, 0.5])):
        by_x, by_y = gradients(build.sum(function(x, y)), [x, y])
        np.testing.assert_array_equal(value_at(by_x, at), wins)
        np.testing.assert_array_equal(value_at(by_y, at), 1 - np.array(wins))


def test_slopes_at_zero() -> None:
    x = Graph().input("x", (), "f64")
    zero = {x: np.array(0.0)}
    expected = {
        ops.relu(x): 0.0, build.leaky_relu(x, 0.1): 0.1, build.elu(x, 1.5): 1.5, abs(x): 0.0,
        ops.sign(x): 0.0, ops.softplus(x): 0.5, x**3: 0.0, x**2: 0.0,
    }  # fmt: skip
    for y, slope in expected.items():
        assert value_at(gradients(y, [x])[0], zero) == slope


def test_a_step_has_a_zero_gradient() -> None:
    graph = Graph()
    x = graph.input("x", ("batch", 2), "f64")
    (slope,) = gradients(build.sum(ops.sign(x)), [x])
    np.testing.assert_array_equal(value_at(slope, {x: np.ones((3, 2))}, batch=3), np.zeros((3, 2)))


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
    "scatter_add": lambda x: indexed.scatter_add(
        x, x.graph.constant([1, 1, 4]), axis=0, shape=(5, 4)
    ),
    "index_add": lambda x: indexed.index_add(
        ops.square(x), x[:2] * 3, x.graph.constant([1, 1]), axis=0
    ),
    "scatter_add_columns": lambda x: indexed.scatter_add(
        x, x.graph.constant([[0, 1], [1, 0]]), axis=1, shape=(3, 2)
    ) if x.rank == 3 else indexed.scatter_add(
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
    weights = rng.uniform(0.5, 1.5, value_at(y, at).shape)
    loss = build.sum(y * weights)
    (slope,) = gradients(loss, [x])
    assert_slope(value_at(slope, at), differences(loss, x, at))


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
    with pytest.raises(NotDifferentiableError, match=r"<input n : i64.* is not a float"):
        gradients(loss, [n])
    with pytest.raises(NotDifferentiableError, match="is not a float"):
        gradients(build.sum(n), [n])
    assert gradients(loss, [x])[0].type == x.type


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (
            lambda x: build.cast(build.argmax(x, -1), "f32"),
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
    np.testing.assert_array_equal(value_at(slope, {x: np.array([-1.0, 0, 3])}), [0, 0, 2])


def test_an_integer_value_has_no_gradient() -> None:
    graph = Graph()
    x, n = graph.input("x", (), "f32"), graph.input("n", (), "i32")
    with pytest.raises(NotDifferentiableError, match=r"i32.* is not a float"):
        gradients(n * 2, [x])


def test_a_reason_stands_for_each_operand_without_a_derivative() -> None:
    reasons = [
        rule.reason for op in OPS.values() for rule in op.vjp if isinstance(rule, NonDifferentiable)
    ]
    assert reasons and all(reasons)


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
    assert not is_among(y.operands[0], topological([by_w]))


def test_parameters_are_looked_for_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether each depends on derivatives is asked in one walk, however many there are."""
    walks = []
    for count in (2, 20):
        graph = Graph()
        parameters = [graph.state(f"w{number}", (3,)) for number in range(count)]
        value = reduce.sum_(math.prod(parameters[1:], start=parameters[0]), axes=(0,))
        loss = build.reshape(value, ())
        calls: list[int] = []

        def counted(roots: Any, calls: list[int] = calls) -> Any:
            calls.append(1)
            return topological(roots)

        monkeypatch.setattr(autodiff, "topological", counted)
        autodiff.gradients(loss, parameters)
        walks.append(len(calls))
    assert walks[0] == walks[1]


def test_a_rule_that_is_missing_is_refused_beside_other_ways() -> None:
    """The derivative of trigamma is not 0, so it may not be left out."""
    x = Graph().input("x", (3,), "f64")
    (slope,) = gradients(build.sum(special.digamma(x) * x), [x])
    with pytest.raises(NotDifferentiableError, match="no polygamma function of order 2"):
        gradients(build.sum(slope), [x])


def test_second_derivative_of_a_product_with_logsumexp() -> None:
    """The share of an infinite element, which there is not, leaves it alone."""
    x = Graph().input("x", (4,), "f64")
    (slope,) = gradients(build.sum(ops.square(build.logsumexp(x, 0))), [x])
    at = {x: np.array([0.2, -0.4, 1.1, 0.3])}
    assert_slope(value_at(jacobian(slope, x), at), differences(slope, x, at))
