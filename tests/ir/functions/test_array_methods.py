"""Tensors among numpy's functions and under the methods of arrays: the same, or a reason."""

from __future__ import annotations

import inspect
import math
import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.dims import Dim
from graphc.ir.functions.as_numpy import node_functions
from graphc.ir.functions.as_numpy.numpy_functions import NAMES_OF_UFUNCS
from graphc.ir.graph import Graph, Node
from graphc.ir.nodes.operators import array_methods, operators
from tests.ir.evaluation import value_of

A = np.linspace(0.25, 2.75, 12).reshape(3, 4)
B = A[::-1] - 1


def both() -> tuple[Node, Node]:
    graph = Graph()
    return graph.input("x", A.shape, "f64"), graph.input("y", A.shape, "f64")


# --- numpy's functions -----------------------------------------------------------------------

UNARY = [
    np.negative, np.positive, np.reciprocal, np.square, np.sqrt, np.absolute, np.sign, np.exp,
    np.expm1, np.log, np.log1p, np.sin, np.cos, np.tanh, np.floor, np.ceil, np.trunc, np.rint,
    np.isnan, np.isinf, np.isfinite, np.exp2, np.log2, np.log10, np.tan, np.sinh, np.cosh,
    np.arcsin, np.arccos, np.arctan, np.arcsinh, np.arccosh, np.arctanh,
]  # fmt: skip
BINARY = [
    np.add, np.subtract, np.multiply, np.divide, np.minimum, np.maximum, np.power, np.equal,
    np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal, np.floor_divide,
    np.remainder, np.mod, np.hypot, np.arctan2, np.logaddexp, np.logaddexp2,
]  # fmt: skip
OF_BOOLS = [
    np.logical_and, np.logical_or, np.logical_xor, np.bitwise_and, np.bitwise_or, np.bitwise_xor,
]  # fmt: skip
OF_INTEGERS: list[Callable[..., Any]] = [
    np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.left_shift, np.right_shift, np.remainder,
    np.floor_divide, operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift,
    operator.mod, operator.floordiv, lambda x, y: divmod(x, y)[1], lambda x, y: ~x + abs(y),
    lambda x, y: x**3 - y**0 + y**1, np.minimum,
]  # fmt: skip
M, N = np.array([-7, 7, 0, 12, -1]), np.array([2, 3, 1, 5, 4])


@pytest.mark.parametrize("ufunc", UNARY, ids=lambda ufunc: ufunc.__name__)
def test_ufuncs_of_one_tensor(ufunc: np.ufunc) -> None:
    x, _ = both()
    np.testing.assert_allclose(value_of(ufunc(x), x=A), ufunc(A), rtol=1e-15)


@pytest.mark.parametrize("ufunc", BINARY, ids=lambda ufunc: ufunc.__name__)
def test_ufuncs_of_two_tensors_and_of_one_beside_an_array(ufunc: np.ufunc) -> None:
    x, y = both()
    np.testing.assert_allclose(value_of(ufunc(x, y), x=A, y=B), ufunc(A, B))
    np.testing.assert_allclose(value_of(ufunc(A, y), y=B), ufunc(A, B))
    np.testing.assert_allclose(value_of(ufunc(x, B), x=A), ufunc(A, B))
    np.testing.assert_allclose(value_of(ufunc(np.float64(2), x), x=A), ufunc(2, A))


@pytest.mark.parametrize("ufunc", OF_BOOLS, ids=lambda ufunc: ufunc.__name__)
def test_ufuncs_of_bools(ufunc: np.ufunc) -> None:
    x, y = both()
    expected = ufunc(A > 1, B > 0)
    np.testing.assert_array_equal(value_of(ufunc(x > 1, y > 0), x=A, y=B), expected)
    np.testing.assert_array_equal(value_of(np.logical_not(x > 1), x=A), A <= 1)
    np.testing.assert_array_equal(value_of(np.invert(x > 1), x=A), A <= 1)
    np.testing.assert_array_equal(value_of((x > 1) ^ (y > 0), x=A, y=B), (A > 1) ^ (B > 0))


@pytest.mark.parametrize("number", range(len(OF_INTEGERS)))
def test_functions_and_operators_of_integers(number: int) -> None:
    graph, function = Graph(), OF_INTEGERS[number]
    x, y = graph.input("x", M.shape, "i64"), graph.input("y", N.shape, "i64")
    expected = function(M, N)
    for made in (function(x, y), function(x, N), function(M, y)):
        value = value_of(made, x=M, y=N)
        assert value.dtype == np.int64
        np.testing.assert_array_equal(value, expected)


