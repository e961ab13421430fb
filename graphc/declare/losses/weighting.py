"""A loss whose rows count by weights: made of the loss itself, by putting the weights into it.

A loss is a scalar L = f(S_1, S_2, ...) of sums over the rows of a batch, S_k = sum_i l_k(i). Where
f is linear, that is where only ops that are linear in the sums lead from them to the loss, the
weighted loss is

    L(w) = f(sum_i w_i l_1(i), sum_i w_i l_2(i), ...)

So a mean (1/n) sum_i l(i) becomes (1/n) sum_i w_i l(i), as in Keras; a penalty, in which no row is
read, stays as it is; and weights of 1 change nothing. What makes l(i) may be anything, batch
normalisation included. A term that is not linear in the sums has no weights of rows: it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphc.errors import GraphError
from graphc.ir.dims import Dim
from graphc.ir.functions import build
from graphc.ir.graph import Node, depends_on, topological
from graphc.ir.nodes.location import located
from graphc.ir.nodes.lowering import Assemble, Contract, Gather, Reduction, View
from graphc.ir.nodes.op import Op
from graphc.ir.ops import leaf, training
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement

# The sets of operands in which a scalar op is linear while the others are held; in x and y together
# of x + y, in x or in y of x * y. A sum of a linear and a constant term counts: op(x, c) is affine.
LINEAR: Mapping[Op, tuple[frozenset[int], ...]] = {
    ops.add: (frozenset({0, 1}),),
    ops.subtract: (frozenset({0, 1}),),
    ops.negate: (frozenset({0}),),
    ops.multiply: (frozenset({0}), frozenset({1})),
    ops.weigh: (frozenset({0}), frozenset({1})),
    ops.divide: (frozenset({0}),),
    ops.where: (frozenset({1, 2}),),
    ops.cast: (frozenset({0}),),
    ops.copy: (frozenset({0}),),
    ops.stop_gradient: (frozenset({0}),),
    training.training_form: (frozenset({0, 1}),),
}


def weighted_loss(loss: Node, weights: Node) -> Node:
    """`loss` with the term of row i multiplied by `weights[i]`, a node of the loss's type.

    loss: a float scalar. weights: floats [batch]; the batch is the dimension of the rows. A sum
    over that axis, `sum_i l(i)` or a mean, becomes `sum_i w_i l(i)`; the weights are broadcast over
    the other axes of l. Raises GraphError, naming the op and its line, where a value is made of all
    rows otherwise, or where an op behind a sum over the rows is not linear in it.
    """
    batch = weights.shape[0]
    assert isinstance(batch, Dim)
    sources = [node for node in topological([loss]) if node.op is leaf.input_]
    of_rows = depends_on([loss], sources)
    if loss not in of_rows:
        return loss
    made: dict[Node, Node] = {}
    for node in _linear_region(loss, of_rows, batch):
        with node.graph.at(node.location):
            if _is_row_sum(node, of_rows, batch):
                made[node] = _weighted_sum(node, weights, batch)
            else:
                operands = [made.get(x, x) for x in node.operands]
                made[node] = node.graph.apply(node.op, operands, node.attributes)
    return made[loss]


def _linear_region(loss: Node, of_rows: set[Node], batch: Dim) -> list[Node]:
    """The sums over the rows that the loss is linear in, and what leads from them to the loss,
    operands first. Raises as `weighted_loss` does."""
    region: set[Node] = set()
    pending = [loss]
    while pending:
        node = pending.pop()
        if node in region or node not in of_rows:
            continue
        region.add(node)
        if _is_row_sum(node, of_rows, batch):
            continue
        varying = [k for k, x in enumerate(node.operands) if x in of_rows]
        if not varying:
            raise _refused(node, "is an input itself and no sum over the rows")
        if any(_axes_of(node.operands[k], batch) for k in varying):
            raise _refused(node, "takes all rows together and is no sum of them")
        if not _is_linear(node, frozenset(varying)):
            raise _refused(node, "stands behind a sum over the rows and is not linear in it")
        pending += [node.operands[k] for k in varying]
    # An operand is made before its user.
    return sorted(region, key=lambda node: node.number)


def _is_linear(node: Node, varying: frozenset[int]) -> bool:
    """Whether the node is linear in the operands `varying`, the others held."""
    if not all(x.dtype.is_float for x in (node, *(node.operands[k] for k in varying))):
        return False
    lowering = node.op.lowering
    if isinstance(lowering, Reduction):
        return lowering.combine == "add"
    if isinstance(lowering, View | Assemble):
        return True
    if isinstance(lowering, Contract):
        return len(varying) == 1
    if isinstance(lowering, Gather):
        return varying == {0}
    return any(varying <= group for group in LINEAR.get(node.op, ()))


def _axes_of(node: Node, batch: Dim) -> tuple[int, ...]:
    """The axes along which there are rows, alone or in some product or sum."""
    return tuple(
        axis
        for axis, extent in enumerate(node.shape)
        if isinstance(extent, Dim) and batch.name in extent.names
    )


def _is_row_sum(node: Node, of_rows: set[Node], batch: Dim) -> bool:
    lowering = node.op.lowering
    if not (isinstance(lowering, Reduction) and lowering.combine == "add"):
        return False
    (x,) = node.operands
    return x in of_rows and bool(_axes_of(x, batch))


def _weighted_sum(node: Node, weights: Node, batch: Dim) -> Node:
    """sum_i w_i x(i) for the node sum_i x(i), over the same axes.

    The order of the elements is nothing to a sum over all of them, so one of a reshaped x is one of
    x itself.
    """
    (x,) = node.operands
    axes: tuple[int, ...] = node.attributes["axes"]
    while len(axes) == x.rank and x.op is movement.reshape:
        (x,) = x.operands
        axes = tuple(range(x.rank))
    rows = _axes_of(x, batch)
    if not x.dtype.is_float:
        raise _refused(node, f"adds up {x.dtype}, which weights would round")
    if len(rows) != 1 or x.shape[rows[0]] != batch:
        shape = ", ".join(str(x.shape[axis]) for axis in rows)
        problem = f"runs over axes of {shape} elements, and one of {batch} alone is one of rows"
        raise _refused(node, problem)
    column = [batch if axis == rows[0] else 1 for axis in range(x.rank)]
    terms = build.reshape(build.cast(weights, x.dtype), column) * x
    total = node.graph.apply(node.op, (terms,), {"axes": axes})
    return build.reshape(total, node.shape)


def _refused(node: Node, problem: str) -> GraphError:
    types = ", ".join(str(x.type) for x in node.operands)
    message = f"the rows of this loss have no weights: {node.op.name}({types}) {problem}"
    return GraphError(located(message, node.location))
