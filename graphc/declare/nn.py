"""Layers: thin functions that declare parameters and apply ops to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from graphc.declare.graph import graph_of
from graphc.declare.init import glorot_uniform, zeros
from graphc.errors import DTypeError, GraphError, ShapeError
from graphc.ir import build
from graphc.ir.attributes import as_rate
from graphc.ir.dims import Dim
from graphc.ir.given import as_integer, check_tensors, shown
from graphc.ir.graph import Node
from graphc.ir.location import callers_location, located
from graphc.ir.ops import random
from graphc.ir.types import is_several

Activation = Callable[[Node], Node]


def dense(
    x: Node,
    units: int,
    activation: Activation | None = None,
    use_bias: bool = True,
    kernel_init: object = glorot_uniform,
    bias_init: object = zeros,
    name: str | None = None,
) -> Node:
    """activation(x @ kernel + bias): [..., features] -> [..., units], in x's dtype.

    Declares the parameters `<name>.kernel` [features, units] and `<name>.bias` [units]; the name
    is "dense", "dense_1", ... unless given. Raises ShapeError when the number of features is open
    or `units` is less than 1, GraphError when the name is taken.
    """
    check_tensors("dense", x)
    units = _count("dense", x, units, "unit")
    if activation is not None and not callable(activation):
        problem = f"activation: a function of a tensor expected, not {shown(activation)}"
        raise TypeError(_message("dense", x, problem))
    scope = graph_of(x).scope("dense", name)
    value = _affine(x, units, use_bias, kernel_init, bias_init, scope)
    return value if activation is None else activation(value)


def maxout(
    x: Node,
    units: int,
    pieces: int = 2,
    use_bias: bool = True,
    kernel_init: object = glorot_uniform,
    bias_init: object = zeros,
    name: str | None = None,
) -> Node:
    """The greatest of `pieces` affine functions for each unit: [..., features] -> [..., units].

    Declares the parameters of a dense layer of units * pieces. Source: Goodfellow et al., Maxout
    Networks, 2013. Raises as `dense` does, and ShapeError for fewer than 1 piece.
    """
    check_tensors("maxout", x)
    units, pieces = _count("maxout", x, units, "unit"), _count("maxout", x, pieces, "piece")
    scope = graph_of(x).scope("maxout", name)
    return build.maxout(_affine(x, units * pieces, use_bias, kernel_init, bias_init, scope), pieces)


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
    check_tensors("dropout", x)
    try:
        rate = as_rate(rate)
    except (TypeError, ValueError) as error:
        raise GraphError(_message("dropout", x, f"rate: {error}")) from None
    if not x.dtype.is_float:
        raise DTypeError(_message("dropout", x, "f32 or f64 expected"))
    if rate == 0:
        return x
    graph = graph_of(x)
    return random.dropout(x, graph.random_stream(f"{graph.scope('dropout', name)}.key"), rate=rate)


def flatten(x: Node) -> Node:
    """All axes but the first as one: [batch, ...] -> [batch, features].

    Raises ShapeError for a scalar and for open dimensions beyond the first.
    """
    check_tensors("flatten", x)
    if x.rank < 1 or any(isinstance(extent, Dim) for extent in x.shape[1:]):
        raise ShapeError(_message("flatten", x, "a batch axis, then fixed extents expected"))
    features = math.prod(extent for extent in x.shape[1:] if isinstance(extent, int))
    return build.reshape(x, (x.shape[0], features))


def sequential(x: Node, layers: Iterable[Activation]) -> Node:
    """Each layer applied to the result of the one before."""
    check_tensors("sequential", x)
    chosen = list(layers) if is_several(layers) else [layers]
    for layer in chosen:
        if not callable(layer):
            problem = f"a layer, which is called with a tensor, expected, not {shown(layer)}"
            raise TypeError(_message("sequential", x, problem))
        x = layer(x)
    return x


def _affine(
    x: Node, units: int, use_bias: bool, kernel_init: object, bias_init: object, scope: str
) -> Node:
    """x @ kernel + bias with parameters named below `scope`."""
    graph = graph_of(x)
    features = x.shape[-1] if x.rank else None
    if not isinstance(features, int):
        raise ShapeError(_message(scope, x, "a last axis of fixed extent expected"))
    kernel = graph.parameter(f"{scope}.kernel", (features, units), kernel_init, x.dtype)
    product = build.matmul(x, kernel)
    if not use_bias:
        return product
    return product + graph.parameter(f"{scope}.bias", (units,), bias_init, x.dtype)


def _count(layer: str, x: Node, value: int, what: str) -> int:
    try:
        number = as_integer(value)
    except TypeError as error:
        raise ShapeError(_message(layer, x, f"{what}s: {error}")) from None
    if number < 1:
        raise ShapeError(_message(layer, x, f"at least 1 {what} expected, not {number}"))
    return number


def _message(layer: str, x: Node, problem: str) -> str:
    return located(f"{layer}({x.type}): {problem}", callers_location())
