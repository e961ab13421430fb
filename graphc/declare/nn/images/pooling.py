"""Pooling: the greatest or the mean of windows, or of all positions."""

from __future__ import annotations

from typing import ClassVar

from graphc.declare.nn.layer import Layer, short_form
from graphc.errors import ShapeError
from graphc.ir.arguments.given import check_flag, is_one_of
from graphc.ir.functions import build
from graphc.ir.functions.spatial import pooling
from graphc.ir.functions.spatial.window_arguments import (
    CHANNELS_FIRST,
    Each,
    Padding,
    is_channels_first,
    spatial_axes,
)
from graphc.ir.graph import Node


class _Pooling(Layer):
    # The axes that a window slides along.
    spatial: ClassVar[int]

    def __init__(self, data_format: str | None, name: str | None) -> None:
        super().__init__(name)
        self.data_format = data_format

    def _check_axes(self, x: Node) -> None:
        """Raises ShapeError for a tensor of other axes."""
        if x.rank != self.spatial + 2:
            is_first = is_one_of(self.data_format, (CHANNELS_FIRST,))
            order = "batch, channels, *spatial" if is_first else "batch, *spatial, channels"
            problem = f"{self.spatial + 2} axes, [{order}], expected"
            raise ShapeError(self._message(x, problem))


class _WindowPooling(_Pooling):
    def __init__(
        self,
        pool_size: Each = 2,
        strides: Each | None = None,
        padding: Padding = "valid",
        data_format: str | None = None,
        name: str | None = None,
    ) -> None:
        """Raises TypeError for a name that is no text. Calls raise as `gc.max_pool` does, and
        ShapeError for a tensor of other axes."""
        super().__init__(data_format, name)
        self.pool_size, self.strides, self.padding = pool_size, strides, padding


class _MaxPool(_WindowPooling):
    def __init__(
        self,
        pool_size: Each = 2,
        strides: Each | None = None,
        padding: Padding = "valid",
        data_format: str | None = None,
        dilation: Each = 1,
        name: str | None = None,
    ) -> None:
        """Raises TypeError for a name that is no text. Calls raise as `gc.max_pool` does, and
        ShapeError for a tensor of other axes."""
        super().__init__(pool_size, strides, padding, data_format, name)
        self.dilation = dilation

    def call(self, x: Node) -> Node:
        self._check_axes(x)
        return pooling.max_pool(
            x, self.pool_size, self.strides, self.padding, self.data_format, self.dilation
        )


class MaxPool1D(_MaxPool):
    """As `MaxPool2D` over one axis: [batch, steps, channels]. Arguments and defaults are those of
    keras.layers.MaxPool1D."""

    spatial = 1


class MaxPool2D(_MaxPool):
    """The greatest element of each window: [batch, height, width, channels] -> [batch, *positions,
    channels], of x's dtype.

    `strides` are the window's extents unless given; padding counts as less than every number. The
    derivative goes to the greatest element, and equal ones share it. Arguments and defaults are
    those of keras.layers.MaxPool2D, and torch's dilation.

        smaller = gc.nn.MaxPool2D(2)(hidden)
    """

    spatial = 2


class MaxPool3D(_MaxPool):
    """As `MaxPool2D` over three axes: [batch, depth, height, width, channels]. Arguments and
    defaults are those of keras.layers.MaxPool3D."""

    spatial = 3


class _AveragePooling(_WindowPooling):
    def call(self, x: Node) -> Node:
        self._check_axes(x)
        return pooling.average_pool(x, self.pool_size, self.strides, self.padding, self.data_format)


class AveragePooling1D(_AveragePooling):
    """As `AveragePooling2D` over one axis: [batch, steps, channels]. Arguments and defaults are
    those of keras.layers.AveragePooling1D."""

    spatial = 1


class AveragePooling2D(_AveragePooling):
    """The mean of each window: [batch, height, width, channels] -> [batch, *positions, channels].

    `strides` are the window's extents unless given; padding is no element of a mean. Arguments and
    defaults are those of keras.layers.AveragePooling2D; `gc.average_pool` can count padding too.

        smaller = gc.nn.AveragePooling2D(2)(hidden)
    """

    spatial = 2


class AveragePooling3D(_AveragePooling):
    """As `AveragePooling2D` over three axes: [batch, depth, height, width, channels]. Arguments and
    defaults are those of keras.layers.AveragePooling3D."""

    spatial = 3


class _GlobalPooling(_Pooling):
    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, name: str | None = None
    ) -> None:
        """Raises TypeError for a name that is no text. Calls raise ShapeError for a tensor of other
        axes."""
        super().__init__(data_format, name)
        check_flag(f"{self.kind}: keepdims", keepdims)
        self.keepdims = keepdims

    def _axes(self, x: Node) -> tuple[int, ...]:
        self._check_axes(x)
        return spatial_axes(x, is_channels_first(self.kind, x, self.data_format))


class _GlobalMaxPool(_GlobalPooling):
    def call(self, x: Node) -> Node:
        return build.max(x, self._axes(x), self.keepdims)


class GlobalMaxPool1D(_GlobalMaxPool):
    """As `GlobalMaxPool2D` over one axis: [batch, steps, channels]."""

    spatial = 1


