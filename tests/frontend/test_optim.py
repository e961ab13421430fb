"""Optimizers against PyTorch's published algorithms, written independently in numpy."""

import math

import numpy as np
import pytest

import graphc as gc

STEPS = 20
RNG = np.random.default_rng(5)
STARTS = {"a": RNG.normal(size=(3, 2)), "b": RNG.normal(size=4)}
TARGETS = {"a": RNG.normal(size=(3, 2)), "b": RNG.normal(size=4)}


def gradients(values):
    """Of sum((w - target)^2 / 2 + (w - target)^4 / 4)."""
    return {n: (w - TARGETS[n]) + (w - TARGETS[n]) ** 3 for n, w in values.items()}


def declare(dtype="f64"):
    graph = gc.Graph()
    loss = 0.0
    for name, start in STARTS.items():
        w = graph.parameter(name, start.shape, start, dtype)
        d = w - TARGETS[name]
        loss = loss + gc.sum(gc.square(d)) / 2 + gc.sum(gc.square(gc.square(d))) / 4
    return graph, loss


def sgd(p, g, s, t, lr=1e-3, momentum=0, dampening=0, weight_decay=0, nesterov=False):
    if weight_decay:
        g = g + weight_decay * p
    if momentum:
        s["b"] = momentum * s["b"] + (1 - dampening) * g if t > 1 else g
        g = g + momentum * s["b"] if nesterov else s["b"]
    return p - lr * g


def adagrad(p, g, s, t, lr=1e-2, lr_decay=0, weight_decay=0, initial=0, eps=1e-10):
    if weight_decay:
        g = g + weight_decay * p
    rate = lr / (1 + (t - 1) * lr_decay)
    s["sum"] = s.get("sum", np.full_like(p, initial)) + g * g
    return p - rate * g / (np.sqrt(s["sum"]) + eps)


def rmsprop(p, g, s, t, lr=1e-2, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
    if weight_decay:
        g = g + weight_decay * p
    s["v"] = alpha * s.get("v", 0) + (1 - alpha) * g * g
    variance = s["v"]
    if centered:
        s["g"] = s.get("g", 0) * alpha + (1 - alpha) * g
        variance = variance - s["g"] ** 2
    if momentum:
        s["b"] = momentum * s.get("b", 0) + g / (np.sqrt(variance) + eps)
        return p - lr * s["b"]
    return p - lr * g / (np.sqrt(variance) + eps)


def adam(
    p, g, s, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False,
    decoupled=False,
):  # fmt: skip
    if decoupled:
        p = p - lr * weight_decay * p
    elif weight_decay:
        g = g + weight_decay * p
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g * g
    v = s["v"]
    if amsgrad:
        v = s["max"] = np.maximum(s.get("max", 0), v)
    c1, c2 = 1 - betas[0] ** t, 1 - betas[1] ** t
    return p - lr / c1 * s["m"] / (np.sqrt(v) / math.sqrt(c2) + eps)


def adamw(p, g, s, t, weight_decay=1e-2, **rest):
    return adam(p, g, s, t, weight_decay=weight_decay, decoupled=True, **rest)


CASES = [
    (gc.optim.SGD(), sgd, {}),
    (gc.optim.SGD(0.05, weight_decay=0.1), sgd, {"lr": 0.05, "weight_decay": 0.1}),
    (gc.optim.SGD(0.05, momentum=0.9), sgd, {"lr": 0.05, "momentum": 0.9}),
    (
        gc.optim.SGD(0.05, 0.9, 0.3, 0.1),
        sgd,
        {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
    ),
    (
        gc.optim.SGD(0.05, momentum=0.9, nesterov=True),
        sgd,
        {"lr": 0.05, "momentum": 0.9, "nesterov": True},
    ),
    (gc.optim.Adagrad(), adagrad, {}),
    (
        gc.optim.Adagrad(0.1, 0.2, 0.1, 0.5),
        adagrad,
        {"lr": 0.1, "lr_decay": 0.2, "weight_decay": 0.1, "initial": 0.5},
    ),
    (gc.optim.RMSprop(), rmsprop, {}),
    (
        gc.optim.RMSprop(weight_decay=0.1, momentum=0.9, centered=True),
        rmsprop,
        {"weight_decay": 0.1, "momentum": 0.9, "centered": True},
    ),
    (gc.optim.Adam(), adam, {}),
    (
        gc.optim.Adam(0.1, (0.0, 0.9), weight_decay=0.1),
        adam,
        {"lr": 0.1, "betas": (0.0, 0.9), "weight_decay": 0.1},
    ),
    (gc.optim.Adam(0.1, amsgrad=True), adam, {"lr": 0.1, "amsgrad": True}),
    (gc.optim.AdamW(), adamw, {}),
    (gc.optim.AdamW(0.1, weight_decay=0.3), adamw, {"lr": 0.1, "weight_decay": 0.3}),
    (gc.optim.AdamW(0.1, weight_decay=0), adamw, {"lr": 0.1, "weight_decay": 0}),
]


@pytest.mark.parametrize(
    ("optimizer", "algorithm", "arguments"),
    CASES,
    ids=[f"{algorithm.__name__}-{'-'.join(given)}" for _, algorithm, given in CASES],
)
def test_twenty_steps(optimizer, algorithm, arguments, mode):
    graph, loss = declare()
    step = gc.function([], loss, optimizer.updates(loss), mode=mode)
    values = {name: start.copy() for name, start in STARTS.items()}
    slots = {name: {} for name in values}
    for t in range(1, STEPS + 1):
        step()
        slopes = gradients(values)
        for name in values:
            values[name] = algorithm(values[name], slopes[name], slots[name], t, **arguments)
    for name, expected in values.items():
        # Relative to the values' scale: a single element may be anywhere near 0.
        np.testing.assert_allclose(
            graph.variables[name], expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max()
        )


def test_rate_is_set_between_steps(mode):
    graph, loss = declare()
    step = gc.function([], loss, gc.optim.SGD(0.1).updates(loss), mode=mode)
    step()
    before = {name: graph.variables[name] for name in STARTS}
    graph.variables["sgd.learning_rate"] = 0.01
    step()
    for name, slope in gradients(before).items():
        np.testing.assert_allclose(graph.variables[name], before[name] - 0.01 * slope)


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


def test_clipping_by_value(mode):
    graph, loss = declare()
    gc.function([], loss, gc.optim.SGD(1.0, clip_value=0.2).updates(loss), mode=mode)()
    for name, slope in gradients(STARTS).items():
        np.testing.assert_allclose(
            graph.variables[name], STARTS[name] - np.clip(slope, -0.2, 0.2), atol=1e-15
        )


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


def test_nothing_to_train():
    graph = gc.Graph()
    x = graph.input("x", ())
    with pytest.raises(gc.GraphError, match="no parameter"):
        gc.optim.SGD().updates(x * x)
    with pytest.raises(gc.GraphError, match="scalar"):
        gc.optim.SGD().updates(graph.parameter("w", (2,)) * x)
