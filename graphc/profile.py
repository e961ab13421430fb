"""Where the time of a step goes: every kernel timed, fused beside unfused in one run."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.errors import DataError
from graphc.function import Function, function
from graphc.ir.graph import Node, Program
from graphc.ir.op import Array
from graphc.ir.types import Dim
from graphc.kernels.memory import data_address
from graphc.profiling.inputs import random_inputs
from graphc.profiling.measure import measure
from graphc.profiling.records import (
    KernelProfile,
    Line,
    Profile,
    Saving,
    Slice,
    StepProfile,
    Value,
)
from graphc.profiling.rows import kind_of, lines_of
from graphc.subject import Subject, extents_of, function_of

__all__ = [
    "ROUNDS",
    "KernelProfile",
    "Line",
    "Profile",
    "Saving",
    "Slice",
    "StepProfile",
    "Value",
    "as_function",
    "check_dimensions",
    "kind_of",
    "lines_of",
    "profile",
    "profile_function",
    "random_inputs",
]

ROUNDS = 15


def profile(
    subject: Subject,
    batch_size: int | None = None,
    *,
    dimensions: Mapping[str, int] | None = None,
    threads: int | None = None,
    rounds: int = ROUNDS,
    repeats: int | None = None,
) -> Profile:
    """Measures a model's training step, or a function. Variables are as before afterwards.

    batch_size: that of the model unless given. dimensions: extents of other open dimensions.
    threads: how many run the step, at most; those of the function unless given.
    rounds: how often fused and unfused steps are measured in turns; repeats: steps in one
    measurement. The inputs are random, of the right shapes and dtypes, with indices in range.
    Raises NotCompiledError for a model without optimizer, DataError for an open dimension without
    an extent, ValueError for fewer than one thread.
    """
    bindings = extents_of(subject, batch_size, dimensions or {})
    step = function_of(subject)
    if threads is not None and threads != step.threads:
        step = as_function(step, fuse=step.fuse, threads=threads)
    return profile_function(step, bindings, rounds=rounds, repeats=repeats)


def profile_function(
    step: Function, dimensions: Mapping[str, int], *, rounds: int, repeats: int | None = None
) -> Profile:
    """As `profile`, for any function."""
    check_dimensions(step.program, dimensions)
    fused = (step if step.fuse else as_function(step, fuse=True)).loaded(dimensions)
    unfused = (as_function(step, fuse=False) if step.fuse else step).loaded(dimensions)
    inputs = random_inputs(fused.compilation.program)
    before = {state: step.variables[state] for state in step.program.states}
    try:
        return measure(
            step.program.name,
            dimensions,
            (fused, unfused),
            [data_address(array) for array in inputs],
            lambda: _restore(step, before),
            rounds,
            repeats,
        )
    finally:
        _restore(step, before)


def as_function(step: Function, fuse: bool, threads: int | None = None) -> Function:
    """The same program on the same variables, compiled fused or unfused, and for as many threads
    unless another number is given."""
    program = step.program
    return function(
        program.inputs,
        dict(program.outputs),
        dict(program.updates),
        variables=step.variables,
        fuse=fuse,
        threads=step.threads if threads is None else threads,
        name=program.name,
    )


def check_dimensions(program: Program, dimensions: Mapping[str, int]) -> None:
    """Raises DataError naming the open dimensions of the inputs that have no extent."""
    wanted = {e.name for node in program.inputs for e in node.shape if isinstance(e, Dim)}
    missing = sorted(wanted - dimensions.keys())
    if missing:
        raise DataError(
            f"{program.name}: extents for the dimensions {missing} are missing; --dim gives one"
        )


def _restore(step: Function, values: Mapping[Node, Array]) -> None:
    for state, value in values.items():
        step.variables[state] = value
