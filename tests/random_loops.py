"""Nets with a loop: one step as a function, the loop of it, and its steps written out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.programs import loops

Step = Callable[[Sequence[Node], Sequence[Node]], tuple[Sequence[Node], Sequence[Node]]]


@dataclass(frozen=True)
class LoopNet:
    """`length` steps from `carries` on, over the slices of `stacks`; of derivatives every so many
    carries alone are kept, where `every` says so."""

    graph: Graph
    step: Step
    carries: Sequence[Node]
    stacks: Sequence[Node]
    length: int
    reverse: bool = False
    every: int | None = None

    def results(self, scanned: bool) -> tuple[list[Node], list[Node]]:
        """The last carries and the stacked values, by a loop or by its steps one by one."""
        if not scanned:
            return written_out(self)
        if self.every is not None:
            return loops.scan_in_parts(
                self.step, self.carries, self.stacks, self.length, self.every, reverse=self.reverse
            )
        return loops.scan(self.step, self.carries, self.stacks, self.length, reverse=self.reverse)

    def loss(self, scanned: bool) -> Node:
        """A sum over all floats of the results, each with another weight at each place."""
        last, stacked = self.results(scanned)
        total = self.graph.constant(0.0, "f64")
        for value in (*last, *stacked):
            if value.dtype.is_float and value.type.size:
                weights = build.reshape(self.graph.iota((value.type.size,), "f64"), value.shape)
                total = total + build.sum(value * ops.cos(weights))
            elif value.dtype.is_float:
                total = total + build.sum(value)
        return total


def written_out(net: LoopNet) -> tuple[list[Node], list[Node]]:
    """The results of steps that stand in the graph one after the other."""
    carries, made = list(net.carries), []
    order = range(net.length)
    for t in reversed(order) if net.reverse else order:
        after, stacked = net.step(carries, [stack[t] for stack in net.stacks])
        carries = list(after)
        made.append(stacked)
    ordered = reversed(made) if net.reverse else made
    columns = zip(*ordered, strict=True)
    return carries, [
        build.concatenate([build.expand_dims(x, 0) for x in column], 0) for column in columns
    ]


def random_net(seed: int, length: int) -> LoopNet:
    """A body of random ops over one to three carries and up to two slices, all of them f64 but one
    that counts, with weights from outside."""
    rng = np.random.default_rng(seed)
    graph = Graph()
    rows, width = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    shape = (rows, width)
    carries = [graph.input(f"c{k}", shape, "f64") for k in range(rng.integers(1, 4))]
    stacks = [graph.input(f"x{k}", (length, *shape), "f64") for k in range(rng.integers(0, 3))]
    weights = [graph.input(f"w{k}", (width, width), "f64") for k in range(2)]
    bias = graph.input("b", (width,), "f64")
    count = graph.constant(0, "i32")
    plan = rng.integers(0, 1 << 30, 64)

    def step(given: Sequence[Node], slices: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        *floats, number = given
        values = [*floats, *slices, bias * (1.0 + build.cast(number, "f64"))]
        draws = iter(plan)

        def draw(count: int) -> int:
            return int(next(draws)) % count

        for _ in range(6):
            x, y = values[draw(len(values))], values[draw(len(values))]
            values.append(_applied(draw(7), x, y, weights[draw(2)]))
        wide = [x if x.shape == shape else build.broadcast_to(x, shape) for x in values]
        after = [ops.tanh(wide[-1 - k] + floats[k]) for k in range(len(floats))]
        stacked = [wide[draw(len(wide))] * 0.5 for _ in range(draw(3))]
        return [*after, number + 1], stacked

    reverse = bool(rng.integers(0, 2))
    return LoopNet(graph, step, [*carries, count], stacks, length, reverse)


def random_while(seed: int) -> tuple[Graph, list[Node], list[Node]]:
    """A graph, and the carries before and behind a loop of a random body, which stops where a mean
    of its values crosses a bound, and after ten steps."""
    net = random_net(seed, 0)
    rng = np.random.default_rng(seed)
    net = replace(net, stacks=())
    bound = float(rng.uniform(0.05, 0.5))

    def holds(given: Sequence[Node]) -> Node:
        distance = build.mean(ops.absolute(given[0] - bound))
        return ops.logical_and(distance > 0.25 * bound, given[-1] < 10)

    def step(given: Sequence[Node]) -> Sequence[Node]:
        return net.step(given, [])[0]

    return net.graph, list(net.carries), loops.while_loop(holds, step, net.carries)


def _applied(kind: int, x: Node, y: Node, w: Node) -> Node:
    """One of a few smooth functions of x, y and a weight, of bounded growth."""
    match kind:
        case 0:
            return ops.tanh(x @ w)
        case 1:
            return x * y
        case 2:
            return ops.sigmoid(x) + y
        case 3:
            return x - 0.5 * y
        case 4:
            return ops.sin(x) * ops.exp(-ops.square(y))
        case 5:
            return build.mean(x, 0) + y
        case _:
            return x @ w + y
