"""Epilogues that reduce whole rows of a product: softmax, its loss and its gradient.

It comes after all merges. A loop group that reads a product's result row by row is cut in two: what
needs a row alone is computed in the product's kernel, while the row is in the first cache, and what
needs all rows, such as the gradient of a bias, stays in kernels of its own. The result need then
not be stored, and threads that share the product's rows need not meet before its softmax.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from graphc.compiler.fusion.decision import Decision, NotFused, RowsInCache
from graphc.compiler.fusion.fuse import Fused
from graphc.compiler.fusion.grouping import (
    group_storing,
    inside_order,
    needed_for,
    too_large,
    uses_of,
)
from graphc.compiler.fusion.partition import Partition
from graphc.compiler.fusion.traffic import traffic
from graphc.ir.graph import Node, Program, is_among
from graphc.kernels.groups.contraction_candidate import contraction_candidate
from graphc.kernels.groups.group import Candidate, ContractionCandidate, LoopGroup
from graphc.kernels.machine import MACHINE, lanes_of
from graphc.kernels.nests.loopnest import Reduces
from graphc.kernels.nests.node_kinds import external_operands, viewed
from graphc.kernels.nests.refusal import Refusal
from graphc.kernels.products.product_nodes import ProductNodes
from graphc.kernels.products.tilings.tiling import Tilings, fits_registers

ROW_CYCLES = 15  # of a row whose reductions need no loop of their own


def fuse_row_epilogues(program: Program, fused: Fused, tilings: Tilings) -> Fused:
    """The groups with every epilogue of whole rows that pays, and the decisions.

    The estimates are those of one thread, at any number of threads: results depend on them.
    """
    kept = uses_of(program).kept
    partition, decisions = Partition(fused.groups), list(fused.decisions)
    pairs = [
        (maker, reader)
        for maker in partition.groups
        if isinstance(maker, ContractionCandidate)
        for reader in partition.readers_of(maker)
        if isinstance(reader, LoopGroup) and _are_rows(maker, reader)
    ]
    for maker, reader in pairs:
        if maker not in partition or reader not in partition:
            continue
        found = _changed(maker, reader, partition, kept, tilings)
        parts = (frozenset(maker.nodes), frozenset(reader.nodes))
        passed = _passed(maker, reader)[0]
        first = next(n for n in reader.nodes if is_among(passed, map(viewed, n.operands)))
        decisions = [each for each in decisions if each.fused or each.parts != parts]
        if isinstance(found, Refusal):
            decisions.append(Decision(passed, first, 0, found, parts))
            continue
        partition.change({maker: found.made, reader: ()})
        decisions, undone = _with_parts_of(decisions, found.made)
        saved = found.bytes_saved + undone
        parts = (parts[0], parts[1] & frozenset(found.made[0].nodes))
        decisions.append(Decision(passed, first, saved, found.why, parts))
    fusions = [each for each in decisions if each.fused]
    refusals = [each for each in decisions if not each.fused]
    return replace(fused, groups=partition.groups, decisions=(*fusions, *refusals))


def _with_parts_of(
    decisions: Iterable[Decision], made: tuple[Candidate, ...]
) -> tuple[list[Decision], int]:
    """The decisions when `made` stand in the place of fewer groups, and the bytes of the fusions
    that are undone by it."""
    result: list[Decision] = []
    undone = 0
    groups = [frozenset(group.nodes) for group in made]
    for each in decisions:
        makers = [nodes for nodes in groups if each.producer in nodes]
        readers = [nodes for nodes in groups if each.consumer in nodes]
        if not each.fused or not makers or not readers:
            result.append(each)
        elif makers == readers:
            one, other = (part & makers[0] for part in each.parts)
            result.append(replace(each, parts=(one, other)))
        else:
            undone += each.bytes_saved
            result.append(replace(each, why=Refusal(NotFused.ALL_ROWS, (each.consumer,))))
    return result, undone


@dataclass(frozen=True, eq=False)
class _Change:
    """made: the groups in the place of the two, the product's first."""

    made: tuple[Candidate, ...]
    bytes_saved: int
    why: RowsInCache


def _passed(maker: ContractionCandidate, reader: LoopGroup) -> list[Node]:
    """The values of `maker` that `reader` reads."""
    read = set(external_operands(reader.nodes))
    return [node for node in maker.outputs if node in read]


def _are_rows(maker: ContractionCandidate, reader: LoopGroup) -> bool:
    """Whether `reader` reduces rows of what the product `maker` makes."""
    if not any(node.shape == maker.contraction.shape for node in _passed(maker, reader)):
        return False
    return Reduces.ROW in reader.nest.reduces.values()


