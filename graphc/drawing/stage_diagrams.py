"""The diagrams of a function at the stages of its compilation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from graphc.compiler.fusion.grouping import computed_nodes
from graphc.compiler.pipeline import Compilation, Trace, compile_program
from graphc.drawing.build import program_diagram
from graphc.drawing.diagram import Diagram
from graphc.drawing.kernels import fusion_diagrams, kernels_of
from graphc.drawing.plan import plan_diagram
from graphc.drawing.values import Values, run_batch
from graphc.errors import DataError
from graphc.functions.arrays import matched
from graphc.functions.function import Function
from graphc.functions.random_inputs import random_inputs
from graphc.functions.variants import as_function, check_extents, options_of
from graphc.inspect.stage import Stage
from graphc.ir.graph import Node, Program
from graphc.ir.nodes.op import Array
from graphc.ir.programs.lower import specialize

STAGES = (Stage.DECLARED, Stage.BACKWARD, Stage.SIMPLIFIED, Stage.FUSED, Stage.PLAN)

# What errors call the batch that is given.
SAMPLE_NAME = "sample_batch"


@dataclass(frozen=True)
class Look:
    """How diagrams are made.

    unfused: whether the program is compiled to one kernel an op. with_values, decimals: whether a
    batch is run, and how its values are printed. sample: that batch, an array for each input in
    order or by name; random unless given.
    """

    unfused: bool = False
    with_values: bool = False
    decimals: int | None = None
    sample: Any = None


def stage_diagrams(
    step: Function,
    declared: Function,
    extents: Mapping[str, int],
    look: Look,
    stages: Sequence[Stage],
) -> dict[Stage, tuple[Diagram, ...]]:
    """The diagrams of each stage of `step`, those that belong side by side together.

    declared: the part of the step without derivatives. extents: of its open dimensions. Raises
    DataError for a sample that does not fit or has an index out of range, and for a dimension
    without an extent.
    """
    check_extents(step.program, extents)
    source = _Source(step, declared, dict(extents), look)
    return {stage: source.diagrams(stage) for stage in stages}


class _Source:
    """Makes what the stages share once: compilations and the batch."""

    def __init__(
        self,
        step: Function,
        declared: Function,
        extents: dict[str, int],
        look: Look,
    ) -> None:
        self.step = as_function(step, fuse=not look.unfused)
        self.declared, self.extents, self.look = declared, extents, look
        self.traces: list[Trace] = []
        options = options_of(self.step, extents)
        self.compiled = compile_program(step.program, options, self.traces.append)
        self.inputs = self._inputs(look.sample) if look.with_values else {}

    def diagrams(self, stage: Stage) -> tuple[Diagram, ...]:
        compiled, decimals = self.compiled, self.look.decimals
        if stage is Stage.PLAN:
            return (plan_diagram(compiled),)
        if stage is Stage.FUSED:
            unfused = self._unfused()
            of_fused, of_unfused = map(self._values, (compiled.program, unfused.program))
            both = (of_fused, of_unfused) if of_fused and of_unfused else None
            return fusion_diagrams(compiled, unfused, both, decimals)
        program = self._program(stage)
        values = self._values(program)
        kernels = kernels_of(compiled)
        title = f"{stage.value}: {len(computed_nodes(program))} values are computed"
        return (program_diagram(program, title, kernels, values, decimals),)

    def _program(self, stage: Stage) -> Program:
        if stage is Stage.SIMPLIFIED:
            (simplified,) = (t.after for t in self.traces if t.name == "simplify")
            return simplified.program
        program = (self.declared if stage is Stage.DECLARED else self.step).program
        return specialize(program, self.extents) if self.look.with_values else program

    def _unfused(self) -> Compilation:
        options = replace(self.compiled.options, fuse=False)
        return compile_program(self.step.program, options)

    # --- the batch -------------------------------------------------------------------------

    def _inputs(self, sample: Any) -> dict[str, Array]:
        """The batch by name: that of the script, else a random one."""
        compiled = self.compiled.program
        if sample is None:
            arrays = random_inputs(compiled)
        else:
            arrays = matched(compiled.inputs, sample, SAMPLE_NAME)
        return {node.name: array for node, array in zip(compiled.inputs, arrays, strict=True)}

    def _values(self, program: Program) -> Values | None:
        if not self.look.with_values:
            return None
        states = {node.name: self.step.variables[node.name] for node in program.states}
        try:
            return run_batch(program, {**self.inputs, **states}, _loss_of(program))
        except IndexError as error:
            raise DataError(str(error)) from error


def _loss_of(program: Program) -> Node | None:
    """The first output where it is a float scalar."""
    for _, value in program.outputs[:1]:
        if value.shape == () and value.dtype.is_float:
            return value
    return None