class GlobalMaxPool2D(_GlobalMaxPool):
    """The greatest element of each channel: [batch, height, width, channels] -> [batch, channels],
    or [batch, 1, 1, channels] with `keepdims`. Arguments and defaults are those of
    keras.layers.GlobalMaxPool2D.

        found = gc.nn.GlobalMaxPool2D()(hidden)
    """

    spatial = 2


class GlobalMaxPool3D(_GlobalMaxPool):
    """As `GlobalMaxPool2D` over three axes: [batch, depth, height, width, channels]."""

    spatial = 3


class _GlobalAveragePooling(_GlobalPooling):
    def call(self, x: Node) -> Node:
        return build.mean(x, self._axes(x), self.keepdims)


class GlobalAveragePooling1D(_GlobalAveragePooling):
    """As `GlobalAveragePooling2D` over one axis: [batch, steps, channels]."""

    spatial = 1


class GlobalAveragePooling2D(_GlobalAveragePooling):
    """The mean of each channel: [batch, height, width, channels] -> [batch, channels], or [batch,
    1, 1, channels] with `keepdims`. Arguments and defaults are those of
    keras.layers.GlobalAveragePooling2D.

        features = gc.nn.GlobalAveragePooling2D()(hidden)
    """

    spatial = 2


class GlobalAveragePooling3D(_GlobalAveragePooling):
    """As `GlobalAveragePooling2D` over three axes: [batch, depth, height, width, channels]."""

    spatial = 3


class _AdaptivePooling(_Pooling):
    def __init__(
        self, output_size: Each, data_format: str | None = None, name: str | None = None
    ) -> None:
        """Raises TypeError for a name that is no text. Calls raise as `gc.adaptive_max_pool`, and
        ShapeError for a tensor of other axes."""
        super().__init__(data_format, name)
        self.output_size = output_size


class _AdaptiveAveragePooling(_AdaptivePooling):
    def call(self, x: Node) -> Node:
        self._check_axes(x)
        return pooling.adaptive_average_pool(x, self.output_size, self.data_format)


class AdaptiveAveragePooling1D(_AdaptiveAveragePooling):
    """As `AdaptiveAveragePooling2D` over one axis: [batch, steps, channels]."""

    spatial = 1


class AdaptiveAveragePooling2D(_AdaptiveAveragePooling):
    """The mean of as many windows as `output_size` says, which cover all: [batch, height, width,
    channels] -> [batch, *output_size, channels]. Arguments are those of
    keras.layers.AdaptiveAveragePooling2D.

        fixed = gc.nn.AdaptiveAveragePooling2D(7)(hidden)
    """

    spatial = 2


class AdaptiveAveragePooling3D(_AdaptiveAveragePooling):
    """As `AdaptiveAveragePooling2D` over three axes: [batch, depth, height, width, channels]."""

    spatial = 3


class _AdaptiveMaxPooling(_AdaptivePooling):
    def call(self, x: Node) -> Node:
        self._check_axes(x)
        return pooling.adaptive_max_pool(x, self.output_size, self.data_format)


class AdaptiveMaxPooling1D(_AdaptiveMaxPooling):
    """As `AdaptiveMaxPooling2D` over one axis: [batch, steps, channels]."""

    spatial = 1


class AdaptiveMaxPooling2D(_AdaptiveMaxPooling):
    """The greatest element of as many windows as `output_size` says, which cover all: [batch,
    height, width, channels] -> [batch, *output_size, channels]."""

    spatial = 2


class AdaptiveMaxPooling3D(_AdaptiveMaxPooling):
    """As `AdaptiveMaxPooling2D` over three axes: [batch, depth, height, width, channels]."""

    spatial = 3


max_pool1d = short_form(MaxPool1D, "max_pool1d")
max_pool2d = short_form(MaxPool2D, "max_pool2d")
max_pool3d = short_form(MaxPool3D, "max_pool3d")
average_pooling1d = short_form(AveragePooling1D, "average_pooling1d")
average_pooling2d = short_form(AveragePooling2D, "average_pooling2d")
average_pooling3d = short_form(AveragePooling3D, "average_pooling3d")
global_max_pool1d = short_form(GlobalMaxPool1D, "global_max_pool1d")
global_max_pool2d = short_form(GlobalMaxPool2D, "global_max_pool2d")
global_max_pool3d = short_form(GlobalMaxPool3D, "global_max_pool3d")
global_average_pooling1d = short_form(GlobalAveragePooling1D, "global_average_pooling1d")
global_average_pooling2d = short_form(GlobalAveragePooling2D, "global_average_pooling2d")
global_average_pooling3d = short_form(GlobalAveragePooling3D, "global_average_pooling3d")
adaptive_average_pooling1d = short_form(AdaptiveAveragePooling1D, "adaptive_average_pooling1d")
adaptive_average_pooling2d = short_form(AdaptiveAveragePooling2D, "adaptive_average_pooling2d")
adaptive_average_pooling3d = short_form(AdaptiveAveragePooling3D, "adaptive_average_pooling3d")
adaptive_max_pooling1d = short_form(AdaptiveMaxPooling1D, "adaptive_max_pooling1d")
adaptive_max_pooling2d = short_form(AdaptiveMaxPooling2D, "adaptive_max_pooling2d")
adaptive_max_pooling3d = short_form(AdaptiveMaxPooling3D, "adaptive_max_pooling3d")
