"""For each rule what it turns into what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphc.ir import build
from graphc.ir.build import argmax, log_softmax, one_hot, pick, softmax
from graphc.ir.graph import Node
from graphc.ir.ops import elementwise as ops
from graphc.ir.ops import movement, random, reduce

Write = Callable[..., Node]

PAIRS = (196,)  # room for every pair of special values
ROWS = (4, 3)


@dataclass(frozen=True)
class Case:
    """`write(*inputs)` becomes `expected(*inputs)` by `rule`.

    shapes: of the inputs, all floats unless `dtypes` says otherwise. exact: the same bits for all
    values, NaN and infinities and zeros' signs included; else within rounding for moderate ones.
    """

    rule: str
    write: Write
    expected: Write
    shapes: tuple[tuple[Any, ...], ...] = (PAIRS,)
    exact: bool = True
    dtypes: tuple[str, ...] = ()


def constant(beside: Node, value: Any, dtype: Any = None) -> Node:
    return beside.graph.constant(value, dtype or beside.dtype)


def known(beside: Node, value: bool) -> Node:
    return beside.graph.constant(value)


def filled(beside: Node, value: Any, shape: Any) -> Node:
    return movement.broadcast_to(constant(beside, value), shape=shape)


def swap(x: Node) -> Node:
    return build.transpose(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))


def by_axis(op: Any, x: Node, *axes: int) -> Node:
    return op(x, axes=axes)


def stable_log_sum(x: Node, axis: int) -> Node:
    peak = reduce.max_(x, axes=(axis,))
    return ops.log(reduce.sum_(ops.exp(x - peak), axes=(axis,))) + peak


TWO = (PAIRS, PAIRS)
THREE = (PAIRS, PAIRS, PAIRS)

ALGEBRA = (
    Case("fold_constants", lambda x: x + (constant(x, 2.0) * constant(x, 0.75)), lambda x: x + 1.5),
    Case(
        "fold_constants",
        lambda x: x * build.sum(constant(x, [1.0, 2.0, 4.0])),
        lambda x: x * constant(x, 7.0),
    ),
    Case(
        "fold_extent",
        lambda x: x * x.graph.apply(x.graph.extent(("n",), x.dtype).op, (), {
            "shape": (3, 5), "dtype": x.dtype}),
        lambda x: x * constant(x, 15.0),
    ),
    Case(
        "broadcast_uniform_constant",
        lambda x: x * constant(x, [3.0] * PAIRS[0]),
        lambda x: x * constant(x, 3.0),
    ),
    Case("add_zero", lambda x: x + -0.0, lambda x: x),
    Case("add_zero", lambda x: -0.0 + x, lambda x: x),
    Case("add_zero", lambda x: x + 0, lambda x: x, dtypes=("i32",)),
    Case("subtract_zero", lambda x: x - 0.0, lambda x: x),
    Case("subtract_from_zero", lambda x: -0.0 - x, lambda x: -x),
    Case("subtract_from_zero", lambda x: 0 - x, lambda x: -x, dtypes=("i32",)),
    Case("multiply_one", lambda x: x * 1.0, lambda x: x),
    Case("multiply_one", lambda x: -1.0 * x, lambda x: -x),
    Case("divide_by_one", lambda x: x / 1.0, lambda x: x),
    Case("divide_by_one", lambda x: x / -1.0, lambda x: -x),
    Case("divide_one", lambda x: 1.0 / x, ops.reciprocal),
    Case("divide_negative_constant", lambda x: -3.0 / x, lambda x: -(3.0 / x)),
    Case("divide_by_power_of_two", lambda x: x / -8.0, lambda x: x * -0.125),
    Case("divide_by_power_of_two", lambda x: x / 2.0**-126, lambda x: x * 2.0**126),
    Case("negate_negate", lambda x: ops.negate(-x), lambda x: x),
    Case("negate_multiple", lambda x: -(3.0 * x), lambda x: -3.0 * x),
    Case("add_negated", lambda x, y: x + (-y), lambda x, y: x - y, TWO),
    Case("add_negated", lambda x, y: (-x) + y, lambda x, y: y - x, TWO),
    Case("subtract_negated", lambda x, y: x - (-y), lambda x, y: x + y, TWO),
    Case("draw_out_negation", lambda x, y: (-x) * y, lambda x, y: -(x * y), TWO),
    Case("draw_out_negation", lambda x, y: (-x) * (-y), lambda x, y: x * y, TWO),
    Case("draw_out_negation", lambda x, y: x / (-y), lambda x, y: -(x / y), TWO),
    Case("drop_inner_sign", lambda x: ops.square(-x), ops.square),
    Case("drop_inner_sign", lambda x: abs(-x), abs),
    Case("drop_inner_sign", lambda x: ops.square(abs(x)), ops.square),
    Case("multiply_itself", lambda x: x * x, ops.square),
    Case("small_power", lambda x: ops.power(x, 1.0), lambda x: x),
    Case("small_power", lambda x: ops.power(x, 2.0), ops.square, exact=False),
    Case("small_power", lambda x: ops.power(x, -1.0), ops.reciprocal, exact=False),
    Case("small_power", lambda x: ops.power(x, 0.0), lambda x: filled(x, 1.0, x.shape)),
    Case("combine_equals", lambda x: ops.maximum(x, x), lambda x: x),
    Case("combine_equals", lambda x: ops.logical_and(x > 0, x > 0), lambda x: x > 0),
    Case("not_not", lambda x: ~~(x > 0), lambda x: x > 0),
    Case("where_known", lambda x, y: ops.where(known(x, True), x, y), lambda x, y: x, TWO),
    Case("where_known", lambda x, y: ops.where(known(x, False), x, y), lambda x, y: y, TWO),
    Case("where_known", lambda x, y: ops.where(y > 0, x, x), lambda x, y: x, TWO),
    Case(
        "where_known",
        lambda x, y: ops.where(x[:, None] > 0, y, y),
        lambda x, y: movement.broadcast_to(y, shape=(3, 3)),
        ((3,), (3,)),
    ),
    Case(
        "where_not",
        lambda x, y: ops.where(~(x > y), x, y),
        lambda x, y: ops.where(x > y, y, x),
        TWO,
    ),
    Case("cast_to_own_dtype", lambda x: ops.cast(x, dtype=x.dtype), lambda x: x),
    Case(
        "cast_twice",
        lambda x: build.cast(build.cast(x, "f64"), "f32"),
        lambda x: x,
        dtypes=("f32",),
    ),
    Case(
        "cast_twice",
        lambda x: build.cast(build.cast(x, "f64"), "i64"),
        lambda x: build.cast(x, "i64"),
        dtypes=("i32",),
    ),
    Case(
        "cast_twice",
        lambda x: build.cast(build.cast(x > 0, "i32"), "f32"),
        lambda x: build.cast(x > 0, "f32"),
    ),
)  # fmt: skip

MOVEMENT = (
    Case(
        "draw_out_broadcast",
        lambda x, y: x + movement.broadcast_to(y, shape=ROWS),
        lambda x, y: x + y,
        (ROWS, (3,)),
    ),
    Case(
        "draw_out_broadcast",
        lambda x: ops.exp(movement.broadcast_to(x, shape=ROWS)),
        lambda x: movement.broadcast_to(ops.exp(x), shape=ROWS),
        ((3,),),
    ),
    Case(
        "draw_out_broadcast",
        lambda x, y: movement.broadcast_to(x, shape=(2, 4, 3)) * movement.broadcast_to(
            y, shape=(2, 4, 3)),
        lambda x, y: movement.broadcast_to(x * y, shape=(2, 4, 3)),
        (ROWS, (3,)),
    ),
    Case("reshape_to_own_shape", lambda x: movement.reshape(x, shape=ROWS), lambda x: x, (ROWS,)),
    Case(
        "reshape_reshaped",
        lambda x: build.reshape(build.reshape(x, (12,)), (2, 6)),
        lambda x: build.reshape(x, (2, 6)),
        (ROWS,),
    ),
    Case(
        "reshape_prefix",
        lambda x: movement.reshape(x, shape=(1, 1, *ROWS)),
        lambda x: movement.broadcast_to(x, shape=(1, 1, *ROWS)),
        (ROWS,),
    ),
    Case(
        "reshape_prefixed",
        lambda x: build.reshape(movement.broadcast_to(x, shape=(1, *ROWS)), (12,)),
        lambda x: build.reshape(x, (12,)),
        (ROWS,),
    ),
    Case(
        "move_filled",
        lambda x: build.transpose(build.reshape(filled(x, 2.0, (6,)), (2, 3)))[::2],
        lambda x: filled(x, 2.0, (2, 2)),
    ),
    Case(
        "move_filled",
        lambda x: build.reshape(movement.broadcast_to(x, shape=(6, 1)), (2, 3)),
        lambda x: movement.broadcast_to(build.reshape(x, ()), shape=(2, 3)),
        ((1, 1),),
    ),
    Case(
        "broadcast_to_own_shape",
        lambda x: movement.broadcast_to(x, shape=ROWS),
        lambda x: x,
        (ROWS,),
    ),
    Case(
        "broadcast_broadcast",
        lambda x: movement.broadcast_to(movement.broadcast_to(x, shape=(1, 3)), shape=ROWS),
        lambda x: movement.broadcast_to(x, shape=ROWS),
        ((3,),),
    ),
    Case(
        "transpose_transposed",
        lambda x: build.transpose(build.transpose(x, (2, 0, 1)), (0, 2, 1)),
        lambda x: build.transpose(x, (2, 1, 0)),
        ((2, 3, 4),),
    ),
    Case("transpose_transposed", lambda x: x.T.T, lambda x: x, ((2, 3, 4),)),
    Case(
        "transpose_in_order",
        lambda x: movement.transpose(x, axes=(0, 1)),
        lambda x: x,
        (ROWS,),
    ),
    Case(
        "slice_whole",
        lambda x: movement.slice_(x, starts=(0, 0), counts=ROWS, steps=(1, 1)),
        lambda x: x,
        (ROWS,),
    ),
    Case("concatenate_one", lambda x: build.concatenate([x]), lambda x: x, (ROWS,)),
    Case(
        "transpose_into_matmul",
        lambda x, y: swap(x) @ swap(y),
        lambda x, y: build.matmul(x, y, True, True),
        ((3, 4), (5, 3)),
    ),
    Case(
        "transpose_into_matmul",
        lambda x, y: build.matmul(x, swap(y), transpose_y=True),
        lambda x, y: x @ y,
        ((2, 4, 3), (2, 3, 5)),
    ),
    Case(
        "transpose_of_matmul",
        lambda x, y: swap(build.matmul(x, y, transpose_x=True)),
        lambda x, y: build.matmul(y, x, True, False),
        ((3, 4), (3, 5)),
        exact=False,
    ),
    Case("extreme_of_single", lambda x: by_axis(reduce.max_, x, 1), lambda x: x, ((4, 1),)),
    Case(
        "sum_of_sum",
        lambda x: by_axis(reduce.sum_, by_axis(reduce.sum_, x, 2), 0),
        lambda x: by_axis(reduce.sum_, x, 0, 2),
        ((2, 3, 4),),
        exact=False,
    ),
    Case(
        "sum_all_reshaped",
        lambda x: build.sum(build.reshape(x, (12,))),
        lambda x: build.sum(x),
        (ROWS,),
        exact=False,
    ),
    Case(
        "extreme_of_filled",
        lambda x: by_axis(reduce.min_, movement.broadcast_to(x, shape=ROWS), 0),
        lambda x: movement.broadcast_to(x, shape=(1, 3)),
        ((),),
    ),
    Case(
        "sum_of_filled",
        lambda x: by_axis(reduce.sum_, filled(x, -0.25, ROWS), 0),
        lambda x: filled(x, -1.0, (1, 3)),
    ),
    Case(
        "sum_of_filled",
        lambda x: by_axis(reduce.sum_, filled(x, -0.0, ROWS), 0),
        lambda x: filled(x, 0.0, (1, 3)),
    ),
)  # fmt: skip

LABELS = ((4, 3), (4,))
FLOATS_AND_LABELS = ("float", "i32")

STABLE = (
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
    Case("maximum_to_relu", lambda x: ops.maximum(0.0, x), ops.relu, exact=False),
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
        lambda x: stable_log_sum(x, 0),
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
    Case("argmax_of_softmax", lambda x: argmax(softmax(x)), argmax, (ROWS,), exact=False),
    Case("argmax_of_softmax", lambda x: argmax(log_softmax(x)), argmax, (ROWS,), exact=False),
)  # fmt: skip

BACKWARD = (
    Case(
        "sum_of_one_hot",
        lambda t: by_axis(reduce.sum_, one_hot(t, 3), 1),
        lambda t: movement.broadcast_to(t.graph.constant(1.0, "f32"), shape=(4, 1)),
        ((4,),),
        dtypes=("i32",),
        exact=False,
    ),
    Case(
        "log_softmax_backward",
        lambda x, t: (
            -0.25 * one_hot(t, 3, x.dtype)
            - softmax(x) * by_axis(reduce.sum_, -0.25 * one_hot(t, 3, x.dtype), 1)
        ),
        lambda x, t: (softmax(x) - one_hot(t, 3, x.dtype)) * 0.25,
        LABELS,
        dtypes=FLOATS_AND_LABELS,
        exact=False,
    ),
    Case(
        "log_softmax_backward",
        lambda x, t, s: t * s - softmax(x, 0) * by_axis(reduce.sum_, t * s, 0),
        lambda x, t, s: (t - softmax(x, 0) * by_axis(reduce.sum_, t, 0)) * s,
        (ROWS, ROWS, (3,)),
        exact=False,
    ),
    Case(
        "log_softmax_backward",
        lambda x, t, s: -(t * s) - by_axis(reduce.sum_, -(t * s), 1) * softmax(x),
        lambda x, t, s: (softmax(x) * by_axis(reduce.sum_, t, 1) - t) * s,
        (ROWS, ROWS, (4, 1)),
        exact=False,
    ),
    Case(
        "relu_dropout_backward",
        lambda r, ct, key: ops.where(r > 0, random.dropout(ct, key, rate=0.3), 0),
        lambda r, ct, key: ops.where(random.dropout(r, key, rate=0.3) > 0, ct * (1 / 0.7), 0),
        (PAIRS, PAIRS, ()),
        dtypes=("float", "float", "i64"),
    ),
)

CASES = (*ALGEBRA, *MOVEMENT, *STABLE, *BACKWARD)
