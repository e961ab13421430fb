"""Gradients of each sample's loss alone, from one backward pass over the batch."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from graphc.ir.derive.autodiff import accumulate, sum_to_shape, vector_jacobian_product
from graphc.ir.dims import Extent, quotient_of
from graphc.ir.errors import GraphError
from graphc.ir.functions import build
from graphc.ir.graph import Node, depends_on, topological
from graphc.ir.nodes.attributes import AXES, AXIS
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.lowering import (
    Assemble,
    Composite,
    Contract,
    Cumulative,
    Gather,
    Reduction,
    Scalar,
    Scatter,
    Sorting,
)
from graphc.ir.ops import OPS, custom, windows
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import indexed, movement
from graphc.ir.programs.batching import batched
from graphc.ir.programs.custom_vjp import formal_of

# Lowerings of ops that leave all axes alone but those that their attributes name.
KEEPING = (Assemble, Reduction, Gather, Scatter, Cumulative, Sorting)


def per_sample_gradients(losses: Node, wrt: Sequence[Node]) -> tuple[Node, ...]:
    """d losses_i / d w for each sample i and each w: of shape (samples, *w.shape).

    Cotangents are those of the ordinary backward pass, in which each sample has a row of its own,
    down to where a value without that axis, a kernel or a bias, meets the samples. What it gets
    there is not summed over them: for a product, the outer products x_i ct_i, summed over the
    positions of a sample where it is a convolution. A value that is made
    of all samples, as the mean of batch normalisation, hands that on to each of them, at the cost
    of as many backward passes. So do loops, and ops by which values and samples meet in another way
    than in arithmetic, products and `take`: their results have one cotangent for each sample, which
    is 0 in all rows but one.

    Raises GraphError unless `losses` has one axis, where a w has the samples' axis itself, and for
    an op of rows and of what is no row that is none of these; else as `gradients` does.
    """
    if losses.rank != 1:
        raise _error(f"one loss a sample expected, of one axis, not {losses!r}")
    (samples,) = losses.shape
    if samples == 1:
        alone = vector_jacobian_product([losses], [_ones(losses)], wrt)
        return tuple(build.expand_dims(gradient, 0) for gradient in alone)
    rows = _rows(losses)
    own = next((w for w in wrt if w in rows), None)
    if own is not None:
        raise _error(f"{own!r} has the samples' axis; derive gc.sum(losses) by it")
    dependent = depends_on([losses], wrt)
    cotangents = accumulate([losses], [_ones(losses)], rows & dependent)
    met: dict[Node, Node] = {}
    for node in reversed(topological([losses])):
        ct = cotangents.of(node) if node in rows else None
        if ct is None:
            continue
        positions = [
            position
            for position, x in enumerate(node.operands)
            if x in dependent and x not in rows and x.dtype.is_float
        ]
        with node.graph.at(node.location):
            if not all(_meets(node, position) for position in positions):
                met[node] = _one_row_each(node, ct, rows & dependent)
                continue
            for position in positions:
                shared = node.operands[position]
                gained = _gained(node, position, ct, samples)
                met[shared] = gained if shared not in met else met[shared] + gained
    formals = [formal_of(shared.graph, shared.type) for shared in met]
    values = vector_jacobian_product(list(met), formals, wrt)
    return batched(values, dict(zip(formals, met.values(), strict=True)))


def _ones(x: Node) -> Node:
    return build.broadcast_to(x.graph.constant(1.0, x.dtype), x.shape)


def _rows(losses: Node) -> set[Node]:
    """The values that have a row for each sample, of which row i makes loss i alone."""
    (samples,) = losses.shape
    found = {losses}
    for node in reversed(topological([losses])):
        if node in found:
            found |= {
                operand
                for position, operand in enumerate(node.operands)
                if _keeps_rows(node, position, samples)
            }
    return found


def _keeps_rows(node: Node, position: int, samples: Extent) -> bool:
    """Whether row i of the node, which has `samples`, reads row i of the operand and no other."""
    x, lowering = node.operands[position], node.op.lowering
    if _is_product_of_blocks(node, samples):
        return position == 0
    if node.op is movement.reshape and _is_product_of_blocks(x, samples):
        return True
    if x.shape[:1] != (samples,):
        return False
    if isinstance(lowering, Scalar) or node.op is movement.broadcast_to:
        return x.rank == node.rank
    if isinstance(lowering, Contract):
        is_left = position == 0 and not node.attributes["transpose_x"]
        return x.rank == node.rank and (node.rank > 2 or is_left)
    if node.op is movement.transpose:
        return bool(node.attributes["axes"][0] == 0)
    if node.op in (movement.slice_, movement.embed):
        return _is_whole(node.attributes["starts"][0], node.attributes["steps"][0])
    if isinstance(lowering, Composite):
        if OPS.get(node.op.name) is not node.op or node.op is custom.custom_vjp:
            return False
        return x.rank >= node.rank and _spares_rows(node)
    if isinstance(lowering, KEEPING) or node.op is windows.windows:
        return _spares_rows(node)
    return node.op is movement.reshape


def _is_product_of_blocks(node: Node, samples: Extent) -> bool:
    """Whether it is a product by a matrix that has several rows for each sample, one sample after
    the other: the windows of a convolution."""
    if not isinstance(node.op.lowering, Contract) or node.rank != 2:
        return False
    rows = node.operands[0]
    if node.attributes["transpose_x"] or rows.op is not movement.reshape:
        return False
    is_by_sample = rows.operands[0].shape[:1] == (samples,) and rows.shape[0] != samples
    return is_by_sample and quotient_of(rows.shape[0], samples) is not None


def _is_whole(start: Extent, step: int) -> bool:
    return start == 0 and step == 1


def _spares_rows(node: Node) -> bool:
    """Whether the op does nothing along axis 0."""
    for name, kind in node.op.attributes.items():
        value = node.attributes[name]
        if (kind is AXIS and value == 0) or (kind is AXES and 0 in value):
            return False
    return True


def _meets(node: Node, position: int) -> bool:
    """Whether `_gained` knows what the operand, which all samples share, gets from each."""
    if _is_looked_up(node):
        return position == 0
    rule = node.op.vjp[position] if node.op.arity is not None else None
    if not callable(rule):
        return False
    if isinstance(node.op.lowering, Contract):
        return node.rank > 2 or (position == 1 and not node.attributes["transpose_x"])
    return isinstance(node.op.lowering, Scalar) or node.op is movement.broadcast_to


def _is_looked_up(node: Node) -> bool:
    return node.op is indexed.take and node.attributes["axis"] == 0


def _one_row_each(node: Node, ct: Node, of_rows: Collection[Node]) -> Node:
    """The cotangent of a value that samples make together for each sample's loss: its own row of
    ct, and 0 elsewhere. [samples, *node.shape]"""
    if any(x in of_rows for x in node.operands):
        raise _error(f"{node!r} reads rows of samples and what is no row of theirs")
    (samples, *others) = node.shape
    ones = (1,) * len(others)
    numbers = node.graph.iota(samples, "i64")
    column = build.reshape(numbers, (samples, 1, *ones))
    row = build.reshape(numbers, (1, samples, *ones))
    return ops.where(ops.equal(column, row), ct, 0)


def _gained(node: Node, position: int, ct: Node, samples: Extent) -> Node:
    """What a value that all samples share gets from each: of shape (samples, *value.shape).

    The rule of the op is applied to each sample as a batch of one.
    """
    shared, lowering = node.operands[position], node.op.lowering
    if _is_looked_up(node):
        return _taken(shared, node.operands[1], ct, samples)
    rule = node.op.vjp[position]
    assert callable(rule)  # `_meets` says so
    if isinstance(lowering, Contract) and node.rank == 2:
        first, second = node.operands[0], ct
        if node.attributes["transpose_y"]:
            first, second = second, first
        if _is_product_of_blocks(node, samples):
            return _product_of_blocks(first, second, samples)
        return _outer(first, second)
    of_one = [
        _as_batch_of_one(x) if _keeps_rows(node, number, samples) else x
        for number, x in enumerate(node.operands)
    ]
    contribution = rule(_as_batch_of_one(ct), _as_batch_of_one(node), *of_one, **node.attributes)
    shape = (samples, *shared.shape)
    if contribution is None:
        return build.broadcast_to(node.graph.constant(0.0, shared.dtype), shape)
    stretched = (samples, *(1,) * (node.rank - shared.rank), *shared.shape)
    return build.reshape(sum_to_shape(contribution, stretched), shape)


def _as_batch_of_one(x: Node) -> Node:
    """Each row as a batch of one sample."""
    return build.expand_dims(x, 1)


def _outer(first: Node, second: Node) -> Node:
    """x_i ct_i of each sample as a product of elements, which fuses with what reads it."""
    return build.expand_dims(first, 2) * build.expand_dims(second, 1)


def _product_of_blocks(first: Node, second: Node, samples: Extent) -> Node:
    """The sum of x_i ct_i over the rows of each sample."""
    x, ct = (
        build.reshape(rows, (samples, quotient_of(rows.shape[0], samples), rows.shape[1]))
        for rows in (first, second)
    )
    return build.matmul(x, ct, transpose_x=True)


def _taken(x: Node, indices: Node, ct: Node, samples: Extent) -> Node:
    """The rows of a table that each sample has read: a table a sample, one below the other."""
    count = x.shape[0]
    first = build.reshape(
        x.graph.iota(samples, "i64") * count, (samples, *(1,) * (indices.rank - 1))
    )
    places = build.cast(indices, "i64") + first
    stacked = indexed.scatter_add(ct, places, axis=0, shape=(samples * count, *x.shape[1:]))
    return build.reshape(stacked, (samples, *x.shape))


def _error(problem: str) -> GraphError:
    return GraphError(located(f"per_sample_gradients: {problem}", callers_location()))
