"""Batched products of which one operand is the same for the whole batch: products of matrices.

A dense layer on [batch, steps, features] multiplies batch * steps rows by one matrix. As a batch of
products it would copy that matrix anew for the rows of each, and the gradient of the matrix would
be stored once for each before it is added up.
"""

from __future__ import annotations

from math import prod

from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import View
from graphc.ir.ops import contract
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions import reduce
from graphc.ir.rewriting.rewrite import SUM_ULPS, Rule, rule
from graphc.ir.types import static_shape


@rule(contract.matmul, ulps=SUM_ULPS)
def merge_batch_into_rows(node: Node) -> Node | None:
    """matmul(x, y) = reshape(matmul(reshape(x), y)) of a matrix y, where x has a batch"""
    x, y = node.operands
    if y.rank != 2 or x.rank < 3 or node.attributes["transpose_x"] or not _stands_in_order(x):
        return None
    product = contract.matmul(_rows_of(x), y, **node.attributes)
    return build.reshape(product, node.shape)


@rule(reduce.sum_, ulps=SUM_ULPS)
def merge_batch_into_depth(node: Node) -> Node | None:
    """sum(matmul(x^T, y), batch) = reshape(matmul(reshape(x)^T, reshape(y)))"""
    (product,) = node.operands
    if product.op is not contract.matmul or product.rank < 3:
        return None
    x, y = product.operands
    batch = product.rank - 2
    if not product.attributes["transpose_x"] or product.attributes["transpose_y"]:
        return None
    if node.attributes["axes"] != tuple(range(batch)) or x.shape[:-1] != y.shape[:-1]:
        return None
    if not (_stands_in_order(x) and _stands_in_order(y)):
        return None
    whole = contract.matmul(_rows_of(x), _rows_of(y), **product.attributes)
    return build.reshape(whole, node.shape)


RULES: tuple[Rule, ...] = (merge_batch_into_rows, merge_batch_into_depth)


def _rows_of(x: Node) -> Node:
    *rows, columns = static_shape(x.shape)
    return build.reshape(x, (prod(rows), columns))


def _stands_in_order(x: Node) -> bool:
    """Whether the rows of x, those of its batch among them, can follow each other in memory.

    A transposed or sliced value would have to be copied. One that is reshaped already, such as
    heads brought together, has been.
    """
    return x.op is movement.reshape or not isinstance(x.op.lowering, View)
