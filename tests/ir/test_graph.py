"""Nodes, graphs and programs: identity, locations, operators, indexing, names, depth."""

import inspect
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graphc.ir import build
from graphc.ir.attributes import Literal
from graphc.ir.autodiff import gradients
from graphc.ir.errors import DTypeError, ForeignTensorError, GraphError, ShapeError
from graphc.ir.graph import Graph, Node, Program, depends_on, rebuild, topological, users
from graphc.ir.location import callers_location
from graphc.ir.op import Leaf, Op
from graphc.ir.ops import OPS
from graphc.ir.ops import elementwise as ops
from graphc.ir.reference import evaluate, run_program
from graphc.ir.types import (
    DTYPES,
    Dim,
    TensorType,
    as_dtype,
    as_shape,
    bool_,
    broadcast_shapes,
    f32,
    f64,
    i32,
    i64,
    normalize_axes,
)

DEEP = 20_000


def value_of(node: Node, **given: Any) -> np.ndarray:
    """The node's value in numpy; a named dimension has the extent that the inputs show."""
    graph = node.graph
    values = {graph.inputs[name]: np.asarray(array) for name, array in given.items()}
    bindings = {
        extent.name: length
        for tensor, array in values.items()
        for extent, length in zip(tensor.shape, array.shape, strict=True)
        if isinstance(extent, Dim)
    }
    return evaluate((node,), values, bindings)[node]


def here() -> int:
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


# --- identity --------------------------------------------------------------------------------


def test_equal_applications_are_one_node() -> None:
    graph = Graph()
    x, y = graph.input("x", (3,)), graph.input("y", (3,))
    assert x + y is x + y
    assert x + y is not y + x
    assert x * 2 is x * 2.0
    assert x * 2 is not x * 3
    assert build.sum(x) is build.sum(x, 0)
    assert build.leaky_relu(x, 0.1) is not build.leaky_relu(x, 0.2)
    assert len({x + y, x + y, y + x}) == 2


def test_equal_operands_in_two_graphs_are_two_nodes() -> None:
    first, second = Graph(), Graph()
    assert first.constant(1.0) is not second.constant(1.0)


def test_constants_intern_by_dtype_shape_and_bits() -> None:
    graph = Graph()
    assert graph.constant(1.0) is graph.constant(np.float32(1))
    assert graph.constant(1.0) is not graph.constant(1.0, "f64")
    assert graph.constant([1.0]) is not graph.constant(1.0)
    assert graph.constant(0.0) is not graph.constant(-0.0)
    assert graph.constant(np.nan) is graph.constant(np.nan)
    assert graph.constant(np.arange(6).reshape(2, 3).T) is graph.constant([[0, 3], [1, 4], [2, 5]])


def test_constants_do_not_change_with_their_array() -> None:
    array = np.ones(3, np.float32)
    graph = Graph()
    node = graph.constant(array)
    array[0] = 7
    np.testing.assert_array_equal(value_of(node), np.ones(3))
    with pytest.raises(ValueError, match="read-only"):
        value_of(node)[0] = 7


def test_constants_have_the_dtype_as_given() -> None:
    graph = Graph()
    given = [(1.5, f32), (1, i64), (True, bool_), (np.float32(1), f32), (np.int32(1), i32)]
    for value, dtype in given:
        assert graph.constant(value).dtype == dtype
    assert graph.constant(np.ones(2)).dtype == f32
    assert graph.constant(np.ones(2), "f64").dtype == f64


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(1.5, "i64"), (2**40, "i32"), (np.array([2**40]), "i32"), (-(2**70), "i64"), (1j, "f32"),
     ([None], "f32"), ("1", "i64"), (0.5, "bool")],
)  # fmt: skip
def test_constants_that_do_not_fit(value: Any, dtype: str) -> None:
    with pytest.raises(GraphError, match="^constant: .*\n  at test_graph.py:"):
        Graph().constant(value, dtype)


