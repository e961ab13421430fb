"""Cases of the elementwise ops."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from graphc.testing.cases import (
    FLOAT,
    REVERSED,
    STEPPED,
    TRANSPOSED,
    Case,
    Operand,
    Sampler,
    apart,
    away_from_zero,
    bools,
    fixed,
    integers,
    positive,
    special,
    special_rotated,
    spread,
    uniform,
)

# Nothing, one, and around the vector widths of f64 and f32 (8 and 16); every rank.
SHAPES: tuple[tuple[int, ...], ...] = (
    (), (0,), (1,), (7,), (8,), (9,), (15,), (16,), (17,), (3, 5), (4, 16), (2, 1, 3), (3, 0, 2),
    (2, 3, 1, 2),
)  # fmt: skip

# Pairs that broadcast: scalars, rows, columns, both, ranks that differ, extents of 0.
PAIRS = (
    ((), (5,)), ((3, 5), ()), ((5,), (3, 5)), ((3, 5), (3, 1)), ((4, 1), (1, 17)), ((1,), (0,)),
    ((2, 1, 3), (4, 1)), ((1, 1), (2, 3, 1, 2)), ((2, 3, 4, 2), (3, 1, 2)),
)  # fmt: skip


def by_scalar(function: Callable[..., Any], kind: type = float) -> Callable[..., Any]:
    """`function` of Python numbers, element by element."""
    everywhere = np.vectorize(function, otypes=[kind])

    def apply(*arrays: Any) -> Any:
        with np.errstate(all="ignore"):
            return everywhere(*arrays)

    return apply


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# name: values, the function of Python numbers, whether it is smooth on these values
UNARY: dict[str, tuple[Sampler, Callable[[float], float], bool]] = {
    "negate": (spread, lambda x: 0 - x, True),
    "reciprocal": (away_from_zero, lambda x: x**-1, True),
    "square": (spread, lambda x: x**2, True),
    "sqrt": (positive, lambda x: x**0.5, True),
    "abs": (away_from_zero, lambda x: math.sqrt(x * x), True),
    "sign": (away_from_zero, lambda x: math.copysign(1, x), True),
    "exp": (spread, math.exp, True),
    "expm1": (spread, math.expm1, True),
    "log": (positive, math.log, True),
    "log1p": (uniform(-0.5, 2), math.log1p, True),
    "sin": (spread, math.sin, True),
    "cos": (spread, math.cos, True),
    "tanh": (spread, math.tanh, True),
    "tanh_tail": (away_from_zero, lambda x: 1 - math.tanh(abs(x)), True),
    "tanh_slope": (spread, lambda x: math.cosh(x) ** -2, True),
    "sigmoid": (spread, _sigmoid, True),
    "sigmoid_tail": (away_from_zero, lambda x: _sigmoid(-abs(x)), True),
    "sigmoid_slope": (spread, lambda x: _sigmoid(x) * _sigmoid(-x), True),
    "softplus": (spread, lambda x: math.log(1 + math.exp(x)), True),
    "relu": (away_from_zero, lambda x: x if x > 0 else 0, True),
    "log_cosh": (spread, lambda x: math.log(math.cosh(x)), True),
    "copy": (spread, float, True),
}

# name: values of both operands, the function of Python numbers
BINARY: dict[str, tuple[Sampler, Sampler, Callable[[float, float], float]]] = {
    "add": (spread, spread, operator.add),
    "subtract": (spread, spread, operator.sub),
    "multiply": (spread, spread, operator.mul),
    "divide": (spread, away_from_zero, operator.truediv),
    "minimum": (uniform(0.0, 1.0), uniform(1.1, 2.0), lambda x, y: x if x < y else y),
    "maximum": (uniform(0.0, 1.0), uniform(1.1, 2.0), lambda x, y: x if x > y else y),
    "clamp_min": (uniform(0.0, 1.0), uniform(1.1, 2.0), lambda x, y: x if x > y else y),
    "clamp_max": (uniform(0.0, 1.0), uniform(1.1, 2.0), lambda x, y: x if x < y else y),
    "power": (positive, spread, math.pow),
    "weigh": (uniform(0.1, 1.0), spread, operator.mul),
    "sigmoid_cross_entropy": (
        spread,
        uniform(0.0, 1.0),
        lambda x, y: -y * math.log(_sigmoid(x)) - (1 - y) * math.log(1 - _sigmoid(x)),
    ),
    "hinge": (uniform(-2.0, 0.9), uniform(0.1, 1.0), lambda x, y: max(0.0, 1 - x * y)),
}

COMPARISONS = {
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}

INTEGER_OPERATORS: dict[str, Callable[..., int]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "minimum": min,
    "maximum": max,
    "clamp_min": max,
    "clamp_max": min,
}

OF_ONE_INTEGER: dict[str, Callable[..., int]] = {
    "negate": operator.neg,
    "square": lambda x: x * x,
    "abs": abs,
    "sign": lambda x: (x > 0) - (x < 0),
}

SWEPT = ("add", "exp", "where")  # these take every shape; the others some, in turn


def _shapes_in_turn() -> Iterator[tuple[int, ...]]:
    return itertools.cycle(SHAPES[1:])


def _shape_name(*shapes: tuple[Any, ...]) -> str:
    return "_".join("x".join(map(str, shape)) or "scalar" for shape in shapes)


def _unary_cases() -> Iterator[Case]:
    turn = _shapes_in_turn()
    for name, (sample, function, smooth) in UNARY.items():
        expect = by_scalar(function)
        shapes = SHAPES if name in SWEPT else ((), next(turn), next(turn))
        for shape in shapes:
            operands = (Operand(shape, sample=sample),)
            yield Case(name, _shape_name(shape), operands, expect=expect, smooth=smooth)
        for shape, layout in (((5, 3), TRANSPOSED), ((17,), STEPPED)):
            operands = (Operand(shape, sample=sample, layout=layout),)
            yield Case(name, layout.name, operands, expect=expect, smooth=smooth)
        operands = (Operand(("batch", 4), sample=sample),)
        yield Case(name, "open", operands, expect=expect, smooth=smooth, bindings={"batch": 3})
        yield Case(name, "special", (Operand((17,), sample=special),), gradient=False)


def _binary_cases() -> Iterator[Case]:
    turn, pairs = _shapes_in_turn(), itertools.cycle(PAIRS)
    for name, (sample_x, sample_y, function) in BINARY.items():
        expect = by_scalar(function)
        shapes = [(s, s) for s in (SHAPES if name in SWEPT else (next(turn), next(turn)))]
        shapes += PAIRS if name in SWEPT else (next(pairs), next(pairs), next(pairs))
        for x, y in dict.fromkeys(shapes):
            operands = (Operand(x, sample=sample_x), Operand(y, sample=sample_y))
            yield Case(name, _shape_name(x, y), operands, expect=expect, reduction_length=24)
        operands = (
            Operand((5, 3), sample=sample_x, layout=TRANSPOSED),
            Operand((5, 3), sample=sample_y, layout=REVERSED),
        )
        yield Case(name, "strided", operands, expect=expect)
        operands = (Operand(("batch", 4), sample=sample_x), Operand((4,), sample=sample_y))
        yield Case(name, "open", operands, expect=expect, bindings={"batch": 3})
        operands = (Operand((17,), sample=special), Operand((17,), sample=special_rotated))
        yield Case(name, "special", operands, gradient=False)
    for name, combine in INTEGER_OPERATORS.items():
        for dtype in ("i32", "i64"):
            operand = Operand((3, 5), dtype, integers(-9, 9))
            yield Case(name, dtype, (operand, operand), expect=by_scalar(combine, int))


def _integer_cases() -> Iterator[Case]:
    for name, function in OF_ONE_INTEGER.items():
        for dtype in ("i32", "i64"):
            operand = Operand((7, 5), dtype, integers(-9, 9))
            yield Case(name, dtype, (operand,), expect=by_scalar(function, int))


def _comparison_cases() -> Iterator[Case]:
    pairs = itertools.cycle(PAIRS)
    for name, function in COMPARISONS.items():
        expect = by_scalar(function, bool)
        few = fixed([-1.0, 0.0, 1.0, 0.0, 2.0])
        others = fixed([1.0, 0.0, -1.0, 2.0])
        for x, y in ((17,), (17,)), next(pairs), next(pairs):
            operands = (Operand(x, sample=few), Operand(y, sample=others))
            yield Case(name, _shape_name(x, y), operands, expect=expect)
        operands = (Operand((17,), sample=special), Operand((17,), sample=special_rotated))
        yield Case(name, "special", operands, expect=expect)
        few_integers = {"i32": integers(0, 3), "i64": integers(0, 3), "u8": integers(126, 130)}
        for dtype, sample in (few_integers | {"bool": bools}).items():
            operand = Operand((9,), dtype, sample)
            yield Case(name, dtype, (operand, operand), expect=expect)
        operands = (Operand(("batch", 3), sample=few), Operand((3,), sample=others))
        yield Case(name, "open", operands, expect=expect, bindings={"batch": 4})


def _logical_cases() -> Iterator[Case]:
    for name, function in (
        ("logical_and", operator.and_), ("logical_or", operator.or_), ("logical_xor", operator.ne),
    ):  # fmt: skip
        expect = by_scalar(function, bool)
        for x, y in ((17,), (17,)), ((3, 1), (5,)), ((0,), (0,)), ((), ()):
            operands = (Operand(x, "bool", bools), Operand(y, "bool", bools))
            yield Case(name, _shape_name(x, y), operands, expect=expect)
    for shape in (), (0,), (15,), (3, 5):
        operand = Operand(shape, "bool", bools)
        yield Case(
            "logical_not", _shape_name(shape), (operand,), expect=by_scalar(operator.not_, bool)
        )


def _where_cases() -> Iterator[Case]:
    expect = by_scalar(lambda c, x, y: x if c else y)
    shapes = [(s, s, s) for s in SHAPES] + [(p[0], p[1], ()) for p in PAIRS]
    shapes += [((2, 1), (3,), (4, 1, 1)), ((), (5,), (3, 1))]
    for c, x, y in shapes:
        operands = (Operand(c, "bool", bools), Operand(x), Operand(y))
        yield Case("where", _shape_name(c, x, y), operands, expect=expect, reduction_length=24)
    operands = (
        Operand((5, 3), "bool", bools, TRANSPOSED), Operand((5, 3), layout=STEPPED), Operand((3,)),
    )  # fmt: skip
    yield Case("where", "strided", operands, expect=expect)
    operands = (Operand(("batch", 1), "bool", bools), Operand((4,)), Operand(("batch", 4)))
    yield Case("where", "open", operands, expect=expect, bindings={"batch": 3})
    operands = (
        Operand((17,), "bool", bools), Operand((17,), sample=special), Operand((1,)),
    )  # fmt: skip
    yield Case("where", "special", operands, expect=expect, gradient=False)
    for dtype, sample, kind in (
        ("i64", integers(-9, 9), int), ("u8", integers(0, 256), int), ("bool", bools, bool),
    ):  # fmt: skip
        operands = (Operand((9,), "bool", bools), *(Operand((9,), dtype, sample),) * 2)
        of_kind = by_scalar(lambda c, x, y: x if c else y, kind)
        yield Case("where", dtype, operands, expect=of_kind)


def _stopped_cases() -> Iterator[Case]:
    samples = {"i64": integers(-9, 9), "u8": integers(0, 256), "bool": bools}
    for shape in (), (0,), (17,), (3, 5):
        yield Case("stop_gradient", _shape_name(shape), (Operand(shape),), expect=lambda x: x)
    for dtype, sample in samples.items():
        operands = (Operand((5, 3), dtype, sample, TRANSPOSED),)
        yield Case("stop_gradient", dtype, operands, expect=lambda x: x)
    operands = (Operand(("batch", 4)),)
    yield Case("stop_gradient", "open", operands, expect=lambda x: x, bindings={"batch": 3})
    yield Case("stop_gradient", "special", (Operand((17,), sample=special),), gradient=False)


def _cast_cases() -> Iterator[Case]:
    samples = {FLOAT: spread, "f32": spread, "f64": spread, "i32": integers(-9, 9)}
    samples |= {"i64": integers(-9, 9), "u8": integers(0, 256), "bool": bools}
    kinds = {"f32": float, "f64": float, "i32": int, "i64": int, "u8": int, "bool": bool}
    for source, target in itertools.product(kinds, repeat=2):
        is_narrowed = target == "u8" and source != "bool"
        operand = Operand((17,), source, uniform(0, 256) if is_narrowed else samples[source])
        expect = by_scalar(lambda x: x, kinds[target])
        # Differences through f32 say nothing.
        gradient = source == target == "f64"
        yield Case(
            "cast", f"{source}_{target}", (operand,), {"dtype": target},
            expect=by_scalar(kinds[target]) if kinds[target] is int else expect, gradient=gradient,
        )  # fmt: skip
    yield Case(
        "cast", "modulo_256", (Operand((17,), "i64", integers(-999, 999)),), {"dtype": "u8"},
        expect=by_scalar(lambda x: x % 256, int),
    )  # fmt: skip
    for shape in (), (0,), (3, 5):
        operand = Operand(shape, "i32", integers(-9, 9))
        yield Case(
            "cast", _shape_name(shape), (operand,), {"dtype": FLOAT}, expect=by_scalar(float)
        )


def _slope_cases() -> Iterator[Case]:
    def leaky(slope: float) -> Callable[[float], float]:
        return lambda x: x if x > 0 else slope * x

    def elu(alpha: float) -> Callable[[float], float]:
        return lambda x: x if x > 0 else alpha * (math.exp(x) - 1)

    for name, attribute, function in (("leaky_relu", "slope", leaky), ("elu", "alpha", elu)):
        for number, shape in itertools.product((0.0, 0.1, 1.5), ((), (17,), (3, 5))):
            operands = (Operand(shape, sample=away_from_zero),)
            label = f"{number}_{_shape_name(shape)}"
            expect = by_scalar(function(number))
            yield Case(name, label, operands, {attribute: number}, expect=expect)
        operands = (Operand((5, 3), sample=away_from_zero, layout=TRANSPOSED),)
        expect = by_scalar(function(0.1))
        yield Case(name, "transposed", operands, {attribute: 0.1}, expect=expect)
        operands = (Operand(("batch", 3), sample=away_from_zero),)
        yield Case(name, "open", operands, {attribute: 0.1}, expect=expect, bindings={"batch": 2})
        operands = (Operand((17,), sample=special),)
        yield Case(name, "special", operands, {attribute: 0.1}, gradient=False)


def _extreme_cases() -> Iterator[Case]:
    """Values where the naive formula overflows or cancels."""
    far = fixed([-1000.0, -100.0, 100.0, 1000.0])
    yield Case(
        "sigmoid", "far", (Operand((4,), sample=far),),
        expect=lambda x: np.where(x > 0, 1.0, np.exp(np.minimum(x, 0))), gradient=False,
    )  # fmt: skip
    yield Case(
        "softplus", "far", (Operand((4,), sample=far),),
        expect=lambda x: np.where(x > 0, x, 0.0), gradient=False,
    )  # fmt: skip
    yield Case(
        "sigmoid_cross_entropy", "far",
        (Operand((4,), sample=far), Operand((4,), sample=fixed([1.0, 0.0, 0.0, 1.0]))),
        expect=lambda x, y: np.array([1000.0, 0.0, 100.0, 0.0]), gradient=False,
    )  # fmt: skip
    infinite = (
        Operand((6,), sample=fixed([np.inf, np.inf, np.inf, -np.inf, -np.inf, -np.inf])),
        Operand((6,), sample=fixed([1.0, 0.5, 0.0, 1.0, 0.5, 0.0])),
    )
    yield Case(
        "sigmoid_cross_entropy", "infinite", infinite,
        expect=lambda x, y: np.array([0, np.inf, np.inf, np.inf, np.inf, 0]), gradient=False,
    )  # fmt: skip
    scores = fixed([np.inf, np.inf, -np.inf, -np.inf, 1.0, 2.0])
    signs = fixed([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
    yield Case(
        "hinge", "infinite", (Operand((6,), sample=scores), Operand((6,), sample=signs)),
        expect=lambda x, y: np.array([0, np.inf, np.inf, 0, 0, 3]), gradient=False,
    )  # fmt: skip
    yield Case(
        "log_cosh", "far",
        (Operand((6,), sample=fixed([-1e4, 19.9, 20.1, 1e-3, -np.inf, np.inf])),),
        expect=by_scalar(lambda x: abs(x) + math.log1p(math.expm1(-2 * abs(x)) / 2)),
        gradient=False,
    )  # fmt: skip
    weightless = (
        Operand((4,), sample=fixed([0.0, -0.0])),
        Operand((4,), sample=fixed([np.inf, -np.inf, np.nan, 1.0])),
    )
    yield Case("weigh", "nothing", weightless, expect=lambda x, y: np.zeros(4), gradient=False)
    crossed = (Operand((4, 3), sample=apart), Operand((4, 3), sample=fixed([0.05, 0.25, -0.15])))
    for name, function in (
        ("minimum", min), ("maximum", max), ("clamp_min", max), ("clamp_max", min),
    ):  # fmt: skip
        yield Case(name, "crossed", crossed, expect=by_scalar(function))


ELEMENTWISE_CASES: tuple[Case, ...] = (
    *_unary_cases(), *_binary_cases(), *_integer_cases(), *_comparison_cases(),
    *_logical_cases(), *_where_cases(), *_stopped_cases(), *_cast_cases(),
    *_slope_cases(), *_extreme_cases(),
)  # fmt: skip
