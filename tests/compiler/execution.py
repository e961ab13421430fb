"""Programs run by compiled kernels, beside the reference, on the same inputs and states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from graphc.compiler.native import LoadedProgram, native
from graphc.compiler.pipeline import Compilation, Options, compile_program
from graphc.ir.graph import Program
from graphc.ir.op import Array
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
