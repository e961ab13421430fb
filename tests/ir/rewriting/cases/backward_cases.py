"""What each rule of ir/rewriting/rules/backward.py turns into what."""

from __future__ import annotations

from graphc.ir.functions.build import one_hot, softmax
from graphc.ir.graph import Node
from graphc.ir.ops import random
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions import reduce
from tests.ir.rewriting.cases.case import PAIRS, Case, by_axis

LABELS = ((4, 3), (4,))
FLOATS_AND_LABELS = ("float", "i32")


def chosen(x: Node, labels: Node, s: Node) -> Node:
    return ops.where(one_hot(labels, 3, "bool"), s, 0)


def _cotangent_passed(x: Node, ct: Node, axis: int) -> Node:
    """What log_softmax hands back."""
    return ct - by_axis(reduce.sum_, ct, axis) * softmax(x, axis)


def sums_of(x: Node, *axes: int) -> Node:
    return by_axis(reduce.sum_, x, *axes)


def centred(x: Node, count: int) -> Node:
    """x less its mean over the first axis, of `count` elements."""
    return x - sums_of(x, 0) / count


CASES = (
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
        lambda x, t, s: chosen(x, t, -s) - softmax(x) * by_axis(reduce.sum_, chosen(x, t, -s), 1),
        lambda x, t, s: (softmax(x) - one_hot(t, 3, x.dtype)) * s,
        (*LABELS, (4, 1)),
        dtypes=(*FLOATS_AND_LABELS, "float"),
        exact=False,
    ),
    Case(
        "log_softmax_backward",
        lambda x, t, s: _cotangent_passed(x, ops.weigh(one_hot(t, 3, x.dtype), s), 1),
        lambda x, t, s: (one_hot(t, 3, x.dtype) - softmax(x)) * s,
        (*LABELS, (4, 1)),
        dtypes=(*FLOATS_AND_LABELS, "float"),
        exact=False,
    ),
    Case(
        "log_softmax_backward",
        lambda x, t, s: _cotangent_passed(x, one_hot(t, 3, x.dtype) * s, 0),
        lambda x, t, s: (
            (
                one_hot(t, 3, x.dtype)
                - softmax(x, 0) * by_axis(reduce.sum_, one_hot(t, 3, x.dtype), 0)
            )
            * s
        ),
        (*LABELS, (3,)),
        dtypes=(*FLOATS_AND_LABELS, "float"),
        exact=False,
    ),
    Case(
        "log_softmax_backward",
        lambda x, t, s: _cotangent_passed(x, -(one_hot(t, 3, x.dtype) * s), 1),
        lambda x, t, s: (softmax(x) - one_hot(t, 3, x.dtype)) * s,
        (*LABELS, (4, 1)),
        dtypes=(*FLOATS_AND_LABELS, "float"),
        exact=False,
    ),
    Case(
        "relu_dropout_backward",
        lambda r, ct, key: ops.where(r > 0, random.dropout(ct, key, rate=0.3), 0),
        lambda r, ct, key: ops.where(random.dropout(r, key, rate=0.3) > 0, ct * (1 / 0.7), 0),
        (PAIRS, PAIRS, ()),
        dtypes=("float", "float", "i64"),
    ),
    Case(
        "sum_of_centred",
        lambda t, x, s: sums_of(t + 2 * (s * centred(x, 5)), 0),
        lambda t, x, s: sums_of(t, 0),
        ((5, 3), (5, 3), (1, 3)),
        exact=False,
    ),
    Case(
        "sum_of_centred",
        lambda t, x, s: sums_of(-(s * centred(x, 4) + t), 0),
        lambda t, x, s: sums_of(-t, 0),
        ((4, 3), (4, 3), (3,)),
        exact=False,
    ),
)
