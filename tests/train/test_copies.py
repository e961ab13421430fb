"""Copies and pickles of models, graphs, variables and what belongs to them."""

from __future__ import annotations

import copy
import multiprocessing
import pickle

import numpy as np
import pytest

import graphc as gc

RNG = np.random.default_rng(4)
POINTS = RNG.normal(size=(45, 2))
LABELS = RNG.integers(0, 3, 45)


def classifier(dtype: str = "f32") -> gc.Model:
    graph = gc.Graph(seed=3)
    x = graph.input("x", ("batch", 2), dtype)
    t = graph.input("t", ("batch",), "i32")
    hidden = gc.dropout(gc.nn.dense(x, 8, gc.tanh), 0.25)
    z = gc.nn.dense(hidden, 3)
    loss = gc.losses.softmax_cross_entropy(z, t)
    return gc.Model(x, {"p": gc.softmax(z)}, t, loss, {"accuracy": gc.metrics.accuracy(z, t)})


def trained(mode: str = "compiled", dtype: str = "f32") -> gc.Model:
    model = classifier(dtype)
    model.compile(gc.optim.Adam(0.05, clip_norm=1.0), batch_size=10, mode=mode)
    model.fit(POINTS, LABELS)
    return model


def through_pickle(value):
    return pickle.loads(pickle.dumps(value))


COPIES = pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])


def assert_same_values(one: gc.Model, other: gc.Model) -> None:
    values, others = one.values(), other.values()
    assert list(values) == list(others)
    for name, value in values.items():
        assert value.tobytes() == others[name].tobytes(), name


@COPIES
@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_a_copy_trains_on_with_the_same_bits(copied, mode, dtype) -> None:
    model = trained(mode, dtype)
    other = copied(model)
    assert other.graph is not model.graph
    assert other.optimizer == model.optimizer
    assert other.train_function.program == model.train_function.program
    assert_same_values(model, other)
    for each in (model, other):
        each.fit(POINTS, LABELS, epochs=2, initial_epoch=1)
    assert_same_values(model, other)
    np.testing.assert_array_equal(model.predict(POINTS)["p"], other.predict(POINTS)["p"])
    assert model.history.history == other.history.history


@COPIES
def test_a_copy_is_trained_by_itself(copied) -> None:
    model = trained()
    before = model.values()
    other = copied(model)
    other.fit(POINTS, LABELS)
    other.learning_rate = 0.5
    other.compile(gc.optim.SGD(0.1))
    other.fit(POINTS, LABELS)
    for name, value in model.values().items():
        np.testing.assert_array_equal(value, before[name])
    assert model.learning_rate == np.float32(0.05)


def test_a_shallow_copy_shares_graph_and_variables_and_is_compiled_by_itself() -> None:
    model = trained()
    other = copy.copy(model)
    assert other.graph is model.graph
    assert other.variables is model.variables
    np.testing.assert_array_equal(model.predict(POINTS)["p"], other.predict(POINTS)["p"])
    with pytest.raises(gc.NotCompiledError):
        other.fit(POINTS, LABELS)
    other.compile(gc.optim.SGD(0.1))
    other.fit(POINTS, LABELS)
    np.testing.assert_array_equal(model.predict(POINTS)["p"], other.predict(POINTS)["p"])
    model.fit(POINTS, LABELS)
    assert model.history is not other.history


@COPIES
def test_nodes_copied_with_their_graph_are_its_nodes(copied) -> None:
    graph = gc.Graph(seed=1)
    x = graph.input("x", ("batch", 3))
    y = gc.nn.dense(x, 2)
    other_y, other_x, other_graph = copied([y, x, graph])
    assert other_y.graph is other_graph is other_x.graph is not graph
    assert other_graph.inputs["x"] is other_x
    assert other_y.location == y.location
    assert other_y.location.scope == y.location.scope != ()
    rows = np.ones((4, 3))
    np.testing.assert_array_equal(
        gc.function(x, y)(rows), gc.function(other_x, other_y, mode="compiled")(rows)
    )
    assert copy.copy(x) is x


@COPIES
def test_a_graph_goes_on_as_it_would_have(copied) -> None:
    """Names that are taken, streams, initialisers and seeds are the same."""
    graph = trained().graph
    other = copied(graph)
    assert other.names == graph.names
    assert other.streams == graph.streams
    assert list(other.states) == list(graph.states)
    hidden = [gc.nn.dense(each.inputs["x"], 4) for each in (graph, other)]
    assert [node.name for node in map(_kernel, hidden)] == ["dense_2.kernel"] * 2
    for name in graph.variables:
        np.testing.assert_array_equal(graph.variables[name], other.variables[name])
    for each in (graph, other):
        each.variables.initialize(seed=8)
    for name in graph.variables:
        np.testing.assert_array_equal(graph.variables[name], other.variables[name])
    assert gc.function([], _kernel(hidden[1]))().shape == (2, 4)


def _kernel(node: gc.Node) -> gc.Node:
    return node.operands[0].operands[1]


