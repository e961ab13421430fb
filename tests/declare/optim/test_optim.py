"""Optimizers against PyTorch's published algorithms, written independently in numpy."""

import dataclasses
import math

import numpy as np
import pytest

import graphc as gc
from tests.declare.optim.optim_cases import (
    CASES,
    IDS,
    STARTS,
    WITH_ALL,
    after_steps,
    assert_each_element,
    assert_values,
    declare,
    gradients,
    run_all,
)

STEPS = 100


def test_a_hundred_steps(mode):
    """Compiled without those of defaults alone: a default is a number like others. The reference
    takes fewer steps here, and a hundred against torch."""
    cases, steps = dict(zip(IDS, CASES, strict=True)), STEPS // 5
    if mode == "compiled":
        cases, steps = {case: each for case, each in cases.items() if each[2]}, STEPS
    found = run_all(steps, mode, cases)
    for case, (_, algorithm, arguments) in cases.items():
        assert_each_element(found[case], after_steps(algorithm, arguments, steps), 1e-11)


def test_rate_is_set_between_steps(mode):
    graph, loss = declare()
    step = gc.function([], loss, gc.optim.SGD(0.1).updates(loss), mode=mode)
    step()
    before = {name: graph.variables[name] for name in STARTS}
    graph.variables["sgd.learning_rate"] = 0.01
    step()
    for name, slope in gradients(before).items():
        np.testing.assert_allclose(graph.variables[name], before[name] - 0.01 * slope)


# What the names of hyperparameters that may be set between steps are in the published algorithms.
SET_BETWEEN_STEPS = {"learning_rate": "lr", "momentum": "momentum", "weight_decay": "weight_decay"}


@pytest.mark.parametrize("by_node", [False, True])
@pytest.mark.parametrize(("optimizer", "algorithm", "arguments"), CASES, ids=IDS)
def test_each_step_takes_what_is_set_before_it(optimizer, algorithm, arguments, by_node):
    """Every variable of a hyperparameter, or the rate that is given as a node in its place."""
    graph, loss = declare()
    rate = graph.input("rate", (), "f64") if by_node else None
    updates = optimizer.updates(loss, rate=rate)
    step = gc.function([rate] if by_node else [], loss, updates, mode="reference")
    scope, own = type(optimizer).__name__.lower(), getattr(optimizer, "optimizer", optimizer)
    adjustable = [n for n in SET_BETWEEN_STEPS if f"{scope}.{n}" in graph.states]
    assert ("learning_rate" in adjustable) is not by_node
    arguments = dict(arguments)
    sign = -1 if arguments.pop("maximize", False) else 1
    values = {name: start.copy() for name, start in STARTS.items()}
    slots = {name: {} for name in values}
    for t in range(1, 5):
        for number, name in enumerate(adjustable):
            changed = getattr(own, name) * (1 - 0.1 * t - 0.03 * number)
            graph.variables[f"{scope}.{name}"] = changed
            arguments = arguments | {SET_BETWEEN_STEPS[name]: changed}
        if by_node:
            arguments = arguments | {"lr": 0.3 / t}
            step(np.float64(0.3 / t))
        else:
            step()
        slopes = gradients(values)
        for name in values:
            slope = sign * slopes[name]
            values[name] = algorithm(values[name], slope, slots[name], t, **arguments)
    assert_values(graph.variables, values)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_a_variance_of_equal_gradients_is_0(dtype):
    """Centered, rounding takes the variance below 0, of which there is no root."""
    graph = gc.Graph()
    w = graph.parameter("w", (200,), 0.0, dtype)
    slopes = np.random.default_rng(1).uniform(0.5, 2.0, 200)
    optimizer = gc.optim.RMSprop(1e-9, alpha=0.5, centered=True)
    loss = gc.sum(w * slopes.astype(w.dtype.numpy))
    step = gc.function([], loss, optimizer.updates(loss), mode="reference")
    for _ in range(60):
        step()
    assert (graph.variables["w"] < 0).all()


