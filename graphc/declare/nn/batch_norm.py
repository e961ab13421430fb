"""Normalisation by the mean and variance of a batch; in inference by running ones."""

from __future__ import annotations

from graphc.declare.graphs.training_forms import training_form
from graphc.declare.hyperparameters import check_number
from graphc.declare.init import ones, zeros
from graphc.declare.nn.normalization import Normalization, along, centred
from graphc.errors import ShapeError
from graphc.ir.functions import build
from graphc.ir.graph import Node


class BatchNorm(Normalization):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, of x's shape and dtype.

    While training, mean and variance are those over all axes but `axis`: of the batch. In inference
    they are the states `moving_mean` and `moving_variance`, of which each training step makes

        moving = momentum * moving + (1 - momentum) * that of the batch

    when its loss reads the layer. Declares the parameters `gamma` (with `scale`) and `beta` (with
    `center`), all of the extent along `axis`. The variance is that of the batch itself, divided by
    the number of elements, as keras.layers.BatchNormalization has it, whose defaults these are; of
    a batch of one row it is 0, and the result is beta. Source: Ioffe and Szegedy, Batch
    normalization, 2015.

    A layer that is called several times normalises each tensor by that tensor's own mean and
    variance. A step moves the states once for every call that its loss reads, in the order of the
    calls; two calls with one tensor are one.

        hidden = gc.nn.BatchNorm()(gc.nn.dense(x, 64, use_bias=False))
    """

    moving_mean: Node
    moving_variance: Node

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_init: object = zeros,
        gamma_init: object = ones,
        moving_mean_init: object = zeros,
        moving_variance_init: object = ones,
        name: str | None = None,
    ) -> None:
        """Raises ValueError for an epsilon that is negative, NaN or infinite and for a momentum
        that is not from 0 to 1. Calls raise ShapeError for a tensor of one axis, for an axis that
        it has not, and for one of an open extent."""
        super().__init__(epsilon, center, scale, beta_init, gamma_init, name)
        check_number(f"{self.kind}: momentum", momentum, least=0)
        if momentum > 1:
            raise ValueError(f"{self.kind}: momentum: at most 1 expected, not {momentum}")
        self.axis = axis
        self.momentum = momentum
        self.moving_mean_init = moving_mean_init
        self.moving_variance_init = moving_variance_init

    def call(self, x: Node) -> Node:
        axes = self._axes(x, self.axis)
        others = [a for a in range(x.rank) if a not in axes]
        if len(axes) != 1 or not others:
            raise ShapeError(self._message(x, "one axis of features, and another one expected"))
        shape = (self._fixed_extent(x, axes[0]),)
        mean, difference, variance = centred(x, others)
        moving_mean = self.variable("moving_mean", self.moving_mean_init, shape)
        moving_variance = self.variable("moving_variance", self.moving_variance_init, shape)
        in_training = difference * self._inverse_deviation(variance)
        moving_scale = self._inverse_deviation(along(moving_variance, x, axes))
        in_inference = (x - along(moving_mean, x, axes)) * moving_scale
        normalized = training_form(in_training, in_inference)
        self._move(moving_mean, build.squeeze(mean, others), normalized)
        self._move(moving_variance, build.squeeze(variance, others), normalized)
        return self._scaled(normalized, x, axes)

    def _move(self, moving: Node, batch: Node, read: Node) -> None:
        """The moving average goes on with the batch's where a loss reads the result."""
        if any(step.state is moving and step.when is read for step in self.graph.training_steps):
            return
        momentum = self.momentum
        self.graph.update_in_training(
            moving, lambda old: momentum * old + (1 - momentum) * batch, read
        )


def batch_norm(
    x: Node,
    axis: int = -1,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    center: bool = True,
    scale: bool = True,
    beta_init: object = zeros,
    gamma_init: object = ones,
    moving_mean_init: object = zeros,
    moving_variance_init: object = ones,
    name: str | None = None,
) -> Node:
    """Batch normalisation: `BatchNorm(axis, momentum, ...)(x)`.

    Declares the parameters `<name>.gamma` and `<name>.beta`, and the states `<name>.moving_mean`
    and `<name>.moving_variance`, which training steps change and inference reads.
    """
    layer = BatchNorm(
        axis, momentum, epsilon, center, scale, beta_init, gamma_init,
        moving_mean_init, moving_variance_init, name,
    )  # fmt: skip
    return layer(x)
