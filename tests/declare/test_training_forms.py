"""Values that differ between training and inference, and what training steps make of states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.text.parsing import parse_program, print_program

X = np.random.default_rng(0).normal(size=(12, 3)).astype("f4")
T = X[:, :1] * 2 + 1


def centred(x: gc.Node, share: float = 0.5) -> gc.Node:
    """x less its batch mean; in inference less a running mean."""
    graph = x.graph
    assert isinstance(graph, gc.Graph)
    running = graph.variable(graph.unique_name("running"), np.zeros(3), dtype=x.dtype)
    mean = gc.mean(x, axis=0)
    result = gc.training_form(x - mean, x - running)
    graph.update_in_training(running, lambda old: (1 - share) * old + share * mean, result)
    return result


def model_of(dtype: str = "f32", **options: Any) -> gc.Model:
    graph = gc.Graph(seed=1)
    x, t = graph.input("x", ("batch", 3), dtype), graph.input("t", ("batch", 1), dtype)
    y = gc.nn.dense(centred(x), 1)
    model = gc.Model(x, y, t, gc.losses.mean_squared_error(y, t))
    model.compile(gc.optim.SGD(0.1), 4, **options)
    return model


def running_after(steps: int) -> Any:
    running = np.zeros(3)
    for number in range(steps):
        running = 0.5 * running + 0.5 * X[4 * number : 4 * number + 4].mean(axis=0)
    return running


def test_functions_compute_the_training_value_and_inference_the_other(mode: Any) -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 3))
    y = gc.exp(centred(x))
    train = gc.function([x], y, mode=mode)
    assert train.program.states == ()
    np.testing.assert_allclose(train(X), np.exp(X - X.mean(axis=0)), rtol=1e-5)
    infer = gc.function([x], gc.inference(y), mode=mode)
    np.testing.assert_allclose(infer(X), np.exp(X), rtol=1e-5)


def test_a_number_takes_the_dtype_of_the_tensor_beside_it() -> None:
    x = gc.Graph().input("x", (), "f64")
    noisy = gc.training_form(x, 0.5)
    assert gc.function([x], [noisy, gc.inference(noisy)])(2.0) == [2.0, 0.5]
    first = gc.training_form(0.5, x)
    assert gc.function([x], first)(2.0) == 0.5
    with pytest.raises(TypeError, match="training_form: a tensor of a graph expected, not 1"):
        gc.training_form(1, 2)
    with pytest.raises(gc.ShapeError, match=r"(?s)one shape.*test_training_forms.py"):
        gc.training_form(x, np.zeros(3))


def test_derivatives_are_those_of_the_training_value() -> None:
    graph = gc.Graph()
    x = graph.input("x", (), "f64")
    w = graph.parameter("w", (), 5.0, "f64")
    value = gc.training_form(x * x * w, x * w)
    slopes = gc.grad(value, [x, w])
    assert gc.function([x], slopes)(3.0) == [30.0, 9.0]
    used = gc.grad(gc.inference(value), [x, w])
    assert gc.function([x], used)(3.0) == [5.0, 3.0]
    frozen = gc.training_form(x, w)
    assert gc.function([x], gc.grad(frozen, [x, w]))(3.0) == [1.0, 0.0]


def test_a_function_is_cut_at_a_training_form() -> None:
    graph = gc.Graph()
    x = graph.input("x", (3,))
    inner = gc.training_form(x, 2 * x)
    decode = gc.function([inner], gc.training_form(inner + 1, inner))
    np.testing.assert_array_equal(decode(np.zeros(3)), np.ones(3))


def test_text_reads_back() -> None:
    graph = gc.Graph()
    x = graph.input("x", ("batch", 3))
    y = centred(x)
    program = gc.function([x], y).program
    assert "training_form" not in print_program(program)
    whole = type(program)("whole", program.inputs, (("y", y),))
    text = print_program(whole)
    assert "training_form(%" in text and print_program(parse_program(text)) == text


# --- updates in training -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize(
    "options", [{}, {"fuse": False}, {"mode": "reference"}], ids=["fused", "unfused", "reference"]
)
def test_fit_updates_what_the_loss_reads(dtype: str, options: dict[str, Any]) -> None:
    model = model_of(dtype, **options)
    model.fit(X, T, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.variables["running"], running_after(3), rtol=1e-5, atol=1e-6)
    kernel, bias = model.variables["dense.kernel"], model.variables["dense.bias"]
    expected = (X - running_after(3)) @ kernel + bias
    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-4, atol=1e-5)
    before = model.values()
    model.evaluate(X, T)
    np.testing.assert_array_equal(model.variables["running"], before["running"])


@pytest.mark.parametrize("options", [{"nan_watch": True}, {"record": 2}], ids=str)
def test_watched_and_recorded_steps_update_too(options: dict[str, Any]) -> None:
    model = model_of()
    model.fit(X, T, shuffle=False, verbose=0, **options)
    np.testing.assert_allclose(model.variables["running"], running_after(3), rtol=1e-5, atol=1e-6)


def test_a_step_of_ones_own_updates_too() -> None:
    graph = gc.Graph()
    x, t = graph.input("x", ("batch", 3)), graph.input("t", ("batch", 1))
    loss = gc.losses.mean_squared_error(gc.nn.dense(centred(x), 1), t)
    step = gc.function([x, t], loss, gc.optim.Adam().updates(loss))
    step(X[:4], T[:4])
    np.testing.assert_allclose(graph.variables["running"], running_after(1), rtol=1e-5)
    assert gc.training_updates(gc.inference(loss)) == {}


def test_running_values_are_saved_with_the_weights(tmp_path: Any) -> None:
    model = model_of()
    model.fit(X, T, verbose=0)
    model.save(tmp_path / "weights", weights_only=True)
    other = model_of()
    other.load(tmp_path / "weights", weights_only=True)
    np.testing.assert_array_equal(model.predict(X), other.predict(X))


def test_several_updates_of_a_state_follow_each_other() -> None:
    graph = gc.Graph()
    x, y = graph.input("x", ()), graph.input("y", ())
    total = graph.variable("total", 1.0)
    graph.update_in_training(total, lambda old: 10 * old + x, x)
    graph.update_in_training(total, lambda old: 10 * old + y, y)
    for inputs, arrays, expected in ([x], [2], 12), ([y], [3], 13), ([x, y], [2, 3], 123):
        updates = gc.training_updates(inputs)
        graph.variables.initialize()
        gc.function(inputs, [], updates)(*arrays)
        assert graph.variables["total"] == expected
    assert gc.training_updates([total]) == {}


def test_what_next_values_read_is_updated_too() -> None:
    graph = gc.Graph()
    x = graph.input("x", ())
    noise = gc.random.uniform(graph, ())
    total, count = graph.variable("total", 0.0), graph.variable("count", 0.0)
    graph.update_in_training(count, count + 1)
    graph.update_in_training(total, total + noise + count, x)
    assert [state.name for state in gc.training_updates(x)] == ["uniform.key", "total", "count"]
    assert [state.name for state in gc.random.advanced([x])] == ["uniform.key"]


def test_what_cannot_be_updated_is_refused() -> None:
    graph, other = gc.Graph(), gc.Graph()
    x, state = graph.input("x", (3,)), graph.variable("state", 0.0)
    elsewhere = other.variable("state", 0.0)
    refused: list[tuple[tuple[Any, ...], str]] = [
        ((x, x), "a state of this graph expected, not <input x"),
        ((elsewhere, elsewhere), "a state of this graph expected"),
        ((state, state + 1, elsewhere), "is of another graph"),
        ((state, x), "<state state : f32\\[\\]> cannot become <input x : f32\\[3\\]>"),
        ((state, 3), "a tensor or a function that makes one expected, not 3"),
        ((state, lambda old: 3), "a tensor or a function that makes one expected, not 3"),
        ((state, lambda old: x), "<state state : f32\\[\\]> cannot become <input x"),
        ((state, elsewhere), "is of another graph"),
    ]
    for arguments, problem in refused:
        with pytest.raises(gc.GraphError, match=rf"(?s)update_in_training: .*{problem}.*\n  at "):
            graph.update_in_training(*arguments)
    graph.update_in_training(state, lambda old: old + 1)
    with pytest.raises(gc.GraphError, match="has a next value already where"):
        graph.update_in_training(state, state + 1)
    with pytest.raises(TypeError, match="training_updates: a tensor of a graph expected, not 1"):
        gc.training_updates([1])


def test_outputs_may_read_targets_in_training() -> None:
    """As a decoder does that is given the true symbol while it is trained."""
    graph = gc.Graph()
    x, t = graph.input("x", ("batch", 3)), graph.input("t", ("batch", 3))
    y = gc.nn.dense(gc.training_form(t, x), 3)
    model = gc.Model(x, y, t, gc.losses.mean_squared_error(y, t))
    model.compile(gc.optim.SGD())
    model.fit(X, X, verbose=0)
    assert model.predict(X).shape == (12, 3)
