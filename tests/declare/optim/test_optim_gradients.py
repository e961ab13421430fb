"""Optimizers that are given gradients, parameter groups, and gradients added up over batches."""

import numpy as np
import pytest

import graphc as gc
from tests.declare.optim.optim_cases import (
    MUON,
    STARTS,
    TARGETS,
    WITH_ALL,
    adamw,
    assert_values,
    declare,
    gradients,
    sgd,
    with_options,
)

STEPS = 100


# --- gradients -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["mapping", "lists"])
@pytest.mark.parametrize("optimizer", [*WITH_ALL, MUON], ids=lambda each: type(each).__name__)
def test_gradients_that_are_given_are_those_of_the_loss(optimizer, form):
    """The same program, whichever way it is said."""
    graph, loss = declare()
    slopes = gc.grad(loss, graph.parameters)
    if form == "mapping":
        updates = optimizer.updates(gradients=dict(zip(graph.parameters, slopes, strict=True)))
    else:
        updates = optimizer.updates(gradients=slopes, parameters=graph.parameters)
    _, other_loss = declare()
    expected = gc.function([], [], optimizer.updates(other_loss)).program
    assert gc.function([], [], updates).program == expected


def test_a_gradient_of_ones_own(mode):
    """The sign of the gradient, which is that of no loss."""
    graph, loss = declare()
    w = graph.states["a"]
    updates = gc.optim.SGD(0.25).updates(gradients={w: gc.sign(gc.grad(loss, w))})
    step = gc.function([], loss, updates, mode=mode)
    for _ in range(3):
        step()
    assert set(updates) == {w}
    expected = STARTS["a"].copy()
    for _ in range(3):
        expected -= 0.25 * np.sign(gradients(STARTS | {"a": expected})["a"])
    assert_values(graph.variables, {"a": expected, "b": STARTS["b"]})


def test_streams_that_gradients_read_are_advanced(mode):
    graph = gc.Graph(seed=1)
    w = graph.parameter("w", (50,), 0.0)
    noise = gc.random.uniform(graph, (50,), name="noise")
    updates = gc.optim.SGD(1.0).updates(gradients={w: noise})
    step = gc.function([], noise, updates, mode=mode)
    first, second = step(), step()
    assert not np.array_equal(first, second)
    np.testing.assert_allclose(graph.variables["w"], -(first + second), rtol=1e-6)


def test_a_loss_beside_gradients_says_what_else_is_advanced():
    graph = gc.Graph(seed=1)
    w = graph.parameter("w", (50,), 1.0)
    loss = gc.sum(gc.dropout(w, 0.5))
    key = graph.states["dropout.key"]
    assert set(gc.optim.SGD(1.0).updates(gradients={w: w * 2})) == {w}
    assert set(gc.optim.SGD(1.0).updates(loss, gradients={w: w * 2})) == {w, key}


def test_gradients_that_do_not_fit():
    graph, loss = declare()
    a, b = graph.parameters
    ga, gb = gc.grad(loss, [a, b])
    other = gc.Graph().input("other", (4,), "f64")
    x = graph.input("x", (4,), "f64")
    optimizer = gc.optim.SGD()
    for arguments, error, message in [
        ({}, TypeError, "updates: a loss, or gradients=, expected"),
        ({"gradients": [ga, gb]}, TypeError, "with parameters="),
        ({"gradients": ga}, TypeError, "gradients={parameter: gradient}"),
        ({"gradients": ga, "parameters": [a]}, TypeError, "gradients={parameter: gradient}"),
        ({"gradients": [ga], "parameters": [a, b]}, TypeError, "1 gradients of 2 parameters"),
        ({"gradients": {a: ga}, "parameters": [a]}, TypeError, "leave them out"),
        ({"gradients": {a: STARTS["a"]}}, TypeError, "a tensor of a graph expected"),
        ({"gradients": {"a": ga}}, TypeError, "a tensor of a graph expected"),
        ({"gradients": {a: gb}}, gc.ShapeError, r"f64\[3,2\] expected for 'a'"),
        ({"gradients": {b: gc.cast(gb, "f32")}}, gc.DTypeError, r"f64\[4\] expected for 'b'"),
        ({"gradients": {b: other}}, gc.GraphError, "of another graph"),
        ({"gradients": {x: gb}}, gc.GraphError, "a state of floats expected, not <input x"),
        ({"gradients": [gb, gb], "parameters": [b, b]}, gc.GraphError, "named twice"),
        ({"gradients": {}}, gc.GraphError, "at least one expected"),
        ({"loss": loss, "parameters": [x]}, gc.GraphError, "a state of floats expected"),
        ({"loss": loss, "parameters": ["a"]}, TypeError, "a tensor of a graph expected"),
    ]:
        with pytest.raises(error, match=message):
            optimizer.updates(**arguments)
    assert list(graph.states) == ["a", "b"] and optimizer.updates(loss)


