"""Several axes of a tensor as one, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from graphc.ir.dims import Extent
from graphc.ir.ops.movement import movement
from graphc.ir.types import Shape


@dataclass(frozen=True, eq=False)
class Merged:
    """`value` is a tensor of shape `shape` whose axes `axes` are one, `axis`, in row-major order.

    order: the permutation that has been applied before they were merged.
    """

    value: Any
    axis: int
    shape: Shape
    axes: tuple[int, ...]
    order: tuple[int, ...]

    def split(self, value: Any) -> Any:
        """The inverse, for a value of the merged one's shape."""
        moved = _reshaped(value, tuple(self.shape[axis] for axis in self.order))
        return _transposed(moved, movement.inverse_permutation(self.order))


def merge(x: Any, axes: tuple[int, ...]) -> Merged:
    """`x` with its sorted `axes` as one; no axes become an axis of extent 1 at the end.

    Axes side by side are merged where they are, others behind all that are left.
    """
    rank = len(x.shape)
    start = axes[0] if axes else rank
    if axes != tuple(range(start, start + len(axes))):
        start = rank - len(axes)
    kept = [axis for axis in range(rank) if axis not in axes]
    order = (*kept[:start], *axes, *kept[start:])
    merged: Extent = math.prod(x.shape[axis] for axis in axes)
    moved = _transposed(x, order)
    behind = moved.shape[start + len(axes) :]
    value = _reshaped(moved, (*moved.shape[:start], merged, *behind))
    return Merged(value, start, x.shape, axes, order)


def _reshaped(x: Any, shape: Shape) -> Any:
    return x if x.shape == shape else movement.reshape(x, shape=shape)


def _transposed(x: Any, order: tuple[int, ...]) -> Any:
    return x if order == tuple(range(len(order))) else movement.transpose(x, axes=order)