@pytest.mark.parametrize("exponent", [-1, 0.5, 2.0])
def test_integers_refuse_other_exponents(exponent: float) -> None:
    x = Graph().input("x", (3,), "i32")
    with pytest.raises(gc.DTypeError, match=r"^power\(i32\[3\]\): integers take a whole"):
        gc.power(x, exponent)


def test_products() -> None:
    x, _ = both()
    np.testing.assert_allclose(value_of(np.matmul(x, B.T), x=A), A @ B.T)
    np.testing.assert_allclose(value_of(np.matmul(B.T, x), x=A), B.T @ A)
    np.testing.assert_allclose(value_of(B[0] @ x.T, x=A), B[0] @ A.T)


def test_every_ufunc_of_the_same_name_is_accepted() -> None:
    same = {name for name in gc.__all__ if isinstance(getattr(np, name, None), np.ufunc)}
    assert same - {"abs"} <= NAMES_OF_UFUNCS


FUNCTIONS: list[Callable[[Any], Any]] = [
    np.sum, np.mean, np.max, np.min, np.argmax, np.transpose, np.squeeze, np.ndim,
    lambda a: np.sum(a, 0), lambda a: np.sum(a, axis=(0, 1), keepdims=True),
    lambda a: np.mean(a, axis=-1, keepdims=True), lambda a: np.amax(a, axis=0),
    lambda a: np.amin(a, axis=1), lambda a: np.argmax(a, axis=0), lambda a: np.argmax(a, 1),
    lambda a: np.argmax(a, keepdims=False), lambda a: np.reshape(a, (2, -1)),
    lambda a: np.transpose(a, (1, 0)), lambda a: np.expand_dims(a, 1),
    lambda a: np.broadcast_to(a, (2, 3, 4)), lambda a: np.concatenate([a, a], axis=1),
    lambda a: np.concatenate((a, np.ones((1, 4)))), lambda a: np.where(a > 1, a, 0.0),
    lambda a: np.take(a, [2, 0], axis=0), lambda a: np.take(a, np.array([1]), 1),
    lambda a: np.sum(a > 1), lambda a: np.mean(a > 1, axis=0),
    lambda a: +a, lambda a: a.ravel(), lambda a: a.flatten(), lambda a: a[:1].squeeze(0),
    lambda a: a.argmax(), lambda a: a.argmax(1), lambda a: a.argmax(axis=0, keepdims=True),
    lambda a: a.take([1, 1], axis=1), lambda a: a.T, lambda a: a.transpose((1, 0)),
    lambda a: a.transpose(1, 0), lambda a: a.transpose(), lambda a: a.ndim, lambda a: a.size,
    lambda a: a.astype("i4"), lambda a: a.sum(0, keepdims=True), lambda a: len(a),
    lambda a: (a > 1).sum(axis=1), lambda a: (a > 1).mean(),
    lambda a: np.clip(a, 0.5, 2), lambda a: np.clip(a, None, B), lambda a: np.clip(a, min=B),
    lambda a: a.clip(0.5), lambda a: a.clip(None, 1), lambda a: np.round(a), np.nan_to_num,
    lambda a: np.around(a, 1), lambda a: np.round(a, decimals=-1), lambda a: a.round(2),
    lambda a: a // 0.3, lambda a: 2 % a, lambda a: divmod(a, 0.7)[0], lambda a: divmod(2, a)[1],
    lambda a: np.nan_to_num(a * np.where(A > 1, 1.0, math.inf), posinf=3.0),
    lambda a: np.sum(a, 0, np.float64), lambda a: a.mean(dtype="f4"),
    lambda a: np.prod(a > 1, dtype="i4"), lambda a: np.var(a, axis=1, correction=1),
    lambda a: np.std(a, correction=2, keepdims=True),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(FUNCTIONS)))
def test_functions_and_methods_are_numpys(number: int) -> None:
    x, _ = both()
    made, expected = FUNCTIONS[number](x), FUNCTIONS[number](A)
    value = value_of(made, x=A) if isinstance(made, Node) else made
    assert np.shape(value) == np.shape(expected)
    rtol = 1e-6 if getattr(value, "dtype", None) == np.float32 else 1e-15
    np.testing.assert_allclose(value, expected, rtol=rtol)


