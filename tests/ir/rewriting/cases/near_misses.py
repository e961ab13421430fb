"""What looks like the left-hand side of a rule, but is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphc.ir.functions import build
from graphc.ir.functions.build import one_hot, pick, softmax
from graphc.ir.graph import Node
from graphc.ir.ops import composite, contract, random
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions import reduce
from graphc.ir.rewriting.rules.channels import first, last
from tests.ir.rewriting.cases.case import (
    PAIRS,
    ROWS,
    THREE,
    TWO,
    Write,
    by_axis,
    constant,
    swap,
)
from tests.ir.rewriting.cases.channel_cases import IMAGES, IMAGES_FIRST, ROWS_OF_STEPS, pairs
from tests.ir.rewriting.cases.pooling_cases import rows
from tests.ir.rewriting.cases.window_cases import added, placed


@dataclass(frozen=True)
class NearMiss:
    """`write(*inputs)` stays what it is, since `why`; with a `rule`, that one does not fire."""

    why: str
    write: Write
    shapes: tuple[tuple[Any, ...], ...] = (PAIRS,)
    dtypes: tuple[str, ...] = ()
    rule: str = ""


def shifted_sum(x: Node) -> Node:
    return by_axis(reduce.sum_, ops.exp(x - by_axis(reduce.max_, x, 1)), 1)


def by_columns(x: Node, ct: Node) -> Node:
    """The derivative by a kernel of 2 x 2, of the cotangent's channels as columns."""
    return swap(rows(x)) @ build.reshape(ct, (-1, int(ct.shape[-1])))  # type: ignore[call-overload]


def chosen(x: Node, labels: Node, s: Node, rest: float = 0) -> Node:
    return ops.where(one_hot(labels, 3, "bool"), s, rest)


def centred_sum(t: Node, x: Node, scale: Node, axis: int = 0, count: int = 4) -> Node:
    mean = by_axis(reduce.sum_, x, axis) / count
    return by_axis(reduce.sum_, t + scale * (x - mean), 0)


