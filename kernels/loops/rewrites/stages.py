"""A pass over a row in stages: values of vector math in loops of their own, strip by strip.

Several of them in one loop are a chain too long for a processor to find enough independent
operations in, and keep too many registers. What a stage makes for later ones stays, for a strip of
a few vectors, in the nearest cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Scalar
from graphc.kernels.loops.language.expressions import Element, Expression, Name
from graphc.kernels.loops.language.indices import Share, share_limits
from graphc.kernels.loops.language.scalar import dtype_name
from graphc.kernels.loops.language.statements import Block, LoopKind, Prefetch, Stack
from graphc.kernels.loops.rewrites.block_sums import BlockSums
from graphc.kernels.loops.rewrites.loops import Loops, whole_range
from graphc.kernels.loops.rewrites.passes import RECOMPUTE_COST, is_inner_value
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.access import Loop
from graphc.kernels.nests.loopnest import LoopNest
from graphc.kernels.nests.node_kinds import loaded_operands, viewed

# Elements of a strip: a few vectors for each loop, and no more, so that what the processor fetches
# ahead by itself is not outrun by a loop that does little with it.
STRIP = 128
# The variable that holds a strip's first element, and the one behind its last.
STRIP_START, STRIP_END = Name("strip"), Name("strip_end")
# The cost of an op from which on it is vector math.
VECTOR_MATH_COST = 12
# How far ahead operands that come from beyond the second cache are asked for: half a page.
BYTES_AHEAD = MACHINE.page_bytes // 2


@dataclass
class StagedPass:
    """The blocks of a pass's stages but the last, and the buffers of the values that they keep."""

    blocks: list[Block] = field(default_factory=list)
    kept: dict[Node, Name] = field(default_factory=dict)


@dataclass(frozen=True)
class FarOperand:
    """What is read in order from far away: the current element, of `itemsize` bytes."""

    element: Element
    itemsize: int


def stages_of_pass(
    nest: LoopNest, loops: Loops, sinks: Sequence[Node], at_hand: frozenset[Node]
) -> tuple[tuple[Node, ...], ...]:
    """For each stage but the last of a pass that brings about `sinks` the values that it leaves
    for later ones; empty where all vector math of the pass has the same operands.

    at_hand: values that earlier passes have kept.
    """
    if loops.row_size < STRIP or loops.row_loop is None:
        return ()
    needed = set(_made_for(nest, sinks, at_hand))
    mathematics = _by_operands(
        node for node in nest.nodes if node in needed and is_vector_math(node)
    )
    if len(mathematics) < 2:
        return ()
    made_in: dict[Node, int] = {}
    kept: dict[Node, int] = {}
    for stage, targets in enumerate([*mathematics, sinks]):
        _walk_stage(nest, targets, stage, at_hand, made_in, kept)
        kept.update((node, stage) for node in targets if stage < len(mathematics))
    return tuple(
        tuple(node for node in nest.nodes if kept.get(node) == stage)
        for stage in range(len(mathematics))
    )


def strip_declaration(buffer: Name, node: Node) -> Stack:
    """What makes a strip's buffer for a value."""
    return Stack(buffer, dtype_name(node.dtype), STRIP)


def wrap_in_strips(
    into: Block,
    loop: Loop,
    stages: Sequence[Block],
    prefetches: Sequence[FarOperand],
    share: Share | None,
    sums: BlockSums | None,
) -> None:
    """Appends the stages, each in a loop over a strip, in a loop over strips.

    Before:                        After:

        for j in range(1000):          for strip in range(0, 1000, 128):
            first stage                    strip_end = strip + 128, or 1000 in the last
            second stage                   for j in range(strip, strip_end):
                                               first stage
                                           for j in range(strip, strip_end):
                                               second stage

    share: of the loop's extent; all of it without. sums: what the stages accumulate in blocks.
    """
    limits = share_limits(share, loop.extent) if share else whole_range(loop)
    is_even = share is None and loop.extent % STRIP == 0
    # A block of few steps, which are added one after the other, may end inside of a strip.
    is_even &= sums is None or sums.cut.steps % STRIP == 0

    def strips(into: Block, limits: tuple[Expression, Expression]) -> None:
        _nest_strips(into, loop, stages, prefetches, limits, is_even)

    if sums is None:
        strips(into, limits)
        return
    sums.begin(into)
    sums.wrap(into, limits, strips)
    sums.end(into)