# --- parameter groups ------------------------------------------------------------------------


def test_groups_are_updates_of_their_own(mode):
    """100 steps against AdamW with other numbers for each parameter, written out in numpy."""
    graph, loss = declare()
    groups = {"a*": {"weight_decay": 0.0, "betas": (0.5, 0.9)}, graph.states["b"]: {}}
    groups[graph.states["b"]] = {"learning_rate": 3e-3}
    optimizer = gc.optim.AdamW(1e-2, weight_decay=0.3, groups=groups)
    step = gc.function([], loss, optimizer.updates(loss), mode=mode)
    values = {name: start.copy() for name, start in STARTS.items()}
    slots = {name: {} for name in values}
    own = {
        "a": {"lr": 1e-2, "weight_decay": 0.0, "betas": (0.5, 0.9)},
        "b": {"lr": 3e-3, "weight_decay": 0.3},
    }
    for t in range(1, STEPS + 1):
        step()
        slopes = gradients(values)
        for name in values:
            values[name] = adamw(values[name], slopes[name], slots[name], t, **own[name])
    assert_values(graph.variables, values)


def test_hyperparameters_of_groups_are_set_between_steps(mode):
    """A group's rate follows the optimizer's; what else it sets is a variable of its own."""
    graph, loss = declare()
    groups = {"a": {"learning_rate": 0.05, "momentum": 0.5}}
    optimizer = gc.optim.SGD(0.1, momentum=0.9, groups=groups)
    step = gc.function([], loss, optimizer.updates(loss), mode=mode)
    step()
    graph.variables["sgd.learning_rate"] = 0.02
    graph.variables["sgd.momentum[a]"] = 0.25
    step()
    values, slots = STARTS, {"a": {}, "b": {}}
    for t, rates, momenta in [
        (1, {"a": 0.05, "b": 0.1}, {"a": 0.5, "b": 0.9}),
        (2, {"a": 0.01, "b": 0.02}, {"a": 0.25, "b": 0.9}),
    ]:
        slopes = gradients(values)
        values = {
            n: sgd(w, slopes[n], slots[n], t, lr=rates[n], momentum=momenta[n])
            for n, w in values.items()
        }
    assert_values(graph.variables, values)


def test_the_first_group_that_sets_a_hyperparameter_counts():
    """Each for itself: a parameter of two groups has the rate of one and the decay of the other."""
    graph = gc.Graph()
    names = ("backbone.kernel", "backbone.bias", "head.kernel", "head.bias")
    loss = sum(gc.sum(graph.parameter(name, (2,), 1.0, "f64")) for name in names)
    groups = {
        "*.bias": {"weight_decay": 0.0},
        "backbone.*": {"learning_rate": 0.01, "weight_decay": 0.5},
    }
    optimizer = gc.optim.SGD(0.1, weight_decay=0.25, groups=groups)
    gc.function([], loss, optimizer.updates(loss), mode="reference")()
    rates, decays = (0.01, 0.01, 0.1, 0.1), (0.5, 0.0, 0.25, 0.0)
    for name, rate, decay in zip(names, rates, decays, strict=True):
        np.testing.assert_allclose(graph.variables[name], 1 - rate * (1 + decay), rtol=1e-15)


