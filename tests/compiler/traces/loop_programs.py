"""Seeded random programs around loops: derivatives of random bodies, loops in loops, steps that
indices choose and may stop, loops whose steps are not counted, and states that they end in."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from graphc.ir.derive.autodiff import gradients
from graphc.ir.functions import build
from graphc.ir.graph import Graph, Node, Program, topological
from graphc.ir.nodes.op import Array
from graphc.ir.ops import leaf
from graphc.ir.ops.elementwise import elementwise as ops
from graphc.ir.programs import loops
from tests.random_loops import random_net, random_while

LENGTHS = (0, 1, 2, 3, 5)
# Rows of the table that steps read by index.
TABLE_ROWS = 4


def derivative_program(seed: int) -> Program:
    """The results of a random body's loop, and the gradients of their sum; carries alone are kept
    of some, in parts of steps."""
    rng = random.Random(seed)
    net = replace(random_net(seed, rng.choice(LENGTHS[1:])), every=rng.choice((None, None, 1, 2)))
    last, stacked = net.results(scanned=True)
    loss = net.loss(scanned=True)
    below = topological([net.loss(scanned=False)])
    wrt = [x for x in below if x.op is leaf.input_ and x.dtype.is_float]
    outputs = {f"last{k}": x for k, x in enumerate(last)}
    outputs |= {f"stacked{k}": x for k, x in enumerate(stacked)}
    outputs |= {f"d_{x.name}": g for x, g in zip(wrt, gradients(loss, wrt), strict=True)}
    return Program("net", tuple(net.graph.inputs.values()), tuple(outputs.items()))


def while_program(seed: int) -> Program:
    """What a loop leaves whose steps are not counted; an output reads what it began with too."""
    return _while_program(*random_while(seed))


def counting_program(seed: int) -> Program:
    """The same of a loop whose condition is made of a count alone: by no kernel that threads share.
    What they share reads the count as it was, or as it is next, or not at all."""
    return _while_program(*_counting(seed))


def _while_program(graph: Graph, first: list[Node], last: list[Node]) -> Program:
    outputs = [(f"last{k}", value) for k, value in enumerate(last)]
    outputs.append(("both", last[0] + first[0]))
    return Program("while", tuple(graph.inputs.values()), tuple(outputs))


def _counting(seed: int) -> tuple[Graph, list[Node], list[Node]]:
    rng = random.Random(seed)
    graph = Graph()
    x, count = graph.input("x", (rng.choice((6, 8)), 5), "f64"), graph.constant(0, "i32")

    def step(given: Sequence[Node]) -> Sequence[Node]:
        value, before = given
        after = before + 1
        by = rng.choice((None, before, after, after))
        made = ops.tanh(value) if by is None else value * build.cast(by, "f64") * 0.5
        return [made if rng.random() < 0.8 else made @ build.transpose(made) @ value, after]

    most = rng.choice((0, 1, 3))
    last = loops.while_loop(lambda given: given[1] < most, step, [x, count])
    return graph, [x, count], last


def state_program(seed: int) -> Program:
    """Loops in loops, counted or not, over parts of inputs and states in either order, whose steps
    take rows of a table by index; what they leave is the next value of one state or of two.

    The last input holds the indices.
    """
    rng = random.Random(seed)
    graph = Graph()
    width, length = rng.choice((1, 3, 5)), rng.choice(LENGTHS[1:])
    x = graph.input("x", (length + 2, width), "f32")
    table = graph.state("table", (TABLE_ROWS, width), "f32", trainable=True)
    kept = graph.state("kept", (width,), "f32", trainable=True)
    other = graph.state("other", (width,), "f32", trainable=True)
    stack = graph.state("stack", (length, width), "f32", trainable=True)
    # Nothing in its next value depends on the loop, which an index may stop.
    ticks = graph.state("ticks", (2,), "f32", trainable=False)
    ticked = ticks * 0.5 + 1.0
    places = graph.input("places", (length + 2,), rng.choice(("i32", "i64", "u8")))

    def parts(whole: Node) -> Node:
        """A run of `length` slices: the first, the last, every one backwards."""
        return rng.choice((whole[:length], whole[-length:], whole[::-1][:length]))

    def inner(h: Node, row: Node, place: Node) -> Node:
        """A few steps on h, or as many as a sum of it allows; some take the row themselves."""
        by_itself = rng.random() < 0.5

        def read(chosen: Node) -> Node:
            return build.take(table, chosen) if by_itself else row

        def at_first(count: Node) -> Node:
            """The place in the first step, 0 in the others."""
            return build.cast(place, "i64") * build.cast(count < 1, "i64")

        if rng.random() < 0.5:
            (made,), _ = loops.scan(
                lambda c, s: ([ops.tanh(c[0] + s[0] * read(s[1]))], []),
                [h], [table[:3], places[:3]], 3,
                reverse=rng.random() < 0.5,
            )  # fmt: skip
            return made
        count = graph.constant(0, "i32")
        made, _ = loops.while_loop(
            lambda c: ops.logical_and(build.sum(c[0]) < width * 2.0, c[1] < 4),
            lambda c: [c[0] + ops.square(read(at_first(c[1]))) * 0.5 + 0.1, c[1] + 1],
            [h, count],
        )
        return made

    nested, taken = rng.random() < 0.6, rng.random() < 0.5

    def step(carries: Sequence[Node], slices: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        h, total = carries
        value, place = slices
        row = build.take(table, place) if taken else value * 0.5
        after = inner(h, row, place) if nested else ops.tanh(h + row)
        return [after * value + 0.5, total + after], [after * 0.5 + row]

    start = rng.choice((kept, other, table[1], x[0]))
    reverse = rng.random() < 0.5
    (last, total), (made,) = loops.scan(
        step, [start, kept], [parts(x), parts(places)], length, reverse=reverse
    )
    new = rng.choice((last, total, last + kept))
    updates = [(ticks, ticked), (kept, new), (other, rng.choice((new, last, kept)))]
    updates.append((stack, rng.choice((made, made[::-1], stack + made))))
    if rng.random() < 0.5:
        updates.append((table, table * 0.5 + last))
    outputs = (("made", made), ("last", last), ("kept", kept + total))
    return Program(f"states{seed}", (x, places), outputs, tuple(updates))


def loop_values(program: Program, seed: int) -> tuple[dict[str, Array], dict[str, Array]]:
    """Inputs and states by name: floats in [-1, 1], rows of the table."""
    rng = np.random.default_rng(seed)

    def draw(node: Node) -> Array:
        if node.dtype.is_float:
            return rng.uniform(-1, 1, node.type.dims).astype(node.dtype.numpy)
        return rng.integers(0, TABLE_ROWS, node.type.dims).astype(node.dtype.numpy)

    return {n.name: draw(n) for n in program.inputs}, {n.name: draw(n) for n in program.states}
