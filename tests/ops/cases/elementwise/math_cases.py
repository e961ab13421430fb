"""Cases of the elementwise functions beyond arithmetic: rounding, gates, mathematics."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np

from graphc.ir.errors import DTypeError, GraphError, ShapeError
from graphc.ir.nodes.op import Array
from graphc.ir.ops import OPS
from graphc.testing.cases import (
    REVERSED,
    STEPPED,
    TRANSPOSED,
    Case,
    ErrorCase,
    Operand,
    Sampler,
    away_from_zero,
    integers,
    positive,
    special,
    special_rotated,
    spread,
    uniform,
)
from tests.ops.cases.elementwise.elementwise_cases import by_scalar
from tests.ops.cases.elementwise.elementwise_errors import applied


def between_steps(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """At least 0.1 from each whole number and from what lies half way between two."""
    fraction = rng.uniform(0.1, 0.4, shape) + rng.choice([0.0, 0.5], shape)
    return np.asarray(rng.integers(-3, 3, shape) + fraction)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _silu_slope(x: float) -> float:
    return _sigmoid(x) * (1 + x * (1 - _sigmoid(x)))


def _mish_gate(x: float) -> float:
    return math.tanh(math.log(1 + math.exp(x)))


def _normal(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def _digamma(x: float) -> float:
    """The asymptotic series further up, and the recurrence down from there."""
    y = x + FAR_UP
    series = (0.5 + (1 / 12 - (1 / 120 - 1 / (252 * y**2)) / y**2) / y) / y
    steps = (-1 / (x + n) for n in range(FAR_UP))
    # The logarithm of a number near 1 is rounded to less than that of y.
    return math.fsum([math.log(y / 64), 6 * LOG_2, 6 * LOG_2_LOW, -series, *steps])


def _trigamma(x: float) -> float:
    y = x + FAR_UP
    series = (1 + (0.5 + (1 / 6 - (1 / 30 - 1 / (42 * y**2)) / y**2) / y) / y) / y
    return math.fsum([series, *((x + n) ** -2 for n in range(FAR_UP))])


FAR_UP = 60
LOG_2, LOG_2_LOW = 0.6931471805599453, 2.3190468138462996e-17

# name: values, the function of Python numbers
UNARY: dict[str, tuple[Sampler, Callable[[float], float]]] = {
    "floor": (between_steps, math.floor),
    "ceil": (between_steps, math.ceil),
    "trunc": (between_steps, math.trunc),
    "round": (between_steps, round),
    "silu": (spread, lambda x: x * _sigmoid(x)),
    "silu_slope": (spread, _silu_slope),
    "mish": (spread, lambda x: x * _mish_gate(x)),
    "mish_slope": (
        spread, lambda x: _mish_gate(x) + x * _sigmoid(x) * (1 - _mish_gate(x) ** 2)
    ),
    "softsign": (away_from_zero, lambda x: x / (1 + abs(x))),
    "erf": (spread, math.erf),
    "erfc": (spread, math.erfc),
    "exp_minus_square": (spread, lambda x: math.exp(-x * x)),
    "gelu": (spread, lambda x: x * _normal(x)),
    "gelu_slope": (spread, lambda x: _normal(x) + x * math.exp(-x * x / 2) / math.sqrt(math.tau)),
    "lgamma": (uniform(0.5, 3.0), math.lgamma),
    "digamma": (uniform(0.5, 3.0), _digamma),
    "trigamma": (uniform(0.5, 3.0), _trigamma),
    "exp2": (spread, lambda x: 2**x),
    "log2": (positive, math.log2),
    "log10": (positive, math.log10),
    "tan": (uniform(-1.2, 1.2), math.tan),
    "sinh": (spread, math.sinh),
    "cosh": (spread, math.cosh),
    "asin": (uniform(-0.8, 0.8), math.asin),
    "acos": (uniform(-0.8, 0.8), math.acos),
    "atan": (spread, math.atan),
    "asinh": (spread, math.asinh),
    "acosh": (uniform(1.3, 3.0), math.acosh),
    "atanh": (uniform(-0.8, 0.8), math.atanh),
}  # fmt: skip


# What has no second derivative.
ONCE = ("digamma",)


def quotients_between_steps(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Over 2 or -2 they are at least 0.1 from a whole number."""
    return 2 * between_steps(rng, shape)


