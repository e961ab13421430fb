"""Ops that users add: what a record needs beyond what they say, and what it does as text.

Their records are `Op`, as those of built-in ops are, with a scalar template or an expansion as
their lowering; they stand in no list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphc.ir.derive.autodiff import vector_jacobian_product
from graphc.ir.errors import GraphError
from graphc.ir.graph import Graph, Node, Program, topological
from graphc.ir.nodes.lowering import Composite, Scalar
from graphc.ir.nodes.op import Op, Vjp
from graphc.ir.ops import OPS
from graphc.ir.ops.custom import substituted
from graphc.ir.programs.custom_vjp import formal_of
from graphc.ir.programs.lower import expand_composites
from graphc.ir.types import TensorType, bind_shape

Expand = Callable[..., Node]


def is_built_in(op: Op) -> bool:
    """Whether the op is one of graphc's own."""
    return OPS.get(op.name) is op


def inferred_by_expansion(expand: Expand) -> Callable[..., TensorType]:
    """The type of what `expand` makes of operands of the given types."""

    def infer(*types: TensorType, **attributes: Any) -> TensorType:
        graph = Graph()
        operands = [graph.input(f"x{n}", t.shape, t.dtype) for n, t in enumerate(types)]
        return expand(*operands, **attributes).type

    return infer


def derived_from_expansion(expand: Expand, position: int) -> Vjp:
    """The VJP rule of operand number `position`: that of what `expand` makes.

    It is made for formal operands, so that only the way through the op counts where one operand
    depends on another.
    """

    def rule(ct: Node, result: Node, *operands: Node, **attributes: Any) -> Node | None:
        graph = result.graph
        formals = [formal_of(graph, operand.type) for operand in operands]
        expanded = expand(*formals, **attributes)
        wrt, cotangent = formals[position], formal_of(graph, ct.type)
        if not any(node is wrt for node in topological([expanded])):
            return None
        (slope,) = vector_jacobian_product([expanded], [cotangent], [wrt])
        actual = dict(zip(formals, operands, strict=True))
        made: Node = substituted(slope, {**actual, cotangent: ct})
        return made

    return rule


def content_of(node: Node, bindings: Mapping[str, int]) -> tuple[str, ...] | Program:
    """All that a compilation sees of an op that is not built in, where it is applied as in `node`:
    its template and cost, or the program of primitives that its expansion makes.

    Whatever the expansion refers to shows in that program. Raises GraphError for another lowering.
    """
    lowering = node.op.lowering
    if isinstance(lowering, Scalar):
        return (lowering.template, str(lowering.cost), str(node.op.commutative))
    if not isinstance(lowering, Composite):
        raise GraphError(f"op {node.op.name}: a template or an expansion expected as its lowering")
    graph = Graph()
    operands = tuple(
        graph.input(f"x{n}", bind_shape(x.shape, bindings), x.dtype)
        for n, x in enumerate(node.operands)
    )
    attributes = {
        name: kind.bind(node.attributes[name], bindings) if kind.bind else node.attributes[name]
        for name, kind in node.op.attributes.items()
    }
    made = lowering.expand(*operands, **attributes)
    return expand_composites(Program(node.op.name, operands, (("result", made),)))