# Each with all the averages that it may keep, and nothing but the gradient that moves them.
AVERAGING = [
    gc.optim.SGD(0.1, 0.9, 0.3),
    gc.optim.RMSprop(0.1, momentum=0.9, centered=True),
    gc.optim.Adam(0.1, amsgrad=True),
    gc.optim.Adadelta(),
    gc.optim.Adamax(),
    gc.optim.NAdam(),
    gc.optim.RAdam(),
    gc.optim.Lion(),
    gc.optim.Adafactor(),
    gc.optim.Muon(),
]


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("optimizer", AVERAGING, ids=lambda each: type(each).__name__)
def test_what_gets_no_gradient_any_more_fades_to_0(optimizer, dtype, mode):
    """No average stays at a subnormal number, which processors are slow with."""
    graph = gc.Graph()
    w = graph.parameter("w", (2, 3), 0.0, dtype)
    step = gc.function([], *_dead(w, optimizer), mode=mode)
    variables = graph.variables
    smallest = np.finfo(w.dtype.numpy).smallest_normal
    averages = [name for name, value in variables.items() if np.size(value) > 1 and name != "w"]
    assert averages
    step()
    for name in averages:
        variables[name] = np.full(variables[name].shape, smallest)
    step()
    step()
    for name in averages:
        magnitudes = np.abs(variables[name])
        assert ((magnitudes == 0) | (magnitudes >= smallest)).all(), name


def _dead(w, optimizer):
    loss = gc.sum(w * np.zeros(w.shape, w.dtype.numpy))
    return loss, optimizer.updates(loss)


def test_averages_are_exact_down_to_the_smallest_normal_number(mode):
    graph = gc.Graph()
    w = graph.parameter("w", (2,), 0.0, "f32")
    loss = gc.sum(w * np.float32([1.0, 0.0]))
    step = gc.function([], loss, gc.optim.SGD(1.0, momentum=0.5).updates(loss), mode=mode)
    step()
    smallest = np.finfo(np.float32).smallest_normal
    graph.variables["sgd.velocity.w"] = np.float32([-2.0, 2 * smallest])
    step()
    np.testing.assert_array_equal(graph.variables["sgd.velocity.w"], [0.0, smallest])


def test_bias_correction_in_f32():
    """1 - 0.999^t by subtraction would be wrong by 6e-5 at t = 1; PyTorch computes it in f64."""
    graph, loss = declare("f32")
    step = gc.function([], loss, gc.optim.Adam(1.0).updates(loss), mode="reference")
    step()
    # The first step of Adam is the rate times the gradient's sign, but for epsilon.
    moved = np.abs(graph.variables["a"] - STARTS["a"].astype("f4"))
    np.testing.assert_allclose(moved, 1, rtol=2e-6)


@pytest.mark.parametrize("limit", [0.5, 1e6])
def test_clipping_by_norm(limit, mode):
    graph, loss = declare()
    gc.function([], loss, gc.optim.SGD(1.0, clip_norm=limit).updates(loss), mode=mode)()
    slopes = gradients(STARTS)
    norm = math.sqrt(sum((g**2).sum() for g in slopes.values()))
    factor = min(1, limit / (norm + 1e-6))
    for name, slope in slopes.items():
        np.testing.assert_allclose(graph.variables[name], STARTS[name] - factor * slope)


def test_a_norm_of_the_limit_is_scaled_by_what_keeps_it_from_0():
    """torch divides by the norm + 1e-6, whatever is left of it."""
    gradients = [np.array([3.0]), np.array([4.0])]
    for limit in (5.0, 5 + 0.5e-6, 5 + 1.5e-6):
        for found, gradient in zip(
            clipped(gradients, limit, mode="reference"), gradients, strict=True
        ):
            factor = min(1, limit / (5 + 1e-6))
            np.testing.assert_allclose(found, gradient * factor, rtol=1e-14)


SCALES = {
    "huge": (("f4", 1e20), ("f4", 1e19)),
    "near the end": (("f4", 3e38), ("f4", 3e38)),
    "subnormal": (("f4", 1e-40), ("f4", 1e-44)),
    "squares of which are 0": (("f4", 1e-25), ("f4", 1e-22)),
    "huge f64": (("f8", 1e200), ("f8", 1e250)),
    "subnormal f64": (("f8", 1e-310), ("f8", 1e-320)),
    "huge f64 beside f32": (("f4", 1e30), ("f8", 1e60)),
    "usual f32 beside f64": (("f4", 1.0), ("f8", 1.0)),
    "none": (("f4", 0.0), ("f4", 0.0)),
    "none beside huge": (("f4", 0.0), ("f4", 1e20)),
    "none beside f64": (("f4", 0.0), ("f8", 0.0)),
}


