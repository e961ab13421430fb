"""Which parameters train: those that a model is given, and those that are frozen for a while."""

import io

import numpy as np
import pytest
from rich.console import Console

import graphc as gc
from tests.train.steps_by_hand import (
    WAYS,
    WIDTH,
    X,
    adam,
    assert_values,
    batches,
    fit,
    gradients,
    network,
)

NAMES = ("first.kernel", "first.bias", "second.kernel", "second.bias")


def chosen(values, names):
    return {name: values[name] for name in names}


def of_weights(model):
    return {state.name: model.variables[state] for state in model.weights}


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("options", WAYS, ids=str)
def test_frozen_parameters_keep_their_bits_and_others_their_slots(options, dtype):
    """Trained, frozen, trained again by Adam: each counts the steps that it was trained in."""
    if options.get("fuse") is False and dtype == "f32":
        options = {**options, "threads": 1}
    model = network(dtype)
    model.compile(gc.optim.Adam(0.01), **options)
    values, slots = of_weights(model), {}
    for trained in (NAMES, ("second.kernel", "second.bias"), ("first.bias",), NAMES):
        model.unfreeze("*")
        model.freeze([name for name in NAMES if name not in trained])
        before = of_weights(model)
        fit(model)
        for x, t in batches():
            values = adam(values, chosen(gradients(values, x, t), trained), slots, 0.01)
        for name in NAMES:
            same = np.array_equal(model.variables[name], before[name])
            assert same == (name not in trained), name
    assert_values(model, values, 1e-9 if dtype == "f64" else 2e-3)
    assert model.variables["adam.steps.first.bias"] == 42
    assert model.variables["adam.steps.first.kernel"] == 28
    assert "adam.steps" not in model.graph.states


def test_what_is_frozen_before_compiling_has_no_slots():
    model = network()
    model.freeze("first.*")
    model.compile(gc.optim.Adam(0.01), mode="reference")
    assert not any("first" in state.name for state in model.states if "adam" in state.name)
    assert model.trained_parameters == model.parameters[2:]
    values, slots = of_weights(model), {}
    fit(model, 1)
    model.unfreeze(model.graph.states["first.bias"])
    fit(model, 1)
    for number, (x, t) in enumerate(batches()):
        names = NAMES[2:] if number < 7 else NAMES[1:]
        values = adam(values, chosen(gradients(values, x, t), names), slots, 0.01)
    assert_values(model, values)


@pytest.mark.parametrize("optimizer", [gc.optim.SGD(0.1, 0.9, 0.3), gc.optim.SGD(0.1)], ids=str)
def test_other_optimizers_go_on_as_well(optimizer):
    """Dampening counts steps; plain SGD has no slot at all."""
    model, other = network(), network()
    model.compile(optimizer, mode="reference")
    other.compile(optimizer, mode="reference")
    fit(model, 2)
    fit(other, 1)
    other.freeze("first.*")
    other.unfreeze("*")
    fit(other, 1)
    assert_values(other, of_weights(model), 0)


def test_freezing_compiles_the_training_step_alone():
    model = network()
    model.compile(gc.optim.SGD(0.1))
    fit(model, 1)
    step, watched, predict = (
        model.train_function, model.watched_train_function, model.predict_function,
    )  # fmt: skip
    model.freeze("first.*")
    assert model.train_function is not step and model.watched_train_function is not watched
    assert model.predict_function is predict
    step = model.train_function
    model.freeze("first.bias")  # frozen already
    assert model.train_function is step
    updated = {state.name for state, _ in step.program.updates}
    assert updated == {"second.kernel", "second.bias"}


def test_training_goes_on_from_a_saved_state(tmp_path):
    """Of a model that was frozen and trained again, by one that is told the same."""
    models = []
    for _ in range(2):
        model = network()
        model.compile(gc.optim.Adam(0.01), mode="reference")
        model.freeze("first.*")
        models.append(model)
    fit(models[0], 1)
    models[0].save(tmp_path / "model")
    models[1].load(tmp_path / "model")
    for model in models:
        model.unfreeze("*")
        fit(model, 1)
    assert models[0].values().keys() == models[1].values().keys()
    assert_values(models[1], models[0].values(), 0)


def test_compiling_again_keeps_what_is_frozen():
    model = network()
    model.freeze("*.bias")
    for optimizer in (gc.optim.Adam(), gc.optim.SGD(0.1), None):
        model.compile(optimizer, mode="reference")
        assert [p.name for p in model.trained_parameters] == ["first.kernel", "second.kernel"]
    model.compile(gc.optim.SGD(0.1), mode="reference")
    before = of_weights(model)
    fit(model, nan_watch=True, record=2)
    changed = {name for name, value in of_weights(model).items() if (value != before[name]).any()}
    assert changed == {"first.kernel", "second.kernel"}


def test_recording_is_of_what_trains():
    model = network()
    model.freeze("first.*")
    model.compile(gc.optim.SGD(0.1), mode="reference")
    logged = fit(model, record=True).history
    assert "first/activation" in logged and "second/gradient" in logged
    assert "first/gradient" not in logged and "first/update" not in logged


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_everything_frozen(options):
    model = network()
    model.compile(gc.optim.Adam(), **options)
    model.freeze("*")
    before = of_weights(model)
    for run in (lambda: fit(model), lambda: fit(model, nan_watch=True), lambda: model.profile()):
        with pytest.raises(gc.GraphError, match=r"every parameter is frozen: first\.bias.*unfreez"):
            run()
    model.summary(Console(file=io.StringIO()))
    assert model.predict(X).shape == (42, 2)
    assert_values(model, before, 0)
    model.unfreeze("second.*")
    fit(model, 1)
    model.freeze("*")
    model.compile(gc.optim.SGD(0.1), **options)
    with pytest.raises(gc.GraphError, match="every parameter is frozen"):
        fit(model)
    model.unfreeze("*")
    fit(model, 1)


