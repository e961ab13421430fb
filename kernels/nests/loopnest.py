"""From a loop group to its loops: which axes run outside, and in which pass each value is made.

A loop group runs over rows (the outer axes) and, for each row, one or more passes over the row's
elements (the inner axes). A reduction over the inner axes is complete after its pass, so a later
pass of the same row, which is still in cache, may use it: softmax and normalisation are one kernel.
A reduction over the outer axes accumulates while rows go by; what depends on it runs in a finishing
phase after the last row.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from graphc.ir.graph import Node
from graphc.ir.nodes.lowering import Reduction, Scalar
from graphc.ir.types import row_major_strides
from graphc.kernels.nests.access import place_in_memory
from graphc.kernels.nests.domain import Domain, common_domain
from graphc.kernels.nests.node_kinds import is_index, is_inline, viewed
from graphc.kernels.nests.refusal import NoLoops, Refusal

# Elements of a row that fill few vectors, so that starting its loop counts.
SHORT_ROW = 64
# Elements of a row that threads share where it is the only one: more than caches hold for another
# pass.
LONG_ROW = 1 << 16


class Phase(enum.Enum):
    """When a value exists: while rows go by, or after the last."""

    MAIN = "main"
    FINISH = "finish"


class Reduces(enum.Enum):
    """What a reduction runs over."""

    ROW = "row"  # the inner axes: complete after a pass
    # The outer axes, with or without the inner ones, or the only row there is, if it is long:
    # complete after the last row.
    ROWS = "rows"


@dataclass(frozen=True)
class Role:
    """Where a value is computed.

    level: for a value that varies along inner axes, the first pass that can compute it; for
        others the pass after which they exist, -1 before the first.
    """

    phase: Phase
    level: int
    inner: bool
    outer: bool


@dataclass(frozen=True, eq=False)
class LoopNest:
    """A loop group with its loops fixed.

    outer, inner: loop axes (numbers into domain.extents), slowest first.
    roles: of every node; reduces: of every reduction that has something to reduce.
    passes: how many times a row is run over.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[Node, ...]
    domain: Domain
    outer: tuple[int, ...]
    inner: tuple[int, ...]
    roles: Mapping[Node, Role]
    reduces: Mapping[Node, Reduces]
    passes: int


def plan_loops(nodes: tuple[Node, ...], outputs: Iterable[Node]) -> LoopNest | Refusal:
    """The loops that compute `nodes` in one kernel, or why there are none.

    Inner axes are tried in the order: all where rows are short and one loop can run over them,
    those that some reduction runs over, then the last axis alone, then all.
    """
    domain = common_domain(nodes)
    if isinstance(domain, Refusal):
        return domain
    refusal = Refusal(NoLoops.NONE_FOUND)
    for inner in _candidates(nodes, domain):
        planned = _plan(nodes, tuple(outputs), domain, inner)
        if isinstance(planned, LoopNest):
            return planned
        refusal = planned
    return refusal


def _candidates(nodes: tuple[Node, ...], domain: Domain) -> list[frozenset[int]]:
    everything = frozenset(range(len(domain.extents)))
    if everything and domain.extents[-1] <= SHORT_ROW and _is_one_loop(nodes, domain):
        return [everything]
    last = frozenset([max(everything)]) if everything else everything
    reduced = [reduced_axes(node, domain) for node in nodes if is_reduction(node)]
    with_last = [axes for axes in reduced if axes and axes >= last]
    others = [axes for axes in reduced if axes and not axes >= last]
    partial = sorted((axes for axes in with_last if axes != everything), key=len)
    ordered = [*partial, last, *others, *([everything] if everything in with_last else [])]
    return list(dict.fromkeys([*ordered, everything]))


def _is_one_loop(nodes: tuple[Node, ...], domain: Domain) -> bool:
    """Whether every value is computed and read element after element, so that the length of rows
    does not matter."""
    axes, inside = tuple(range(len(domain.extents))), set(nodes)
    for node in nodes:
        if not isinstance(node.op.lowering, Scalar) or _axes_that_vary(domain.axes[node]) != axes:
            return False
        for position, operand in enumerate(node.operands):
            base = viewed(operand)
            if base in inside or (is_inline(base) and not is_index(base)):
                continue
            place = place_in_memory(operand)
            in_order = place is not None and place.strides == row_major_strides(operand.type.dims)
            if not in_order or _axes_that_vary(domain.operand_axes[node, position]) != axes:
                return False
    return True


def _axes_that_vary(axes: tuple[int | None, ...]) -> tuple[int, ...]:
    return tuple(axis for axis in axes if axis is not None)


