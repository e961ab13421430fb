"""`gc.scan`, `gc.fori_loop` and `gc.while_loop`: forms of carries and outputs, and refusals."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc

X = np.arange(12, dtype=np.float32).reshape(4, 3)


def run(outputs: Any, x: gc.Node) -> Any:
    return gc.function(x, outputs, mode="reference")(X)


def test_forms_come_back() -> None:
    """A carry of two by name and outputs as a list, without a length."""
    x = gc.Graph().input("x", (4, 3))

    def body(carry: dict[str, gc.Node], row: gc.Node) -> Any:
        total, count = carry["total"] + row, carry["count"] + 1
        return {"count": count, "total": total}, [total * 2, count]

    start = {"total": gc.zeros_like(x[0]), "count": x.graph.constant(0, "i32")}
    last, (doubled, counts) = gc.scan(body, start, x)
    assert list(last) == ["total", "count"] and last["count"].dtype == "i32"
    total, twice, numbers = run([last["total"], doubled, counts], x)
    np.testing.assert_array_equal(total, X.sum(0))
    np.testing.assert_array_equal(twice, 2 * X.cumsum(0))
    np.testing.assert_array_equal(numbers, [1, 2, 3, 4])


def test_several_inputs_from_the_end() -> None:
    x = gc.Graph().input("x", (4, 3))
    last, none = gc.scan(
        lambda h, rows: (h * 0.5 + rows[0] - rows[1], None), x[0], (x, x * 2), reverse=True
    )
    expected = X[0]
    for row in X[::-1]:
        expected = expected * 0.5 + row - 2 * row
    assert none is None
    np.testing.assert_array_equal(run(last, x), expected)


def test_a_length_alone() -> None:
    x = gc.Graph().input("x", (4, 3))
    last, powers = gc.scan(lambda h, _: (h * 2, h), x[0], length=5)
    np.testing.assert_array_equal(run(last, x), X[0] * 32)
    np.testing.assert_array_equal(run(powers, x)[3], X[0] * 8)


def test_numbers_become_carries() -> None:
    x = gc.Graph().input("x", (4, 3))
    last, _ = gc.scan(lambda h, row: (7.0, None), x[0], x)
    np.testing.assert_array_equal(run(last, x), np.full(3, 7.0))


def test_fori_loop_counts() -> None:
    x = gc.Graph().input("x", (4, 3))
    last = gc.fori_loop(2, 5, lambda i, h: h + gc.cast(i, "f32"), x[0])
    np.testing.assert_array_equal(run(last, x), X[0] + 2 + 3 + 4)
    assert run(gc.fori_loop(5, 2, lambda i, h: h * 0, x[0]), x).tolist() == X[0].tolist()


def test_while_asks_before_each_step() -> None:
    x = gc.Graph().input("x", (4, 3))

    def holds(carry: dict[str, gc.Node]) -> gc.Node:
        return gc.max(carry["h"]) < 100.0

    def body(carry: dict[str, gc.Node]) -> dict[str, gc.Node]:
        return {"count": carry["count"] + 1, "h": carry["h"] * 2}

    start = {"h": x[1], "count": x.graph.constant(0, "i32")}
    last = gc.while_loop(holds, body, start)
    assert list(last) == ["h", "count"]
    limited = gc.while_loop(holds, body, start, max_steps=3)
    many, count, few, limit = run([last["h"], last["count"], limited["h"], limited["count"]], x)
    np.testing.assert_array_equal(many, X[1] * 32)
    np.testing.assert_array_equal(few, X[1] * 8)
    assert (count, limit) == (5, 3)
    never = gc.while_loop(lambda h: gc.max(h) < 0.0, lambda h: h * 2, x[1])
    np.testing.assert_array_equal(
        run([never, gc.while_loop(lambda h: gc.max(h) < 9, lambda h: h, x, 0)], x)[0], X[1]
    )


def test_what_a_while_loop_gives_has_a_derivative_where_it_is_stopped() -> None:
    x = gc.Graph().input("x", (4, 3))
    root = gc.while_loop(lambda h: gc.max(h) < 100.0, lambda h: h * 2, x[1])
    slope = gc.grad(gc.sum(x[1] * gc.stop_gradient(root)), x)
    np.testing.assert_array_equal(run(slope, x)[1], X[1] * 32)
    refused = "while_loop: the number of its steps is open; gc.scan and gc.fori_loop"
    for loss in gc.sum(root), gc.sum(root + x[1]):
        with pytest.raises(gc.NotDifferentiableError, match=refused):
            gc.grad(loss, x)
    # A count has none anyhow.
    count = gc.while_loop(lambda n: n < 3, lambda n: n + 1, x.graph.constant(0, "i32"))
    slope = gc.grad(gc.sum(x * gc.cast(count, "f32")), x)
    np.testing.assert_array_equal(run(slope, x), np.full((4, 3), 3.0))


def test_a_derivative_through_kept_carries() -> None:
    x = gc.Graph().input("x", (4, 3))
    slopes = []
    for checkpoint in None, 2, 3:
        last, _ = gc.scan(lambda h, row: (gc.tanh(h + row), None), x[0], x, checkpoint=checkpoint)
        slopes.append(run(gc.grad(gc.sum(last), x), x))
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-6)
    np.testing.assert_allclose(slopes[2], slopes[0], rtol=1e-6)


@pytest.mark.parametrize("checkpoint", [1, 2, 3, 4, 5])
def test_kept_carries_change_no_output(checkpoint: int) -> None:
    """Of five steps, some parts are whole and some steps are left, at either end."""
    x = gc.Graph().input("x", (5, 3))
    outputs = [
        gc.scan(
            lambda h, row: (0.5 * h + row, {"both": h * row, "row": row}),
            x[0],
            x,
            reverse=reverse,
            checkpoint=kept,
        )
        for reverse in (False, True)
        for kept in (None, checkpoint)
    ]
    given = np.arange(15, dtype=np.float32).reshape(5, 3)
    flat = [each for last, made in outputs for each in (last, made["both"], made["row"])]
    found = gc.function(x, flat, mode="reference")(given)
    for plain, kept in ((0, 3), (6, 9)):
        for number in range(3):
            np.testing.assert_array_equal(found[kept + number], found[plain + number])
    np.testing.assert_array_equal(found[8], given)


def _drawn_by_step(make: Callable[[gc.Graph, gc.Node], Any]) -> set[float]:
    """What a draw of one uniform number in each of four steps gives, added up by place."""
    graph = gc.Graph(seed=3)
    x = graph.input("x", (4, 3))
    drawn = gc.function(x, (made := make(graph, x)), gc.random.advanced([made]))
    reference = gc.function(x, made, mode="reference")(X)
    first, second = drawn(X), drawn(X)
    np.testing.assert_array_equal(first, reference)
    assert not np.isin(first, second).any()
    return set(first.ravel().tolist())


def _scanned(graph: gc.Graph, x: gc.Node, **options: Any) -> gc.Node:
    def body(h: gc.Node, row: gc.Node) -> tuple[gc.Node, gc.Node]:
        return h, gc.random.uniform(graph, ())

    return gc.scan(body, x[0], x, **options)[1]


def _within_a_loop(graph: gc.Graph, x: gc.Node) -> gc.Node:
    inner = x[:, :2]
    return gc.scan(lambda h, row: (h, _scanned(graph, inner)), x[0], x)[1]


def _while_four(graph: gc.Graph, x: gc.Node) -> gc.Node:
    def body(carry: Any) -> Any:
        values, count = carry
        here = gc.cast(gc.arange(4, like=graph), "i32") == count
        return gc.where(here, gc.random.uniform(graph, ()), values), count + 1

    start = gc.zeros_like(x[:, 0]), graph.constant(0, "i32")
    return gc.while_loop(lambda carry: carry[1] < 4, body, start)[0]


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (_scanned, 4),
        (lambda graph, x: _scanned(graph, x, reverse=True), 4),
        (lambda graph, x: _scanned(graph, x, checkpoint=3), 4),
        (lambda graph, x: _scanned(graph, x, checkpoint=2), 4),
        (_within_a_loop, 16),
        (_while_four, 4),
    ],
)
def test_each_step_draws_numbers_of_its_own(
    make: Callable[[gc.Graph, gc.Node], Any], count: int
) -> None:
    assert len(_drawn_by_step(make)) == count


def test_what_is_drawn_before_a_loop_is_the_same_in_all_steps() -> None:
    def make(graph: gc.Graph, x: gc.Node) -> gc.Node:
        noise = gc.random.uniform(graph, ())
        return gc.scan(lambda h, row: (h, noise + 0.0 * gc.sum(h)), x[0], x)[1]

    assert len(_drawn_by_step(make)) == 1


def test_dropout_of_a_body_trains_and_rests() -> None:
    """A mask a step, which derivatives go through as well; none in inference."""
    graph = gc.Graph(seed=2)
    x = graph.input("x", (4, 3))
    drop = gc.nn.Dropout(0.5)
    last, _ = gc.scan(lambda h, row: (h + drop(row), None), gc.zeros_like(x[0]), x)
    outputs = [last, gc.grad(gc.sum(last), x)]
    ones = np.ones_like(X)
    value, slope = gc.function(x, outputs)(ones)
    np.testing.assert_array_equal(slope.sum(0), value)
    assert set(slope.ravel().tolist()) == {0.0, 2.0} and len(np.unique(slope, axis=0)) > 1
    np.testing.assert_array_equal(run(outputs, x)[1], X * 0 + slope)
    np.testing.assert_array_equal(run(gc.inference(last), x), X.sum(0))


@pytest.mark.parametrize("checkpoint", [None, 3])
def test_states_that_a_body_changes_change_by_step(checkpoint: int | None) -> None:
    graph = gc.Graph()
    x = graph.input("x", (4, 3))
    norm = gc.nn.BatchNorm(momentum=0.9)

    def body(h: gc.Node, row: gc.Node) -> tuple[gc.Node, None]:
        return h + norm(gc.reshape(row, (3, 1)))[:, 0], None

    last, _ = gc.scan(body, gc.zeros_like(x[0]), x, checkpoint=checkpoint)
    mean, variance = np.zeros(1, np.float32), np.ones(1, np.float32)
    for mode in "reference", "compiled":
        step = gc.function(x, last, gc.training_updates(last), mode=mode)
        step(X)
        for row in X:
            mean = 0.9 * mean + 0.1 * row.mean()
            variance = 0.9 * variance + 0.1 * row.var()
        names = {name.split(".")[-1]: name for name in graph.variables}
        np.testing.assert_allclose(graph.variables[names["moving_mean"]], mean, rtol=1e-5)
        np.testing.assert_allclose(graph.variables[names["moving_variance"]], variance, rtol=1e-5)
        resting = gc.function(x, gc.inference(last), mode=mode)
        scale = 1 / np.sqrt(variance + 1e-3)
        np.testing.assert_allclose(resting(X), ((X - mean) * scale).sum(0), rtol=1e-4)


def _same(h: Any) -> Any:
    return h


def _holds(h: Any) -> Any:
    return gc.sum(h) < 1.0


def test_a_loop_of_constants() -> None:
    graph = gc.Graph()
    one = graph.constant([1.0, 2.0])
    last, _ = gc.scan(lambda h, _: (h * 2, None), one, length=3)
    assert gc.function([], last)().tolist() == [8.0, 16.0]


def _body(change: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda h, row: (change(h), None)


@pytest.mark.parametrize(
    ("use", "error", "match"),
    [
        (lambda x: gc.scan(lambda h, _: h, x[0], x), TypeError, "a pair expected of the body"),
        (lambda x: gc.scan(_body(lambda h: h[:2]), x[0], x), gc.ShapeError, r"\[3\] expected"),
        (
            lambda x: gc.scan(_body(lambda h: gc.cast(h, "f64")), x[0], x),
            gc.DTypeError,
            "f32 expected, not f64; cast it",
        ),
        (lambda x: gc.scan(_body(lambda h: (h, h)), x[0], x), gc.GraphError, "of 1 tensors"),
        (lambda x: gc.scan(_body(lambda h: h), x[0]), gc.ShapeError, "inputs or a length"),
        (lambda x: gc.scan(_body(lambda h: h), x[0], x, 3), gc.ShapeError, "not 3, 4"),
        (lambda x: gc.scan(_body(lambda h: h), x[0], x[0, 0]), gc.ShapeError, "an axis of steps"),
        (lambda x: gc.scan(_body(lambda h: h), [], x), TypeError, "one tensor at least"),
        (lambda x: gc.scan(_body(lambda h: h), 1.0, x), TypeError, "carry: "),
        (lambda x: gc.scan(_body(lambda h: h), x[0], x, checkpoint=0), gc.DataError, "checkpoint"),
        (lambda x: gc.fori_loop(0, 1.5, lambda i, h: h, x), TypeError, "integer"),
        (
            lambda x: gc.while_loop(lambda h: h > 1, _same, x),
            gc.ShapeError,
            r"reduce it .*\[4,3\]",
        ),
        (lambda x: gc.while_loop(gc.sum, _same, x), gc.DTypeError, "a condition of bool expected"),
        (lambda x: gc.while_loop(lambda h: True, _same, x), TypeError, "a condition that is a"),
        (lambda x: gc.while_loop(_holds, lambda h: h[0], x), gc.ShapeError, "carry 0 after a step"),
        (lambda x: gc.while_loop(_holds, _same, x, -1), gc.DataError, "max_steps"),
        (lambda x: gc.while_loop(_holds, _same, []), TypeError, "one tensor at least"),
    ],
)
def test_refusals(use: Callable[[gc.Node], Any], error: type[Exception], match: str) -> None:
    x = gc.Graph().input("x", (4, 3))
    with pytest.raises(error, match=match) as raised:
        use(x)
    if error is not TypeError:
        assert "test_loops.py" in str(raised.value) or error is gc.DataError
