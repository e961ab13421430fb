"""The symbolic derivative: reverse accumulation of cotangents, IR in and IR out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from graphc.ir.derive.loop_derivative import loop_cotangents
from graphc.ir.derive.regions import sum_of_embedded
from graphc.ir.derive.scatters import sum_of_scattered
from graphc.ir.derive.steps import as_constant, steps_of_floats
from graphc.ir.errors import GraphError, NotDifferentiableError
from graphc.ir.functions import build
from graphc.ir.graph import Node, depends_on, topological
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.nodes.lowering import Region, Result
from graphc.ir.nodes.op import NonDifferentiable, Stopped
from graphc.ir.ops import region
from graphc.ir.ops.movement import indexed, movement
from graphc.ir.ops.reductions import reduce
from graphc.ir.types import Shape


def gradients(value: Node, wrt: Sequence[Node]) -> tuple[Node, ...]:
    """d value / d w for each w in `wrt`: nodes of the same graph, of w's type.

    `value` is a float scalar. Raises GraphError when it is not, or does not depend on a `w`;
    NotDifferentiableError when it depends on one only through operands without a derivative.
    """
    if value.shape != ():
        raise GraphError(
            _message(
                f"the derivative of a scalar was asked for, not of {value!r}; derive its sum or "
                "mean, gc.sum(y) or gc.mean(y), or take gc.jacobian(y, x)"
            )
        )
    if not value.dtype.is_float:
        raise NotDifferentiableError(_message(f"{value!r} is not a float"))
    seed = value.graph.constant(1.0, value.dtype)
    return vector_jacobian_product([value], [seed], wrt)


def vector_jacobian_product(
    results: Sequence[Node], cotangents: Sequence[Node], wrt: Sequence[Node]
) -> tuple[Node, ...]:
    """The cotangents of `wrt` that `cotangents` of `results` induce.

    Each cotangent has its result's type. Raises as `gradients` does.
    """
    _check_dependence(results, wrt)
    accumulated = accumulate(results, cotangents, depends_on(results, wrt))
    return tuple(_cotangent_of(accumulated, w) for w in wrt)


def accumulate(
    results: Sequence[Node], cotangents: Sequence[Node], walked: Collection[Node]
) -> Cotangents:
    """The cotangents that reach nodes by ways through the nodes in `walked` alone."""
    accumulated = Cotangents({}, {}, {}, {})
    for result, cotangent in zip(results, cotangents, strict=True):
        accumulated.add(result, cotangent)
    nodes = topological(results)
    chosen_by = steps_of_floats(nodes)
    for node in reversed(nodes):
        if node not in walked:
            continue
        with node.graph.at(node.location):
            if isinstance(node.op.lowering, Region):
                _pass_through_loop(node, accumulated, walked)
                continue
            ct = accumulated.of(node)
            if ct is None:
                continue
            if isinstance(node.op.lowering, Result):
                accumulated.add_result(node, ct)
                continue
            given = [as_constant(x) if x in chosen_by else x for x in node.operands]
            for position, operand in enumerate(node.operands):
                if operand in walked and operand.dtype.is_float:
                    contribution = contribution_to(node, position, ct, given)
                    if contribution is not None:
                        accumulated.add(operand, sum_to_shape(contribution, operand.shape))
    return accumulated


def _pass_through_loop(node: Node, accumulated: Cotangents, walked: Collection[Node]) -> None:
    """Adds what the operands of a loop get, all of whose results' cotangents have arrived."""
    cts = accumulated.results.get(node)
    if not cts:
        return
    wanted = [k for k, x in enumerate(node.operands) if x in walked and x.dtype.is_float]
    (rule,) = node.op.vjp
    if wanted and isinstance(rule, NonDifferentiable):
        raise NotDifferentiableError(_message(f"{node.op.name}: {rule.reason}"))
    for position, ct in loop_cotangents(node, cts, wanted, accumulate).items():
        accumulated.add(node.operands[position], ct)


@dataclass(frozen=True, eq=False)
class Cotangents:
    """What has reached each node: the sum of tensors, the regions that slices of it add, what
    lookups in it add, and of a node of several results the cotangent of each, by its number."""

    whole: dict[Node, Node]
    regions: dict[Node, list[Node]]
    lookups: dict[Node, list[Node]]
    results: dict[Node, dict[int, Node]]

    def add(self, node: Node, contribution: Node) -> None:
        if contribution.op is movement.embed:
            self.regions.setdefault(node, []).append(contribution)
        elif contribution.op is indexed.scatter_add:
            self.lookups.setdefault(node, []).append(contribution)
        else:
            self._add_whole(node, contribution)

    def add_result(self, node: Node, ct: Node) -> None:
        """Hands the cotangent of one result to the node that it is a result of."""
        (several,) = node.operands
        self.results.setdefault(several, {})[node.attributes["number"]] = ct

    def of(self, node: Node) -> Node | None:
        """The cotangent, of which all has arrived; None where nothing has."""
        if node in self.regions:
            self._add_whole(node, sum_of_embedded(self.regions.pop(node)))
        if node in self.lookups:
            self._add_whole(node, sum_of_scattered(self.lookups.pop(node)))
        return self.whole.get(node)

    def _add_whole(self, node: Node, contribution: Node) -> None:
        present = self.whole.get(node)
        self.whole[node] = contribution if present is None else present + contribution


