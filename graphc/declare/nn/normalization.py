"""Normalisations of each row by its own mean and variance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphc.declare.hyperparameters import check_number
from graphc.declare.init import ones, zeros
from graphc.declare.nn.layer import Layer
from graphc.errors import ShapeError
from graphc.ir.arguments.given import check_flag
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import Shape, normalize_axes


class Normalization(Layer):
    """What normalisations have in common: an epsilon, and gamma and beta along some axes."""

    gamma: Node | None
    beta: Node | None

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_init: object,
        gamma_init: object,
        name: str | None,
    ) -> None:
        super().__init__(name)
        check_number(f"{self.kind}: epsilon", epsilon, least=0)
        self.epsilon = epsilon
        check_flag(f"{self.kind}: center", center)
        check_flag(f"{self.kind}: scale", scale)
        self.center, self.scale = center, scale
        self.beta_init, self.gamma_init = beta_init, gamma_init
        if not center:
            self.beta = None
        if not scale:
            self.gamma = None

    def _axes(self, x: Node, axis: int | Iterable[int]) -> tuple[int, ...]:
        """Axes of x counted from the front. Raises ShapeError for those that it has not."""
        try:
            return normalize_axes(axis, x.rank)
        except ShapeError as error:
            raise ShapeError(self._message(x, f"axis: {error}")) from None

    def _scaled(self, value: Node, x: Node, axes: Sequence[int]) -> Node:
        """value * gamma + beta, which have the extents of x along `axes`."""
        if not (self.center or self.scale):
            return value
        shape = tuple(self._fixed_extent(x, axis) for axis in axes)
        if self.scale:
            value = value * along(self.parameter("gamma", shape, self.gamma_init), x, axes)
        if self.center:
            value = value + along(self.parameter("beta", shape, self.beta_init), x, axes)
        return value

    def _inverse_deviation(self, variance: Node) -> Node:
        return ops.reciprocal(ops.sqrt(variance + self.epsilon))


def along(value: Node, x: Node, axes: Sequence[int]) -> Node:
    """A value of the extents along `axes` in a shape that broadcasts with x."""
    if tuple(axes) == tuple(range(x.rank - len(axes), x.rank)):
        return value
    shape: Shape = tuple(extent if a in axes else 1 for a, extent in enumerate(x.shape))
    return build.reshape(value, shape)


def centred(x: Node, axes: Sequence[int]) -> tuple[Node, Node, Node]:
    """The mean over `axes`, which stay with extent 1, x less it, and the variance.

    The variance is the mean of squares of differences from the mean, so it is never negative, and
    accurate however large the mean is.
    """
    mean = build.mean(x, axes, keepdims=True)
    difference = x - mean
    return mean, difference, build.mean(ops.square(difference), axes, keepdims=True)


class LayerNorm(Normalization):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, of x's shape and dtype.

    Mean and variance are those over `axis`, one or several, in each row. Declares the parameters
    `gamma` (with `scale`) and `beta` (with `center`), of the extents along `axis`. Defaults are
    those of keras.layers.LayerNormalization. Source: Ba, Kiros and Hinton, Layer normalization,
    2016.

        hidden = gc.nn.LayerNorm()(gc.nn.dense(x, 64))
    """

    def __init__(
        self,
        axis: int | Iterable[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_init: object = zeros,
        gamma_init: object = ones,
        name: str | None = None,
    ) -> None:
        """Raises ValueError for an epsilon that is negative, NaN or infinite. Calls raise
        ShapeError for axes that x has not, and where gamma or beta would have an open extent."""
        super().__init__(epsilon, center, scale, beta_init, gamma_init, name)
        self.axis = axis

    def call(self, x: Node) -> Node:
        axes = self._axes(x, self.axis)
        _, difference, variance = centred(x, axes)
        return self._scaled(difference * self._inverse_deviation(variance), x, axes)


class GroupNorm(Normalization):
    """Layer normalisation of groups of neighbours along `axis`, of x's shape and dtype.

    x is [batch, ...]; mean and variance of a row's group are those over its part of `axis` and over
    all other axes but the first. Declares the parameters `gamma` and `beta`, of the extent along
    `axis`. -1 groups are as many as that extent. Defaults are those of
    keras.layers.GroupNormalization. Source: Wu and He, Group normalization, 2018.
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_init: object = zeros,
        gamma_init: object = ones,
        name: str | None = None,
    ) -> None:
        """Raises as `LayerNorm`, and ShapeError for a number of groups below 1 other than -1. Calls
        raise ShapeError where groups do not divide the extent, and for axis 0."""
        super().__init__(epsilon, center, scale, beta_init, gamma_init, name)
        self.groups = -1 if groups == -1 else self._count(groups, "group")
        self.axis = axis

    def call(self, x: Node) -> Node:
        (axis,) = self._axes(x, self.axis)
        if axis == 0:
            raise ShapeError(self._message(x, "axis: one behind the batch expected, not axis 0"))
        extent = self._fixed_extent(x, axis)
        groups = extent if self.groups == -1 else self.groups
        if extent % groups:
            problem = f"{groups} groups do not divide the extent {extent} of axis {axis}"
            raise ShapeError(self._message(x, problem))
        split = build.reshape(x, (*x.shape[:axis], groups, extent // groups, *x.shape[axis + 1 :]))
        axes = [a for a in range(1, split.rank) if a != axis]
        _, difference, variance = centred(split, axes)
        value = build.reshape(difference * self._inverse_deviation(variance), x.shape)
        return self._scaled(value, x, [axis])


class RMSNorm(Normalization):
    """x / sqrt(mean(x^2) + epsilon) * gamma, the mean over `axis`, of x's shape and dtype.

    Declares the parameter `gamma` (with `scale`), of the extents along `axis`. Defaults are those
    of keras.layers.RMSNormalization. Source: Zhang and Sennrich, Root mean square layer
    normalization, 2019.
    """

    def __init__(
        self,
        axis: int | Iterable[int] = -1,
        epsilon: float = 1e-6,
        scale: bool = True,
        gamma_init: object = ones,
        name: str | None = None,
    ) -> None:
        """Raises as `LayerNorm`."""
        super().__init__(epsilon, False, scale, zeros, gamma_init, name)
        self.axis = axis

    def call(self, x: Node) -> Node:
        axes = self._axes(x, self.axis)
        square = build.mean(ops.square(x), axes, keepdims=True)
        return self._scaled(x * self._inverse_deviation(square), x, axes)


def layer_norm(
    x: Node,
    axis: int | Iterable[int] = -1,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    beta_init: object = zeros,
    gamma_init: object = ones,
    name: str | None = None,
) -> Node:
    """Layer normalisation: `LayerNorm(axis, ...)(x)`."""
    return LayerNorm(axis, epsilon, center, scale, beta_init, gamma_init, name)(x)


def group_norm(
    x: Node,
    groups: int = 32,
    axis: int = -1,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    beta_init: object = zeros,
    gamma_init: object = ones,
    name: str | None = None,
) -> Node:
    """Group normalisation: `GroupNorm(groups, ...)(x)`."""
    return GroupNorm(groups, axis, epsilon, center, scale, beta_init, gamma_init, name)(x)


def rms_norm(
    x: Node,
    axis: int | Iterable[int] = -1,
    epsilon: float = 1e-6,
    scale: bool = True,
    gamma_init: object = ones,
    name: str | None = None,
) -> Node:
    """Normalisation by the root of the mean square: `RMSNorm(axis, ...)(x)`."""
    return RMSNorm(axis, epsilon, scale, gamma_init, name)(x)