def test_nodes_compare_by_identity_and_do_not_change() -> None:
    graph = Graph()
    x = graph.input("x", (3,))
    assert x == x and x != x + 1
    with pytest.raises(AttributeError):
        x.number = 3  # type: ignore[misc]


def test_nodes_are_kept_in_order() -> None:
    graph = Graph()
    x = graph.input("x", (3,))
    nodes = [x, ops.exp(x), ops.tanh(ops.exp(x))]
    assert graph.nodes == nodes
    assert [node.number for node in graph.nodes] == [0, 1, 2]


# --- locations -------------------------------------------------------------------------------


def test_a_node_has_the_users_line() -> None:
    graph = Graph()
    x = graph.input("x", (3, 4))
    line = here()
    mean = build.mean(x, 0)
    mean_line = here()
    product = (x @
               x.T); product_line = here()  # noqa: E702  # fmt: skip
    for node, expected in ((x, line), (mean, mean_line), (mean.operands[0], mean_line)):
        assert node.location is not None
        assert (node.location.filename, node.location.line) == (__file__, expected)
    assert product.location is not None
    assert product.location.line in (product_line - 1, product_line)
    assert x.location is not None and x.location.text.startswith('x = graph.input("x", (3, 4))')
    assert str(x.location) == f"test_graph.py:{line}"


def test_the_first_line_stays() -> None:
    graph = Graph()
    x = graph.input("x", ())
    first = x + 1
    location = first.location
    assert (x + 1).location is location


def test_a_pass_keeps_the_users_line() -> None:
    graph = Graph()
    x = graph.input("x", ())
    y = ops.exp(x)
    with graph.at(y.location):
        derived = ops.log(y)
    assert derived.location is y.location
    assert ops.sin(y).location != y.location


def test_a_derivative_has_the_line_of_what_it_derives() -> None:
    graph = Graph()
    x = graph.input("x", ())
    y = ops.tanh(x)
    z = y * 3
    (slope,) = gradients(z, [x])
    derived = [node for node in topological([slope]) if node.operands]
    assert {node.location for node in derived} == {y.location, z.location}


def test_there_is_a_location_in_a_test() -> None:
    location = callers_location()
    assert location is not None and location.line == here() - 1


# --- operators -------------------------------------------------------------------------------

PAIR = (np.array([[1.5, -2.0, 0.5]], np.float32), np.array([[2.0], [-0.5]], np.float32))


@pytest.mark.parametrize(
    "function",
    [operator.add, operator.sub, operator.mul, operator.truediv, operator.lt, operator.le,
     operator.gt, operator.ge],
)  # fmt: skip
def test_binary_operators(function: Callable[[Any, Any], Any]) -> None:
    graph = Graph()
    x, y = graph.input("x", (1, 3)), graph.input("y", (2, 1))
    a, b = PAIR
    np.testing.assert_array_equal(value_of(function(x, y), x=a, y=b), function(a, b))
    np.testing.assert_array_equal(value_of(function(x, 2), x=a), function(a, 2))
    np.testing.assert_array_equal(value_of(function(2, x), x=a), function(2, a))
    np.testing.assert_array_equal(value_of(function(x, b), x=a), function(a, b))
    np.testing.assert_array_equal(value_of(function(b, x), x=a), function(b, a))
    half = np.float64(0.5)
    np.testing.assert_array_equal(value_of(function(half, x), x=a), function(np.float32(0.5), a))


def test_unary_operators() -> None:
    graph = Graph()
    x, b = graph.input("x", (1, 3)), graph.input("b", (2,), "bool")
    a, flags = PAIR[0], np.array([True, False])
    np.testing.assert_array_equal(value_of(-x, x=a), -a)
    np.testing.assert_array_equal(value_of(abs(x), x=a), abs(a))
    np.testing.assert_array_equal(value_of(~b, b=flags), ~flags)
    np.testing.assert_array_equal(value_of(b & b[::-1], b=flags), flags & flags[::-1])
    np.testing.assert_array_equal(value_of(b | b[::-1], b=flags), flags | flags[::-1])


