"""The numpy evaluator: what every op means, and the yardstick that compiled code is held to."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from graphc.ir.dims import Extent
from graphc.ir.errors import GraphError
from graphc.ir.graph import Node, Program, topological
from graphc.ir.nodes.lowering import Region
from graphc.ir.nodes.op import Array
from graphc.ir.ops import leaf
from graphc.ir.ops.movement.indexed import as_given
from graphc.ir.ops.region import Steps
from graphc.ir.types import TensorType, bind_shape, static_shape


def evaluate(
    roots: tuple[Node, ...],
    values: Mapping[Node, Array],
    bindings: Mapping[str, int] | None = None,
) -> dict[Node, Array]:
    """Every value below `roots`, given those of inputs and states.

    `bindings` gives extents to named dimensions. Raises IndexError for indices out of range and
    GraphError for a missing input or state.
    """
    extents = bindings or {}
    results: dict[Node, Array] = {}
    for node in topological(roots):
        if node in values:
            results[node] = values[node]
        elif node.op is leaf.input_ or node.op is leaf.state:
            raise GraphError(f"no value was given for {node!r}")
        else:
            results[node] = _apply(node, [results[x] for x in node.operands], extents)
    return results


def _apply(node: Node, operands: list[Array], extents: Mapping[str, int]) -> Array:
    result_type = TensorType(node.dtype, bind_shape(node.shape, extents))
    attributes = dict(node.attributes)
    for name, kind in node.op.attributes.items():
        if kind.bind is not None:
            attributes[name] = kind.bind(attributes[name], extents)
    if isinstance(node.op.lowering, Region):
        return _run_steps(node, operands, extents)
    if node.op.indices is not None:
        _check_indices(node, operands, attributes)
    # Kernels give infinities and NaN without a word.
    with np.errstate(all="ignore"):
        return np.asarray(node.op.reference(result_type, *operands, **attributes))


def _run_steps(loop: Node, operands: list[Array], extents: Mapping[str, int]) -> Any:
    """The last carries and the stacked values of a loop, one array each."""
    form = Steps.of(loop)
    body: Program = form.body
    carries = form.carries
    length = 0 if form.length is None else _extent(form.length, extents)
    values = operands[:carries]
    stacked = [node for _, node in body.outputs[carries:]]
    stacks = [
        np.zeros((length, *static_shape(bind_shape(node.shape, extents))), node.dtype.numpy)
        for node in stacked
    ]
    for step, made in steps_of(loop, operands, extents):
        values = [made[node] for _, node in body.outputs[:carries]]
        for stack, node in zip(stacks, stacked, strict=True):
            stack[step] = made[node]
    return (*values, *stacks)


def steps_of(
    loop: Node, operands: Sequence[Array], bindings: Mapping[str, int] | None = None
) -> Iterator[tuple[int, dict[Node, Array]]]:
    """The steps of a loop in their order: which slice each reads, and all values of its body."""
    extents = bindings or {}
    form = Steps.of(loop)
    body: Program = form.body
    carries, behind = form.carries, form.carries + form.slices
    values = [*operands[:carries]]
    order: Iterable[int] = itertools.count()
    if form.length is not None:
        length = _extent(form.length, extents)
        order = reversed(range(length)) if form.reverse else range(length)
    for step in order:
        if form.length is None and not values[0]:
            return
        given = [*values, *(x[step] for x in operands[carries:behind]), *operands[behind:]]
        made = evaluate(body.roots, dict(zip(body.inputs, given, strict=True)), extents)
        yield step, made
        values = [made[node] for _, node in body.outputs[:carries]]


def _extent(extent: Extent, bindings: Mapping[str, int]) -> int:
    (found,) = static_shape(bind_shape((extent,), bindings))
    return found


def _check_indices(node: Node, operands: list[Array], attributes: Mapping[str, object]) -> None:
    assert node.op.indices is not None
    position, limit_of = node.op.indices
    limit = limit_of(*(_TypeOf(operand) for operand in operands), **attributes)
    check_range(operands[position], limit, node)


class _TypeOf:
    """What a rule that asks for an operand's extents may see of an array."""

    def __init__(self, array: Array) -> None:
        self.shape = array.shape


def check_range(indices: Array, limit: int, node: Node) -> None:
    """Raises IndexError unless every index is at least 0 and below `limit`."""
    if indices.size and (indices.min() < 0 or indices.max() >= limit):
        raise IndexError(out_of_range(node, limit))


def out_of_range(node: Node, limit: int) -> str:
    """What is said of an index outside its range."""
    assert node.op.indices is not None
    index, least = as_given(node.operands[node.op.indices[0]], limit)
    line = f"\n  at {node.location}: {node.location.text}" if node.location else ""
    return f"{node.op.name}: an index in {index!r} is outside {least} to {limit - 1}{line}"


def run_program(
    program: Program,
    inputs: Mapping[str, Array],
    states: Mapping[str, Array],
    bindings: Mapping[str, int] | None = None,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The program's outputs and the next values of its updated states, both by name."""
    values = {node: np.asarray(inputs[node.name]) for node in program.inputs}
    values |= {node: states[node.name] for node in program.states}
    results = evaluate(program.roots, values, bindings)
    outputs = {name: results[node] for name, node in program.outputs}
    updates = {state.name: results[node] for state, node in program.updates}
    return outputs, updates
