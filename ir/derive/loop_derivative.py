"""The derivative of a loop: a loop that goes the other way, and what it keeps of the first one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.ir.derive.steps import as_constant
from graphc.ir.functions.build import broadcast_to
from graphc.ir.graph import Graph, Node, Program, depends_on, topological
from graphc.ir.nodes.lowering import LoopIndex, Scalar, View
from graphc.ir.ops import leaf, region
from graphc.ir.programs.loops import CARRY, SLICE, VALUE, apply_scan, body_of, copy_values, unused
from graphc.ir.rewriting.simplify import simplify
from graphc.ir.types import TensorType

# An op of at most this cost is applied again in the backward pass rather than kept.
RECOMPUTE_COST = 3

# (results, their cotangents, the nodes on the way) -> what reached each node
Accumulate = Callable[[Sequence[Node], Sequence[Node], Collection[Node]], Any]


def loop_cotangents(
    node: Node, cts: Mapping[int, Node], wanted: Collection[int], accumulate: Accumulate
) -> dict[int, Node]:
    """The cotangents of the operands `wanted` of a loop, by number, for those of its results.

    c', y = f(c, x, w) in each step makes ct_c, ct_x, ct_w = vjp(f)(ct_c', ct_y), from the last
    step to the first: ct_c is the carry, ct_x is stacked, and ct_w is added up. Values of the
    forward pass that cost more than a few operations are kept: the first loop stacks them.
    Operands that get nothing are missing.
    """
    return _Derivative(node, cts, wanted, accumulate).contributions()


@dataclass(frozen=True, eq=False)
class _Loop:
    """A loop's node, and its attributes under their names."""

    node: Node
    body: Program
    carries: int
    slices: int

    @classmethod
    def of(cls, node: Node) -> _Loop:
        attributes = node.attributes
        body = simplify(attributes["body"])
        return cls(node, body, attributes["carries"], attributes["slices"])

    def applied(
        self, body: Program, operands: Sequence[Node], carries: int, slices: int, turned: bool
    ) -> Node:
        attributes = self.node.attributes
        return apply_scan(
            body,
            operands,
            carries,
            slices,
            attributes["length"],
            attributes["reverse"] != turned,
            attributes["recompute"],
        )


@dataclass
class _Backward:
    """The body of the backward loop while its inputs are found.

    made: of each value of the derivative its node in the new graph. carries, slices, values: the
    operands of the loop in each role, with the input of the body that each becomes.
    """

    graph: Graph = field(default_factory=Graph)
    made: dict[Node, Node] = field(default_factory=dict)
    carries: list[tuple[Node, Node]] = field(default_factory=list)
    slices: list[tuple[Node, Node]] = field(default_factory=list)
    values: list[tuple[Node, Node]] = field(default_factory=list)

    def add(self, role: str, operand: Node, of: TensorType) -> Node:
        found = {CARRY: self.carries, SLICE: self.slices, VALUE: self.values}[role]
        made = self.graph.input(f"{role}{len(found)}", of.shape, of.dtype)
        found.append((operand, made))
        return made


