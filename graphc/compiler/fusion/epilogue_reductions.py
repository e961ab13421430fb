"""Reductions over the rows of a product that its epilogue begins.

A bias gradient is a sum over rows of what a product's epilogue makes, the norm of a weight gradient
a sum over all of it. Such a reduction is cut in two: the epilogue reduces blocks of rows while the
tile is in cache, and an ordinary kernel reduces the blocks. The values that are summed are then not
read again, and where nothing else needs them never stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graphc.compiler.fusion.fuse import Fused, fuse
from graphc.compiler.fusion.grouping import Uses, uses_of
from graphc.ir.graph import Node, Program, are_same, is_among, rebuild
from graphc.ir.nodes.lowering import Reduction, Scalar
from graphc.kernels.groups.group import ContractionCandidate
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.node_kinds import is_contraction, reads_memory, viewed
from graphc.kernels.nests.row_blocks import in_blocks, reduced_in_blocks


@dataclass(frozen=True, eq=False)
class Cut:
    """A program whose epilogues begin reductions.

    became: what each value of the program before is in this one; of a reduction that is cut in
        two the first part.
    """

    program: Program
    became: Mapping[Node, Node]


def fuse_with_reductions(program: Program) -> tuple[Cut, Fused]:
    """The program with reductions cut where an epilogue takes the first part, and its groups.

    Where fusion gives the first part to no epilogue after all, or to one that does not gain by it,
    it is tried again without the cut.
    """
    uses = uses_of(program)
    chosen = {
        node
        for node in uses.readers
        if _ends_an_epilogue(node) and not _never_pays(node.operands[0], uses)
    }
    while True:
        cut = _cut(program, chosen)
        made = fuse(cut.program)
        begun = {
            node
            for group in made.groups
            if isinstance(group, ContractionCandidate)
            for node in group.parts.reductions
            if _pays(node, group)
        }
        taken = {node for node in chosen if cut.became[node] in begun}
        if len(taken) == len(chosen):
            return cut, made
        chosen = taken


def _pays(reduction: Node, group: ContractionCandidate) -> bool:
    value = reduced_in_blocks(reduction)
    assert value is not None
    return not is_among(value, group.outputs) or not _is_near(value)


def _is_near(value: Node) -> bool:
    """Whether a kernel of its own would find the value in the second cache.

    It then adds up what is stored anyway faster than an epilogue, which loads and stores a partial
    result at every row.
    """
    return value.type.nbytes <= MACHINE.second_cache_bytes


def _never_pays(value: Node, uses: Uses) -> bool:
    """Whether a reduced value is stored however groups are made, and the second cache holds it."""
    if viewed(value) is not value or not _is_near(value):
        return False
    readers = uses.readers.get(value, ())
    return value in uses.kept or any(map(reads_memory, readers))


def _cut(program: Program, chosen: set[Node]) -> Cut:
    parts: dict[Node, Node] = {}

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        made = node
        if not are_same(operands, node.operands):
            with node.graph.at(node.location):
                made = node.graph.apply(node.op, operands, node.attributes)
        if node not in chosen:
            return made
        whole = in_blocks(made)
        assert whole is not None
        parts[node] = viewed(whole.operands[0])
        return whole

    made = rebuild(program.roots, make)
    became = {node: parts.get(node, made.get(node, node)) for node in program.nodes}
    return Cut(program.map_roots(made.__getitem__), became)


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
    stack = [source for source in sources if source.number > product.number]
    seen = set(stack)
    while stack:
        for operand in stack.pop().operands:
            if operand is product:
                return True
            # What a node depends on has a lower number.
            if operand.number > product.number and operand not in seen:
                seen.add(operand)
                stack.append(operand)
    return False
