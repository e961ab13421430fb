"""The symbolic derivative in forward mode: what a small change of some values makes of others."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.ir.derive.autodiff import vector_jacobian_product
from graphc.ir.errors import NotDifferentiableError
from graphc.ir.functions.build import broadcast_to
from graphc.ir.graph import Node, depends_on, topological
from graphc.ir.nodes.location import callers_location, located
from graphc.ir.programs.custom_vjp import formal_of


def jacobian_vector_product(
    results: Sequence[Node], wrt: Sequence[Node], tangents: Sequence[Node]
) -> tuple[Node, ...]:
    """The change of each of `results` where each of `wrt` changes by its tangent, to first order.

    vjp(ct) = J^T ct is linear in ct, so its own VJP is J t: rules of reverse mode are enough. What
    was made for cotangents alone is dropped with them, so a program holds the values and their
    tangents, as rules of forward mode would make them. Each tangent has its w's type, each result
    that of its value. Raises as `vector_jacobian_product` does, and NotDifferentiableError for a
    derivative by `custom_vjp` that is not linear in its cotangent.
    """
    formals = [formal_of(result.graph, result.type) for result in results]
    cotangents = vector_jacobian_product(results, formals, wrt)
    below = set(topological(cotangents))
    needed = [formal for formal in formals if formal in below]
    linear = [
        (ct, tangent)
        for ct, tangent in zip(cotangents, tangents, strict=True)
        if ct in depends_on([ct], needed)
    ]
    made: dict[Node, Node] = {}
    if linear:
        moved, by = zip(*linear, strict=True)
        products = vector_jacobian_product(moved, by, needed)
        made = dict(zip(needed, products, strict=True))
    _check_linear([*made.values()], formals)
    zeros = (
        broadcast_to(result.graph.constant(0.0, result.dtype), result.shape) for result in results
    )
    return tuple(made.get(formal, zero) for formal, zero in zip(formals, zeros, strict=True))


def _check_linear(products: Sequence[Node], formals: Sequence[Node]) -> None:
    """Raises NotDifferentiableError where a tangent depends on a cotangent."""
    below = set(topological(products))
    if any(formal in below for formal in formals):
        problem = "a derivative on the way is not linear in its cotangent, as custom_vjp's must be"
        raise NotDifferentiableError(located(f"jvp: {problem}", callers_location()))
