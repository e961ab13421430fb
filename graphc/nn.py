"""Layers: thin functions that declare parameters and apply ops to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from graphc.errors import ShapeError
from graphc.frontend import Graph, Node, graph_of
from graphc.init import glorot_uniform, zeros
from graphc.ir import build
from graphc.ir.location import callers_location, located
from graphc.ir.types import Dim

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
    scope = _scope(graph_of(x), "dense", name)
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
    if pieces < 1:
        raise ShapeError(_message("maxout", x, f"at least 1 piece expected, not {pieces}"))
    scope = _scope(graph_of(x), "maxout", name)
    return build.maxout(_affine(x, units * pieces, use_bias, kernel_init, bias_init, scope), pieces)


def flatten(x: Node) -> Node:
    """All axes but the first as one: [batch, ...] -> [batch, features].

    Raises ShapeError for a scalar and for open dimensions beyond the first.
    """
    if x.rank < 1 or any(isinstance(extent, Dim) for extent in x.shape[1:]):
        raise ShapeError(_message("flatten", x, "a batch axis, then fixed extents expected"))
    features = math.prod(extent for extent in x.shape[1:] if isinstance(extent, int))
    return build.reshape(x, (x.shape[0], features))


def sequential(x: Node, layers: Iterable[Activation]) -> Node:
    """Each layer applied to the result of the one before."""
    for layer in layers:
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
    if units < 1:
        raise ShapeError(_message(scope, x, f"at least 1 unit expected, not {units}"))
    kernel = graph.parameter(f"{scope}.kernel", (features, units), kernel_init, x.dtype)
    product = build.matmul(x, kernel)
    if not use_bias:
        return product
    return product + graph.parameter(f"{scope}.bias", (units,), bias_init, x.dtype)


def _scope(graph: Graph, base: str, name: str | None) -> str:
    return graph.unique_name(base) if name is None else graph.reserve_name(name)


def _message(layer: str, x: Node, problem: str) -> str:
    return located(f"{layer}({x.type}): {problem}", callers_location())
