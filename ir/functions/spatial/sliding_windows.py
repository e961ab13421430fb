"""Windows of a tensor as users ask for them: views, of which derivatives add up what overlaps."""

from __future__ import annotations

from typing import Any

from graphc.ir.arguments.checks import axis_of, problem_with
from graphc.ir.arguments.given import check_tensors
from graphc.ir.errors import ShapeError
from graphc.ir.functions.arrays.shaping import transpose
from graphc.ir.functions.spatial.window_arguments import each_axis
from graphc.ir.nodes.op import Node
from graphc.ir.ops.windows import windows
from graphc.ir.types import is_several


def sliding_window_view(x: Any, window_shape: Any, axis: Any = None) -> Node:
    """All windows of `window_shape` along `axis`, an axis or several, all unless given: x's shape,
    shortened there, with the windows' axes at the end, as numpy has it. No element is copied.

        pairs = gc.sliding_window_view(words, 2, axis=1)  # [n,7] -> [n,6,2]

    Raises ShapeError for windows that do not fit, for an axis named twice, and for one of an open
    extent, TypeError unless x is a tensor.
    """
    name = "sliding_window_view"
    check_tensors(name, x)
    given = axis if is_several(axis) else (axis,)
    axes = tuple(range(x.rank)) if axis is None else tuple(axis_of(x, a, name) for a in given)
    if len(set(axes)) != len(axes):
        raise ShapeError(problem_with(name, x, f"an axis is named twice in {given}"))
    sizes = each_axis(name, x, "window_shape", window_shape, len(axes))
    in_order = sorted(axes)
    ones = (1,) * len(axes)
    found = windows(
        x,
        axes=tuple(in_order),
        sizes=tuple(sizes[axes.index(each)] for each in in_order),
        strides=ones,
        dilations=ones,
    )
    # Where each axis of x stands beside those of windows before it.
    places = [each + sum(other < each for other in axes) for each in range(x.rank)]
    return transpose(found, (*places, *(places[each] + 1 for each in axes)))
