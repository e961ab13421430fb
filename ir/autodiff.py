"""The symbolic derivative: reverse accumulation of cotangents, IR in and IR out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from graphc.ir import build
from graphc.ir.errors import GraphError, NotDifferentiableError
from graphc.ir.graph import Node, depends_on, topological
from graphc.ir.location import callers_location, located
from graphc.ir.lowering import Scalar
from graphc.ir.op import NonDifferentiable, Stopped
from graphc.ir.ops import movement, reduce
from graphc.ir.regions import sum_of_embedded
from graphc.ir.types import Shape


def gradients(value: Node, wrt: Sequence[Node]) -> tuple[Node, ...]:
    """d value / d w for each w in `wrt`: nodes of the same graph, of w's type.

    `value` is a float scalar. Raises GraphError when it is not, or does not depend on a `w`;
    NotDifferentiableError when it depends on one only through operands without a derivative.
    """
    if value.shape != ():
        raise GraphError(
            _message(
                f"the derivative of a scalar was asked for, not of {value!r}; take its sum or mean"
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
    dependent = depends_on(results, wrt)
    _check_dependence(results, wrt)
    accumulated = _Cotangents({}, {})
    for result, cotangent in zip(results, cotangents, strict=True):
        accumulated.add(result, cotangent)
    for node in reversed(topological(results)):
        if node not in dependent:
            continue
        with node.graph.at(node.location):
            ct = accumulated.of(node)
            if ct is None:
                continue
            for position, operand in enumerate(node.operands):
                if operand in dependent and operand.dtype.is_float:
                    _propagate(accumulated, node, position, ct)
    return tuple(_cotangent_of(accumulated, w) for w in wrt)


@dataclass(frozen=True, eq=False)
class _Cotangents:
    """What has reached each node: the sum of tensors, and the regions that slices of it add."""

    whole: dict[Node, Node]
    regions: dict[Node, list[Node]]

    def add(self, node: Node, contribution: Node) -> None:
        if contribution.op is movement.embed:
            self.regions.setdefault(node, []).append(contribution)
        else:
            self._add_whole(node, contribution)

    def of(self, node: Node) -> Node | None:
        """The cotangent, of which all has arrived; None where nothing has."""
        if node in self.regions:
            self._add_whole(node, sum_of_embedded(self.regions.pop(node)))
        return self.whole.get(node)

    def _add_whole(self, node: Node, contribution: Node) -> None:
        present = self.whole.get(node)
        self.whole[node] = contribution if present is None else present + contribution


def _propagate(accumulated: _Cotangents, node: Node, position: int, ct: Node) -> None:
    """Adds to the cotangent of operand number `position` what `node` hands on to it."""
    operand = node.operands[position]
    rule = node.op.vjp[0 if node.op.arity is None else position]
    if not callable(rule):
        return
    extra = {"position": position} if node.op.arity is None else {}
    contribution = rule(ct, node, *node.operands, **node.attributes, **extra)
    if contribution is not None:
        accumulated.add(operand, sum_to_shape(contribution, operand.shape))


def _cotangent_of(accumulated: _Cotangents, node: Node) -> Node:
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


def jacobian(y: Node, x: Node) -> Node:
    """All dy_i / dx_j, of shape y.shape + x.shape, for those who want to look at it.

    Elementwise functions of x have a diagonal Jacobian, which is formed from one VJP; otherwise
    there is a VJP for each element of y, of which every extent must be known. No compiler pass
    multiplies by a Jacobian. Raises as `gradients` does, and GraphError for open dimensions.
    """
    if not (y.type.is_static and x.type.is_static):
        raise GraphError(_message(f"a Jacobian of {y.type} by {x.type} needs fixed extents"))
    if is_diagonal(y, x):
        return _diagonal(diagonal_of_jacobian(y, x))
    rows = []
    flat = build.reshape(y, (y.type.size,))
    for number in range(y.type.size):
        ct = build.one_hot(y.graph.constant([number], "i64"), y.type.size, y.dtype)
        (row,) = vector_jacobian_product([flat], [build.reshape(ct, flat.shape)], [x])
        rows.append(build.expand_dims(row, 0))
    if not rows:
        return build.broadcast_to(y.graph.constant(0.0, y.dtype), (*y.shape, *x.shape))
    return build.reshape(build.concatenate(rows, 0), (*y.shape, *x.shape))


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
    ones = build.broadcast_to(y.graph.constant(1.0, y.dtype), y.shape)
    (diagonal,) = vector_jacobian_product([y], [ones], [x])
    return diagonal


def _diagonal(values: Node) -> Node:
    """The square Jacobian with `values` on its diagonal, of shape values.shape twice."""
    size = values.type.size
    index = values.graph.iota(size, "i64")
    is_diagonal = build.one_hot(index, max(size, 1), "bool")
    column = build.reshape(values, (size, 1))
    return build.reshape(build.where(is_diagonal, column, 0), (*values.shape, *values.shape))


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
    for node in reversed(topological(results)):
        for position, operand in enumerate(node.operands):
            rule = node.op.vjp[0 if node.op.arity is None else position]
            if node in stopped or isinstance(rule, Stopped):
                stopped.add(operand)
            elif node in reached and node.dtype.is_float and callable(rule):
                reached.add(operand)
    return reached | stopped


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
            elif node.dtype.is_float:
                reached.add(node)
            else:
                reason = f"{node.op.name}: its result is {node.dtype}"
    return reason


def _message(problem: str) -> str:
    return located(f"grad: {problem}", callers_location())