def test_groups_that_cannot_be():
    adam, sgd = gc.optim.Adam, gc.optim.SGD
    for make, error, message in [
        (lambda: adam(groups=[{"lr": 1}]), TypeError, r"^Adam: groups: patterns of names and"),
        (lambda: adam(groups={"*": 0.1}), TypeError, r"^Adam: groups: '\*': patterns of names"),
        (lambda: adam(groups={3: {}}), TypeError, "a parameter or a pattern of names expected"),
        (lambda: adam(groups={"*": {"lr": 0.1}}), TypeError, "'lr', it is 'learning_rate' here"),
        (lambda: sgd(groups={"*": {"betas": 0}}), TypeError, "there are: learning_rate, momentum"),
        (lambda: sgd(groups={"*": {"clip_norm": 1}}), TypeError, "no hyperparameter 'clip_norm'"),
        (lambda: sgd(groups={"*": {"momentum": -1}}), ValueError, r"^SGD: groups: '\*': momentum:"),
        (lambda: sgd(groups={"*": {"nesterov": True}}), ValueError, "nesterov needs a momentum"),
        (lambda: sgd(0, groups={"*": {"learning_rate": 1}}), ValueError, "ratio to the optimizer"),
    ]:
        with pytest.raises(error, match=message):
            make()


def test_groups_that_do_not_fit_the_parameters():
    graph, loss = declare()
    for groups, message in [
        ({"c.*": {"momentum": 0.5}}, r"SGD: groups: 'c\.\*' matches none .*there are: a, b"),
        ({"A": {"momentum": 0.5}}, "'A' matches none"),
        ({gc.Graph().parameter("a", ()): {"momentum": 0.5}}, "is none of the parameters"),
        (
            {"*": {"momentum": 0.5}, "a": {"momentum": 0.6}},
            r"momentum of 'a' is that of no parameter, since '\*' comes first",
        ),
    ]:
        with pytest.raises(gc.GraphError, match=message):
            gc.optim.SGD(groups=groups).updates(loss)
    # Of the loss, though not trained by this step.
    some = gc.optim.SGD(groups={"b": {"momentum": 0.5}}).updates(loss, [graph.states["a"]])
    assert set(some) == {graph.states["a"]}


def test_groups_are_kept_as_they_were_given():
    groups = {"a": {"momentum": 0.5}}
    optimizer = gc.optim.SGD(groups=groups)
    groups["a"]["momentum"] = 7.0
    groups["b"] = {}
    assert optimizer.groups == {"a": {"momentum": 0.5}} and isinstance(hash(optimizer), int)


def test_names_may_look_like_patterns():
    """A name that stands for itself is found, whatever its brackets mean to `fnmatch`."""
    graph = gc.Graph()
    w = graph.parameter("w[0].x", (2,), 1.0, "f64")
    optimizer = gc.optim.SGD(0.5, groups={"w[0].x": {"weight_decay": 1.0}})
    gc.function([], gc.sum(w), optimizer.updates(gc.sum(w)))()
    np.testing.assert_array_equal(graph.variables["w[0].x"], 0)
    assert "sgd.weight_decay[w[0].x]" in graph.states


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([{"params": [], "lr": 0.1}], r"not parameter groups; .* groups="),
        (({"params": []},), r"groups="),
        ({"params": []}, r"groups="),
        (lambda step: 0.1, "LearningRateSchedule"),
        ("0.1", "a number expected, not '0.1'"),
    ],
)
def test_what_is_no_learning_rate(wrong, message):
    for kind in (gc.optim.SGD, gc.optim.AdamW):
        with pytest.raises(TypeError, match=f"^{kind.__name__}: learning_rate: .*{message}"):
            kind(wrong)


def test_parameters_are_no_learning_rate():
    graph, _ = declare()
    for wrong in (graph.parameters, graph.parameters[0], iter(graph.parameters)):
        with pytest.raises(TypeError, match=r"learning_rate: .*parameters; a model trains its own"):
            gc.optim.Adam(wrong)


# --- accumulation ----------------------------------------------------------------------------


def regression(dtype="f64"):
    """Rows of which the loss is a mean: parameters, input, target and loss."""
    graph = gc.Graph(seed=4)
    x, t = graph.input("x", ("batch", 3), dtype), graph.input("t", ("batch", 2), dtype)
    w = graph.parameter("w", (3, 2), STARTS["a"], dtype)
    b = graph.parameter("b", (2,), 0.5, dtype)
    return graph, x, t, gc.losses.mean_squared_error(gc.tanh(x @ w) + b, t)