def _changed(
    maker: ContractionCandidate,
    reader: LoopGroup,
    partition: Partition[Candidate],
    kept: frozenset[Node],
    tilings: Tilings,
) -> _Change | Refusal:
    """The groups with the rows of `reader` computed by `maker`, or why they are not."""
    if not maker.shape.may_take_whole_rows:
        return Refusal(NotFused.REDUCES_ALREADY, (maker.contraction,))
    between = _between(maker, reader, partition)
    if between is not None:
        return Refusal(NotFused.KERNEL_BETWEEN, (between.nodes[0],))
    rows, rest = _split(reader)
    inside = inside_order({maker.contraction, *maker.parts.epilogue, *rows})
    read = {base for node in rest for base in map(viewed, node.operands)} | kept
    read |= {node for node in inside if {*partition.readers(node)} - {maker, reader}}
    candidates = {*maker.outputs, *reader.outputs, *rows}
    outputs = tuple(node for node in inside if node in candidates and node in read)
    epilogue = tuple(node for node in inside if node is not maker.contraction)
    made = contraction_candidate(ProductNodes(maker.contraction, epilogue, outputs))
    if isinstance(made, Refusal):
        return made
    finishing = _finishing_groups(rest, reader.outputs)
    if isinstance(finishing, Refusal):
        return finishing
    refusal = too_large(made.nodes, outputs)
    if refusal is not None:
        return refusal
    after: tuple[Candidate, ...] = (made, *finishing)
    saved = _bytes((maker, reader)) - _bytes(after)
    refusal = _does_not_pay(maker, made, len(finishing), saved, tilings)
    if refusal is not None:
        return refusal
    alone = tuple(node for group in finishing for node in group.outputs)
    return _Change(after, saved, RowsInCache(maker.contraction, alone))


def _between(
    maker: Candidate, reader: Candidate, partition: Partition[Candidate]
) -> Candidate | None:
    """A group that reads what `maker` makes, directly or not, and makes what `reader` reads."""
    reached, waiting = {maker: None}, [maker]
    while waiting:
        later = [each for each in partition.readers_of(waiting.pop()) if each not in reached]
        reached |= dict.fromkeys(later)
        waiting += [group for group in later if group is not reader]
    between = (group for group in reached if group is not maker and group is not reader)
    read = set(external_operands(reader.nodes))
    return next((each for each in between if not read.isdisjoint(each.outputs)), None)


def _split(reader: LoopGroup) -> tuple[set[Node], tuple[Node, ...]]:
    """The nodes that need a row alone, and those that need all rows."""
    rest: dict[Node, None] = {}
    for node in reader.nodes:
        if reader.nest.reduces.get(node) is Reduces.ROWS or any(
            base in rest for base in map(viewed, node.operands)
        ):
            rest[node] = None
    return {node for node in reader.nodes if node not in rest}, tuple(rest)


def _finishing_groups(
    rest: tuple[Node, ...], outputs: tuple[Node, ...]
) -> tuple[LoopGroup, ...] | Refusal:
    """What needs all rows, as a kernel for each part that depends on no other."""
    parts: list[set[Node]] = []
    for node in rest:
        joined = {node}
        for part in [p for p in parts if not p.isdisjoint(map(viewed, node.operands))]:
            parts.remove(part)
            joined |= part
        parts.append(joined)
    groups: list[LoopGroup] = []
    for part in parts:
        wanted = tuple(node for node in outputs if node in part)
        group = group_storing(needed_for(wanted, tuple(inside_order(part))), wanted)
        if not isinstance(group, LoopGroup):
            assert isinstance(group, Refusal)
            return group
        groups.append(group)
    return tuple(groups)


def _does_not_pay(
    maker: ContractionCandidate,
    made: ContractionCandidate,
    finishing: int,
    bytes_saved: int,
    tilings: Tilings,
) -> Refusal | None:
    product = maker.contraction
    rows, columns = product.type.dims
    lanes = lanes_of(tilings.vector_bits, product.dtype.itemsize)
    if rows < lanes:
        return Refusal(NotFused.ROWS_FILL_NO_VECTOR, (rows, lanes))
    if not fits_registers(made.shape, tilings.vector_bits):
        return Refusal(NotFused.COLUMNS_FIT_NO_TILE, (columns,))
    if bytes_saved <= 0:
        return Refusal(NotFused.NOTHING_SAVED)
    spent = tilings.choose(made.shape).cycles - tilings.choose(maker.shape).cycles
    spent += MACHINE.joining_cycles * finishing
    gained = MACHINE.meeting_cycles + ROW_CYCLES * rows
    if spent > gained:
        return Refusal(NotFused.TILES_COST_MORE, (spent, gained))
    return None


def _bytes(groups: Iterable[Candidate]) -> int:
    return sum(traffic(group.nodes, group.outputs) for group in groups)