@pytest.mark.parametrize("exponent", [2, -1, 3, 0.5, 0, -2.5])
def test_power(exponent: float) -> None:
    graph = Graph()
    x = graph.input("x", (3,), "f64")
    a = np.array([0.5, 1.5, 2.0])
    np.testing.assert_allclose(value_of(x**exponent, x=a), a**exponent, rtol=1e-15)
    base = abs(exponent)
    np.testing.assert_allclose(value_of(base**x, x=a), np.power(float(base), a), rtol=1e-15)


def test_power_of_two_is_a_square() -> None:
    x = Graph().input("x", ())
    assert (x**2).op is ops.square and (x**-1).op is ops.reciprocal


def test_matmul_operator() -> None:
    graph = Graph()
    x, v = graph.input("x", (2, 3)), graph.input("v", (3,))
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, -2, 3], np.float32)
    c = np.arange(12, dtype=np.float32).reshape(3, 4)
    np.testing.assert_array_equal(value_of(x @ v, x=a, v=b), a @ b)
    np.testing.assert_array_equal(value_of(v @ x.T, x=a, v=b), b @ a.T)
    np.testing.assert_array_equal(value_of(v @ v, v=b), b @ b)
    np.testing.assert_array_equal(value_of(x @ c, x=a), a @ c)
    np.testing.assert_array_equal(value_of(c.T @ x.T, x=a), c.T @ a.T)


def test_scalars_adopt_the_tensors_dtype() -> None:
    graph = Graph()
    for dtype in (f32, f64):
        x = graph.input(f"x_{dtype}", (3,), dtype)
        for node in (x + 1, x * 0.1, 2.5 - x, x / np.float64(3), np.ones(3) * x, x**1.5, 2**x):
            assert node.dtype == dtype
    count = graph.input("count", (), "i32")
    assert (count + 1).dtype == i32
    flag = graph.input("flag", (3,), "bool")
    assert ops.where(flag, graph.inputs["x_f32"], 0).dtype == f32
    assert ops.where(flag, 0, graph.inputs["x_f64"]).dtype == f64


def test_scalars_that_do_not_fit_are_refused() -> None:
    graph = Graph()
    count = graph.input("count", (), "i32")
    with pytest.raises(
        DTypeError, match="add: 0.5 does not fit i32; cast one\n  at test_graph.py:"
    ):
        count + 0.5
    with pytest.raises(DTypeError, match="i32"):
        count + 2**40
    with pytest.raises(DTypeError, match="add: 'one' is neither"):
        count + "one"
    with pytest.raises(DTypeError, match=r"add\(i32\[\], f32\[\]\): operands of one dtype"):
        count + graph.input("x", ())


def test_tensors_have_no_truth_value_and_no_iterator() -> None:
    x = Graph().input("x", (3,))
    with pytest.raises(TypeError, match="truth value"):
        bool(x > 0)
    with pytest.raises(TypeError, match="truth value"):
        0 < x < 1  # noqa: B015
    with pytest.raises(TypeError, match="iterated"):
        list(x)
    with pytest.raises(TypeError, match="not iterable"):
        1.0 in x  # noqa: B015


def test_an_op_needs_a_tensor() -> None:
    with pytest.raises(TypeError, match="exp: no operand is a tensor"):
        ops.exp(1.0)
    with pytest.raises(TypeError, match="no operand is a tensor"):
        build.power(2.0, 3)


# --- constructors ----------------------------------------------------------------------------

A = np.linspace(-1.5, 2.0, 24).reshape(2, 3, 4)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (2, 1), ()])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min"])
def test_reductions(name: str, axis: Any, keepdims: bool) -> None:
    x = Graph().input("x", A.shape, "f64")
    expected = getattr(np, name)(A, axis, keepdims=keepdims)
    for node in (getattr(build, name)(x, axis, keepdims), getattr(x, name)(axis, keepdims)):
        assert node.shape == np.shape(expected)
        np.testing.assert_allclose(value_of(node, x=A), expected, rtol=1e-14)