ROWS = np.random.default_rng(2).standard_normal((60, 5))


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [(optimizer, {"mode": "reference"}) for optimizer in [*WITH_ALL, MUON]]
    + [(optimizer, {}) for optimizer in WITH_ALL[:5]]
    + [(WITH_ALL[0], {"fuse": False})],
    ids=str,
)
def test_batches_are_as_one_of_all_their_rows(optimizer, options):
    """Equal up to rounding, clipping included, and unchanged between two updates."""
    graphs = []
    for k in (1, 3):
        made = with_options(optimizer, clip_norm=0.3, gradient_accumulation_steps=k)
        graph, x, t, loss = regression()
        step = gc.function([x, t], loss, made.updates(loss), **options)
        size = 12 // k
        for number, start in enumerate(range(0, 60, size)):
            before = graph.variables["w"]
            step(ROWS[start : start + size, :3], ROWS[start : start + size, 3:])
            changed = (graph.variables["w"] != before).any()
            assert changed == ((number + 1) % k == 0)
        graphs.append(graph)
    for name in graphs[0].states:
        np.testing.assert_allclose(
            graphs[1].variables[name], graphs[0].variables[name], rtol=1e-9, atol=1e-14
        )
    assert graphs[1].variables["b"].tolist() != [0.5, 0.5]


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_accumulation_against_numpy(dtype, mode):
    """100 batches, four to an update, of SGD with momentum."""
    graph, loss = declare(dtype)
    scale = graph.input("scale", (), dtype)
    loss = loss * scale
    optimizer = gc.optim.SGD(0.02, momentum=0.9, gradient_accumulation_steps=4)
    step = gc.function([scale], loss, optimizer.updates(loss), mode=mode)
    values = {name: start.copy() for name, start in STARTS.items()}
    slots, sums = {"a": {}, "b": {}}, {"a": 0.0, "b": 0.0}
    for t in range(1, STEPS + 1):
        factor = 0.5 + (t % 7) / 7
        step(np.asarray(factor, dtype.replace("f32", "f4").replace("f64", "f8")))
        slopes = gradients(values)
        sums = {name: total + factor * slopes[name] for name, total in sums.items()}
        if t % 4 == 0:
            for name in values:
                values[name] = sgd(
                    values[name], sums[name] / 4, slots[name], t // 4, lr=0.02, momentum=0.9
                )
            sums = {"a": 0.0, "b": 0.0}
    for name, value in values.items():
        tolerance = 1e-12 if dtype == "f64" else 2e-5
        np.testing.assert_allclose(
            graph.variables[name], value, rtol=tolerance, atol=tolerance * np.abs(value).max()
        )
    assert np.abs(values["a"] - TARGETS["a"]).max() < np.abs(STARTS["a"] - TARGETS["a"]).max()


def test_steps_count_updates_and_streams_every_batch(mode):
    graph = gc.Graph(seed=1)
    w = graph.parameter("w", (50,), 1.0)
    loss = gc.sum(gc.dropout(w, 0.5))
    step = gc.function(
        [], loss, gc.optim.Adam(gradient_accumulation_steps=3).updates(loss), mode=mode
    )
    key = graph.variables["dropout.key"]
    for _ in range(7):
        step()
    assert graph.variables["adam.steps"] == 2 and graph.variables["adam.batches"] == 1
    assert graph.variables["dropout.key"] == key + 7
    assert graph.variables["adam.accumulated.w"].any()


@pytest.mark.parametrize("wrong", [0, -1, 2.0, True, "2"])
def test_numbers_of_batches_that_cannot_be(wrong):
    with pytest.raises(gc.DataError, match=r"^SGD: gradient_accumulation_steps: "):
        gc.optim.SGD(gradient_accumulation_steps=wrong)


def test_one_batch_an_update_adds_nothing():
    programs = []
    for k in (None, 1):
        _, loss = declare()
        updates = gc.optim.Adam(gradient_accumulation_steps=k).updates(loss)
        programs.append(gc.function([], loss, updates).program)
    assert programs[0] == programs[1]
