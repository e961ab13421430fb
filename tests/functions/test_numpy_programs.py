"""What numpy's users write of arrays: the same of tensors, compiled, with its derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from tests.ir.evaluation import value_of

A = np.random.default_rng(0).uniform(0.5, 1.5, (4, 6)) * np.where(np.arange(6) % 2, 1, -1)
B = np.random.default_rng(1).uniform(-1, 1, (4, 6))
CUBE = np.random.default_rng(2).uniform(-1, 1, (2, 3, 4))
CHOSEN = np.array([[True, False] * 3, [False] * 6, [True] * 6, [False, True] * 3])

# Of numpy or graphc, a matrix, another one and a cube of it.
Form = Callable[[Any, Any, Any, Any], Any]
JOINING: list[Form] = [
    lambda to, x, y, z: to.stack([x, y]),
    lambda to, x, y, z: to.stack([x, y, x], axis=-1),
    lambda to, x, y, z: to.stack([x[0], B[0]], axis=1),
    lambda to, x, y, z: to.split(x, 3, axis=1)[1],
    lambda to, x, y, z: to.stack(to.split(z, 2, axis=-1)),
    lambda to, x, y, z: to.split(x, [1, 4], axis=1)[2],
    lambda to, x, y, z: to.array_split(x, 4, axis=1)[0] * to.array_split(x, 4, axis=1)[1],
    lambda to, x, y, z: to.repeat(x, 3, axis=0),
    lambda to, x, y, z: to.repeat(x, 2),
    lambda to, x, y, z: to.repeat(x, [2, 0, 1, 3], axis=0),
    lambda to, x, y, z: to.tile(x, 3),
    lambda to, x, y, z: to.tile(x, (2, 3)),
    lambda to, x, y, z: to.tile(x, (2, 1, 2)),
    lambda to, x, y, z: to.tile(z, (2, 1)),
    lambda to, x, y, z: to.roll(x, 2, axis=1) + to.roll(x, -7),
    lambda to, x, y, z: to.roll(z, (1, -1), axis=(0, 2)),
    lambda to, x, y, z: to.flip(x) * to.flip(y, 0),
    lambda to, x, y, z: to.flip(z, (0, -1)),
]
PADDING: list[Form] = [
    lambda to, x, y, z: to.pad(x, 2),
    lambda to, x, y, z: to.pad(x, ((1, 0), (0, 3)), constant_values=1.5),
    lambda to, x, y, z: to.pad(x, (1, 2), mode="edge"),
    lambda to, x, y, z: to.pad(x, ((2, 3), (0, 5)), mode="reflect"),
    lambda to, x, y, z: to.pad(x, ((0, 9), (0, 0)), "reflect"),
    lambda to, x, y, z: to.pad(x, 3, mode="symmetric"),
    lambda to, x, y, z: to.pad(x, ((5, 0), (1, 1)), mode="wrap"),
    lambda to, x, y, z: to.pad(z, ((0, 0), (1, 1), (2, 0)), mode="edge"),
]
VIEWS: list[Form] = [
    lambda to, x, y, z: to.swapaxes(z, 0, -1) * 2,
    lambda to, x, y, z: to.moveaxis(z, 0, -1) * 2,
    lambda to, x, y, z: to.moveaxis(z, (2, 0), (0, 1)) * 2,
    lambda to, x, y, z: to.diagonal(x) + to.diagonal(x, 1)[:4],
    lambda to, x, y, z: to.diagonal(x, -2),
    lambda to, x, y, z: to.diagonal(x.T, 2),
    lambda to, x, y, z: to.diagonal(z, 1, 1, 2)[:, :2] + to.diagonal(z, 0, 2, 0)[:2],
    lambda to, x, y, z: to.tril(x) + to.triu(y, 2),
    lambda to, x, y, z: to.triu(z, -1) + to.tril(z, 1),
    lambda to, x, y, z: to.outer(x[0], y[:2]),
    lambda to, x, y, z: x * to.zeros_like(x) + to.ones_like(x) * y + to.full_like(x, 0.5) * x,
]
INDEXING: list[Form] = [
    lambda to, x, y, z: x[:, [0, 2, -1]],
    lambda to, x, y, z: x[[True, False, True, True]],
    lambda to, x, y, z: x[CHOSEN] * 2,
    lambda to, x, y, z: x[np.arange(4), [5, 0, -1, 2]],
    lambda to, x, y, z: z[[0, 1, 1], :, 2],
    lambda to, x, y, z: z[1, [0, 2], 1:],
    lambda to, x, y, z: z[0, :, [3, 0]] * z[[1, 0], None, :, [3, 0]][:, 0],
    lambda to, x, y, z: z[:, [[0], [2]], [1, -1]],
    lambda to, x, y, z: z[..., [0, 3], None],
    lambda to, x, y, z: to.take(x, [-1, 0, -4], axis=0),
    lambda to, x, y, z: to.take(z, np.array([[-1, 0]]), axis=1),
]
SUMS: list[Form] = [
    lambda to, x, y, z: to.var(x, axis=1) + to.std(y, axis=1, ddof=1),
    lambda to, x, y, z: z.std() + z.var(axis=(0, 2), ddof=2, keepdims=True),
    lambda to, x, y, z: to.prod(x, axis=1) + x.prod(),
    lambda to, x, y, z: (x - x.mean(axis=0)) / x.std(axis=0),
    lambda to, x, y, z: to.prod(z, axis=(0, 2)),
    lambda to, x, y, z: to.einsum("ij,kj->ik", x, y),
    lambda to, x, y, z: to.einsum("bij,bkj->bik", z, z),
    lambda to, x, y, z: to.einsum("ij,ij->j", x, y) + to.einsum("ij->j", x),
    lambda to, x, y, z: to.einsum("ii", x[:, :4]) * to.einsum("iji->j", z[:, :, :2]),
    lambda to, x, y, z: to.einsum("...ij->...ji", z) * 2,
    lambda to, x, y, z: to.einsum("b...,...->b...", z, z[0]),
    lambda to, x, y, z: to.einsum("ij,jk,kl->il", x[:3], y.T, x),
    lambda to, x, y, z: to.einsum("i,j", x[0], y[0]) + to.einsum("j,i", y[0], x[0]),
    lambda to, x, y, z: to.einsum("abc,dbc->ad", z, z) + to.einsum("abc,abc", z, z),
]  # fmt: skip
FORMS = {
    "joining": JOINING, "padding": PADDING, "views": VIEWS, "indexing": INDEXING, "sums": SUMS,
}  # fmt: skip


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize("kind", FORMS)
def test_programs_and_their_derivatives_are_numpys(kind: str, fuse: bool) -> None:
    arrays, graph = (A, B, CUBE), gc.Graph()
    given = [graph.input(name, a.shape, "f64") for name, a in zip("xyz", arrays, strict=True)]
    made = [form(gc, *given) for form in FORMS[kind]]
    expected = [form(np, *arrays) for form in FORMS[kind]]
    rng = np.random.default_rng(3)
    weights = [rng.uniform(0.5, 1.5, np.shape(value)) for value in expected]
    loss = gc.sum(given[1]) * 0 + gc.sum(given[2]) * 0
    for value, weight in zip(made, weights, strict=True):
        loss = loss + gc.sum(value * weight)
    slopes = gc.grad(loss, given)
    results = gc.function(given, [*made, *slopes], fuse=fuse)(*arrays)
    for number, value in enumerate(expected):
        assert made[number].shape == np.shape(value), number
        np.testing.assert_allclose(results[number], value, 1e-12, 1e-12, err_msg=str(number))
    step, directions = 1e-6, [rng.uniform(-1, 1, a.shape) for a in arrays]

    def total(sign: float) -> float:
        moved = [a + sign * step * d for a, d in zip(arrays, directions, strict=True)]
        values = [form(np, *moved) for form in FORMS[kind]]
        return sum(float(np.sum(v * w)) for v, w in zip(values, weights, strict=True))

    derived = sum(
        float(np.sum(s * d)) for s, d in zip(results[len(made) :], directions, strict=True)
    )
    np.testing.assert_allclose(derived, (total(1) - total(-1)) / (2 * step), 1e-7, 1e-7)


# Arguments at the ends of what they may be, where nothing, one or all of something is asked for.
EDGES: list[Form] = [
    *(lambda to, x, y, z, reps=reps: to.tile(x, reps) for reps in (0, 1, (0, 2), (1, 1, 1))),
    *(lambda to, x, y, z, n=n: to.repeat(x, n, axis=1) for n in (0, 1)),
    lambda to, x, y, z: to.repeat(x, [0, 0, 0, 0], axis=0),
    *(lambda to, x, y, z, n=n: to.roll(x, n, axis=1) for n in (0, 6, -6, 13, -13)),
    *(lambda to, x, y, z, n=n: to.roll(x, n) for n in (0, 24, 25)),
    lambda to, x, y, z: to.roll(x, (5, 6), axis=(0, 0)),
    lambda to, x, y, z: to.roll(z, 2, axis=(1, 2)),
    *(lambda to, x, y, z, axis=axis: to.flip(x, axis) for axis in (0, 1, (), (0, 1))),
    lambda to, x, y, z: to.split(x, 1)[0],
    lambda to, x, y, z: to.split(x, [0, 4, 9])[3],
    lambda to, x, y, z: to.split(x, [3, 1])[1],
    *(lambda to, x, y, z, n=n: to.array_split(x, 9, axis=1)[n] for n in (0, 5, 6, 8)),
    lambda to, x, y, z: to.array_split(x, 4, axis=1)[3],
    lambda to, x, y, z: to.stack([x]),
    *(
        lambda to, x, y, z, mode=mode, width=width: to.pad(x, width, mode=mode)
        for mode in ("constant", "edge", "reflect", "symmetric", "wrap")
        for width in (0, ((0, 1), (1, 0)), ((9, 0), (0, 14)))
    ),
    *(
        lambda to, x, y, z, mode=mode: to.pad(x[:1, :1], 3, mode=mode)
        for mode in ("edge", "reflect", "symmetric", "wrap")
    ),
    lambda to, x, y, z: to.pad(x, 1, constant_values=-np.inf),
    *(lambda to, x, y, z, k=k: to.diagonal(x, k) for k in (5, 6, 9, -3, -4)),
    *(lambda to, x, y, z, k=k: to.tril(x, k) + to.triu(y, k) for k in (-4, -3, 5, 6, 9)),
    lambda to, x, y, z: to.einsum("ij,ij->ij", x[:1, :2], y[:2, :2]),
    lambda to, x, y, z: to.einsum("ij,ij->i", x[:2, :1], y[:2, :2]),
    lambda to, x, y, z: to.einsum("ij,jk->ik", x[:1, :1], y[:1, :1]),
    lambda to, x, y, z: to.einsum("ij,jk->ik", x[:, :0], y[:0]),
    lambda to, x, y, z: to.einsum("ij->", x) * to.einsum("ij->ij", y),
    lambda to, x, y, z: to.einsum("...,...->...", x[0], z[0, 0, 0]),
    lambda to, x, y, z: to.prod(x[:, :0], axis=1) + to.var(x[:, :1], axis=1),
    lambda to, x, y, z: to.std(z[:1, :1, :1]) + to.var(x, axis=1, ddof=5),
    *(lambda to, x, y, z, axis=axis: to.cumsum(x[:, :1], axis=axis) for axis in (0, 1)),
    lambda to, x, y, z: to.moveaxis(z, (), ()) + to.swapaxes(z, 1, 1),
]  # fmt: skip


def test_arguments_at_their_ends_are_numpys() -> None:
    arrays, graph = (A, B, CUBE), gc.Graph()
    given = [graph.input(name, a.shape, "f64") for name, a in zip("xyz", arrays, strict=True)]
    made = [form(gc, *given) for form in EDGES]
    results = gc.function(given, made, mode="reference")(*arrays)
    for number, (form, found) in enumerate(zip(EDGES, results, strict=True)):
        expected = form(np, *arrays)
        assert made[number].shape == np.shape(expected), number
        np.testing.assert_allclose(found, expected, 1e-12, 1e-12, err_msg=str(number))


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
def test_indices_that_a_run_gives_may_count_from_the_end(fuse: bool) -> None:
    graph = gc.Graph()
    x, i = graph.input("x", (4, 6)), graph.input("i", (3,), "i32")
    values, row = graph.input("values", (3, 6)), graph.input("row", (), "i64")
    outputs = [
        gc.take(x, i), x[:, i], x[i, i], x[row], x[0][row], gc.scatter_add(x, i, values),
        gc.scatter_set(x, i, values), gc.scatter_set(x, i, 2.5, axis=1),
    ]  # fmt: skip
    loss = sum(gc.sum(gc.square(each)) for each in outputs[:7])
    outputs += gc.grad(loss, [x, values])
    function = gc.function([x, i, values, row], outputs, fuse=fuse)
    a, places = A.astype("f4"), np.array([-1, 0, -1], "i4")
    given = B[:3].astype("f4")
    added, replaced, columns = a.copy(), a.copy(), a.copy()
    np.add.at(added, places, given)
    replaced[places] = given
    columns[:, places] = 2.5
    found = function(a, places, given, -2)
    wanted = [a[places], a[:, places], a[places, places], a[-2], a[0, -2], added, replaced, columns]
    for value, expected in zip(found, wanted, strict=False):
        np.testing.assert_allclose(value, expected, 1e-6)
    # The first value for the last row is replaced by the third, so only its sum has a slope.
    np.testing.assert_allclose(found[9][0], 2 * added[-1], 1e-5)
    np.testing.assert_allclose(found[9][2], 2 * added[-1] + 2 * given[2], 1e-5)
    for wrong in ([-5, 0, 0], [0, 4, 0]):
        with pytest.raises(IndexError, match=r"is -?[45], outside -4 to 3\n"):
            function(a, np.array(wrong, "i4"), given, 0)


def test_places_that_are_known_are_checked_at_no_run() -> None:
    graph = gc.Graph()
    x = graph.input("x", (4, 6))
    function = gc.function([x], [x[[0, -1]], gc.take(x, [1, 1], axis=1), x[gc.arange(3, like=x)]])
    names = [row.name for row in function.loaded().plan.instructions]
    assert names and not any("check" in name for name in names)


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
def test_questions_places_and_reductions_of_bytes_and_bools(fuse: bool) -> None:
    graph = gc.Graph()
    x, u, b = (graph.input("x", (4, 6)), graph.input("u", (4, 6), "u8"),
               graph.input("b", (4, 6), "bool"))  # fmt: skip
    rng = np.random.default_rng(5)
    bytes_, a = rng.integers(0, 256, (4, 6)).astype("u1"), A.astype("f4")
    forms: list[Callable[[Any, Any, Any, Any], Any]] = [
        lambda to, x, u, b: to.any(b, axis=1), lambda to, x, u, b: to.all(b, axis=(0, 1)),
        lambda to, x, u, b: (x > 0).any(axis=0), lambda to, x, u, b: x.all(),
        lambda to, x, u, b: to.sum(u, axis=0), lambda to, x, u, b: u.max(axis=1),
        lambda to, x, u, b: u.min(), lambda to, x, u, b: to.prod(u[:, :2], axis=1),
        lambda to, x, u, b: b.max(axis=0), lambda to, x, u, b: b.min(axis=0),
        lambda to, x, u, b: to.prod(b, axis=1), lambda to, x, u, b: to.sum(b),
        lambda to, x, u, b: to.argmax(u, axis=1), lambda to, x, u, b: to.argmin(x, axis=0),
        lambda to, x, u, b: x.argmin(), lambda to, x, u, b: to.argmax(b, axis=1),
        lambda to, x, u, b: to.mean(u, axis=0),
    ]  # fmt: skip
    made = gc.function([x, u, b], [form(gc, x, u, b) for form in forms], fuse=fuse)
    for number, value in enumerate(made(a, bytes_, CHOSEN)):
        expected = forms[number](np, a, bytes_, CHOSEN)
        np.testing.assert_allclose(value, expected, 1e-6, err_msg=str(number))


@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "unfused"])
def test_several_axes_are_taken_as_one(fuse: bool) -> None:
    graph = gc.Graph()
    z = graph.input("z", ("n", 3, 4), "f64")
    function = gc.function(
        [z],
        [
            gc.argmax(z, None), gc.argmin(z, (1, 2)), gc.argmax(z, (0, 2), keepdims=True),
            gc.softmax(z, (0, 2)), gc.log_softmax(z, None), gc.logsumexp(z, (1, 2)),
        ],
        fuse=fuse,
    )  # fmt: skip
    place, least, apart, soft, log, total = function(CUBE)
    assert place == CUBE.argmax() and apart.shape == (1, 3, 1)
    np.testing.assert_array_equal(least, CUBE.reshape(2, 12).argmin(1))
    np.testing.assert_array_equal(apart.ravel(), CUBE.transpose(1, 0, 2).reshape(3, 8).argmax(1))
    e = np.exp(CUBE)
    np.testing.assert_allclose(soft, e / e.sum((0, 2), keepdims=True), 1e-12)
    np.testing.assert_allclose(log, np.log(e / e.sum()), 1e-12)
    np.testing.assert_allclose(total, np.log(e.sum((1, 2))), 1e-12)


def test_numpys_creations_like_a_tensor() -> None:
    x = gc.Graph().input("x", ("n", 3), "f64")
    made = [np.zeros(3, like=x), np.ones((2, 1), like=x), np.full(2, 0.5, like=x)]
    made += [np.eye(3, k=1, like=x), np.arange(1, 7, 2, like=x)]
    plain = [np.zeros(3), np.ones((2, 1)), np.full(2, 0.5), np.eye(3, k=1), np.arange(1, 7, 2)]
    for node, value in zip(made, plain, strict=True):
        assert node.dtype == value.dtype
        np.testing.assert_array_equal(value_of(node), value)
