"""Whole Jacobians, by as many products with one as it has rows or columns, made all at once."""

from __future__ import annotations

import math
from collections.abc import Callable

from graphc.ir.derive.autodiff import vector_jacobian_product
from graphc.ir.derive.forward import jacobian_vector_product
from graphc.ir.errors import GraphError
from graphc.ir.functions import build
from graphc.ir.graph import Node, depends_on
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.lowering import Scalar
from graphc.ir.programs.batching import NoBatchingRuleError, batched
from graphc.ir.programs.custom_vjp import formal_of
from graphc.ir.types import TensorType


def jacobian(y: Node, x: Node) -> Node:
    """All dy_i / dx_j, of shape y.shape + x.shape, for those who want to look at it.

    Elementwise functions of x have a diagonal Jacobian, which is formed from one VJP. Otherwise
    the VJPs of all unit cotangents are taken at once, or the JVPs of all unit tangents where x has
    fewer elements than y; one after the other where an op has no batching rule. Every extent must
    be known. No compiler pass multiplies by a Jacobian. Raises as `gradients` does, and GraphError
    for open dimensions.
    """
    if not (y.type.is_static and x.type.is_static):
        problem = f"grad: a Jacobian of {y.type} by {x.type} needs fixed extents"
        raise GraphError(located(problem, callers_location()))
    if is_diagonal(y, x):
        return _diagonal(diagonal_of_jacobian(y, x))
    if x.type.size < y.type.size:
        columns = _of_units(x, lambda unit: jacobian_vector_product([y], [x], [unit])[0], y.type)
        axes = (*range(x.rank, x.rank + y.rank), *range(x.rank))
        return build.transpose(columns, axes)
    return _of_units(y, lambda unit: vector_jacobian_product([y], [unit], [x])[0], x.type)


def _of_units(of: Node, function: Callable[[Node], Node], result: TensorType) -> Node:
    """The linear `function` of each unit tensor of the type of `of`: of.shape + the result's."""
    graph, size = of.graph, of.type.size
    shape = (*of.shape, *result.shape)
    if math.prod(shape) == 0:
        return build.broadcast_to(graph.constant(0.0, of.dtype), shape)
    if size == 1:
        return build.reshape(function(_ones(of)), shape)
    units = build.reshape(build.one_hot(graph.iota(size, "i64"), size, of.dtype), (size, *of.shape))
    formal = formal_of(graph, of.type)
    value = function(formal)
    try:
        (rows,) = batched([value], {formal: units})
    except NoBatchingRuleError:
        rows = build.concatenate(
            [build.expand_dims(function(units[number]), 0) for number in range(size)], 0
        )
    return build.reshape(rows, shape)


def _ones(of: Node) -> Node:
    return build.broadcast_to(of.graph.constant(1.0, of.dtype), of.shape)


def is_diagonal(y: Node, x: Node) -> bool:
    """Whether y is elementwise in x, so that dy_i / dx_j is zero unless i = j."""
    dependent = depends_on([y], [x])
    return y in dependent and all(
        node is x or (node.shape == x.shape and is_elementwise(node)) for node in dependent
    )


def is_elementwise(node: Node) -> bool:
    """Whether element i of the node depends on element i of each operand alone."""
    return isinstance(node.op.lowering, Scalar)


def diagonal_of_jacobian(y: Node, x: Node) -> Node:
    """dy_i / dx_i for y elementwise in x, in x's shape: the VJP of a cotangent of ones."""
    (diagonal,) = vector_jacobian_product([y], [_ones(y)], [x])
    return diagonal


def _diagonal(values: Node) -> Node:
    """The square Jacobian with `values` on its diagonal, of shape values.shape twice."""
    size = values.type.size
    index = values.graph.iota(size, "i64")
    is_on_it = build.one_hot(index, max(size, 1), "bool")
    column = build.reshape(values, (size, 1))
    return build.reshape(build.where(is_on_it, column, 0), (*values.shape, *values.shape))
