"""Where a kernel reads and writes: buffers, and strides along loop axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Digit, Digits, Strided, View
from graphc.ir.types import row_major_strides
from graphc.kernels.nests.node_kinds import is_view


@dataclass(frozen=True)
class Access:
    """Elements of a buffer along loop axes: `offset` plus `strides[axis]` per step of each."""

    buffer: str
    offset: int
    strides: tuple[int, ...]


def place_in_memory(value: Node) -> Strided | None:
    """Where `value` stands in the buffer of the value it views, which is contiguous.

    None when some view cannot be expressed by strides: such a view needs a copy before it.
    """
    chain = []
    while is_view(value):
        chain.append(value)
        value = value.operands[0]
    at: Strided | None = Strided(0, row_major_strides(value.type.dims))
    for view in reversed(chain):
        if at is None:
            return None
        lowering = view.op.lowering
        assert isinstance(lowering, View)
        at = lowering.place(at, view.operands[0].type, view.type, **view.attributes)
    return at


def is_in_rows(value: Node, size: int) -> bool:
    """Whether row i of `value` shows row i alone of a memory of `size` elements, which has as many
    rows as the value."""
    place = place_in_memory(value)
    if place is None or place.offset:
        return False
    # All of the value lies in the memory from its beginning on, so no row reaches into the next.
    return place.strides[0] * value.type.dims[0] == size


def digits_in_memory(value: Node) -> Digits | None:
    """As `place_in_memory`, also of views that join axes whose strides do not go together, such as
    the windows of an image as rows of a matrix. None when no digits express it."""
    chain = []
    while is_view(value):
        chain.append(value)
        value = value.operands[0]
    at: Digits | None = _as_digits(Strided(0, row_major_strides(value.type.dims)), value.type.dims)
    for view in reversed(chain):
        if at is None:
            return None
        at = _digits_of_view(at, view)
    return at


def _digits_of_view(at: Digits, view: Node) -> Digits | None:
    """Where a view stands whose operand stands at `at`."""
    lowering = view.op.lowering
    assert isinstance(lowering, View)
    operand = view.operands[0].type
    if lowering.digits is not None:
        found = lowering.digits(at, operand, view.type, **view.attributes)
        return None if found is None else _joined(found)
    if any(len(axis) > 1 for axis in at.axes):
        return None
    strides = tuple(axis[0].stride if axis else 0 for axis in at.axes)
    place = lowering.place(Strided(at.offset, strides), operand, view.type, **view.attributes)
    return None if place is None else _as_digits(place, view.type.dims)


def _as_digits(at: Strided, dims: tuple[int, ...]) -> Digits:
    """One digit an axis, none of an extent of 1."""
    pairs = zip(dims, at.strides, strict=True)
    return Digits(at.offset, tuple((Digit(n, stride),) if n != 1 else () for n, stride in pairs))


def _joined(at: Digits) -> Digits:
    """Digits of an axis that follow each other evenly are one."""
    axes = []
    for axis in at.axes:
        joined: list[Digit] = []
        for digit in axis:
            if joined and joined[-1].stride == digit.extent * digit.stride:
                digit = Digit(joined.pop().extent * digit.extent, digit.stride)
            joined.append(digit)
        axes.append(tuple(joined))
    return Digits(at.offset, tuple(axes))


def access_along(buffer: str, at: Strided, loop_axes: Sequence[int | None], loops: int) -> Access:
    """The access of a value at `at` whose axes run along `loop_axes` (None: extent 1)."""
    strides = [0] * loops
    for axis, stride in zip(loop_axes, at.strides, strict=True):
        if axis is not None:
            strides[axis] += stride
    return Access(buffer, at.offset, tuple(strides))


@dataclass(frozen=True)
class Loop:
    """One emitted loop: its variable, its extent, and the loop axes that it runs over at once."""

    variable: str
    extent: int
    axes: tuple[int, ...]


def merge_axes(
    axes: Sequence[int],
    extents: Sequence[int],
    accesses: Sequence[Access],
    variables: Sequence[str],
) -> tuple[Loop, ...]:
    """Loops over `axes`, neighbours made one where every access steps through both evenly.

    `variables` names the loops, outermost first; no more are left than it has names.
    """
    groups: list[list[int]] = []
    for axis in axes:
        if groups and _is_even(groups[-1][-1], axis, extents, accesses):
            groups[-1].append(axis)
        else:
            groups.append([axis])
    if len(groups) > len(variables):
        raise AssertionError(f"{len(groups)} loops, but names for {len(variables)}")
    loops = []
    for variable, group in zip(variables, groups, strict=False):
        extent = 1
        for axis in group:
            extent *= extents[axis]
        loops.append(Loop(variable, extent, tuple(group)))
    return tuple(loops)


def _is_even(slow: int, fast: int, extents: Sequence[int], accesses: Sequence[Access]) -> bool:
    return all(a.strides[slow] == a.strides[fast] * extents[fast] for a in accesses)
