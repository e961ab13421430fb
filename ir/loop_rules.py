"""Loops made cheaper: fewer of them, and less in each step. Each function's docstring begins with
its equation."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphc.ir import build
from graphc.ir.batching import NoBatchingRuleError, batched
from graphc.ir.custom_vjp import formal_of
from graphc.ir.graph import Node, Program, are_same, depends_on, rebuild, topological
from graphc.ir.loops import VALUE, apply_scan, body_of, copy_values, unused
from graphc.ir.lower import applied
from graphc.ir.lowering import Contract, LoopIndex, Region, Result, View
from graphc.ir.match import either_order
from graphc.ir.ops import contract, leaf, movement, reduce, region
from graphc.ir.ops import elementwise as ops
from graphc.ir.rewrite import Firing, OnFire
from graphc.ir.simplify import simplify


@dataclass(frozen=True, eq=False)
class Loop:
    """A loop under change.

    carries, slices, values: the operands in each role, with the input of the body that each is.
    nexts: of each carry. stacked: what the body stacks. results: what stands for each result of the
    loop as it was; None for those that are results still, whose places are in `places`.
    """

    node: Node
    carries: tuple[tuple[Node, Node], ...]
    slices: tuple[tuple[Node, Node], ...]
    values: tuple[tuple[Node, Node], ...]
    nexts: tuple[Node, ...]
    stacked: tuple[Node, ...]

    @classmethod
    def of(cls, node: Node) -> Loop:
        body: Program = node.attributes["body"]
        pairs = tuple(zip(node.operands, body.inputs, strict=True))
        carries, slices = node.attributes["carries"], node.attributes["slices"]
        made = tuple(value for _, value in body.outputs)
        behind = carries + slices
        return cls(
            node, pairs[:carries], pairs[carries:behind], pairs[behind:],
            made[:carries], made[carries:],
        )  # fmt: skip

    @property
    def roots(self) -> tuple[Node, ...]:
        return (*self.nexts, *self.stacked)

    @property
    def graph(self) -> Any:
        return self.node.attributes["body"].graph

    @property
    def length(self) -> Any:
        return self.node.attributes["length"]

    def applied(self) -> Node:
        """The loop as a node."""
        pairs = (*self.carries, *self.slices, *self.values)
        attributes = self.node.attributes
        with self.node.graph.at(self.node.location):
            return apply_scan(
                body_of([x for _, x in pairs], self.nexts, self.stacked),
                [operand for operand, _ in pairs],
                len(self.carries),
                len(self.slices),
                self.length,
                attributes["reverse"],
                attributes["recompute"],
            )

    def fixed(self) -> set[Node]:
        """The values of the body that are the same in all steps."""
        moving = [x for _, x in (*self.carries, *self.slices)]
        return set(topological(self.roots)) - depends_on(self.roots, moving)

    def free(self) -> set[Node]:
        """The values of the body that depend on no step before."""
        return set(topological(self.roots)) - depends_on(self.roots, [x for _, x in self.carries])


def simplify_loops(program: Program, on_fire: OnFire | None = None) -> Program:
    """The program with its loops simplified, inner ones first.

    Loops that differ in what they stack become one, values that nothing reads are gone, and
    products leave the loops. The rest of the program is as it was.
    """
    if not any(isinstance(node.op.lowering, Region) for node in program.nodes):
        return program

    def within(body: Program) -> Program:
        return simplify_loops(simplify(body, on_fire), on_fire)

    made = rebuild(program.roots, lambda node, operands: applied(node, operands, within))
    program = program.map_roots(made.__getitem__)
    program = _merged(program, on_fire)
    for change in (without_unread, without_steps, product_before, product_after, sum_after):
        program = _changed(program, change, on_fire)
    return _changed(program, without_unread, on_fire)


# A loop and the results of it that are read -> what stands for each of these, None for no change.
Change = Callable[[Loop, Sequence[int]], dict[int, Node] | None]


def _changed(program: Program, change: Change, on_fire: OnFire | None) -> Program:
    read: dict[Node, list[int]] = {}
    for node in program.nodes:
        if isinstance(node.op.lowering, Result):
            read.setdefault(node.operands[0], []).append(node.attributes["number"])
    made: dict[Node, dict[int, Node]] = {}

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        if isinstance(node.op.lowering, Result):
            found = made.get(node.operands[0])
            if found is not None:
                return found[node.attributes["number"]]
        after = applied(node, operands)
        if isinstance(node.op.lowering, Region):
            with node.graph.at(node.location):
                found = change(Loop.of(after), sorted(read[node]))
            if found is not None:
                made[node] = found
                _fire(change, after, found, on_fire)
        return after

    changed = rebuild(program.roots, make)
    return program.map_roots(changed.__getitem__)


def _fire(change: Change, before: Node, after: dict[int, Node], on_fire: OnFire | None) -> None:
    if on_fire is not None:
        equation = (inspect.getdoc(change) or "").splitlines()[0]
        first = next(iter(after.values()))
        on_fire(Firing(change.__name__, equation, before, first, before.location))


# --- fewer loops -----------------------------------------------------------------------------


def _merged(program: Program, on_fire: OnFire | None) -> Program:
    """The program in which loops of the same steps, which stack other values, are one."""
    loops = [node for node in program.nodes if isinstance(node.op.lowering, Region)]
    chosen: dict[Node, Node] = {}
    places: dict[Node, dict[int, int]] = {}
    for node in loops:
        for other in dict.fromkeys(chosen.values()):
            found = _stacking_both(other, node)
            if found is not None:
                merged, places[node] = found
                chosen = {each: merged if x is other else x for each, x in chosen.items()}
                chosen[node] = merged
                break
        else:
            chosen[node] = node
    if len(set(chosen.values())) == len(loops):
        return program

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        with node.graph.at(node.location):
            if isinstance(node.op.lowering, Region):
                return node.graph.apply(node.op, operands, chosen[node].attributes)
            if isinstance(node.op.lowering, Result) and node.operands[0] in places:
                number = places[node.operands[0]][node.attributes["number"]]
                return region.result(operands[0], number=number)
        return applied(node, operands)

    made = rebuild(program.roots, make)
    return program.map_roots(made.__getitem__)


def _stacking_both(one: Node, other: Node) -> tuple[Node, dict[int, int]] | None:
    """A loop that stacks what both do, the first one's first, and where the other's results are in
    it; None where their steps differ."""
    fixed = ("carries", "slices", "length", "reverse", "recompute")
    if not are_same(one.operands, other.operands):
        return None
    if any(one.attributes[name] != other.attributes[name] for name in fixed):
        return None
    first, second = Loop.of(one), Loop.of(other)
    inputs = one.attributes["body"].inputs
    given = dict(zip(other.attributes["body"].inputs, inputs, strict=True))
    if any(x.type != y.type for x, y in given.items()):
        return None
    copied = copy_values(second.roots, given, first.graph)
    count = len(first.carries)
    if not are_same(copied[:count], first.nexts):
        return None
    stacked = list(dict.fromkeys([*first.stacked, *copied[count:]]))
    place = {value: number for number, value in enumerate(stacked, count)}
    numbers = {k: k for k in range(count)}
    numbers |= {k: place[value] for k, value in enumerate(copied[count:], count)}
    # A value that the first loop stacks twice keeps both places.
    if len(set(first.stacked)) < len(first.stacked):
        return None
    return replace(first, stacked=tuple(stacked)).applied(), numbers


def without_steps(loop: Loop, read: Sequence[int]) -> dict[int, Node] | None:
    """scan of no step = the carry, scan of one step = its body"""
    if loop.length not in (0, 1):
        return None
    outer = loop.node.graph
    count = len(loop.carries)
    if loop.length == 0:
        made: dict[int, Node] = {k: operand for k, (operand, _) in enumerate(loop.carries)}
        for k, value in enumerate(loop.stacked, count):
            zero = outer.constant(0, value.dtype)
            made[k] = build.broadcast_to(zero, (0, *value.shape))
        return {k: made[k] for k in read}
    given = {x: operand for operand, x in (*loop.carries, *loop.values)}
    given |= {x: build.reshape(operand, x.shape) for operand, x in loop.slices}
    values = copy_values(loop.roots, given, outer)
    return {
        k: values[k] if k < count else build.reshape(values[k], (1, *values[k].shape)) for k in read
    }


def without_unread(loop: Loop, read: Sequence[int]) -> dict[int, Node] | None:
    """scan of (f, g) = scan of f where nothing reads what g makes"""
    count = len(loop.carries)
    inputs = [x for _, x in loop.carries]
    kept = {k for k in read if k < count}
    stacked = [k for k in read if k >= count]
    while True:
        roots = [*(loop.nexts[k] for k in kept), *(loop.stacked[k - count] for k in stacked)]
        below = set(topological(roots))
        more = {k for k, x in enumerate(inputs) if x in below} | kept
        if more == kept:
            break
        kept = more
    if not kept and not stacked:
        return None
    order = sorted(kept) or [0]
    needed = {x for _, x in (*loop.slices, *loop.values) if x in below}
    made = replace(
        loop,
        carries=tuple(loop.carries[k] for k in order),
        slices=tuple(pair for pair in loop.slices if pair[1] in needed),
        values=tuple(pair for pair in loop.values if pair[1] in needed),
        nexts=tuple(loop.nexts[k] for k in order) if kept else (inputs[0],),
        stacked=tuple(loop.stacked[k - count] for k in stacked),
    )
    size = (len(made.carries), len(made.slices), len(made.values), len(made.stacked))
    if size == (count, len(loop.slices), len(loop.values), len(loop.stacked)):
        return None
    node = made.applied()
    places = {k: place for place, k in enumerate(order)}
    places |= {k: place for place, k in enumerate(stacked, len(order))}
    return {k: region.result(node, number=places[k]) for k in read}


# --- products leave loops --------------------------------------------------------------------


def product_before(loop: Loop, read: Sequence[int]) -> dict[int, Node] | None:
    """scan of f(c, x_t w) = scan of f(c, y_t) with y = x w, one product of all steps"""
    free, fixed = loop.free(), loop.fixed()
    roots = set(loop.roots)
    users: dict[Node, list[Node]] = {}
    for node in topological(loop.roots):
        for operand in node.operands:
            users.setdefault(operand, []).append(node)
    inputs = {x for _, x in (*loop.slices, *loop.values)}

    def leaves(node: Node) -> bool:
        """Whether something that is made anew in each step reads the value."""
        return node in roots or any(user not in free for user in users.get(node, ()))

    chosen = [
        node
        for node in topological(loop.roots)
        if node in free
        and node not in inputs
        and leaves(node)
        and (_is_costly(node) if node in fixed else _has_product(node, fixed))
        and not (node in roots and node not in users)
    ]
    moved = [(node, _of_all_steps(loop, node, node in fixed)) for node in chosen]
    found = [(node, value) for node, value in moved if value is not None]
    if not found:
        return None
    graph = loop.graph
    given: dict[Node, Node] = {x: x for _, x in (*loop.carries, *loop.slices, *loop.values)}
    slices, values = list(loop.slices), list(loop.values)
    for node, value in found:
        names = [x.name for x in given.values()]
        made = graph.input(unused({*names, *graph.inputs}, VALUE), node.shape, node.dtype)
        given[node] = made
        (values if node in fixed else slices).append((value, made))
    changed = copy_values(loop.roots, given, graph)
    count = len(loop.carries)
    after = replace(
        loop,
        slices=tuple(slices),
        values=tuple(values),
        nexts=tuple(changed[:count]),
        stacked=tuple(changed[count:]),
    ).applied()
    return {k: region.result(after, number=k) for k in read}


def _is_costly(node: Node) -> bool:
    """Whether a value that is the same in all steps is better made before them."""
    if not node.operands or isinstance(node.op.lowering, View | LoopIndex):
        return False
    return node.rank > 0


def _has_product(node: Node, fixed: set[Node]) -> bool:
    """Whether a product by a value that is the same in all steps is below."""
    return any(_is_product_by_fixed(each, fixed) for each in topological([node]))


def _is_product_by_fixed(node: Node, fixed: set[Node]) -> bool:
    if not isinstance(node.op.lowering, Contract) or node.op is not contract.matmul:
        return False
    x, w = node.operands
    return w in fixed and w.rank == 2 and x not in fixed and not node.attributes["transpose_x"]


def _of_all_steps(loop: Loop, node: Node, is_fixed: bool) -> Node | None:
    """The value outside of the loop: once where it is the same in all steps, else stacked. None
    where no rule says how."""
    outer = loop.node.graph
    fixed = loop.fixed()
    below = topological([node])
    given = {x: operand for operand, x in loop.values}
    if is_fixed:
        return copy_values([node], given, outer)[0]
    if any(isinstance(each.op.lowering, Region) for each in below):
        return None
    stacks = {x: operand for operand, x in loop.slices}
    made: dict[Node, Node] = {}
    for each in below:
        if each in fixed:
            made[each] = copy_values([each], given, outer)[0]
        elif each in stacks:
            made[each] = stacks[each]
        elif _is_product_by_fixed(each, fixed):
            made[each] = _one_product(each, made[each.operands[0]], made[each.operands[1]])
        else:
            formals = {x: formal_of(outer, x.type) for x in each.operands if x not in fixed}
            operands = [formals[x] if x in formals else made[x] for x in each.operands]
            step = outer.apply(each.op, operands, each.attributes)
            try:
                of_all = {formal: made[x] for x, formal in formals.items()}
                made[each] = batched([step], of_all)[0]
            except NoBatchingRuleError:
                return None
    return made[node]


def _one_product(product: Node, x: Node, w: Node) -> Node:
    """The product of the rows of all steps at once."""
    rows = build.reshape(x, (-1, x.shape[-1]))
    made = contract.matmul(rows, w, **product.attributes)
    return build.reshape(made, (*x.shape[:-1], made.shape[-1]))


def product_after(loop: Loop, read: Sequence[int]) -> dict[int, Node] | None:
    """scan of a_t w, stacked = (scan of a_t, stacked) w, one product of all steps"""
    fixed = loop.fixed()
    count = len(loop.carries)
    operand_of = {x: operand for operand, x in loop.values}
    needed = set(topological(loop.nexts))
    chosen = {
        k
        for k, value in enumerate(loop.stacked, count)
        if _is_product_by_fixed(value, fixed)
        and value not in needed
        and value.operands[1] in operand_of
    }
    if not chosen:
        return None
    stacked = [
        value.operands[0] if k in chosen else value for k, value in enumerate(loop.stacked, count)
    ]
    after = replace(loop, stacked=tuple(stacked)).applied()
    made = {}
    for k in read:
        made[k] = region.result(after, number=k)
        if k in chosen:
            product = loop.stacked[k - count]
            made[k] = _one_product(product, made[k], operand_of[product.operands[1]])
    return made


def sum_after(loop: Loop, read: Sequence[int]) -> dict[int, Node] | None:
    """scan of s + a_t^T b_t = s + A^T B, scan of s + sum(a_t) = s + sum(A), rows of all steps"""
    count = len(loop.carries)
    terms = {k: _term_of(loop, k) for k in range(count)}
    sums = {k: term for k, term in terms.items() if term is not None}
    if not sums:
        return None
    stack_of = {x: operand for operand, x in loop.slices}
    read_already = {*stack_of, *loop.stacked}
    needed = [value for term in sums.values() for value in _stacked_of(term)]
    stacked = [value for value in dict.fromkeys(needed) if value not in read_already]
    kept = [k for k in range(count) if k not in sums]
    carries = [loop.carries[k] for k in kept]
    nexts = [loop.nexts[k] for k in kept]
    if not kept:
        operand, x = loop.carries[0]
        carries, nexts = [(operand, x)], [x]
    after = replace(
        loop,
        carries=tuple(carries),
        nexts=tuple(nexts),
        stacked=(*loop.stacked, *stacked),
    ).applied()
    all_stacked = (*loop.stacked, *stacked)
    places = {value: number for number, value in enumerate(all_stacked, len(carries))}

    def of_all(value: Node) -> Node:
        if value in stack_of:
            return stack_of[value]
        return region.result(after, number=places[value])

    made: dict[int, Node] = {}
    for k in read:
        if k in sums:
            start, total = loop.carries[k][0], _total(sums[k], of_all)
            made[k] = total if _is_zero(start) else start + total
        else:
            place = kept.index(k) if k < count else len(carries) + k - count
            made[k] = region.result(after, number=place)
    return made


def _term_of(loop: Loop, number: int) -> Node | None:
    """What each step adds to a carry that is read for nothing else: a product of rows of the step
    or a sum over them; None for another carry."""
    _, carry = loop.carries[number]
    uses = Counter(x for node in topological(loop.roots) for x in node.operands)
    uses.update(loop.roots)
    after = loop.nexts[number]
    if after.op is not ops.add or uses[carry] != 1 or uses[after] != 1:
        return None
    for one, term in either_order(after):
        if one is carry and _stacked_of(term):
            return term
    return None


def _stacked_of(term: Node) -> tuple[Node, ...]:
    """The values of a step whose rows make the term; none where it is made otherwise."""
    if term.op is contract.matmul and term.rank == 2 and term.attributes["transpose_x"]:
        return () if term.attributes["transpose_y"] else term.operands
    inner = _unshaped(term)
    if inner.op is reduce.sum_ and 0 in inner.attributes["axes"]:
        return inner.operands
    return ()


def _unshaped(term: Node) -> Node:
    return term.operands[0] if term.op is movement.reshape else term


def _total(term: Node, of_all: Callable[[Node], Node]) -> Node:
    """The sum of the terms of all steps."""
    if term.op is contract.matmul:
        x, y = (of_all(operand) for operand in term.operands)
        rows = [build.reshape(each, (-1, each.shape[-1])) for each in (x, y)]
        return contract.matmul(*rows, **term.attributes)
    inner = _unshaped(term)
    axes = (0, *(axis + 1 for axis in inner.attributes["axes"]))
    return build.reshape(reduce.sum_(of_all(inner.operands[0]), axes=axes), term.shape)


def _is_zero(value: Node) -> bool:
    while isinstance(value.op.lowering, View):
        value = value.operands[0]
    return value.op is leaf.constant and not value.attributes["value"].array.any()