def contribution_to(node: Node, position: int, ct: Node, operands: Sequence[Node]) -> Node | None:
    """What `node`, of cotangent `ct`, hands on to operand number `position`; None for nothing.

    operands: of the node, as the rule reads them. The result may be stretched as the op stretches
    the operand. Raises NotDifferentiableError where there is a derivative but no rule.
    """
    rule = node.op.vjp[0 if node.op.arity is None else position]
    if isinstance(rule, NonDifferentiable) and rule.is_missing:
        raise NotDifferentiableError(_message(f"{node.op.name}: {rule.reason}"))
    if not callable(rule):
        return None
    extra = {"position": position} if node.op.arity is None else {}
    return rule(ct, node, *operands, **node.attributes, **extra)


def _cotangent_of(accumulated: Cotangents, node: Node) -> Node:
    ct = accumulated.of(node)
    if ct is None:
        ct = node.graph.constant(0.0, node.dtype)
    return build.broadcast_to(ct, node.shape)


def sum_to_shape(value: Node, shape: Shape) -> Node:
    """`value` summed over the axes along which `shape` was broadcast to its shape.

    A value of fewer elements (the cotangent of an operand that the op itself broadcast further)
    is stretched to `shape`, so that every cotangent has its value's type.
    """
    extra = value.rank - len(shape)
    axes = tuple(
        axis
        for axis, extent in enumerate(value.shape)
        if extent != 1 and (axis < extra or shape[axis - extra] == 1)
    )
    summed = reduce.sum_(value, axes=axes) if axes else value
    if extra > 0:
        summed = build.squeeze(summed, range(extra))
    if summed.shape != shape:
        summed = movement.broadcast_to(summed, shape=shape)
    return summed


def _check_dependence(results: Sequence[Node], wrt: Sequence[Node]) -> None:
    below = set(topological(results))
    for w in wrt:
        if w not in below:
            raise GraphError(_message(f"the value does not depend on {w!r}"))
        if not w.dtype.is_float:
            raise NotDifferentiableError(_message(f"{w!r} is not a float"))
    reached = _reached_by_derivatives(results)
    for w in wrt:
        if w not in reached:
            reason = _blocking_reason(results, w)
            raise NotDifferentiableError(_message(f"no derivative by {w!r}: {reason}"))


def _reached_by_derivatives(results: Sequence[Node]) -> set[Node]:
    """The nodes from which a path of derivatives leads to one of `results`, these included.

    What a stopped operand is made of, by whatever ops, is among them: its derivative is 0 there.
    """
    reached, stopped = set(results), set[Node]()
    order = topological(results)
    for node in reversed(order):
        if isinstance(node.op.lowering, Region) and node not in stopped:
            reached.update(_reached_through_steps(node, reached, order))
            continue
        for position, operand in enumerate(node.operands):
            rule = node.op.vjp[0 if node.op.arity is None else position]
            if node in stopped or isinstance(rule, Stopped):
                stopped.add(operand)
            elif node in reached and node.dtype.is_float and callable(rule):
                reached.add(operand)
    return reached | stopped


def _reached_through_steps(
    loop: Node, reached: Collection[Node], nodes: Sequence[Node]
) -> Iterator[Node]:
    """The operands of a loop from which a path of derivatives leads to one of its results in
    `reached`."""
    if isinstance(loop.op.vjp[0], NonDifferentiable):
        return
    body, carries = loop.attributes["body"], loop.attributes["carries"]
    results = [x for x in nodes if x in reached and x.op is region.result and x.operands[0] is loop]
    numbers = {x.attributes["number"] for x in results}
    while True:
        values = [body.outputs[number][1] for number in numbers]
        inside = _reached_by_derivatives([x for x in values if x.dtype.is_float])
        more = {k for k, x in enumerate(body.inputs[:carries]) if x in inside} - numbers
        if not more:
            break
        numbers |= more
    for operand, x in zip(loop.operands, body.inputs, strict=True):
        if x in inside:
            yield operand


def _blocking_reason(results: Sequence[Node], w: Node) -> str:
    """Why no derivative reaches `w`."""
    reached = {w}
    reason = ""
    for node in topological(results):
        for position, operand in enumerate(node.operands):
            if operand not in reached:
                continue
            rule = node.op.vjp[0 if node.op.arity is None else position]
            if isinstance(rule, NonDifferentiable):
                reason = f"{node.op.name}: {rule.reason}"
            elif isinstance(node.op.lowering, Region):
                reason = f"{node.op.name}: no path of derivatives leads through its steps"
            elif node.dtype.is_float:
                reached.add(node)
            else:
                reason = f"{node.op.name}: its result is {node.dtype}"
    return reason


def _message(problem: str) -> str:
    return located(f"grad: {problem}", callers_location())