def near_two(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """2 or -2, so little off that no quotient moves over a whole number."""
    return np.asarray(rng.choice([-2.0, 2.0], shape) * rng.uniform(0.999, 1.001, shape))


# name: values of both operands, the function of Python numbers
BINARY: dict[str, tuple[Sampler, Sampler, Callable[[float, float], float]]] = {
    "mod": (quotients_between_steps, near_two, lambda x, y: x % y),
    "floor_divide": (quotients_between_steps, near_two, lambda x, y: x // y),
    "hypot": (away_from_zero, away_from_zero, math.hypot),
    "atan2": (away_from_zero, away_from_zero, math.atan2),
    "logaddexp": (spread, spread, lambda x, y: math.log(math.exp(x) + math.exp(y))),
    "logaddexp2": (spread, spread, lambda x, y: math.log2(2**x + 2**y)),
}
OF_INTEGERS: dict[str, Callable[[int, int], int]] = {
    "mod": lambda x, y: x % y if y else 0,
    "floor_divide": lambda x, y: x // y if y else 0,
}


def _unary_cases() -> Iterator[Case]:
    for name, (sample, function) in UNARY.items():
        expect = by_scalar(function)
        open_, turned = Operand(("batch", 17), sample=sample), Operand((5, 3), sample=sample)
        bindings, smooth = {"batch": 3}, name not in ONCE
        yield Case(name, "open", (open_,), expect=expect, smooth=smooth, bindings=bindings)
        turned = Operand((5, 3), sample=sample, layout=TRANSPOSED)
        yield Case(name, "transposed", (turned,), expect=expect, smooth=smooth)
        yield Case(name, "special", (Operand((17,), sample=special),), gradient=False)
    for name in itertools.islice(UNARY, 0, None, 5):
        sample, function = UNARY[name]
        for shape in (), (0,), (1,), (15,):
            label = "x".join(map(str, shape)) or "scalar"
            operand = Operand(shape, sample=sample)
            smooth = name not in ONCE
            yield Case(name, label, (operand,), expect=by_scalar(function), smooth=smooth)


def _binary_cases() -> Iterator[Case]:
    for name, (sample_x, sample_y, function) in BINARY.items():
        expect = by_scalar(function)
        operands = (
            Operand(("batch", 9), sample=sample_x), Operand((3, 1, 9), sample=sample_y),
        )  # fmt: skip
        yield Case(name, "open", operands, expect=expect, bindings={"batch": 2}, reduction_length=3)
        operands = (
            Operand((5, 3), sample=sample_x, layout=STEPPED),
            Operand((5, 3), sample=sample_y, layout=REVERSED),
        )
        yield Case(name, "strided", operands, expect=expect)
        operands = (Operand((17,), sample=special), Operand((17,), sample=special_rotated))
        yield Case(name, "special", operands, gradient=False)
    for name, combine in OF_INTEGERS.items():
        for dtype in ("i32", "i64"):
            operand = Operand((7, 5), dtype, integers(-9, 9))
            yield Case(name, dtype, (operand, operand), expect=by_scalar(combine, int))


MATH_CASES: tuple[Case, ...] = (*_unary_cases(), *_binary_cases())


def _errors() -> Iterator[ErrorCase]:
    for name in (*UNARY, *BINARY):
        arity = OPS[name].arity or 1
        refused = "u8" if name in OF_INTEGERS else "i64"
        types = (((3,), refused),) * arity
        shown = ", ".join([rf"{refused}\[3\]"] * arity)
        expected = "f32, f64, i32 or i64" if name in OF_INTEGERS else "f32 or f64"
        yield ErrorCase(
            name, refused, applied(name, types), DTypeError,
            rf"^{name}\({shown}\): {expected} expected, not {refused}",
        )  # fmt: skip
        many = (((3,), "f32"),) * (arity + 1)
        yield ErrorCase(
            name, "arity", applied(name, many), GraphError, f"{arity} operands expected"
        )
    for name in BINARY:
        yield ErrorCase(
            name, "shapes", applied(name, (((3,), "f32"), ((4,), "f32"))),
            ShapeError, rf"^{name}\(f32\[3\], f32\[4\]\): extents 3 and 4 do not broadcast",
        )  # fmt: skip


MATH_ERRORS: tuple[ErrorCase, ...] = tuple(_errors())
