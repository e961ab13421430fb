"""Programs run by compiled kernels, beside the reference, on the same inputs and states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphc.compiler.native import LoadedProgram, native
from graphc.compiler.pipeline import Compilation, Options, compile_program
from graphc.ir.graph import Graph, Node, Program, rebuild
from graphc.ir.op import Array
from graphc.ir.ops import leaf
from graphc.kernels.memory import data_address

# A width of vectors that every host has, for what is compared as text and never run.
VECTOR_BITS = 256

Values = Mapping[str, Array]


def compilation(
    program: Program, bindings: Mapping[str, int] | None = None, *, fuse: bool = True
) -> Compilation:
    """`program` after all passes, for no host in particular: there is no machine code."""
    return compile_program(program, Options(dict(bindings or {}), fuse, VECTOR_BITS))


def load(
    program: Program,
    states: Mapping[str, Array],
    bindings: Mapping[str, int] | None = None,
    *,
    fuse: bool = True,
) -> LoadedProgram:
    """`program` as machine code that works on the arrays in `states`."""
    options = Options(dict(bindings or {}), fuse, native().vector_bits)
    return LoadedProgram(compile_program(program, options), states)


def run_compiled(
    program: Program,
    inputs: Values,
    states: Values,
    bindings: Mapping[str, int] | None = None,
    *,
    fuse: bool = True,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """What `run_program` returns, computed by compiled kernels; `states` stay what they are."""
    own = {name: np.array(value, order="C") for name, value in states.items()}
    loaded = load(program, own, bindings, fuse=fuse)
    return run_loaded(loaded, inputs), {state.name: own[state.name] for state, _ in program.updates}


def run_loaded(loaded: LoadedProgram, inputs: Values) -> dict[str, Array]:
    """The outputs by name."""
    program = loaded.compilation.program
    arrays = [np.ascontiguousarray(inputs[node.name]) for node in program.inputs]
    loaded.run([data_address(array) for array in arrays])
    return {name: value.copy() for name, value in loaded.outputs.items()}


def misaligned(array: Any) -> Array:
    """The same elements in memory that starts one byte beyond an element's boundary."""
    memory = np.zeros(array.nbytes + array.itemsize, np.uint8)
    view = memory[1 : 1 + array.nbytes].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def joined(programs: Sequence[Program]) -> Program:
    """One program that computes what all of them do; names are prefixed: `p0_x` is x of the first.

    The programs have no open dimensions.
    """
    graph = Graph()
    inputs: list[Node] = []
    outputs: list[tuple[str, Node]] = []
    updates: list[tuple[Node, Node]] = []
    for number, program in enumerate(programs):
        prefix = f"p{number}_"

        def make(node: Node, operands: tuple[Node, ...], prefix: str = prefix) -> Node:
            attributes = dict(node.attributes)
            if node.op is leaf.input_ or node.op is leaf.state:
                attributes["name"] = prefix + node.name
                return (graph.input if node.op is leaf.input_ else graph.state)(**attributes)
            with graph.at(node.location):
                return graph.apply(node.op, operands, attributes)

        made = rebuild((*program.inputs, *program.states, *program.roots), make)
        inputs += [made[node] for node in program.inputs]
        outputs += [(prefix + name, made[node]) for name, node in program.outputs]
        updates += [(made[state], made[value]) for state, value in program.updates]
    return Program("joined", tuple(inputs), tuple(outputs), tuple(updates))


def prefixed(number: int, values: Values) -> dict[str, Array]:
    """The values of program `number` under the names that `joined` gives them."""
    return {f"p{number}_{name}": value for name, value in values.items()}
