"""Optimizers, each with its published algorithm, written in numpy in torch's words."""

import dataclasses
import math

import numpy as np

import graphc as gc

RNG = np.random.default_rng(5)
STARTS = {"a": RNG.normal(size=(3, 2)), "b": RNG.normal(size=4)}
TARGETS = {"a": RNG.normal(size=(3, 2)), "b": RNG.normal(size=4)}


def gradients(values):
    """Of sum((w - target)^2 / 2 + (w - target)^4 / 4)."""
    return {n: (w - TARGETS[n]) + (w - TARGETS[n]) ** 3 for n, w in values.items()}


def declare(dtype="f64", graph=None, prefix=""):
    """The graph, or another one, with the parameters and their loss."""
    graph = gc.Graph() if graph is None else graph
    loss = 0.0
    for name, start in STARTS.items():
        w = graph.parameter(prefix + name, start.shape, start, dtype)
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


def adadelta(p, g, s, t, lr=1.0, rho=0.9, eps=1e-6, weight_decay=0):
    g = g + weight_decay * p
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g * g
    step = np.sqrt(s.get("u", 0) + eps) / np.sqrt(s["v"] + eps) * g
    s["u"] = rho * s.get("u", 0) + (1 - rho) * step * step
    return p - lr * step


def adamax(p, g, s, t, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0):
    g = g + weight_decay * p
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["u"] = np.maximum(betas[1] * s.get("u", 0), np.abs(g) + eps)
    return p - lr / (1 - betas[0] ** t) * s["m"] / s["u"]


def decay(p, g, lr, weight_decay, decoupled):
    return (p * (1 - lr * weight_decay), g) if decoupled else (p, g + weight_decay * p)


def nadam(
    p, g, s, t, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, momentum_decay=4e-3,
    decoupled_weight_decay=False,
):  # fmt: skip
    p, g = decay(p, g, lr, weight_decay, decoupled_weight_decay)
    mu, following = (betas[0] * (1 - 0.96 ** (k * momentum_decay) / 2) for k in (t, t + 1))
    s["mu"] = s.get("mu", 1) * mu
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g * g
    root = np.sqrt(s["v"] / (1 - betas[1] ** t)) + eps
    p = p - lr * (1 - mu) / (1 - s["mu"]) * g / root
    return p - lr * following / (1 - s["mu"] * following) * s["m"] / root


def radam(
    p, g, s, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0,
    decoupled_weight_decay=False,
):  # fmt: skip
    p, g = decay(p, g, lr, weight_decay, decoupled_weight_decay)
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g * g
    c1, c2 = 1 - betas[0] ** t, 1 - betas[1] ** t
    most = 2 / (1 - betas[1]) - 1
    rho = most - 2 * t * betas[1] ** t / c2
    if rho <= 5:
        return p - lr * s["m"] / c1
    share = (rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)
    return p - lr * s["m"] / c1 * math.sqrt(share) * math.sqrt(c2) / (np.sqrt(s["v"]) + eps)


def lion(p, g, s, t, lr=1e-4, betas=(0.9, 0.99), weight_decay=0):
    m = s.get("m", 0)
    s["m"] = betas[1] * m + (1 - betas[1]) * g
    return p * (1 - lr * weight_decay) - lr * np.sign(betas[0] * m + (1 - betas[0]) * g)


def rms(x):
    return math.sqrt((x**2).mean())


def adafactor(p, g, s, t, lr=1e-2, beta2_decay=-0.8, eps=(None, 1e-3), d=1.0, weight_decay=0):
    least = np.finfo(p.dtype).eps if eps[0] is None else eps[0]
    share = t**beta2_decay
    names = {"all": ()} if p.ndim < 2 else {"rows": (-1,), "columns": (-2,)}
    for name, axes in names.items():
        mean = (g * g).mean(axes, keepdims=True) if axes else g * g
        s[name] = (1 - share) * s.get(name, 0) + share * mean
    if p.ndim < 2:
        v = s["all"]
    else:
        v = s["rows"] * s["columns"] / np.maximum(s["rows"].mean(-2, keepdims=True), least)
    u = g / np.sqrt(np.maximum(v, least**2))
    size = max(eps[1], rms(p)) * min(lr, 1 / math.sqrt(t)) / max(1, rms(u) / d)
    return p * (1 - lr * weight_decay) - size * u