def test_the_dtypes_of_sums_and_means_of_bools() -> None:
    x, _ = both()
    assert gc.sum(x > 1).dtype == "i64" and gc.mean(x > 1).dtype == "f32"
    with pytest.raises(gc.DTypeError, match=r"^mean\(i64\[\]\): floats, bytes or bools expected"):
        gc.mean(gc.sum(x > 1))


def test_shapes() -> None:
    x = Graph().input("x", ("batch", 3))
    assert np.shape(x) == (Dim("batch"), 3) and x.size == Dim("3*batch") and x.ndim == 2


# --- refusals --------------------------------------------------------------------------------

NO_VALUE = r"no value while the graph is declared; gc\.function"
REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "unique": (np.unique, r"^np\.unique: graphc has no such function"),
    "norm": (np.linalg.norm, r"^np\.linalg\.norm: .*gc\.sqrt"),
    "hstack": (lambda x: np.hstack([x, x]), r"^np\.hstack: .*gc\.concatenate"),
    "reduce": (np.add.reduce, r"^np\.add\.reduce of a tensor: gc\.sum"),
    "out": (lambda x: np.exp(x, out=np.zeros(A.shape)), "not written into an array"),
    "in place": (lambda x: operator.iadd(np.zeros(A.shape), x), "not written into an array"),
    "where": (lambda x: np.exp(x, where=True), "graphc has no where"),
    "initial": (
        lambda x: np.sum(x, initial=1),
        r"graphc has np\.sum\(a, axis=None, dtype=None, \*",
    ),
    "asarray": (np.asarray, NO_VALUE),
    "array": (lambda x: np.array([x, 1.0]), NO_VALUE),
    "float": (float, NO_VALUE),
    "int": (int, NO_VALUE),
    "complex": (complex, NO_VALUE),
    "math": (math.exp, NO_VALUE + r".*gc\.exp takes tensors"),
    "range": (range, NO_VALUE + r".*x\.shape"),
    "format": (lambda x: f"{x:.3f}", NO_VALUE),
    "bool": (bool, r"no truth value .*gc\.where"),
    "max": (lambda x: max(x, 0), r"no truth value .*gc\.maximum"),
    "iter": (list, "cannot be iterated"),
    "assign": (lambda x: operator.setitem(x, 0, 1), r"never changes; gc\.where.*gc\.scatter_set"),
    "len": (lambda x: len(x[0, 0]), "a scalar has no length"),
    "size": (np.size, r"x\.size"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_tensor_cannot_do_says_what_to_write(name: str) -> None:
    function, problem = REFUSED[name]
    x, _ = both()
    with pytest.raises(TypeError, match=problem) as raised:
        function(x)
    assert "\n  at test_array_methods.py:" in str(raised.value)


def test_an_open_extent_is_no_length() -> None:
    with pytest.raises(TypeError, match="the first extent, batch, is open"):
        len(Graph().input("x", ("batch", 3)))


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("backward", "gc.grad"), ("item", "gc.function"), ("detach", "gc.stop_gradient"),
        ("view", "x.reshape"), ("exp", "gc.exp"), ("relu", "gc.relu"), ("norm", "gc.sqrt"),
        ("floor", "gc.floor"), ("nothing", "no attribute 'nothing'"),
    ],
)  # fmt: skip
def test_unknown_attributes_say_what_there_is(name: str, instead: str) -> None:
    x, _ = both()
    assert not hasattr(x, name)
    with pytest.raises(AttributeError) as raised:
        getattr(x, name)
    assert instead in str(raised.value)


def test_none_is_asked_for_by_identity() -> None:
    x, _ = both()
    with pytest.raises(gc.DTypeError, match="`is None` asks for it"):
        _ = x == None  # noqa: E711


def test_a_dtype_equals_what_names_it() -> None:
    x, _ = both()
    assert x.dtype == "f64" and x.dtype == np.float64 and x.dtype != "f32" and x.dtype != None  # noqa: E711
    assert x.dtype in ("f32", "f64") and len({x.dtype, gc.f64}) == 1


# --- how a node finds functions ---------------------------------------------------------------


def test_functions_of_nodes_are_those_that_operators_and_methods_call() -> None:
    sources = inspect.getsource(operators) + inspect.getsource(array_methods)
    called = set(re.findall(r"\.node_functions\.(\w+)", sources))
    assert called == set(node_functions.__all__)
    assert all(hasattr(node_functions, name) for name in called)
