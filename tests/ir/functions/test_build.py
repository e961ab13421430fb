"""Operators, constructors and indexing against numpy."""

import inspect
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphc.ir.errors import DTypeError, ShapeError
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import DTYPES, bool_, f32, f64, i32
from tests.ir.evaluation import value_of


def here() -> int:
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


# --- operators -------------------------------------------------------------------------------

PAIR = (np.array([[1.5, -2.0, 0.5]], np.float32), np.array([[2.0], [-0.5]], np.float32))


@pytest.mark.parametrize(
    "function",
    [operator.add, operator.sub, operator.mul, operator.truediv, operator.lt, operator.le,
     operator.gt, operator.ge, operator.eq, operator.ne],
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


@pytest.mark.parametrize("dtype", DTYPES)
def test_equality_is_elementwise(dtype: str) -> None:
    graph = Graph()
    x, y = graph.input("x", (2, 3), dtype), graph.input("y", (3,), dtype)
    a = np.array([[0, 1, 0], [1, 1, 0]], DTYPES[dtype].numpy)
    b = a[1, ::-1].copy()
    one = b.dtype.type(1)
    for compare in (operator.eq, operator.ne):
        assert compare(x, y).dtype is bool_
        np.testing.assert_array_equal(value_of(compare(x, y), x=a, y=b), compare(a, b))
        for other in (b, one, one.item()):
            np.testing.assert_array_equal(value_of(compare(x, other), x=a), compare(a, other))
            np.testing.assert_array_equal(value_of(compare(other, x), x=a), compare(other, a))
        rows = b.tolist()
        np.testing.assert_array_equal(value_of(compare(x, rows), x=a), compare(a, b))
    assert (x == y) is ops.equal(x, y) and (x != y) is ops.not_equal(x, y)


def test_equality_at_special_values() -> None:
    x = Graph().input("x", (4,))
    a = np.array([np.nan, -0.0, np.inf, 1], np.float32)
    np.testing.assert_array_equal(value_of(x == x, x=a), a == a)
    np.testing.assert_array_equal(value_of(x != 0.0, x=a), a != 0.0)


@pytest.mark.parametrize("other", [None, "0", b"0", 1j, {}, {1}, object(), np.array(["0"])])
def test_equality_with_what_no_tensor_holds(other: object) -> None:
    x = Graph().input("x", (3,), "i32")
    for compare in (operator.eq, operator.ne):
        for one, two in ((x, other), (other, x)):
            with pytest.raises(DTypeError, match=r"^(not_)?equal: .*(neither|expected)"):
                compare(one, two)


def test_equality_is_left_to_classes_that_define_it() -> None:
    class Other:
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Node)

        __hash__ = None  # type: ignore[assignment]

    x = Graph().input("x", (3,))
    other: Any = Other()
    assert (x == other) is True and (x != other) is False and (other == x) is True


LONE_BOOLS: list[Callable[[Any], Any]] = [
    lambda mask: build.where(mask is None, 1.0, 2.0),
    lambda mask: build.where(mask is None, mask, ~mask),
    lambda mask: build.where(True, mask, mask),
    lambda mask: ops.where(False, mask, mask),
    lambda mask: ops.logical_and(mask, True),
    lambda mask: ops.logical_or(False, mask),
    lambda mask: ops.logical_not(False),
    lambda mask: mask & True,
    lambda mask: True & mask,
    lambda mask: mask | False,
    lambda mask: False | mask,
]


@pytest.mark.parametrize("apply", LONE_BOOLS)
def test_one_bool_of_python_is_no_condition(apply: Callable[[Any], Any]) -> None:
    mask = Graph().input("mask", (3,), "bool")
    with pytest.raises((DTypeError, TypeError), match=r"one bool of Python .*`is`"):
        apply(mask)


def test_conditions_are_arrays_and_bools_are_values() -> None:
    mask = Graph().input("mask", (3,), "bool")
    flags, others = np.array([True, False, True]), np.array([True, True, False])
    for given in (others, others.tolist()):
        np.testing.assert_array_equal(value_of(mask & given, mask=flags), flags & others)
        np.testing.assert_array_equal(value_of(given | mask, mask=flags), flags | others)
        chosen = build.where(given, mask, ~mask)
        np.testing.assert_array_equal(value_of(chosen, mask=flags), np.where(others, flags, ~flags))
    np.testing.assert_array_equal(value_of(build.where(mask, True, False), mask=flags), flags)
    np.testing.assert_array_equal(value_of(mask == True, mask=flags), flags)  # noqa: E712


def test_unary_operators() -> None:
    graph = Graph()
    x, b = graph.input("x", (1, 3)), graph.input("b", (2,), "bool")
    a, flags = PAIR[0], np.array([True, False])
    np.testing.assert_array_equal(value_of(-x, x=a), -a)
    np.testing.assert_array_equal(value_of(abs(x), x=a), abs(a))
    np.testing.assert_array_equal(value_of(~b, b=flags), ~flags)
    np.testing.assert_array_equal(value_of(b & b[::-1], b=flags), flags & flags[::-1])
    np.testing.assert_array_equal(value_of(b | b[::-1], b=flags), flags | flags[::-1])


@pytest.mark.parametrize("exponent", [2, -1, 3, 4.0, 0.5, 0, -2.5])
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


