"""Losses minimized by L-BFGS."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs scipy, the extra 'scipy'")

import graphc as gc


def rosenbrock(dtype: str = "f64") -> tuple[gc.Graph, gc.Node]:
    graph = gc.Graph()
    x = graph.parameter("x", (2,), init=np.array([-1.2, 1.0]), dtype=dtype)
    return graph, (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


def test_the_valley_of_rosenbrock(mode: str) -> None:
    graph, loss = rosenbrock()
    found = gc.minimize(loss, mode=mode)
    np.testing.assert_allclose(graph.variables["x"], [1, 1], atol=1e-5)
    assert found.converged and found.loss < 1e-10
    assert found.iterations < 60 and found.evaluations >= found.iterations


def test_it_is_found_in_f32() -> None:
    graph, loss = rosenbrock("f32")
    gc.minimize(loss)
    np.testing.assert_allclose(graph.variables["x"], [1, 1], atol=1e-3)


def test_logistic_regression_is_that_of_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn")
    random = np.random.default_rng(0)
    rows = random.standard_normal((200, 5))
    labels = (rows @ random.standard_normal(5) + 0.5 * random.standard_normal(200) > 0).astype(int)
    graph = gc.Graph()
    x, t = graph.input("x", ("batch", 5), "f64"), graph.input("t", ("batch",), "f64")
    w, b = graph.parameter("w", (5,), 0.0, "f64"), graph.parameter("b", (), 0.0, "f64")
    cross_entropy = gc.losses.sigmoid_cross_entropy(gc.sum(x * w, -1) + b, t, "sum")
    loss = cross_entropy + 0.5 * gc.sum(w * w)
    method = gc.optim.LBFGS(tolerance_grad=1e-9, tolerance_change=0)
    gc.minimize(loss, {x: rows, t: labels}, method)
    theirs = linear_model.LogisticRegression(tol=1e-10, max_iter=1000).fit(rows, labels)
    np.testing.assert_allclose(graph.variables["w"], theirs.coef_[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(graph.variables["b"], theirs.intercept_[0], rtol=0, atol=1e-6)


def test_a_net_that_solves_a_differential_equation() -> None:
    """u'' = -u with u(0) = 0 and u'(0) = 1, whose solution is the sine."""
    graph = gc.Graph(seed=0)
    s = graph.input("s", ("points",), "f64")
    column = gc.reshape(s, (s.shape[0], 1))
    hidden = gc.nn.dense(column, 12, gc.tanh)
    # u(0) = 0 and u'(0) = 1 hold for any net.
    u = s + s * s * gc.reshape(gc.nn.dense(hidden, 1), s.shape)
    slope = gc.grad(gc.sum(u), s)
    bend = gc.grad(gc.sum(slope), s)
    loss = gc.mean(gc.square(bend + u))
    points = np.linspace(0, 3, 40)
    gc.minimize(loss, {s: points}, gc.optim.LBFGS(max_iter=2000, tolerance_change=1e-12))
    np.testing.assert_allclose(gc.function([s], u)(points), np.sin(points), atol=1e-3)


def test_a_model_is_minimized_by_its_loss() -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((50, 3))
    numbers = rows @ np.array([[1.0], [2.0], [-3.0]]) + 4
    graph = gc.Graph()
    x, t = graph.input("x", ("batch", 3), "f64"), graph.input("t", ("batch", 1), "f64")
    y = gc.nn.dense(x, 1)
    model = gc.Model(x, y, t, gc.losses.mean_squared_error(y, t))
    gc.minimize(model.loss, {x: rows, t: numbers})
    np.testing.assert_allclose(model.predict(rows), numbers, atol=1e-4)
    with pytest.raises(TypeError, match=r"gc\.minimize"):
        model.compile(gc.optim.LBFGS())


def test_chosen_parameters_and_other_variables() -> None:
    graph = gc.Graph()
    a, b = graph.parameter("a", (), 1.0, "f64"), graph.parameter("b", (), 1.0, "f64")
    others = graph.variables.copy()
    gc.minimize((a - 3) ** 2 + (b - 5) ** 2, parameters=[a], variables=others)
    assert graph.variables["a"] == 1 and others["b"] == 1
    np.testing.assert_allclose(others["a"], 3)


