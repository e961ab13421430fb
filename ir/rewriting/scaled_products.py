"""Scales and shifts behind products as part of their weights, such as those of batch normalisation
where a network is used: its mean and variance are states there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from graphc.ir.dims import Dim
from graphc.ir.functions.arrays.shaping import reshaped
from graphc.ir.graph import Node, Program, are_same, rebuild
from graphc.ir.ops import contract, leaf
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.rewriting.rewrite import SUM_ULPS, Firing, OnFire, rule

# Weights are scaled in a kernel of their own at each call, which these ops behind the product pay
# for where it has so many more rows than terms: a product of 64 rows and 576 terms lost 7 % of its
# time, one of 32,768 rows and 16 terms won 10 %.
LEAST_OPS = 3
ROWS_FOR_A_TERM = 8

_CHAINED = (ops.add, ops.subtract, ops.multiply, ops.divide)


@dataclass(frozen=True, eq=False)
class _Scaled:
    """`chain` of `views` of a product: elementwise ops, each beside a number for each column.

    views, chain: the first applied first. axis: of the chain's values, along which columns are.
    """

    product: Node
    views: tuple[Node, ...]
    chain: tuple[Node, ...]
    axis: int

    @property
    def inner(self) -> tuple[Node, ...]:
        """What nothing needs once the weights are scaled."""
        return (self.product, *self.views, *self.chain[:-1])


def fold_scales(program: Program, on_fire: OnFire | None = None) -> Program:
    """The program, in the same graph, with `scale_weights` applied where that saves.

    It does where nothing else needs the product or what lies between it and the result, as a
    derivative by the scale would; where several ops become one; and where a product has many more
    rows than its rows have terms, so that scaled weights cost little.
    """
    uses = Counter(operand for node in program.nodes for operand in node.operands)
    uses.update(program.roots)
    chosen: dict[Node, None] = {}
    inside: set[Node] = set()
    for node in reversed(program.nodes):
        found = None if node in inside else _scaled(node)
        if found is not None and _saves(found, uses):
            chosen[node] = None
            inside.update(found.chain)
    if not chosen:
        return program

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        with node.graph.at(node.location):
            made = node
            if not are_same(operands, node.operands):
                made = node.graph.apply(node.op, operands, node.attributes)
            return _fired(made, on_fire) if node in chosen else made

    changed = rebuild(program.roots, make)
    return program.map_roots(changed.__getitem__)


def _saves(found: _Scaled, uses: Counter[Node]) -> bool:
    if any(uses[node] > 1 for node in found.inner) or len(found.chain) < LEAST_OPS:
        return False
    weights = found.product.operands[1]
    if any(isinstance(extent, Dim) for extent in (*found.product.shape, *weights.shape)):
        return False
    return found.product.type.size >= ROWS_FOR_A_TERM * weights.type.size


def _fired(node: Node, on_fire: OnFire | None) -> Node:
    after = scale_weights.apply(node)
    assert after is not None
    if on_fire is not None:
        on_fire(Firing(scale_weights.name, scale_weights.equation, node, after, node.location))
    return after


@rule(*_CHAINED, ulps=SUM_ULPS)
def scale_weights(node: Node) -> Node | None:
    """(x @ k + a) * s + b = x @ (k * s) + (a * s + b) for k, a, s and b that are made of states

    a, s and b have a number for each column, or one for all. Each weight is rounded once more, and
    k * s is within the range of numbers where k and s are, as a model's are.
    """
    found = _scaled(node)
    if found is None:
        return None
    scale, shift = _scale_and_shift(found)
    x, k = found.product.operands
    if found.product.attributes["transpose_y"] and scale.rank:
        scale = reshaped(scale, (*scale.shape, 1))
    y = found.product.op(x, k * scale, **found.product.attributes)
    for view in found.views:
        y = view.graph.apply(view.op, (y,), view.attributes)
    if shift is None:
        return y
    if shift.rank:
        shift = reshaped(shift, (*shift.shape, *(1,) * (node.rank - 1 - found.axis)))
    return y + shift


def _scale_and_shift(found: _Scaled) -> tuple[Node, Node | None]:
    """s and t of s * y + t, which the chain is of y: vectors or scalars."""
    inner = found.views[-1] if found.views else found.product
    scale: Node | None = None
    shift: Node | None = None
    for step in found.chain:
        is_right = step.operands[1] is inner
        beside = _as_vector(step.operands[0 if is_right else 1])
        if step.op in (ops.multiply, ops.divide):
            first = step.graph.constant(1.0, step.dtype) if scale is None else scale
            scale = step.op(first, beside)
            shift = None if shift is None else step.op(shift, beside)
        elif step.op is ops.add:
            shift = beside if shift is None else shift + beside
        elif is_right:
            scale = -(step.graph.constant(1.0, step.dtype) if scale is None else scale)
            shift = beside if shift is None else beside - shift
        else:
            shift = -beside if shift is None else shift - beside
        inner = step
    assert scale is not None
    return scale, shift


def _as_vector(beside: Node) -> Node:
    size = beside.size
    return reshaped(beside, () if size == 1 else (size,))


# --- where there is one ------------------------------------------------------------------------


def _scaled(node: Node) -> _Scaled | None:
    """What `node` is made of; None where it is no chain with a scale behind a product of states."""
    chain: list[Node] = []
    axis: int | None = None
    inner = node
    while inner.op in _CHAINED and inner.shape == node.shape:
        step = _step(inner, axis)
        if step is None:
            break
        chain.insert(0, inner)
        inner, axis = step
    below = _product_below(inner)
    if below is None or not any(step.op in (ops.multiply, ops.divide) for step in chain):
        return None
    product, views, columns = below
    if axis is not None and axis != columns:
        return None
    return _Scaled(product, views, tuple(chain), columns)


def _step(node: Node, axis: int | None) -> tuple[Node, int | None] | None:
    """The operand of a chained op that has its shape, and the axis along which the other one has
    numbers, of states: None for an axis where it has one number."""
    x, beside = node.operands
    for value, other in _orders(node, x, beside):
        if value.shape != node.shape:
            continue
        along = _axis_of(other, node.rank)
        if along is None or (along >= 0 and axis is not None and along != axis):
            continue
        if _is_made_of_states(other):
            return value, axis if along < 0 else along
    return None


def _orders(node: Node, x: Node, y: Node) -> Iterator[tuple[Node, Node]]:
    yield x, y
    if node.op is not ops.divide:
        yield y, x


def _axis_of(beside: Node, rank: int) -> int | None:
    """The only axis of a value of `rank` axes along which `beside` has several numbers; -1 where it
    has one; None for more axes."""
    if beside.rank > rank:
        return None
    wide = [axis for axis, extent in enumerate(beside.shape) if extent != 1]
    if len(wide) > 1:
        return None
    return wide[0] + rank - beside.rank if wide else -1


def _is_made_of_states(node: Node) -> bool:
    """Whether states and constants alone decide `node`.

    Ends at the first leaf that is none: most values reach one at once, and all of a long program.
    """
    waiting, seen = [node], {node}
    while waiting:
        each = waiting.pop()
        if not each.operands and each.op not in (leaf.state, leaf.constant, leaf.extent):
            return False
        new = [operand for operand in each.operands if operand not in seen]
        seen.update(new)
        waiting += new
    return True


def _product_below(node: Node) -> tuple[Node, tuple[Node, ...], int] | None:
    """The product of which `node` is a view, these views, and the axis of its columns in `node`."""
    views: list[Node] = []
    inner = node
    while inner.op is movement.transpose or _splits_rows(inner):
        views.insert(0, inner)
        (inner,) = inner.operands
    if inner.op is not contract.matmul or inner.rank != 2:
        return None
    if not _is_made_of_states(inner.operands[1]):
        return None
    axis = 1
    for view in views:
        if view.op is movement.transpose:
            axis = view.attributes["axes"].index(axis)
        elif axis != view.operands[0].rank - 1:
            return None
        else:
            axis = view.rank - 1
    return inner, tuple(views), axis


def _splits_rows(node: Node) -> bool:
    """Whether `node` has the last axis of what it reshapes."""
    if node.op is not movement.reshape or not node.rank:
        return False
    (x,) = node.operands
    return bool(x.rank and x.shape[-1] == node.shape[-1])
