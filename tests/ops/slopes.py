"""Slopes at special points: one-sided limits, and today's conventions where a slope has a choice.

Each entry is a product of a cotangent with the derivative by one operand, element by element.
Conventions: relu, leaky_relu and elu have at 0 the slope of what is not positive; abs, sign and
what is even with a kink have 0; maximum and minimum have 1/2 at ties, clamp_min and clamp_max hand
all to x, max and min share evenly;
where a comparison chooses the slope, NaN takes the side where the comparison is false.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

INF, NAN = float("inf"), float("nan")
TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
EULER = 0.5772156649015329
TAIL = 20.0  # sigmoid and tanh of it have rounded to 1 in f32, or nearly


@dataclass(frozen=True)
class Slope:
    """What `op`'s derivative by operand number `by` makes of the cotangent `ct` at `operands`.

    A scalar ct stands for a tensor of it. Operands of ints are indices, or the key of dropout.
    """

    op: str
    by: int
    operands: Sequence[Any]
    expected: Any
    attributes: Mapping[str, Any] = field(default_factory=dict)
    ct: Any = 1.0

    def __str__(self) -> str:
        values = "".join(f"-{value}" for value in self.attributes.values())
        return f"{self.op}-{self.by}{values}-{self.ct}".replace(" ", "")


def _unary(op: str, *pairs: tuple[float, float], ct: float = 1.0, **attributes: Any) -> Slope:
    """(x, slope) pairs."""
    return Slope(op, 0, [[x for x, _ in pairs]], [slope for _, slope in pairs], attributes, ct)


def _binary(op: str, by: int, *triples: tuple[float, float, float], ct: float = 1.0) -> Slope:
    """(x, y, slope) triples."""
    x, y, slopes = ([float(triple[number]) for triple in triples] for number in range(3))
    return Slope(op, by, [x, y], slopes, ct=ct)


def _everywhere(slope: float) -> tuple[tuple[float, float], ...]:
    return tuple((x, slope) for x in (-INF, -2.0, -0.0, 0.0, 2.0, INF))


def _in_two_forms(by: int, slope: float) -> Slope:
    """Of the value while training, by = 0, and of that in inference."""
    return _binary("training_form", by, *((x, 1.0, slope) for x, _ in _everywhere(slope)))


UNARY_SLOPES = (
    _unary("negate", *_everywhere(-1)),
    _unary("copy", *_everywhere(1)),
    _unary("stop_gradient", *_everywhere(0)),
    _unary("sign", *_everywhere(0)),
    _unary("cast", *_everywhere(1), dtype="f32"),
    _unary("cast", *_everywhere(1), dtype="f64"),
    *(_unary(op, *_everywhere(0)) for op in ("floor", "ceil", "trunc", "round")),
    _unary("silu", (0.0, 0.5), (-0.0, 0.5), (INF, 1), (-INF, 0), (NAN, NAN)),
    _unary("silu_slope", (0.0, 0.5), (-0.0, 0.5), (INF, 0), (-INF, 0), (NAN, NAN)),
    _unary("mish", (0.0, 0.6), (-0.0, 0.6), (INF, 1), (-INF, 0), (NAN, NAN)),
    _unary("mish_slope", (0.0, 0.64), (-0.0, 0.64), (INF, 0), (-INF, 0), (NAN, NAN)),
    _unary("softsign", (0.0, 1), (-0.0, 1), (1, 0.25), (INF, 0), (-INF, 0), (NAN, NAN)),
    _unary("erf", (0.0, TWO_OVER_ROOT_PI), (-0.0, TWO_OVER_ROOT_PI), (INF, 0), (NAN, NAN)),
    _unary("erfc", (0.0, -TWO_OVER_ROOT_PI), (-0.0, -TWO_OVER_ROOT_PI), (-INF, 0), (NAN, NAN)),
    _unary("exp_minus_square", (0.0, 0), (-0.0, 0), (INF, 0), (-INF, 0), (NAN, NAN)),
    _unary("gelu", (0.0, 0.5), (-0.0, 0.5), (INF, 1), (-INF, 0), (NAN, NAN)),
    _unary("gelu_slope", (0.0, 0.7978845608028654), (INF, 0), (-INF, 0), (NAN, NAN)),
    _unary("lgamma", (1.0, -EULER), (2.0, 1 - EULER), (0.0, -INF), (-0.0, INF), (INF, INF)),
    _unary("digamma", (1.0, math.pi**2 / 6), (0.0, INF), (-1.0, INF), (INF, 0), (NAN, NAN)),
    _unary("exp2", (-INF, 0), (INF, INF), (0.0, math.log(2)), (-0.0, math.log(2)), (NAN, NAN)),
    *(
        _unary(op, (0.0, INF), (-0.0, INF), (INF, 0), (0.5, 2 / math.log(base)), (NAN, NAN))
        for op, base in (("log2", 2), ("log10", 10))
    ),
    _unary("tan", (0.0, 1), (-0.0, 1), (INF, NAN), (-INF, NAN), (NAN, NAN)),
    _unary("sinh", (0.0, 1), (-0.0, 1), (INF, INF), (-INF, INF), (NAN, NAN)),
    _unary("cosh", (0.0, 0), (-0.0, 0), (INF, INF), (-INF, -INF), (NAN, NAN)),
    _unary("asin", (0.0, 1), (-0.0, 1), (1, INF), (-1, INF), (0.6, 1.25), (2, NAN), (NAN, NAN)),
    _unary("acos", (0.0, -1), (-0.0, -1), (1, -INF), (-1, -INF), (2, NAN), (NAN, NAN)),
    _unary("atan", (0.0, 1), (-0.0, 1), (-2, 0.2), (INF, 0), (-INF, 0), (NAN, NAN)),
    _unary("asinh", (0.0, 1), (-0.0, 1), (-0.75, 0.8), (INF, 0), (-INF, 0), (NAN, NAN)),
    _unary("acosh", (1, INF), (1.25, 4 / 3), (INF, 0), (0.0, NAN), (NAN, NAN)),
    _unary("atanh", (0.0, 1), (-0.0, 1), (1, INF), (-1, INF), (0.6, 1.5625), (NAN, NAN)),
    _unary("reciprocal", (0.0, -INF), (-0.0, -INF), (INF, 0), (-INF, 0), (-2, -0.25), (NAN, NAN)),
    _unary("square", (0.0, 0), (-0.0, 0), (-3, -6), (INF, INF), (-INF, -INF), (NAN, NAN)),
    _unary("sqrt", (0.0, INF), (-0.0, INF), (4, 0.25), (INF, 0), (-1, NAN), (NAN, NAN)),
    _unary("abs", (0.0, 0), (-0.0, 0), (3, 1), (-3, -1), (INF, 1), (-INF, -1), (NAN, NAN)),
    _unary("abs", (0.0, 0), (-0.0, 0), (3, INF), (-3, -INF), ct=INF),
    _unary("exp", (-INF, 0), (INF, INF), (0.0, 1), (-0.0, 1), (NAN, NAN)),
    _unary("expm1", (-INF, 0), (INF, INF), (0.0, 1), (-0.0, 1), (NAN, NAN)),
    _unary("log", (0.0, INF), (-0.0, INF), (INF, 0), (0.5, 2), (NAN, NAN)),
    _unary("log1p", (-1, INF), (0.0, 1), (-0.0, 1), (INF, 0), (NAN, NAN)),
    _unary("sin", (0.0, 1), (-0.0, 1), (INF, NAN), (-INF, NAN), (NAN, NAN)),
    _unary("cos", (0.0, 0), (-0.0, 0), (INF, NAN), (-INF, NAN), (NAN, NAN)),
    _unary("tanh", (0.0, 1), (-0.0, 1), (INF, 0), (-INF, 0), (NAN, NAN)),
    _unary("log_cosh", (0.0, 0.0), (-0.0, -0.0), (INF, 1), (-INF, -1), (NAN, NAN)),
    _unary("tanh_tail", (0.0, 0), (-0.0, 0), (INF, 0), (-INF, 0), (NAN, NAN)),
    _unary("tanh_slope", (0.0, 0), (-0.0, 0), (INF, 0), (-INF, 0), (NAN, NAN)),
    _unary("sigmoid", (0.0, 0.25), (-0.0, 0.25), (INF, 0), (-INF, 0), (NAN, NAN)),
    _unary("sigmoid_tail", (0.0, 0), (-0.0, 0), (INF, 0), (-INF, 0), (NAN, NAN)),
    _unary("sigmoid_slope", (0.0, 0), (-0.0, 0), (INF, 0), (-INF, 0), (NAN, NAN)),
    _unary("softplus", (0.0, 0.5), (-0.0, 0.5), (INF, 1), (-INF, 0), (NAN, NAN)),
    _unary("relu", (0.0, 0), (-0.0, 0), (2, 1), (-2, 0), (INF, 1), (-INF, 0), (NAN, 0)),
    _unary("relu", (0.0, 0), (-0.0, 0), (2, INF), (-2, 0), ct=INF),
    *(
        _unary(
            "leaky_relu", (0.0, slope), (-0.0, slope), (2, 1), (-2, slope), (INF, 1),
            (-INF, slope), (NAN, slope), slope=slope,
        )
        for slope in (0.25, 0.0, -0.5, 2.0)
    ),
    _unary("leaky_relu", (0.0, 0), (-2, 0), (-INF, 0), (2, INF), ct=INF, slope=0.0),
    _unary("leaky_relu", (0.0, -INF), (-2, -INF), (2, INF), ct=INF, slope=-0.5),
    *(
        _unary(
            "elu", (0.0, alpha), (-0.0, alpha), (2, 1), (INF, 1), (-INF, 0),
            (-1, alpha * 0.36787944117144233), alpha=alpha,
        )
        for alpha in (1.0, 0.0, -0.5, 2.0)
    ),
    _unary("elu", (NAN, NAN), alpha=1.0),
    _unary("elu", (0.0, 0), (-0.0, 0), (-2, 0), (-INF, 0), (2, INF), ct=INF, alpha=0.0),
    _unary("elu", (0.0, -INF), (-2, -INF), (2, INF), ct=INF, alpha=-0.5),
)  # fmt: skip

_ALONG, _UPWARDS = {"axis": 0}, {"descending": False}
# Of a recurrence the elements, and their factors.
_RECURRENCE = [[1.0, 2.0, 3.0], [9.0, 0.0, 2.0]]
# Of windows of two neighbours.
_PAIRS = {"axes": (0,), "strides": (1,), "dilations": (1,)}
_IN_PAIRS = [[1.0, 2.0], [3.0, 4.0]]

_TIES = ((0.0, 0.0, 0.5), (0.0, -0.0, 0.5), (-0.0, 0.0, 0.5), (INF, INF, 0.5), (-INF, -INF, 0.5))

BINARY_SLOPES = (
    _in_two_forms(0, 1),
    _in_two_forms(1, 0),
    _binary("add", 0, (INF, 1, 1), (0.0, -0.0, 1)),
    _binary("add", 1, (INF, 1, 1), (0.0, -0.0, 1)),
    _binary("subtract", 0, (INF, 1, 1), (0.0, -0.0, 1)),
    _binary("subtract", 1, (INF, 1, -1), (0.0, -0.0, -1)),
    _binary("multiply", 0, (0.0, INF, INF), (INF, 0.0, 0), (1, -3, -3)),
    _binary("multiply", 1, (INF, 0.0, INF), (0.0, INF, 0), (-3, 1, -3)),
    *(_binary("floor_divide", by, (7.0, 2.0, 0), (INF, 2.0, 0), (1.0, 0.0, 0)) for by in (0, 1)),
    _binary("mod", 0, (7.0, 2.0, 1), (INF, 2.0, 1), (1.0, 0.0, 1)),
    _binary("mod", 1, (7.0, 2.0, -3), (-7.0, 2.0, 4), (5.0, INF, 0), (-5.0, INF, 1),
            (1.0, 0.0, -INF)),
    _binary("hypot", 0, (3.0, 4.0, 0.6), (-3.0, 4.0, -0.6), (0.0, 0.0, 0), (1.0, INF, 0)),
    _binary("hypot", 1, (3.0, 4.0, 0.8), (3.0, -4.0, -0.8), (0.0, -0.0, 0), (INF, 1.0, 0)),
    _binary("atan2", 0, (3.0, 4.0, 0.16), (3.0, -4.0, -0.16), (1.0, INF, NAN), (INF, 1.0, 0)),
    _binary("atan2", 1, (3.0, 4.0, -0.12), (-3.0, 4.0, 0.12), (1.0, INF, 0), (INF, 1.0, NAN)),
    _binary("divide", 0, (0.0, 0.0, INF), (1, -0.0, -INF), (INF, -4, -0.25), (1, INF, 0)),
    _binary("divide", 1, (1, 0.0, -INF), (1, -0.0, -INF), (-1, 0.0, INF), (1, INF, 0),
            (INF, -2, -INF), (0.0, 2, 0), (0.0, 0.0, NAN)),
    _binary("maximum", 0, *_TIES, (1, 2, 0), (2, 1, 1), (INF, 0.0, 1), (-INF, 0.0, 0),
            (NAN, 1, 0), (1, NAN, 0)),
    _binary("maximum", 1, *_TIES, (1, 2, 1), (2, 1, 0), (INF, 0.0, 0), (-INF, 0.0, 1),
            (NAN, 1, 0), (1, NAN, 0)),
    _binary("minimum", 0, *_TIES, (1, 2, 1), (2, 1, 0), (INF, 0.0, 0), (-INF, 0.0, 1),
            (NAN, 1, 0), (1, NAN, 0)),
    _binary("minimum", 1, *_TIES, (1, 2, 0), (2, 1, 1), (INF, 0.0, 1), (-INF, 0.0, 0),
            (NAN, 1, 0), (1, NAN, 0)),
    *(_binary(op, by, (1, 2, INF if lost != by else 0), (0.0, -0.0, INF), ct=INF)
      for op, lost in (("maximum", 0), ("minimum", 1)) for by in (0, 1)),
    *(_binary("clamp_min", by, *((x, y, 1 - by) for x, y, _ in _TIES), (1, 2, by), (2, 1, 1 - by),
              (NAN, 1, 0), (1, NAN, 0)) for by in (0, 1)),
    *(_binary("clamp_max", by, *((x, y, 1 - by) for x, y, _ in _TIES), (1, 2, 1 - by), (2, 1, by),
              (NAN, 1, 0), (1, NAN, 0)) for by in (0, 1)),
    *(_binary(op, by, *_TIES, (INF, 0.0, 1 - by), (-INF, 0.0, by), (0.0, INF, by),
              (0.0, -INF, 1 - by), (INF, -INF, 1 - by), (NAN, 1, NAN), (1, NAN, NAN))
      for op in ("logaddexp", "logaddexp2") for by in (0, 1)),
    *(_binary(op, by, (INF, 0.0, INF if by == 0 else 0), (-INF, 0.0, INF if by else 0), ct=INF)
      for op in ("logaddexp", "logaddexp2") for by in (0, 1)),
    # y x^(y-1), 0 at y = 0 even at x = 0.
    _binary("power", 0, (0.0, 0.0, 0), (-0.0, 0.0, 0), (0.0, -0.0, 0), (INF, 0.0, 0), (NAN, 0.0, 0),
            (0.0, 1, 1), (-0.0, 1, 1), (0.0, 0.5, INF), (0.0, 2, 0), (0.0, 3, 0), (0.0, -1, -INF),
            (-2, 3, 12), (-2, 2, -4), (INF, 2, INF), (INF, 1, 1), (INF, 0.5, 0), (INF, -1, 0),
            (0.5, INF, 0), (2, INF, INF), (2, -INF, 0), (0.5, -INF, -INF), (0.0, INF, 0),
            (INF, -INF, 0), (INF, INF, INF)),
    # x^y log(x), 0 where the power is; one below 0, where there is no power beside y, gives NaN.
    _binary("power", 1, (0.0, 0.0, -INF), (-0.0, 0.0, -INF), (0.0, 1, 0), (0.0, INF, 0),
            (0.0, -1, -INF), (1, INF, 0), (1, -INF, 0), (0.5, INF, 0), (2, INF, INF), (2, -INF, 0),
            (0.5, -INF, -INF), (INF, 0.0, INF), (INF, 2, INF), (INF, -1, 0), (-2, 2, NAN)),
    _binary("weigh", 0, (0.0, INF, INF), (-0.0, -INF, -INF), (2, 3, 3), (0.0, 0.0, 0)),
    _binary("weigh", 1, (0.0, INF, 0), (-0.0, -INF, 0), (2, 3, 2), (-2, INF, -2)),
    _binary("weigh", 0, (0.0, INF, 0), (2, -INF, 0), ct=0.0),
    _binary("weigh", 1, (0.0, INF, 0), (2, 1, INF), (-2, 1, -INF), ct=INF),
    _binary("sigmoid_cross_entropy", 0, (INF, 1, 0), (INF, 0.0, 1), (-INF, 1, -1), (-INF, 0.0, 0),
            (0.0, 1, -0.5), (-0.0, 0.0, 0.5), (0.0, 0.5, 0), (INF, -1, 2), (-INF, 2, -2)),
    # At the kink, where 1 = x y, the slope is 0.
    _binary("hinge", 0, (0.0, 1, -1), (0.0, -1, 1), (1, 1, 0), (-1, -1, 0), (2, 1, 0), (INF, 1, 0),
            (INF, -1, 1), (-INF, 1, -1)),
    _binary("hinge", 1, (0.5, 1, -0.5), (1, 1, 0), (2, -1, -2), (INF, -1, -INF)),
    _binary("sigmoid_cross_entropy", 1, (INF, 1, -INF), (-INF, 0.0, INF), (0.0, 1, 0),
            (2, 0.5, -2)),
    Slope("where", 1, [[True, False], [0.0, INF], [INF, 0.0]], [INF, 0], ct=INF),
    Slope("where", 2, [[True, False], [0.0, INF], [INF, 0.0]], [0, INF], ct=INF),
)  # fmt: skip

_ROWS = [[0.0, -0.0, -1.0], [-INF, -INF, -INF], [INF, 1.0, INF], [NAN, 1.0, 2.0]]
_LOW = [[0.0, -0.0, 1.0], [INF, INF, INF], [-INF, 1.0, -INF], [NAN, 1.0, 2.0]]
_THIRD = 1 / 3
_SHARED = [[0.5, 0.5, 0], [_THIRD] * 3, [0.5, 0, 0.5], [NAN] * 3]
_HALF = [-INF, 0.0, 0.0]

# A query that attends to keys of weights 1/4 and 3/4, and to one that is masked.
_LOG_3 = math.log(3.0)
_ATTENTION: Sequence[Any] = (
    [[1.0]], [[0.0], [_LOG_3], [0.0]], [[1.0], [3.0], [7.0]], [[0.0, 0.0, -INF]],
)  # fmt: skip
_ATTENDS = {"causal": False, "scale": 1.0, "block": 0}

TENSOR_SLOPES = (
    Slope("sum", 0, [[[INF, 0.0], [-0.0, NAN]]], [[1, 1], [2, 2]], {"axes": (1,)}, [[1.0], [2.0]]),
    *(Slope(op, 0, [_ROWS], _SHARED, {"axes": (1,)}) for op in ("max", "greatest")),
    *(Slope(op, 0, [_LOW], _SHARED, {"axes": (1,)}) for op in ("min", "least")),
    Slope("max", 0, [[[2.0, -0.0], [1.0, 0.0]]], [[INF, 0.5], [0, 0.5]], {"axes": (0,)},
          [[INF, 1.0]]),
    Slope("min", 0, [[[2.0, -0.0], [1.0, 0.0]]], [[0, 0.5], [INF, 0.5]], {"axes": (0,)},
          [[INF, 1.0]]),
    Slope("prod", 0, [[[INF, 0.0], [-0.0, NAN], [3.0, -0.0]]], [[0, INF], [NAN, -0.0], [0, 6]],
          {"axes": (1,)}, [[1.0], [1.0], [2.0]]),
    Slope("product_of_others", 0, [[0.0, 0.0, 3.0]], [12, 6, 0], {"axis": 0}, [2.0, 4.0, 1.0]),
    Slope("var", 0, [[[0.5, 0.5], [-1.0, 1.0]]], [[0, 0], [-4, 4]], {"axes": (1,), "ddof": 0},
          [[3.0], [4.0]]),
    Slope("std", 0, [[[0.5, 0.5], [-1.0, 1.0]]], [[0, 0], [-1, 1]], {"axes": (1,), "ddof": 0},
          [[3.0], [2.0]]),
    Slope("reshape", 0, [[0.0, INF]], [INF, 2], {"shape": (2, 1)}, [[INF], [2.0]]),
    Slope("transpose", 0, [[[0.0, 1.0], [2.0, 3.0]]], [[INF, 3], [2, 4]], {"axes": (1, 0)},
          [[INF, 2.0], [3.0, 4.0]]),
    Slope("broadcast_to", 0, [[[0.0], [INF]]], [[INF], [3]], {"shape": (2, 2)},
          [[INF, 1.0], [1.0, 2.0]]),
    Slope("slice", 0, [[INF, 0.0, 1.0, 2.0]], [2, 0, 0, INF],
          {"starts": (3,), "counts": (2,), "steps": (-3,)}, [INF, 2.0]),
    Slope("embed", 0, [[0.0, INF]], [4, INF], {"shape": (4,), "starts": (3,), "steps": (-3,)},
          [INF, 2.0, 3.0, 4.0]),
    Slope("concatenate", 0, [[0.0], [INF, 1.0]], [INF], {"axis": 0}, [INF, 2.0, 3.0]),
    Slope("concatenate", 1, [[0.0], [INF, 1.0]], [2, 3], {"axis": 0}, [INF, 2.0, 3.0]),
    Slope("take", 0, [[INF, 0.0, 1.0], [2, 2, 0]], [3, 0, INF], {"axis": 0}, [INF, 2.0, 3.0]),
    Slope(
        "take_along_axis", 0, [[INF, 0.0, 1.0], [2, 2, 0]], [3, 0, INF], {"axis": 0},
        [INF, 2.0, 3.0],
    ),
    Slope("cumsum", 0, [[INF, 0.0, -0.0]], [6, 5, 3], _ALONG | {"reverse": False}, [1.0, 2.0, 3.0]),
    Slope("cumsum", 0, [[INF, 0.0, -0.0]], [1, 3, 6], _ALONG | {"reverse": True}, [1.0, 2.0, 3.0]),
    Slope("cumprod", 0, [[2.0, 0.0, 3.0]], [1, 8, 0], _ALONG),
    Slope("cumprod", 0, [[0.0, 0.0, 5.0]], [1, 0, 0], _ALONG),
    Slope("linear_recurrence", 0, _RECURRENCE, [1, 3, 1], _ALONG | {"reverse": False}),
    Slope("linear_recurrence", 1, _RECURRENCE, [0, 3, 2], _ALONG | {"reverse": False}),
    Slope("sort", 0, [[3.0, INF, -0.0]], [6, 7, 5], _ALONG | _UPWARDS, [5.0, 6.0, 7.0]),
    Slope("sort", 0, [[NAN, 1.0]], [6, 5], _ALONG | _UPWARDS, [5.0, 6.0]),
    Slope("windows", 0, [[INF, 0.0, 1.0]], [1, 5, 4], _PAIRS | {"sizes": (2,)}, _IN_PAIRS),
    Slope(
        "add_windows", 0, [[[0.0, INF], [1.0, 2.0]]], [[1, 2], [2, INF]], _PAIRS | {"shape": (3,)},
        [1.0, 2.0, INF],
    ),
    Slope("scatter_add", 0, [[INF, 0.0], [2, 0]], [3, INF], {"axis": 0, "shape": (3,)},
          [INF, 2.0, 3.0]),
    Slope("index_add", 0, [[INF, 0.0, 1.0], [1.0, 2.0], [2, 0]], [INF, 2, 3], {"axis": 0},
          [INF, 2.0, 3.0]),
    Slope("index_add", 1, [[INF, 0.0, 1.0], [1.0, 2.0], [2, 0]], [3, INF], {"axis": 0},
          [INF, 2.0, 3.0]),
    Slope("index_set", 0, [[INF, 0.0, 1.0], [1.0, 2.0], [2, 0]], [0, 5, 0], {"axis": 0},
          [INF, 5.0, INF]),
    # Of two slices for one index the second stays.
    Slope("index_set", 1, [[INF, 0.0, 1.0], [1.0, 2.0, 3.0], [2, 0, 2]], [0, INF, 3], {"axis": 0},
          [INF, 5.0, 3.0]),
    Slope("matmul", 0, [[[INF, 0.0]], [[1.0], [INF]]], [[2, INF]],
          {"transpose_x": False, "transpose_y": False}, 2.0),
    Slope("matmul", 1, [[[INF, 0.0]], [[1.0], [INF]]], [[INF], [0]],
          {"transpose_x": False, "transpose_y": False}, 2.0),
    # P (v - 5/2) is -3/8 and 3/8. The second derivative is the third moment of k, k and v.
    Slope("attention", 0, _ATTENTION, [[0.375 * _LOG_3]], _ATTENDS),
    Slope("attention", 1, _ATTENTION, [[-0.375], [0.375], [0]], _ATTENDS),
    Slope("attention_slope", 0, [[[1.0]], *_ATTENTION], [[0.375 * _LOG_3]], _ATTENDS | {"of": 0}),
    Slope("attention_slope", 1, [[[1.0]], *_ATTENTION], [[-0.1875 * _LOG_3**2]],
          _ATTENDS | {"of": 0}),
    Slope("start", 0, [[INF, -0.0, 2.0]], [3, 4, 5], {"number": 0}, [3.0, 4.0, 5.0]),
    Slope("softmax", 0, [_HALF], [0, 0.25, -0.25], {"axis": 0}, [3.0, 1.0, 0.0]),
    Slope("log_softmax", 0, [_HALF], [3, -1, -2], {"axis": 0}, [3.0, 1.0, 0.0]),
    Slope("logsumexp", 0, [[-INF, 0.0, -0.0]], [0, 0.5, 0.5], {"axes": (0,)}),
    Slope("logsumexp", 0, [[INF, 0.0, INF]], [0.5, 0, 0.5], {"axes": (0,)}),
    Slope("logsumexp", 0, [[-INF, -INF]], [0, 0], {"axes": (0,)}),
    Slope("pick", 0, [[[0.0, INF], [-0.0, 1.0]], [1, 0]], [[0, INF], [2, 0]], {}, [INF, 2.0]),
    # By the value and by a formal parameter, through which there is none.
    *(Slope("custom_vjp", by, [[INF, 2.0]] * 5, [0, 0]) for by in (0, 1)),
    Slope("dropout", 0, [[INF, -0.0, 1.0], 7], [INF, INF, INF], {"rate": 0.0}, INF),
)  # fmt: skip

SLOPES = (*UNARY_SLOPES, *BINARY_SLOPES, *TENSOR_SLOPES)
