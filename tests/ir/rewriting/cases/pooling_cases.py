"""What each rule of ir/rewriting/rules/pooling.py turns into what."""

from __future__ import annotations

from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions.reduce import sum_
from tests.ir.rewriting.cases.case import Case, by_axis, swap
from tests.ir.rewriting.cases.window_cases import added, cut, placed, slid

IN_ORDER = (0, 1, 3, 2, 4, 5)


def kept(mask: Node, x: Node) -> Node:
    """x where the mask's element is positive."""
    return ops.where(mask > 0, x, 0)


def rows(x: Node) -> Node:
    """Windows of 2 x 2 of [batch, rows, columns, channels] as rows of a matrix."""
    found = build.transpose(slid(x, (2, 2)), IN_ORDER)
    return build.reshape(found, (-1, 4 * int(x.shape[-1])))  # type: ignore[call-overload]


CASES = (
    Case(
        "add_windows_apart",
        lambda x: added(x, (2, 6, 4, 3), (2, 4)),
        lambda x: build.reshape(x, (2, 6, 4, 3)),
        ((2, 3, 2, 1, 4, 3),),
        exact=False,
    ),
    Case(
        "add_windows_apart",
        lambda x: added(x, (2, 7, 4), (2,)),
        lambda x: placed(build.reshape(x, (2, 6, 4)), (2, 7, 4), 0, 0, 0),
        ((2, 3, 2, 4),),
        exact=False,
    ),
    Case(
        "draw_out_zeros",
        lambda x, c: kept(c, movement.embed(x, shape=(2, 9, 4), starts=(0, 1, 0), steps=(1, 3, 1))),
        lambda x, c: movement.embed(
            ops.where(cut(c > 0, (0, 1, 0), (2, 3, 4), (1, 3, 1)), x, 0),
            shape=(2, 9, 4),
            starts=(0, 1, 0),
            steps=(1, 3, 1),
        ),
        ((2, 3, 4), (2, 9, 4)),
    ),
    Case(
        "embed_of_embedded",
        lambda x: movement.embed(
            movement.embed(x, shape=(5,), starts=(1,), steps=(2,)),
            shape=(16,),
            starts=(2,),
            steps=(3,),
        ),
        lambda x: movement.embed(x, shape=(16,), starts=(5,), steps=(6,)),
        ((2,),),
    ),
    Case(
        "sum_of_embedded",
        lambda x: by_axis(sum_, placed(x, (4, 7, 3), 0, 2, 0), 0, 1),
        lambda x: by_axis(sum_, x, 0, 1),
        ((4, 3, 3),),
        exact=False,
    ),
    Case(
        "sum_of_embedded",
        lambda x: by_axis(sum_, placed(x, (4, 7, 5), 0, 2, 1), 1),
        lambda x: placed(by_axis(sum_, x, 1), (4, 1, 5), 0, 0, 1),
        ((4, 3, 3),),
        exact=False,
    ),
    Case(
        "product_with_embedded",
        lambda x, ct: swap(rows(x)) @ build.reshape(placed(ct, (2, 4, 4, 3), 0, 1, 0, 0), (-1, 3)),
        lambda x, ct: swap(rows(cut(x, (0, 1, 0, 0), (2, 3, 5, 2)))) @ build.reshape(ct, (-1, 3)),
        ((2, 5, 5, 2), (2, 2, 4, 3)),
        exact=False,
    ),
    Case(
        "draw_out_joined",
        lambda x, c: kept(c, build.reshape(ops.exp(x), (2, 12))),
        lambda x, c: build.reshape(
            ops.where(build.reshape(c > 0, (2, 4, 3, 1)), ops.exp(x), 0), (2, 12)
        ),
        ((2, 4, 3, 1), (2, 12)),
    ),
    Case(
        "sum_of_joined",
        lambda x: by_axis(sum_, build.reshape(ops.exp(x), (6, 1, 20)), 0, 1),
        lambda x: build.reshape(by_axis(sum_, ops.exp(x), 0, 1), (1, 1, 20)),
        ((2, 3, 4, 5),),
        exact=False,
    ),
)