def stopping(number: int, loss: float) -> None:
    raise StopIteration


def failing(number: int, loss: float) -> None:
    raise RuntimeError("enough")


def test_a_callback_sees_every_iteration_and_may_end_it() -> None:
    seen: list[tuple[int, float]] = []
    _, loss = rosenbrock()
    found = gc.minimize(loss, callback=lambda number, value: seen.append((number, value)))
    assert [number for number, _ in seen] == list(range(1, found.iterations + 1))
    assert seen[-1][1] == found.loss and seen[0][1] > seen[-1][1]
    _, loss = rosenbrock()
    assert gc.minimize(loss, callback=stopping).iterations == 1


@pytest.mark.parametrize("callback", [stopping, failing])
def test_parameters_are_those_of_a_whole_iteration(callback: Callable[[int, float], None]) -> None:
    graph, loss = rosenbrock()
    gc.minimize(loss, method=gc.optim.LBFGS(max_iter=1))
    expected = graph.variables["x"]
    graph.variables.initialize()
    try:
        gc.minimize(loss, callback=callback)
    except RuntimeError as error:
        assert str(error) == "enough"
    np.testing.assert_array_equal(graph.variables["x"], expected)


def test_counts_and_tolerances_end_it() -> None:
    _, loss = rosenbrock()
    found = gc.minimize(loss, method=gc.optim.LBFGS(max_iter=3))
    assert found.iterations == 3 and not found.converged
    assert gc.minimize(loss, method=gc.optim.LBFGS(max_eval=1)).iterations == 1
    assert gc.minimize(loss, method=gc.optim.LBFGS(tolerance_grad=1e9)).iterations == 0


def test_errors_name_what_was_expected() -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 2))
    with pytest.raises(gc.GraphError, match="depends on no parameter"):
        gc.minimize(gc.sum(x), {x: np.ones((1, 2))})
    w = graph.parameter("w", (2,))
    with pytest.raises(gc.GraphError, match="draws random numbers from 'dropout"):
        gc.minimize(gc.sum(gc.dropout(x * w, 0.5)), {x: np.ones((1, 2))})
    with pytest.raises(gc.DataError, match="does not fit"):
        gc.minimize(gc.sum(x * w), {x: np.ones((1, 3))})
    with pytest.raises(TypeError, match=r"a gc\.optim\.LBFGS expected"):
        gc.minimize(gc.sum(w * w), method="lbfgs")
    for bad in ({"max_iter": 0}, {"history_size": 0}, {"tolerance_grad": -1}, {"max_eval": 0}):
        with pytest.raises(ValueError, match="LBFGS: "):
            gc.optim.LBFGS(**bad)


def test_feeds_by_names() -> None:
    graph, loss = rosenbrock()
    t = graph.input("t", (2,), "f64")
    moved = loss + gc.sum(gc.square(t))
    by_name = gc.minimize(moved, {"t": [3, 4]}, mode="reference")
    graph.variables.initialize()
    assert by_name == gc.minimize(moved, {t: [3, 4]}, mode="reference")
    assert by_name.loss == pytest.approx(25)
    with pytest.raises(gc.DataError, match=r"reads no input 's'; it reads: t\n  at test_minimize"):
        gc.minimize(moved, {"s": [3, 4]})
    with pytest.raises(TypeError, match="feeds: a tensor of a graph expected, not 3"):
        gc.minimize(moved, {3: [3, 4]})  # type: ignore[dict-item]


def test_another_writer_does_not_come_between_parameters_and_loss() -> None:
    graph = gc.Graph(seed=0)
    x = graph.parameter("x", (2,), 0.0, "f64")
    loss = gc.sum((x - 1.0) ** 2)
    gc.minimize(loss, method=gc.optim.LBFGS(max_iter=1))
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            graph.variables["x"] = np.array([100.0, -100.0])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(10):
            assert gc.minimize(loss).loss < 1e-12
    finally:
        stop.set()
        writer.join()
