"""Convolutions with a kernel and a bias, in one, two and three dimensions."""

from __future__ import annotations

from typing import Any, ClassVar

from graphc.declare.init import glorot_uniform, zeros
from graphc.declare.nn.activations import ActivationLike, as_activation
from graphc.declare.nn.layer import Layer, short_form
from graphc.errors import ShapeError
from graphc.ir.arguments.given import check_flag, is_one_of
from graphc.ir.functions.spatial.convolution import (
    conv,
    conv_transpose,
    depthwise_conv,
    separable_conv,
)
from graphc.ir.functions.spatial.window_arguments import CHANNELS_FIRST, Each, Padding
from graphc.ir.graph import Node
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.types import is_several


class Convolution(Layer):
    """What convolutions have in common: how the window slides, a bias and an activation."""

    # The axes that a window slides along.
    spatial: ClassVar[int]
    bias: Node | None

    def __init__(
        self,
        kernel_size: Each,
        strides: Each,
        padding: Padding,
        data_format: str | None,
        dilation_rate: Each,
        activation: ActivationLike,
        use_bias: bool,
        bias_init: object,
        name: str | None,
    ) -> None:
        super().__init__(name)
        self.kernel_size = self._sizes(kernel_size)
        self.strides = strides
        self.padding = padding
        self.data_format = data_format
        self.dilation_rate = dilation_rate
        self.activation = as_activation(self.kind, activation)
        check_flag(f"{self.kind}: use_bias", use_bias)
        self.use_bias = use_bias
        self.bias_init = bias_init
        if not use_bias:
            self.bias = None

    def _sizes(self, kernel_size: Any) -> tuple[int, ...]:
        given = tuple(kernel_size) if is_several(kernel_size) else (kernel_size,) * self.spatial
        if len(given) != self.spatial:
            problem = f"{self.kind}: kernel_size: {self.spatial} extents expected, not {given}"
            raise ShapeError(located(problem, callers_location()))
        return tuple(self._count(size, "window element") for size in given)

    def _channels(self, x: Node) -> int:
        """The number of x's channels. Raises ShapeError for a tensor of other axes."""
        if x.rank != self.spatial + 2:
            order = "batch, channels, *spatial" if self._is_first else "batch, *spatial, channels"
            problem = f"{self.spatial + 2} axes, [{order}], expected"
            raise ShapeError(self._message(x, problem))
        return self._fixed_extent(x, 1 if self._is_first else -1)

    @property
    def _is_first(self) -> bool:
        return is_one_of(self.data_format, (CHANNELS_FIRST,))

    def _finished(self, value: Node, filters: int) -> Node:
        """The value with bias and activation."""
        if self.use_bias:
            shape = (filters, *(1,) * self.spatial) if self._is_first else (filters,)
            bias = self.parameter("bias", (filters,), self.bias_init)
            value = value + (bias.reshape(shape) if self._is_first else bias)
        return value if self.activation is None else self.activation(value)


