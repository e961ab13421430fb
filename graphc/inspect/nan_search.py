"""Where NaN and infinity come from: a step run again with a kernel an op, every value looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from graphc.compiler.fusion.grouping import computed_nodes
from graphc.compiler.load.assemble import compiled
from graphc.compiler.load.native import LoadedProgram, native
from graphc.compiler.options import Options
from graphc.compiler.pipeline import (
    Compilation,
    Rewriting,
    compile_program,
    group_nodes,
    plan_instructions,
    schedule_groups,
)
from graphc.inspect.wording import described
from graphc.ir.graph import Node, Program, is_among
from graphc.ir.nodes.lowering import Scalar
from graphc.ir.nodes.op import Array
from graphc.ir.ops import leaf
from graphc.ir.ops.region import start
from graphc.ir.reference import evaluate, steps_of
from graphc.kernels.nests.node_kinds import is_region, is_result, viewed
from graphc.kernels.run.memory import data_address
from graphc.nan_report import BadValue, NanReport, ValueRange


def find_nan(
    program: Program, states: Mapping[str, Array], batch: Sequence[Array]
) -> NanReport | None:
    """Runs a step again, a kernel an op and without its updates, and says what went wrong first.

    program: with open dimensions. states: by name, as they were before the step. batch: an array
    for each input, of the input's dtype. Only values that a result depends on count: an infinity
    that a mask hides is no fault. Returns None where all results are finite.
    """
    compilation = _unfused(program, _extents(program, batch))
    step = compilation.program
    inputs = [np.ascontiguousarray(array) for array in batch]
    values = _all_values(compilation, states, inputs)
    return _search(step.roots, step.nodes, values)


def _search(
    roots: Sequence[Node], nodes: Sequence[Node], values: Mapping[Node, Array]
) -> NanReport | None:
    """What went wrong first of what the roots are made of, of all of whose nodes there are values
    but of loops."""
    bad = {node for node in values if _is_float(values[node]) and not _is_finite(values[node])}
    path = _reached([root for root in roots if root in bad], bad)
    if not path:
        return None
    order = {node: position for position, node in enumerate(nodes)}
    # Operands come before those who read them, and constants are as somebody wrote them.
    made = [node for node in path if node.op is not leaf.constant]
    first = min(made, key=lambda node: (bool(node.operands), order[node]))
    inside = _search_in_steps(first, values) if is_result(first) else None
    if inside is not None:
        return inside
    nan = [node for node in made if np.isnan(values[node]).any()]
    if not first.operands:
        following = [node for node in path if is_among(first, map(viewed, _operands(node)))]
    else:
        following = [] if is_among(first, nan) else nan
    then = min(following, key=order.__getitem__, default=None)
    # "The first NaN" shows one, where the op has passed on infinities before it.
    shown = np.isnan if first.operands else _is_bad
    described_then = None if then is None else _described(then, values, shown)
    return NanReport(_described(first, values, _is_bad), described_then)


def _search_in_steps(result: Node, values: Mapping[Node, Array]) -> NanReport | None:
    """What goes wrong in the first step of a loop in which something does, in numpy; None where
    nothing does there."""
    (loop,) = result.operands
    body: Program = loop.attributes["body"]
    for number, inside in steps_of(loop, [values[operand] for operand in loop.operands]):
        found = _search(body.roots, body.nodes, _tensors(inside))
        if found is not None:
            then = None if found.then is None else _in_step(found.then, number)
            return NanReport(_in_step(found.first, number), then)
    return None


def _in_step(value: BadValue, number: int) -> BadValue:
    return replace(value, steps=(number, *value.steps))


def _extents(program: Program, batch: Sequence[Array]) -> dict[str, int]:
    extents: dict[str, int] = {}
    for node, array in zip(program.inputs, batch, strict=True):
        for extent, actual in zip(node.shape, array.shape, strict=True):
            if not isinstance(extent, int):
                extents[extent.name] = actual
    return extents


def _unfused(program: Program, extents: dict[str, int]) -> Compilation:
    """The step as it is simplified and run, but with a kernel an op."""
    options = Options(extents, fuse=False, vector_bits=native().vector_bits)
    return compile_program(program, options)


def _all_values(
    compilation: Compilation, states: Mapping[str, Array], inputs: Sequence[Array]
) -> dict[Node, Array]:
    """Every value of the step, which updates nothing: what kernels compute are its outputs.

    Values that no kernel computes are what the reference says.
    """
    step = compilation.program
    nodes = [node for node in computed_nodes(step) if not (is_region(node) or node.op is start)]
    outputs = tuple((f"value{number}", node) for number, node in enumerate(nodes))
    program = Program(step.name, step.inputs, outputs)
    watched = Rewriting(compilation.options, program, compilation.tilings)
    planned = plan_instructions(schedule_groups(group_nodes(watched)))
    loaded = LoadedProgram(compiled(planned), states)
    loaded.run([data_address(array) for array in inputs])
    given = dict(zip(step.inputs, inputs, strict=True))
    given |= {node: states[node.name] for node in step.states}
    given |= dict(zip(nodes, loaded.outputs.values(), strict=True))
    return _tensors(evaluate(step.roots, given))


def _tensors(values: Mapping[Node, Array]) -> dict[Node, Array]:
    """The values of all nodes but loops, whose results have theirs."""
    return {node: value for node, value in values.items() if not is_region(node)}


def _operands(node: Node) -> tuple[Node, ...]:
    """What a value is made of: that of a loop's result is what the loop reads."""
    return node.operands[0].operands if is_result(node) else node.operands