def test_what_cannot_be_frozen():
    model = network()
    for wrong, error, message in [
        (("third.*",), gc.GraphError, r"freeze: 'third\.\*' matches none .*: first\.kernel, first"),
        ((model.inputs[0],), gc.GraphError, "is none of the model's parameters"),
        ((3,), TypeError, "a parameter or a pattern of names expected, not 3"),
        ((["first.*", None],), TypeError, "not None"),
    ]:
        with pytest.raises(error, match=message):
            model.freeze(*wrong)
    with pytest.raises(gc.GraphError, match="unfreeze: 'x' matches none"):
        model.unfreeze("x")
    for forget in (model.freeze, model.unfreeze):
        with pytest.raises(TypeError, match="'\\*' means all"):
            forget()
    model.freeze([])
    assert model.trained_parameters == model.parameters
    model.freeze(["first.*", model.parameters[3]])
    assert model.trained_parameters == model.parameters[2:3]


def test_a_summary_says_what_trains():
    def shown(model):
        console = Console(width=80, record=True, file=io.StringIO())
        model.summary(console)
        return console.export_text()

    model = network()
    assert "trains" not in shown(model)
    model.freeze("first.*")
    lines = shown(model).splitlines()
    words = [line.replace("│", " ").split() for line in lines if "f64[" in line]
    assert [row[-1] for row in words] == ["no", "no", "yes", "yes"]
    assert f"26 elements, {2 * WIDTH + 2} trainable" in lines[-1]


# --- the model's own choice ------------------------------------------------------------------


@pytest.mark.parametrize(
    "given", ["second.*", ["second.kernel", "*d.bias"], "nodes"], ids=["pattern", "names", "nodes"]
)
def test_a_model_trains_the_parameters_that_it_is_given(given, mode):
    whole = network()
    if given == "nodes":
        given = whole.parameters[2:]
    model = gc.Model(whole.inputs, whole.outputs, whole.targets, whole.loss, parameters=given)
    assert model.trained_parameters == whole.parameters[2:]
    assert model.parameters == whole.parameters
    model.compile(gc.optim.Adam(0.01), mode=mode)
    values, slots = of_weights(model), {}
    fit(model)
    for x, t in batches():
        values = adam(values, chosen(gradients(values, x, t), NAMES[2:]), slots, 0.01)
    assert_values(model, values)
    np.testing.assert_array_equal(model.variables["first.bias"], 0)


def test_two_models_of_a_graph_train_a_part_each(mode):
    """Two optimizers in turn, as for the two nets of a GAN."""
    whole = network()
    parts = [
        gc.Model(whole.inputs, whole.outputs, whole.targets, whole.loss, parameters=pattern)
        for pattern in ("first.*", "second.*")
    ]
    for model, rate in zip(parts, (0.01, 0.02), strict=True):
        model.compile(gc.optim.Adam(rate), mode=mode)
    values, slots = of_weights(whole), {}
    for model in parts:
        fit(model, 1)
    for names, rate in ((NAMES[:2], 0.01), (NAMES[2:], 0.02)):
        for x, t in batches(1):
            values = adam(values, chosen(gradients(values, x, t), names), slots, rate)
    assert_values(whole, values)


def test_a_parameter_that_the_loss_does_not_read_does_not_train():
    whole = network()
    extra = gc.nn.dense(whole.inputs[0], 1, name="extra")
    outputs = [whole.outputs, extra]
    model = gc.Model(whole.inputs, outputs, whole.targets, whole.loss)
    model.compile(gc.optim.SGD(0.1), mode="reference")
    before = model.variables["extra.kernel"]
    fit(model, record=True)
    np.testing.assert_array_equal(model.variables["extra.kernel"], before)
    assert len(model.trained_parameters) == 4 and len(model.parameters) == 6


def test_parameters_that_cannot_train():
    whole = network()
    parts = (whole.inputs, whole.outputs, whole.targets, whole.loss)
    state = whole.graph.variable("state", 0.0)
    for wrong, error, message in [
        ("third.*", gc.GraphError, r"Model: parameters: 'third\.\*' matches none .* loss reads"),
        ([state], gc.GraphError, "is none of the parameters that the loss reads"),
        (3, TypeError, "not 3"),
    ]:
        with pytest.raises(error, match=message):
            gc.Model(*parts, parameters=wrong)
    with pytest.raises(gc.GraphError, match="parameters: a loss expected"):
        gc.Model(whole.inputs, whole.outputs, parameters="*")
    with pytest.raises(gc.GraphError, match="depends on no parameter"):
        gc.Model(*parts, parameters=[]).compile(gc.optim.SGD())


def test_groups_may_be_of_what_is_frozen():
    model = network()
    model.freeze("first.*")
    groups = {"first.*": {"learning_rate": 1e-4}, "*.bias": {"weight_decay": 0.0}}
    model.compile(gc.optim.AdamW(1e-3, groups=groups), mode="reference")
    fit(model, 1)
    with pytest.raises(gc.GraphError, match="'third' matches none"):
        model.compile(gc.optim.AdamW(1e-3, groups={"third": {}}))
    fit(model, 1)
