"""Layers that give the same elements another shape, or repeat them, or put zeros around them."""

from __future__ import annotations

from collections.abc import Sequence
from operator import mul
from typing import Any, ClassVar

from graphc.declare.nn.layer import Layer, short_form
from graphc.errors import ShapeError
from graphc.ir.arguments.given import as_integer, is_one_of, shown
from graphc.ir.functions import build
from graphc.ir.functions.spatial.resizing import METHODS, NEAREST, repeated, resize
from graphc.ir.functions.spatial.window_arguments import (
    Each,
    each_axis,
    explicit_sides,
    fixed_extents,
    is_channels_first,
    padded,
    spatial_axes,
)
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.types import each_of


class _Spatial(Layer):
    # How many axes there are between batch and channels.
    spatial: ClassVar[int]

    def __init__(self, data_format: str | None, name: str | None) -> None:
        super().__init__(name)
        self.data_format = data_format

    def _axes(self, x: Node) -> tuple[int, ...]:
        axes = spatial_axes(x, is_channels_first(self.kind, x, self.data_format))
        if len(axes) != self.spatial:
            problem = f"{self.spatial + 2} axes, batch and channels among them, expected"
            raise ShapeError(self._message(x, problem))
        return axes


class _ZeroPadding(_Spatial):
    def __init__(
        self, padding: Any = 1, data_format: str | None = None, name: str | None = None
    ) -> None:
        """Raises TypeError for a name that is no text. Calls raise ShapeError for a padding of
        other numbers, and for a tensor of other axes."""
        super().__init__(data_format, name)
        self.padding = padding

    def call(self, x: Node) -> Node:
        axes = self._axes(x)
        given = self.padding
        # Along one axis a pair is (before, after), as Keras has it.
        if self.spatial == 1 and len(each_of(given)) == 2:
            given = (tuple(given),)
        return padded(x, axes, explicit_sides(self.kind, x, given, len(axes)))


class ZeroPadding1D(_ZeroPadding):
    """Zeros before and after all steps: [batch, steps, channels]. `padding` is how many on both
    sides, or a pair (before, after). Arguments and defaults are those of
    keras.layers.ZeroPadding1D."""

    spatial = 1


class ZeroPadding2D(_ZeroPadding):
    """Zeros around images: [batch, height, width, channels].

    `padding` is how many on each side, one number an axis, or a pair (before, after) an axis.
    Arguments and defaults are those of keras.layers.ZeroPadding2D.

        framed = gc.nn.ZeroPadding2D(2)(images)  # [n,28,28,1] -> [n,32,32,1]
    """

    spatial = 2


class ZeroPadding3D(_ZeroPadding):
    """As `ZeroPadding2D` over three axes: [batch, depth, height, width, channels]."""

    spatial = 3


class _UpSampling(_Spatial):
    def __init__(
        self, size: Each = 2, data_format: str | None = None, name: str | None = None
    ) -> None:
        """Raises TypeError for a name that is no text. Calls raise ShapeError for a size below 1,
        and for a tensor of other axes."""
        super().__init__(data_format, name)
        self.size = size

    def call(self, x: Node) -> Node:
        return repeated(x, self._times(x))

    def _times(self, x: Node) -> dict[int, int]:
        axes = self._axes(x)
        return dict(zip(axes, each_axis(self.kind, x, "size", self.size, len(axes)), strict=True))


class UpSampling1D(_UpSampling):
    """Each step `size` times: [batch, steps, channels] -> [batch, steps * size, channels].
    Arguments and defaults are those of keras.layers.UpSampling1D."""

    spatial = 1


class UpSampling2D(_UpSampling):
    """As many rows and columns times `size`, one number or one an axis: [batch, height, width,
    channels] -> [batch, height * size, width * size, channels].

    With `interpolation="nearest"` each element is a rectangle of equal ones; "bilinear" weighs the
    four around each place, as `gc.resize` does. Arguments and defaults are those of
    keras.layers.UpSampling2D, whose other interpolations there are not.

        wider = gc.nn.UpSampling2D(2)(hidden)  # [n,7,7,8] -> [n,14,14,8]
    """

    spatial = 2

    def __init__(
        self,
        size: Each = 2,
        data_format: str | None = None,
        interpolation: str = NEAREST,
        name: str | None = None,
    ) -> None:
        """Raises ValueError for an interpolation that is not known. The rest as `gc.resize`."""
        super().__init__(size, data_format, name)
        if not is_one_of(interpolation, METHODS):
            known = " or ".join(map(repr, METHODS))
            problem = f"{self.kind}: interpolation: {known} expected, not {shown(interpolation)}"
            raise ValueError(located(problem, callers_location()))
        self.interpolation = interpolation

    def call(self, x: Node) -> Node:
        if self.interpolation == NEAREST:
            return super().call(x)
        times = self._times(x)
        extents = fixed_extents(self.kind, x, tuple(times))
        wider = tuple(map(mul, extents, times.values()))
        return resize(x, wider, self.interpolation, data_format=self.data_format)


class UpSampling3D(_UpSampling):
    """As `UpSampling2D` over three axes: [batch, depth, height, width, channels]."""

    spatial = 3


class Reshape(Layer):
    """Each row in another shape: [batch, ...] -> [batch, *target_shape], of which one extent may be
    -1. Arguments are those of keras.layers.Reshape.

        image = gc.nn.Reshape((28, 28, 1))(pixels)
    """

    def __init__(self, target_shape: Any, name: str | None = None) -> None:
        """Raises TypeError for a name that is no text. Calls raise ShapeError for a shape of
        another number of elements, and for a scalar."""
        super().__init__(name)
        self.target_shape = each_of(target_shape)

    def call(self, x: Node) -> Node:
        if x.rank < 1:
            raise ShapeError(self._message(x, "a batch axis expected"))
        return build.reshape(x, (x.shape[0], *self.target_shape))


class Permute(Layer):
    """The axes behind the batch in another order: `dims` counts them from 1, as
    keras.layers.Permute does.

        channels_first = gc.nn.Permute((3, 1, 2))(images)
    """

    def __init__(self, dims: Sequence[int], name: str | None = None) -> None:
        """Raises ShapeError unless `dims` has each of 1 to their number once. Calls raise it for a
        tensor of other axes."""
        super().__init__(name)
        given = each_of(dims)
        try:
            self.dims = tuple(map(as_integer, given))
            is_order = sorted(self.dims) == list(range(1, len(given) + 1))
        except TypeError:
            is_order = False
        if not is_order:
            expected = f"each of 1 to {len(given)} once expected"
            problem = f"{self.kind}: dims: {expected}, not {shown(dims)}"
            raise ShapeError(located(problem, callers_location()))

    def call(self, x: Node) -> Node:
        if x.rank != len(self.dims) + 1:
            raise ShapeError(self._message(x, f"a batch axis and {len(self.dims)} more expected"))
        return build.transpose(x, (0, *self.dims))


zero_padding1d = short_form(ZeroPadding1D, "zero_padding1d")
zero_padding2d = short_form(ZeroPadding2D, "zero_padding2d")
zero_padding3d = short_form(ZeroPadding3D, "zero_padding3d")
up_sampling1d = short_form(UpSampling1D, "up_sampling1d")
up_sampling2d = short_form(UpSampling2D, "up_sampling2d")
up_sampling3d = short_form(UpSampling3D, "up_sampling3d")
reshape = short_form(Reshape, "reshape")
permute = short_form(Permute, "permute")
