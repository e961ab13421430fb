"""What each rule of ir/rewriting/rules/movement.py turns into what."""

from __future__ import annotations

from graphc.ir.functions import build
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions import reduce
from tests.ir.rewriting.cases.case import ROWS, Case, by_axis, filled, swap

CASES = (
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
        lambda x, y: (
            movement.broadcast_to(x, shape=(2, 4, 3)) * movement.broadcast_to(y, shape=(2, 4, 3))
        ),
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
    Case("extreme_of_single", lambda x: by_axis(reduce.max_, x, 1), lambda x: x + 0.0, ((4, 1),)),
    Case("extreme_of_single", lambda x: by_axis(reduce.least, x, 1), lambda x: x, ((4, 1),)),
    Case(
        "sum_of_sum",
        lambda x: by_axis(reduce.sum_, by_axis(reduce.sum_, x, 2), 0),
        lambda x: by_axis(reduce.sum_, x, 0, 2),
        ((2, 3, 4),),
        exact=False,
    ),
    Case(
        "sum_of_sum",
        lambda x: by_axis(reduce.sum_, by_axis(reduce.sum_, x, 0, 2), 2, 3),
        lambda x: by_axis(reduce.sum_, x, 0, 2, 3),
        ((2, 3, 1, 4),),
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
        lambda x: movement.broadcast_to(x + 0.0, shape=(1, 3)),
        ((),),
    ),
    Case(
        "extreme_of_filled",
        lambda x: by_axis(reduce.greatest, movement.broadcast_to(x, shape=ROWS), 0),
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
    Case(
        "draw_out_split_rows",
        lambda x, y, bias: ops.relu(build.reshape(x @ y, (2, 3, 5)) + bias),
        lambda x, y, bias: build.reshape(ops.relu(x @ y + bias), (2, 3, 5)),
        ((6, 4), (4, 5), (5,)),
        exact=False,
    ),
    Case(
        "draw_out_split_rows",
        lambda x, y, z: (
            ops.maximum(build.reshape(z, (2, 3, 5)), build.reshape(x @ y, (2, 3, 5))) * 2.0
        ),
        lambda x, y, z: build.reshape(
            ops.maximum(build.reshape(z, (6, 5)), x @ y) * 2.0, (2, 3, 5)
        ),
        ((6, 4), (4, 5), (3, 2, 5)),
        exact=False,
    ),
    Case(
        "draw_out_split_rows",
        lambda x, y, row: build.reshape(x @ y, (2, 3, 5)) - build.reshape(row, (1, 1, 5)),
        lambda x, y, row: build.reshape(x @ y - build.reshape(row, (5,)), (2, 3, 5)),
        ((6, 4), (4, 5), (1, 5)),
        exact=False,
    ),
    Case(
        "sum_of_split_rows",
        lambda x: by_axis(reduce.sum_, build.reshape(x, (2, 3, 5)), 0, 1),
        lambda x: build.reshape(by_axis(reduce.sum_, x, 0), (1, 1, 5)),
        ((6, 5),),
        exact=False,
    ),
)
