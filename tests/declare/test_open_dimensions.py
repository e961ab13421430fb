"""Open dimensions merged, split and joined, as discriminators and contrastive losses do."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphc as gc

MODES = [{"mode": "reference"}, {"fuse": False}, {}]


@pytest.fixture(params=MODES, ids=str)
def options(request: pytest.FixtureRequest) -> Any:
    return request.param


RNG = np.random.default_rng(0)


def test_a_discriminator_of_real_and_fake(options: Any) -> None:
    """One pass over both halves has the gradients of two passes."""
    graph = gc.Graph(seed=0)
    real, fake = graph.input("real", ("batch", 4), "f64"), graph.input("fake", ("batch", 4), "f64")
    w = graph.parameter("w", (4,), gc.init.normal(), "f64")
    n = real.shape[0]
    scores = gc.tanh(gc.concatenate([real, fake])) @ w
    assert str(scores.type) == "f64[2*batch]"
    loss = gc.mean(gc.softplus(-scores[:n])) + gc.mean(gc.softplus(scores[n:]))
    apart = gc.mean(gc.softplus(-(gc.tanh(real) @ w))) + gc.mean(gc.softplus(gc.tanh(fake) @ w))
    f = gc.function(
        [real, fake], [loss, apart, *gc.grad(loss, [w, fake]), *gc.grad(apart, [w, fake])],
        **options,
    )  # fmt: skip
    for rows in (1, 5):
        values = f(RNG.normal(size=(rows, 4)), RNG.normal(size=(rows, 4)))
        np.testing.assert_allclose(values[0], values[1], rtol=1e-12)
        np.testing.assert_allclose(values[2], values[4], rtol=1e-10)
        np.testing.assert_allclose(values[3], values[5], rtol=1e-10)


def test_slices_that_tile_hand_back_a_concatenation() -> None:
    x = gc.Graph().input("x", ("batch", 3))
    n = x.shape[0]
    both = gc.concatenate([x, x, x])
    parts = [both[:n], both[n : 2 * n], both[2 * n :]]
    slope = gc.grad(gc.sum(parts[0] * parts[1] + gc.exp(parts[2])), both)
    assert slope.op.name == "concatenate" and slope.shape == both.shape
    overlapping = gc.grad(gc.sum(both[n:]) + gc.sum(gc.square(both[: 2 * n])), both)
    f = gc.function([x], [slope, overlapping])
    at = RNG.normal(size=(2, 3)).astype(np.float32)
    joined, added = f(at)
    np.testing.assert_allclose(joined, np.concatenate([at, at, np.exp(at)]), rtol=1e-5)
    two = 2 * at
    np.testing.assert_allclose(added, np.concatenate([two, two + 1, 0 * at + 1]), rtol=1e-5)


def _contrastive(a: Any, b: Any) -> float:
    """The loss below, as its paper has it."""
    z = np.concatenate([a, b])
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    scores = 2 * z @ z.T
    np.fill_diagonal(scores, -np.inf)
    partner = np.roll(np.arange(len(z)), len(a))
    chosen = scores[np.arange(len(z)), partner]
    return float(np.mean(np.log(np.exp(scores).sum(1)) - chosen))


def test_a_contrastive_loss(options: Any) -> None:
    """Normalised temperature-scaled cross-entropy: Chen et al., SimCLR, 2020."""
    graph = gc.Graph()
    first, second = graph.input("a", ("batch", 3), "f64"), graph.input("b", ("batch", 3), "f64")
    n = first.shape[0]
    z = gc.concatenate([first, second])
    z = z / gc.sqrt(gc.sum(gc.square(z), 1, keepdims=True))
    places = graph.iota((2 * n,), "i32")
    is_self = gc.expand_dims(places, 1) == places
    scores = gc.where(is_self, float("-inf"), 2.0 * (z @ z.T))
    pairs = gc.sum(z[:n] * z[n:], 1) * 2.0
    loss = (gc.sum(gc.logsumexp(scores, 1)) - 2 * gc.sum(pairs)) / (2 * n)
    f = gc.function([first, second], [loss, gc.grad(loss, first)], **options)
    for rows in (2, 7):
        a, b = RNG.normal(size=(2, rows, 3))
        value, slope = f(a, b)
        assert abs(value - _contrastive(a, b)) < 1e-12
        step = np.zeros_like(a)
        step[1, 2] = 1e-6
        measured = (_contrastive(a + step, b) - _contrastive(a - step, b)) / 2e-6
        assert abs(slope[1, 2] - measured) < 1e-7


def test_pairs_of_a_batch_as_classes(options: Any) -> None:
    """Each row belongs to the one of its own number: Radford et al., CLIP, 2021."""
    graph = gc.Graph()
    a, b = graph.input("a", ("batch", 3), "f64"), graph.input("b", ("batch", 3), "f64")
    labels = graph.iota((a.shape[0],), "i32")
    loss = gc.losses.softmax_cross_entropy(a @ b.T, labels)
    f = gc.function([a, b], [loss, gc.grad(loss, a), gc.take(a, labels)], **options)
    for rows in (2, 5):
        x, y = RNG.normal(size=(2, rows, 3))
        scores = np.exp(x @ y.T)
        share = scores / scores.sum(1, keepdims=True)
        value, slope, same = f(x, y)
        np.testing.assert_allclose(value, -np.mean(np.log(np.diag(share))), rtol=1e-12)
        np.testing.assert_allclose(slope, (share - np.eye(rows)) @ y / rows, rtol=1e-10)
        np.testing.assert_array_equal(same, x)
    chosen = graph.input("chosen", ("batch",), "i32")
    g = gc.function([a, chosen], [gc.pick(a @ a.T, chosen), gc.take(a, chosen)], **options)
    with pytest.raises(IndexError, match="outside 0 to 1"):
        g(np.ones((2, 3)), [0, 2])


def test_steps_of_sequences_as_rows(options: Any) -> None:
    graph = gc.Graph(seed=1)
    x = graph.input("x", ("batch", "time", 4))
    batch, time, _ = x.shape
    rows = x.reshape(-1, 4)
    assert rows.shape == (batch * time, 4)
    back = gc.nn.dense(rows, 2).reshape(batch, time, 2)
    repeated = gc.reshape(gc.expand(x[:, :, 0], 1, 5), (batch * 5, -1))
    assert repeated.shape == (batch * 5, time)
    f = gc.function([x], [back, repeated, gc.mean(rows)], **options)
    at = RNG.normal(size=(3, 2, 4)).astype(np.float32)
    values = f(at)
    expected = at @ graph.variables["dense.kernel"]
    np.testing.assert_allclose(values[0], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(values[1], np.repeat(at[:, :, 0], 5, 0))
    np.testing.assert_allclose(values[2], at.mean(), rtol=1e-4, atol=1e-6)


def test_an_extent_beside_a_tensor_is_a_number(options: Any) -> None:
    x = gc.Graph().input("x", ("n",))
    n = x.shape[0]
    y = gc.sum(x) / n + (n * 2 + 1) * gc.max(x) - n
    assert gc.function([x], y, **options)([1, 2, 6]) == 3 + 7 * 6 - 3


def test_inputs_of_several_times_the_batch(options: Any) -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 2))
    y = graph.input("y", (x.shape[0] * 3, 2))
    f = gc.function([x, y], gc.sum(x) + gc.sum(y[: x.shape[0]]), **options)
    assert f(np.ones((2, 2)), np.ones((6, 2))) == 8
    for rows in (5, 7):
        with pytest.raises(gc.DataError, match=rf"'y': shape \(3\*batch, 2\) .*\({rows}, 2\)"):
            f(np.ones((2, 2)), np.ones((rows, 2)))


def test_dimensions_that_follow_from_a_product(options: Any) -> None:
    graph = gc.Graph()
    n = gc.Dim("batch")
    y = graph.input("y", (n * 3, 2))
    f = gc.function([y], gc.mean(y * n), **options)
    assert f.dimensions == ("batch",)
    assert f(np.ones((6, 2))) == 2
    with pytest.raises(gc.DataError, match=r"'y': shape \(3\*batch, 2\) with .* expected"):
        f(np.ones((7, 2)))
    area = graph.input("area", (gc.Dim("height*width"),))
    with pytest.raises(gc.DataError, match="no input says how long the dimension height is"):
        gc.function([area], area + 1, **options)(np.ones(6))


def test_a_cut_behind_a_concatenation(options: Any) -> None:
    graph = gc.Graph()
    x, y = graph.input("x", ("batch", 2)), graph.input("y", ("batch", 2))
    both = gc.concatenate([x, y])
    f = gc.function([both], both[x.shape[0] :] * x.shape[0], **options)
    np.testing.assert_array_equal(f([[1, 2], [3, 4]]), [[3, 4]])
    with pytest.raises(gc.DataError, match=r"shape \(2\*batch, 2\) with \{'batch': 1\} expected"):
        f(np.ones((3, 2)))


def test_extents_that_become_negative_are_refused_at_the_call(options: Any) -> None:
    x = gc.Graph().input("x", ("n",))
    rest = gc.broadcast_to(gc.sum(x), (x.shape[0] - 2,))
    f = gc.function([x], rest, **options)
    assert f([1, 2, 3]).tolist() == [6]
    with pytest.raises(gc.ShapeError, match=r"the extent n-2 of \[n-2\] is -1"):
        f([1])


def test_labels_outside_of_a_slice_are_not_checked() -> None:
    graph = gc.Graph()
    n = gc.Dim("n")
    x, labels = graph.input("x", (n, 3)), graph.input("labels", (2 * n,), "i32")
    f = gc.function([x, labels], gc.pick(x, labels[:n]))
    np.testing.assert_array_equal(f(np.eye(2, 3), [0, 1, 9, 9]), [1, 1])
    with pytest.raises(IndexError):
        f(np.eye(2, 3), [0, 3, 0, 0])


REFUSED: dict[str, tuple[Any, str]] = {
    "an end beyond": (lambda x, n: x[: n + 1], "dimension n is open; take it whole, or from"),
    "a number of rows": (lambda x, n: x[:2], "dimension n is open; take it whole, or from"),
    "from the end": (lambda x, n: x[:-1], "dimension n is open; take it whole, or from"),
    "a step": (lambda x, n: gc.concatenate([x, x])[:n:2], "dimension 2*n is open; take it whole"),
    "no bound": (lambda x, n: x[:1.5], "an integer expected, not 1.5"),
    "a place": (lambda x, n: x[n], "n is no index"),
    "no divisor": (lambda x, n: x.reshape(2, -1), "no extent completes [2]"),
    "another size": (lambda x, n: x.reshape(n * 2), "cannot become [2*n]"),
    "two that differ": (lambda x, n: x + gc.concatenate([x, x]), "extents n and 2*n do not"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    use, message = REFUSED[name]
    x = gc.Graph().input("x", ("n",))
    with pytest.raises(gc.ShapeError, match=re.escape(message)) as raised:
        use(x, x.shape[0])
    assert "\n  at test_open_dimensions.py:" in str(raised.value)