def test_reductions_over_open_dimensions() -> None:
    x = Graph().input("x", ("batch", 3), "f64")
    for rows in (1, 2, 5):
        a = np.arange(rows * 3.0).reshape(rows, 3)
        np.testing.assert_allclose(value_of(build.mean(x, 0), x=a), a.mean(0), rtol=1e-15)
        np.testing.assert_allclose(value_of(build.mean(x), x=a), a.mean(), rtol=1e-15)


def test_other_constructors() -> None:
    graph = Graph()
    x = graph.input("x", A.shape, "f64")
    indices = np.array([[0, 1, 2, 1], [2, 2, 0, 0]])
    expected = {
        build.argmax(x, 1): A.argmax(1),
        build.argmax(x, -1, keepdims=True): A.argmax(-1, keepdims=True),
        build.logsumexp(x, 1): np.log(np.exp(A).sum(1)),
        build.maxout(x, 2): A.reshape(2, 3, 2, 2).max(-1),
        build.maxout(x, 3, 1): A.max(1, keepdims=True),
        build.expand(x, 1, 5): np.repeat(A[:, None], 5, 1),
        build.expand_dims(x, -1): A[..., None],
        build.broadcast_to(x, (5, 2, 3, 4)): np.broadcast_to(A, (5, 2, 3, 4)),
        build.take(x, [2, 0], 1): A[:, [2, 0]],
        build.gather(x, indices, 1): np.take_along_axis(A, indices[:, None], 1)[:, 0],
        build.gather(x, indices[:, :3] % 2, -1): np.take_along_axis(
            A, (indices[:, :3] % 2)[..., None], -1
        )[..., 0],
        build.cast(x, "i64"): A.astype(np.int64),
        x.transpose(2, 0, 1): A.transpose(2, 0, 1),
        x.transpose(): A.T,
        x.T: A.T,
        x.reshape(4, -1): A.reshape(4, -1),
        x.reshape((6, 4)): A.reshape(6, 4),
        x.reshape(-1): A.ravel(),
    }
    for node, wanted in expected.items():
        assert node.shape == wanted.shape
        np.testing.assert_allclose(value_of(node, x=A), wanted, rtol=1e-14)


def test_constructors_that_change_nothing_make_no_node() -> None:
    x = Graph().input("x", (3, 4))
    same = (
        build.reshape(x, (3, 4)), build.reshape(x, (3, -1)), build.transpose(x, (0, 1)),
        build.broadcast_to(x, (3, 4)), build.cast(x, "f32"), x[:], x[...], x[:, 0:4], build.sum(x, ()),
    )  # fmt: skip
    assert all(node is x for node in same)


@pytest.mark.parametrize(
    ("build_node", "match"),
    [
        (lambda x: build.maxout(x, 3), r"maxout\(f32\[3,4\]\): 3 pieces do not divide an extent 4"),
        (lambda x: build.maxout(x, 0), "0 pieces"),
        (lambda x: build.expand_dims(x, 3), r"expand_dims\(f32\[3,4\]\): axis 3"),
        (lambda x: build.expand(x, -4, 2), r"expand\(f32\[3,4\]\): axis -4"),
        (lambda x: build.expand(x, 0, -2), r"expand\(f32\[3,4\]\): .*-2"),
        (lambda x: build.gather(x, [0, 0, 0], 2), r"gather\(f32\[3,4\]\): axis 2"),
        (lambda x: build.mean(x, 2), r"mean\(f32\[3,4\]\): axis 2"),
        (lambda x: build.concatenate([]), "concatenate: at least one"),
    ],
)
def test_refused_constructors(build_node: Callable[[Node], Node], match: str) -> None:
    x = Graph().input("x", (3, 4))
    with pytest.raises(ShapeError, match=match):
        build_node(x)


# --- indexing --------------------------------------------------------------------------------

