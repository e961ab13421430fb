"""Layers without parameters: flattening and dropout."""

from __future__ import annotations

import math

from graphc.declare.nn.layer import Layer
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.ir.arguments.given import check_tensors
from graphc.ir.dims import Dim
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.nodes.attributes import as_rate
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.ops import random


class Dropout(Layer):
    """While training, each element is 0 with the probability `rate`, else x / (1 - rate).

    A model's predictions and evaluations, and `gc.inference`, have x itself in its place. Each call
    declares a random stream of its own, `<name>.key`, `<name>.key_1`, ..., so two calls have two
    masks. A rate of 0 is x and declares nothing. Source: Srivastava et al., Dropout, 2014, in the
    inverted form.
    """

    def __init__(self, rate: float, name: str | None = None) -> None:
        """Raises GraphError for a rate below 0 or not below 1. Calls raise DTypeError unless x is
        of floats."""
        super().__init__(name)
        try:
            self.rate = as_rate(rate)
        except (TypeError, ValueError) as error:
            problem = f"{self.kind}: rate: {error}"
            raise GraphError(located(problem, callers_location())) from None

    def __call__(self, x: Node) -> Node:
        check_tensors(self.kind, x)
        if not x.dtype.is_float:
            raise DTypeError(self._message(x, "f32 or f64 expected"))
        return x if self.rate == 0 else super().__call__(x)

    def call(self, x: Node) -> Node:
        return random.dropout(x, self.random_stream(), rate=self.rate)


class Flatten(Layer):
    """All axes but the first as one: [batch, ...] -> [batch, features].

    Calls raise ShapeError for a scalar and for open dimensions beyond the first.
    """

    def call(self, x: Node) -> Node:
        if x.rank < 1 or any(isinstance(extent, Dim) for extent in x.shape[1:]):
            problem = "a batch axis, then fixed extents expected"
            raise ShapeError(self._message(x, problem))
        features = math.prod(extent for extent in x.shape[1:] if isinstance(extent, int))
        return build.reshape(x, (x.shape[0], features))


def dropout(x: Node, rate: float, name: str | None = None) -> Node:
    """While training, each element is 0 with the probability `rate`, else x / (1 - rate).

    A model's predictions and evaluations, and `gc.inference`, have x itself in its place:

        hidden = gc.dropout(gc.nn.dense(x, 256, gc.relu), 0.5)

    Declares the random stream `<name>.key`; the name is "dropout", "dropout_1", ... unless given.
    An optimizer's updates advance it, so every step has another mask; seed and name fix them all.
    A rate of 0 is x and declares nothing. Source: Srivastava et al., Dropout, 2014, in the
    inverted form.

    Raises GraphError for a rate below 0 or not below 1 and for a name that is taken, DTypeError
    unless x is of floats.
    """
    return Dropout(rate, name)(x)


def flatten(x: Node, name: str | None = None) -> Node:
    """All axes but the first as one: [batch, ...] -> [batch, features].

    Raises ShapeError for a scalar and for open dimensions beyond the first.
    """
    return Flatten(name)(x)