def _nest_strips(
    into: Block,
    loop: Loop,
    stages: Sequence[Block],
    prefetches: Sequence[FarOperand],
    limits: tuple[Expression, Expression],
    is_even: bool,
) -> None:
    """Appends the loop over strips between limits. is_even: whether strips are all whole."""
    strip, variable = Block(), Name(loop.variable)
    first, last = limits
    end = STRIP_START + STRIP
    if not is_even:
        strip.assign(STRIP_END, end.when(end.below(last), last))
        end = STRIP_END
    for each in prefetches:
        ahead = BYTES_AHEAD // each.itemsize
        body = Block()
        body.add(Prefetch(each.element))
        line = MACHINE.line_bytes // each.itemsize
        strip.loop(variable, (STRIP_START + ahead, STRIP_START + (ahead + STRIP), line), body)
    for stage in stages:
        strip.loop(variable, (STRIP_START, end), stage)
    into.loop(STRIP_START, (first, last, STRIP), strip, LoopKind.STRIPS)


def prefetched_operands(nest: LoopNest, loops: Loops) -> dict[Node, tuple[Node, int]]:
    """Values that the nest reads in order from beyond the caches, with a node that reads each and
    the number of its operand."""
    found: dict[Node, tuple[Node, int]] = {}
    for node, position in loaded_operands(nest.nodes):
        base = viewed(node.operands[position])
        if base.type.nbytes >= MACHINE.second_cache_bytes and loops.is_streamed(node, position):
            found.setdefault(base, (node, position))
    return found


def is_vector_math(node: Node) -> bool:
    """Whether the node takes a polynomial or more."""
    return isinstance(node.op.lowering, Scalar) and node.op.lowering.cost >= VECTOR_MATH_COST


def _by_operands(nodes: Iterable[Node]) -> list[tuple[Node, ...]]:
    """The nodes that have the same operands together: what they share is computed once."""
    together: dict[tuple[Node, ...], list[Node]] = {}
    for node in nodes:
        together.setdefault(node.operands, []).append(node)
    return [tuple(each) for each in together.values()]


def _made_for(
    nest: LoopNest, sinks: Iterable[Node], at_hand: frozenset[Node] | Mapping[Node, int]
) -> Iterator[Node]:
    """What a loop computes for its sinks, and the sinks that it computes, each once."""
    wanted = list(sinks)
    seen = set(wanted)
    while wanted:
        current = wanted.pop()
        if is_inner_value(nest, current):
            yield current
        for operand in map(viewed, current.operands):
            if operand not in seen and is_inner_value(nest, operand) and operand not in at_hand:
                seen.add(operand)
                wanted.append(operand)


def _walk_stage(
    nest: LoopNest,
    targets: Iterable[Node],
    stage: int,
    at_hand: frozenset[Node],
    made_in: dict[Node, int],
    kept: dict[Node, int],
) -> None:
    """Notes what the stage computes, and what it takes from an earlier one that computes it too,
    since that costs less."""
    wanted = list(targets)
    seen = set(wanted)
    while wanted:
        current = wanted.pop()
        if is_inner_value(nest, current):
            made_in.setdefault(current, stage)
        for operand in map(viewed, current.operands):
            if operand in seen or operand in at_hand or operand in kept:
                continue
            if not is_inner_value(nest, operand):
                continue
            seen.add(operand)
            first = made_in.get(operand, stage)
            if first < stage and _costs_much(nest, operand, at_hand, kept):
                kept[operand] = first
            else:
                wanted.append(operand)


def _costs_much(
    nest: LoopNest, node: Node, at_hand: frozenset[Node], kept: Mapping[Node, int]
) -> bool:
    cost = 0
    for made in _made_for(nest, [node], {**dict.fromkeys(at_hand, 0), **kept}):
        cost += made.op.lowering.cost if isinstance(made.op.lowering, Scalar) else 0
        if cost > RECOMPUTE_COST:
            return True
    return False