KEYS = [
    np.s_[0], np.s_[-1], np.s_[1, 2], np.s_[1, 2, 3], np.s_[-2, -3, -4], np.s_[:], np.s_[...],
    np.s_[1:], np.s_[:1], np.s_[:-1], np.s_[::2], np.s_[::-1], np.s_[:, 1:3], np.s_[:, ::-1],
    np.s_[:, :, 1::2], np.s_[:, :, 3:0:-2], np.s_[..., 0], np.s_[..., 1:3], np.s_[0, ...],
    np.s_[0, ..., 0], np.s_[:, 1], np.s_[:, -1, ::2], np.s_[None], np.s_[:, None], np.s_[..., None],
    np.s_[0, None], np.s_[None, 0, :, None, 2:], np.s_[2:1], np.s_[:, 5:], np.s_[:, -9:9],
    np.s_[1:2, 0:1, 3:4], np.s_[::-1, ::-1, ::-1], np.s_[np.int64(1)], np.s_[np.int32(0):np.int64(2)],
    np.s_[0, 0, 0, None], np.s_[..., -1, :], (), np.s_[:, 2:-5:-1], np.s_[10:, 0],
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_indexing_is_numpys(key: Any) -> None:
    x = Graph().input("x", A.shape, "f64")
    node = x[key]
    assert node.shape == A[key].shape
    np.testing.assert_array_equal(value_of(node, x=A), A[key])


def test_indexing_a_scalar() -> None:
    x = Graph().input("x", (), "f64")
    assert x[()] is x and x[...] is x
    np.testing.assert_array_equal(value_of(x[None, None], x=np.array(3.0)), [[3.0]])


def test_indexing_by_a_tensor() -> None:
    graph = Graph()
    x, v = graph.input("x", (3, 4)), graph.input("v", (5,))
    i, j = graph.input("i", (2, 2), "i64"), graph.input("j", (), "i32")
    a = np.arange(12, dtype=np.float32).reshape(3, 4)
    b, indices, one = np.arange(5, dtype=np.float32), np.array([[0, 2], [1, 1]]), np.int32(2)
    np.testing.assert_array_equal(value_of(x[i], x=a, i=indices), a[indices])
    np.testing.assert_array_equal(value_of(x[j], x=a, j=one), a[one])
    np.testing.assert_array_equal(value_of(v[j], v=b, j=one), b[one])
    np.testing.assert_array_equal(value_of(v[i], v=b, i=indices), b[indices])


def test_indexing_beside_an_open_dimension() -> None:
    x = Graph().input("x", ("batch", 4), "f64")
    a = np.arange(12.0).reshape(3, 4)
    for key in (np.s_[:, 1], np.s_[:, 1:3], np.s_[..., ::-1], np.s_[:, None, 0]):
        np.testing.assert_array_equal(value_of(x[key], x=a), a[key])
    for key in (np.s_[0], np.s_[1:], np.s_[::-1]):
        with pytest.raises(ShapeError, match="dimension batch is open; take it whole"):
            x[key]


@pytest.mark.parametrize(
    ("key", "match"),
    [
        (2, "2 is outside an extent of 2"), (-3, "-3 is outside an extent of 2"),
        (np.s_[0, 0, 0, 0], "4 indices for rank 3"), (0.5, "0.5 is no index"), ("a", "'a' is no index"),
        ([0, 1], "is no index"), (True, "True is no index"), (np.s_[..., ...], "only one ... may stand"),
        (np.array([0, 1]), "is no index"),
    ],
)  # fmt: skip
def test_refused_indices(key: Any, match: str) -> None:
    x = Graph().input("x", A.shape, "f64")
    with pytest.raises(ShapeError, match=rf"^index\(f64\[2,3,4\]\): .*{match}") as raised:
        x[key]
    assert f"at test_graph.py:{here() - 1}" in str(raised.value)


# --- named dimensions ------------------------------------------------------------------------


def test_named_dimensions_pass_through() -> None:
    graph = Graph()
    x, w = graph.input("x", ("batch", 4)), graph.state("w", (4, 3))
    y = ops.tanh(x @ w + graph.state("b", (3,)))
    assert y.shape == (Dim("batch"), 3)
    assert build.softmax(y).shape == y.shape
    assert build.sum(y, 1).shape == (Dim("batch"),)
    assert build.sum(y, 0).shape == (3,)
    assert build.transpose(y).shape == (3, Dim("batch"))
    assert not y.type.is_static
    with pytest.raises(ShapeError, match=r"dimension batch of \[batch,3\] has no extent yet"):
        _ = y.type.size


@pytest.mark.parametrize(
    ("shape", "wanted", "result"),
    [
        (("batch", 2, 4), (-1, 8), ("batch", 8)), (("batch", 2, 4), ("batch", -1), ("batch", 8)),
        (("batch", 4), (-1, 2, 2), ("batch", 2, 2)), (("batch",), (-1, 1), ("batch", 1)),
        (("batch", "time", 4), ("batch", -1, 4), ("batch", "time", 4)), ((0, 3), (-1, 3), (0, 3)),
        ((2, 6), (3, -1), (3, 4)), ((), (-1,), (1,)), (("batch", 3), (3, -1), (3, "batch")),
    ],
)  # fmt: skip
def test_reshape_completes_an_extent(shape: Any, wanted: Any, result: Any) -> None:
    x = Graph().input("x", shape)
    assert build.reshape(x, wanted).shape == as_shape(result)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [(("batch", 4), (-1, 2)), (("batch", 4), (-1,)), (("batch", "time"), (-1,)), ((0, 3), (0, -1)),
     (("batch",), ("time", -1)), ((4,), ("batch", -1)), ((4,), (-1, 3)), ((4,), (-1, -1))],
)  # fmt: skip
def test_reshape_that_nothing_completes(shape: Any, wanted: Any) -> None:
    x = Graph().input("x", shape)
    with pytest.raises(ShapeError, match=r"^reshape\(f32\[.*\n  at test_graph.py:"):
        build.reshape(x, wanted)