def clipped(gradients, limit, **options):
    """What SGD with a rate of 1 takes away from parameters of these gradients."""
    graph, loss = gc.Graph(), None
    for number, gradient in enumerate(gradients):
        slope = graph.input(f"g{number}", gradient.shape, gradient.dtype)
        parameter = graph.parameter(f"w{number}", gradient.shape, 0.0, gradient.dtype)
        # A sum in f64, so that the loss does not overflow; its value does not matter.
        term = gc.cast(gc.sum(slope * parameter), "f64")
        loss = term if loss is None else loss + term
    updates = gc.optim.SGD(1.0, clip_norm=limit).updates(loss)
    gc.function(graph.inputs.values(), loss, updates, **options)(*gradients)
    return [-graph.variables[parameter] for parameter in graph.parameters]


@pytest.mark.parametrize("scales", SCALES.values(), ids=SCALES.keys())
def test_clipping_by_norm_at_any_scale(scales, mode):
    rng = np.random.default_rng(1)
    shapes = ((5, 4), (7,))
    gradients = [
        (np.clip(rng.normal(size=shape), -1, 1) * scale).astype(dtype)
        for shape, (dtype, scale) in zip(shapes, scales, strict=True)
    ]
    wide = [gradient.astype(np.longdouble) for gradient in gradients]
    norm = np.sqrt(sum((g**2).sum() for g in wide))
    for limit in (1.0, 1e-3) if mode == "reference" else (1.0,):
        factor = min(1, limit / (norm + 1e-6))
        for found, gradient, exact in zip(
            clipped(gradients, limit, mode=mode), gradients, wide, strict=True
        ):
            limits = np.finfo(gradient.dtype)
            if factor == 1:
                np.testing.assert_array_equal(found, gradient)
            error = np.abs(found - exact * factor).max()
            assert error <= 8 * (
                limits.eps * np.abs(exact).max() * factor + limits.smallest_subnormal
            )


@pytest.mark.parametrize("wrong", [np.inf, -np.inf, np.nan])
def test_clipping_by_norm_of_what_is_not_finite_is_nan(wrong, mode):
    gradients = [np.array([1, wrong, 2], "f4"), np.array([1, 2], "f4")]
    assert all(np.isnan(found).all() for found in clipped(gradients, 1.0, mode=mode))


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_clipping_by_norm_of_no_elements(dtype, mode):
    empty = np.zeros((0, 3), dtype)
    assert clipped([empty], 1.0, mode=mode)[0].shape == (0, 3)
    _, found = clipped([empty, np.array([3.0, 4.0])], 1.0, mode=mode)
    np.testing.assert_allclose(found, [0.6, 0.8], rtol=1e-5)


def test_clipping_by_value(mode):
    graph, loss = declare()
    gc.function([], loss, gc.optim.SGD(1.0, clip_value=0.2).updates(loss), mode=mode)()
    for name, slope in gradients(STARTS).items():
        np.testing.assert_allclose(
            graph.variables[name], STARTS[name] - np.clip(slope, -0.2, 0.2), atol=1e-15
        )


@pytest.mark.parametrize("norm", [0.5, 2.0, 1e6])
def test_values_are_clipped_before_the_norm_and_decay_is_not(norm, mode):
    graph, loss = declare()
    optimizer = gc.optim.SGD(1.0, weight_decay=0.1, clip_value=0.4, clip_norm=norm)
    gc.function([], loss, optimizer.updates(loss), mode=mode)()
    limited = {name: np.clip(slope, -0.4, 0.4) for name, slope in gradients(STARTS).items()}
    length = math.sqrt(sum((slope**2).sum() for slope in limited.values()))
    assert 0.5 < length < 2.0
    for name, start in STARTS.items():
        step = limited[name] * min(1, norm / (length + 1e-6)) + 0.1 * start
        np.testing.assert_allclose(graph.variables[name], start - step, rtol=1e-12, atol=1e-14)


def test_only_named_parameters_change(mode):
    graph, loss = declare()
    updates = gc.optim.SGD(0.1).updates(loss, [graph.states["a"]])
    gc.function([], loss, updates, mode=mode)()
    assert (graph.variables["a"] != STARTS["a"]).all()
    np.testing.assert_array_equal(graph.variables["b"], STARTS["b"])


@pytest.mark.parametrize(
    "make",
    [
        lambda: gc.optim.SGD(-1),
        lambda: gc.optim.SGD(momentum=-0.1),
        lambda: gc.optim.SGD(nesterov=True),
        lambda: gc.optim.SGD(momentum=0.9, dampening=0.1, nesterov=True),
        lambda: gc.optim.Adam(betas=(0.9, 1.0)),
        lambda: gc.optim.AdamW(betas=(-0.1, 0.9)),
        lambda: gc.optim.RMSprop(epsilon=-1e-8),
    ],
)
def test_impossible_hyperparameters(make):
    with pytest.raises(ValueError, match=r"SGD|Adam|RMSprop"):
        make()


