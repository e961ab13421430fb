"""One batch run through a program: the value of every node, and the gradient on every edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from graphc.ir.derive.autodiff import vector_jacobian_product
from graphc.ir.errors import GraphError
from graphc.ir.graph import Graph, Node, Program, topological
from graphc.ir.nodes.op import Array
from graphc.ir.ops import leaf
from graphc.ir.reference import evaluate
from graphc.ir.types import TupleType

# An operand of a node: (node, position).
Use = tuple[Node, int]


@dataclass(frozen=True, eq=False)
class Values:
    """What one batch makes of a program.

    of: the value of every node that has one.
    gradients: for each use of a value the derivative of the loss by it through that use alone;
        those of all uses of a value add up to its gradient. Uses without a derivative are absent.
    total: the gradient of every value that has one; that of the loss is 1.
    """

    of: Mapping[Node, Array]
    gradients: Mapping[Use, Array]
    total: Mapping[Node, Array]


def run_batch(program: Program, given: Mapping[str, Array], loss: Node | None) -> Values:
    """Runs `program`, of fixed shapes, in numpy on inputs and states given by name.

    loss: one of its values, a float scalar, by which is derived; None derives nothing. Raises
    GraphError where an input or a state is missing or the loss is no float scalar.
    """
    leaves = {node: _given(node, given) for node in (*program.inputs, *program.states)}
    if loss is None:
        return Values(_tensors(evaluate(program.roots, leaves)), {}, {})
    if loss.shape != () or not loss.dtype.is_float:
        raise GraphError(f"gradients of a float scalar can be drawn, not of {loss!r}")
    of = _tensors(evaluate((*program.roots, loss), leaves))
    gradients = _gradients_by_use(loss, leaves)
    total: dict[Node, Array] = {loss: np.ones((), loss.dtype.numpy)}
    for (node, position), gradient in gradients.items():
        operand = node.operands[position]
        total[operand] = total[operand] + gradient if operand in total else gradient
    return Values(of, gradients, total)


def _tensors(values: Mapping[Node, Array]) -> dict[Node, Array]:
    """The values of all nodes but loops, whose results have theirs."""
    return {node: x for node, x in values.items() if not isinstance(node.type, TupleType)}


def _given(node: Node, given: Mapping[str, Array]) -> Array:
    if node.name not in given:
        raise GraphError(f"no value was given for {node!r}")
    return np.asarray(given[node.name])


def _gradients_by_use(loss: Node, leaves: Mapping[Node, Array]) -> dict[Use, Array]:
    """d loss / d use: a zero is added at every use, and the loss is derived by the zeros.

    The sums live in a graph of their own.
    """
    uses = _differentiable_uses(loss)
    graph = Graph()
    copies: dict[Node, Node] = {}
    zeros: dict[Use, Node] = {}
    for node in topological([loss]):
        operands = []
        for position, operand in enumerate(node.operands):
            copy = copies[operand]
            if (node, position) in uses:
                name = f"use {len(zeros)}"
                zeros[node, position] = graph.input(name, operand.shape, operand.dtype)
                copy = copy + zeros[node, position]
            operands.append(copy)
        attributes = dict(node.attributes)
        with graph.at(node.location):
            if node.op is leaf.input_:
                copies[node] = graph.input(**attributes)
            elif node.op is leaf.state:
                copies[node] = graph.state(**attributes)
            else:
                copies[node] = graph.apply(node.op, operands, attributes)
    seed = graph.constant(1.0, loss.dtype)
    derived = vector_jacobian_product([copies[loss]], [seed], list(zeros.values()))
    values = {copies[node]: value for node, value in leaves.items() if node in copies}
    values |= {zero: np.zeros(zero.type.dims, zero.dtype.numpy) for zero in zeros.values()}
    results = evaluate(derived, values)
    return {use: results[node] for use, node in zip(zeros, derived, strict=True)}


def _differentiable_uses(loss: Node) -> set[Use]:
    """The uses through which a derivative of the loss flows; constants are left out."""
    uses: set[Use] = set()
    reached = {loss}
    for node in reversed(topological([loss])):
        if node not in reached:
            continue
        for position, operand in enumerate(node.operands):
            rule = node.op.vjp[0 if node.op.arity is None else position]
            derives = operand.dtype.is_float and callable(rule)
            if isinstance(operand.type, TupleType):
                # What flows to a loop is drawn at its results.
                reached.add(operand)
            elif derives and operand.op is not leaf.constant:
                uses.add((node, position))
                reached.add(operand)
    return uses
