"""Products that leave loops. Each function's docstring begins with its equation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from graphc.ir.functions import build
from graphc.ir.graph import Node, rebuild, topological
from graphc.ir.nodes.lowering import Contract, LoopIndex, Region, View
from graphc.ir.ops import contract, leaf, region
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.ops.movement import movement
from graphc.ir.ops.reductions import reduce
from graphc.ir.programs.batching import NoBatchingRuleError, batched
from graphc.ir.programs.custom_vjp import formal_of
from graphc.ir.programs.loops import VALUE, copy_values, unused
from graphc.ir.programs.lower import applied
from graphc.ir.rewriting.loops.parts import Loop
from graphc.ir.rewriting.match import either_order


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


def transposed_before(loop: Loop, read: Sequence[int]) -> dict[int, Node] | None:
    """scan of a_t w^T = scan of a_t v with v = w^T, made once"""
    outside = {x: operand for operand, x in loop.values}
    order = topological(loop.roots)
    chosen = dict.fromkeys(x.operands[1] for x in order if _is_product_by_transposed(x, outside))
    if not chosen:
        return None
    graph, values = loop.graph, list(loop.values)
    turned: dict[Node, Node] = {}
    for w in chosen:
        name = unused({x.name for _, x in values} | set(graph.inputs), VALUE)
        turned[w] = graph.input(name, w.shape[::-1], w.dtype)
        values.append((build.transpose(outside[w]), turned[w]))

    def make(node: Node, operands: tuple[Node, ...]) -> Node:
        if not _is_product_by_transposed(node, outside):
            return applied(node, operands)
        attributes = {**node.attributes, "transpose_y": False}
        with graph.at(node.location):
            made: Node = graph.apply(node.op, (operands[0], turned[node.operands[1]]), attributes)
        return made

    made = rebuild(loop.roots, make)
    changed = [made[root] for root in loop.roots]
    count = len(loop.carries)
    after = replace(
        loop, values=tuple(values), nexts=tuple(changed[:count]), stacked=tuple(changed[count:])
    ).applied()
    return {k: region.result(after, number=k) for k in read}


def _is_product_by_transposed(node: Node, outside: Collection[Node]) -> bool:
    if node.op is not contract.matmul or not node.attributes["transpose_y"]:
        return False
    w = node.operands[1]
    return w in outside and w.rank == 2


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
    if not sums or loop.length is None:
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
