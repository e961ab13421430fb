"""What each rule of ir/rewriting/rules/windows.py turns into what."""

from __future__ import annotations

from typing import Any

from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions.reduce import sum_
from graphc.ir.ops.windows import add_windows, windows
from tests.ir.rewriting.cases.case import Case, by_axis, swap


def slid(x: Node, sizes: Any, strides: Any = None, dilations: Any = None) -> Node:
    ones = (1,) * len(sizes)
    return windows(
        x,
        axes=tuple(range(1, len(sizes) + 1)),
        sizes=sizes,
        strides=strides or ones,
        dilations=dilations or ones,
    )


def added(x: Node, shape: Any, strides: Any, dilations: Any = None) -> Node:
    return add_windows(
        x,
        shape=shape,
        axes=tuple(range(1, len(strides) + 1)),
        strides=strides,
        dilations=dilations or (1,) * len(strides),
    )


def placed(x: Node, shape: Any, *starts: int) -> Node:
    return movement.embed(x, shape=shape, starts=starts, steps=(1,) * x.rank)


def cut(x: Node, starts: Any, counts: Any, steps: Any = None) -> Node:
    return movement.slice_(x, starts=starts, counts=counts, steps=steps or (1,) * x.rank)


def cotangents(ct: Node, kernel: Node) -> Node:
    """Of windows over one axis."""
    batch, positions, filters = ct.shape
    size, channels, _ = kernel.shape
    rows = build.reshape(ct, (batch * positions, filters))
    product = rows @ swap(build.reshape(kernel, (size * channels, filters)))
    return build.reshape(product, (batch, positions, size, channels))


def in_reverse(kernel: Node) -> Node:
    """[3, channels, filters], or [2, 2, channels, filters] of two phases, as columns."""
    taps, phases, channels, filters = kernel.shape
    starts, steps = (taps - 1, 0, 0, 0), (-1, 1, 1, 1)
    turned = build.transpose(cut(kernel, starts, kernel.shape, steps), (0, 3, 1, 2))
    return build.reshape(turned, (taps * filters, phases * channels))


CASES = (
    Case(
        "add_windows_of_product",
        lambda ct, k: added(cotangents(ct, k), (2, 9, 2), (1,), (2,)),
        lambda ct, k: build.reshape(
            build.reshape(slid(placed(ct, (2, 13, 4), 0, 4, 0), (3,), None, (2,)), (18, 12))
            @ in_reverse(build.reshape(k, (3, 1, 2, 4))),
            (2, 9, 2),
        ),
        ((2, 5, 4), (3, 2, 4)),
        exact=False,
    ),
    Case(
        "add_windows_of_product",
        lambda ct, k: added(cotangents(ct, k), (2, 9, 2), (2,)),
        lambda ct, k: cut(
            build.reshape(
                build.reshape(slid(placed(ct, (2, 6, 4), 0, 1, 0), (2,)), (10, 8))
                @ in_reverse(build.reshape(placed(k, (4, 2, 4), 0, 0, 0), (2, 2, 2, 4))),
                (2, 10, 2),
            ),
            (0, 0, 0),
            (2, 9, 2),
        ),
        ((2, 4, 4), (3, 2, 4)),
        exact=False,
    ),
    Case(
        "add_windows_of_channels",
        lambda ct, k: added(build.reshape(ct, (2, 5, 1, 4)) * k, (2, 7, 4), (1,)),
        lambda ct, k: build.reshape(
            by_axis(
                sum_,
                slid(placed(ct, (2, 9, 4), 0, 2, 0), (3,))
                * cut(build.reshape(k, (1, 3, 4)), (0, 2, 0), (1, 3, 4), (1, -1, 1)),
                2,
            ),
            (2, 7, 4),
        ),
        ((2, 5, 4), (1, 3, 4)),
        exact=False,
    ),
    Case(
        "slice_of_convolution",
        lambda x, k: cut(
            build.reshape(
                build.reshape(
                    build.transpose(slid(x, (3, 2), (2, 1)), (0, 1, 3, 2, 4, 5)), (24, 12)
                )
                @ k,
                (2, 3, 4, 3),
            ),
            (0, 1, 0, 0),
            (2, 2, 3, 3),
        ),
        lambda x, k: build.reshape(
            build.reshape(
                build.transpose(
                    slid(cut(x, (0, 2, 0, 0), (2, 5, 4, 2)), (3, 2), (2, 1)), (0, 1, 3, 2, 4, 5)
                ),
                (12, 12),
            )
            @ k,
            (2, 2, 3, 3),
        ),
        ((2, 7, 5, 2), (12, 3)),
        exact=False,
    ),
    Case(
        "slice_of_channels",
        lambda x, k: cut(
            build.reshape(by_axis(sum_, slid(x, (3,)) * k, 2), (2, 6, 4)), (0, 1, 0), (2, 3, 4)
        ),
        lambda x, k: build.reshape(
            by_axis(sum_, slid(cut(x, (0, 1, 0), (2, 5, 4)), (3,)) * k, 2), (2, 3, 4)
        ),
        ((2, 8, 4), (3, 4)),
        exact=False,
    ),
    Case(
        "slice_of_embedded",
        lambda x: cut(placed(x, (2, 9, 5), 0, 3, 1), (0, 1, 2), (2, 7, 3)),
        lambda x: placed(cut(x, (0, 0, 1), (2, 4, 2)), (2, 7, 3), 0, 2, 0),
        ((2, 4, 3),),
    ),
    Case(
        "slice_of_embedded",
        lambda x: cut(placed(x, (2, 9, 5), 0, 3, 1), (0, 4, 2), (2, 3, 2)),
        lambda x: cut(x, (0, 1, 1), (2, 3, 2)),
        ((2, 4, 3),),
    ),
)