def test_two_names_do_not_fit() -> None:
    graph = Graph()
    x, y = graph.input("x", ("batch",)), graph.input("y", ("time",))
    with pytest.raises(
        ShapeError, match=r"add\(f32\[batch\], f32\[time\]\): extents batch and time"
    ):
        x + y
    with pytest.raises(ShapeError, match="extents batch and 3"):
        x + graph.input("z", (3,))
    assert (x + graph.input("one", (1,))).shape == (Dim("batch"),)


def test_one_name_may_stand_for_any_extent() -> None:
    x = Graph().input("x", ("batch", 2), "f64")
    y = build.sum(ops.square(x) - build.mean(x, 0))
    for rows in (0, 1, 2, 7):
        a = np.arange(rows * 2.0).reshape(rows, 2)
        with np.errstate(all="ignore"):
            expected = np.sum(a**2 - a.sum(0) / rows) if rows else 0.0
        np.testing.assert_allclose(value_of(y, x=a), expected)


# --- names, foreign tensors, misuse ----------------------------------------------------------


def test_names_are_unique() -> None:
    graph = Graph()
    graph.input("x", ())
    graph.state("w", ())
    for declare, name in (
        (graph.input, "x"),
        (graph.state, "x"),
        (graph.input, "w"),
        (graph.state, "w"),
    ):
        with pytest.raises(GraphError, match=f"the name '{name}' is taken\n  at test_graph.py:"):
            declare(name, ())
    assert list(graph.inputs) == ["x"] and list(graph.states) == ["w"]


def test_a_refused_name_stays_free() -> None:
    graph = Graph()
    with pytest.raises(ShapeError):
        graph.input("x", (-1,))
    assert graph.input("x", (1,)).name == "x"


def test_only_inputs_and_states_have_names() -> None:
    graph = Graph()
    x, w = graph.input("x", ()), graph.state("w", ())
    assert (x.name, w.name) == ("x", "w")
    with pytest.raises(GraphError, match="a add has no name"):
        _ = (x + w).name


