"""The same values for each of several operands at once: one axis more, in front of all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc.ir.dims import Extent
from graphc.ir.errors import GraphError
from graphc.ir.functions import build
from graphc.ir.graph import Node, topological
from graphc.ir.nodes.location import located
from graphc.ir.nodes.lowering import (
    Assemble,
    Composite,
    Contract,
    Cumulative,
    Gather,
    Region,
    Result,
    Scalar,
    Scatter,
)
from graphc.ir.ops import OPS, custom, region, training
from graphc.ir.ops.movement import movement
from graphc.ir.programs.loops import body_of, unused


class NoBatchingRuleError(GraphError):
    """An op of which nothing says how it is applied to several operands at once."""


def batched(roots: Sequence[Node], given: Mapping[Node, Node]) -> tuple[Node, ...]:
    """Each root for all the values at once that `given` has for some nodes.

    For a node of shape s, `given` has one of shape (n, *s), the same n for all; of each root so
    many are made, of shape (n, *root.shape). What does not depend on a given node is computed
    once. Raises NoBatchingRuleError for an op that has none, and where indices differ.
    """
    (extent,) = {value.shape[0] for value in given.values()}
    batch = _Batch(dict(given), extent)
    return tuple(batch.of(root) for root in roots)


class _Batch:
    """Values that have an axis of `extent` in front, by the nodes that they stand for."""

    def __init__(self, made: dict[Node, Node], extent: Extent) -> None:
        self.made = made
        self.extent = extent

    def of(self, root: Node) -> Node:
        """The root for all values: the same for each where it depends on none."""
        self._make_below(root)
        value = self.made.get(root)
        return self._repeated(root) if value is None else value

    def _make_below(self, root: Node) -> None:
        for node in topological([root]):
            if node not in self.made and any(x in self.made for x in node.operands):
                with node.graph.at(node.location):
                    self.made[node] = self._make(node)

    def _make(self, node: Node) -> Node:
        op, lowering = node.op, node.op.lowering
        if isinstance(lowering, Region):
            return self._loop(node)
        if isinstance(lowering, Result):
            return self._result(node)
        if isinstance(lowering, Composite) and not _keeps_its_name(node):
            if op is custom.custom_vjp:
                raise _no_rule(node, "its derivative would be lost")
            return self.of(lowering.expand(*node.operands, **node.attributes))
        if isinstance(lowering, Scalar | Contract) or op is movement.broadcast_to:
            operands = [self._aligned(x, node.rank) for x in node.operands]
        elif isinstance(lowering, Gather | Scatter):
            *values, indices = node.operands
            if indices in self.made:
                raise _no_rule(node, "its indices differ")
            operands = [*map(self._whole, values), indices]
        elif len(node.operands) == 1 or _joins_equals(node):
            operands = [self._whole(x) for x in node.operands]
        else:
            raise _no_rule(node, "it has several operands")
        return node.graph.apply(op, operands, self._attributes(node))

    def _loop(self, node: Node) -> Node:
        """The loop for all values: of each carry and each slice, and of what differs outside."""
        steps, operands = region.Steps.of(node), []
        if steps.length is None:
            raise _no_rule(node, "the numbers of steps may differ")
        body, carries = steps.body, steps.carries
        behind = carries + steps.slices
        given: dict[Node, Node] = {}
        for number, (operand, x) in enumerate(zip(node.operands, body.inputs, strict=True)):
            if number >= behind and operand not in self.made:
                operands.append(operand)
                continue
            whole = self._whole(operand)
            # Steps come first.
            operands.append(_swapped(whole) if carries <= number < behind else whole)
            name = unused(x.graph.inputs, x.name)
            given[x] = x.graph.input(name, (self.extent, *x.shape), x.dtype)
        made = batched([value for _, value in body.outputs], given)
        inputs = [given.get(x, x) for x in body.inputs]
        attributes = {**node.attributes, "body": body_of(inputs, made[:carries], made[carries:])}
        return node.graph.apply(node.op, operands, attributes)

    def _result(self, node: Node) -> Node:
        (loop,) = node.operands
        number = node.attributes["number"]
        result = node.op(self.made[loop], number=number)
        return result if number < loop.attributes["carries"] else _swapped(result)

    def _aligned(self, x: Node, rank: int) -> Node:
        """The values of an operand that broadcasts to `rank` axes beside the new one."""
        value = self.made.get(x)
        if value is None or x.rank == rank:
            return x if value is None else value
        return build.reshape(value, (self.extent, *(1,) * (rank - x.rank), *x.shape))

    def _whole(self, x: Node) -> Node:
        value = self.made.get(x)
        return self._repeated(x) if value is None else value

    def _repeated(self, x: Node) -> Node:
        return build.broadcast_to(x, (self.extent, *x.shape))

    def _attributes(self, node: Node) -> dict[str, Any]:
        made = {}
        for name, kind in node.op.attributes.items():
            if kind.deeper is None:
                raise _no_rule(node, f"its attribute {name} may be an axis")
            made[name] = kind.deeper(node.attributes[name], self.extent)
        return made


def _swapped(x: Node) -> Node:
    """x with its first two axes in the other order."""
    return build.transpose(x, (1, 0, *range(2, x.rank)))


def _keeps_its_name(node: Node) -> bool:
    """Whether a composite is one of graphc's own that says by its attributes where its axes are.

    Others are expanded first: of an op that users made nothing is known but what it expands to,
    and several operands need not broadcast.
    """
    if node.op is training.training_form:
        return True
    return OPS.get(node.op.name) is node.op and len(node.operands) == 1


def _joins_equals(node: Node) -> bool:
    """Whether the op takes several operands that have all axes but one in common."""
    return isinstance(node.op.lowering, Assemble | Cumulative) or node.op is training.training_form


def _no_rule(node: Node, why: str) -> NoBatchingRuleError:
    problem = f"{node!r} cannot be made for several operands at once: {why}"
    return NoBatchingRuleError(located(problem, node.location))