def test_small_powers_are_products() -> None:
    x = Graph().input("x", ())
    assert x**3 is x * ops.square(x) and x**4 is ops.square(ops.square(x))
    assert (x**5).op is ops.power and ops.power(x, 3).op is ops.power


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
        DTypeError, match=r"add: 0\.5 does not fit i32; cast one\n  at test_build.py:"
    ):
        count + 0.5
    with pytest.raises(DTypeError, match="i32"):
        count + 2**40
    with pytest.raises(DTypeError, match="add: 'one' is neither"):
        count + "one"
    counts = graph.input("counts", ("batch", 784), "i32")
    with pytest.raises(DTypeError, match=r"^var\(i32\[batch,784\]\): .*not i32; cast first"):
        build.var(counts, 1)
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
    with pytest.raises(TypeError, match="power: a tensor of a graph expected"):
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
        build.squeeze(x[:, :1], 1): A[:, 0],
        build.squeeze(x[:, :1, :1], (-1, 1)): A[:, 0, 0],
        build.squeeze(x[:, :1, :1]): A[:, 0, 0],
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
        build.broadcast_to(x, (3, 4)), build.cast(x, "f32"), x[:], x[...], x[:, 0:4],
        build.sum(x, ()),
    )  # fmt: skip
    assert all(node is x for node in same)


@pytest.mark.parametrize(
    ("build_node", "match"),
    [
        (lambda x: build.maxout(x, 3), r"maxout\(f32\[3,4\]\): 3 pieces do not divide 4"),
        (lambda x: build.maxout(x, 0), "0 pieces"),
        (lambda x: build.expand_dims(x, 3), r"expand_dims\(f32\[3,4\]\): axis 3"),
        (lambda x: build.expand(x, -4, 2), r"expand\(f32\[3,4\]\): axis -4"),
        (lambda x: build.expand(x, 0, -2), r"expand\(f32\[3,4\]\): .*-2"),
        (lambda x: build.gather(x, [0, 0, 0], 2), r"gather\(f32\[3,4\]\): axis 2"),
        (lambda x: build.mean(x, 2), r"mean\(f32\[3,4\]\): axis 2"),
        (lambda x: build.concatenate([]), "concatenate: at least one"),
        (lambda x: build.squeeze(x, -1), r"squeeze\(f32\[3,4\]\): axis 1 has the extent 4"),
        (lambda x: build.squeeze(x, 2), r"squeeze\(f32\[3,4\]\): axis 2"),
    ],
)
def test_refused_constructors(build_node: Callable[[Node], Node], match: str) -> None:
    x = Graph().input("x", (3, 4))
    with pytest.raises(ShapeError, match=match):
        build_node(x)


@pytest.mark.parametrize(
    ("build_node", "match"),
    [
        (lambda x: build.take(x, [0, 4], 1), r"take\(f32\[3,4\]\): index 4 is outside -4 to 3\n "),
        (lambda x: build.take(x, -4), r"take\(f32\[3,4\]\): index -4 is outside -3 to 2\n  at"),
        (lambda x: build.pick(x, [0, 4, 9]), r"pick\(f32\[3,4\]\): index 4 is outside 0 to 3\n"),
    ],
)
def test_numbers_that_are_no_index(build_node: Callable[[Node], Node], match: str) -> None:
    x = Graph().input("x", (3, 4))
    with pytest.raises(IndexError, match=match):
        build_node(x)


def test_where_of_arrays_and_numbers() -> None:
    graph = Graph()
    x, condition = graph.input("x", (3,), "f64"), graph.input("c", (3,), "bool")
    a, c = np.array([1.0, -2.0, 3.0]), np.array([True, False, True])
    np.testing.assert_array_equal(value_of(build.where(c, x, -1.0), x=a), [1, -1, 3])
    np.testing.assert_array_equal(value_of(build.where(c.tolist(), 0, x), x=a), [0, -2, 0])
    chosen = build.where(condition, 1, 0.5)
    assert chosen.dtype == f32
    np.testing.assert_array_equal(value_of(chosen, c=c), [1, 0.5, 1])
    assert build.where(condition, 1, 0).dtype.is_integer
    assert build.where(condition, True, False).dtype.is_bool
    with pytest.raises(DTypeError, match=r"where\(f32\[3\], .*: a bool condition expected"):
        build.where(np.ones(3), x, 0.0)
    with pytest.raises(TypeError, match="where: no operand is a tensor"):
        build.where(True, 1.0, 0.0)


# --- indexing --------------------------------------------------------------------------------

KEYS = [
    np.s_[0], np.s_[-1], np.s_[1, 2], np.s_[1, 2, 3], np.s_[-2, -3, -4], np.s_[:], np.s_[...],
    np.s_[1:], np.s_[:1], np.s_[:-1], np.s_[::2], np.s_[::-1], np.s_[:, 1:3], np.s_[:, ::-1],
    np.s_[:, :, 1::2], np.s_[:, :, 3:0:-2], np.s_[..., 0], np.s_[..., 1:3], np.s_[0, ...],
    np.s_[0, ..., 0], np.s_[:, 1], np.s_[:, -1, ::2], np.s_[None], np.s_[:, None], np.s_[..., None],
    np.s_[0, None], np.s_[None, 0, :, None, 2:], np.s_[2:1], np.s_[:, 5:], np.s_[:, -9:9],
    np.s_[1:2, 0:1, 3:4], np.s_[::-1, ::-1, ::-1], np.s_[np.int64(1)],
    np.s_[np.int32(0):np.int64(2)],
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
        (np.s_[0, 0, 0, 0], "4 indices for rank 3"), (0.5, "0.5 is no index"),
        ("a", "'a' is no index"),
        (True, "True is no index"),
        (np.s_[..., ...], "only one ... may stand"),
        (np.s_[:, [0, 1], [0, 1, 2]], "lists of indices: extents"),
    ],
)  # fmt: skip
def test_refused_indices(key: Any, match: str) -> None:
    x = Graph().input("x", A.shape, "f64")
    with pytest.raises(ShapeError, match=rf"^index\(f64\[2,3,4\]\): .*{match}") as raised:
        x[key]
    assert f"at test_build.py:{here() - 1}" in str(raised.value)