def test_foreign_tensors() -> None:
    x, y = Graph().input("x", (3,)), Graph().input("y", (3,))
    line = here() + 2
    with pytest.raises(ForeignTensorError) as raised:
        x * y
    message = str(raised.value)
    assert message.startswith("multiply(f32[3], f32[3]): <input y : f32[3]> is of another graph")
    assert f"at test_graph.py:{line}: x * y" in message
    with pytest.raises(ForeignTensorError, match="concatenate"):
        build.concatenate([x, y])
    with pytest.raises(ForeignTensorError, match="matmul"):
        build.matmul(x, y)


def test_unknown_attributes() -> None:
    x = Graph().input("x", (3,))
    with pytest.raises(
        GraphError, match=r"exp\(f32\[3\]\): attributes \[\] expected, not \['axis'\]"
    ):
        ops.exp(x, axis=0)


def test_what_a_repr_shows() -> None:
    graph = Graph()
    x = graph.input("x", ("batch", 4))
    assert repr(x) == "<input x : f32[batch,4]>"
    assert repr(ops.exp(x)) == "<exp %1 : f32[batch,4]>"
    assert repr(OPS["sum"]) == "Op(sum)"


def test_an_op_has_a_rule_for_every_operand() -> None:
    def make(arity: int | None, rules: int) -> Op:
        return Op(
            "half_derived", arity=arity, infer=lambda *types: types[0],
            reference=lambda result, *arrays: arrays[0],
            vjp=[lambda ct, *rest: ct] * rules, lowering=Leaf(),
        )  # fmt: skip

    for arity, rules in ((2, 1), (1, 0), (1, 2), (None, 0), (None, 2)):
        with pytest.raises(
            TypeError, match=f"op half_derived: .* VJP rules expected, {rules} given"
        ):
            make(arity, rules)
    for arity, rules in ((2, 2), (0, 0), (None, 1)):
        assert make(arity, rules).arity == arity


def test_ops_are_under_their_own_names() -> None:
    assert all(name == op.name for name, op in OPS.items())


# --- walks and depth -------------------------------------------------------------------------


def test_topological_order() -> None:
    graph = Graph()
    x, y = graph.input("x", ()), graph.input("y", ())
    a = x + y
    b = a * a
    c = b - x
    assert topological([c]) == (x, y, a, b, c)
    assert topological([a, c, a]) == (x, y, a, b, c)
    assert topological([]) == ()


def test_users_and_dependence() -> None:
    graph = Graph()
    x, y = graph.input("x", ()), graph.input("y", ())
    square, other = x * x, ops.exp(y)
    root = square + other
    nodes = topological([root])
    assert users(nodes)[x] == [square] and users(nodes)[root] == []
    assert depends_on([root], [x]) == {x, square, root}


def test_rebuild_into_another_graph() -> None:
    graph, other = Graph(), Graph()
    x = graph.input("x", ())
    root = ops.exp(x) * x + 1
    mapped = rebuild([root], lambda node, operands: other.apply(node.op, operands, node.attributes))
    assert mapped[root].graph is other and len(mapped) == len(topological([root]))
    program = Program("p", (x,), (("y", root),))
    assert program == Program("p", (mapped[x],), (("y", mapped[root]),))