def muon(
    p, g, s, t, lr=1e-3, weight_decay=0.1, momentum=0.95, nesterov=True,
    ns_coefficients=(3.4445, -4.775, 2.0315), eps=1e-7, ns_steps=5, adjust_lr_fn="original",
):  # fmt: skip
    s["m"] = momentum * s.get("m", 0) + (1 - momentum) * g
    u = momentum * s["m"] + (1 - momentum) * g if nesterov else s["m"]
    a, b, c = ns_coefficients
    x = u / max(np.linalg.norm(u), eps)
    for _ in range(ns_steps):
        x = a * x + (b * x @ x.T + c * x @ x.T @ x @ x.T) @ x
    n, m = p.shape
    scale = math.sqrt(max(1, n / m)) if adjust_lr_fn == "original" else 0.2 * math.sqrt(max(n, m))
    return p * (1 - lr * weight_decay) - lr * scale * x


def muon_and_adamw(p, g, s, t, lr=0.02, **rest):
    """The vector by AdamW, at half of the rate."""
    return muon(p, g, s, t, lr, **rest) if p.ndim == 2 else adamw(p, g, s, t, lr=lr / 2)


def lookahead(p, g, s, t, lr=0.05, k=6, alpha=0.5, weight_decay=0.1):
    slow = s.setdefault("slow", p)
    p = adamw(p, g, s, t, lr=lr, weight_decay=weight_decay)
    if t % k == 0:
        p = s["slow"] = slow + alpha * (p - slow)
    return p


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
        gc.optim.Adam(0.002, (0.0, 0.9), weight_decay=0.1),
        adam,
        {"lr": 0.002, "betas": (0.0, 0.9), "weight_decay": 0.1},
    ),
    (gc.optim.Adam(0.1, amsgrad=True), adam, {"lr": 0.1, "amsgrad": True}),
    (gc.optim.AdamW(), adamw, {}),
    (gc.optim.AdamW(0.1, weight_decay=0.3), adamw, {"lr": 0.1, "weight_decay": 0.3}),
    (gc.optim.AdamW(0.1, weight_decay=0), adamw, {"lr": 0.1, "weight_decay": 0}),
    (gc.optim.SGD(1e-4, 0.5, maximize=True), sgd, {"lr": 1e-4, "momentum": 0.5, "maximize": True}),
    (
        gc.optim.AdamW(1e-3, weight_decay=0.2, maximize=True),
        adamw,
        {"lr": 1e-3, "weight_decay": 0.2, "maximize": True},
    ),
    (gc.optim.Adadelta(), adadelta, {}),
    (
        gc.optim.Adadelta(0.5, 0.8, 1e-4, 0.1),
        adadelta,
        {"lr": 0.5, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.1},
    ),
    (gc.optim.Adamax(), adamax, {}),
    (
        gc.optim.Adamax(0.002, (0.5, 0.9), 1e-4, 0.1),
        adamax,
        {"lr": 0.002, "betas": (0.5, 0.9), "eps": 1e-4, "weight_decay": 0.1},
    ),
    (gc.optim.NAdam(), nadam, {}),
    (
        gc.optim.NAdam(0.01, (0.8, 0.9), 1e-4, 0.1, 0.05),
        nadam,
        {"lr": 0.01, "betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1, "momentum_decay": 0.05},
    ),
    (
        gc.optim.NAdam(0.01, weight_decay=0.3, decoupled_weight_decay=True),
        nadam,
        {"lr": 0.01, "weight_decay": 0.3, "decoupled_weight_decay": True},
    ),
    (gc.optim.RAdam(), radam, {}),
    (
        gc.optim.RAdam(0.02, (0.8, 0.9), 1e-4, 0.1),
        radam,
        {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1},
    ),
    (
        gc.optim.RAdam(0.02, weight_decay=0.3, decoupled_weight_decay=True),
        radam,
        {"lr": 0.02, "weight_decay": 0.3, "decoupled_weight_decay": True},
    ),
    (gc.optim.Lion(), lion, {}),
    (
        gc.optim.Lion(0.003, (0.8, 0.95), 0.3),
        lion,
        {"lr": 0.003, "betas": (0.8, 0.95), "weight_decay": 0.3},
    ),
    (gc.optim.Adafactor(), adafactor, {}),
    (
        gc.optim.Adafactor(0.3, -0.5, (1e-4, 0.1), 1.5, 0.1),
        adafactor,
        {"lr": 0.3, "beta2_decay": -0.5, "eps": (1e-4, 0.1), "d": 1.5, "weight_decay": 0.1},
    ),
    (
        gc.optim.Muon(0.02, groups={"*b": gc.optim.AdamW(0.01)}),
        muon_and_adamw,
        {"lr": 0.02},
    ),
    (
        gc.optim.Muon(
            0.02,
            0.3,
            0.8,
            False,
            adjust_lr_fn="match_rms_adamw",
            groups={"*b": gc.optim.AdamW(0.01)},
        ),
        muon_and_adamw,
        {
            "lr": 0.02,
            "weight_decay": 0.3,
            "momentum": 0.8,
            "nesterov": False,
            "adjust_lr_fn": "match_rms_adamw",
        },
    ),
    (gc.optim.Lookahead(gc.optim.AdamW(0.05, weight_decay=0.1)), lookahead, {}),
    (
        gc.optim.Lookahead(gc.optim.AdamW(0.05, weight_decay=0.1), 4, 0.8),
        lookahead,
        {"k": 4, "alpha": 0.8},
    ),
]