@COPIES
def test_names_that_a_graph_has_dropped_stay_dropped(copied) -> None:
    model = trained()
    model.compile(gc.optim.SGD(0.1, momentum=0.5))
    model.fit(POINTS, LABELS)
    other = copied(model)
    assert list(other.graph.states) == list(model.graph.states)
    assert "adam.steps" not in other.graph.states
    for each in (model, other):
        each.compile(gc.optim.Adam())
        each.fit(POINTS, LABELS)
    assert_same_values(model, other)


@COPIES
def test_variables_are_copied_with_their_graph(copied) -> None:
    graph = gc.Graph(seed=2)
    graph.parameter("w", (3, 2))
    graph.parameter("v", (2,), init=np.array([np.nan, -0.0]))
    graph.variables["w"] = np.ones((3, 2))
    other = copied(graph.variables)
    assert other.graph.variables is other
    assert other.graph is not graph
    other["w"] = np.zeros((3, 2))
    assert graph.variables["w"].all()
    assert other["v"].tobytes() == graph.variables["v"].tobytes()
    assert other.storage("w").ctypes.data % 64 == 0


def test_a_shallow_copy_of_variables_is_their_copy() -> None:
    graph = gc.Graph()
    graph.parameter("w", (3, 2))
    other = copy.copy(graph.variables)
    assert other.graph is graph
    other["w"] = np.zeros((3, 2))
    assert graph.variables["w"].any()


@COPIES
def test_large_and_odd_constants_keep_their_bits(copied) -> None:
    for dtype in ("f32", "f64"):
        odd = np.array([np.nan, -np.nan, -0.0, np.inf, -np.inf, 1e-45, 5e-324, 0.1, 1 / 3, 1e38])
        for count in (1, 5):
            graph = gc.Graph()
            c = graph.constant(np.tile(odd, count), dtype)
            made = gc.function([], copied(c), mode="reference")()
            assert made.tobytes() == gc.function([], c, mode="reference")().tobytes()
    graph = gc.Graph()
    for value in (np.arange(100) % 2 == 0, np.arange(30, dtype="i8") * (2**57 + 1)):
        c = graph.constant(value)
        np.testing.assert_array_equal(gc.function([], copied(c), mode="reference")(), value)


@COPIES
def test_history_optimizers_and_initialisers(copied) -> None:
    history = trained().history
    other = copied(history)
    assert other == history
    other.append(5, {"loss": 1.0})
    assert other != history
    for value in (gc.optim.Adam(0.1, betas=(0.5, 0.9)), gc.init.he_normal, gc.Dim("2*batch+1")):
        assert copied(value) == value


def test_what_cannot_be_copied_says_what_to_do() -> None:
    graph = gc.Graph()
    x = graph.input("x", (2,))
    function = gc.function(x, x * 2)
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match=r"make the function again with gc\.function"):
            attempt(function)
    with pytest.raises(TypeError, match=r"copy\.deepcopy"):
        copy.copy(graph)


@COPIES
def test_what_training_steps_make_of_states_is_copied(copied) -> None:
    """A running mean, which steps update twice and inference reads."""
    graph = gc.Graph(seed=1)
    x, t = graph.input("x", ("batch", 2)), graph.input("t", ("batch", 1))
    running = graph.variable("running", np.zeros(2))
    mean = gc.mean(x, axis=0)
    centred = gc.training_form(x - mean, x - running)
    graph.update_in_training(running, lambda old: 0.5 * old + 0.5 * mean, centred)
    graph.update_in_training(running, lambda old: old + 1, mean)
    y = gc.nn.dense(centred, 1)
    model = gc.Model(x, y, t, gc.losses.mean_squared_error(y, t))
    model.compile(gc.optim.SGD(0.1), 10)
    model.fit(POINTS, LABELS[:, None])
    other = copied(model)
    for each in (model, other):
        each.compile(gc.optim.Adam(0.1))
        each.fit(POINTS, LABELS[:, None], epochs=2)
    assert_same_values(model, other)
    again = copied(other)
    steps = [step for step in again.graph.training_steps if step.state.name == "running"]
    assert steps[0].state is again.graph.states["running"]


double = gc.custom_op("double", lambda x: 2 * x, template="{x} + {x}")


def test_an_op_of_ones_own_is_copied_and_not_pickled() -> None:
    graph = gc.Graph()
    x = graph.input("x", (2,))
    y = copy.deepcopy(double(x))
    assert y.op is double
    with pytest.raises(TypeError, match="custom_objects"):
        pickle.dumps(double(x))


def _trained_on(model: gc.Model) -> dict[str, bytes]:
    model.fit(POINTS, LABELS, epochs=2, initial_epoch=1)
    return {name: value.tobytes() for name, value in model.values().items()}


def test_a_model_is_an_argument_of_a_process_that_is_spawned() -> None:
    model = trained()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.apply(_trained_on, (model,))
    assert there == _trained_on(model)
