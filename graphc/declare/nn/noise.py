"""Layers that add noise while a network is trained, and are their input where it is used."""

from __future__ import annotations

import math

from graphc.declare.graphs.training_forms import training_form
from graphc.declare.hyperparameters import check_number
from graphc.declare.nn.layer import Layer
from graphc.declare.nn.shaping import Dropout
from graphc.declare.random import draws
from graphc.errors import DTypeError, ShapeError
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.ops import random
from graphc.ir.ops.elementwise import elementwise as ops

# Of the self-normalizing networks of Klambauer et al. (2017): selu's limit on the left, below
# which an element that is dropped counts as saturated.
SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


class GaussianNoise(Layer):
    """While training, x plus normal noise of standard deviation `stddev`; else x.

    Each call declares a random stream of its own, as `Dropout` does.
    """

    def __init__(self, stddev: float, name: str | None = None) -> None:
        """Raises TypeError and ValueError for what is no number of at least 0. Calls raise
        DTypeError unless x is of floats."""
        super().__init__(name)
        check_number("stddev", stddev, 0.0)
        self.stddev = float(stddev)

    def call(self, x: Node) -> Node:
        if not x.dtype.is_float:
            raise DTypeError(self._message(x, "f32 or f64 expected"))
        noise = draws.standard_normal(self.random_stream(), x.shape, x.dtype)
        return training_form(x + self.stddev * noise, x)


class GaussianDropout(Dropout):
    """While training, x times normal noise of mean 1 and deviation sqrt(rate / (1 - rate)); else x.

    Mean and variance are those of dropout. Source: Srivastava et al., Dropout, 2014, Section 10.
    """

    def call(self, x: Node) -> Node:
        noise = draws.standard_normal(self.random_stream(), x.shape, x.dtype)
        deviation = math.sqrt(self.rate / (1 - self.rate))
        return training_form(x * (1.0 + deviation * noise), x)


class AlphaDropout(Dropout):
    """While training, each element is selu's least value with the probability `rate`, and all are
    scaled and moved so that mean 0 and variance 1 stay; else x.

    Source: Klambauer et al., Self-Normalizing Neural Networks, 2017.
    """

    def call(self, x: Node) -> Node:
        least, kept = -SELU_SCALE * SELU_ALPHA, 1 - self.rate
        scale = 1 / math.sqrt(kept * (1 + self.rate * least * least))
        u, _ = draws.even(self.random_stream(), x.shape, x.dtype)
        chosen = ops.where(u < self.rate, least, x)
        return training_form(scale * chosen - scale * self.rate * least, x)


class _SpatialDropout(Dropout):
    """Dropout of whole channels, which stand last, for x of `rank` axes."""

    rank: int

    def call(self, x: Node) -> Node:
        if x.rank != self.rank:
            raise ShapeError(self._message(x, f"{self.rank} axes expected, the channels last"))
        shape = (x.shape[0], *(1,) * (self.rank - 2), x.shape[-1])
        ones = build.broadcast_to(x.graph.constant(1.0, x.dtype), shape)
        return x * random.dropout(ones, self.random_stream(), rate=self.rate)


class SpatialDropout1D(_SpatialDropout):
    """Dropout of whole channels of x, of shape (batch, steps, channels).

    While training, channel c of a sample is 0 in all steps with the probability `rate`, else
    x / (1 - rate). Source: Tompson et al., Efficient Object Localization, 2015.
    """

    rank = 3


class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole channels of x, of shape (batch, height, width, channels).

    While training, channel c of a sample is 0 everywhere with the probability `rate`, else
    x / (1 - rate). Source: Tompson et al., Efficient Object Localization, 2015.
    """

    rank = 4


def gaussian_noise(x: Node, stddev: float, name: str | None = None) -> Node:
    """While training, x plus normal noise of standard deviation `stddev`; else x.

    See `GaussianNoise`. Raises TypeError and ValueError for what is no number of at least 0,
    DTypeError unless x is of floats.

        hidden = gc.nn.gaussian_noise(x, 0.1)
    """
    return GaussianNoise(stddev, name)(x)


def gaussian_dropout(x: Node, rate: float, name: str | None = None) -> Node:
    """While training, x times normal noise of dropout's mean and variance; else x.

    See `GaussianDropout`. Raises GraphError for a rate below 0 or not below 1, DTypeError
    unless x is of floats.

        hidden = gc.nn.gaussian_dropout(x, 0.2)
    """
    return GaussianDropout(rate, name)(x)


def alpha_dropout(x: Node, rate: float, name: str | None = None) -> Node:
    """Dropout that keeps mean 0 and variance 1 behind selu; x where the network is used.

    See `AlphaDropout`. Raises GraphError for a rate below 0 or not below 1, DTypeError
    unless x is of floats.

        hidden = gc.nn.alpha_dropout(x, 0.2)
    """
    return AlphaDropout(rate, name)(x)


def spatial_dropout1d(x: Node, rate: float, name: str | None = None) -> Node:
    """Dropout of whole channels of x, of shape (batch, steps, channels).

    See `SpatialDropout1D`. Raises GraphError for a rate below 0 or not below 1, DTypeError
    unless x is of floats, ShapeError for another number of axes.

        hidden = gc.nn.spatial_dropout1d(x, 0.2)
    """
    return SpatialDropout1D(rate, name)(x)


def spatial_dropout2d(x: Node, rate: float, name: str | None = None) -> Node:
    """Dropout of whole channels of x, of shape (batch, height, width, channels).

    See `SpatialDropout2D`. Raises GraphError for a rate below 0 or not below 1, DTypeError
    unless x is of floats, ShapeError for another number of axes.

        hidden = gc.nn.spatial_dropout2d(x, 0.2)
    """
    return SpatialDropout2D(rate, name)(x)
