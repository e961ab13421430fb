"""What says how a window slides: sizes, strides, dilations and padding of each spatial axis.

`name` is the function that a user called, `x` the tensor [batch, *spatial, channels] or, channels
first, [batch, channels, *spatial] that it was given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphc.ir.arguments.checks import problem_with
from graphc.ir.arguments.given import as_integer, check_tensors, is_one_of, shown
from graphc.ir.dims import Extent
from graphc.ir.errors import ShapeError
from graphc.ir.functions.arrays.shaping import transpose
from graphc.ir.nodes.op import Node
from graphc.ir.ops.movement import movement
from graphc.ir.ops.windows import reach, windows
from graphc.ir.types import is_several

# One number for all spatial axes, or one for each.
Each = int | tuple[int, ...]
# "valid", "same", "causal", a number for all sides, one an axis, or a pair (before, after) an axis.
Padding = str | int | tuple[int, ...] | tuple[tuple[int, int], ...]
Sides = tuple[tuple[int, int], ...]

CHANNELS_LAST, CHANNELS_FIRST = "channels_last", "channels_first"
DATA_FORMATS = (CHANNELS_LAST, CHANNELS_FIRST)


@dataclass(frozen=True)
class Sliding:
    """A window over the spatial axes of a tensor, one entry an axis.

    padding: zeros before and after; what is no padding is an element.
    """

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    padding: Sides

    @property
    def is_padded(self) -> bool:
        return any(side != (0, 0) for side in self.padding)

    @property
    def is_one_element(self) -> bool:
        """Whether each window is one element, and there is one for each."""
        return {*self.sizes, *self.strides} == {1}

    @property
    def reaches(self) -> tuple[int, ...]:
        """How many elements each axis of the window lies over."""
        return tuple(map(reach, self.sizes, self.dilations))


def is_channels_first(name: str, x: Any, data_format: str | None) -> bool:
    """Whether channels stand before the spatial axes; None is channels last.

    Raises ValueError for what is no format, ShapeError for a tensor without spatial axes, TypeError
    for no tensor.
    """
    check_tensors(name, x)
    if data_format is not None and not is_one_of(data_format, DATA_FORMATS):
        problem = f"data_format: {' or '.join(map(repr, DATA_FORMATS))} expected, not "
        raise ValueError(problem_with(name, x, problem + shown(data_format)))
    if x.rank < 3:
        problem = "a batch axis, channels, and one or more spatial axes expected"
        raise ShapeError(problem_with(name, x, problem))
    return data_format == CHANNELS_FIRST


def spatial_axes(x: Node, channels_first: bool) -> tuple[int, ...]:
    return tuple(range(2, x.rank)) if channels_first else tuple(range(1, x.rank - 1))


def channels_axis(x: Node, channels_first: bool) -> int:
    return 1 if channels_first else x.rank - 1


def with_channels_last(x: Node, channels_first: bool) -> Node:
    """[batch, *spatial, channels], whichever it was."""
    return transpose(x, (0, *range(2, x.rank), 1)) if channels_first else x


def with_channels_first(x: Node, channels_first: bool) -> Node:
    """The opposite: a result with channels last as the caller has them."""
    return transpose(x, (0, x.rank - 1, *range(1, x.rank - 1))) if channels_first else x


def each_axis(name: str, x: Any, what: str, value: Any, count: int, least: int = 1) -> Any:
    """A number for each of `count` axes. Raises ShapeError for other ones and for less than
    `least`."""
    given = tuple(value) if is_several(value) else (value,) * count
    if len(given) != count:
        problem = f"{what}: a number, or one for each of {count} axes expected, not {shown(value)}"
        raise ShapeError(problem_with(name, x, problem))
    try:
        numbers = tuple(as_integer(each) for each in given)
    except TypeError as error:
        raise ShapeError(problem_with(name, x, f"{what}: {error}")) from None
    if any(number < least for number in numbers):
        problem = f"{what}: at least {least} expected, not {shown(value)}"
        raise ShapeError(problem_with(name, x, problem))
    return numbers


def fixed_extents(name: str, x: Node, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The extents along `axes`. Raises ShapeError for an open one."""
    extents = tuple(x.shape[axis] for axis in axes)
    for axis, extent in zip(axes, extents, strict=True):
        if not isinstance(extent, int):
            problem = f"axis {axis} is open, {extent}, where a fixed extent is needed"
            raise ShapeError(problem_with(name, x, problem))
    return extents  # type: ignore[return-value]