KINDS = (
    gc.optim.SGD,
    gc.optim.Adadelta,
    gc.optim.Adagrad,
    gc.optim.RMSprop,
    gc.optim.Adam,
    gc.optim.AdamW,
    gc.optim.Adamax,
    gc.optim.NAdam,
    gc.optim.RAdam,
    gc.optim.Lion,
    gc.optim.Adafactor,
    gc.optim.Muon,
)
NUMBERS = [
    (kind, each.name)
    for kind in KINDS
    for each in dataclasses.fields(kind)
    if not isinstance(each.default, bool | str)
    and each.name
    not in (
        "groups",
        "gradient_accumulation_steps",
        "ns_coefficients",
        "ns_steps",
        "beta2_decay",
    )
    and (kind, each.name) != (gc.optim.Adafactor, "epsilon")
]


@pytest.mark.parametrize(("kind", "name"), NUMBERS)
def test_hyperparameters_are_finite_numbers(kind, name):
    for wrong in (math.nan, math.inf, -math.inf, -1, np.float32("nan"), 10**400, True, "0.1"):
        value = (0.9, wrong) if name == "betas" else wrong
        with pytest.raises((ValueError, TypeError), match=f"^{kind.__name__}: {name}: "):
            kind(**{name: value})
    kind(**{name: (np.float32(0.5), 0) if name == "betas" else np.float64(0.5)})


FLAGS = [
    (kind, each.name)
    for kind in KINDS
    for each in dataclasses.fields(kind)
    if isinstance(each.default, bool)
]


@pytest.mark.parametrize(("kind", "name"), FLAGS)
def test_flags_are_true_or_false(kind, name):
    for wrong in ("False", "no", 0, 1, math.nan, None):
        with pytest.raises(TypeError, match=f"^{kind.__name__}: {name}: True or False expected"):
            kind(**{name: wrong})
    kind(**{name: np.False_})


def test_hyperparameters_are_finite_in_the_dtype_of_the_parameter():
    for dtype, optimizer in [("f32", gc.optim.SGD(1e39)), ("f32", gc.optim.Adam(epsilon=1e300))]:
        _, loss = declare(dtype)
        with pytest.raises(ValueError, match="a finite number of f32 expected"):
            optimizer.updates(loss)
    _, loss = declare("f64")
    gc.optim.Adam(1e39, epsilon=1e300).updates(loss)


@pytest.mark.parametrize("by_model", [True, False])
@pytest.mark.parametrize("optimizer", WITH_ALL, ids=lambda optimizer: type(optimizer).__name__)
def test_a_parameters_step_has_its_dtype(optimizer, by_model):
    """A loss of f32 and a neighbour of f32 do not round what is computed for f64."""
    reached = []
    for loss_dtype, has_neighbour in (("f64", False), ("f32", False), ("f32", True)):
        graph = gc.Graph()
        x = graph.input("x", ("batch",), loss_dtype)
        if has_neighbour:
            narrow = graph.parameter("narrow", (4,), STARTS["b"], "f32")
        w = graph.parameter("w", (4,), STARTS["b"], "f64")
        loss = gc.cast(gc.sum(w * w), loss_dtype) + 0 * gc.sum(x)
        if has_neighbour:
            loss = loss + gc.sum(narrow * narrow)
        if by_model:
            model = gc.Model(x, x, loss=loss)
            model.compile(optimizer, mode="reference")
            model.fit(np.zeros(5), batch_size=1)
        else:
            step = gc.function([x], loss, optimizer.updates(loss), mode="reference")
            for _ in range(5):
                step(np.zeros(1))
        reached.append(graph.variables["w"])
    np.testing.assert_array_equal(reached[1], reached[0])
    np.testing.assert_array_equal(reached[2], reached[0])


def test_nothing_to_train():
    graph = gc.Graph()
    x = graph.input("x", ())
    with pytest.raises(gc.GraphError, match="no parameter"):
        gc.optim.SGD().updates(x * x)
    with pytest.raises(gc.GraphError, match="scalar"):
        gc.optim.SGD().updates(graph.parameter("w", (2,)) * x)