# --- who made it -----------------------------------------------------------------------------


def _is_float(array: Array) -> bool:
    return array.dtype.kind == "f"


def _is_finite(array: Array) -> bool:
    return bool(np.isfinite(array).all())


def _reached(roots: Sequence[Node], bad: set[Node]) -> set[Node]:
    """The bad values that the bad roots depend on through bad values."""
    found: set[Node] = set()
    pending = list(roots)
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += [operand for operand in _operands(node) if operand in bad]
    return found


def _is_bad(array: Array) -> Array:
    return ~np.isfinite(array)


def _described(
    node: Node, values: Mapping[Node, Array], shown: Callable[[Array], Array]
) -> BadValue:
    """shown: the elements of which the first is described."""
    result = values[node]
    index = tuple(int(i) for i in np.argwhere(shown(result))[0])
    is_given = node.op in (leaf.input_, leaf.state)
    elementwise = isinstance(node.op.lowering, Scalar)
    operands = [
        _range(operand, values[operand], _element(values[operand], index) if elementwise else None)
        for operand in _operands(node)
    ]
    return BadValue(
        op=node.op.name,
        name=node.name if is_given else "",
        location=node.location,
        result=_range(node, result, None),
        index=index,
        element=float(result[index]),
        bad=int(_is_bad(result).sum()),
        operands=tuple(operands),
    )


def _element(operand: Array, index: tuple[int, ...]) -> float:
    """What an elementwise op reads of an operand, which is broadcast, for the result's element."""
    own = index[len(index) - operand.ndim :]
    return float(
        operand[tuple(0 if n == 1 else i for i, n in zip(own, operand.shape, strict=True))]
    )


def _range(node: Node, array: Array, there: float | None) -> ValueRange:
    finite = array[np.isfinite(array)] if _is_float(array) else array
    is_constant = node.op is leaf.constant
    return ValueRange(
        value="constant" if is_constant else described(node),
        dtype=str(node.dtype),
        shape=array.shape,
        minimum=float(finite.min()) if finite.size else None,
        maximum=float(finite.max()) if finite.size else None,
        nans=int(np.isnan(array).sum()) if _is_float(array) else 0,
        infinities=int(np.isinf(array).sum()) if _is_float(array) else 0,
        there=there,
    )