class _Derivative:
    def __init__(
        self, node: Node, cts: Mapping[int, Node], wanted: Collection[int], accumulate: Accumulate
    ) -> None:
        self.loop = _Loop.of(node)
        self.cts = cts
        self.inputs = self.loop.body.inputs
        carries = self.loop.carries
        self.floats = [k for k in range(carries) if self.inputs[k].dtype.is_float]
        self.outputs = [k for k in sorted(cts) if k >= carries]
        self.wanted = [k for k in sorted(wanted) if self.inputs[k].dtype.is_float]
        self._derive(accumulate)

    def _derive(self, accumulate: Accumulate) -> None:
        """The body again, with its VJP, in a graph of its own."""
        graph, body = Graph(), self.loop.body
        self.given = [graph.input(x.name, x.shape, x.dtype) for x in self.inputs]
        self.numbers = {x: k for k, x in enumerate(self.given)}
        names = [f"ct_{name}" for name, _ in body.outputs]
        differing = [*self.floats, *self.outputs]
        values = [value for _, value in body.outputs]
        self.formals = {
            k: graph.input(unused(graph.inputs, names[k]), values[k].shape, values[k].dtype)
            for k in differing
        }
        self.results = copy_values(values, dict(zip(self.inputs, self.given, strict=True)), graph)
        wrt = list(dict.fromkeys([*self.floats, *self.wanted]))
        results = [self.results[k] for k in self.formals]
        walked = depends_on(results, [self.given[k] for k in wrt])
        found = accumulate(results, list(self.formals.values()), walked)
        self.derived = {k: found.of(self.given[k]) for k in wrt}

    def contributions(self) -> dict[int, Node]:
        loop, outer = self.loop, self.loop.node.graph
        behind = loop.carries + loop.slices
        back = _Backward()
        for k in self.floats:
            start = self.cts.get(k)
            of = self.inputs[k].type
            operand = zeros(outer, of) if start is None else start
            back.made[self.formals[k]] = back.add(CARRY, operand, of)
        summed = [k for k in self.wanted if k >= behind and self.derived[k] is not None]
        sums = [
            back.add(CARRY, zeros(outer, self.inputs[k].type), self.inputs[k].type) for k in summed
        ]
        for k in self.outputs:
            of = loop.body.outputs[k][1].type
            back.made[self.formals[k]] = back.add(SLICE, self.cts[k], of)
        stacked = [
            k for k in self.wanted if loop.carries <= k < behind and self.derived[k] is not None
        ]
        roots = [x for x in self.derived.values() if x is not None]
        self._bring_values(back, roots)
        copied = dict(zip(roots, copy_values(roots, back.made, back.graph), strict=True))

        def derived(k: int) -> Node:
            ct = self.derived[k]
            if ct is None:
                return zeros(back.graph, self.inputs[k].type)
            return broadcast_to(copied[ct], self.inputs[k].shape)

        nexts = [derived(k) for k in self.floats]
        nexts += [total + derived(k) for total, k in zip(sums, summed, strict=True)]
        roles = (back.carries, back.slices, back.values)
        body = body_of(
            [made for role in roles for _, made in role], nexts, [derived(k) for k in stacked]
        )
        operands = [operand for role in roles for operand, _ in role]
        node = loop.applied(body, operands, len(back.carries), len(back.slices), True)
        numbers = [*self.floats, *summed, *stacked]
        return {k: region.result(node, number=n) for n, k in enumerate(numbers) if k in self.wanted}

    # --- what the backward loop reads of the forward loop ----------------------------------

    def _bring_values(self, back: _Backward, roots: Sequence[Node]) -> None:
        """Makes an input of each value of the forward pass that is kept, and finds in `made` those
        that are made again."""
        backward = depends_on(roots, self.formals.values())
        read = [x for node in topological(roots) if node in backward for x in node.operands]
        read += [root for root in roots if root not in backward]
        needed = [x for x in dict.fromkeys(read) if x not in backward]
        kept = self._kept([x for x in needed if x not in back.made])
        loop = self.loop
        stacks = [node for node in kept if self._is_stacked(node)]
        forward = self._keeping(stacks) if stacks else None
        places = {node: k for k, node in enumerate(stacks, len(self.results))}
        for node in kept:
            if forward is not None and node in places:
                operand = as_constant(region.result(forward, number=places[node]))
                back.made[node] = back.add(SLICE, operand, node.type)
            else:
                k = self.numbers[node]
                role = SLICE if k < loop.carries + loop.slices else VALUE
                back.made[node] = back.add(role, as_constant(loop.node.operands[k]), node.type)

    def _keeping(self, stacks: Sequence[Node]) -> Node:
        """The loop, which stacks further values of its body behind those that it stacks."""
        loop, results = self.loop, self.results
        stacked = [*results[loop.carries :], *stacks]
        body = body_of(self.given, results[: loop.carries], stacked)
        return loop.applied(body, loop.node.operands, loop.carries, loop.slices, False)

    def _kept(self, needed: Sequence[Node]) -> list[Node]:
        """The values that are inputs of the backward loop, so that all of `needed` can be made.

        Costly ones are kept, or of a loop that recomputes none. What is cheap is made again where
        that needs no more than is there; else it is kept too.
        """
        recomputes = self.loop.node.attributes["recompute"]
        kept: dict[Node, None] = {}
        cheap = []
        for node in needed:
            if node in self.numbers or not (recomputes or _is_cheap(node)):
                kept[node] = None
            else:
                cheap.append(node)
        for node in cheap:
            leaves = self._leaves(node, kept, recomputes)
            new = [x for x in leaves if x not in kept and self._is_stacked(x)]
            if new and not recomputes and not isinstance(node.op.lowering, View):
                kept[node] = None
            else:
                kept |= dict.fromkeys(leaves)
        return list(kept)

    def _is_stacked(self, node: Node) -> bool:
        """Whether keeping the value takes memory: stacked inputs and values from outside do not."""
        return self.numbers.get(node, 0) < self.loop.carries

    def _leaves(self, root: Node, kept: Collection[Node], recomputes: bool) -> list[Node]:
        """What `root` is made of, as far as it is made again."""
        found: dict[Node, None] = {}
        waiting, seen = [root], {root}
        while waiting:
            node = waiting.pop()
            if node in kept or node in self.numbers or not (recomputes or _is_cheap(node)):
                found[node] = None
            else:
                waiting += [x for x in node.operands if x not in seen]
                seen.update(node.operands)
        return list(found)


def _is_cheap(node: Node) -> bool:
    lowering = node.op.lowering
    if isinstance(lowering, Scalar):
        return lowering.cost <= RECOMPUTE_COST
    if node.op in (leaf.constant, leaf.extent):
        return True
    return isinstance(lowering, View | LoopIndex)


def zeros(graph: Any, of: TensorType) -> Node:
    return broadcast_to(graph.constant(0, of.dtype), of.shape)