class Conv(Convolution):
    def __init__(
        self,
        filters: int,
        kernel_size: Each,
        strides: Each = 1,
        padding: Padding = "valid",
        data_format: str | None = None,
        dilation_rate: Each = 1,
        groups: int = 1,
        activation: ActivationLike = None,
        use_bias: bool = True,
        kernel_init: object = glorot_uniform,
        bias_init: object = zeros,
        name: str | None = None,
    ) -> None:
        """Raises ShapeError for fewer than 1 filter, element of the window, or group, ValueError
        and TypeError for an activation that is not known. Calls raise as `gc.conv` does, and
        ShapeError where groups do not divide channels and filters."""
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_init, name,
        )  # fmt: skip
        self.filters = self._count(filters, "filter")
        self.groups = self._count(groups, "group")
        self.kernel_init = kernel_init

    def call(self, x: Node) -> Node:
        channels = self._channels(x)
        if channels % self.groups or self.filters % self.groups:
            problem = f"{self.groups} groups do not divide {channels} channels and {self.filters}"
            raise ShapeError(self._message(x, f"{problem} filters"))
        shape = (*self.kernel_size, channels // self.groups, self.filters)
        kernel = self.parameter("kernel", shape, self.kernel_init)
        value = conv(x, kernel, self.strides, self.padding, self.data_format, self.dilation_rate)
        return self._finished(value, self.filters)


class Conv1D(Conv):
    """activation(conv(x, kernel) + bias): [batch, steps, channels] -> [batch, positions, filters].

    Declares the parameters `kernel` [window, channels / groups, filters] and `bias` [filters] (None
    without `use_bias`). `padding` is "valid", "same", "causal", which lets no position see later
    steps, or numbers as `gc.conv` takes them. Arguments and defaults are those of
    keras.layers.Conv1D.

        hidden = gc.nn.Conv1D(32, 5, padding="causal", activation="relu")(signal)
    """

    spatial = 1


class Conv2D(Conv):
    """activation(conv(x, kernel) + bias): [batch, height, width, channels] -> [batch, *positions,
    filters]; channels stand before height with data_format="channels_first".

    Declares the parameters `kernel` [height, width, channels / groups, filters] of the window, and
    `bias` [filters] (None without `use_bias`). `padding` is "valid", "same", or numbers as
    `gc.conv` takes them. Arguments and defaults are those of keras.layers.Conv2D.

        hidden = gc.nn.Conv2D(16, 3, activation="relu")(images)
    """

    spatial = 2


class Conv3D(Conv):
    """As `Conv2D` over three axes: [batch, depth, height, width, channels] -> [batch, *positions,
    filters]. Arguments and defaults are those of keras.layers.Conv3D."""

    spatial = 3


class DepthwiseConv(Convolution):
    def __init__(
        self,
        kernel_size: Each,
        strides: Each = 1,
        padding: Padding = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Each = 1,
        activation: ActivationLike = None,
        use_bias: bool = True,
        depthwise_init: object = glorot_uniform,
        bias_init: object = zeros,
        name: str | None = None,
    ) -> None:
        """Raises as `Conv2D` does."""
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_init, name,
        )  # fmt: skip
        self.depth_multiplier = self._count(depth_multiplier, "result of a channel")
        self.depthwise_init = depthwise_init

    def call(self, x: Node) -> Node:
        channels = self._channels(x)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        kernel = self.parameter("kernel", shape, self.depthwise_init)
        value = depthwise_conv(
            x, kernel, self.strides, self.padding, self.data_format, self.dilation_rate
        )
        return self._finished(value, channels * self.depth_multiplier)


class DepthwiseConv1D(DepthwiseConv):
    """As `DepthwiseConv2D` over one axis. Arguments and defaults are those of
    keras.layers.DepthwiseConv1D."""

    spatial = 1


class DepthwiseConv2D(DepthwiseConv):
    """A convolution of each channel by itself: [batch, height, width, channels] -> [batch,
    *positions, channels * depth_multiplier].

    Declares the parameters `kernel` [height, width, channels, depth_multiplier] and `bias`. The
    rest is as `Conv2D` has it; arguments and defaults are those of keras.layers.DepthwiseConv2D.

        blurred = gc.nn.DepthwiseConv2D(3, padding="same")(images)
    """

    spatial = 2


class SeparableConv(Convolution):
    def __init__(
        self,
        filters: int,
        kernel_size: Each,
        strides: Each = 1,
        padding: Padding = "valid",
        data_format: str | None = None,
        dilation_rate: Each = 1,
        depth_multiplier: int = 1,
        activation: ActivationLike = None,
        use_bias: bool = True,
        depthwise_init: object = glorot_uniform,
        pointwise_init: object = glorot_uniform,
        bias_init: object = zeros,
        name: str | None = None,
    ) -> None:
        """Raises as `Conv2D` does."""
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_init, name,
        )  # fmt: skip
        self.filters = self._count(filters, "filter")
        self.depth_multiplier = self._count(depth_multiplier, "result of a channel")
        self.depthwise_init, self.pointwise_init = depthwise_init, pointwise_init

    def call(self, x: Node) -> Node:
        channels = self._channels(x)
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        by_channel = self.parameter("depthwise_kernel", shape, self.depthwise_init)
        mixed = channels * self.depth_multiplier
        pointwise = (*(1,) * self.spatial, mixed, self.filters)
        mixing = self.parameter("pointwise_kernel", pointwise, self.pointwise_init)
        value = separable_conv(
            x, by_channel, mixing, self.strides, self.padding, self.data_format, self.dilation_rate
        )
        return self._finished(value, self.filters)


