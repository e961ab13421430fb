"""Where a kernel reads and writes: buffers, strides along loop axes, and index expressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir.graph import Node
from graphc.ir.lowering import Strided, View
from graphc.ir.types import row_major_strides
from graphc.kernels.node_kinds import is_view


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


def index_expression(access: Access, loops: Sequence[Loop]) -> str:
    """The index of the current element: `i * 64 + j`."""
    terms = []
    for loop in loops:
        stride = access.strides[loop.axes[-1]]
        if stride and loop.extent != 1:
            terms.append(loop.variable if stride == 1 else f"{loop.variable} * {stride}")
    if access.offset or not terms:
        terms.append(str(access.offset))
    return " + ".join(terms)
