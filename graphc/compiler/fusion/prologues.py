"""Prologues: elementwise values that products compute while they pack their operands.

It comes after all merges, so that no epilogue is lost to it. A value that products read as their
operand is not stored when each of them computes it from what is stored anyway. A product that
takes an operand in several panels computes it as many times, so the estimate of tiles decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from graphc.compiler.fusion.decision import Decision, NotFused
from graphc.compiler.fusion.fuse import Fused
from graphc.compiler.fusion.grouping import (
    group_storing,
    inside_order,
    needed_for,
    too_large,
    uses_of,
)
from graphc.compiler.fusion.partition import Partition
from graphc.compiler.fusion.recompute import Recomputation
from graphc.compiler.fusion.traffic import traffic
from graphc.ir.graph import Node, Program, is_among
from graphc.ir.nodes.lowering import Scalar
from graphc.kernels.groups.contraction_candidate import contraction_candidate
from graphc.kernels.groups.group import (
    Candidate,
    ContractionCandidate,
    LoopGroup,
    MovementGroup,
    OrderedGroup,
    RegionGroup,
)
from graphc.kernels.loops.thread_blocks import element_cost
from graphc.kernels.machine import MACHINE
from graphc.kernels.nests.node_kinds import is_inline, viewed
from graphc.kernels.nests.refusal import Refusal
from graphc.kernels.products.tilings.tiling import Tilings


def fuse_prologues(program: Program, fused: Fused, tilings: Tilings) -> Fused:
    """The groups with every prologue that pays, and the decisions with what came of each.

    The estimates are those of one thread, at any number of threads: else the form of a tile, and
    with it the bits of a result, would depend on their number.
    """
    uses = uses_of(program)
    partition, recomputed = Partition(fused.groups), list(fused.recomputed)
    outcomes: dict[Node, Refusal | None] = {}
    for value in sorted(partition.stored(), key=lambda node: -node.number):
        maker, users = partition.maker(value), partition.users(value)
        if value in uses.kept or not any(_multiplies(each, value) for each in users):
            continue
        chain = None if maker is None else _chain(value, maker)
        if maker is None or chain is None:
            continue
        found = _computed_by_readers(value, chain, maker, users, tilings)
        outcomes[value] = found if isinstance(found, Refusal) else None
        if not isinstance(found, Refusal):
            partition.change(found.groups)
            recomputed.append(Recomputation(value, found.bytes_saved))
    decisions = tuple(with_outcomes(fused.decisions, outcomes))
    return Fused(partition.groups, decisions, tuple(recomputed))


def with_outcomes(
    decisions: Iterable[Decision], outcomes: dict[Node, Refusal | None]
) -> Iterator[Decision]:
    """Decisions with the present reason why a product does not compute its operand; those that
    hold no more are left out."""
    for decision in decisions:
        value = decision.producer
        reads = is_among(value, map(viewed, decision.consumer.operands))
        if decision.fused or value not in outcomes or not reads:
            yield decision
            continue
        refusal = outcomes[value]
        if refusal is not None:
            yield replace(decision, why=refusal)


@dataclass(frozen=True, eq=False)
class _Change:
    """groups: what takes the place of each that changes, if anything does."""

    groups: Mapping[Candidate, tuple[Candidate, ...]]
    bytes_saved: int


def _multiplies(group: Candidate, value: Node) -> bool:
    """Whether the product of `group` has `value` as an operand that stands in memory."""
    return (
        isinstance(group, ContractionCandidate)
        and is_among(value, map(viewed, group.contraction.operands))
        and not is_among(value, group.nodes)
    )


def _computed_by_readers(
    value: Node, chain: _Chain, maker: Candidate, users: Iterable[Candidate], tilings: Tilings
) -> _Change | Refusal:
    """What changes when all that read `value` compute it, or why they do not. users: the groups
    that read or store it."""
    changed: dict[Candidate, tuple[Candidate, ...]] = {}
    for group in users:
        if group is maker:
            made = _without(value, maker, chain)
        else:
            made = _with_chain(value, group, chain.nodes)
        if isinstance(made, Refusal):
            return made
        changed[group] = () if made is None else (made,)
    saved = sum(_bytes((group,)) - _bytes(made) for group, made in changed.items())
    if saved <= 0:
        return Refusal(NotFused.AGAIN_MOVES_NO_LESS, (value,))
    spent = sum(
        _cycles(made, tilings) - _cycles((group,), tilings) for group, made in changed.items()
    )
    gained = _cycles_to_store(value, saved) + MACHINE.meeting_cycles * (not changed[maker])
    if spent > gained:
        return Refusal(NotFused.AGAIN_COSTS_MORE, (value, spent, gained))
    return _Change(changed, saved)


@dataclass(frozen=True, eq=False)
class _Chain:
    """nodes: what makes a value from what is stored. needed: what has to be stored for it."""

    nodes: tuple[Node, ...]
    needed: tuple[Node, ...]


def _chain(value: Node, maker: Candidate) -> _Chain | None:
    """The elementwise ops of `maker` that make `value`, each as large as that; None where it is
    made of something else. Smaller values that they read, such as a row's mean, are stored for
    them."""
    inside, stored = set(maker.nodes), set(maker.outputs)
    nodes, needed, waiting = set[Node](), set[Node](), [value]
    while waiting:
        node = waiting.pop()
        if not isinstance(node.op.lowering, Scalar):
            return None
        nodes.add(node)
        for base in map(viewed, node.operands):
            if base not in inside or base in stored or base in nodes or is_inline(base):
                continue
            if base.type.size < value.type.size:
                needed.add(base)
            else:
                waiting.append(base)
    return _Chain(tuple(inside_order(nodes)), tuple(inside_order(needed)))


def _without(value: Node, maker: Candidate, chain: _Chain) -> Candidate | Refusal | None:
    """The group that makes all it did but `value`, and what the chain needs; None if nothing."""
    outputs = tuple(inside_order({*maker.outputs, *chain.needed} - {value}))
    if not outputs:
        return None
    nodes = needed_for(outputs, maker.nodes)
    if isinstance(maker, ContractionCandidate) and maker.parts.before:
        return contraction_candidate(maker.parts.storing(outputs, nodes))
    return group_storing(nodes, outputs)


def _with_chain(value: Node, group: Candidate, chain: tuple[Node, ...]) -> Candidate | Refusal:
    """The reader `group`, with the chain computed in it."""
    if isinstance(group, MovementGroup):
        return Refusal(NotFused.MOVED_FROM_MEMORY, (group.node, value))
    if isinstance(group, OrderedGroup):
        return Refusal(NotFused.READ_IN_LINES, (group.node, value))
    if isinstance(group, RegionGroup):
        return Refusal(NotFused.READ_BY_STEPS, (group.node, value))
    if isinstance(group, LoopGroup):
        nodes = inside_order({*group.nodes, *chain})
        return too_large(nodes, group.outputs) or group_storing(nodes, group.outputs)
    for node in (*group.parts.before, *group.parts.epilogue):
        if is_among(value, map(viewed, node.operands)) or is_among(node, chain):
            return Refusal(NotFused.READ_BESIDE_OPERANDS, (node, value))
    before = tuple(inside_order({*group.parts.before, *chain}))
    made = contraction_candidate(replace(group.parts, before=before))
    return made if isinstance(made, Refusal) else too_large(made.nodes, made.outputs) or made


def _bytes(groups: Iterable[Candidate]) -> int:
    return sum(traffic(group.nodes, group.outputs) for group in groups)


def _cycles_to_store(value: Node, bytes_saved: int) -> float:
    """What is gained when `value` is not stored, its arithmetic apart.

    A value that the second cache holds is stored and loaded while something else is computed; of
    one that it does not hold, the bytes that move count too.
    """
    is_near = value.type.nbytes <= MACHINE.second_cache_bytes
    far = 0.0 if is_near else bytes_saved / MACHINE.overlapped_bytes_a_cycle
    return value.type.size * MACHINE.copied_element_cycles + far


def _cycles(groups: Iterable[Candidate], tilings: Tilings) -> float:
    """Of the product, or of the arithmetic of loops; no movement is changed."""
    return sum(
        tilings.choose(group.shape).cycles
        if isinstance(group, ContractionCandidate)
        else sum(node.type.size * element_cost(node) for node in group.nodes)
        for group in groups
    )