class SeparableConv1D(SeparableConv):
    """As `SeparableConv2D` over one axis. Arguments and defaults are those of
    keras.layers.SeparableConv1D."""

    spatial = 1


class SeparableConv2D(SeparableConv):
    """A convolution of each channel by itself, then one of windows of one element, which mixes
    channels: [batch, height, width, channels] -> [batch, *positions, filters].

    Declares the parameters `depthwise_kernel` [height, width, channels, depth_multiplier],
    `pointwise_kernel` [1, 1, channels * depth_multiplier, filters], and `bias` [filters]. The rest
    is as `Conv2D` has it; arguments and defaults are those of keras.layers.SeparableConv2D.

        hidden = gc.nn.SeparableConv2D(64, 3, padding="same")(images)
    """

    spatial = 2


class ConvTranspose(Convolution):
    def __init__(
        self,
        filters: int,
        kernel_size: Each,
        strides: Each = 1,
        padding: Padding = "valid",
        output_padding: Each | None = None,
        data_format: str | None = None,
        dilation_rate: Each = 1,
        activation: ActivationLike = None,
        use_bias: bool = True,
        kernel_init: object = glorot_uniform,
        bias_init: object = zeros,
        groups: int = 1,
        name: str | None = None,
    ) -> None:
        """Raises ShapeError for fewer than 1 filter or element of the window and for groups that do
        not divide the filters, ValueError and TypeError for an activation that is not known. Calls
        raise as `gc.conv_transpose` does."""
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            bias_init, name,
        )  # fmt: skip
        self.filters = self._count(filters, "filter")
        self.groups = self._count(groups, "group")
        if self.filters % self.groups:
            problem = f"{type(self).__name__}: {self.groups} groups do not divide {self.filters} "
            raise ShapeError(located(problem + "filters", callers_location()))
        self.output_padding = output_padding
        self.kernel_init = kernel_init

    def call(self, x: Node) -> Node:
        shape = (*self.kernel_size, self.filters // self.groups, self._channels(x))
        kernel = self.parameter("kernel", shape, self.kernel_init)
        value = conv_transpose(
            x, kernel, self.strides, self.padding, self.output_padding, self.data_format,
            self.dilation_rate, self.groups,
        )  # fmt: skip
        return self._finished(value, self.filters)


class Conv1DTranspose(ConvTranspose):
    """As `Conv2DTranspose` over one axis. Arguments and defaults are those of
    keras.layers.Conv1DTranspose."""

    spatial = 1


class Conv2DTranspose(ConvTranspose):
    """A convolution the other way round: [batch, height, width, channels] -> [batch, *extents,
    filters], larger by the strides; `gc.conv_transpose` says how large.

    Declares the parameters `kernel` [height, width, filters / groups, channels] and `bias`
    [filters]. Arguments and defaults are those of keras.layers.Conv2DTranspose, and torch's groups.

        wider = gc.nn.Conv2DTranspose(8, 3, strides=2, padding="same")(hidden)
    """

    spatial = 2


class Conv3DTranspose(ConvTranspose):
    """As `Conv2DTranspose` over three axes. Arguments and defaults are those of
    keras.layers.Conv3DTranspose."""

    spatial = 3


conv1d = short_form(Conv1D, "conv1d")
conv2d = short_form(Conv2D, "conv2d")
conv3d = short_form(Conv3D, "conv3d")
depthwise_conv1d = short_form(DepthwiseConv1D, "depthwise_conv1d")
depthwise_conv2d = short_form(DepthwiseConv2D, "depthwise_conv2d")
separable_conv1d = short_form(SeparableConv1D, "separable_conv1d")
separable_conv2d = short_form(SeparableConv2D, "separable_conv2d")
conv1d_transpose = short_form(Conv1DTranspose, "conv1d_transpose")
conv2d_transpose = short_form(Conv2DTranspose, "conv2d_transpose")
conv3d_transpose = short_form(Conv3DTranspose, "conv3d_transpose")
