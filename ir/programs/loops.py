"""Loops in a graph: a function over tensors becomes the body of a scan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from graphc.ir.dims import Extent
from graphc.ir.functions.build import concatenate, reshape
from graphc.ir.graph import Graph, Node, Program, depends_on, topological
from graphc.ir.nodes.lowering import View
from graphc.ir.nodes.op import GraphOfNodes
from graphc.ir.ops import custom, leaf, region
from graphc.ir.ops.custom import substituted
from graphc.ir.programs.custom_vjp import formal_of
from graphc.ir.types import TensorType

# What the carries, slices and stacked values of a body are called, each with a number.
CARRY, SLICE, VALUE, OUTPUT = "carry", "slice", "value", "output"

# (carries, slices) -> (next carries, values that are stacked)
Step = Callable[[list[Node], list[Node]], tuple[Sequence[Node], Sequence[Node]]]


@dataclass(frozen=True)
class Late:
    """What a step turns out to need once it has been declared.

    carries: more of them, each a formal parameter, its first value and its next. slices: more of
    them, each a formal parameter and the stack. roots: what the step makes, of these parameters.
    finish: is told the loop and the last values of the carries.
    """

    roots: Sequence[Node]
    carries: Sequence[tuple[Node, Node, Node]] = ()
    slices: Sequence[tuple[Node, Node]] = ()
    finish: Callable[[Node, Sequence[Node]], None] = lambda loop, last: None


# (what a step makes, the number of the first node that was made for it) -> what it needs besides
Complete = Callable[[Sequence[Node], int], Late]


def _as_it_is(roots: Sequence[Node], first: int) -> Late:
    return Late(roots)


def scan(
    step: Step,
    carries: Sequence[Node],
    stacks: Sequence[Node],
    length: Extent,
    *,
    reverse: bool = False,
    recompute: bool = False,
    complete: Complete = _as_it_is,
) -> tuple[list[Node], list[Node]]:
    """The last carries and the stacked values of `length` steps, from `carries` on.

    Each step reads its slice of each of `stacks`, along axis 0. `step` is called once, for formal
    parameters; whatever else it reads is the same for all steps. `complete` may add carries and
    slices. Raises ShapeError or DTypeError where a next carry is not of the carry's type, or a
    stack not of `length` slices.
    """
    graph = (*carries, *stacks)[0].graph
    types = [carry.type for carry in carries]
    types += [TensorType(stack.dtype, stack.shape[1:]) for stack in stacks]
    formals = [formal_of(graph, each) for each in types]
    given = len(carries)
    nexts, made = step(formals[:given], formals[given:])
    late = complete([*nexts, *made], formals[0].number)
    formals[given:given] = [formal for formal, _, _ in late.carries]
    formals += [formal for formal, _ in late.slices]
    starts = [*carries, *(start for _, start, _ in late.carries)]
    whole = [*stacks, *(stack for _, stack in late.slices)]
    nexts = [*late.roots[:given], *(after for _, _, after in late.carries)]
    body, values = _cut_out(formals, len(starts), nexts, late.roots[given:])
    node = apply_scan(
        body, (*starts, *whole, *values), len(starts), len(whole), length, reverse, recompute
    )
    results = [region.result(node, number=k) for k in range(len(body.outputs))]
    late.finish(node, results[given : len(starts)])
    return results[:given], results[len(starts) :]


def scan_in_parts(
    step: Step,
    carries: Sequence[Node],
    stacks: Sequence[Node],
    length: int,
    every: int,
    *,
    reverse: bool = False,
    complete: Callable[[Extent], Complete] = lambda length: _as_it_is,
) -> tuple[list[Node], list[Node]]:
    """As `scan`, of whose derivatives the carry of every `every`-th step alone is kept: a loop over
    parts of so many steps, and one over those that are left, which come last."""
    parts, left = divmod(length, every)

    def part(given: list[Node], slices: list[Node]) -> tuple[Sequence[Node], Sequence[Node]]:
        return scan(step, given, slices, every, reverse=reverse, complete=complete(every))

    first = left if reverse else 0
    in_parts = [
        reshape(x[first : first + parts * every], (parts, every, *x.shape[1:])) for x in stacks
    ]
    last, made = scan(
        part, carries, in_parts, parts, reverse=reverse, recompute=True, complete=complete(parts)
    )
    stacked = [reshape(x, (parts * every, *x.shape[2:])) for x in made]
    if not left:
        return last, stacked
    rest = [x[:left] if reverse else x[parts * every :] for x in stacks]
    last, made = scan(
        step, last, rest, left, reverse=reverse, recompute=True, complete=complete(left)
    )
    pairs = zip(made, stacked, strict=True) if reverse else zip(stacked, made, strict=True)
    return last, [concatenate(pair, 0) for pair in pairs]


def while_loop(
    condition: Callable[[list[Node]], Node],
    step: Callable[[list[Node]], Sequence[Node]],
    carries: Sequence[Node],
    complete: Complete = _as_it_is,
) -> list[Node]:
    """The carries of the first step before which the condition, a bool [], is false.

    Both functions are called once, for formal parameters. `complete` may add carries. Raises
    ShapeError or DTypeError where the condition is no bool, and as `scan` does.
    """
    graph = carries[0].graph
    formals = [formal_of(graph, carry.type) for carry in carries]
    holds = condition(formals)
    given = len(carries)
    late = complete([holds, *step(formals)], formals[0].number)
    holds, *nexts = late.roots
    starts = [*carries, *(start for _, start, _ in late.carries)]
    formals += [formal for formal, _, _ in late.carries]
    nexts += [after for _, _, after in late.carries]
    before = formal_of(graph, holds.type)
    holds_next, holds_first = (
        substituted(holds, dict(zip(formals, values, strict=True))) for values in (nexts, starts)
    )
    body, values = _cut_out([before, *formals], len(starts) + 1, [holds_next, *nexts], [])
    attributes = {"carries": len(starts) + 1, "body": body}
    node = graph.apply(region.while_loop, (holds_first, *starts, *values), attributes)
    results = [region.result(node, number=k) for k in range(1, len(starts) + 1)]
    late.finish(node, results[given:])
    return results[:given]


def apply_scan(
    body: Program,
    operands: Sequence[Node],
    carries: int,
    slices: int,
    length: Extent,
    reverse: bool,
    recompute: bool,
) -> Node:
    """The node of a loop; its operands are in the order of the body's inputs."""
    attributes = {
        "carries": carries,
        "slices": slices,
        "length": length,
        "reverse": reverse,
        "recompute": recompute,
        "body": body,
    }
    return operands[0].graph.apply(region.scan, operands, attributes)


