"""What each rule of ir/rewriting/rules/stable.py turns into what."""

from __future__ import annotations

from graphc.ir.functions import build
from graphc.ir.functions.build import argmax, log_softmax, pick, softmax
from graphc.ir.ops import composite
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.reductions import reduce
from tests.ir.rewriting.cases.case import ROWS, THREE, TWO, Case, by_axis, stable_log_sum

LABELS = ((4, 3), (4,))
FLOATS_AND_LABELS = ("float", "i32")

CASES = (
    Case("reciprocal_to_sigmoid", lambda x: 1 / (1 + ops.exp(-x)), ops.sigmoid, exact=False),
    Case(
        "reciprocal_to_sigmoid",
        lambda x: ops.reciprocal(ops.exp(-1.0 * x) + 1),
        ops.sigmoid,
        exact=False,
    ),
    Case(
        "reciprocal_to_sigmoid",
        lambda x, y: 1 / (1 + ops.exp(y - x)),
        lambda x, y: ops.sigmoid(x - y),
        TWO,
        exact=False,
    ),
    Case(
        "reciprocal_to_sigmoid",
        lambda x: 1 / (1 + ops.exp(x)),
        lambda x: ops.sigmoid(-x),
        exact=False,
    ),
    Case(
        "quotient_to_sigmoid",
        lambda x: ops.exp(x) / (ops.exp(x) + 1),
        ops.sigmoid,
        exact=False,
    ),
    Case("log_to_softplus", lambda x: ops.log(ops.exp(x) + 1), ops.softplus, exact=False),
    Case("log_to_softplus", lambda x: ops.log1p(ops.exp(x)), ops.softplus, exact=False),
    Case(
        "log_of_sigmoid",
        lambda x: ops.log(1 / (1 + ops.exp(-x))),
        lambda x: -ops.softplus(-x),
        exact=False,
    ),
    Case(
        "log_of_sigmoid_complement",
        lambda x: ops.log(1 - ops.sigmoid(x)),
        lambda x: -ops.softplus(x),
        exact=False,
    ),
    Case(
        "binary_cross_entropy",
        lambda z, t: -(t * ops.log(ops.sigmoid(z)) + (1 - t) * ops.log(1 - ops.sigmoid(z))),
        lambda z, t: ops.sigmoid_cross_entropy(z, t),
        TWO,
        exact=False,
    ),
    Case(
        "binary_cross_entropy",
        lambda z, t: -(1 - t) * ops.log(1 - ops.sigmoid(z)) - ops.log(ops.sigmoid(z)) * t,
        lambda z, t: ops.sigmoid_cross_entropy(z, t),
        TWO,
        exact=False,
    ),
    Case(
        "binary_cross_entropy",
        lambda x, y, t: t * ops.log(ops.sigmoid(x - y)) + (1 - t) * ops.log(1 - ops.sigmoid(x - y)),
        lambda x, y, t: -ops.sigmoid_cross_entropy(x - y, t),
        THREE,
        exact=False,
    ),
    Case("log_to_log1p", lambda x: ops.log(1 + ops.square(x)), lambda x: ops.log1p(ops.square(x)),
         exact=False),
    Case("log_to_log1p", lambda x: ops.log(1 - ops.tanh(x)), lambda x: ops.log1p(-ops.tanh(x)),
         exact=False),
    Case("exp_to_expm1", lambda x: ops.exp(x) - 1, ops.expm1, exact=False),
    Case(
        "quotient_to_tanh",
        lambda x: (ops.exp(x) - ops.exp(-x)) / (ops.exp(x) + ops.exp(-x)),
        ops.tanh,
        exact=False,
    ),
    Case(
        "quotient_to_tanh",
        lambda x: (ops.exp(-2 * x) - ops.exp(2 * x)) / (ops.exp(2 * x) + ops.exp(-2 * x)),
        lambda x: ops.tanh(-2 * x),
        exact=False,
    ),
    Case(
        "quotient_to_softmax",
        lambda x: ops.exp(x) / build.sum(ops.exp(x), 1, keepdims=True),
        softmax,
        (ROWS,),
        exact=False,
    ),
    Case(
        "quotient_to_softmax",
        lambda x: ops.exp(x) / build.expand_dims(build.sum(ops.exp(x), 1), 1),
        softmax,
        (ROWS,),
        exact=False,
    ),
    Case(
        "quotient_to_softmax",
        lambda x: ops.exp(x) / build.sum(ops.exp(x), 0),
        lambda x: softmax(x, 0),
        (ROWS,),
        exact=False,
    ),
    Case(
        "softmax_below_peak",
        lambda x: ops.exp(x - build.max(x)) / build.sum(ops.exp(x - build.max(x))),
        softmax,
        ((7,),),
        exact=False,
    ),
    Case(
        "softmax_below_peak",
        lambda x: softmax(x - build.max(x, 1, keepdims=True)),
        softmax,
        (ROWS,),
    ),
    Case(
        "log_of_softmax",
        lambda x: ops.log(softmax(x, 0)),
        lambda x: log_softmax(x, 0),
        (ROWS,),
        exact=False,
    ),
    Case(
        "log_of_softmax",
        lambda x, t: -ops.log(pick(softmax(x), t)),
        lambda x, t: -pick(log_softmax(x), t),
        LABELS,
        exact=False,
        dtypes=FLOATS_AND_LABELS,
    ),
    Case(
        "log_of_softmax",
        lambda x: -ops.log(softmax(x)[2]),
        lambda x: -(log_softmax(x)[2]),
        ((5,),),
        exact=False,
    ),
    Case(
        "exp_of_log_softmax",
        lambda x: ops.exp(log_softmax(x)),
        softmax,
        (ROWS,),
        exact=False,
    ),
    Case(
        "log_of_sum_of_exp",
        lambda x: ops.log(by_axis(reduce.sum_, ops.exp(x), 0)),
        lambda x: by_axis(composite.logsumexp, x, 0),
        (ROWS,),
        exact=False,
    ),
    Case(
        "log_of_sum_of_exp",
        lambda x: ops.log(by_axis(reduce.sum_, ops.exp(x), 0, 1)),
        lambda x: by_axis(composite.logsumexp, x, 0, 1),
        (ROWS,),
        exact=False,
    ),
    Case(
        "written_logsumexp",
        lambda x: stable_log_sum(x, 1),
        lambda x: build.logsumexp(x, 1, keepdims=True),
        (ROWS,),
        exact=False,
    ),
    Case(
        "written_logsumexp",
        lambda x: build.max(x, 0) + ops.log(build.sum(ops.exp(x - build.max(x, 0)), 0)),
        lambda x: build.logsumexp(x, 0),
        (ROWS,),
        exact=False,
    ),
    Case(
        "subtract_logsumexp",
        lambda x: x - stable_log_sum(x, 1),
        log_softmax,
        (ROWS,),
        exact=False,
    ),
    Case(
        "log_of_sum_of_exp",
        lambda x: ops.log(build.sum(ops.exp(x), 1)),
        lambda x: build.logsumexp(x, 1),
        (ROWS,),
        exact=False,
    ),
    Case(
        "subtract_logsumexp",
        lambda x: x - build.logsumexp(x, 1, keepdims=True),
        log_softmax,
        (ROWS,),
        exact=False,
    ),
    Case(
        "subtract_logsumexp",
        lambda x: x - build.expand_dims(ops.log(build.sum(ops.exp(x), 1)), 1),
        log_softmax,
        (ROWS,),
        exact=False,
    ),
    Case(
        "subtract_logsumexp",
        lambda x: x - build.logsumexp(x, 0),
        lambda x: log_softmax(x, 0),
        (ROWS,),
        exact=False,
    ),
    Case(
        "subtract_log_sum",
        lambda x: x - by_axis(reduce.max_, x, 1)
        - ops.log(by_axis(reduce.sum_, ops.exp(x - by_axis(reduce.max_, x, 1)), 1)),
        log_softmax,
        (ROWS,),
        exact=False,
    ),
    *(
        Case(
            "argmax_of_softmax",
            lambda x, of=of: argmax(of(x), -1),
            lambda x: argmax(x, -1),
            (ROWS,),
            exact=False,
        )
        for of in (softmax, log_softmax)
    ),
)  # fmt: skip