def test_deep_graphs() -> None:
    """Nothing recurses: a chain deeper than Python's stack by far."""
    graph = Graph()
    x = graph.input("x", (), "f64")
    y = x
    for _ in range(DEEP // 2):
        y = y * 0.5 + x
    assert len(topological([y])) == DEEP + 2
    (slope,) = gradients(y, [x])
    results = evaluate((y, slope), {x: np.array(3.0)})
    assert results[y] == 6.0 and results[slope] == 2.0
    program = Program("deep", (x,), (("y", y), ("slope", slope)))
    assert program == Program("deep", (x,), (("y", y), ("slope", slope)))
    assert len(rebuild([y], lambda node, operands: node)) == DEEP + 2
    assert "f64[]" in repr(y)


# --- programs --------------------------------------------------------------------------------


def _network(scale: float = 2.0, name: str = "net", order: int = 1) -> Program:
    graph = Graph()
    x, y = graph.input("x", ("batch", 3)), graph.input("y", ())
    w = graph.state("w", (3,), trainable=True)
    loss = build.mean(ops.square(x * w)) * scale + y
    inputs = (x, y)[::order]
    return Program(name, inputs, (("loss", loss),), ((w, w - gradients(loss, [w])[0]),))


def test_equal_programs() -> None:
    assert _network() == _network() and hash(_network()) == hash(_network())
    for other in (_network(3.0), _network(name="other"), _network(order=-1)):
        assert _network() != other
    outputs = _network().outputs
    renamed = Program("net", _network().inputs, (("cost", outputs[0][1]),), _network().updates)
    assert renamed != _network()
    assert _network() != "net"


def test_a_program_knows_its_nodes() -> None:
    program = _network()
    w = program.graph.states["w"]
    assert program.states == (w,)
    assert program.roots == (program.outputs[0][1], program.updates[0][1])
    assert set(program.roots) <= set(program.nodes)
    assert program.map_roots(lambda node: node) == program


def test_a_written_state_counts_though_never_read() -> None:
    graph = Graph()
    x, last = graph.input("x", ()), graph.state("last", ())
    program = Program("remember", (x,), (("twice", x * 2),), ((last, x),))
    assert program.states == (last,)
    outputs, updates = run_program(program, {"x": np.float32(3)}, {"last": np.float32(0)})
    assert outputs["twice"] == 6 and updates["last"] == 3


def test_updates_are_simultaneous() -> None:
    graph = Graph()
    a, b = graph.state("a", ()), graph.state("b", ())
    program = Program("swap", (), (), ((a, b), (b, a)))
    _, updates = run_program(program, {}, {"a": np.float32(1), "b": np.float32(2)})
    assert updates == {"a": 2, "b": 1}


# --- types -----------------------------------------------------------------------------------


def test_dtypes_by_every_spelling() -> None:
    spelled = {
        "f32": f32,
        "float64": f64,
        np.int32: i32,
        np.dtype("i8"): i64,
        bool: bool_,
        f64: f64,
    }
    assert [as_dtype(spelling) for spelling in spelled] == list(spelled.values())
    assert {name: dtype.name for name, dtype in DTYPES.items()} == {n: n for n in DTYPES}


@pytest.mark.parametrize("spelling", ["nonsense", "f16", np.uint8, None, 3, object(), "complex64"])
def test_no_dtypes(spelling: Any) -> None:
    with pytest.raises(
        DTypeError, match="is no dtype of graphc; there are f32, f64, i32, i64, bool"
    ):
        as_dtype(spelling)


@pytest.mark.parametrize("extent", [-1, 1.0, True, None, "two words", "", (3,)])
def test_no_extents(extent: Any) -> None:
    with pytest.raises(ShapeError):
        as_shape((2, extent))


def test_shapes() -> None:
    assert as_shape(("batch", np.int64(3))) == (Dim("batch"), 3)
    assert as_shape(3) == (3,) and as_shape("n") == (Dim("n"),) and as_shape(()) == ()
    assert repr(TensorType(f32, as_shape(("batch", 64)))) == "f32[batch,64]"
    assert TensorType(f64, (2, 3)).nbytes == 48
    assert normalize_axes((-1, 0), 3) == (0, 2) and normalize_axes(None, 2) == (0, 1)


@pytest.mark.parametrize(
    "shapes",
    [[(), ()], [(3,), ()], [(2, 1), (3,)], [(1,), (0,)], [(4, 1, 2), (3, 1)], [(1,), (1, 1)], []],
)
def test_broadcasting_is_numpys(shapes: Any) -> None:
    assert broadcast_shapes(shapes) == np.broadcast_shapes(*shapes)


def test_literals() -> None:
    first, second = Literal([1.0, 2.0], f32), Literal(np.array([1, 2]), f32)
    assert first == second and hash(first) == hash(second)
    assert first != Literal([1.0, 2.0], f64) and first != "literal"