def is_reduction(node: Node) -> bool:
    return isinstance(node.op.lowering, Reduction)


def reduced_axes(node: Node, domain: Domain) -> frozenset[int]:
    """The loop axes that a reduction removes; none where the reduced extents are 1."""
    return domain.operand_span(node, 0) - domain.span(node)


def _plan(
    nodes: tuple[Node, ...], outputs: tuple[Node, ...], domain: Domain, inner: frozenset[int]
) -> LoopNest | Refusal:
    outer = frozenset(range(len(domain.extents))) - inner
    roles: dict[Node, Role] = {}
    reduces: dict[Node, Reduces] = {}
    for node in nodes:
        if is_reduction(node) and reduced_axes(node, domain):
            kind = _reduction_kind(node, domain, inner, outer)
            if isinstance(kind, Refusal):
                return kind
            reduces[node] = kind
        role = _role(node, domain, inner, outer, roles, reduces)
        if isinstance(role, Refusal):
            return role
        roles[node] = role
    for node in outputs:
        if _is_stored_repeatedly(domain.span(node), roles[node], inner, outer):
            return Refusal(NoLoops.STORED_AGAIN, (node,))
        is_scalar = roles[node].level == -1 and not domain.span(node) and node not in reduces
        if is_scalar and (inner or outer) and roles[node].phase is Phase.MAIN:
            return Refusal(NoLoops.SCALAR_OF_THREADS, (node,))
        if outer and node not in reduces:
            roles[node] = _stored_once(roles[node])
    levels = [role.level for role in roles.values() if role.inner and role.phase is Phase.MAIN]
    levels += [roles[node].level for node in reduces if domain.operand_span(node, 0) & inner]
    return LoopNest(
        nodes,
        outputs,
        domain,
        tuple(sorted(outer)),
        tuple(sorted(inner)),
        roles,
        reduces,
        max(levels, default=-1) + 1,
    )


def _is_stored_repeatedly(
    span: frozenset[int], role: Role, inner: frozenset[int], outer: frozenset[int]
) -> bool:
    """Whether the loops in which the value is stored have axes along which it does not vary."""
    return (role.inner and span & inner != inner) or (role.outer and span & outer != outer)


def _stored_once(role: Role) -> Role:
    """A value that does not vary along rows is not stored again for every row."""
    if role.outer or not role.inner:
        return role
    return Role(Phase.FINISH, role.level, inner=True, outer=False)


def _reduction_kind(
    node: Node, domain: Domain, inner: frozenset[int], outer: frozenset[int]
) -> Reduces | Refusal:
    span, reduced = domain.operand_span(node, 0), reduced_axes(node, domain)
    if outer and span & outer != outer:
        return Refusal(NoLoops.AGAIN_FOR_EVERY_ROW, (node,))
    if span & inner and span & inner != inner:
        return Refusal(NoLoops.COUNTED_TWICE, (node,))
    is_long = not outer and math.prod(domain.extents) > LONG_ROW
    if reduced == span & inner and not is_long:
        return Reduces.ROW
    if span & outer <= reduced and reduced & inner in (frozenset(), span & inner):
        return Reduces.ROWS
    return Refusal(NoLoops.NEITHER_ROW_NOR_ROWS, (node,))


def _role(
    node: Node,
    domain: Domain,
    inner: frozenset[int],
    outer: frozenset[int],
    roles: Mapping[Node, Role],
    reduces: Mapping[Node, Reduces],
) -> Role | Refusal:
    span = domain.span(node)
    is_inner, is_outer = bool(span & inner), bool(span & outer)
    level = 0 if is_inner else -1
    phase = Phase.MAIN
    for operand in map(viewed, node.operands):
        role = roles.get(operand)
        if role is None:
            continue
        if role.phase is Phase.FINISH or reduces.get(operand) is Reduces.ROWS:
            phase = Phase.FINISH
        crosses = is_inner and not role.inner
        level = max(level, role.level + 1 if crosses else role.level)
    if phase is Phase.FINISH:
        if is_outer or (is_inner and not outer):
            return Refusal(NoLoops.WAITS_FOR_LAST_ROW, (node,))
        if node in reduces:
            return Refusal(NoLoops.REDUCES_AFTER_LAST_ROW, (node,))
        return Role(Phase.FINISH, 0, is_inner, is_outer)
    if node in reduces and domain.operand_span(node, 0) & inner:
        level = max(level, 0)
    if reduces.get(node) is Reduces.ROWS:
        return Role(Phase.MAIN, level, is_inner, outer=False)
    return Role(phase, level, is_inner, is_outer)
