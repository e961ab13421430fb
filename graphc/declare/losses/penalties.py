"""Penalties of parameters."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.declare.graphs.forms import listed
from graphc.declare.hyperparameters import check_number
from graphc.ir.arguments.given import check_tensors
from graphc.ir.functions import build
from graphc.ir.graph import Node
from graphc.ir.nodes.op import Op
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.types import is_several


def l1(parameters: Node | Sequence[Node], strength: float) -> Node:
    """strength * sum |w| over all parameters. Raises ValueError when there are none, and unless the
    strength is finite.

        loss = loss + gc.losses.l1(kernel, 1e-4)
    """
    return _penalty("l1", ops.absolute, parameters, strength)


def l2(parameters: Node | Sequence[Node], strength: float) -> Node:
    """strength * sum w^2 over all parameters. Raises as `l1` does.

    loss = loss + gc.losses.l2(model.parameters, 1e-4)
    """
    return _penalty("l2", ops.square, parameters, strength)


def _penalty(name: str, measure: Op, parameters: Node | Sequence[Node], strength: float) -> Node:
    weights = [parameters] if not is_several(parameters) else listed(parameters)
    check_tensors(name, *weights)
    terms = [build.sum(measure(w)) for w in weights]
    if not terms:
        raise ValueError("a penalty of no parameters was asked for")
    check_number("strength", strength, dtype=terms[0].dtype)
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return strength * total
