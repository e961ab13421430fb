"""Programs run by compiled kernels, beside the reference, on the same inputs and states."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

import graphc as gc
from graphc.compiler.load.assemble import compiled
from graphc.compiler.load.compiled import CompiledProgram
from graphc.compiler.load.native import LoadedProgram, native
from graphc.compiler.options import Options
from graphc.compiler.pipeline import Compilation, compile_program
from graphc.inspect.wording import reason_of
from graphc.ir.graph import Program
from graphc.ir.nodes.op import Array
from graphc.kernels.run.memory import data_address
from tests.guarded import SIDES, GuardedProgram, Side, guarded, guarded_states

# A width of vectors that every host has, for what is compared as text and never run.
VECTOR_BITS = 256

Values = Mapping[str, Array]


def compilation(
    program: Program, bindings: Mapping[str, int] | None = None, *, fuse: bool = True
) -> Compilation:
    """`program` after all passes, for no host in particular: there is no machine code."""
    return compile_program(program, Options(dict(bindings or {}), fuse, VECTOR_BITS))


def refusals(function: gc.Function) -> list[str]:
    """Why values of the function share no kernel."""
    decisions = compilation(function.program).decisions
    return [reason_of(decision) for decision in decisions if not decision.fused]


class Machine:
    """Compiles programs and keeps their kernels, so that equal ones are compiled once a session."""

    def __init__(self) -> None:
        self._kept: list[object] = []

    def load(
        self,
        program: Program,
        states: Values,
        bindings: Mapping[str, int] | None = None,
        *,
        fuse: bool = True,
    ) -> LoadedProgram:
        """`program` as machine code that works on the arrays in `states`."""
        return self._loaded(self._compiled(program, bindings, fuse), states)

    def _compiled(
        self, program: Program, bindings: Mapping[str, int] | None, fuse: bool
    ) -> CompiledProgram:
        options = Options(dict(bindings or {}), fuse, native().vector_bits)
        return compiled(compile_program(program, options))

    def _loaded(self, made: CompiledProgram, states: Values) -> LoadedProgram:
        loaded = LoadedProgram(made, states)
        self._kept.append(loaded.code)
        return loaded

    def run(
        self,
        program: Program,
        inputs: Values,
        states: Values,
        bindings: Mapping[str, int] | None = None,
        *,
        fuse: bool = True,
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """What `run_program` returns, computed by kernels; `states` stay what they are.

        Run once more in guarded memory, on each side: a kernel that touches anything but its
        buffers ends the process, and bits that depend on where buffers lie fail.
        """
        own = {name: np.array(value, order="C") for name, value in states.items()}
        made = self._compiled(program, bindings, fuse)
        outputs = run_loaded(self._loaded(made, own), inputs)
        for side in SIDES:
            theirs = guarded_states(states, side)
            again = run_guarded(GuardedProgram(made, theirs, side), inputs, side)
            assert_same_bits(again, outputs)
            assert_same_bits(theirs, own)
        return outputs, {state.name: own[state.name] for state, _ in program.updates}


def run_guarded(loaded: LoadedProgram, inputs: Values, side: Side) -> dict[str, Array]:
    """The outputs by name; the inputs are in guarded memory that cannot be written to."""
    names = [node.name for node in loaded.compilation.program.inputs]
    arrays = [guarded(np.asarray(inputs[name]), side, writable=False) for name in names]
    loaded.run([data_address(array) for array in arrays])
    return {name: value.copy() for name, value in loaded.outputs.items()}


def assert_same_bits(actual: Values, expected: Values) -> None:
    for name, value in expected.items():
        assert actual[name].tobytes() == value.tobytes(), name


def run_loaded(loaded: LoadedProgram, inputs: Values) -> dict[str, Array]:
    """The outputs by name."""
    program = loaded.compilation.program
    arrays = [np.ascontiguousarray(inputs[node.name]) for node in program.inputs]
    loaded.run([data_address(array) for array in arrays])
    return {name: value.copy() for name, value in loaded.outputs.items()}


def run_on_threads(program: Program, inputs: Values, threads: int, bits: int) -> dict[str, Array]:
    """The outputs of a program without states, compiled for so many threads and vectors."""
    made = compile_program(program, Options({}, True, bits, threads))
    return run_loaded(LoadedProgram(compiled(made), {}), inputs)
