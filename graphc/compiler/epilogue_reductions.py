"""Reductions over the rows of a product that its epilogue begins.

A bias gradient is a sum over rows of what a product's epilogue makes, the norm of a weight gradient
a sum over all of it. Such a reduction is cut in two: the epilogue reduces blocks of rows while the
tile is in cache, and an ordinary kernel reduces the blocks. The values that are summed are then not
read again, and where nothing else needs them never stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from graphc.compiler.fuse import Fused, fuse
from graphc.compiler.grouping import computed_nodes
from graphc.ir.graph import Node, Program, depends_on, rebuild
from graphc.ir.op import Reduction, Scalar
from graphc.kernels.group import ContractionGroup, is_contraction, viewed
from graphc.kernels.row_blocks import in_blocks


def fuse_with_reductions(program: Program) -> tuple[Program, Fused]:
    """The program with reductions cut in two where an epilogue takes the first part, and its groups.

    Where fusion gives the first part to no epilogue after all, it is tried again without the cut.
    """
    chosen = [node for node in computed_nodes(program) if _ends_an_epilogue(node)]
    while True:
        cut, parts = _cut(program, chosen)
        made = fuse(cut)
        begun = {
            node
            for group in made.groups
            if isinstance(group, ContractionGroup)
            for node in group.reductions
        }
        taken = [node for node in chosen if parts[node] in begun]
        if len(taken) == len(chosen):
            return cut, made
        chosen = taken


def _cut(program: Program, chosen: Collection[Node]) -> tuple[Program, dict[Node, Node]]:
    """The program with the chosen reductions cut, and the first part of each."""
    parts: dict[Node, Node] = {}
    if not chosen:
        return program, parts

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        made = node
        if operands != node.operands:
            with node.graph.at(node.location):
                made = node.graph.apply(node.op, operands, node.attributes)
        if node not in chosen:
            return made
        whole = in_blocks(made)
        assert whole is not None
        parts[node] = viewed(whole.operands[0])
        return whole

    made = rebuild(program.roots, make)
    return program.map_roots(made.__getitem__), parts


def _ends_an_epilogue(node: Node) -> bool:
    """Whether an epilogue could end in the reduction `node` in blocks of rows."""
    if not isinstance(node.op.lowering, Reduction) or in_blocks(node) is None:
        return False
    reached = list(_elementwise_sources(node.operands[0]))
    return any(
        is_contraction(source) and not _needed_by_others(source, reached) for source in reached
    )


def _elementwise_sources(value: Node) -> Iterator[Node]:
    """What `value` is made of by ops on elements of its own shape."""
    stack, seen = [value], {value}
    while stack:
        node = stack.pop()
        if not isinstance(node.op.lowering, Scalar) or node.shape != value.shape:
            yield node
            continue
        found = [base for base in map(viewed, node.operands) if base not in seen]
        seen.update(found)
        stack += found


def _needed_by_others(product: Node, sources: list[Node]) -> bool:
    """Whether other sources depend on `product`, which they would wait for in its own kernel."""
    later = [source for source in sources if source.number > product.number]
    return not depends_on(later, [product]).isdisjoint(later)
