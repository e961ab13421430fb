"""A function as it is looked at: how it is compiled, and the same program compiled otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.compiler.load.native import native
from graphc.compiler.options import Options
from graphc.errors import DataError
from graphc.functions.function import Function, function
from graphc.ir.graph import Program
from graphc.ir.types import named_dimensions


def options_of(step: Function, dimensions: dict[str, int]) -> Options:
    """How `step` is compiled for the given extents of its open dimensions."""
    bindings = {name: dimensions[name] for name in step.dimensions}
    return Options(bindings, step.fuse, native().vector_bits, step.threads)


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


def check_extents(program: Program, dimensions: Mapping[str, int]) -> None:
    """Raises DataError naming the open dimensions of the inputs that have no extent."""
    wanted = named_dimensions(node.shape for node in program.inputs)
    missing = sorted(set(wanted) - dimensions.keys())
    if missing:
        raise DataError(
            f"{program.name}: extents for the dimensions {missing} are missing; --dim gives one"
        )