def _cut_out(
    formals: Sequence[Node], carries: int, nexts: Sequence[Node], made: Sequence[Node]
) -> tuple[Program, tuple[Node, ...]]:
    """The body, in a graph of its own, and the values from outside that it reads."""
    roots = (*nexts, *made)
    order = topological(roots)
    first = min(formal.number for formal in formals)
    # Parameters of backward functions that were stated inside belong to the body too.
    stated = [node for node in order if node.op is custom.formal and node.number > first]
    inside = depends_on(roots, (*formals, *stated))
    read = [x for node in order if node in inside for x in node.operands]
    outside = [x for x in dict.fromkeys((*read, *roots)) if x not in inside]
    values = tuple(x for x in outside if not _is_made_inside(x))
    graph = Graph()
    names = _names(formals, carries, values)
    given = {
        node: graph.input(name, node.shape, node.dtype)
        for node, name in zip((*formals, *values), names, strict=True)
    }
    copied = copy_values(roots, given, graph)
    return body_of(tuple(given.values()), copied[: len(nexts)], copied[len(nexts) :]), values


def _names(formals: Sequence[Node], carries: int, values: Iterable[Node]) -> list[str]:
    names = [f"{CARRY}{k}" for k in range(carries)]
    names += [f"{SLICE}{k}" for k in range(len(formals) - carries)]
    for value in values:
        is_named = value.op in (leaf.input_, leaf.state) and value.name not in names
        names.append(value.name if is_named else f"{VALUE}{len(names) - len(formals)}")
    return names


def _is_made_inside(value: Node) -> bool:
    """Whether the body makes the value itself: numbers, counts, and views of them."""
    while isinstance(value.op.lowering, View):
        value = value.operands[0]
    if value.op is leaf.constant:
        return value.rank == 0
    return value.op in (leaf.iota, leaf.extent)


def body_of(inputs: Sequence[Node], nexts: Sequence[Node], stacked: Sequence[Node]) -> Program:
    """The program of a body: carries, slices and values in, next carries and stacked values out."""
    outputs = [(f"{CARRY}{k}", node) for k, node in enumerate(nexts)]
    outputs += [(f"{OUTPUT}{k}", node) for k, node in enumerate(stacked)]
    return Program("body", tuple(inputs), tuple(outputs))


def replaced(roots: Sequence[Node], given: Mapping[Node, Node], first: int) -> list[Node]:
    """The roots with other nodes in the place of some, but for what was made before node `first`
    and does not change."""
    before = {x: x for x in topological(roots) if x.number < first and x not in given}
    return copy_values(roots, {**before, **given}, roots[0].graph) if roots else []


def copy_values(
    roots: Sequence[Node], given: Mapping[Node, Node], graph: GraphOfNodes
) -> list[Node]:
    """Each root in `graph`, made of `given` nodes of it in the place of others."""
    made = dict(given)
    for node in topological(roots, given):
        if node not in made:
            operands = [made[operand] for operand in node.operands]
            with graph.at(node.location):
                made[node] = graph.apply(node.op, operands, node.attributes)
    return [made[root] for root in roots]


def unused(names: Collection[str], wanted: str) -> str:
    """`wanted`, with a number behind it where the name is taken."""
    name, count = wanted, 1
    while name in names:
        count += 1
        name = f"{wanted}_{count}"
    return name