IDS = [
    "-".join([algorithm.__name__, *given, str(number)])
    for number, (_, algorithm, given) in enumerate(CASES)
]

# Each with all that it keeps.
WITH_ALL = [
    gc.optim.SGD(0.1, 0.9, 0.3, 0.1),
    gc.optim.Adagrad(0.1, 0.2, 0.1),
    gc.optim.RMSprop(0.1, weight_decay=0.1, momentum=0.9, centered=True),
    gc.optim.Adam(0.1, weight_decay=0.1),
    gc.optim.AdamW(0.1, weight_decay=0.1),
    gc.optim.Adadelta(0.5, weight_decay=0.1),
    gc.optim.Adamax(0.1, weight_decay=0.1),
    gc.optim.NAdam(0.1, weight_decay=0.1),
    gc.optim.RAdam(0.1, weight_decay=0.1),
    gc.optim.Lion(0.01, weight_decay=0.1),
    gc.optim.Adafactor(0.1, weight_decay=0.1),
    gc.optim.Lookahead(gc.optim.Adam(0.1, weight_decay=0.1), 2),
]
# For the parameters a, or w, and b of the tests.
MUON = gc.optim.Muon(0.1, groups={"b": gc.optim.SGD(0.1)})


def after_steps(algorithm, arguments, steps, rates=None):
    """The parameters after so many steps; rates: those of the steps."""
    options = dict(arguments)
    sign = -1 if options.pop("maximize", False) else 1
    values = {name: start.copy() for name, start in STARTS.items()}
    slots = {name: {} for name in values}
    for t in range(1, steps + 1):
        if rates is not None:
            options["lr"] = rates[t - 1]
        slopes = gradients(values)
        for name in values:
            slope = sign * slopes[name]
            values[name] = algorithm(values[name], slope, slots[name], t, **options)
    return values


def run_all(steps, mode, cases=None):
    """What each case reaches, by its name: all in one function, each with parameters of its own."""
    cases = dict(zip(IDS, CASES, strict=True)) if cases is None else cases
    graph, updates, losses = gc.Graph(), {}, []
    for case, (optimizer, _, _) in cases.items():
        _, loss = declare(graph=graph, prefix=f"{case}.")
        updates |= optimizer.updates(loss)
        losses.append(loss)
    step = gc.function([], losses, updates, mode=mode)
    for _ in range(steps):
        step()
    return {case: {n: graph.variables[f"{case}.{n}"] for n in STARTS} for case in cases}


def assert_values(found, expected, tolerance=1e-12):
    """Relative to the values' scale: a single element may be anywhere near 0."""
    for name, value in expected.items():
        np.testing.assert_allclose(
            found[name], value, rtol=tolerance, atol=tolerance * np.abs(value).max()
        )


def assert_each_element(found, expected, tolerance):
    """Relative to each element: no step of these cases cancels digits."""
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=tolerance)


def with_options(optimizer, **options):
    """The optimizer with clipping, accumulation or groups, which Lookahead has of another one."""
    if isinstance(optimizer, gc.optim.Lookahead):
        inner = dataclasses.replace(optimizer.optimizer, **options)
        return dataclasses.replace(optimizer, optimizer=inner)
    return dataclasses.replace(optimizer, **options)
