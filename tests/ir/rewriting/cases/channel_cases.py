"""What each rule of ir/rewriting/rules/channels.py turns into what."""

from __future__ import annotations

from typing import Any

from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions import reduce
from graphc.ir.ops.windows import add_windows, windows
from graphc.ir.rewriting.rules.channels import first, last
from tests.ir.rewriting.cases.case import Case, by_axis

IMAGES = (2, 4, 5, 3)  # channels last
IMAGES_FIRST = (2, 3, 4, 5)
ROWS_OF_STEPS = (2, 4, 3)


def pairs(x: Node, *axes: int) -> Node:
    """Windows of two elements that overlap in one."""
    ones = (1,) * len(axes)
    return windows(x, axes=axes, sizes=(2,) * len(axes), strides=ones, dilations=ones)


def added_pairs(x: Node, shape: Any, *axes: int) -> Node:
    ones = (1,) * len(axes)
    return add_windows(x, shape=shape, axes=axes, strides=ones, dilations=ones)


CASES = (
    Case(
        "reshape_of_single",
        lambda x: build.reshape(first(x), (2, 20)),
        lambda x: build.reshape(x, (2, 20)),
        ((2, 4, 5, 1),),
    ),
    Case(
        "reshape_of_single",
        lambda x: build.reshape(first(x), (2, 3)),
        lambda x: build.reshape(x, (2, 3)),
        ((2, 1, 1, 3),),
    ),
    Case("draw_out_first", lambda x: ops.exp(first(x)), lambda x: first(ops.exp(x)), (IMAGES,)),
    Case("draw_out_first", lambda x: last(ops.exp(first(x))), ops.exp, (IMAGES,)),
    Case(
        "draw_out_first",
        lambda x, bias: first(x) + build.reshape(bias, (3, 1, 1)),
        lambda x, bias: first(x + bias),
        (IMAGES, (3,)),
    ),
    Case(
        "draw_out_first",
        lambda x, y: y - first(x),
        lambda x, y: first(last(y) - x),
        (IMAGES, IMAGES_FIRST),
    ),
    Case(
        "draw_out_first",
        lambda x, place: first(x) * place,
        lambda x, place: first(x * last(build.reshape(place, (1, 3, 4, 5)))),
        (IMAGES, (3, 4, 5)),
    ),
    Case(
        "draw_out_first",
        lambda x, y, bias: first(x) * first(y) + build.reshape(bias, (3, 1)),
        lambda x, y, bias: first(x * y + bias),
        (ROWS_OF_STEPS, ROWS_OF_STEPS, (3,)),
    ),
    Case(
        "reshape_of_first",
        lambda x: build.reshape(first(x), (2, 3, 2, 2, 5)),
        lambda x: first(build.reshape(x, (2, 2, 2, 5, 3))),
        (IMAGES,),
    ),
    Case(
        "reshape_of_first",
        lambda x: build.reshape(first(x), (2, 3, 20)),
        lambda x: first(build.reshape(x, (2, 20, 3))),
        (IMAGES,),
    ),
    Case(
        "reshape_of_first",
        lambda x: build.reshape(first(x), (2, 3, 4, 1)),
        lambda x: first(build.reshape(x, (2, 4, 1, 3))),
        (ROWS_OF_STEPS,),
    ),
    Case(
        "slice_of_first",
        lambda x: first(x)[:, 1:, ::-2, 1:3],
        lambda x: first(x[:, ::-2, 1:3, 1:]),
        (IMAGES,),
    ),
    Case(
        "embed_of_first",
        lambda x: movement.embed(
            first(x), shape=(2, 4, 9, 7), starts=(0, 1, 2, 0), steps=(1, 1, 2, 1)
        ),
        lambda x: first(
            movement.embed(x, shape=(2, 9, 7, 4), starts=(0, 2, 0, 1), steps=(1, 2, 1, 1))
        ),
        (IMAGES,),
    ),
    Case(
        "concatenate_of_first",
        lambda x, y: build.concatenate([first(x), first(y)], 1),
        lambda x, y: first(build.concatenate([x, y], 3)),
        (IMAGES, (2, 4, 5, 2)),
    ),
    Case(
        "windows_of_first",
        lambda x: pairs(first(x), 2, 3),
        lambda x: first(pairs(x, 1, 2)),
        (IMAGES,),
    ),
    Case(
        "windows_of_first",
        lambda x: pairs(first(x), 2),
        lambda x: first(pairs(x, 1)),
        (ROWS_OF_STEPS,),
    ),
    Case(
        "add_windows_of_first",
        lambda x: added_pairs(first(x), (2, 3, 5, 6), 2, 3),
        lambda x: first(added_pairs(x, (2, 5, 6, 3), 1, 2)),
        ((2, 4, 2, 5, 2, 3),),
    ),
    Case(
        "sum_of_first",
        lambda x: by_axis(reduce.sum_, first(x), 0, 2, 3),
        lambda x: first(by_axis(reduce.sum_, x, 0, 1, 2)),
        (IMAGES,),
        exact=False,
    ),
    Case(
        "sum_of_first",
        lambda x: build.squeeze(by_axis(reduce.sum_, first(x), 1), 1),
        lambda x: build.squeeze(by_axis(reduce.sum_, x, 3), 3),
        (IMAGES,),
        exact=False,
    ),
    Case(
        "extreme_of_first",
        lambda x: by_axis(reduce.max_, first(x), 1, 3),
        lambda x: first(by_axis(reduce.max_, x, 2, 3)),
        (IMAGES,),
    ),
    Case(
        "extreme_of_first",
        lambda x: by_axis(reduce.any_, first(x > 0), 2),
        lambda x: first(by_axis(reduce.any_, x > 0, 1)),
        (IMAGES,),
    ),
    Case(
        "greatest_of_first",
        lambda x: by_axis(reduce.least, first(x), 2),
        lambda x: first(by_axis(reduce.least, x, 1)),
        (IMAGES,),
    ),
)
