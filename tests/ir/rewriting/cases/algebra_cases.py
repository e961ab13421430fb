"""What each rule of ir/rewriting/rules/algebra.py turns into what."""

from __future__ import annotations

from graphc.ir.functions import build
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from tests.ir.rewriting.cases.case import PAIRS, TWO, Case, constant, filled, known

CASES = (
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
        "fold_extent",
        lambda x: x * x.graph.apply(x.graph.extent(("n",), x.dtype).op, (), {
            "shape": (4, 0), "dtype": x.dtype}),
        lambda x: x * constant(x, 0.0),
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