def sliding(
    name: str,
    x: Node,
    axes: tuple[int, ...],
    sizes: tuple[int, ...],
    strides: Any,
    padding: Any,
    dilations: Any = 1,
) -> Sliding:
    """The window of `sizes` over `axes` of x. Raises ShapeError, and ValueError for padding that
    is not known."""
    count = len(axes)
    extents = fixed_extents(name, x, axes)
    steps = each_axis(name, x, "strides", strides, count)
    gaps = each_axis(name, x, "dilation_rate", dilations, count)
    reaches = tuple(map(reach, sizes, gaps))
    sides = _sides(name, x, padding, extents, steps, reaches)
    for axis, extent, over, (before, after) in zip(axes, extents, reaches, sides, strict=True):
        if over > before + extent + after:
            added = f" with a padding of {before} and {after}" if before or after else ""
            problem = f"a window over {over} elements does not fit into the {extent} of axis {axis}"
            raise ShapeError(problem_with(name, x, problem + added))
    return Sliding(sizes, steps, gaps, sides)


def _sides(
    name: str,
    x: Node,
    padding: Any,
    extents: tuple[int, ...],
    strides: tuple[int, ...],
    reaches: tuple[int, ...],
) -> Sides:
    if is_one_of(padding, ("valid",)):
        return ((0, 0),) * len(extents)
    if is_one_of(padding, ("same",)):
        return tuple(map(_same, extents, strides, reaches))
    if is_one_of(padding, ("causal",)) and len(extents) == 1:
        return ((reaches[0] - 1, 0),)
    return explicit_sides(name, x, padding, len(extents))


def _same(extent: int, stride: int, over: int) -> tuple[int, int]:
    """As many positions as steps of the stride in the extent, the odd zero after it."""
    positions = -(-extent // stride)
    total = max((positions - 1) * stride + over - extent, 0)
    return total // 2, total - total // 2


def explicit_sides(name: str, x: Node, padding: Any, count: int) -> Sides:
    """Numbers as (before, after) of each axis. Raises ValueError for words, ShapeError for other
    numbers."""
    if isinstance(padding, str):
        known = "'valid', 'same'" + ", 'causal'" * (count == 1)
        problem = f"padding: {known} or numbers expected, not {padding!r}"
        raise ValueError(problem_with(name, x, problem))
    given = tuple(padding) if is_several(padding) else (padding,) * count
    if len(given) != count:
        problem = f"padding: a number, or one or a pair for each of {count} axes expected, not "
        raise ShapeError(problem_with(name, x, problem + shown(padding)))
    return tuple(each_axis(name, x, "padding", side, 2, least=0) for side in given)


def padded(x: Node, axes: tuple[int, ...], sides: Sides) -> Node:
    """x among zeros: `sides` are how many before and after it along each of `axes`."""
    if all(side == (0, 0) for side in sides):
        return x
    shape: list[Extent] = list(x.shape)
    starts = [0] * x.rank
    for axis, (before, after) in zip(axes, sides, strict=True):
        shape[axis], starts[axis] = before + shape[axis] + after, before
    return movement.embed(x, shape=tuple(shape), starts=tuple(starts), steps=(1,) * x.rank)


def windows_of(x: Node, axes: tuple[int, ...], slid: Sliding) -> Node:
    """The windows of x, which is padded: each of `axes` as positions and elements."""
    return windows(x, axes=axes, sizes=slid.sizes, strides=slid.strides, dilations=slid.dilations)
