"""Derivatives, Jacobians, and values as they are in inference: nodes made of a user's nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import overload

from graphc.declare.forms import Form, Nodes, form_of, in_form, listed
from graphc.errors import GraphError
from graphc.ir import autodiff
from graphc.ir.build import broadcast_to
from graphc.ir.given import check_tensors, shown
from graphc.ir.graph import Node, is_among, topological
from graphc.ir.inference import inference_values
from graphc.ir.location import callers_location, located
from graphc.ir.rewrite import rewrite_values
from graphc.ir.simplify import RULES
from graphc.ir.types import is_several


@overload
def grad(value: Node, wrt: Node) -> Node: ...
@overload
def grad(value: Node, wrt: Sequence[Node]) -> list[Node]: ...
def grad(value: Node, wrt: Node | Sequence[Node]) -> Node | list[Node]:
    """d value / d wrt as nodes of the same graph: of each w's type, so differentiable again.

    The value is brought to its stable form first, so 1/(1+exp(-x)) has the derivative of sigmoid.

    `value` is a float scalar; `wrt` is a node, or several, for which a list is returned. Raises
    GraphError when the value is not a scalar or does not depend on a w, NotDifferentiableError
    when it does only through what has no derivative.

        gradients = gc.grad(loss, [kernel, bias])
    """
    several = [wrt] if isinstance(wrt, Node) else wrt
    if not is_several(several):
        raise TypeError(f"grad: wrt: a tensor or several expected, not {shown(wrt)}")
    several = list(several)
    check_tensors("grad", value, *several)
    if any(is_among(value, topological(w.operands)) for w in several):
        problem = f"grad: {several[0]!r} is computed from {value!r}; the order is"
        raise GraphError(located(f"{problem} gc.grad(loss, parameters)", callers_location()))
    stable = _stable(value, several)
    # Simplification may drop what the value never depended on in truth: its derivative is zero.
    written, left = set(topological([value])), set(topological([stable]))
    dropped = {w for w in several if w in written and w not in left}
    found = iter(autodiff.gradients(stable, [w for w in several if w not in dropped]))
    result = [_zeros_like(w) if w in dropped else next(found) for w in several]
    return result[0] if isinstance(wrt, Node) else result


@overload
def inference(values: Node) -> Node: ...
@overload
def inference(values: Mapping[str, Node]) -> dict[str, Node]: ...
@overload
def inference(values: Sequence[Node]) -> list[Node]: ...
def inference(values: Nodes) -> Form:
    """A value, several, or several by name, as they are where the network is used: no dropout.

    Nodes of the same graph, in the form in which they were given; those that nothing for training
    alone goes into are the same nodes. Raises TypeError for what are no tensors.

        certain = gc.function(x, gc.inference(scores))
    """
    check_tensors("inference", *listed(values))
    found = inference_values(listed(values))
    made: Form = in_form(form_of(values), [found[node] for node in listed(values)])
    return made


def _zeros_like(node: Node) -> Node:
    return broadcast_to(node.graph.constant(0.0, node.dtype), node.shape)


def jacobian(y: Node, x: Node) -> Node:
    """All dy_i / dx_j, of shape y.shape + x.shape; every extent must be fixed.

    Raises GraphError for open dimensions, and as `grad` does.

        matrix = gc.jacobian(y, x)
    """
    check_tensors("jacobian", y, x)
    return autodiff.jacobian(_stable(y, [x]), x)


def _stable(value: Node, wrt: Sequence[Node]) -> Node:
    """`value` simplified, but for what lies below a `wrt` that is computed itself."""
    opaque = [node for node in wrt if node.operands]
    return rewrite_values([value], RULES, opaque)[value]