NEAR_MISSES = (
    NearMiss(
        "rows of a transposed batch do not follow each other",
        lambda x, y: build.transpose(x, (1, 0, 2)) @ y,
        ((2, 3, 4), (4, 5)),
    ),
    NearMiss("a matrix for each of the batch", lambda x, y: x @ y, ((2, 3, 4), (2, 4, 5))),
    NearMiss(
        "a batch that is added up in part",
        lambda x, y: by_axis(
            reduce.sum_, contract.matmul(x, y, transpose_x=True, transpose_y=False), 0
        ),
        ((2, 3, 3, 4), (2, 3, 3, 5)),
    ),
    NearMiss(
        "one of the factors is the same for the whole batch",
        lambda x, y: by_axis(
            reduce.sum_, contract.matmul(x, y, transpose_x=True, transpose_y=False), 0
        ),
        ((2, 3, 4), (1, 3, 5)),
    ),
    NearMiss(
        "a scale for each row",
        lambda t, x, s: centred_sum(t, x, s, 0, 5),
        ((5, 3), (5, 3), (5, 1)),
    ),
    NearMiss("a mean of rows", lambda t, x, s: centred_sum(t, x, s, 1, 3), (ROWS, ROWS, (3,))),
    NearMiss("no mean", lambda t, x, s: centred_sum(t, x, s, 0, 3), (ROWS, ROWS, (3,))),
    NearMiss("last(x) stays where it is", lambda x: ops.exp(last(x)), (IMAGES_FIRST,)),
    NearMiss("other axes change places", lambda x: ops.exp(build.transpose(x, (0, 1, 3, 2))),
             (IMAGES,)),
    NearMiss("y would be transposed, and first(y) is last(y)",
             lambda x, y: first(x) * y, (ROWS_OF_STEPS, (2, 3, 4))),
    NearMiss("the transposed operand is broadcast", lambda x, y: first(x) * y,
             ((1, *IMAGES[1:]), IMAGES_FIRST)),
    NearMiss("more elements stand beside channels",
             lambda x, y: first(x) * y, (IMAGES, (7, *IMAGES_FIRST))),
    NearMiss("channels pass two axes", first, (IMAGES,)),
    NearMiss("channels are joined with what stands behind them",
             lambda x: build.reshape(first(x), (2, 60)), (IMAGES,)),
    NearMiss("channels are split", lambda x: build.reshape(first(x), (2, 1, 3, 4, 5)), (IMAGES,)),
    NearMiss("rows of matrices are split",
             lambda x: build.reshape(first(x), (2, 3, 2, 2)), (ROWS_OF_STEPS,)),
    NearMiss("windows of channels", lambda x: pairs(first(x), 1), (IMAGES,)),
    NearMiss("windows of images", lambda x: pairs(first(x), 0, 2), (IMAGES,)),
    NearMiss("windows of channels are added up",
             lambda x: added(first(x), (2, 3, 6, 5), (1, 1)), ((2, 2, 5, 2, 5, 2),),
             rule="add_windows_of_first"),
    NearMiss("one of the parts is not transposed",
             lambda x, y: build.concatenate([first(x), y], 1), (IMAGES, IMAGES_FIRST)),
    NearMiss("-0.0 + 0.0 is 0.0", lambda x: x + 0.0),
    NearMiss("-0.0 - -0.0 is 0.0", lambda x: x - -0.0),
    NearMiss("0.0 - 0.0 is not -0.0", lambda x: 0.0 - x),
    NearMiss("NaN * 0 is NaN", lambda x: x * 0.0),
    NearMiss("inf - inf is NaN", lambda x: x - x),
    NearMiss("0 / 0 is NaN", lambda x: x / x),
    NearMiss("-(0.0 - 0.0) is -0.0", lambda x, y: -(x - y), TWO),
    NearMiss("the roundings differ", lambda x, y: (x + y) - y, TWO),
    NearMiss("1/10 is not exact", lambda x: x / 10.0),
    NearMiss("the product may overflow alone", lambda x: 0.5 * (2.0 * x)),
    NearMiss("the reciprocal is subnormal in f32", lambda x: x / 2.0**127, dtypes=("f32",)),
    NearMiss("sqrt(-inf) is NaN, sqrt(-0.0) is -0.0", lambda x: ops.power(x, 0.5)),
    NearMiss("x ** 3 has two roundings as products", lambda x: ops.power(x, 3.0)),
    NearMiss("z would be reshaped, which is a state where the sum is its update",
             lambda x, y, z: z - build.reshape(x @ y, (2, 3, 5)), ((6, 4), (4, 5), (2, 3, 5))),
    NearMiss("z is no row", lambda x, y, z: build.reshape(x @ y, (2, 3, 5)) * z,
             ((6, 4), (4, 5), (3, 1))),
    NearMiss("z is a row of each sample, as a gate of channels is",
             lambda x, y, z: build.reshape(x @ y, (2, 3, 5)) * z,
             ((6, 4), (4, 5), (2, 1, 5))),
    NearMiss("z is an element of each sample",
             lambda x, y, z: build.reshape(x @ y, (2, 3, 5)) * z, ((6, 4), (4, 5), (2, 1, 1))),
    NearMiss("columns are split", lambda x, y: ops.exp(build.reshape(x @ y, (6, 1, 5, 1))),
             ((6, 4), (4, 5))),
    NearMiss("the sum of t may overflow",
             lambda x, t, s: t * s - softmax(x) * by_axis(reduce.sum_, t * s, 1),
             (ROWS, ROWS, (4, 1))),
    NearMiss("a fraction is lost", lambda x: build.cast(build.cast(x, "i32"), "f32")),
    NearMiss("f32 does not hold all i32", lambda x: build.cast(build.cast(x, "f32"), "i32"),
             dtypes=("i32",)),
    NearMiss("f64 does not hold all i64", lambda x: build.cast(build.cast(x, "f64"), "i64"),
             dtypes=("i64",)),
    NearMiss("u8 does not hold all i32", lambda x: build.cast(build.cast(x, "u8"), "i32"),
             dtypes=("i32",)),
    NearMiss("digits are lost", lambda x: build.cast(build.cast(x, "f32"), "f64"),
             dtypes=("f64",)),
    NearMiss("NaN > 0 gives 0 and relu gives NaN", lambda x: ops.where(x > 0, x, 0.0)),
    NearMiss("the other operand's NaN decides", lambda x, y: ops.maximum(x, y), TWO),
    NearMiss("a constant besides 1", lambda x: ops.reciprocal(2 + ops.exp(-x))),
    NearMiss("a numerator besides 1", lambda x: 2 / (1 + ops.exp(-x))),
    NearMiss("two variables", lambda x, y: ops.exp(x) / (1 + ops.exp(y)), TWO),
    NearMiss("log(x) has no 1", lambda x: ops.log(0.5 + x)),
    NearMiss("another constant", lambda x: ops.exp(x) - 2.0),
    NearMiss("a constant of the other sign", lambda x: ops.exp(x) - -1.0),
    NearMiss("log(x - 1) is no log1p", lambda x: ops.log(-1.0 + x)),
    NearMiss("-1 + exp(-x) is no denominator of sigmoid", lambda x: 2 / (-1.0 + ops.exp(-x))),
    NearMiss("two targets", lambda z, s, t: s * ops.softplus(-z) + (1 - t) * ops.softplus(z),
             THREE),
    NearMiss("no opposite signs", lambda z, t: t * ops.softplus(z) + (1 - t) * ops.softplus(z),
             TWO),
    NearMiss("the same factor, not the opposite one",
             lambda z, t: t * ops.softplus(2 * z) + (1 - t) * ops.softplus(2 * z), TWO),
    NearMiss("factors of other sizes",
             lambda z, t: t * ops.softplus(-2 * z) + (1 - t) * ops.softplus(3 * z), TWO),
    NearMiss("opposite factors of two tensors",
             lambda x, y: (ops.exp(2 * x) - ops.exp(-2 * y)) / (ops.exp(2 * x) + ops.exp(-2 * y)),
             TWO),
    NearMiss("one difference twice", lambda x, y, t: t * ops.softplus(x - y)
             + (1 - t) * ops.softplus(x - y), THREE),
    NearMiss("differences of other tensors", lambda x, y, t: t * ops.softplus(x - y)
             + (1 - t) * ops.softplus(y - t), THREE),
    NearMiss("not opposite", lambda x, y: (ops.exp(x) - ops.exp(-y)) / (ops.exp(x) + ops.exp(-y)),
             TWO),
    NearMiss("signs the wrong way round",
             lambda x: (ops.exp(x) + ops.exp(-x)) / (ops.exp(x) - ops.exp(-x))),
    NearMiss("two tensors", lambda x, y: ops.exp(x) / by_axis(reduce.sum_, ops.exp(y), 1),
             (ROWS, ROWS)),
    NearMiss("two axes", lambda x: ops.exp(x) / by_axis(reduce.sum_, ops.exp(x), 0, 1), (ROWS,)),
    NearMiss("the maximum of another axis", lambda x: softmax(x - by_axis(reduce.max_, x, 0)),
             (ROWS,)),
    NearMiss(
        "the maximum of another tensor",
        lambda x, y: softmax(x - by_axis(reduce.max_, y, 1)),
        (ROWS, ROWS),
    ),
    NearMiss("the order is another", lambda x: x[::-1], (ROWS,)),
    NearMiss(
        "beyond bytes a float becomes the nearest, an integer keeps bits",
        lambda x: build.cast(build.cast(x, "f64"), "u8"),
        dtypes=("i32",),
    ),
    NearMiss(
        "constant labels are checked too",
        lambda x: x * build.sum(pick(constant(x, [[1, 2], [3, 4]]), constant(x, [0, 7], "i32"))),
    ),
    NearMiss(
        "the logarithm of another tensor's sum",
        lambda x, y: x - (ops.log(shifted_sum(y)) + by_axis(reduce.max_, x, 1)),
        (ROWS, ROWS),
    ),
    NearMiss(
        "the logarithm of another tensor's sum, after the maximum",
        lambda x, y: x - by_axis(reduce.max_, x, 1) - ops.log(shifted_sum(y)),
        (ROWS, ROWS),
    ),
    NearMiss(
        "another denominator",
        lambda x, y: (ops.exp(x) - ops.exp(-x)) / (ops.exp(y) + ops.exp(-y)),
        TWO,
    ),
    NearMiss(
        "the target is broadcast",
        lambda x, t, s: t * s - softmax(x) * by_axis(reduce.sum_, t * s, 1),
        (ROWS, (3,), (4, 1)),
    ),
    NearMiss("twice as much", lambda x: x - build.logsumexp(x, 0) * 2, (ROWS,)),
    NearMiss("all axes", lambda x: x - by_axis(composite.logsumexp, x, 0, 1), (ROWS,)),
    NearMiss("the maximum of another tensor is added",
             lambda x, y: ops.log(shifted_sum(x)) + by_axis(reduce.max_, y, 1), (ROWS, ROWS)),
    NearMiss("a sum of one term", lambda x: ops.log(by_axis(reduce.sum_, ops.exp(x), 1)),
             ((4, 1),)),
    NearMiss("padding is no probability",
             lambda x: ops.log(movement.embed(softmax(x), shape=(6, 3), starts=(1, 0),
                                              steps=(1, 1))), (ROWS,)),
    NearMiss("sigmoid saturates", lambda x: composite.argmax(ops.sigmoid(x), axis=1), (ROWS,)),
    NearMiss("classes along another axis", lambda x: composite.argmax(softmax(x, 0), axis=1),
             (ROWS,)),
    NearMiss("the sum of another axis", lambda t: by_axis(reduce.sum_, one_hot(t, 3), 0), ((4,),),
             dtypes=("i32",)),
    NearMiss("the sum of all labels' ones", lambda t: by_axis(reduce.sum_, one_hot(t, 3), 0, 1),
             ((4,),), dtypes=("i32",)),
    NearMiss("the sum of rows' ones", lambda t: by_axis(reduce.sum_, one_hot(t, 3), 1, 2),
             ((4, 2),), dtypes=("i32",)),
    NearMiss("the scale varies along the axis",
             lambda x, t, s: t * s - softmax(x) * by_axis(reduce.sum_, t * s, 1),
             (ROWS, ROWS, (3,))),
    NearMiss("the chosen scale varies along the axis",
             lambda x, t, s: chosen(x, t, s) - softmax(x) * by_axis(
                 reduce.sum_, chosen(x, t, s), 1),
             (ROWS, (4,), (3,)), dtypes=("float", "i32", "float")),
    NearMiss("what is not chosen is not 0",
             lambda x, t, s: chosen(x, t, s, 1) - softmax(x) * by_axis(
                 reduce.sum_, chosen(x, t, s, 1), 1),
             (ROWS, (4,), (4, 1)), dtypes=("float", "i32", "float")),
    NearMiss("the sum is of another cotangent",
             lambda x, t, s: t * s - softmax(x) * by_axis(reduce.sum_, t, 1),
             (ROWS, ROWS, (4, 1))),
    NearMiss("the broadcast gives the shape",
             lambda x: build.concatenate([movement.broadcast_to(x, shape=ROWS), x]), ((1, 3),)),
    NearMiss("the batch axes move too",
             lambda x, y: build.matmul(build.transpose(x), y), ((3, 4, 2), (2, 3, 5))),
    NearMiss("rows are left out", lambda x: x[:3], (ROWS,)),
    NearMiss("a sum of one -0.0 is 0.0", lambda x: by_axis(reduce.sum_, x, 1), ((4, 1),)),
    NearMiss("0.1 added 4 times rounds", lambda x: by_axis(
        reduce.sum_, movement.broadcast_to(x.graph.constant(0.1, x.dtype), shape=(4,)), 0)),
    NearMiss("labels are checked", lambda x: pick(x, constant(x, [0, 1, 2, 7], "i32")), (ROWS,)),
    NearMiss("inputs differ", lambda x, y: x * y, TWO),
    NearMiss("the other axes are reshaped apart",
             lambda x: by_axis(reduce.sum_, build.reshape(x, (12,))[:6], 0), (ROWS,)),
    NearMiss("open extents", lambda x: x / x.graph.extent(x.shape, x.dtype), (("n",),)),
    NearMiss("0 >= 0", lambda r, ct, key: ops.where(r >= 0, random.dropout(ct, key, rate=0.5), 0),
             (PAIRS, PAIRS, ()), dtypes=("float", "float", "i64")),
    NearMiss("a mask for each row", lambda r, ct, key: ops.where(
        r > 0, random.dropout(ct, key, rate=0.5), 0), ((4, 1), ROWS, ()),
             dtypes=("float", "float", "i64")),
    NearMiss("elements of no window between those of one",
             lambda x: added(x, (2, 6, 3), (3,), (2,)), ((2, 2, 2, 3),)),
    NearMiss("elements of no window between windows",
             lambda x: added(x, (2, 6, 3), (3,)), ((2, 2, 2, 3),)),
    NearMiss("windows overlap", lambda x: added(x, (2, 5, 3), (2,)), ((2, 2, 3, 3),)),
    NearMiss("what is not chosen is no zero",
             lambda x, c: ops.where(c > 0, placed(x, (2, 9, 4), 0, 1, 0), 1),
             ((2, 3, 4), (2, 9, 4))),
    NearMiss("what is not chosen is -0.0",
             lambda x, c: ops.where(c > 0, placed(x, (2, 9, 4), 0, 1, 0), -0.0),
             ((2, 3, 4), (2, 9, 4))),
    NearMiss("zeros stand among the columns too",
             lambda x, ct: by_columns(x, placed(ct, (2, 4, 4, 5), 0, 1, 0, 1)),
             ((2, 5, 5, 2), (2, 2, 4, 3)), rule="product_with_embedded"),
    NearMiss("zeros stand among the images too",
             lambda x, ct: by_columns(x, placed(ct, (2, 4, 4, 3), 1, 1, 0, 0)),
             ((2, 5, 5, 2), (1, 2, 4, 3)), rule="product_with_embedded"),
    NearMiss("zeros stand between the positions",
             lambda x, ct: by_columns(x, movement.embed(
                 ct, shape=(2, 4, 4, 3), starts=(0, 1, 0, 0), steps=(1, 2, 1, 1))),
             ((2, 5, 5, 2), (2, 2, 4, 3)), rule="product_with_embedded"),
    NearMiss("axes are split", lambda x, c: ops.where(
        c > 0, build.reshape(ops.exp(x), (4, 3)), 0), ((2, 6), ROWS)),
    NearMiss("what is not chosen of joined axes is no zero", lambda x, c: ops.where(
        c > 0, build.reshape(ops.exp(x), (2, 12)), 1), ((2, 4, 3), (2, 12))),
    NearMiss("matmul of what it is", lambda x: contract.matmul(
        x, x, transpose_x=True, transpose_y=False), (ROWS,)),
)  # fmt: skip
