"""Derivatives are accurate where the function saturates: within 4 ULP wherever they are normal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gc
from graphc.ir.ops.elementwise import elementwise as ops

LARGEST_ERROR_ULP = 4.0
POINTS = 4096
WIDE = np.longdouble

Written = Callable[[gc.Node], gc.Node]
Exact = Callable[[Any], Any]


def sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def slope(x: Any) -> Any:
    return sigmoid(x) * sigmoid(-x)


def sech_squared(x: Any) -> Any:
    return 4 * slope(2 * x)


def elu(alpha: float) -> tuple[Written, Exact]:
    return (
        lambda x: gc.elu(x, alpha),
        lambda x: np.where(x > 0, 1, alpha * np.exp(np.minimum(x, 0))),
    )


def cross_entropy(target: float) -> tuple[Written, Exact]:
    exact: Exact = sigmoid if target == 0 else lambda x: -sigmoid(-x)
    return lambda x: ops.sigmoid_cross_entropy(x, target), exact


def written_cross_entropy(target: float) -> tuple[Written, Exact]:
    def write(x: gc.Node) -> gc.Node:
        p, t = gc.sigmoid(x), gc.broadcast_to(x.graph.constant(target, x.dtype), x.shape)
        return -(t * gc.log(p) + (1 - t) * gc.log(1 - p))

    return write, cross_entropy(target)[1]


CASES: dict[str, tuple[Written, Exact]] = {
    "tanh": (gc.tanh, sech_squared),
    "sigmoid": (gc.sigmoid, slope),
    "softplus": (gc.softplus, sigmoid),
    "expm1": (gc.expm1, np.exp),
    "elu": elu(1.0),
    "elu 0.25": elu(0.25),
    "elu -2": elu(-2.0),
    "cross entropy of 0": cross_entropy(0.0),
    "cross entropy of 1": cross_entropy(1.0),
    "1 / (1 + exp(-x))": (lambda x: 1 / (1 + gc.exp(-x)), slope),
    "exp(x) / (1 + exp(x))": (lambda x: gc.exp(x) / (1 + gc.exp(x)), slope),
    "exp(x) - 1": (lambda x: gc.exp(x) - 1, np.exp),
    "log(1 + exp(x))": (lambda x: gc.log(1 + gc.exp(x)), sigmoid),
    "log(sigmoid(x))": (lambda x: gc.log(gc.sigmoid(x)), lambda x: sigmoid(-x)),
    "log(1 - sigmoid(x))": (lambda x: gc.log(1 - gc.sigmoid(x)), lambda x: -sigmoid(x)),
    "quotient of exponentials": (
        lambda x: (gc.exp(x) - gc.exp(-x)) / (gc.exp(x) + gc.exp(-x)),
        sech_squared,
    ),
    "written cross entropy of 0": written_cross_entropy(0.0),
    "written cross entropy of 1": written_cross_entropy(1.0),
}


def points(dtype: str) -> np.ndarray:
    """Where the functions bend, and as far out as any derivative is a normal number."""
    rng = np.random.default_rng(3)
    far = 90 if dtype == "f32" else 712
    near = np.exp(rng.uniform(-30, 2, POINTS // 4)) * rng.choice([-1, 1], POINTS // 4)
    parts = [rng.uniform(-far, far, POINTS // 2), rng.uniform(-6, 6, POINTS // 4 - 8), near]
    special = [0.0, -0.0, 1e-40, 20.0, -20.0, 44.3, -44.3, 87.3]
    return np.concatenate([special, *parts]).astype(dtype.replace("f", "float"))


def errors_in_ulp(result: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """In units of the last place of `exact`, 0 where it is not a normal number of the dtype."""
    info = np.finfo(result.dtype)
    exponent = np.frexp(np.where(exact == 0, 1, np.abs(exact)))[1] - 1
    unit = np.ldexp(WIDE(1), exponent - info.nmant)
    normal = (np.abs(exact) >= WIDE(info.tiny)) & (np.abs(exact) <= WIDE(info.max))
    return np.where(normal, np.abs(result.astype(WIDE) - exact) / unit, 0)


@pytest.mark.skipif(
    np.finfo(np.longdouble).nmant <= np.finfo(np.float64).nmant, reason="needs a wider reference"
)
@pytest.mark.parametrize("mode", ["compiled", "reference"])
@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_derivatives_are_within_4_ulp(dtype: str, mode: Any) -> None:
    graph = gc.Graph()
    x = graph.input("x", (POINTS,), dtype)
    derived = {name: gc.grad(gc.sum(write(x)), x) for name, (write, _) in CASES.items()}
    values = points(dtype)
    results = gc.function([x], derived, mode=mode)(values)
    with np.errstate(all="ignore"):
        worst = {
            name: errors_in_ulp(results[name], exact(values.astype(WIDE))).max()
            for name, (_, exact) in CASES.items()
        }
    assert {name: error for name, error in worst.items() if not error <= LARGEST_ERROR_ULP} == {}


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_slopes_at_infinity_are_0_and_nan_stays(dtype: str) -> None:
    graph = gc.Graph()
    x = graph.input("x", (3,), dtype)
    derived = {name: gc.grad(gc.sum(f(x)), x) for name, f in (("t", gc.tanh), ("s", gc.sigmoid))}
    values = np.array([np.inf, -np.inf, np.nan], dtype.replace("f", "float"))
    for result in gc.function([x], derived)(values).values():
        np.testing.assert_array_equal(result, [0, 0, np.nan])


@pytest.mark.parametrize("dtype", ["f32", "f64"])
def test_a_target_next_to_1_keeps_its_loss(dtype: str) -> None:
    """(1 - t) z is not the difference of z and t z, which are nearly equal."""
    graph = gc.Graph()
    z, t = graph.input("z", (2,), dtype), graph.input("t", (2,), dtype)
    target = 1 - np.finfo(dtype.replace("f", "float")).epsneg
    logits = np.array([1000.0, 1e6], dtype.replace("f", "float"))
    for loss in (
        ops.sigmoid_cross_entropy(z, t),
        -(t * gc.log(gc.sigmoid(z)) + (1 - t) * gc.log(1 - gc.sigmoid(z))),
    ):
        result = gc.function([z, t], loss)(logits, np.full(2, target, logits.dtype))
        np.testing.assert_allclose(result, (1 - target) * logits, rtol=4 * (1 - target))


def test_second_and_third_derivatives_hold_at_0_and_in_the_tail() -> None:
    graph = gc.Graph()
    x = graph.input("x", (4,), "f64")
    values = np.array([0.0, -0.0, 1e-9, -25.0])
    s, t = sigmoid(values), np.tanh(values)
    exact = {
        gc.sigmoid: (slope(values) * -np.tanh(values / 2), slope(values) * (1 - 6 * slope(values))),
        gc.tanh: (-2 * t * sech_squared(values), sech_squared(values) * (6 * t * t - 2)),
        gc.softplus: (slope(values), slope(values) * -np.tanh(values / 2)),
        gc.elu: (np.where(values > 0, 0, np.exp(values)),) * 2,
        gc.expm1: (np.exp(values), np.exp(values)),
        lambda x: ops.sigmoid_cross_entropy(x, 1.0): (
            slope(values),
            slope(values) * -np.tanh(values / 2),
        ),
    }
    assert np.all(s > 0)
    for function, (second, third) in exact.items():
        derived = [function(x)]
        for _ in range(3):
            derived.append(gc.grad(gc.sum(derived[-1]), x))
        found = gc.function([x], derived[2:])(values)
        np.testing.assert_allclose(found[0], second, rtol=1e-13)
        np.testing.assert_allclose(found[1], third, rtol=1e-13)
